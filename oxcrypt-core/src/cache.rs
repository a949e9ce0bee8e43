//! What memory keeps of a vault: cleartext chunks, nodes, attributes, listings. Each bounded; none holds storage.

mod chunks;
mod clock;
mod nodes;
mod weak_table;

pub use chunks::ContentId;
pub(crate) use chunks::{ChunkCache, ClearChunk};
pub(crate) use clock::ClockCache;
pub(crate) use nodes::NodeCache;
pub(crate) use weak_table::WeakTable;
