//! The backend: from an open volume to a mount, and to its end.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use fuser::{Config, Session, SessionACL};
use oxcrypt_io::mount::{Availability, MountBackend, MountedVault, Unmount};
use oxcrypt_io::volume::Volume;
use tokio::sync::{oneshot, watch};

use crate::adapter::Adapter;
use crate::birthmark::Birthmark;
use crate::connection::{AbortHandle, Connection, expected_background};
use crate::dispatch::Dispatch;
use crate::figures::Figures;
use crate::janitor::Janitor;
use crate::options::MountOptions;
use crate::table::{self, HELPER, Laziness, Mounted};

/// How long the kernel may take to let go of a mount whose requests are all answered, before the connection is ended.
const LETTING_GO: Duration = Duration::from_millis(500);
/// How long session threads may take to notice that.
const ENDING: Duration = Duration::from_secs(1);

/// Mounts through FUSE. Its asynchronous functions want a tokio runtime with time.
#[derive(Debug)]
pub struct FuseBackend {
    janitor: Janitor,
    options: MountOptions,
}

/// A mounted volume.
pub struct FuseMount {
    place: PathBuf,
    janitor: Janitor,
    dispatch: Arc<Dispatch>,
    /// What the table says of it, where it does.
    mounted: Option<Mounted>,
    abort: Option<AbortHandle>,
    ended: watch::Receiver<Option<End>>,
}

/// How a session ended: the error, if there was one.
type End = Option<String>;

/// What a mount is and holds at a moment. To ask for it touches neither storage nor the mount.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MountStatus {
    /// Where it is.
    pub mountpoint: PathBuf,
    /// The number of its connection, as the kernel shows it.
    pub connection: Option<u32>,
    /// How many background requests the kernel hands out at once, where it lets us see.
    pub max_background: Option<u64>,
    /// How many requests the kernel has no answer to, where it lets us see.
    pub waiting: Option<u64>,
    /// What it holds.
    pub figures: Figures,
}

impl FuseBackend {
    /// A backend that mounts by a janitor, which may mount one volume.
    #[must_use]
    pub fn new(janitor: Janitor, options: MountOptions) -> Self {
        Self { janitor, options }
    }

    /// As [`MountBackend::mount`], and keeps the type, so that it can be asked how it is.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn mount_fuse(&self, volume: Arc<Volume>, at: &Path) -> io::Result<FuseMount> {
        let (janitor, options, at) = (self.janitor.clone(), self.options.clone(), at.to_owned());
        // Mounting takes a moment, and whoever called has other things to do.
        let (tell, told) = oneshot::channel();
        thread::Builder::new().name("oxcrypt-mount".to_owned()).spawn(move || {
            let _nobody_waits = tell.send(mount(&janitor, volume, &at, &options));
        })?;
        told.await.map_err(|_| io::Error::other("mounting broke off"))?
    }
}

#[async_trait]
impl MountBackend for FuseBackend {
    fn name(&self) -> &'static str {
        "fuse"
    }

    fn availability(&self) -> Availability {
        let missing =
            |what: String, install: &str| Availability::Missing { what, install: install.to_owned() };
        if let Err(error) = File::options().read(true).write(true).open("/dev/fuse") {
            let install = match error.kind() {
                io::ErrorKind::NotFound => "load the kernel's module: sudo modprobe fuse",
                _ => "let users open it, as is usual: sudo chmod 0666 /dev/fuse",
            };
            return missing(format!("/dev/fuse: {error}"), install);
        }
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let has_helper = std::env::split_paths(&paths).any(|folder| folder.join(HELPER).exists());
        if rustix::process::geteuid().is_root() || has_helper {
            Availability::Ready
        } else {
            missing(HELPER.to_owned(), "install the package fuse3 (on Debian: sudo apt-get install fuse3)")
        }
    }

    async fn mount(&self, volume: Arc<Volume>, at: &Path) -> io::Result<Box<dyn MountedVault>> {
        Ok(Box::new(self.mount_fuse(volume, at).await?))
    }
}

/// Mounts, and has the kernel's first request answered, so that whoever looks from then on is answered, too.
fn mount(janitor: &Janitor, volume: Arc<Volume>, at: &Path, options: &MountOptions) -> io::Result<FuseMount> {
    // As the table of mounts spells it.
    let at = at.canonicalize()?;
    if !at.is_dir() {
        // The kernel refuses that itself, but its helper mounts a folder on a file.
        return Err(io::ErrorKind::NotADirectory.into());
    }
    let dispatch = Dispatch::new(volume, options)?;
    let birthmark = Birthmark::new()?;
    let begun = janitor.mount(&at, options, birthmark).and_then(|device| {
        let mounted = table::born_as(birthmark)?;
        serve(janitor, &dispatch, device, at, mounted, options).inspect_err(|_| {
            let _as_well_as_can_be = janitor.unmount(Laziness::Lazy);
        })
    });
    begun.inspect_err(|_| dispatch.stop())
}

/// Answers the kernel's first request, and has threads wait for the others.
fn serve(
    janitor: &Janitor,
    dispatch: &Arc<Dispatch>,
    device: OwnedFd,
    at: PathBuf,
    mounted: Option<Mounted>,
    options: &MountOptions,
) -> io::Result<FuseMount> {
    let connection = mounted.as_ref().map(|mounted| Connection(mounted.connection));
    let mut config = Config::default();
    config.n_threads = Some(options.session_threads.get());
    let adapter = Adapter::new(Arc::clone(dispatch), expected_background(options));
    // Whom the kernel lets through is its affair.
    let session = Session::from_fd(adapter, device, SessionACL::All, config)?;
    // Now that the kernel has made its offer, which would undo it.
    if let Some(connection) = connection {
        connection.read_far_ahead();
    }
    let (tell, ended) = watch::channel(None);
    let told = janitor.clone();
    thread::Builder::new().name("oxcrypt-session".to_owned()).spawn(move || {
        let end = session.run().err().map(|error| error.to_string());
        // Before anybody hears of the end, and mounts there again. A janitor that is gone mistakes nothing.
        let _is_gone = told.forget();
        let _nobody_asks = tell.send(Some(end));
    })?;
    let mounted = FuseMount {
        place: at,
        janitor: janitor.clone(),
        dispatch: Arc::clone(dispatch),
        mounted,
        abort: connection.and_then(|connection| connection.abort_handle().ok()),
        ended,
    };
    mounted.check_queue(expected_background(options));
    Ok(mounted)
}

impl FuseMount {
    /// How it is.
    #[must_use]
    pub fn status(&self) -> MountStatus {
        let seen = |look: fn(Connection) -> io::Result<u64>| self.connection().and_then(|it| look(it).ok());
        MountStatus {
            mountpoint: self.place.clone(),
            connection: self.connection().map(|connection| connection.0),
            max_background: seen(Connection::max_background),
            waiting: seen(Connection::waiting),
            figures: self.dispatch.figures(),
        }
    }

    /// Answers everything that waits, and refuses what comes: the first step of its end.
    pub fn stop(&self) {
        self.dispatch.stop();
    }

    /// Whether it can be seen in the tree still, which may be so when it has ended: somebody ended its connection.
    ///
    /// # Errors
    ///
    /// If the table of mounts cannot be read.
    pub fn is_seen(&self) -> io::Result<bool> {
        self.mounted.as_ref().map_or(Ok(false), table::is_seen)
    }

    fn connection(&self) -> Option<Connection> {
        self.mounted.as_ref().map(|mounted| Connection(mounted.connection))
    }

    fn check_queue(&self, expected: u16) {
        match self.connection().map(Connection::max_background) {
            Some(Ok(granted)) if granted < u64::from(expected) => {
                log::warn!("the kernel queues {granted} background requests, and not {expected}");
            }
            Some(Ok(granted)) => log::info!("the kernel queues {granted} background requests"),
            _ => log::info!("the kernel does not show how many background requests it queues"),
        }
    }

    async fn ended_within(&mut self, limit: Duration) -> bool {
        let wait = self.ended.wait_for(Option::is_some);
        tokio::time::timeout(limit, wait).await.is_ok()
    }

    /// Has the janitor unmount, while others go on.
    async fn take_out(&self, laziness: Laziness) -> io::Result<()> {
        let janitor = self.janitor.clone();
        let (tell, told) = oneshot::channel();
        thread::Builder::new().name("oxcrypt-unmount".to_owned()).spawn(move || {
            let _nobody_waits = tell.send(janitor.unmount(laziness));
        })?;
        told.await.map_err(|_| io::Error::other("unmounting broke off"))?
    }
}

#[async_trait]
impl MountedVault for FuseMount {
    fn mountpoint(&self) -> PathBuf {
        self.place.clone()
    }

    async fn wait(&mut self) -> io::Result<()> {
        let end = self.ended.wait_for(Option::is_some).await;
        match end.map(|end| end.clone().flatten()) {
            Ok(None) => Ok(()),
            Ok(Some(error)) => Err(io::Error::other(error)),
            Err(_) => Err(io::Error::other("the session broke off")),
        }
    }

    async fn unmount(&mut self, how: Unmount) -> io::Result<()> {
        match self.take_out(Laziness::Busy).await {
            Err(error) if how == Unmount::Force => {
                self.stop();
                if error.kind() != io::ErrorKind::ResourceBusy {
                    log::warn!("unmounting lazily, because: {error}");
                }
                self.take_out(Laziness::Lazy).await?;
            }
            done => done?,
        }
        self.stop();
        if !self.ended_within(LETTING_GO).await
            && let Some(abort) = self.abort.take()
        {
            abort.abort();
        }
        // Threads that do not end then are left behind: they hold nothing that anybody wants.
        self.ended_within(ENDING).await;
        Ok(())
    }
}

impl fmt::Debug for FuseMount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FuseMount({})", self.place.display())
    }
}
