//! What a volume can be asked, one file for each operation: memory first, and what storage is to be asked else.

mod attributes;
mod create;
pub(super) mod entries;
mod list;
mod lookup;
mod open;
mod perform;
pub(super) mod read;
mod readlink;
mod release;
mod remove;
mod rename;
mod set_attributes;
mod set_len;
mod statfs;
mod store;
pub(super) mod write;
