//! A mount while storage hangs: who waits for it, and what it still answers.

use std::time::{Duration, Instant};

use crate::child::{CEILING, Child, Ended, poll};
use crate::mounted::Mounted;
use crate::mounts::Mount;
use crate::scene::{HOT_FILES, hot_content};

/// Whoever has no reason to hang is not to take longer than this, on the busiest machine.
const PATIENCE: Duration = Duration::from_secs(10);

impl Mounted {
    /// Reads the first page of a file.
    pub(crate) fn read_page(&self, name: &str) -> Child {
        let mut input = std::ffi::OsString::from("if=");
        input.push(self.path(name));
        Child::start(self.command("dd").arg(input).args(["bs=4096", "count=1", "status=none"]))
    }

    /// A crowd, each of whom reads the first page of a cold file of its own. Returns when the kernel has `waiting`
    /// requests from them.
    pub(crate) fn crowd(&self, cold: std::ops::Range<usize>, waiting: usize) -> Child {
        let script = r#"
            i=$2
            while [ $i -lt $3 ]; do
                dd if="$1/$i" bs=4096 count=1 of=/dev/null status=none 2>/dev/null &
                i=$((i + 1))
            done
            wait"#;
        let mut command = self.command("sh");
        command.args(["-uc", script, "sh"]).arg(self.path("cold"));
        let crowd = Child::start(command.args([cold.start.to_string(), cold.end.to_string()]));
        let there = poll(CEILING, || (self.waiting() >= waiting as u64).then_some(()));
        assert!(there.is_some(), "{} wait, not {waiting}", self.waiting());
        crowd
    }

    /// How many requests of this mount the kernel has no answer to.
    pub(crate) fn waiting(&self) -> u64 {
        let controls = Mount::at(&self.path("")).and_then(|mount| mount.controls());
        controls.and_then(|controls| controls.waiting().ok()).unwrap_or(0)
    }

    /// How many reads the mount has not answered.
    pub(crate) fn reads(&self) -> usize {
        let demand = &self.status()["classes"]["demand"];
        let count = |which: &str| demand[which].as_u64().unwrap_or(0);
        usize::try_from(count("waiting") + count("running")).unwrap()
    }

    /// Reads hot files, looks at attributes, lists, asks for free space, each as a program does, and checks what comes.
    /// Returns how long that took altogether. Panics if anything hangs or fails.
    #[track_caller]
    pub(crate) fn is_used(&self) -> Duration {
        let started = Instant::now();
        for number in 0..HOT_FILES {
            let name = format!("hot/{number}");
            // Past the kernel's page cache, so that it is this mount that answers.
            let script = r#"dd if="$1" of=/dev/null iflag=nocache count=0 status=none; cat "$1""#;
            let mut command = self.command("sh");
            let read = Child::start(command.args(["-euc", script, "sh"]).arg(self.path(&name)));
            assert!(succeed(read, &name).output == hot_content(number), "{name} reads as something else");
        }
        succeed(self.look("stat", &["cold/0", "hot", "listed/listed 7"]), "stat");
        let listed = succeed(self.look("ls", &["listed"]), "ls");
        assert_eq!(listed.output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count(), 50);
        succeed(self.look("df", &[""]), "df");
        started.elapsed()
    }
}

#[track_caller]
fn succeed(mut child: Child, what: &str) -> Ended {
    let Some(ended) = child.ended_within(PATIENCE) else { panic!("{what} hangs") };
    assert!(ended.status.success(), "{what}: {}", String::from_utf8_lossy(&ended.output));
    ended
}
