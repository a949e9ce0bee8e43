//! `pycryptomator`, which knows `SIV_GCM` only, sees in our vaults what is in them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::command::{run, wanted};
use crate::manifest::{Manifest, listed};

/// What is installed, and what it needs.
const PACKAGES: [&str; 2] = ["pycryptomator==1.15", "pycryptodome==4.4.0"];

/// An environment that has it, made once, or nothing where this machine cannot have one.
pub(crate) fn python() -> Option<&'static Path> {
    static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    wanted("pycryptomator", &PYTHON, install).map(PathBuf::as_path)
}

fn install() -> Result<PathBuf, String> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop-python");
    fs::create_dir_all(&dir).unwrap();
    let lock = File::create(dir.join("lock")).unwrap();
    lock.lock().unwrap();
    let (stamp, python) = (dir.join("installed"), dir.join("bin/python"));
    if fs::read_to_string(&stamp).ok() != Some(PACKAGES.concat()) || !python.exists() {
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv"]).arg(&dir);
        run(venv, "python3-venv")?;
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES);
        run(pip, "python3-pip")?;
        fs::write(&stamp, PACKAGES.concat()).unwrap();
    }
    Ok(python)
}

/// All that it sees.
pub(crate) fn list(python: &Path, vault: &Path, passphrase: &str) -> Manifest {
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/second_opinion.py"));
    command.arg(vault).arg(passphrase);
    listed(&serde_json::from_str(&run(command, "python3").unwrap()).unwrap())
}
