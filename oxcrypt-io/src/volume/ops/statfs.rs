//! How much room there is.

use oxcrypt_core::storage::Space;

use crate::volume::Volume;

impl Volume {
    /// Tells how much room the storage had when it last said so; `None` as long as it has said nothing.
    ///
    /// Always answers there and then. An answer older than [`VolumeOptions::space_age`](super::super::VolumeOptions)
    /// has storage asked again, by an operation that nobody waits for.
    #[must_use]
    pub fn statfs(&self) -> Option<Space> {
        self.shared.refresh_space();
        self.shared.space()
    }
}
