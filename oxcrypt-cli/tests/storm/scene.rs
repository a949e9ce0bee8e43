//! A vault on a store that can be told to hang.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use oxcrypt_core::DirId;
use oxcrypt_core::storage::LocalStorage;
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use tempfile::TempDir;

use crate::child::Child;
use crate::mounted::{Mounted, PASSPHRASE};
use crate::slow_store::Store;
use crate::who::Who;

/// The length of a hot file: below 16 KiB the kernel reads without a place in a full background queue (Linux 6.18), and
/// then hot files would read through any storm.
pub(crate) const HOT_LEN: usize = 64 << 10;

/// The length of a cold file, longer than all others, so that a rule of the store can tell.
pub(crate) const COLD_LEN: usize = 192 << 10;

/// The store's rule for cold files.
const COLD: &str = "read ** min-size=128K";

/// How many hot files there are.
pub(crate) const HOT_FILES: usize = 8;

/// What the store is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// Its own background queue.
    pub(crate) max_background: u16,
    /// Whether direct reads share that.
    pub(crate) async_dio: bool,
    /// How many files are to hang.
    pub(crate) cold: usize,
}

/// A store with a vault on it, and whatever is mounted of that.
pub(crate) struct Scene {
    /// Goes last but one: nobody may ask the store when it ends.
    pub(crate) store: Store,
    folder: TempDir,
}

impl Scene {
    /// Brings it up; `None`, with a word on standard error, where nothing can be mounted.
    pub(crate) fn new(setting: Setting) -> Option<Self> {
        Self::with(setting, |_| Ok(()))
    }

    /// The same, with more in its vault.
    pub(crate) fn with(
        setting: Setting,
        more: impl FnOnce(&VaultBuilder<'_>) -> io::Result<()>,
    ) -> Option<Self> {
        let limit = setting.max_background.to_string();
        let mut options = vec!["--allow-other", "--max-background", &limit];
        // Which stores let direct reads pass by their queue is known by their names.
        options.extend(if setting.async_dio { ["--async-dio"].as_slice() } else { &["--type", "rclone"] });
        let store = Store::start(&options, |folder| fill(folder, setting.cold, more).unwrap())?;
        let folder = tempfile::Builder::new().prefix("oxcrypt-scene-").tempdir().unwrap();
        // Whoever is not root has to get there.
        for path in [folder.path(), store.socket().parent().unwrap()] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Some(Self { store, folder })
    }

    /// Mounts the vault, for readers only. `options` are those of `oxcrypt mount`.
    pub(crate) fn mount(&self, who: Who, options: &[&str]) -> Mounted {
        let options = [&["--read-only"], options].concat();
        Mounted::start(who, &self.vault(), &self.place(who), self.folder.path(), &options)
    }

    /// Mounts the vault to work in it.
    pub(crate) fn mount_to_work(&self, who: Who, options: &[&str]) -> Mounted {
        // Whoever is not root is to write to what root has made.
        let behind = self.store.behind("");
        Child::start(Command::new("chmod").args(["-R", "a+rwX"]).arg(behind)).succeed();
        Mounted::start(who, &self.vault(), &self.place(who), self.folder.path(), options)
    }

    /// From now on writes to cold files hang.
    pub(crate) fn freeze_writes(&self) {
        self.store.command("freeze write ** min-size=128K");
    }

    /// The vault's folder, on the store: for children only.
    pub(crate) fn vault(&self) -> PathBuf {
        self.store.mounted("")
    }

    /// From now on reads of cold files hang.
    pub(crate) fn freeze(&self) {
        self.store.command(&format!("freeze {COLD}"));
    }

    /// Everything hangs: whatever is asked of the store.
    pub(crate) fn freeze_all(&self) {
        self.store.command("freeze all **");
    }

    /// Carries out all that hangs.
    pub(crate) fn thaw(&self) {
        self.store.command("thaw");
    }

    /// Where this user mounts; made if need be.
    fn place(&self, who: Who) -> PathBuf {
        let home = self.folder.path().join(format!("{who:?}"));
        let place = home.join("mount");
        fs::create_dir_all(&place).unwrap();
        who.owns(&home);
        who.owns(&place);
        place
    }
}

/// What a hot file holds.
pub(crate) fn hot_content(number: usize) -> Vec<u8> {
    (0..=250).cycle().skip(number).take(HOT_LEN).collect()
}

fn fill(
    folder: &Path,
    cold: usize,
    more: impl FnOnce(&VaultBuilder<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let storage = LocalStorage::open(folder)?;
    let builder = VaultBuilder::create(&storage, Recipe { passphrase: PASSPHRASE, ..Recipe::default() })?;
    let root = DirId::root();
    let dir = builder.directory(&root, "hot")?;
    for number in 0..HOT_FILES {
        builder.file(&dir, &number.to_string(), &hot_content(number))?;
    }
    let dir = builder.directory(&root, "listed")?;
    for number in 0..50 {
        builder.file(&dir, &format!("listed {number}"), b"short")?;
    }
    let dir = builder.directory(&root, "cold")?;
    let content = vec![7; COLD_LEN];
    for number in 0..cold {
        builder.file(&dir, &number.to_string(), &content)?;
    }
    more(&builder)
}
