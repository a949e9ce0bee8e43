//! Letting go of an open file.

use std::sync::Arc;

use crate::volume::{OpenFile, Volume};

impl Volume {
    /// Lets go of an open file, which is what dropping it does as well.
    ///
    /// Never blocks: the backing file is closed by an operation of class close, once the operations that read it have
    /// ended. Nobody is told how that went, because a file that was only read has nothing to lose.
    pub fn release(&self, file: Arc<OpenFile>) {
        drop(file);
    }
}
