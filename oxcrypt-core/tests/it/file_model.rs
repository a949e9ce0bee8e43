//! A file under random operations holds what a `Vec<u8>` does, in memory and in storage, whatever fails on the way.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use oxcrypt_core::storage::{BlockStorage, FaultyStorage, LocalStorage, Replace, Verdict};
use oxcrypt_core::{File, Vault, VaultOptions};
use proptest::prelude::*;

use crate::lab::{self, Lab, at, bytes, content, flush};
use crate::plain::Plain;

const P: usize = 32_768;

/// What happens to a file. Handles are numbered as far as there are any.
#[derive(Clone, Debug)]
enum Step {
    Write {
        handle: usize,
        offset: usize,
        len: usize,
    },
    SetLen {
        handle: usize,
        len: usize,
    },
    Read {
        handle: usize,
        offset: usize,
        len: usize,
    },
    StoreSome,
    Flush {
        handle: usize,
    },
    Sync {
        handle: usize,
    },
    /// One handle more.
    Open,
    /// One handle less.
    Close {
        handle: usize,
    },
    /// The vault is left and opened again.
    Reopen,
    /// The file gets another name.
    Rename,
    /// The file is removed, and goes on with its handles until they are closed.
    Unlink,
    /// Another file takes its name, and it goes on with its handles.
    RenameOver,
}

/// Offsets and lengths where every error by one lives.
fn near_a_border(chunks: usize) -> impl Strategy<Value = usize> {
    (0..chunks, 0..5_usize).prop_map(|(chunks, near)| (chunks * P + near).saturating_sub(2))
}

fn step() -> impl Strategy<Value = Step> {
    let handle = 0..4_usize;
    prop_oneof![
        12 => (handle.clone(), near_a_border(5), prop_oneof![near_a_border(4), 1..300_usize])
            .prop_map(|(handle, offset, len)| Step::Write { handle, offset, len }),
        5 => (handle.clone(), prop_oneof![4 => near_a_border(5), 1 => Just(0), 1 => near_a_border(24)])
            .prop_map(|(handle, len)| Step::SetLen { handle, len }),
        1 => (handle.clone(), near_a_border(30), 1..50_usize)
            .prop_map(|(handle, offset, len)| Step::Write { handle, offset, len }),
        8 => (handle.clone(), near_a_border(6), near_a_border(4))
            .prop_map(|(handle, offset, len)| Step::Read { handle, offset, len }),
        3 => Just(Step::StoreSome),
        4 => handle.clone().prop_map(|handle| Step::Flush { handle }),
        2 => handle.clone().prop_map(|handle| Step::Sync { handle }),
        2 => Just(Step::Open),
        2 => handle.prop_map(|handle| Step::Close { handle }),
        1 => Just(Step::Reopen),
        1 => Just(Step::Rename),
        1 => Just(Step::Unlink),
        1 => Just(Step::RenameOver),
    ]
}

/// What memory may keep: no chunk, one or all, and what it may hold unsaved: next to nothing, or all.
fn memories() -> impl Strategy<Value = VaultOptions> {
    let caches = prop::sample::select(vec![0, P + 200, 64 << 20]);
    (caches, any::<bool>()).prop_map(|(cache, is_small)| {
        let options = VaultOptions::default().chunk_cache_bytes(cache);
        if is_small { options.unsaved_bytes(2 * P, 3 * P) } else { options }
    })
}

fn labs() -> impl Strategy<Value = Lab> {
    prop::sample::select(vec![Lab::GCM, Lab::CTRMAC])
}

/// A vault with a file that is being worked on, and what should be in it.
struct World {
    lab: Lab,
    storage: Arc<dyn BlockStorage>,
    /// The same, where it fails now and then.
    faulty: Option<Arc<FaultyStorage>>,
    options: VaultOptions,
    vault: Vault,
    handles: Vec<File>,
    /// What a handle reads; what the name leads to, while there is one.
    model: Vec<u8>,
    /// Its name; `None` when it was removed.
    path: Option<String>,
    /// How many names it has had, and how many writes there were.
    names: usize,
    writes: usize,
}

impl World {
    fn new(lab: Lab, storage: Arc<dyn BlockStorage>, options: VaultOptions) -> Self {
        let vault = crate::fixtures::unlock_with(Arc::clone(&storage), &options);
        let mut world = Self {
            lab,
            storage,
            faulty: None,
            options,
            vault,
            handles: Vec::new(),
            model: Vec::new(),
            path: None,
            names: 0,
            writes: 0,
        };
        world.create();
        world
    }

    fn next_name(&mut self) -> String {
        self.names += 1;
        // Every other name is a long one.
        format!("{}{}", self.names, "n".repeat(self.names % 2 * 200))
    }

    fn create(&mut self) {
        let path = self.next_name();
        self.handles = vec![lab::create(&self.vault, &path).unwrap()];
        self.path = Some(path);
        self.model.clear();
    }

    fn handle(&self, number: usize) -> &File {
        &self.handles[number % self.handles.len()]
    }

    /// Does something until it is done. After a failure storage works again, and everything is stored before the next
    /// try: what could not be stored is reported by each later write until then.
    fn again(&self, step: &Step, work: impl Fn() -> oxcrypt_core::Result<()>) {
        let mut failures = 0;
        while let Err(error) = work() {
            failures += 1;
            let Some(faulty) = &self.faulty else { panic!("{step:?}: {error}") };
            if matches!(step, Step::Sync { .. })
                && error.to_string().starts_with("an earlier sync has failed")
            {
                // It is never called durable any more; nothing of it is lost for that.
                return;
            }
            assert!(failures < 10, "{step:?}: {error}");
            faulty.on_call(|_| Verdict::Pass);
            flush(self.handle(0)).unwrap();
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Write { handle, offset, len } => {
                self.writes += 1;
                let data = bytes(len, self.writes);
                self.again(step, || lab::write(self.handle(handle), offset as u64, &data));
                if !data.is_empty() {
                    let end = offset + data.len();
                    self.model.resize(self.model.len().max(end), 0);
                    self.model[offset..end].copy_from_slice(&data);
                }
            }
            Step::SetLen { handle, len } => {
                self.again(step, || self.handle(handle).set_len(len as u64, at(2)));
                self.model.resize(len, 0);
            }
            Step::Read { handle, offset, len } => {
                let mut buf = vec![0xee; len];
                let read = std::cell::Cell::new(0);
                let buf_cell = std::cell::RefCell::new(&mut buf);
                self.again(step, || {
                    read.set(self.handle(handle).read_at(offset as u64, &mut buf_cell.borrow_mut())?);
                    Ok(())
                });
                let end = self.model.len();
                assert!(
                    buf[..read.get()] == self.model[offset.min(end)..(offset + len).min(end)],
                    "{step:?} of {end} bytes: {} bytes",
                    read.get()
                );
            }
            Step::StoreSome => self.again(step, || self.handle(0).store_some().map(|_| ())),
            Step::Flush { handle } => {
                self.again(step, || flush(self.handle(handle)));
                self.compare_storage();
            }
            Step::Sync { handle } => {
                self.again(step, || lab::sync(self.handle(handle)));
                self.compare_storage();
            }
            Step::Open => {
                if let Some(path) = &self.path
                    && self.handles.len() < 4
                {
                    self.handles.push(lab::open_for_writing(&self.vault, path).unwrap());
                }
            }
            Step::Close { handle } => {
                let handle = handle % self.handles.len();
                drop(self.handles.swap_remove(handle));
                self.after_closing();
            }
            Step::Reopen => {
                self.again(step, || flush(self.handle(0)));
                self.handles.clear();
                self.vault = crate::fixtures::unlock_with(Arc::clone(&self.storage), &self.options);
                self.after_closing();
            }
            Step::Rename => {
                if let Some(old) = self.path.take() {
                    let new = self.next_name();
                    lab::rename(&self.vault, &old, &new, Replace::Never).unwrap();
                    self.path = Some(new);
                }
            }
            Step::Unlink => {
                if let Some(path) = self.path.take() {
                    lab::remove(&self.vault, &path).unwrap();
                }
            }
            Step::RenameOver => {
                if let Some(path) = self.path.take() {
                    let other = self.next_name();
                    drop(lab::put(&self.vault, &other, b"another"));
                    lab::rename(&self.vault, &other, &path, Replace::Always).unwrap();
                    assert_eq!(lab::read(&self.vault, &path).unwrap(), b"another");
                }
            }
        }
        for handle in &self.handles {
            assert_eq!(handle.len(), self.model.len() as u64, "after {step:?}");
        }
    }

    /// A file without handles lives on under its name, if it has one.
    fn after_closing(&mut self) {
        if self.handles.is_empty() {
            match &self.path {
                Some(path) => self.handles.push(lab::open_for_writing(&self.vault, path).unwrap()),
                None => self.create(),
            }
        }
    }

    /// What a flush has left in storage is what handles read, in the shortest form.
    fn compare_storage(&self) {
        if let Some(faulty) = &self.faulty {
            faulty.on_call(|_| Verdict::Pass);
        }
        let Some(path) = &self.path else { return };
        let report = self.lab.check(&*self.storage);
        assert_eq!(report.faults(), Vec::<&crate::checker::Finding>::new());
        let seen = report.file(path).unwrap();
        assert!(seen.bytes().as_ref() == Some(&self.model), "{seen:?} for {} bytes", self.model.len());
        assert_eq!(seen.stored, self.lab.combo.layout().ciphertext_len(self.model.len() as u64));
    }

    /// Stores everything and reads it with a vault that knows nothing.
    fn end(&self) {
        flush(self.handle(0)).unwrap();
        assert_eq!(self.vault.unsaved().len(), 0);
        assert!(content(self.handle(0)).unwrap() == self.model);
        self.compare_storage();
        let fresh = crate::fixtures::unlock_with(Arc::clone(&self.storage), &VaultOptions::default());
        if let Some(path) = &self.path {
            assert!(lab::read(&fresh, path).unwrap() == self.model);
        }
    }
}

proptest! {
    #![proptest_config(lab::cases(48))]

    #[test]
    fn a_file_is_a_row_of_bytes(
        lab in labs(),
        memory in memories(),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut world = World::new(lab, Arc::new(lab.empty()), memory);
        for step in &steps {
            world.step(step);
        }
        world.end();
    }

    #[test]
    fn a_file_in_a_store_that_cannot_tell_files_apart_is_a_row_of_bytes(
        lab in labs(),
        memory in memories(),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let inner = Arc::new(lab.empty());
        let storage = Plain { inner, tells_files_apart: false, always_replaces: true };
        let mut world = World::new(lab, Arc::new(storage), memory);
        for step in &steps {
            world.step(step);
        }
        world.end();
    }

    /// Each failure is one of the calls of a step; what failed is tried again.
    #[test]
    fn nothing_is_lost_by_storage_that_fails_for_a_while(
        lab in labs(),
        memory in memories(),
        steps in prop::collection::vec((step(), prop::option::of((0..6_u64, 1..4_u64, 0..3_usize))), 1..40),
    ) {
        let storage = Arc::new(FaultyStorage::new(&lab.empty()));
        let mut world = World::new(lab, Arc::clone(&storage) as _, memory);
        world.faulty = Some(Arc::clone(&storage));
        for (step, fault) in &steps {
            // Operations on names have their own model; what they do when they fail is its business.
            let is_of_content = matches!(
                step,
                Step::Write { .. } | Step::SetLen { .. } | Step::Read { .. } | Step::StoreSome
                    | Step::Flush { .. } | Step::Sync { .. }
            );
            if let Some((after, failures, how)) = *fault && is_of_content {
                let left = AtomicU64::new(after + failures);
                storage.on_call(move |_| {
                    let left = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
                    match left {
                        Ok(left) if left <= failures => match how {
                            0 => Verdict::Fail(io::ErrorKind::StorageFull),
                            1 => Verdict::FailAfter(usize::MAX, io::ErrorKind::TimedOut),
                            _ => Verdict::FailAfter(5_000, io::ErrorKind::Other),
                        },
                        _ => Verdict::Pass,
                    }
                });
            }
            world.step(step);
            storage.on_call(|_| Verdict::Pass);
        }
        world.end();
    }
}

proptest! {
    // Calls of the host and not of memory: fewer.
    #![proptest_config(lab::cases(12))]

    #[test]
    fn a_file_in_a_folder_of_the_host_is_a_row_of_bytes(
        lab in labs(),
        memory in memories(),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let storage = LocalStorage::open(dir.path()).unwrap();
        drop(lab.make(&storage));
        let mut world = World::new(lab, Arc::new(storage), memory);
        for step in &steps {
            world.step(step);
        }
        world.end();
    }
}
