//! A vault made to order, mounted by this process, for children to look at.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use oxcrypt_core::storage::{BlockStorage, Call, FaultyStorage, Gate, LocalStorage, MemoryStorage, Verdict};
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use oxcrypt_core::unlock::{Locked, Passphrase};
use oxcrypt_core::{DirId, VaultOptions};
use oxcrypt_fuse::{FuseBackend, FuseMount, Janitor, MountOptions};
use oxcrypt_io::clock::SystemClock;
use oxcrypt_io::mount::{MountedVault as _, Unmount};
use oxcrypt_io::volume::{Volume, VolumeOptions};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::child::{CEILING, Child};
use crate::store;

/// What scripts in Python begin with: `refused` does what must fail, and says why it did.
const PRELUDE: &str = r#"
from io import open as io_open
from os import *
import ctypes, errno, mmap, os, stat, sys, time
os.chdir(sys.argv[1])

def refused(call, *arguments, **named):
    try:
        call(*arguments, **named)
    except OSError as error:
        return errno.errorcode[error.errno]
    raise SystemExit(f"{call.__name__}{arguments} succeeds")

def write_all(name, content, flags=O_WRONLY | O_CREAT | O_TRUNC):
    handle = os.open(name, flags, 0o644)
    while content:
        content = content[os.write(handle, content):]
    os.close(handle)

def read_all(name):
    with io_open(name, "rb") as file:
        return file.read()

def rename_with(flags, old, new):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, old.encode(), -100, new.encode(), flags) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")

def wait_for(path, limit=60):
    end = time.monotonic() + limit
    while not os.path.exists(path):
        assert time.monotonic() < end, f"no {path}"
        time.sleep(0.01)

NOREPLACE, EXCHANGE, WHITEOUT = 1, 2, 4
"#;

/// A mounted vault. Dropping it unmounts, whoever uses it.
pub(crate) struct House {
    pub(crate) storage: Arc<FaultyStorage>,
    /// Where the vault lies, if not there.
    folder: Option<TempDir>,
    pub(crate) mount: Option<FuseMount>,
    options: MountOptions,
    volume: VolumeOptions,
    runtime: Runtime,
    place: TempDir,
    scripts: TempDir,
}

/// What a file holds, so that no two places look the same.
pub(crate) fn content(len: usize) -> Vec<u8> {
    (0..=250).cycle().take(len).collect()
}

impl House {
    /// Mounts what `fill` makes; `None`, with a word on standard error, where nothing can be mounted.
    pub(crate) fn new(options: MountOptions, fill: impl FnOnce(&VaultBuilder<'_>, &DirId)) -> Option<Self> {
        let storage = MemoryStorage::default();
        let recipe = Recipe { threshold: 220, ..Recipe::default() };
        let builder = VaultBuilder::create(&storage, recipe).unwrap();
        fill(&builder, &DirId::root());
        Self::over(options, VolumeOptions::default(), Arc::new(FaultyStorage::new(&storage)))
    }

    /// Mounts the vault of a storage.
    pub(crate) fn over(
        options: MountOptions,
        volume: VolumeOptions,
        storage: Arc<FaultyStorage>,
    ) -> Option<Self> {
        Self::build(options, volume, storage, None)
    }

    /// Mounts an empty vault that lies in a folder of the host, which keeps times, modes and owners.
    pub(crate) fn of_folder(options: MountOptions) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let local = LocalStorage::open(folder.path()).unwrap();
        VaultBuilder::create(&local, Recipe::default()).unwrap();
        let nothing = Arc::new(FaultyStorage::new(&MemoryStorage::default()));
        Self::build(options, VolumeOptions::default(), nothing, Some(folder))
    }

    fn build(
        options: MountOptions,
        volume: VolumeOptions,
        storage: Arc<FaultyStorage>,
        folder: Option<TempDir>,
    ) -> Option<Self> {
        if !store::can_mount() {
            return None;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let place = tempfile::Builder::new().prefix("oxcrypt-house-").tempdir().unwrap();
        let scripts = tempfile::tempdir().unwrap();
        let mut house = Self { storage, folder, options, volume, mount: None, runtime, place, scripts };
        house.mount_again();
        Some(house)
    }

    /// Mounts the same vault at the same place.
    pub(crate) fn mount_again(&mut self) {
        self.mount = Some(self.try_mount(&self.options, self.place.path()).unwrap());
    }

    /// Mounts the same vault anywhere. Who has the mount sees to its end.
    pub(crate) fn try_mount(&self, options: &MountOptions, at: &Path) -> io::Result<FuseMount> {
        let storage: Arc<dyn BlockStorage> = match &self.folder {
            Some(folder) => Arc::new(LocalStorage::open(folder.path()).unwrap()),
            None => Arc::clone(&self.storage) as _,
        };
        let locked = Locked::read(storage).unwrap();
        let vault = locked.unlock(&Passphrase::new("passphrase"), &VaultOptions::default()).unwrap();
        let clock = Arc::new(SystemClock::new());
        let volume = Arc::new(Volume::start(Arc::new(vault), self.volume.clone(), clock).unwrap());
        let backend = FuseBackend::new(janitor(), options.clone());
        self.runtime.block_on(backend.mount_fuse(volume, at))
    }

    /// Where it is mounted: for children only.
    pub(crate) fn place(&self) -> &Path {
        self.place.path()
    }

    /// An entry's path: for children only.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Has a shell do something in the mount; `$1` is a name there.
    pub(crate) fn sh(&self, script: &str, name: &str) -> Child {
        Child::start(Command::new("sh").current_dir("/").args(["-euc", script, "sh"]).arg(self.path(name)))
    }

    /// Has Python do something, in the mount: that has the calls of the system by their names.
    pub(crate) fn python(&self, script: &str) -> Child {
        // As a file, so that Python shows the line that fails.
        let mut file = tempfile::NamedTempFile::new_in(&self.scripts).unwrap();
        write!(file, "{PRELUDE}{script}").unwrap();
        let (_, file) = file.keep().unwrap();
        Child::start(Command::new("python3").current_dir("/").arg(file).arg(self.place()))
    }

    /// What a file reads as.
    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        self.sh(r#"cat -- "$1""#, name).succeed().output
    }

    /// What a command says that has to fail.
    #[track_caller]
    pub(crate) fn fails(&self, script: &str, name: &str) -> String {
        let ended = self.sh(script, name).ended_within(CEILING).expect("an end");
        assert!(!ended.status.success(), "{script} succeeds");
        String::from_utf8_lossy(&ended.output).into_owned()
    }

    /// Holds every call of the storage from now on of which `which` says so.
    pub(crate) fn hold(&self, which: impl Fn(&Call) -> bool + Send + Sync + 'static) -> Arc<Gate> {
        let gate = Arc::new(Gate::default());
        let held = Arc::clone(&gate);
        self.storage
            .on_call(move |call| if which(call) { Verdict::Hold(Arc::clone(&held)) } else { Verdict::Pass });
        gate
    }

    /// Unmounts.
    pub(crate) fn unmount(&mut self, how: Unmount) -> io::Result<()> {
        let mount = self.mount.as_mut().unwrap();
        self.runtime.block_on(mount.unmount(how))
    }

    /// Unmounts one that it mounted elsewhere.
    pub(crate) fn unmount_other(&self, mut mount: FuseMount) -> io::Result<()> {
        self.runtime.block_on(mount.unmount(Unmount::IfUnused))
    }

    /// Waits for the end of the mount, whoever brings it about.
    pub(crate) fn wait(&mut self) -> io::Result<()> {
        let mount = self.mount.as_mut().unwrap();
        let end = self.runtime.block_on(async { tokio::time::timeout(CEILING, mount.wait()).await });
        end.expect("an end")
    }

    /// Whether the table has it.
    pub(crate) fn is_mounted(&self) -> bool {
        oxcrypt_fuse::table::find(self.place.path()).unwrap().is_some()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if self.mount.is_some() && self.is_mounted() {
            let _ = self.unmount(Unmount::Force);
        }
        if self.is_mounted() {
            // Cleaning up would reach through the mount.
            self.place.disable_cleanup(true);
        }
    }
}

/// A janitor's process.
pub(crate) fn janitor() -> Janitor {
    static EXE: OnceLock<PathBuf> = OnceLock::new();
    Janitor::start(Command::new(EXE.get_or_init(janitor_exe))).unwrap()
}

/// The janitor's program; the environment variable `JANITOR` names one that exists.
pub(crate) fn janitor_exe() -> PathBuf {
    std::env::var_os("JANITOR").map_or_else(|| store::example("janitor"), PathBuf::from)
}
