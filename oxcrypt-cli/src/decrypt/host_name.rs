//! Names that the destination can hold.

use std::borrow::Cow;
use std::collections::HashSet;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// What the destination's file system makes of names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// The longest name, in bytes.
    pub(crate) max_len: usize,
    /// `A` and `a` are one name.
    pub(crate) folds_case: bool,
    /// Names are those of Windows, where some characters and words mean something else.
    pub(crate) is_windows: bool,
}

/// The longest ending that an alias keeps, its dot included.
const MAX_ENDING_LEN: usize = 16;

impl Rules {
    /// The name to use for `name` in a folder in which the names in `taken` are used, and takes note of it there.
    ///
    /// A name that the destination cannot hold gets an alias with a hash of the whole name, the same every time.
    pub(crate) fn fit<'n>(&self, name: &'n str, taken: &mut HashSet<String>) -> Cow<'n, str> {
        let fits = name.len() <= self.max_len && !(self.is_windows && is_special_on_windows(name));
        if fits && self.take(name, taken) {
            return Cow::Borrowed(name);
        }
        let alias = self.alias(name);
        self.take(&alias, taken);
        Cow::Owned(alias)
    }

    /// Where case is told apart, the file system itself knows which names are taken.
    fn take(&self, name: &str, taken: &mut HashSet<String>) -> bool {
        !self.folds_case || taken.insert(name.to_lowercase())
    }

    fn alias(&self, name: &str) -> String {
        let replaced =
            if self.is_windows { name.replace(is_reserved_on_windows, "_") } else { name.to_owned() };
        let hash = HEXLOWER.encode(&Sha256::digest(name));
        let hash = format!("~{}", hash.get(..8).unwrap_or(&hash));
        let (stem, ending) = match replaced.rfind('.') {
            Some(dot) if dot > 0 && replaced.len() - dot <= MAX_ENDING_LEN => replaced.split_at(dot),
            _ => (replaced.as_str(), ""),
        };
        // Windows does not keep a dot or a space at the end.
        let ending = if self.is_windows { ending.trim_end_matches(['.', ' ']) } else { ending };
        let room = self.max_len.saturating_sub(hash.len() + ending.len());
        let cut = (0..=room.min(stem.len())).rev().find(|at| stem.is_char_boundary(*at)).unwrap_or(0);
        format!("{}{hash}{ending}", stem.get(..cut).unwrap_or_default())
    }
}

fn is_reserved_on_windows(c: char) -> bool {
    c.is_control() || matches!(c, '<' | '>' | ':' | '"' | '/' | '\\' | '|' | '?' | '*')
}

fn is_special_on_windows(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = |prefix| {
        stem.strip_prefix(prefix)
            .is_some_and(|rest| rest.chars().count() == 1 && rest.chars().all(char::is_numeric))
    };
    name.contains(is_reserved_on_windows)
        || name.ends_with(['.', ' '])
        || matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL")
        || numbered("COM")
        || numbered("LPT")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINUX: Rules = Rules { max_len: 255, folds_case: false, is_windows: false };

    fn fit(rules: Rules, name: &str) -> String {
        rules.fit(name, &mut HashSet::new()).into_owned()
    }

    #[test]
    fn a_name_that_fits_stays_as_it_is() {
        for name in ["a", ".hidden", "CON", "a:b", &"x".repeat(255)] {
            assert_eq!(fit(LINUX, name), name);
        }
    }

    #[test]
    fn a_name_that_is_too_long_gets_an_alias_that_is_the_same_every_time() {
        let long = format!("{}.tar.gz", "\u{e4}".repeat(200));
        let alias = fit(LINUX, &long);
        assert_eq!(alias, fit(LINUX, &long));
        assert!(
            alias.len() <= 255
                && alias.strip_suffix(".gz").is_some_and(|stem| stem.starts_with("\u{e4}\u{e4}")),
            "{alias}"
        );
        assert_ne!(alias, fit(LINUX, &format!("{}.tar.gz", "\u{e4}".repeat(201))));
        assert!(fit(LINUX, &"y".repeat(300)).len() == 255);
    }

    #[test]
    fn names_that_differ_in_case_alone_stay_apart_where_case_does_not_count() {
        let rules = Rules { folds_case: true, ..LINUX };
        let mut taken = HashSet::new();
        assert_eq!(rules.fit("Readme", &mut taken), "Readme");
        let second = rules.fit("README", &mut taken).into_owned();
        assert!(second.starts_with("README~"), "{second}");
    }

    #[test]
    fn names_that_mean_something_else_on_windows_get_an_alias() {
        let rules = Rules { folds_case: true, is_windows: true, max_len: 255 };
        for name in ["a:b", "nul", "Com1.txt", "dot.", "space ", "q?", "back\\slash", "tab\t"] {
            let alias = fit(rules, name);
            assert!(alias != name && !is_special_on_windows(&alias), "{name:?}: {alias:?}");
        }
        assert_eq!(fit(rules, "console.txt"), "console.txt");
    }
}
