//! Faults that were found by reading the code: each had a call of the library do what it must not.

use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use oxcrypt_core::storage::{FaultyStorage, Gate, MemoryStorage, Method, Verdict};
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::{DirId, Name, VaultOptions};

use crate::fixtures::unlock_with;

/// No test waits longer for what is to happen at once.
const PATIENCE: Duration = Duration::from_mins(1);

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

#[test]
fn regression_a_change_that_hangs_stops_no_lookup_elsewhere() {
    const HANGING: usize = 8;
    const FILES: usize = 600;
    let storage = MemoryStorage::default();
    let builder = VaultBuilder::create(&storage, Recipe::default()).unwrap();
    let here = builder.directory(&DirId::root(), "here").unwrap();
    (0..FILES).for_each(|number| drop(builder.file(&here, &number.to_string(), b"").unwrap()));
    for number in 0..HANGING {
        builder.directory(&DirId::root(), &number.to_string()).unwrap();
    }
    drop(builder);
    let storage = Arc::new(FaultyStorage::new(&storage));
    // Every lookup is to ask storage.
    let options = VaultOptions::default().max_age(Duration::ZERO);
    let vault = unlock_with(Arc::clone(&storage) as _, &options);
    let (root, now) = (vault.root(), Instant::now());
    let here = vault.lookup(&root, &name("here"), now).unwrap();
    let dirs: Vec<_> =
        (0..HANGING).map(|number| vault.lookup(&root, &name(&number.to_string()), now).unwrap()).collect();
    let gate = Arc::new(Gate::default());
    let hang = Arc::clone(&gate);
    let new: Vec<_> = dirs.iter().map(|dir| vault.content_path(dir)).collect();
    storage.on_call(move |call| match call.method {
        Method::Open if call.path.parent().is_some_and(|dir| new.contains(&dir)) => {
            Verdict::Hold(Arc::clone(&hang))
        }
        _ => Verdict::Pass,
    });
    thread::scope(|scope| {
        for dir in &dirs {
            scope.spawn(|| vault.create(dir, &name("new"), now).unwrap());
        }
        gate.wait_for(HANGING);
        let (done, all_done) = mpsc::channel();
        scope.spawn(|| {
            let done = done;
            for number in 0..FILES {
                vault.lookup(&here, &name(&number.to_string()), now).unwrap();
            }
            done.send(()).unwrap();
        });
        let result = all_done.recv_timeout(PATIENCE);
        gate.open();
        assert_eq!(result, Ok(()), "some lookup never came to an end");
    });
}
