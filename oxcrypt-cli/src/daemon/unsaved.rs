//! What storage has not taken, for those who may see the mount, and for the log, which names ciphertext alone.

use oxcrypt_io::volume::Unsaved;

use crate::control::Left;
use crate::output::exact_time;

/// All of it, the largest first.
pub(super) fn all_left(unsaved: &[Unsaved]) -> Vec<Left> {
    let mut all: Vec<Left> = unsaved.iter().map(left).collect();
    all.sort_by_key(|left| std::cmp::Reverse(left.bytes));
    all
}

fn left(unsaved: &Unsaved) -> Left {
    let node = &unsaved.node;
    Left {
        file: node.id().get(),
        path: (!node.is_gone()).then(|| node.path().to_string()),
        ciphertext: unsaved.path.to_string(),
        bytes: unsaved.bytes as u64,
        written: exact_time(unsaved.written).as_str().map(str::to_owned),
        error: unsaved.error.clone(),
    }
}
