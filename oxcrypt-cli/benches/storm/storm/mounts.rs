//! The mounts of a run: found in the mount table below its temporary folder, looked at and undone without ever looking
//! into them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::mount::UnmountFlags;

use crate::controls::Controls;

/// A mount as the table has it.
#[derive(Debug)]
pub(crate) struct Mount {
    place: PathBuf,
    /// The number of its FUSE connection, if it is of that kind.
    connection: Option<u32>,
}

impl Mount {
    /// All at or below a folder, the oldest first.
    pub(crate) fn below(folder: &Path) -> Vec<Self> {
        let table = fs::read_to_string("/proc/self/mountinfo").expect("a mount table");
        table.lines().filter_map(Self::parse).filter(|mount| mount.place.starts_with(folder)).collect()
    }

    /// The one at this place, if it is there.
    pub(crate) fn at(place: &Path) -> Option<Self> {
        Self::below(place).into_iter().rfind(|mount| mount.place == place)
    }

    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(' ');
        let (device, place) = (fields.nth(2)?, fields.nth(1)?);
        let kind = fields.skip_while(|field| *field != "-").nth(1)?;
        let connection = kind.starts_with("fuse").then(|| device.strip_prefix("0:")?.parse().ok()).flatten();
        // Blanks would be spelled `\040`; the folders of a run have none.
        Some(Self { place: place.into(), connection })
    }

    /// The kernel's controls of it.
    pub(crate) fn controls(&self) -> Option<Controls> {
        Controls::of(self.connection?).ok()
    }

    /// Ends it, whoever waits for it: they get an error. The connection goes first, as long as its number is surely its
    /// own.
    pub(crate) fn undo(&self) -> io::Result<()> {
        // An error says that it has ended with its server, or that waiters have to wait for that.
        let _ = self.controls().map(|controls| controls.abort());
        match rustix::mount::unmount(&self.place, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH) {
            // Its server was quicker.
            Err(rustix::io::Errno::INVAL) => Ok(()),
            done => Ok(done?),
        }
    }
}

/// A new folder to mount on. It stays until the run ends, when it is known that nothing is mounted there any more:
/// who removes a folder looks into it.
pub(crate) fn new_place(name: &str) -> PathBuf {
    let folder = tempfile::Builder::new().prefix(&format!("{name}-")).tempdir();
    folder.expect("a temporary folder").keep()
}

/// Undoes all mounts at or below a folder, the newest first. What cannot be undone is told on standard error.
pub(crate) fn undo_below(folder: &Path) {
    for mount in Mount::below(folder).iter().rev() {
        if let Err(error) = mount.undo() {
            eprintln!("storm: {} is still mounted: {error}", mount.place.display());
        }
    }
}
