//! A damaged file fails where it is damaged, and nowhere else.

use std::ops::Range;
use std::time::Instant;

use oxcrypt_core::chunk::PAYLOAD_LEN;
use oxcrypt_core::{ErrorKind, File, Follow, VaultPath};

use crate::fixtures::Fixtures;

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
