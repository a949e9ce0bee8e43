//! What the vault lies on: the slow store, by itself or with rclone between.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::options::{self, Options};
use super::served::{Served, is_installed};
use super::vault;
use crate::child::{CEILING, Child, poll};
use crate::mounts;
use crate::slow_store::Store;

/// More than any storm here has: what rclone serves is to have no queue of its own that matters.
const NO_LIMIT: &str = "16384";

/// A store that is up.
pub(crate) struct Storage {
    /// Goes first, so that nobody asks the store any more when that ends.
    rclone: Option<Rclone>,
    store: Store,
}

/// `rclone mount` of `rclone serve webdav`.
struct Rclone {
    mount: Served,
    _server: Child,
}

impl Storage {
    /// Brings up a store over what `fill` makes. `None`, with a word on standard error, where nothing can be mounted.
    pub(crate) fn start(options: &Options, fill: impl FnOnce(&Path)) -> Option<Self> {
        let limit = options.max_background.to_string();
        let mut arguments = match options.store {
            options::Store::Slow => vec!["--max-background", &limit],
            options::Store::Rclone => vec!["--max-background", NO_LIMIT],
        };
        arguments.extend(options.async_dio.then_some("--async-dio"));
        arguments.extend(options.rule.iter().flat_map(|rule| ["--rule", rule]));
        let store = Store::start(&arguments, fill)?;
        let rclone = (options.store == options::Store::Rclone).then(|| Rclone::start(&store));
        Some(Self { rclone, store })
    }

    /// The vault's folder. For subjects and children only.
    pub(crate) fn vault(&self) -> PathBuf {
        self.rclone.as_ref().map_or_else(|| self.store.mounted(""), |rclone| rclone.mount.place().to_owned())
    }

    /// The file that has the vault's passphrase.
    pub(crate) fn passfile(&self) -> PathBuf {
        vault::passfile(&self.store.behind(""))
    }

    /// What it is, for people.
    pub(crate) fn describe(&self) -> String {
        let limit = |limit: Option<u64>| limit.map_or("unknown".to_owned(), |limit| limit.to_string());
        match &self.rclone {
            None => {
                let own = self.store.command("status")["max_background"].as_u64();
                format!("slow_store, max_background {}", limit(own))
            }
            Some(rclone) => {
                let own = rclone.mount.controls().and_then(|controls| controls.max_background().ok());
                format!("rclone mount of rclone serve webdav, max_background {}", limit(own))
            }
        }
    }

    /// Lets reads of cold files wait from now on.
    pub(crate) fn freeze(&self) -> Frozen<'_> {
        let answer = self.store.command(&format!("freeze {}", vault::COLD_RULE));
        Frozen { store: &self.store, rules: vec![answer["rule"].as_u64().expect("a rule's number")] }
    }

    /// How many reads wait in it.
    pub(crate) fn held(&self) -> u64 {
        self.store.command("status")["held"].as_u64().unwrap_or(0)
    }
}

/// As long as this is there, reads of cold files wait. Then all that waits is carried out.
pub(crate) struct Frozen<'a> {
    store: &'a Store,
    rules: Vec<u64>,
}

impl Frozen<'_> {
    /// From now on such reads fail, so that those files stay cold, and so does all that waits.
    pub(crate) fn fail(&mut self) {
        let answer = self.store.command(&format!("fail ETIMEDOUT {}", vault::COLD_RULE));
        self.rules.push(answer["rule"].as_u64().expect("a rule's number"));
        self.store.command("answer ETIMEDOUT");
    }

    /// Carries out all that waits, and all that comes.
    pub(crate) fn thaw(&mut self) {
        for rule in self.rules.drain(..) {
            self.store.command(&format!("thaw {rule}"));
        }
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        self.thaw();
    }
}

impl Rclone {
    fn start(store: &Store) -> Self {
        let folder = mounts::new_place("rclone");
        let program = || {
            let mut command = Command::new("rclone");
            command.env("RCLONE_CONFIG", folder.join("none")).env("NO_PROXY", "127.0.0.1");
            command.arg("--cache-dir").arg(folder.join("cache"));
            command
        };
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("a free port");
        let mut server = program();
        server
            .args(["serve", "webdav", "--read-only", "--addr", &address.to_string()])
            .arg(store.mounted(""));
        let mut server = Child::start(&mut server);
        let up = || (TcpStream::connect(address).is_ok() || !server.is_running()).then_some(());
        poll(CEILING, up).expect("rclone serve webdav comes up");
        let place = folder.join("mount");
        fs::create_dir(&place).expect("a folder");
        let mut mount = program();
        mount.args(["mount", "--read-only", "--vfs-cache-mode", "full", "--dir-cache-time", "1h"]);
        mount.arg(format!(":webdav,vendor=other,url='http://{address}':")).arg(&place);
        Self {
            mount: Served::start(&mut mount, &place).unwrap_or_else(|error| panic!("rclone: {error}")),
            _server: server,
        }
    }
}

/// Whether the programs that a store needs are here; else what to install.
pub(crate) fn lacking(store: options::Store) -> Option<&'static str> {
    (store == options::Store::Rclone && !is_installed("rclone"))
        .then_some("rclone (on Debian: apt-get install rclone fuse3)")
}
