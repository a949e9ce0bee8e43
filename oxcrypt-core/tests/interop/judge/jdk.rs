//! Which JDK the official code runs on.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// The oldest that any version of the official code runs on that is asked here.
const OLDEST: u32 = 17;

pub(super) struct Jdk {
    pub(super) home: PathBuf,
    pub(super) version: String,
}

impl Jdk {
    /// That of `JAVA_HOME` where that is set, else the newest that lies where JDKs lie.
    pub(super) fn find() -> Result<Self, String> {
        if let Some(home) = env::var_os("JAVA_HOME").filter(|home| !home.is_empty()) {
            let home = PathBuf::from(home);
            let jdk = Self::at(&home);
            return jdk.ok_or_else(|| format!("JAVA_HOME={} is no JDK of {OLDEST} or newer", home.display()));
        }
        let installed = fs::read_dir("/usr/lib/jvm").into_iter().flatten();
        let installed = installed.filter_map(|entry| Some(entry.ok()?.path()));
        let jdks = installed.chain(on_path()).filter_map(|home| Self::at(&home));
        let newest = jdks.max_by_key(|jdk| major(&jdk.version));
        newest.ok_or_else(|| {
            format!("no JDK {OLDEST} or newer (on Debian: apt-get install openjdk-17-jdk-headless)")
        })
    }

    fn at(home: &Path) -> Option<Self> {
        let release = fs::read_to_string(home.join("release")).ok()?;
        let version = release.lines().find_map(|line| line.strip_prefix("JAVA_VERSION="))?;
        let jdk = Self { home: home.to_owned(), version: version.trim_matches('"').to_owned() };
        let is_usable = home.join("bin/javac").exists() && major(&jdk.version)? >= OLDEST;
        is_usable.then_some(jdk)
    }
}

fn major(version: &str) -> Option<u32> {
    version.split(['.', '-', '+']).next()?.parse().ok()
}

fn on_path() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let javac = env::split_paths(&path).find_map(|dir| dir.join("javac").canonicalize().ok())?;
    Some(javac.parent()?.parent()?.to_owned())
}
