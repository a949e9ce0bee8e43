//! The traits of a mount can be kept by something that mounts nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use oxcrypt_core::VaultOptions;
use oxcrypt_io::clock::ManualClock;
use oxcrypt_io::mount::{Availability, MountBackend, MountedVault, Unmount};
use oxcrypt_io::volume::{Volume, VolumeOptions};

use crate::volume::house::{filled, name, unlock};

/// A host of our own: what is mounted where.
#[derive(Debug, Default, Clone)]
struct Table(Arc<Mutex<Mounts>>);

type Mounts = Vec<(PathBuf, Arc<Volume>)>;

#[derive(Debug)]
struct Entry {
    table: Table,
    at: PathBuf,
}

#[async_trait]
impl MountBackend for Table {
    fn name(&self) -> &'static str {
        "table"
    }

    fn availability(&self) -> Availability {
        Availability::Ready
    }

    async fn mount(&self, volume: Arc<Volume>, at: &Path) -> io::Result<Box<dyn MountedVault>> {
        self.0.lock().unwrap().push((at.to_owned(), volume));
        Ok(Box::new(Entry { table: self.clone(), at: at.to_owned() }))
    }
}

#[async_trait]
impl MountedVault for Entry {
    fn mountpoint(&self) -> PathBuf {
        self.at.clone()
    }

    async fn wait(&mut self) -> io::Result<()> {
        Ok(())
    }

    async fn unmount(&mut self, how: Unmount) -> io::Result<()> {
        let mut table = self.table.0.lock().unwrap();
        let used = table.iter().any(|(at, volume)| *at == self.at && Arc::strong_count(volume) > 1);
        if used && how == Unmount::IfUnused {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        table.retain(|(at, volume)| {
            volume.drain();
            *at != self.at
        });
        Ok(())
    }
}

/// What a future comes to that waits for nothing.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

#[test]
fn a_backend_gets_an_open_volume_and_gives_it_back() {
    let storage = filled(|fill| {
        fill.file("file", b"content");
    });
    let vault = unlock(storage, &VaultOptions::default());
    let clock = Arc::new(ManualClock::default());
    let volume = Arc::new(Volume::start(vault, VolumeOptions::default(), clock).unwrap());
    let (host, at) = (Table::default(), Path::new("/mnt"));
    let backend: Box<dyn MountBackend> = Box::new(host.clone());
    assert_eq!((backend.name(), backend.availability()), ("table", Availability::Ready));

    let mut mounted = ready(backend.mount(Arc::clone(&volume), at)).unwrap();
    assert_eq!(mounted.mountpoint(), at);
    let there = Arc::clone(&host.0.lock().unwrap()[0].1);
    assert!(there.lookup(&there.vault().root(), &name("file")).wait().is_ok());
    let busy = ready(mounted.unmount(Unmount::IfUnused)).unwrap_err();
    assert_eq!(busy.kind(), io::ErrorKind::ResourceBusy);
    ready(mounted.unmount(Unmount::Force)).unwrap();
    ready(mounted.wait()).unwrap();
    assert!(host.0.lock().unwrap().is_empty());
}
