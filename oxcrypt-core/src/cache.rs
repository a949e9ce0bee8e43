//! What memory keeps of a vault: cleartext chunks, nodes, attributes, listings. Each bounded; none holds storage.

mod changes;
mod chunks;
mod clock;
mod known_listing;
mod nodes;
mod own_change;
mod weak_table;

pub(crate) use changes::Ticket;
pub use chunks::ContentId;
pub(crate) use chunks::{ChunkCache, ClearChunk, Tally};
pub(crate) use clock::ClockCache;
pub(crate) use nodes::NodeCache;
pub(crate) use own_change::OwnChange;
pub(crate) use weak_table::WeakTable;
