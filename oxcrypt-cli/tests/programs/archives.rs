//! Trees that go in and come out again. `rsync -@-1` minds nanoseconds.

use crate::stage::Stage;
use crate::tools::lacks;

/// A tree with something of everything in `../plain/tree`, with owners where it is root who makes it.
const TREE: &str = r#"
    mkdir -p tree/deep/er tree/empty "tree/$(printf 'd%.0s' $(seq 200))"
    for number in $(seq 60); do seq "$number" "$((number * 700))" > "tree/deep/file $number"; done
    : > tree/deep/er/nothing
    head -c 100000 /dev/zero > tree/zeros
    truncate -s 5000000 tree/hole
    echo text > tree/$'gr\303\266\303\237e'
    ln -s ../empty tree/deep/link
    ln -s nowhere tree/dangling
    chmod 600 tree/zeros
    chmod 4711 tree/deep/er/nothing
    if [ "$(id -u)" = 0 ]; then
        chown 1234:5678 tree/zeros tree/deep
        chown -h 12:34 tree/dangling
        chown 77:88 tree/deep/er/nothing
        chmod 4711 tree/deep/er/nothing
    fi
    touch -d '2001-02-03 04:05:06.789012345' tree/zeros tree/deep/file*
    touch -h -d '2001-02-03 04:05:06.5' tree/dangling tree/deep/link
    touch -d '1999-09-09 09:09:09.999999999' tree/deep/er tree/deep tree/empty tree"#;

/// A tree as its copies have to look.
const LOOK: &str = r#"look() { (cd "$1"; find . -printf '%p %y %m %U:%G %T@ %l\n' | sort); (cd "$1"; find . -type f -exec cksum {} + | sort); }"#;

#[test]
fn tar_brings_a_tree_in_and_out_as_it_was() {
    for mut stage in Stage::both() {
        stage.run(&format!("cd ../plain; {TREE}"), &[]);
        stage.run(
            &format!(
                r#"{LOOK}
                tar -C ../plain --format=posix -cf - tree | tar -xpf -
                diff <(look ../plain/tree) <(look tree)
                tar -cf archive.tar --format=posix tree
                tar -df archive.tar
                tar -C ../plain -df "$PWD/archive.tar"
                mkdir again
                tar -C again -xpf archive.tar
                diff <(look tree) <(look again/tree)
                tar -C again -xpf archive.tar
                diff <(look tree) <(look again/tree)
                tar -czf packed.tar.gz --format=posix --sort=name tree
                tar -df packed.tar.gz"#
            ),
            &[],
        );
        stage.outlives_a_remount();
        stage.run(
            &format!(
                r"{LOOK}
                diff <(look ../plain/tree) <(look tree)
                mkdir ../plain/out
                tar --format=posix -cf - tree | tar -C ../plain/out -xpf -
                diff <(look ../plain/tree) <(look ../plain/out/tree)"
            ),
            &[],
        );
    }
}

#[test]
fn the_second_rsync_has_nothing_to_do() {
    if lacks("rsync") {
        return;
    }
    for mut stage in Stage::both() {
        stage.run(&format!("cd ../plain; {TREE}"), &[]);
        let nothing_to_do = format!(
            r#"{LOOK}
            diff <(look ../plain/tree) <(look copy)
            test -z "$(rsync -ai -@-1 ../plain/tree/ copy/)"
            test -z "$(rsync -ai -@-1 --checksum ../plain/tree/ copy/)"
            test -z "$(rsync -ai -@-1 copy/ ../plain/tree/)""#
        );
        stage.run(&format!("rsync -a -@-1 ../plain/tree/ copy/; {nothing_to_do}"), &[]);
        stage.outlives_a_remount();
        stage.run(&nothing_to_do, &[]);
    }
}

#[test]
fn rsync_brings_changes_however_it_is_told_to() {
    if lacks("rsync") {
        return;
    }
    for mut stage in Stage::both() {
        stage.run(&format!("cd ../plain; {TREE}"), &[]);
        for options in
            ["--inplace --no-whole-file", "--checksum", "--append", "--no-whole-file", "--delete --partial"]
        {
            stage.run(
                &format!(
                    r#"{LOOK}
                    rsync -a -@-1 --delete ../plain/tree/ copy/
                    seq 3000 9000 >> '../plain/tree/deep/file 7'
                    if [ "$1" != --append ]; then
                        printf 'in the middle' | dd of='../plain/tree/deep/file 60' bs=1 seek=40000 conv=notrunc status=none
                        truncate -s 20 '../plain/tree/deep/file 50'
                    fi
                    rm -f '../plain/tree/deep/file 3'
                    mv '../plain/tree/deep/file 4' '../plain/tree/empty/file 4'
                    rsync -a -@-1 --delete $1 ../plain/tree/ copy/
                    diff <(look ../plain/tree) <(look copy)
                    mv '../plain/tree/empty/file 4' '../plain/tree/deep/file 4'"#
                ),
                &[options],
            );
        }
        stage.outlives_a_remount();
    }
}
