//! A volume over storage that hangs, fails and comes back. Nobody sleeps: storage waits at gates, and time is turned by
//! hand.

mod closing;
mod conflicts;
mod crashes;
mod deadlines;
mod ending;
mod entries;
mod hanging_changes;
mod histories;
mod hits;
pub(crate) mod house;
mod late;
mod late_results;
mod model;
mod newest;
mod read_ahead;
mod sharing;
mod stale;
mod syncing;
mod together;
mod victims;
mod waiting_writes;
