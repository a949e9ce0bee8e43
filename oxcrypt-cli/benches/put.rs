//! The whole program against `cp`: both read from the page cache and write to memory, in turn, in one run.
//!
//! `cargo bench -p oxcrypt-cli --bench put [-- ROUNDS]`. It wants some 5 GiB of memory and disk; `OXCRYPT_BENCH_DIR` says
//! where the sources go, `OXCRYPT_BENCH_DEST` where vaults and copies go (`/dev/shm` by default), and
//! `OXCRYPT_BENCH_SCALE=10` makes everything ten times smaller. What `put` reports done is synced, so `cp` is followed by
//! `sync`, which in memory costs neither of them anything.
#![expect(clippy::unwrap_used, reason = "a bench that fails is to panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use oxcrypt_core::crypto::CipherCombo;
use oxcrypt_core::storage::LocalStorage;
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use tempfile::TempDir;

/// Files of one size, in folders.
struct Load {
    name: &'static str,
    combo: CipherCombo,
    folders: usize,
    files: usize,
    len: usize,
}

/// How long a run took, and what memory it had at most, in MiB.
#[derive(Clone, Copy)]
struct Cost {
    seconds: f64,
    peak: f64,
}

fn main() {
    let rounds = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(5);
    let scale = std::env::var("OXCRYPT_BENCH_SCALE").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let loads = [
        Load {
            name: "large, SIV_GCM",
            combo: CipherCombo::SivGcm,
            folders: 1,
            files: 8,
            len: (256 << 20) / scale,
        },
        Load {
            name: "large, SIV_CTRMAC",
            combo: CipherCombo::SivCtrMac,
            folders: 1,
            files: 8,
            len: (256 << 20) / scale,
        },
        Load {
            name: "small, SIV_GCM",
            combo: CipherCombo::SivGcm,
            folders: 20,
            files: 20_000 / scale,
            len: 4 << 10,
        },
    ];
    println!(
        "{:<20}{:>10}{:>12}{:>12}{:>12}{:>12}   ratios of the rounds",
        "load", "MiB", "cp s", "oxcrypt s", "speed", "peak MiB"
    );
    for load in loads {
        let sources = Sources::make(&load);
        let mut pairs: Vec<(Cost, Cost)> = (0..=rounds).map(|_| (sources.cp(), sources.put())).collect();
        // The first round fills the page cache.
        pairs.remove(0);
        let ratios: Vec<f64> = pairs.iter().map(|(cp, ours)| cp.seconds / ours.seconds).collect();
        println!(
            "{:<20}{:>10}{:>12.3}{:>12.3}{:>10.2} x{:>12.0}   {}",
            load.name,
            (load.files * load.len) >> 20,
            median(pairs.iter().map(|pair| pair.0.seconds)),
            median(pairs.iter().map(|pair| pair.1.seconds)),
            median(ratios.iter().copied()),
            pairs.iter().map(|pair| pair.1.peak).fold(0.0, f64::max),
            ratios.iter().map(|ratio| format!("{ratio:.2}")).collect::<Vec<_>>().join(" "),
        );
    }
    println!("speed: that of oxcrypt as a multiple of cp's, median of {rounds} pairs");
}

/// Files in the clear, and where they go.
struct Sources {
    dir: TempDir,
    dest: PathBuf,
    combo: CipherCombo,
}

impl Sources {
    fn make(load: &Load) -> Self {
        let parent = std::env::var_os("OXCRYPT_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let dest =
            std::env::var_os("OXCRYPT_BENCH_DEST").map_or_else(|| PathBuf::from("/dev/shm"), PathBuf::from);
        let dir = tempfile::tempdir_in(parent).unwrap();
        let mut content: Vec<u8> = (0..load.len).map(|at| u8::try_from(at * 31 % 251).unwrap()).collect();
        for folder in 0..load.folders {
            let folder = dir.path().join("clear").join(format!("folder {folder}"));
            fs::create_dir_all(&folder).unwrap();
            for file in 0..load.files / load.folders {
                if let Some(first) = content.first_mut() {
                    *first = first.wrapping_add(1);
                }
                fs::write(folder.join(format!("file {file}")), &content).unwrap();
            }
        }
        Self { dir, dest, combo: load.combo }
    }

    fn cp(&self) -> Cost {
        let dest = tempfile::tempdir_in(&self.dest).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", r#"cp -r "$1" "$2/out" && exec sync -f "$2""#, "sh"]);
        Cost::of(command.arg(self.dir.path().join("clear")).arg(dest.path()))
    }

    fn put(&self) -> Cost {
        let vault = tempfile::tempdir_in(&self.dest).unwrap();
        let storage = LocalStorage::open(vault.path()).unwrap();
        VaultBuilder::create(&storage, Recipe { combo: self.combo, ..Recipe::default() }).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_oxcrypt"));
        command.args(["put", "--quiet", "--passphrase-env", "OXCRYPT_BENCH_PASSPHRASE"]);
        command.env("OXCRYPT_BENCH_PASSPHRASE", "passphrase").arg(vault.path());
        Cost::of(command.arg(self.dir.path().join("clear")).arg("/out"))
    }
}

impl Cost {
    /// That of a command, from start to end.
    fn of(command: &mut Command) -> Self {
        command.stdout(Stdio::null());
        let started = Instant::now();
        let mut child = command.spawn().unwrap();
        let looked = child.id();
        let looking = thread::spawn(move || peak_of(looked));
        let status = child.wait().unwrap();
        let seconds = started.elapsed().as_secs_f64();
        assert!(status.success(), "{command:?}: {status}");
        Self { seconds, peak: looking.join().unwrap() }
    }
}

/// The most memory that a process ever had, in MiB, looked at until it ends; 0 where the system does not tell.
fn peak_of(process: u32) -> f64 {
    let mut peak = 0.0;
    while let Ok(status) = fs::read_to_string(Path::new("/proc").join(process.to_string()).join("status")) {
        let Some(line) = status.lines().find_map(|line| line.strip_prefix("VmHWM:")) else { break };
        let kib = line.trim().strip_suffix(" kB").and_then(|kib| kib.parse().ok());
        peak = kib.unwrap_or(peak);
        thread::sleep(Duration::from_millis(2));
    }
    peak / 1024.0
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
