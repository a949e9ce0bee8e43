//! Many who write, read, rename and remove at once, each of whom knows what has to be there.

use crate::stage::Stage;
use crate::tools::{amount, lacks};

/// Writers replace files by complete new ones, which hold their checksums; whoever reads one finds it whole, under
/// whichever name. Beside that all of them write to places of their own in one shared file.
const CROWD: &str = r#"
import errno, os, random, sys, zlib
WRITERS, READERS, RENAMERS, NAMES, SLOT = 3, 2, 1, 40, 50001

def sealed(text): return b"%08x" % zlib.crc32(text) + text
def is_whole(data): return data[:8] == b"%08x" % zlib.crc32(data[8:])

def write(number, rounds):
    own = random.Random(number)
    shared = os.open("shared", os.O_RDWR)
    slot = bytearray(SLOT)
    os.makedirs(f"own {number}", exist_ok=True)
    for round in range(rounds):
        draft = f"own {number}/draft {round}"
        with open(draft, "wb") as file:
            text = sealed(own.randbytes(own.choice([0, 100, 32760, 40000, 200000])))
            for at in range(0, len(text), 70000): file.write(text[at:at + 70000])
            if own.random() < 0.1: os.fsync(file.fileno())
        os.rename(draft, f"files/{own.randrange(NAMES)}")
        at, data = own.randrange(SLOT - 3000), own.randbytes(own.randrange(3000))
        slot[at:at + len(data)] = data
        assert os.pwrite(shared, data, number * SLOT + at) == len(data)
        assert os.pread(shared, SLOT, number * SLOT).ljust(SLOT, b"\0") == slot, "its own slot"
        with open(f"own {number}/kept {round % 20}", "wb") as file: file.write(text)
        if own.random() < 0.2:
            os.mkdir(f"own {number}/folder")
            os.rename(f"own {number}/folder", f"own {number}/other")
            os.rmdir(f"own {number}/other")
    with open(f"own {number}/slot", "wb") as file: file.write(sealed(bytes(slot)))

def read(number, rounds):
    own = random.Random(number)
    for round in range(rounds * 2):
        try:
            with open(f"files/{own.randrange(NAMES)}", "rb") as file: assert is_whole(file.read()), "half a file"
        except OSError as error:
            # As is promised where one file after the other takes a name while it is opened.
            if error.errno not in (errno.ENOENT, errno.ESTALE): raise
        if round % 20 == 0: os.listdir("files")

def rename(number, rounds):
    own = random.Random(number)
    for round in range(rounds * 2):
        one, other = own.randrange(NAMES), own.randrange(NAMES)
        try: os.unlink(f"files/{one}") if round % 7 == 0 else os.rename(f"files/{one}", f"files/{other}")
        except FileNotFoundError: pass

def check():
    for folder, _, names in os.walk("."):
        for name in names:
            if name == "shared": continue
            with open(os.path.join(folder, name), "rb") as file: assert is_whole(file.read()), (folder, name)
    with open("shared", "rb") as file: shared = file.read()
    for number in range(WRITERS):
        with open(f"own {number}/slot", "rb") as file: slot = file.read()[8:]
        assert shared[number * SLOT:(number + 1) * SLOT].ljust(SLOT, b"\0") == slot, number

if len(sys.argv) > 1:
    os.mkdir("files")
    open("shared", "wb").close()
    children = []
    for number in range(WRITERS + READERS + RENAMERS):
        child = os.fork()
        if child == 0:
            work = write if number < WRITERS else read if number < WRITERS + READERS else rename
            try: work(number, int(sys.argv[1]))
            except BaseException as error:
                print(work.__name__, number, repr(error), flush=True)
                os._exit(1)
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * len(children)
check()
"#;

#[test]
fn what_a_crowd_writes_renames_and_removes_is_whole_at_any_time() {
    if lacks("python3") {
        return;
    }
    let rounds = amount(60, 500).to_string();
    for mut stage in Stage::both() {
        stage.run(r#"python3 -c "$1" "$2""#, &[CROWD, &rounds]);
        stage.outlives_a_remount();
        stage.run(r#"python3 -c "$1""#, &[CROWD]);
    }
}
