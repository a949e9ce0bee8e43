//! Files that nobody has open, and that the mount's process has, because storage does not take what was written to them.

use std::fs;

use crate::child::{CEILING, Child, poll};
use crate::mounted::{Mounted, OXCRYPT};
use crate::scene::{Scene, Setting};
use crate::who::Who;

/// How many files the mount's process may have open.
const LIMIT: usize = 256;

/// Makes files and writes to them, each in a process of its own that is killed while it closes the file, until the mount
/// takes no more. Prints how many files that were, and the error.
const WRITE: &str = r#"
import errno, os, sys
closed, refused = 0, 0
while closed < 400 and not refused:
    batch = []
    while len(batch) < 20 and not refused:
        told, tell = os.pipe()
        batch.append(os.fork())
        if batch[-1] == 0:
            try:
                file = os.open(f"{sys.argv[1]}/{closed + len(batch) - 1}", os.O_WRONLY | os.O_CREAT)
                os.write(file, b"written")
                os.write(tell, bytes([0]))
                os.close(file)
            except OSError as error:
                os.write(tell, bytes([error.errno]))
            os._exit(0)
        os.close(tell)
        refused = os.read(told, 1)[0]
        os.close(told)
    for process in batch: os.kill(process, 9)
    for process in batch: os.waitpid(process, 0)
    closed += len(batch)
print(closed - 1, errno.errorcode.get(refused))
"#;

fn mount(scene: &Scene, home: &std::path::Path) -> Mounted {
    let place = home.join("mount");
    fs::create_dir_all(&place).unwrap();
    let mut command = Who::Root.command(home, "sh");
    command.args([
        "-euc",
        &format!("ulimit -n {LIMIT}; exec \"$0\" \"$@\""),
        OXCRYPT,
        "mount",
        "--foreground",
    ]);
    command.args(["--passphrase-env", "PASSPHRASE"]).arg(scene.vault()).arg(&place);
    Mounted::run(Who::Root, &mut command, &place, home)
}

#[test]
fn a_file_that_is_closed_and_not_stored_counts_as_one_that_is_open() {
    let Some(scene) = Scene::new(Setting { max_background: 4096, async_dio: false, cold: 1 }) else { return };
    let home = tempfile::tempdir().unwrap();
    let mut mounted = mount(&scene, home.path());
    mounted.look("stat", &["cold"]).succeed();
    scene.store.command("freeze write **");
    let mut write = Child::start(mounted.command("python3").args(["-c", WRITE]).arg(mounted.path("cold")));
    let written = write.ended_within(CEILING).expect("nobody is kept waiting").output;
    let written = String::from_utf8(written).unwrap();
    let Some((files, "ENFILE\n")) = written.split_once(' ') else { panic!("{written}") };
    let files: usize = files.parse().unwrap();
    let open = fs::read_dir(format!("/proc/{}/fd", mounted.process().id())).unwrap().count();
    assert!(files >= LIMIT / 4 && open <= LIMIT * 3 / 4 + 20, "{files} files take {open} descriptors");
    // All else has what it needs.
    for dir in ["listed", "hot", "cold"] {
        mounted.look("ls", &[dir]).succeed();
    }
    mounted.look("mv", &["hot/0", "hot/moved"]).succeed();
    scene.thaw();
    poll(CEILING, || (mounted.unsaved_files() == 0).then_some(())).expect("storage takes all of it");
    let last = format!("cold/{}", files - 1);
    assert_eq!(mounted.look("cat", &["hot/moved", &last]).succeed().output.len(), crate::scene::HOT_LEN + 7);
    assert_eq!(mounted.look("touch", &["one more"]).succeed().output, b"");
}
