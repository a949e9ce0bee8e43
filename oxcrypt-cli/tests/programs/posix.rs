//! What programs expect of open files, by a few that do nothing else.

use crate::stage::Stage;
use crate::tools::{amount, lacks};

/// Has a program of Python say the same on the mount and in a plain folder, and leave the same behind.
#[track_caller]
fn agree(program: &str, words: &[&str]) {
    if lacks("python3") {
        return;
    }
    // The program is indented as it is here.
    let program = format!("if True:\n{PRELUDE}{program}");
    let words = [&[program.as_str()], words].concat();
    for mut stage in Stage::both() {
        stage.compare(r#"program=$1; shift; python3 -c "$program" "$@""#, &words);
        stage.outlives_a_remount();
    }
}

/// What all of them want.
const PRELUDE: &str = r#"
        import ctypes, errno, fcntl, mmap, os, sys, zlib
        def crc(data): return zlib.crc32(data)
        def read(path):
            with open(path, "rb") as file: return file.read()
        def write(path, data):
            with open(path, "wb") as file: file.write(data)
        def fails(do, *args):
            try: do(*args)
            except OSError as error: print(do.__name__, errno.errorcode[error.errno])
            else: print(do.__name__, "did not fail")
        def together(count, work):
            children = []
            for number in range(count):
                child = os.fork()
                if child == 0:
                    try: work(number)
                    except BaseException as error:
                        print(number, repr(error), flush=True)
                        os._exit(1)
                    os._exit(0)
                children.append(child)
            print([os.waitpid(child, 0)[1] for child in children])
"#;

#[test]
fn a_file_that_is_removed_while_open_goes_on_until_it_is_closed() {
    agree(
        r#"
        file = os.open("file", os.O_RDWR | os.O_CREAT, 0o640)
        os.write(file, b"before")
        os.unlink("file")
        os.write(file, b" and after" * 10000)
        print(os.fstat(file).st_size, os.fstat(file).st_nlink, oct(os.fstat(file).st_mode))
        os.ftruncate(file, 70001)
        print(os.fstat(file).st_size, os.pread(file, 20, 0), crc(os.pread(file, 80000, 0)))
        os.ftruncate(file, 170001)
        print(os.fstat(file).st_size, crc(os.pread(file, 180000, 0)))
        os.fchmod(file, 0o600)
        os.utime(file, ns=(1, 1234567890123456789))
        print(oct(os.fstat(file).st_mode), os.fstat(file).st_mtime_ns)
        os.fsync(file)
        map = mmap.mmap(file, 1000)
        map[500:505] = b"apart"
        map.flush()
        print(os.pread(file, 10, 498))
        write("file", b"another of this name")
        print(os.listdir("."), read("file"), os.pread(file, 6, 0))
        os.write(file, b"more")
        os.close(file)
        print(read("file"))"#,
        &[],
    );
}

#[test]
fn a_file_that_is_replaced_while_open_is_still_read_and_written_as_what_it_was() {
    agree(
        r#"
        write("new", b"new" * 30000)
        write("old", b"old" * 50000)
        old = os.open("old", os.O_RDWR)
        new = os.open("new", os.O_RDWR)
        os.rename("new", "old")
        print(os.listdir("."), crc(os.pread(old, 200000, 0)), crc(os.pread(new, 200000, 0)))
        print(os.fstat(old).st_nlink, os.fstat(new).st_nlink, os.fstat(new).st_ino == os.stat("old").st_ino)
        os.pwrite(old, b"to what is gone", 70000)
        os.pwrite(new, b"to what is there", 70000)
        os.ftruncate(old, 10)
        print(os.pread(old, 100, 0), os.stat("old").st_size, crc(read("old")))
        for file in old, new: os.fsync(file); os.close(file)
        print(crc(read("old")))"#,
        &[],
    );
}

#[test]
fn set_id_bits_are_those_of_any_folder_however_late_a_file_is_stored() {
    agree(
        r#"
        os.umask(0)
        held = os.open("open", os.O_CREAT | os.O_WRONLY)
        os.write(held, b"text")
        os.chmod("open", 0o4711)
        os.close(os.open("made", os.O_CREAT | os.O_WRONLY, 0o6755))
        for name, mode in [("closed", 0o2711), ("written", 0o4711), ("taken", 0o4711)]:
            write(name, b"text")
            os.chmod(name, mode)
        with open("written", "ab") as file: file.write(b", and more")
        os.chmod("taken", 0o711)
        os.fsync(held)
        for name in sorted(os.listdir()): print(name, oct(os.stat(name).st_mode))"#,
        &[],
    );
}

#[test]
fn what_is_open_goes_along_when_it_or_its_folder_is_renamed() {
    agree(
        r#"
        os.makedirs("folder/inner")
        file = os.open("folder/inner/file", os.O_RDWR | os.O_CREAT)
        folder = os.open("folder/inner", os.O_RDONLY)
        os.write(file, b"one ")
        os.rename("folder", "moved")
        os.write(file, b"two ")
        os.rename("moved/inner/file", "file")
        os.write(file, b"three ")
        os.rename("file", "moved/inner/" + "l" * 250)
        os.write(file, b"four")
        print(os.listdir(folder)[0][:9], os.fstat(file).st_size, read("moved/inner/" + "l" * 250))
        os.rename("moved/inner/" + "l" * 250, "last")
        write("moved/inner/other", b"other")
        print(os.listdir(folder), read("last"))
        os.mkdir("empty")
        os.rename("moved/inner", "empty")
        print(sorted(os.listdir("empty")), sorted(os.listdir("moved")))"#,
        &[],
    );
}

#[test]
fn a_rename_replaces_nothing_or_exchanges_two_where_it_is_told_to() {
    agree(
        r#"
        libc = ctypes.CDLL(None, use_errno=True)
        def renameat2(one, other, flags):
            if libc.renameat2(-100, one.encode(), -100, other.encode(), flags) != 0:
                raise OSError(ctypes.get_errno(), one)
        os.mkdir("folder")
        write("folder/inner", b"inner")
        write("file", b"file")
        os.symlink("target", "link")
        fails(renameat2, "file", "link", 1)
        fails(renameat2, "file", "folder", 1)
        fails(renameat2, "nowhere", "file", 2)
        fails(renameat2, "file", "nowhere", 2)
        fails(renameat2, "folder", "folder/inner", 2)
        fails(renameat2, "file", "other", 3)
        renameat2("file", "other", 1)
        open_one = os.open("other", os.O_RDONLY)
        renameat2("other", "folder", 2)
        print(read("folder"), read("other/inner"), os.pread(open_one, 10, 0))
        renameat2("folder", "link", 2)
        print(read("link"), os.readlink("folder"), sorted(os.listdir(".")))
        renameat2("other/inner", "link", 2)
        print(read("other/inner"), read("link"))"#,
        &[],
    );
}

#[test]
fn of_many_who_create_the_same_name_one_succeeds() {
    agree(
        r#"
        names = int(sys.argv[1])
        def race(number):
            won = []
            for name in range(names):
                try: os.write(os.open(f"file {name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL), b"%d" % number)
                except FileExistsError: pass
                else: won.append(f"file {name}")
                try: os.mkdir(f"folder {name}")
                except FileExistsError: pass
                else: won.append(f"folder {name}")
                try: os.symlink(str(number), f"link {name}")
                except FileExistsError: pass
                else: won.append(f"link {name}")
            write(f"won by {number}", "\n".join(won).encode())
        together(5, race)
        won = [name for number in range(5) for name in read(f"won by {number}").decode().split("\n") if name]
        print(len(won), len(set(won)))
        for number in range(5):
            for name in read(f"won by {number}").decode().split("\n"):
                if name.startswith("file"): assert read(name) == b"%d" % number, (name, number)
                if name.startswith("link"): assert os.readlink(name) == str(number), (name, number)
            os.unlink(f"won by {number}")
        for name in range(names): os.unlink(f"file {name}"); os.unlink(f"link {name}")"#,
        &[&amount(40, 300).to_string()],
    );
}

#[test]
fn lines_that_several_append_are_whole_and_in_order() {
    agree(
        r#"
        lines = int(sys.argv[1])
        def append(number):
            log = os.open("log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            for line in range(lines):
                text = b"%d %d %s\n" % (number, line, b"x" * (line * 37 % 5000))
                assert os.write(log, text) == len(text)
        together(4, append)
        next = [0] * 4
        for line in read("log").splitlines():
            number, line, text = line.split(b" ")
            assert int(line) == next[int(number)] and len(text) == int(line) * 37 % 5000, (number, line)
            next[int(number)] += 1
        print(next, os.stat("log").st_size)
        os.unlink("log")"#,
        &[&amount(200, 2_000).to_string()],
    );
}

#[test]
fn what_one_writes_into_a_shared_mapping_others_read() {
    agree(
        r#"
        LEN = 300000
        write("file", bytes(LEN))
        def fill(number):
            with open("file", "r+b") as file:
                map = mmap.mmap(file.fileno(), LEN)
                for at in range(number, LEN, 4): map[at] = number + 1
                map.flush()
                map.close()
        together(4, fill)
        print(crc(read("file")))
        file = os.open("file", os.O_RDWR)
        map = mmap.mmap(file, LEN)
        map[40000:40009] = b"by memory"
        print(os.pread(file, 9, 40000))
        os.pwrite(file, b"by a write", 80000)
        print(map[80000:80010])
        os.ftruncate(file, LEN + 50000)
        grown = mmap.mmap(file, LEN + 50000)
        print(grown[LEN:] == bytes(50000))
        grown[LEN + 49999] = 7
        private = mmap.mmap(file, LEN, flags=mmap.MAP_PRIVATE)
        private[0:4] = b"mine"
        os.close(file)
        map[0:4] = b"ours"
        del map, grown
        print(private[0:4], crc(read("file")))"#,
        &[],
    );
}

#[test]
fn handles_with_and_without_the_page_cache_see_each_others_writes() {
    agree(
        r#"
        def aligned(data):
            map = mmap.mmap(-1, len(data))
            map[:] = data
            return map
        write("file", b"a" * 200000)
        cached = os.open("file", os.O_RDWR)
        direct = os.open("file", os.O_RDWR | os.O_DIRECT)
        def see(at):
            into = aligned(bytes(4096))
            os.preadv(direct, [into], at)
            assert into[:] == os.pread(cached, 4096, at), at
            print(crc(into[:]))
        for at in 0, 4096, 98304: see(at)
        os.pwritev(direct, [aligned(b"b" * 8192)], 4096)
        see(4096)
        os.pwrite(cached, b"c" * 3000, 5000)
        see(4096)
        os.pwritev(direct, [aligned(b"d" * 4096)], 8192)
        see(8192)
        map = mmap.mmap(cached, 100000)
        map[8200:8300] = b"e" * 100
        map.flush()
        see(8192)
        os.ftruncate(cached, 50000)
        os.ftruncate(direct, 100000)
        see(45056)
        see(49152)
        print(crc(read("file")))"#,
        &[],
    );
}

#[test]
fn locks_hold_between_processes() {
    agree(
        r#"
        write("count", b"0")
        write("other", b"0")
        def add(number):
            for round in range(50):
                with open("count", "r+b", buffering=0) as file:
                    fcntl.lockf(file, fcntl.LOCK_EX)
                    count = int(os.pread(file.fileno(), 20, 0))
                    os.pwrite(file.fileno(), b"%d" % (count + 1), 0)
                with open("other", "r+b", buffering=0) as file:
                    fcntl.flock(file, fcntl.LOCK_EX)
                    count = int(os.pread(file.fileno(), 20, 0))
                    os.pwrite(file.fileno(), b"%d" % (count + 1), 0)
        together(4, add)
        print(read("count"), read("other"))"#,
        &[],
    );
}

#[test]
fn a_listing_has_all_that_stays_once_while_others_come_and_go() {
    agree(
        r#"
        for number in range(2000): write(f"stays {number}", b"")
        def change(number):
            for round in range(300):
                write(f"goes {number} {round}", b"")
                os.unlink(f"goes {number} {round}")
        def look(number):
            for round in range(8):
                names = [name for name in os.listdir(".") if name.startswith("stays")]
                assert len(names) == len(set(names)) == 2000, (len(names), len(set(names)))
        together(4, lambda number: (change if number % 2 else look)(number))
        for name in os.listdir("."): os.unlink(name)
        print(os.listdir("."))"#,
        &[],
    );
}

#[test]
fn ranges_are_copied_allocated_and_sent() {
    agree(
        r#"
        write("source", b"".join(b"%d\n" % number for number in range(100000)))
        source = os.open("source", os.O_RDWR)
        target = os.open("target", os.O_RDWR | os.O_CREAT)
        def copy(count, at, to, into=target):
            done = 0
            while done < count:
                some = os.copy_file_range(source, into, count - done, at + done, to + done)
                if some == 0: break
                done += some
            print(done)
        copy(300000, 5, 0)
        copy(70000, 100001, 500003)
        copy(10 << 20, 0, 600000)
        copy(60000, 0, 300000, source)
        fails(copy, 1000, 0, 500, source)
        os.posix_fallocate(target, 0, 2000000)
        print(os.fstat(target).st_size, crc(read("target")), crc(read("source")))
        os.lseek(target, 0, os.SEEK_SET)
        print(os.sendfile(target, source, 17, 50000), crc(read("target")))
        for at in 0, 100000, 1999999:
            assert at <= os.lseek(target, at, os.SEEK_HOLE) <= 2000000
        fails(os.lseek, target, 2000000, os.SEEK_HOLE)
        fails(os.lseek, target, 2000000, os.SEEK_DATA)"#,
        &[],
    );
}
