//! The whole program against `cp`: both read from the page cache and write to memory, in turn, in one run.
//!
//! `cargo bench -p oxcrypt-cli --bench decrypt [-- ROUNDS]`. It wants some 7 GiB of memory and disk;
//! `OXCRYPT_BENCH_DIR` says where the sources go, `OXCRYPT_BENCH_DEST` where the copies go (`/dev/shm` by default), and
//! `OXCRYPT_BENCH_SCALE=10` makes everything ten times smaller.
#![expect(clippy::unwrap_used, reason = "a bench that fails is to panic")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use oxcrypt_core::DirId;
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
        "{:<20}{:>10}{:>12}{:>12}{:>12}   ratios of the rounds",
        "load", "MiB", "cp s", "oxcrypt s", "speed"
    );
    for load in loads {
        let source = Source::make(&load);
        let mut pairs: Vec<(f64, f64)> = (0..=rounds).map(|_| (source.cp(), source.decrypt())).collect();
        // The first round fills the page cache.
        pairs.remove(0);
        let ratios: Vec<f64> = pairs.iter().map(|(cp, ours)| cp / ours).collect();
        println!(
            "{:<20}{:>10}{:>12.3}{:>12.3}{:>10.2} x   {}",
            load.name,
            (load.files * load.len) >> 20,
            median(pairs.iter().map(|pair| pair.0)),
            median(pairs.iter().map(|pair| pair.1)),
            median(ratios.iter().copied()),
            ratios.iter().map(|ratio| format!("{ratio:.2}")).collect::<Vec<_>>().join(" "),
        );
    }
    println!("speed: that of oxcrypt as a multiple of cp's, median of {rounds} pairs");
}

/// A vault and the same files in the clear.
struct Source {
    dir: TempDir,
    dest: PathBuf,
}

impl Source {
    fn make(load: &Load) -> Self {
        let parent = std::env::var_os("OXCRYPT_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let dest =
            std::env::var_os("OXCRYPT_BENCH_DEST").map_or_else(|| PathBuf::from("/dev/shm"), PathBuf::from);
        let dir = tempfile::tempdir_in(parent).unwrap();
        let (vault, clear) = (dir.path().join("vault"), dir.path().join("clear"));
        fs::create_dir(&vault).unwrap();
        let storage = LocalStorage::open(&vault).unwrap();
        let builder =
            VaultBuilder::create(&storage, Recipe { combo: load.combo, ..Recipe::default() }).unwrap();
        let mut content: Vec<u8> = (0..load.len).map(|at| u8::try_from(at * 31 % 251).unwrap()).collect();
        for folder in 0..load.folders {
            let name = format!("folder {folder}");
            let id = builder.directory(&DirId::root(), &name).unwrap();
            fs::create_dir_all(clear.join(&name)).unwrap();
            for file in 0..load.files / load.folders {
                let name_in_folder = format!("file {file}");
                if let Some(first) = content.first_mut() {
                    *first = first.wrapping_add(1);
                }
                builder.file(&id, &name_in_folder, &content).unwrap();
                fs::write(clear.join(&name).join(name_in_folder), &content).unwrap();
            }
        }
        Self { dir, dest }
    }

    fn cp(&self) -> f64 {
        self.time(|dest| {
            let mut command = Command::new("cp");
            command.arg("-r").arg(self.dir.path().join("clear")).arg(dest.join("out"));
            command
        })
    }

    fn decrypt(&self) -> f64 {
        self.time(|dest| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_oxcrypt"));
            command.args(["decrypt", "--quiet", "--passphrase-env", "OXCRYPT_BENCH_PASSPHRASE"]);
            command.env("OXCRYPT_BENCH_PASSPHRASE", "passphrase");
            command.arg(self.dir.path().join("vault")).arg(dest.join("out"));
            command
        })
    }

    /// Seconds from start to end of a command that writes to a new folder, which is removed afterwards.
    fn time(&self, command: impl FnOnce(&Path) -> Command) -> f64 {
        let dest = tempfile::tempdir_in(&self.dest).unwrap();
        let mut command = command(dest.path());
        command.stdout(Stdio::null());
        let started = Instant::now();
        let status = command.status().unwrap();
        let seconds = started.elapsed().as_secs_f64();
        assert!(status.success(), "{command:?}: {status}");
        seconds
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
