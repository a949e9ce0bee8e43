//! The program in `java`, built once for each JDK.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::jdk::Jdk;
use crate::command::run;
use crate::manifest::sha256;

pub(super) struct Program {
    jdk: Jdk,
    /// Where it is built.
    dir: PathBuf,
}

impl Program {
    /// Does nothing if it is there already, from the same sources. The error says what is missing.
    pub(super) fn build(jdk: Jdk) -> Result<Self, String> {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("interop-java-{}", jdk.version));
        fs::create_dir_all(&dir).unwrap();
        let program = Self { jdk, dir };
        // Others may run these tests at the same time.
        let lock = File::create(program.dir.join("lock")).unwrap();
        lock.lock().unwrap();
        let (stamp, sources) = (program.dir.join("built"), sources());
        if fs::read_to_string(&stamp).ok().as_ref() != Some(&sources) || !program.is_whole() {
            program.maven(&["--offline"]).or_else(|_| program.maven(&[]))?;
            fs::write(&stamp, sources).unwrap();
        }
        Ok(program)
    }

    /// The command that runs it. What it writes to standard error goes to a file.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(self.jdk.home.join("bin/java"));
        // Most of the time goes into starting and little into running.
        command.args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m", "-cp"]);
        let mut classes = OsString::from(self.dir.join("classes"));
        classes.push(":");
        classes.push(self.libraries());
        command.arg(classes).arg("Judge");
        command.stderr(File::create(self.errors()).unwrap());
        command
    }

    /// What it writes to standard error.
    pub(super) fn errors(&self) -> PathBuf {
        self.dir.join("errors")
    }

    fn libraries(&self) -> String {
        fs::read_to_string(self.dir.join("libraries")).unwrap_or_default()
    }

    /// Maven's own store of libraries may have been cleared.
    fn is_whole(&self) -> bool {
        let libraries = self.libraries();
        !libraries.is_empty() && libraries.split(':').all(|jar| Path::new(jar).exists())
    }

    fn maven(&self, options: &[&str]) -> Result<(), String> {
        let mut maven = Command::new("mvn");
        maven
            .args(["--quiet", "--batch-mode", "--no-transfer-progress"])
            .args(options)
            .arg("--file")
            .arg(java());
        maven.arg(format!("-Dinterop.target={}", self.dir.display()));
        maven.arg(format!("-Dmdep.outputFile={}", self.dir.join("libraries").display()));
        maven.args(["compiler:compile", "dependency:build-classpath"]).env("JAVA_HOME", &self.jdk.home);
        run(maven, "maven").map(drop)
    }
}

fn java() -> PathBuf {
    // The tests of the command ask it, too.
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../oxcrypt-core/tests/interop/java")
}

/// The hash of all that it is built from.
fn sources() -> String {
    let mut paths: Vec<_> = fs::read_dir(java()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    sha256(&paths.iter().flat_map(|path| fs::read(path).unwrap()).collect::<Vec<_>>())
}
