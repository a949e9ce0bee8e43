//! `fio`, which writes patterns and checks what it reads.

use crate::stage::Stage;
use crate::tools::{amount, lacks};

/// Writes by several jobs and checks; after a remount checks again. `options` are those of the jobs.
fn verify(options: &str) {
    if lacks("fio") {
        return;
    }
    let size = format!("{}k", amount(4 << 10, 32 << 10));
    for mut stage in Stage::both() {
        let fio = format!(
            r#"fio --minimal --name=job --directory=. --size="$1" --verify=crc32c --verify_fatal=1 --verify_state_save=0 \
                --randrepeat=1 --randseed=7 {options}"#
        );
        stage.run(&format!("{fio} --do_verify=1 > ../fio || {{ cat ../fio; exit 1; }}"), &[&size]);
        stage.outlives_a_remount();
        stage.run(&format!("{fio} --verify_only > ../fio || {{ cat ../fio; exit 1; }}"), &[&size]);
    }
}

#[test]
fn what_several_jobs_write_in_order_verifies() {
    verify("--rw=write --bs=128k --numjobs=4 --ioengine=psync --fsync=64");
}

#[test]
fn what_several_jobs_write_at_random_verifies() {
    verify("--rw=randwrite --bsrange=512-70000 --bs_unaligned --numjobs=4 --ioengine=psync --fdatasync=200");
}

#[test]
fn what_is_written_and_read_at_random_past_the_page_cache_verifies() {
    verify("--rw=randrw --bs=4k --direct=1 --numjobs=2 --ioengine=psync");
}

#[test]
fn what_is_written_through_shared_mappings_verifies() {
    verify("--rw=randwrite --bs=4k --numjobs=2 --ioengine=mmap");
}
