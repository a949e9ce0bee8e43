//! Things that happen at the same time, each held at the very moment at which it could go wrong.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use oxcrypt_core::storage::{Call, FaultyStorage, Gate, Method, Replace, Verdict};
use oxcrypt_core::{ErrorKind, File, Vault, VaultOptions};

use crate::lab::{self, Lab, bytes, content, find, flush, name};

mod conflict;
mod stress;

const P: usize = 32_768;

/// Nothing that is asked here takes long: after this it is stuck.
const LIMIT: Duration = Duration::from_secs(30);

/// Holds the first call that `is_it` tells, as `verdict` says, and lets all others pass.
fn hold_first(
    storage: &FaultyStorage,
    is_it: impl Fn(&Call) -> bool + Send + Sync + 'static,
    verdict: impl Fn(Arc<Gate>) -> Verdict + Send + Sync + 'static,
) -> Arc<Gate> {
    let gate = Arc::new(Gate::default());
    let (held, is_unused) = (Arc::clone(&gate), AtomicBool::new(true));
    storage.on_call(move |call| {
        if is_it(call) && is_unused.swap(false, Ordering::Relaxed) {
            verdict(Arc::clone(&held))
        } else {
            Verdict::Pass
        }
    });
    gate
}

/// Holds a call before it is made.
fn before(gate: Arc<Gate>) -> Verdict {
    Verdict::Hold(gate)
}

/// Holds a call when it is made, with an answer that may be old when it arrives.
fn after(gate: Arc<Gate>) -> Verdict {
    Verdict::HoldAfter(usize::MAX, gate)
}

fn is_method(method: Method) -> impl Fn(&Call) -> bool + Send + Sync {
    move |call| call.method == method
}

/// A vault with a file of three chunks, of which memory has nothing.
fn scene(options: &VaultOptions) -> (Arc<FaultyStorage>, Vault, Vec<u8>) {
    let old = bytes(3 * P, 0);
    let storage = Lab::GCM.filled(|vault| drop(lab::put(vault, "file", &old)));
    let vault = lab::open_with(&storage, options);
    (storage, vault, old)
}

fn options_of_caches() -> [VaultOptions; 3] {
    [0, P + 200, 64 << 20].map(|bytes| VaultOptions::default().chunk_cache_bytes(bytes))
}

/// Runs `work` on a thread, and says what came of it within the limit.
fn within_limit<T: Send>(work: impl FnOnce() -> T + Send, meanwhile: impl FnOnce()) -> T {
    thread::scope(|scope| {
        let (done, result) = mpsc::channel();
        scope.spawn(move || done.send(work()));
        meanwhile();
        result.recv_timeout(LIMIT).expect("it is stuck")
    })
}

/// A read is held before storage answers, the chunk is half written then, and the read goes on.
///
/// It reads one half of the old chunk and one half of the new one, which does not authenticate. The test fails where
/// `ResidentFile::begin_job` strikes no flight (the loop over `state.flights` taken out): the read says `Damaged`.
#[test]
fn a_read_that_overlaps_a_rewrite_is_not_damage() {
    for options in options_of_caches() {
        for first in [0, 1, 2] {
            let (storage, vault, old) = scene(&options);
            let file = lab::open_for_writing(&vault, "file").unwrap();
            let new = bytes(P, 1);
            let mut model = old.clone();
            model[first * P..][..P].copy_from_slice(&new);
            let reading = Arc::new(Gate::default());
            let writing = Arc::new(Gate::default());
            let (held_read, held_write) = (Arc::clone(&reading), Arc::clone(&writing));
            let is_first = AtomicBool::new(true);
            storage.on_call(move |call| match call.method {
                Method::ReadAt if is_first.swap(false, Ordering::Relaxed) => {
                    Verdict::Hold(Arc::clone(&held_read))
                }
                Method::WriteAt => Verdict::HoldAfter(P / 2, Arc::clone(&held_write)),
                _ => Verdict::Pass,
            });
            thread::scope(|scope| {
                let reader = scope.spawn(|| content(&file));
                reading.wait_for(1);
                lab::write(&file, (first * P) as u64, &new).unwrap();
                let writer = scope.spawn(|| flush(&file));
                // The header is read first where nobody has read it yet.
                writing.wait_for(1);
                reading.open();
                let read = reader.join().unwrap();
                writing.open();
                writer.join().unwrap().unwrap();
                let read = read.unwrap();
                assert!(read == model || read == old, "one of the two, and not a mixture");
            });
            assert!(content(&file).unwrap() == model);
        }
    }
}

/// Storage has answered a read, the chunk is written and stored, and only then the answer arrives.
///
/// Where flights are not struck, the old chunk takes the place of the new one in the cache.
#[test]
fn an_old_answer_is_not_kept() {
    for options in options_of_caches() {
        let (storage, vault, mut model) = scene(&options);
        let file = lab::open_for_writing(&vault, "file").unwrap();
        let gate = hold_first(&storage, is_method(Method::ReadAt), after);
        let old = model.clone();
        model[P..][..P].fill(7);
        let read = within_limit(
            || content(&file),
            || {
                gate.wait_for(1);
                lab::write(&file, P as u64, &vec![7; P]).unwrap();
                flush(&file).unwrap();
                gate.open();
            },
        );
        let read = read.unwrap();
        assert!(read == old || read == model);
        for _ in 0..2 {
            assert!(content(&file).unwrap() == model, "the old chunk is not remembered");
        }
    }
}

/// As before, and the file is cut and grows again: what was behind the cut is not read any more.
#[test]
fn an_old_answer_is_not_kept_behind_a_cut() {
    for options in options_of_caches() {
        let (storage, vault, old) = scene(&options);
        let file = lab::open_for_writing(&vault, "file").unwrap();
        let gate = hold_first(&storage, is_method(Method::ReadAt), after);
        let mut model = old[..P + 5].to_vec();
        model.resize(3 * P, 0);
        within_limit(
            || content(&file).map(|_| ()),
            || {
                gate.wait_for(1);
                file.set_len(P as u64 + 5, lab::at(1)).unwrap();
                file.set_len(3 * P as u64, lab::at(1)).unwrap();
                flush(&file).unwrap();
                gate.open();
            },
        )
        .unwrap();
        assert!(content(&file).unwrap() == model);
    }
}

/// A part of a chunk is being loaded to be changed, while another part of it is written and stored.
#[test]
fn two_writers_of_one_chunk_lose_nothing() {
    for options in options_of_caches() {
        let (storage, vault, mut model) = scene(&options);
        let file = lab::open_for_writing(&vault, "file").unwrap();
        let gate = hold_first(&storage, is_method(Method::ReadAt), after);
        within_limit(
            || lab::write(&file, P as u64 + 10, &[1; 10]),
            || {
                gate.wait_for(1);
                lab::write(&file, P as u64 + 100, &[2; 10]).unwrap();
                flush(&file).unwrap();
                gate.open();
            },
        )
        .unwrap();
        model[P + 10..][..10].fill(1);
        model[P + 100..][..10].fill(2);
        flush(&file).unwrap();
        assert!(content(&file).unwrap() == model);
        assert!(lab::read(&lab::open(&storage), "file").unwrap() == model);
    }
}

#[test]
fn who_writes_does_not_wait_for_a_flush_and_what_was_written_meanwhile_is_stored_by_the_next() {
    let (storage, vault, mut model) = scene(&VaultOptions::default());
    let file = lab::open_for_writing(&vault, "file").unwrap();
    lab::write(&file, 0, &vec![1; P]).unwrap();
    let gate = hold_first(&storage, is_method(Method::WriteAt), before);
    model[..P].fill(1);
    model[5..10].fill(2);
    model.extend([3; 10]);
    within_limit(
        || flush(&file),
        || {
            gate.wait_for(1);
            // The chunk that is being stored, and one behind the end.
            lab::write(&file, 5, &[2; 5]).unwrap();
            lab::write(&file, 3 * P as u64, &[3; 10]).unwrap();
            let mut buf = [0; 20];
            assert_eq!(file.read_at(0, &mut buf).unwrap(), 20);
            assert_eq!(buf[..12], [1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 1, 1]);
            gate.open();
        },
    )
    .unwrap();
    flush(&file).unwrap();
    assert_eq!(vault.unsaved().len(), 0);
    assert!(lab::read(&lab::open(&storage), "file").unwrap() == model);
}

#[test]
fn a_cache_of_one_chunk_lets_everybody_come_to_an_end() {
    let options = VaultOptions::default().chunk_cache_bytes(P + 200).unsaved_bytes(P, P);
    let (_storage, vault, old) = scene(&options);
    let file = lab::open_for_writing(&vault, "file").unwrap();
    let work = |number: usize| {
        for round in 0..30 {
            let at = (number * 1_000 + round * 17) as u64;
            lab::write(&file, at, &old[number * 1_000 + round * 17..][..100]).unwrap();
            lab::write(&file, 2 * P as u64 + at, &old[2 * P + number * 1_000 + round * 17..][..100]).unwrap();
            assert!(content(&file).unwrap() == old);
            if round % 5 == 0 {
                flush(&file).unwrap();
            }
        }
    };
    within_limit(
        || thread::scope(|scope| (0..4).for_each(|number| drop(scope.spawn(move || work(number))))),
        || {},
    );
}

/// A lookup has its answer from storage, and before that arrives the entry is moved.
///
/// Where `Changes::unless_changed` takes every answer, it makes a second node of the file under the old name.
#[test]
fn a_lookup_that_races_a_rename_makes_no_second_node() {
    for method in [Method::Metadata, Method::List] {
        for is_shortened in [false, true] {
            let (storage, vault, _) = scene(&VaultOptions::default().max_age(Duration::ZERO));
            let old = if is_shortened { "l".repeat(200) } else { "file".to_owned() };
            if is_shortened {
                lab::rename(&vault, "file", &old, Replace::Never).unwrap();
            }
            let node = find(&vault, &old).unwrap();
            let gate = hold_first(&storage, is_method(method), after);
            let looked = within_limit(
                || match method {
                    Method::List => {
                        let listing = vault.list(&vault.root(), Instant::now()).unwrap();
                        listing
                            .find(&name(&old))
                            .map(|found| vault.node(&vault.root(), found, Instant::now()))
                    }
                    _ => Some(find(&vault, &old)),
                },
                || {
                    if method == Method::Metadata && is_shortened {
                        // Nothing asks for the metadata of a folder.
                        return;
                    }
                    gate.wait_for(1);
                    lab::rename(&vault, &old, "moved", Replace::Never).unwrap();
                    gate.open();
                },
            );
            if method == Method::Metadata && is_shortened {
                continue;
            }
            match looked {
                Some(Ok(looked)) => assert!(Arc::ptr_eq(&looked, &node)),
                Some(Err(error)) => assert_eq!(error.kind(), ErrorKind::NotFound),
                None => {}
            }
            assert!(Arc::ptr_eq(&find(&vault, "moved").unwrap(), &node));
            assert_eq!(find(&vault, &old).unwrap_err().kind(), ErrorKind::NotFound);
        }
    }
}

#[test]
fn a_lookup_that_races_a_replacement_does_not_bring_back_what_was_replaced() {
    let (storage, vault, old) = scene(&VaultOptions::default().max_age(Duration::ZERO));
    drop(lab::put(&vault, "new", b"new"));
    let (replaced, moved) = (find(&vault, "file").unwrap(), find(&vault, "new").unwrap());
    let gate = hold_first(&storage, is_method(Method::Metadata), after);
    let looked = within_limit(
        || find(&vault, "file"),
        || {
            gate.wait_for(1);
            lab::rename(&vault, "new", "file", Replace::Always).unwrap();
            gate.open();
        },
    )
    .unwrap();
    assert!(Arc::ptr_eq(&looked, &replaced) || Arc::ptr_eq(&looked, &moved));
    assert!(Arc::ptr_eq(&find(&vault, "file").unwrap(), &moved) && replaced.is_gone());
    assert_eq!(vault.attributes(&moved, Instant::now()).unwrap().len, 3, "not {}", old.len());
    assert_eq!(lab::read(&vault, "file").unwrap(), b"new");
}

#[test]
fn a_lookup_that_races_a_creation_finds_that_file_or_none() {
    for method in [Method::Metadata, Method::List] {
        let (storage, vault, _) = scene(&VaultOptions::default());
        let gate = hold_first(&storage, is_method(method), after);
        let mut made = None;
        let looked = within_limit(
            || find(&vault, "new"),
            || {
                gate.wait_for(1);
                made = Some(lab::put(&vault, "new", b"content"));
                gate.open();
            },
        );
        let node = Arc::clone(made.as_ref().unwrap().node());
        match looked {
            Ok(looked) => assert!(Arc::ptr_eq(&looked, &node)),
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound),
        }
        assert!(
            Arc::ptr_eq(&find(&vault, "new").unwrap(), &node),
            "{method:?}: that there is none is not believed"
        );
        assert!(vault.list(&vault.root(), Instant::now()).unwrap().find(&name("new")).is_some());
        assert_eq!(vault.attributes(&node, Instant::now()).unwrap().len, 7);
    }
}

#[test]
fn a_listing_that_races_changes_is_as_new_as_they_are() {
    let (storage, vault, _) = scene(&VaultOptions::default());
    let gate = hold_first(&storage, is_method(Method::List), after);
    within_limit(
        || vault.list(&vault.root(), Instant::now()).map(|_| ()),
        || {
            gate.wait_for(1);
            lab::rename(&vault, "file", "moved", Replace::Never).unwrap();
            lab::make_dir(&vault, "dir").unwrap();
            gate.open();
        },
    )
    .unwrap();
    let listing = vault.list(&vault.root(), Instant::now()).unwrap();
    let shown: Vec<_> = listing.entries().iter().map(oxcrypt_core::Entry::shown).collect();
    assert_eq!(shown, ["dir", "moved"]);
}

/// A question about a file.
type Ask<'a> = &'a (dyn Fn(&Vault) -> oxcrypt_core::Result<()> + Sync);

/// What storage told of a file before it was written does not count after that.
#[test]
fn an_old_length_is_not_believed() {
    let attributes =
        |vault: &Vault| vault.attributes(&find(vault, "file").unwrap(), Instant::now()).map(|_| ());
    let opened = |vault: &Vault| vault.open(&find(vault, "file").unwrap(), Instant::now()).map(|_| ());
    let looked = |vault: &Vault| find(vault, "file").map(|_| ());
    let listed = |vault: &Vault| {
        let (root, now) = (vault.root(), Instant::now());
        vault.list(&root, now).map(|listing| drop(vault.entries(&root, listing.entries(), now)))
    };
    let asks: [(Ask<'_>, Method); 4] = [
        (&attributes, Method::Metadata),
        (&opened, Method::Open),
        (&looked, Method::Metadata),
        (&listed, Method::Metadata),
    ];
    for (ask, method) in asks {
        for is_longer in [true, false] {
            let (storage, vault, mut model) = scene(&VaultOptions::default().max_age(Duration::ZERO));
            let file = lab::open_for_writing(&vault, "file").unwrap();
            let gate = hold_first(&storage, is_method(method), after);
            if is_longer {
                model.extend([9; 100]);
            } else {
                model.truncate(100);
            }
            within_limit(
                || ask(&vault),
                || {
                    gate.wait_for(1);
                    if is_longer {
                        lab::write(&file, 3 * P as u64, &[9; 100]).unwrap();
                    } else {
                        file.set_len(100, lab::at(1)).unwrap();
                    }
                    flush(&file).unwrap();
                    gate.open();
                },
            )
            .unwrap();
            assert_eq!(file.len(), model.len() as u64, "{method:?}");
            assert_eq!(vault.attributes(file.node(), Instant::now()).unwrap().len, model.len() as u64);
            assert!(content(&file).unwrap() == model);
            assert!(lab::read(&vault, "file").unwrap() == model);
        }
    }
}

/// A file is opened by a path that it loses before the storage has looked.
#[test]
fn a_file_is_opened_where_it_is_and_not_where_it_was() {
    let (storage, vault, old) = scene(&VaultOptions::default());
    let node = find(&vault, "file").unwrap();
    let gate = hold_first(&storage, is_method(Method::Open), before);
    let moved = AtomicBool::new(false);
    thread::scope(|scope| {
        let opened = scope.spawn(|| vault.open(&node, Instant::now()));
        gate.wait_for(1);
        // It waits until the file is open: nothing takes the file from under whoever opens it.
        let rename = scope.spawn(|| {
            lab::rename(&vault, "file", "moved", Replace::Never).unwrap();
            moved.store(true, Ordering::SeqCst);
        });
        assert!(!moved.load(Ordering::SeqCst));
        gate.open();
        let file: File = opened.join().unwrap().unwrap();
        assert!(content(&file).unwrap() == old);
        rename.join().unwrap();
    });
    assert!(Arc::ptr_eq(&find(&vault, "moved").unwrap(), &node));
}

/// Two directories of different parents are each moved into the other; the first has been judged possible and is held.
///
/// Where renames from one directory to another do not take turns, the second is made meanwhile, and both are out of
/// reach for good.
#[test]
fn of_two_crossing_renames_the_second_waits_for_the_first() {
    let storage = Lab::GCM.filled(|vault| {
        for dir in ["p", "q", "p/a", "q/b"] {
            lab::make_dir(vault, dir).unwrap();
        }
    });
    let vault = lab::open(&storage);
    let gate = hold_first(&storage, is_method(Method::Rename), before);
    let move_into = |from: &str, to: &str| lab::rename(&vault, from, to, Replace::Never);
    thread::scope(|scope| {
        let first = scope.spawn(|| move_into("p/a", "q/b/inside"));
        gate.wait_for(1);
        let (done, second) = mpsc::channel();
        scope.spawn(move || done.send(move_into("q/b", "p/a/inside")));
        // Time for what must not happen; nothing else waits for it.
        let overtook = second.recv_timeout(Duration::from_millis(100));
        gate.open();
        first.join().unwrap().unwrap();
        assert!(overtook.is_err(), "it did not wait");
        assert!(second.recv_timeout(LIMIT).unwrap().is_err(), "what it was to be moved into is below it");
    });
    let report = Lab::GCM.check(&*storage);
    assert_eq!(report.faults(), Vec::<&crate::checker::Finding>::new());
    assert_eq!(report.tree.len(), 4);
}

/// Storage tells a length, we store more of the file, and only then the answer comes.
#[test]
fn regression_a_length_from_before_we_stored_is_not_told_after() {
    let storage = Lab::GCM.filled(|vault| drop(lab::put(vault, "file", &bytes(100, 0))));
    let vault = lab::open_with(&storage, &VaultOptions::default().max_age(Duration::ZERO));
    let file = lab::open_for_writing(&vault, "file").unwrap();
    lab::write(&file, 100, &bytes(200, 0)).unwrap();
    let gate = hold_first(&storage, is_method(Method::Metadata), after);
    thread::scope(|scope| {
        let told = scope.spawn(|| vault.attributes(file.node(), Instant::now()));
        gate.wait_for(1);
        flush(&file).unwrap();
        gate.open();
        assert_eq!(told.join().unwrap().unwrap().len, 300);
    });
}
