//! Names that a sync client made of an entry's name: `NAME (1).c9r`, `NAME_conflict-host.c9r`, `prefix-NAME.c9r`.

/// Tries of one name, each a decryption: a hostile name can hold any number of delimiters. What sync clients add is
/// found in far fewer.
const MAX_TRIES: usize = 32;
/// Tries that each name is given, however many there were before.
const MIN_TRIES: usize = 2;
/// Tries of all names of a listing beyond that: a tenth of a second.
const TRIES_OF_A_LISTING: usize = 1 << 15;
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

/// The search for ciphertexts in the names of one listing, which together cost a bounded number of tries.
pub(super) struct Search {
    tries_left: usize,
}

impl Search {
    pub(super) fn new() -> Self {
        Self { tries_left: TRIES_OF_A_LISTING }
    }

    /// Looks for a ciphertext in `host`, a host name without its `.c9r`, in each run of Base64url.
    ///
    /// It may begin and end where the run does, and at any `-` and `_`, which are both delimiters of sync clients and
    /// digits of Base64url. The more of them would belong to what was added, the later that is tried.
    pub(super) fn extract<'h, T>(
        &mut self,
        host: &'h str,
        mut decrypt: impl FnMut(&str) -> Option<T>,
    ) -> Option<Extracted<'h, T>> {
        let tries = self.tries_left.clamp(MIN_TRIES, MAX_TRIES);
        let candidates = runs(host).flat_map(|(start, end)| candidates(host, start, end));
        for (from, to) in candidates.take(tries) {
            self.tries_left = self.tries_left.saturating_sub(1);
            let (Some(candidate), Some(suffix)) = (host.get(from..to), host.get(to..)) else { continue };
            if let Some(decrypted) = decrypt(candidate) {
                return Some(Extracted { decrypted, suffix });
            }
        }
        None
    }
}

/// The runs of Base64url digits that are long enough, each with up to two `=` behind it, as byte ranges.
fn runs(host: &str) -> impl Iterator<Item = (usize, usize)> + '_ {
    let bytes = host.as_bytes();
    let mut at = 0;
    let all = std::iter::from_fn(move || {
        let rest = bytes.get(at..)?;
        let start = at + rest.iter().position(|b| is_digit(*b))?;
        let digits = bytes.iter().skip(start).take_while(|b| is_digit(**b)).count();
        let padding = bytes.iter().skip(start + digits).take(2).take_while(|b| **b == b'=').count();
        at = start + digits + padding;
        Some((start, at))
    });
    all.filter(|(start, end)| end - start >= MIN_LEN)
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || is_delimiter(byte)
}

fn is_delimiter(byte: u8) -> bool {
    matches!(byte, b'-' | b'_')
}

/// The parts of a run that are as long as an encoded name can be: first those that leave the fewest delimiters before
/// and behind them.
fn candidates(host: &str, start: usize, end: usize) -> impl Iterator<Item = (usize, usize)> {
    let run = host.bytes().enumerate().take(end).skip(start);
    let delimiters: Vec<usize> = run.filter_map(|(at, byte)| is_delimiter(byte).then_some(at)).collect();
    // A delimiter may belong to the ciphertext or stand beside it.
    let starts: Vec<usize> = std::iter::once(start)
        .chain(delimiters.iter().flat_map(|at| [*at, *at + 1]))
        .take(MAX_TRIES)
        .collect();
    let ends: Vec<usize> = delimiters.iter().rev().flat_map(|at| [*at + 1, *at]).take(MAX_TRIES).collect();
    (0..=starts.len() + ends.len())
        .flat_map(|left_out| (0..=left_out).map(move |before| (before, left_out - before)))
        .filter_map(move |(before, behind)| {
            let from = *starts.get(before)?;
            let to = match behind.checked_sub(1) {
                Some(behind) => *ends.get(behind)?,
                // Up to three digits may follow with nothing between, as in `NAME2`.
                None => from + end.checked_sub(from)? / 4 * 4,
            };
            Some((from, to))
        })
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
        let found = Search::new().extract(host, |candidate| (candidate == cipher).then_some(()));
        found.map(|found| found.suffix.to_owned())
    }

    #[test]
    fn the_spellings_of_known_sync_clients_are_found() {
        // As long as a name can be before it is shortened, with more delimiters than most have.
        let long = "3PhJ0PdU0nxPgTN2rZtz-cZSz_8iAAAAwUKjzGprT5XC4qikpqC1KIF3lv9l".repeat(3)
            + "-PhJ0PdU0nxPgTN2rZtz_A==";
        for cipher in [CIPHER, WITH_DELIMITERS, "-PhJ0PdU0nxPgTN2rZtz_cZSz_8-", &long] {
            for (before, behind) in [
                ("", " (1)"),
                ("", " (Created by Alice)"),
                ("", "_conflict-host"),
                ("", "_conflict-2024-01-31_12-59"),
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
    fn up_to_three_digits_right_behind_are_left_out() {
        for behind in ["2", "02", "abc", "2 (1)"] {
            for before in ["", "conflict_"] {
                let host = format!("{before}{WITH_DELIMITERS}{behind}");
                assert_eq!(suffix_in(&host, WITH_DELIMITERS).as_deref(), Some(behind), "{host}");
            }
        }
    }

    #[test]
    fn a_hostile_name_costs_a_bounded_number_of_tries_and_many_cost_fewer() {
        let mut tries = 0;
        let hostile = "-_".repeat(5_000);
        let mut search = Search::new();
        let mut extract = || {
            let before = tries;
            let found = search.extract(&hostile, |_| {
                tries += 1;
                None::<()>
            });
            assert_eq!(found, None);
            tries - before
        };
        assert_eq!(extract(), MAX_TRIES);
        for _ in 0..TRIES_OF_A_LISTING / MAX_TRIES {
            extract();
        }
        assert_eq!(extract(), MIN_TRIES);
    }

    #[test]
    fn what_was_added_goes_before_the_extension() {
        assert_eq!(shown_name("doc.txt", " (1)"), "doc (1).txt");
        assert_eq!(shown_name("doc", " (1)"), "doc (1)");
        assert_eq!(shown_name(".profile", " (1)"), ".profile (1)");
        assert_eq!(shown_name("a.tar.gz", " (1)"), "a.tar (1).gz");
    }
}
