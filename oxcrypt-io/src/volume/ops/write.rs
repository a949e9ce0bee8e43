//! Writing into a file.

use std::sync::Arc;
use std::time::SystemTime;

use oxcrypt_core::Cleartext;

use crate::volume::value::{Value, outcome};
use crate::volume::{OpenFile, Question, Volume};

impl Volume {
    /// Writes `bytes` at `offset`, and tells how many were taken: not all where something fails on the way. They are in
    /// memory then, and everybody sees them; storage has them after [`flush`](Self::flush), or before.
    pub fn write(&self, file: &Arc<OpenFile>, offset: u64, bytes: &[u8]) -> Question<usize> {
        let about = Arc::clone(file);
        let mut copy = Cleartext::zeroed(bytes.len());
        copy.copy_from_slice(bytes);
        self.shared.store_change(
            file.node(),
            move |_| {
                let written = about.with(|file| file.write_at(offset, &copy, SystemTime::now()));
                outcome(written, Value::Written)
            },
            |value| if let Value::Written(len) = value { Some(len) } else { None },
        )
    }
}
