//! What it costs not to wait: `cargo bench -p oxcrypt-io --bench costs`.
//!
//! A read that memory answers, beside the copy alone; a miss that goes through a lane, beside a round trip between two
//! threads by channels, which is the least that it could cost; and what ten thousand who wait take of memory (Linux).

use std::hint::black_box;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use oxcrypt_core::storage::{BlockStorage, MemoryStorage};
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::unlock::{Locked, Passphrase};
use oxcrypt_core::{DirId, Name, VaultOptions};
use oxcrypt_io::clock::{Clock, Deadline, SystemClock};
use oxcrypt_io::sched::plan::{Caller, Class, Limits, ObjectId, Outcome, Part, Request};
use oxcrypt_io::sched::{Calls, Job, Reply, Scheduler};
use oxcrypt_io::volume::{OpenFile, Volume, VolumeOptions};

/// A block of the volume.
const LEN: usize = 128 << 10;
/// How many wait.
const WAITERS: u64 = 10_000;

fn opened() -> (Volume, Arc<OpenFile>) {
    let storage = Arc::new(MemoryStorage::default());
    let builder = VaultBuilder::create(&*storage, Recipe::default()).expect("a vault");
    builder.file(&DirId::root(), "file", &vec![7; LEN]).expect("a file");
    let locked = Locked::read(storage as Arc<dyn BlockStorage>).expect("a vault");
    let vault = locked.unlock(&Passphrase::new("passphrase"), &VaultOptions::default()).expect("a vault");
    let volume = Volume::start(Arc::new(vault), VolumeOptions::default(), Arc::new(SystemClock::new()));
    let volume = volume.expect("threads");
    let name = Name::new("file").expect("a name");
    let node = volume.lookup(&volume.vault().root(), &name).wait().expect("a node");
    let file = volume.open(&node).wait().expect("a file");
    (volume, file)
}

fn hits(criterion: &mut Criterion) {
    let (volume, file) = opened();
    for len in [4 << 10, LEN] {
        let mut group = criterion.benchmark_group(format!("{} KiB that memory has", len >> 10));
        group.throughput(Throughput::Bytes(len as u64));
        volume.read(&file, 0, len).wait().expect("bytes");
        group.bench_function("volume", |bencher| {
            bencher.iter(|| volume.read(&file, 0, len).wait().expect("bytes"));
        });
        let bytes = vec![7_u8; len];
        group.bench_function("copy alone", |bencher| bencher.iter(|| black_box(&bytes).clone()));
        group.finish();
    }
}

fn misses(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("round trip");
    let (scheduler, clock) = scheduler();
    let mut number = 0;
    group.bench_function("lane", |bencher| {
        bencher.iter(|| {
            number += 1;
            let job: Job<u64> = Box::new(|| Outcome::Done(1));
            scheduler.ask(|reply| request(&*clock, number, reply, job)).wait()
        });
    });
    let (ask, asked) = mpsc::channel::<u64>();
    let (answer, answered) = mpsc::channel();
    let other = thread::spawn(move || asked.iter().try_for_each(|number| answer.send(number)));
    group.bench_function("channel", |bencher| {
        bencher.iter(|| {
            ask.send(1).expect("somebody who listens");
            answered.recv().expect("an answer")
        });
    });
    drop(ask);
    other.join().expect("no panic").expect("somebody who listens");
    group.finish();
}

/// No time, and so nothing for criterion: it is printed.
fn waiters(_: &mut Criterion) {
    for files in [10, WAITERS] {
        let (scheduler, clock) = scheduler();
        let (open, gate) = mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let before = resident();
        for number in 0..WAITERS {
            let gate = Arc::clone(&gate);
            let job: Job<u64> = Box::new(move || {
                let _ends_with_the_sender = gate.lock().map(|gate| gate.recv());
                Outcome::Done(1)
            });
            scheduler.submit(request(&*clock, number % files, Box::new(|_| ()), job));
        }
        let each = resident().saturating_sub(before) / WAITERS;
        println!("{WAITERS} wait for {files} files: {each} bytes each");
        drop(open);
    }
}

fn scheduler() -> (Scheduler<u64, u64>, Arc<dyn Clock>) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    (Scheduler::start(Limits::default(), Arc::clone(&clock)).expect("threads"), clock)
}

fn request(clock: &dyn Clock, object: u64, reply: Reply<u64>, job: Job<u64>) -> Request<Calls<u64, u64>> {
    Request {
        class: Class::Demand,
        object: ObjectId(object),
        parts: vec![Part { key: Some(object), job, pages: 0..0 }],
        reply,
        deadline: Deadline::at(clock.now() + Duration::from_mins(10)),
        caller: Caller::NOBODY,
        stale: false,
        turns: Vec::new(),
        not_before: None,
        kernel: None,
    }
}

/// Bytes of memory that this process has in use; 0 where the system does not tell.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

criterion_group!(costs, waiters, hits, misses);
criterion_main!(costs);
