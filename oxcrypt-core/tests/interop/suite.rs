//! What a vault is like that can be like another.

use oxcrypt_core::crypto::CipherCombo;
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Suite {
    pub(crate) combo: CipherCombo,
    pub(crate) threshold: usize,
}

impl Suite {
    pub(crate) fn any() -> impl Strategy<Value = Self> {
        let combo = prop_oneof![Just(CipherCombo::SivGcm), Just(CipherCombo::SivCtrMac)];
        let threshold = prop_oneof![Just(220), Just(36)];
        (combo, threshold).prop_map(|(combo, threshold)| Self { combo, threshold })
    }

    /// Names that collide often enough, many of them just short enough not to be shortened, and just too long.
    pub(crate) fn names(self) -> Vec<String> {
        let longest = self.longest();
        let around = [longest - 1, longest, longest + 1, longest + 3, 254];
        let mut names: Vec<String> = around.iter().map(|len| "n".repeat(*len)).collect();
        names.push(format!("{}\u{e9}", "u".repeat(longest - 2)));
        names.push("\u{65e5}\u{672c}".repeat(longest / 6 + 1));
        let others = ["a", "b", ".hidden", "with spaces.txt", "dirid.c9r", "\u{1f980} 'crab' #1"];
        names.extend(others.map(str::to_owned));
        names
    }

    pub(crate) fn is_shortened(self, path: &str) -> bool {
        path.rsplit('/').next().is_some_and(|name| name.len() > self.longest())
    }

    /// Bytes of the longest name that is not shortened: stored it is 16 bytes longer, in Base64, with a suffix of four.
    fn longest(self) -> usize {
        (self.threshold - 4) / 4 * 3 - 16
    }
}
