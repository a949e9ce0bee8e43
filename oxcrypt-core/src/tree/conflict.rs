//! Names that a sync client made of an entry's name: `NAME (1).c9r`, `NAME_conflict-host.c9r`, `prefix-NAME.c9r`.

/// Tries are bounded, because a hostile name can hold any number of delimiters.
const MAX_TRIES: usize = 256;
/// 16 bytes of synthetic IV in Base64url.
const MIN_LEN: usize = 24;

/// A ciphertext found inside a host name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Extracted<'h, T> {
    /// What `decrypt` made of it.
    pub(super) decrypted: T,
    /// The host's text behind it: what the sync client added.
    pub(super) suffix: &'h str,
}

/// Looks for a ciphertext in `host`, a host name without its `.c9r`, longest first within each run of Base64url.
///
/// It may begin and end where the run does, and at any `-` and `_`, which are both delimiters of sync clients and
/// digits of Base64url.
pub(super) fn extract<T>(host: &str, mut decrypt: impl FnMut(&str) -> Option<T>) -> Option<Extracted<'_, T>> {
    let mut tries = 0;
    for (start, end) in runs(host) {
        for (from, to) in candidates(host, start, end) {
            tries += 1;
            if tries > MAX_TRIES {
                return None;
            }
            let (Some(candidate), Some(suffix)) = (host.get(from..to), host.get(to..)) else { continue };
            if let Some(decrypted) = decrypt(candidate) {
                return Some(Extracted { decrypted, suffix });
            }
        }
    }
    None
}

/// The runs of Base64url digits, each with up to two `=` behind it, as byte ranges.
fn runs(host: &str) -> impl Iterator<Item = (usize, usize)> + '_ {
    let bytes = host.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(at..)?;
        let start = at + rest.iter().position(|b| is_digit(*b))?;
        let digits = bytes.iter().skip(start).take_while(|b| is_digit(**b)).count();
        let padding = bytes.iter().skip(start + digits).take(2).take_while(|b| **b == b'=').count();
        at = start + digits + padding;
        Some((start, at))
    })
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || is_delimiter(byte)
}

fn is_delimiter(byte: u8) -> bool {
    matches!(byte, b'-' | b'_')
}

/// The parts of a run that are as long as an encoded name can be, by where they start and then the longest first.
fn candidates(host: &str, start: usize, end: usize) -> impl Iterator<Item = (usize, usize)> {
    let delimiters: Vec<usize> = host
        .bytes()
        .enumerate()
        .take(end)
        .skip(start)
        .filter_map(|(at, byte)| is_delimiter(byte).then_some(at))
        .collect();
    // A delimiter may belong to the ciphertext or stand beside it.
    let starts: Vec<usize> = std::iter::once(start)
        .chain(delimiters.iter().flat_map(|at| [*at, *at + 1]))
        .take(MAX_TRIES)
        .collect();
    let ends: Vec<usize> = std::iter::once(end)
        .chain(delimiters.iter().rev().flat_map(|at| [*at + 1, *at]))
        .take(MAX_TRIES)
        .collect();
    starts
        .into_iter()
        .flat_map(move |from| ends.clone().into_iter().map(move |to| (from, to)))
        .filter(|(from, to)| to.checked_sub(*from).is_some_and(|len| len >= MIN_LEN && len % 4 == 0))
}

/// The name to show for a copy of `name`: what the sync client added goes before the extension.
pub(super) fn shown_name(name: &str, suffix: &str) -> String {
    match name.rfind('.').filter(|dot| *dot > 0).and_then(|dot| name.split_at_checked(dot)) {
        Some((base, extension)) => format!("{base}{suffix}{extension}"),
        None => format!("{name}{suffix}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CIPHER: &str = "wUKjzGprT5XC4qikpqC1KIF3lv9l0gQ=";
    const WITH_DELIMITERS: &str = "3PhJ0PdU0nxPgTN2rZtz-cZSz_8i";

    fn suffix_in(host: &str, cipher: &str) -> Option<String> {
        extract(host, |candidate| (candidate == cipher).then_some(())).map(|found| found.suffix.to_owned())
    }

    #[test]
    fn the_spellings_of_known_sync_clients_are_found() {
        for cipher in [CIPHER, WITH_DELIMITERS, "-PhJ0PdU0nxPgTN2rZtz_cZSz_8-"] {
            for (before, behind) in [
                ("", " (1)"),
                ("", " (Created by Alice)"),
                ("", "_conflict-host"),
                ("", " [host conflict]"),
                ("", " 2"),
                ("conflict_", ""),
                ("prefix-", ""),
                ("my-old_prefix-", "-copy"),
            ] {
                let host = format!("{before}{cipher}{behind}");
                assert_eq!(suffix_in(&host, cipher).as_deref(), Some(behind), "{host}");
            }
        }
    }

    #[test]
    fn a_hostile_name_costs_a_bounded_number_of_tries() {
        let mut tries = 0;
        let hostile = "-_".repeat(5_000);
        let found = extract(&hostile, |_| {
            tries += 1;
            None::<()>
        });
        assert_eq!((found, tries), (None, MAX_TRIES));
    }

    #[test]
    fn what_was_added_goes_before_the_extension() {
        assert_eq!(shown_name("doc.txt", " (1)"), "doc (1).txt");
        assert_eq!(shown_name("doc", " (1)"), "doc (1)");
        assert_eq!(shown_name(".profile", " (1)"), ".profile (1)");
        assert_eq!(shown_name("a.tar.gz", " (1)"), "a.tar (1).gz");
    }
}
