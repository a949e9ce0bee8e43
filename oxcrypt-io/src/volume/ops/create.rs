//! Making entries.

use std::sync::{Arc, Weak};

use oxcrypt_core::storage::Attributes;
use oxcrypt_core::{Name, Node};

use crate::sched::plan::Hold;
use crate::volume::turns::content;
use crate::volume::value::{Value, outcome};
use crate::volume::{OpenFile, Question, Volume};

impl Volume {
    /// Creates an empty file and opens it for writing, as [`oxcrypt_core::Vault::create_with`]. `made` has the mode and the
    /// owner that it is to have, where those are not the host's usual ones; where storage cannot hold them, they are left.
    /// Its attributes are in memory then, and on a disk those of the directory, as after every change of what is in one.
    ///
    /// A file that comes too late for who asked is there all the same, and closed again.
    pub fn create(&self, dir: &Arc<Node>, name: &Name, made: Attributes) -> Question<Arc<OpenFile>> {
        let (within, name, shared): (_, _, Weak<_>) =
            (Arc::clone(dir), name.clone(), Arc::downgrade(&self.shared));
        self.shared.change(
            dir,
            vec![(content(dir), Hold::Alone)],
            move |store| {
                let file = store.vault.create_with(&within, &name, &made, store.now());
                outcome(file.inspect(|_| store.look_at_changed(&[&within])), |file| match shared.upgrade() {
                    Some(shared) => Value::File(Arc::new(OpenFile::new(file, shared))),
                    // The volume is gone, so nobody waits; this thread may close it as well as any.
                    None => Value::Nothing,
                })
            },
            |value| if let Value::File(file) = value { Some(file) } else { None },
        )
    }

    /// Creates an empty directory, as [`oxcrypt_core::Vault::make_dir_with`]; `made` as for [`create`](Self::create).
    pub fn make_dir(&self, dir: &Arc<Node>, name: &Name, made: Attributes) -> Question<Arc<Node>> {
        let (within, name) = (Arc::clone(dir), name.clone());
        self.shared.change(
            dir,
            vec![(content(dir), Hold::Alone)],
            move |store| {
                let node = store.vault.make_dir_with(&within, &name, &made, store.now());
                outcome(node.inspect(|node| store.look_at_made(&within, node)), Value::Node)
            },
            |value| if let Value::Node(node) = value { Some(node) } else { None },
        )
    }

    /// Creates a symbolic link, as [`oxcrypt_core::Vault::make_symlink_with`]; `made` as for [`create`](Self::create).
    pub fn make_symlink(
        &self,
        dir: &Arc<Node>,
        name: &Name,
        target: &str,
        made: Attributes,
    ) -> Question<Arc<Node>> {
        let (within, name) = (Arc::clone(dir), name.clone());
        let target = zeroize::Zeroizing::new(target.to_owned());
        self.shared.change(
            dir,
            vec![(content(dir), Hold::Alone)],
            move |store| {
                let node = store.vault.make_symlink_with(&within, &name, &target, &made, store.now());
                outcome(node.inspect(|node| store.look_at_made(&within, node)), Value::Node)
            },
            |value| if let Value::Node(node) = value { Some(node) } else { None },
        )
    }
}
