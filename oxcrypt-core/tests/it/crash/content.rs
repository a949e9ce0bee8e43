//! Contents that are interrupted while they are stored: what was durable is there, byte for byte, but in chunks that
//! were being written over, and these are damaged rather than something else.

use std::ops::Range;

use oxcrypt_core::{File, Vault};

use super::{Remains, interrupt};
use crate::checker::{Content, Finding, What};
use crate::lab::{self, Lab, at, bytes, flush};

const P: usize = 32_768;

/// Chunks that a change writes over, or makes.
type Touched = Range<usize>;

/// What may be seen of a file that was `before` and is becoming `after`.
fn check_content(before: &[u8], after: &[u8], touched: &Touched, seen: &Content, place: &str) {
    for (index, chunk) in seen.chunks.iter().enumerate() {
        let Some(chunk) = chunk else {
            assert!(touched.contains(&index), "{place}: chunk {index} was not being written");
            continue;
        };
        let start = index * P;
        for (offset, byte) in (start..).zip(chunk) {
            let old = before.get(offset);
            // What is between the old end and the new one is zeros until it is what it is to be.
            let is_known =
                old == Some(byte) || after.get(offset) == Some(byte) || (old.is_none() && *byte == 0);
            assert!(is_known, "{place}: byte {offset} is neither old nor new");
        }
        let whole = |content: &[u8]| content.get(start..).map(|rest| rest[..rest.len().min(P)].to_vec());
        if !touched.contains(&index) {
            assert!(whole(before).as_ref() == Some(chunk), "{place}: chunk {index} is not as it was");
        }
    }
    let kept = before.len().min(after.len()).div_ceil(P);
    for index in (0..kept).filter(|index| !touched.contains(index)) {
        assert!(seen.chunks.get(index).is_some(), "{place}: chunk {index} is lost");
    }
}

/// Changes a durable file, and looks at it wherever that is interrupted.
fn check(lab: Lab, before: &[u8], after: &[u8], touched: &Touched, change: impl Fn(&Vault, &File)) {
    let mut seen_states = (false, false);
    interrupt(
        lab,
        |vault| drop(lab::put(vault, "file", before)),
        |vault| {
            let file = lab::open_for_writing(vault, "file").unwrap();
            change(vault, &file);
            flush(&file).unwrap();
        },
        |Remains { report, place, is_kill, storage }| {
            let seen = report.file("file").unwrap();
            check_content(before, after, touched, seen, place);
            seen_states.0 |= seen.bytes().as_deref() == Some(before);
            seen_states.1 |= seen.bytes().as_deref() == Some(after);
            if *is_kill {
                let also = [What::Chunk, What::CutTail, What::Header];
                assert_eq!(report.worse_than_repairable(&also), Vec::<&Finding>::new(), "{place}");
                let has_header = !report.findings.iter().any(|finding| finding.what == What::Header);
                assert!(has_header || touched.start == 0, "{place}: the header is lost");
            }
            // A vault that opens it says the same: what is sound is read, the rest is damage and never other bytes.
            let vault = lab::open(storage);
            if let Ok(file) = vault.open(&lab::find(&vault, "file").unwrap(), std::time::Instant::now()) {
                for (index, chunk) in seen.chunks.iter().enumerate() {
                    let mut buf = vec![0; P];
                    // Up to its end and no further: the chunk behind may be damaged.
                    let len = chunk.as_ref().map_or(P, Vec::len);
                    match (chunk, file.read_at((index * P) as u64, &mut buf[..len])) {
                        (Some(chunk), Ok(read)) => {
                            assert!(buf[..read] == chunk[..], "{place}: chunk {index}");
                        }
                        (Some(_), Err(error)) => assert!(len == 0, "{place}: chunk {index}: {error}"),
                        (None, Ok(_)) => panic!("{place}: chunk {index} is damaged and was read"),
                        (None, Err(_)) => {}
                    }
                }
            }
        },
    );
    assert!(seen_states.0 && seen_states.1, "it was begun and came to an end");
}

fn labs() -> [Lab; 2] {
    [Lab::GCM, Lab::CTRMAC]
}

#[test]
fn an_overwritten_range_touches_its_chunks_alone() {
    let before = bytes(4 * P + 100, 0);
    for range in [10..20, P - 3..P + 3, P..2 * P, 4 * P + 50..4 * P + 100, P + 7..4 * P + 1] {
        for lab in labs() {
            let mut after = before.clone();
            let new = bytes(range.len(), 1);
            after[range.clone()].copy_from_slice(&new);
            let touched = range.start / P..range.end.div_ceil(P);
            check(lab, &before, &after, &touched, |_, file| {
                lab::write(file, range.start as u64, &new).unwrap();
            });
        }
    }
}

#[test]
fn an_append_touches_nothing_but_the_chunk_in_which_the_file_ended() {
    for len in [1, 100, P - 1, P, P + 1, 2 * P] {
        for more in [1, 5_000, P, 2 * P + 7] {
            let (before, more) = (bytes(len, 0), bytes(more, 1));
            let after = [before.clone(), more.clone()].concat();
            check(Lab::GCM, &before, &after, &(len / P..usize::MAX), |_, file| {
                lab::write(file, len as u64, &more).unwrap();
            });
        }
    }
}

#[test]
fn writing_far_past_the_end_touches_nothing_but_the_chunk_in_which_the_file_ended() {
    for len in [10, P - 1, P, P + 10] {
        for lab in labs() {
            let (before, at) = (bytes(len, 0), 5 * P + 3);
            let mut after = before.clone();
            after.resize(at, 0);
            after.extend(bytes(50, 1));
            check(lab, &before, &after, &(len / P..usize::MAX), |_, file| {
                lab::write(file, at as u64, &bytes(50, 1)).unwrap();
            });
            // The far end is stored first, as far as anybody asks: what lies before goes out before it all the same.
            check(lab, &before, &after, &(len / P..usize::MAX), |_, file| {
                lab::write(file, at as u64, &bytes(50, 1)).unwrap();
                while file.store_some().unwrap() {}
            });
        }
    }
}

#[test]
fn growing_without_writing_touches_nothing_but_the_chunk_in_which_the_file_ended() {
    for len in [10, P - 1, P, P + 10] {
        let before = bytes(len, 0);
        let mut after = before.clone();
        after.resize(3 * P + 5, 0);
        check(Lab::GCM, &before, &after, &(len / P..usize::MAX), |_, file| {
            file.set_len(after.len() as u64, at(1)).unwrap();
        });
    }
}

#[test]
fn shrinking_touches_nothing_but_the_chunk_in_which_the_file_ends() {
    for len in [1, 100, P - 1, P, P + 1, 2 * P, 3 * P + 99] {
        for lab in labs() {
            let before = bytes(3 * P + 100, 0);
            check(lab, &before, &before[..len], &(len / P..usize::MAX), |_, file| {
                file.set_len(len as u64, at(1)).unwrap();
            });
        }
    }
}

#[test]
fn a_file_that_is_begun_anew_is_old_or_new_or_damaged_and_never_a_mixture() {
    for len in [0, 10, P, P + 10, 3 * P] {
        for lab in labs() {
            let (before, after) = (bytes(2 * P + 100, 0), bytes(len, 1));
            check(lab, &before, &after, &(0..usize::MAX), |_, file| {
                file.set_len(0, at(1)).unwrap();
                lab::write(file, 0, &after).unwrap();
            });
        }
    }
}

#[test]
fn the_first_write_of_a_file_leaves_it_empty_or_written_or_damaged() {
    for len in [1, P, 2 * P + 5] {
        let after = bytes(len, 0);
        check(Lab::GCM, &[], &after, &(0..usize::MAX), |_, file| {
            lab::write(file, 0, &after).unwrap();
        });
    }
}

#[test]
fn several_changes_at_once_keep_what_none_of_them_touches() {
    let before = bytes(6 * P + 100, 0);
    let mut after = before[..5 * P + 10].to_vec();
    after[P + 5..P + 15].fill(9);
    after.resize(8 * P, 0);
    after[7 * P + 1..7 * P + 4].fill(8);
    interrupt(
        Lab::GCM,
        |vault| drop(lab::put(vault, "file", &before)),
        |vault| {
            let file = lab::open_for_writing(vault, "file").unwrap();
            lab::write(&file, P as u64 + 5, &[9; 10]).unwrap();
            file.set_len(5 * P as u64 + 10, at(1)).unwrap();
            lab::write(&file, 7 * P as u64 + 1, &[8; 3]).unwrap();
            file.set_len(8 * P as u64, at(1)).unwrap();
            flush(&file).unwrap();
        },
        |Remains { report, place, .. }| {
            let seen = report.file("file").unwrap();
            for index in [0, 2, 3, 4] {
                let chunk = seen.chunks[index].as_deref();
                assert!(chunk == Some(&before[index * P..][..P]), "{place}: chunk {index}");
            }
        },
    );
}
