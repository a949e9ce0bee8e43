//! The process behind a mount: what it starts, in which order, and how it ends.
//!
//! The janitor comes first. Once the vault is open no process is started any more: that would close the vault's files
//! in the new one, and on storage that hangs so does closing. The main thread then waits for whatever comes first: a
//! signal, a question on the control socket, or the end of the mount. It never asks storage.

mod ending;
mod idle;
mod report;
mod running;
mod unsaved;

use std::ffi::OsStr;
use std::io;
use std::mem;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::SystemTime;

use oxcrypt_core::{Vault, VaultOptions};
use oxcrypt_fuse::{FuseBackend, Janitor};
use oxcrypt_io::clock::SystemClock;
use oxcrypt_io::mount::{Availability, MountBackend as _};
use oxcrypt_io::sched::plan::KernelQueue;
use oxcrypt_io::volume::{Volume, VolumeOptions};
use tokio::sync::{Notify, mpsc};

use crate::control::{About, Server};
use crate::exit::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::mount_options::Wishes;
use crate::notify::notify;
use crate::output::exact_time;
use crate::printable::printable;
use crate::writer_lock::WriterLock;

use running::Running;

/// What to mount, and where. All of it absolute.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) vault: PathBuf,
    pub(crate) mountpoint: PathBuf,
    pub(crate) socket: PathBuf,
    pub(crate) log: Option<PathBuf>,
    pub(crate) wishes: Wishes,
}

/// A process that can mount, before it knows any secret.
#[derive(Debug)]
pub(crate) struct Daemon {
    plan: Plan,
    backend: FuseBackend,
    server: Server,
}

impl Daemon {
    /// Starts the janitor, and listens. Call it on the main thread, before anything of the vault is open.
    /// The janitor's environment is this process's, but for the variable `without`.
    pub(crate) fn prepare(plan: Plan, without: Option<&OsStr>) -> Result<Self> {
        let janitor = janitor(without).map_err(|error| {
            Failure::failed(format_args!("cannot start the process that mounts and unmounts: {error}"))
        })?;
        let backend = FuseBackend::new(janitor, plan.wishes.mount.clone());
        if let Availability::Missing { what, install } = backend.availability() {
            return Err(Failure::failed(format_args!("nothing can be mounted here: {what}; {install}")));
        }
        let server = Server::bind(&plan.socket).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => Failure::failed(format_args!(
                "another process is about to mount at {}",
                plan.mountpoint.display()
            )),
            _ => Failure::failed(format_args!("the control socket {}: {error}", plan.socket.display())),
        })?;
        lock_memory();
        Ok(Self { plan, backend, server })
    }

    /// What it is to mount, and where.
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How the vault is to be opened for this mount.
    pub(crate) fn vault_options(&self) -> VaultOptions {
        let options = VaultOptions::default().read_only(self.plan.wishes.mount.read_only);
        match self.plan.wishes.cache_bytes {
            Some(bytes) => options.chunk_cache_bytes(bytes),
            None => options,
        }
    }

    /// Mounts the vault, says so by `ready`, and stays until it is mounted no longer. Whoever mounts it to write has the
    /// `lock`, which is held to the end.
    ///
    /// # Errors
    ///
    /// Before `ready`, why it could not be mounted; after it, what could not be done at the end.
    pub(crate) fn run(
        self,
        vault: Vault,
        lock: Option<WriterLock>,
        interrupt: &Interrupt,
        ready: impl FnOnce() -> io::Result<()>,
    ) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::failed(format_args!("cannot start the runtime: {error}")))?;
        let result = runtime.block_on(self.mount(vault, lock, interrupt, ready));
        // Its connections end with it, and whoever waits for that goes on.
        drop(runtime);
        result
    }

    async fn mount(
        self,
        vault: Vault,
        lock: Option<WriterLock>,
        interrupt: &Interrupt,
        ready: impl FnOnce() -> io::Result<()>,
    ) -> Result<()> {
        let Self { plan, backend, server } = self;
        let at = plan.mountpoint.display();
        let failed = |error: io::Error| Failure::failed(format_args!("cannot mount at {at}: {error}"));
        let options = volume_options(&plan.wishes, &vault);
        let volume = Volume::start(Arc::new(vault), options, Arc::new(SystemClock::new())).map_err(failed)?;
        let volume = Arc::new(volume);
        let mount = backend.mount_fuse(Arc::clone(&volume), &plan.mountpoint).await.map_err(failed)?;

        let stop = Arc::new(Notify::new());
        let told = Arc::clone(&stop);
        interrupt.end_by(move || told.notify_one());
        let (ask, asked) = mpsc::channel(8);
        let serving = tokio::spawn(server.serve(ask));
        let mut running = Running::new(about(&plan), volume, mount, asked, stop, plan.wishes.idle);
        let ended = match ready() {
            Ok(()) => {
                log::info!("mounted {} at {at}", plan.vault.display());
                let (vault, at) = (printable(&running.about.vault), printable(&running.about.mountpoint));
                notify(&format!("READY=1\nMAINPID={}\nSTATUS=mounted {vault} at {at}", running.about.pid));
                running.stay().await
            }
            Err(error) => running.end_at_once().await.and(Err(failed(error))),
        };
        // A change that hangs in storage may be carried out yet, and then the lock is held until the kernel has let go of it.
        // Where only reads hang, nobody has to wait for that.
        if running.is_changing() {
            mem::forget(lock);
        } else {
            drop(lock);
        }
        // Whoever waits for the end goes on from here, and may write.
        serving.abort();
        drop(serving.await);
        if ended.is_ok() {
            log::info!("unmounted {at}");
        }
        // Closing what hangs would hang. The process is about to end, which closes it all; what was unsaved has been stored
        // by now, or has been named.
        mem::forget((running, backend));
        ended
    }
}

fn janitor(without: Option<&OsStr>) -> io::Result<Janitor> {
    let mut program = Command::new(std::env::current_exe()?);
    // It is nobody's service.
    program.arg("janitor").env_remove("NOTIFY_SOCKET");
    if let Some(variable) = without {
        program.env_remove(variable);
    }
    Janitor::start(program)
}

fn volume_options(wishes: &Wishes, vault: &Vault) -> VolumeOptions {
    let mut options = VolumeOptions { deadlines: wishes.deadlines, ..VolumeOptions::default() };
    let queue = oxcrypt_fuse::expected_background(&wishes.mount);
    options.limits.kernel_queue = Some(KernelQueue::new(usize::from(queue)));
    options.limits.store_queue = vault.habits().queue;
    options
}

fn about(plan: &Plan) -> About {
    About {
        mountpoint: plan.mountpoint.display().to_string(),
        vault: plan.vault.display().to_string(),
        pid: std::process::id(),
        since: exact_time(Some(SystemTime::now())).as_str().unwrap_or_default().to_owned(),
        read_only: plan.wishes.mount.read_only,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        log: plan.log.as_ref().map(|log| log.display().to_string()),
    }
}

/// Keeps keys and cleartext out of swap, where the system lets us lock whatever we come to use. With a limit it is not
/// done: what does not fit below it would fail to be allocated.
fn lock_memory() {
    use rustix::mm::{MlockAllFlags, mlockall};
    use rustix::process::{Resource, geteuid, getrlimit};
    if !geteuid().is_root() && getrlimit(Resource::Memlock).current.is_some() {
        return log::debug!("memory is not locked: there is a limit on it");
    }
    // Pages are locked as they come into use: stacks and buffers that stay unused take no memory.
    let flags = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    if let Err(error) = mlockall(flags) {
        log::info!("memory is not locked: {error}");
    }
}
