//! A damaged file fails where it is damaged, and nowhere else.

use std::ops::Range;
use std::time::Instant;

use oxcrypt_core::chunk::PAYLOAD_LEN;
use oxcrypt_core::{ErrorKind, File, Follow, VaultPath};

use crate::fixtures::{Fixtures, official};
use crate::manifest::{Item, sha256};

const P: u64 = PAYLOAD_LEN;
/// The length of the files before they were damaged.
const LEN: u64 = 100_000;

fn open(fixtures: &Fixtures, name: &str) -> File {
    let vault = fixtures.open("damaged_gcm");
    let node = vault.resolve(&VaultPath::parse(name).unwrap(), Follow::Always, Instant::now()).unwrap();
    vault.open(&node, Instant::now()).unwrap()
}

/// The parts of a file that cannot be read, chunk by chunk, and the length it shows.
fn damage(file: &File) -> (u64, Vec<Range<u64>>) {
    let mut damaged: Vec<Range<u64>> = Vec::new();
    for start in (0..file.len()).step_by(usize::try_from(P).unwrap()) {
        let end = (start + P).min(file.len());
        let mut buf = vec![0; usize::try_from(end - start).unwrap()];
        match file.read_at(start, &mut buf) {
            Ok(len) => assert_eq!(len, buf.len()),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
                match damaged.last_mut() {
                    Some(last) if last.end == start => last.end = end,
                    _ => damaged.push(start..end),
                }
            }
        }
    }
    (file.len(), damaged)
}

#[test]
fn exactly_the_damaged_ranges_fail() {
    let fixtures = Fixtures::unpack();
    let damage = |name| damage(&open(&fixtures, name));
    assert_eq!(damage("flip_chunk1"), (LEN, vec![P..2 * P]));
    assert_eq!(damage("swapped_chunks"), (LEN, vec![0..2 * P]));
    assert_eq!(damage("cut_mid_chunk"), (74_508, vec![2 * P..74_508]));
    assert_eq!(damage("bad_header"), (LEN, vec![0..LEN]));
    assert_eq!(damage("lost_last_chunk"), (2 * P, vec![]));
    assert_eq!(damage("zero_byte"), (0, vec![]));
    // A cut tail or header shows as one byte that cannot be read, so that nobody takes a part for the whole.
    assert_eq!(damage("cut_tail_rest10"), (2 * P + 1, vec![2 * P..2 * P + 1]));
    assert_eq!(damage("short_header"), (1, vec![0..1]));
}

#[test]
fn what_is_not_damaged_is_what_it_was() {
    let fixtures = Fixtures::unpack();
    let hash = |name, range: Range<u64>| {
        let mut buf = vec![0; usize::try_from(range.end - range.start).unwrap()];
        assert_eq!(open(&fixtures, name).read_at(range.start, &mut buf).unwrap(), buf.len(), "{name}");
        sha256(&buf)
    };
    // Two are copies of one file, of which official code can read one.
    let Item::File { sha256: expected, .. } = &official("damaged_gcm")["/lost_last_chunk"] else { panic!() };
    assert_eq!(&hash("lost_last_chunk", 0..2 * P), expected);
    assert_eq!(&hash("cut_tail_rest10", 0..2 * P), expected);
    assert_eq!(hash("flip_chunk1", 0..P), "5d4646d730a92868bc4c6ebf3d6866dba4d1c778c4464037d38b604337bcc9b9");
    assert_eq!(
        hash("flip_chunk1", 2 * P..LEN),
        "b7b5a99d9cbfc9e607b80e90be0e5b88abf8355ce19a6ddcb70687f90a4919e2"
    );
    assert_eq!(
        hash("cut_mid_chunk", 0..2 * P),
        "0abb96d7b5457783afe5545cceb7087d602f5d61640073c677bf0c2aa77bf49e"
    );
    assert_eq!(
        hash("swapped_chunks", 2 * P..LEN),
        "efca9f9f0b92dbc1635529a54fe5aae3c99caf12f7610e06366aeb61aa3f12a8"
    );
}

#[test]
fn a_read_that_touches_damage_fails_as_a_whole_and_says_where() {
    let fixtures = Fixtures::unpack();
    let file = open(&fixtures, "flip_chunk1");
    let error = file.read_at(P - 1, &mut [0; 2]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(error.to_string().contains("chunk 1") && error.place().unwrap().starts_with("d/"), "{error}");
    let torn = open(&fixtures, "cut_tail_rest10");
    assert_eq!(torn.torn().unwrap().readable, 2 * P);
    assert_eq!(torn.read_at(2 * P - 1, &mut [0; 1]).unwrap(), 1);
    assert_eq!(torn.read_at(2 * P - 1, &mut [0; 2]).unwrap_err().kind(), ErrorKind::Damaged);
    assert_eq!(torn.read_at(2 * P + 1, &mut [0; 2]).unwrap_err().kind(), ErrorKind::Damaged);
}

#[test]
fn an_empty_file_is_only_empty_if_its_header_says_so() {
    let fixtures = Fixtures::unpack();
    assert_eq!(open(&fixtures, "zero_byte").read_at(0, &mut [0; 10]).unwrap(), 0);
    assert_eq!(
        open(&fixtures, "short_header").read_at(0, &mut [0; 10]).unwrap_err().kind(),
        ErrorKind::Damaged
    );
    assert_eq!(
        open(&fixtures, "bad_header").read_at(LEN, &mut [0; 10]).unwrap_err().kind(),
        ErrorKind::Damaged
    );
}
