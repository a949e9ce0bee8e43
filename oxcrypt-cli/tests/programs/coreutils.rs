//! What every shell script does with files.

use crate::stage::Stage;

#[test]
fn files_are_copied_moved_linked_and_removed_as_in_any_folder() {
    for mut stage in Stage::both() {
        stage.compare(
            r#"
            mkdir -p source/deep/deeper source/empty
            seq 1 20000 > source/numbers
            head -c 40000 /dev/zero > source/zeros
            : > source/deep/nothing
            printf x > 'source/deep/a name with  blanks'
            printf y > source/deep/deeper/$'n\303\244me'
            printf z > "source/$(printf 'l%.0s' $(seq 250))"
            ln -s ../numbers source/deep/link
            ln -s nowhere/at/all source/dangling
            ln -s .. source/up
            chmod 640 source/numbers
            chmod 750 source/deep
            touch -d '2001-02-03 04:05:06.789012345' source/numbers source/empty
            touch -h -d '2003-02-01 03:02:01.123456789' source/dangling
            cp -a source copy
            diff -r --no-dereference source copy
            stat -c '%n %F %a %y' copy/numbers copy/empty copy/dangling
            mv copy/numbers copy/deep/moved
            mv copy/deep copy/renamed
            mv -f copy/zeros copy/renamed/moved
            mv -n copy/dangling copy/renamed/link
            mv -T copy/empty copy/taken
            cp -r --no-preserve=all source/deep again
            cp --sparse=always source/zeros sparse
            cp -b sparse again
            install -m 751 source/numbers installed
            install -d -m 700 made/by/install
            ls -R
            cat source/up/installed | tail -n 1
            readlink source/deep/link copy/dangling
            rm -rf source/deep copy/renamed/deeper
            rmdir copy/taken
            for path in source copy again made; do find "$path" | wc -l; done"#,
            &[],
        );
        stage.outlives_a_remount();
    }
}

#[test]
fn what_cannot_be_done_is_refused_as_in_any_folder() {
    for stage in Stage::both() {
        stage.compare(
            r#"
            mkdir -p full/inner empty
            echo text > file
            ln -s loop loop
            long=$(printf 'n%.0s' $(seq 256))
            exec 2>&1
            refused() { if "$@"; then echo "$* was not refused"; fi }
            refused mkdir full
            refused mkdir nowhere/inner
            refused mkdir file/inner
            refused rmdir full
            refused rmdir file
            refused rm full
            refused rm nowhere
            refused mv -T empty file
            refused mv -T file empty
            refused mv -T empty full
            refused mv full full/inner/moved
            refused mv nowhere empty
            refused ln -s target file
            refused cat empty
            refused cat loop
            refused cat file/
            refused touch "$long"
            refused mkdir "$long"
            refused ls "$long"
            refused truncate -s 5 empty
            refused cp file full/inner/nowhere/
            refused dd if=file of=empty status=none
            ls -R"#,
            &[],
        );
    }
}

#[test]
fn times_are_kept_to_the_nanosecond() {
    for mut stage in Stage::both() {
        stage.compare(
            r#"
            mkdir folder
            echo text > file
            ln -s file link
            for time in '1970-01-01 00:00:00.000000001Z' '1965-04-03 02:01:00.999999999Z' \
                '2038-01-19 03:14:08.5Z' '2400-01-01 00:00:00.1Z'; do
                touch -d "$time" file folder
                touch -h -d "$time" link
                stat -c '%n %y' file folder link
            done
            touch -m -d '2010-01-01 00:00:00.25Z' file
            touch -a -d '2011-01-01 00:00:00.75Z' file
            stat -c '%n %x %y' file
            touch -r folder file
            stat -c '%n %y' file
            cp -p file copy
            stat -c '%n %y' copy
            mv copy moved
            stat -c '%n %y' moved
            ln -s nowhere folder/new
            test "$(date +%s)" -le "$(($(stat -c %Y folder) + 600))" && echo now"#,
            &[],
        );
        stage.outlives_a_remount();
    }
}

#[test]
fn a_file_that_is_written_to_is_newer_than_before() {
    for stage in Stage::both() {
        stage.compare(
            r#"
            for change in 'echo more >> file' 'truncate -s 3 file' 'dd if=/dev/zero of=file count=1 conv=notrunc status=none' \
                ': > file' 'echo new > file' 'touch file'; do
                echo text > file
                touch -d '2001-01-01Z' file
                eval "$change"
                test "$(stat -c %Y file)" -gt 1500000000 && echo "$change: newer"
            done
            echo text > file
            touch -d '2001-01-01Z' file
            cat file > /dev/null
            chmod 600 file
            mv file moved
            stat -c '%y' moved"#,
            &[],
        );
    }
}

#[test]
fn permissions_are_kept() {
    for mut stage in Stage::both() {
        stage.compare(
            r#"
            mkdir folder sticky shared
            for mode in 400 444 600 640 664 700 755 777; do
                echo text > "file $mode"
                chmod "$mode" "file $mode"
            done
            chmod u+x,g-w,o= 'file 664'
            chmod 1777 sticky
            chmod 2755 shared
            chmod 700 folder
            (umask 077; mkdir private; echo text > private/file)
            (umask 000; mkdir open; echo text > open/file)
            mkdir shared/inner
            stat -c '%n %a' *
            stat -c '%n %a' private/file open/file shared/inner
            test -x 'file 755' && echo yes
            printf '#!/bin/sh\necho runs\n' > script
            chmod +x script
            ./script"#,
            &[],
        );
        stage.outlives_a_remount();
    }
}

#[test]
fn root_gives_files_away_and_they_stay_given() {
    let Some(mut stage) = Stage::of_root() else { return };
    stage.compare(
        r"
        mkdir folder
        echo text > file
        echo text > program
        ln -s file link
        chown 1234:5678 file folder
        chown -h 12:34 link
        chmod 6755 program
        chown 7:8 program
        chgrp 99 folder
        chmod 2775 folder
        echo text > folder/inherits
        mkdir folder/inherits-too
        install -o 3 -g 4 -m 600 file installed
        stat -c '%n %u:%g %a' * folder/*",
        &[],
    );
    stage.outlives_a_remount();
}

#[test]
fn files_are_cut_extended_appended_and_overwritten_in_place() {
    for mut stage in Stage::both() {
        stage.compare(
            r#"
            seq 1 50000 > file
            for len in 100000 170001 32768 32767 65537 0 1 99999; do
                truncate -s "$len" file
                cksum file
                seq 1 9 >> file
            done
            truncate -s +70000 file
            truncate -s %4096 file
            cksum file
            seq 1 60000 > written
            for at in 0 1 32767 32768 65535 200000 900000; do
                printf 'in the middle' | dd of=written bs=1 seek="$at" conv=notrunc status=none
                cksum written
            done
            seq 7 9 | dd of=written oflag=append conv=notrunc status=none
            seq 1 5000 | dd of=written bs=1000 seek=3 conv=notrunc,fsync status=none
            seq 1 5000 | dd of=synced conv=fsync status=none
            seq 1 5000 | dd of=synced bs=100 seek=9999 conv=fdatasync,notrunc status=none
            dd if=/dev/zero of=direct bs=4096 count=20 oflag=direct status=none
            dd if=written of=direct bs=4096 count=7 seek=3 oflag=direct conv=notrunc status=none
            cksum written synced direct
            seq 1 100 | tee -a written other > /dev/null
            seq 101 200 | tee -a written other > /dev/null
            seq 5000 -3 1 > unsorted
            sort -n -o unsorted unsorted
            sed -i 's/9/nine/' other
            split -b 30000 written part-
            cat part-* | cmp - written
            fallocate -l 300000 allocated
            fallocate -o 400000 -l 5 written
            wc -c *
            sync file
            sync"#,
            &[],
        );
        stage.outlives_a_remount();
    }
}

#[test]
fn find_finds_the_same() {
    for stage in Stage::both() {
        stage.compare(
            r#"
            mkdir -p a/b/c d/e
            seq 1 10000 > a/large
            echo text > a/b/small
            : > a/b/c/nothing
            ln -s ../a d/link
            chmod 600 a/b/small
            touch -d '2001-01-01' a/large
            touch -d '2002-01-01' reference
            for test in '-type f' '-type l' '-type d -empty' '-empty' '-size +10k' '-perm 600' '-newer reference' \
                '! -newer reference' '-name *l*' '-links 1 -type f' '-user root' '-mtime +1000' '-path ./a/*'; do
                echo "$test:"
                set -f
                find . -mindepth 1 $test | sort
                set +f
            done
            find -L d -type f | sort
            find a -type f -print0 | xargs -0 -n 1 cksum | sort
            find a -depth -name '[bc]*' -exec rmdir {} + 2> /dev/null || true
            find . -name small -delete
            find . | sort"#,
            &[],
        );
    }
}
