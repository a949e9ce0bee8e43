//! Names as the kernel gets them: at most 255 bytes, which is what programs can take.
//!
//! A vault holds longer ones. Such an entry is shown under an alias: the beginning of its name, a hash of all of it, and
//! its extension. The alias is always the same, and so is the entry that is found by it.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

/// What Linux and its programs call `NAME_MAX`.
pub(crate) const MAX_LEN: usize = 255;
/// What stands between the beginning of a name and its hash.
const MARK: char = '~';
/// Letters of a hash.
const HASH_LEN: usize = 16;
/// An extension that is longer is none.
const MAX_EXTENSION: usize = 16;

/// The name itself, or its alias.
pub(crate) fn shown(name: &str) -> Cow<'_, str> {
    if name.len() <= MAX_LEN {
        return Cow::Borrowed(name);
    }
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    // The last mark of an alias is the one before its hash.
    let is_short = extension.len() <= MAX_EXTENSION && !extension.contains(MARK);
    let extension = if is_short { extension } else { "" };
    let digest = Sha256::digest(name);
    let hash = digest.first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
    let tail = match extension {
        "" => format!("{MARK}{hash:0HASH_LEN$x}"),
        _ => format!("{MARK}{hash:0HASH_LEN$x}.{extension}"),
    };
    let head = name.floor_char_boundary(MAX_LEN - tail.len());
    Cow::Owned(format!("{}{tail}", name.get(..head).unwrap_or_default()))
}

/// Whether this may be an alias. Then the listing says of what, if of anything.
pub(crate) fn may_be_alias(name: &str) -> bool {
    // An alias is cut at a character's border.
    let hash = name.rsplit_once(MARK).and_then(|(_, tail)| tail.get(..HASH_LEN));
    name.len() > MAX_LEN - 4
        && name.len() <= MAX_LEN
        && hash.is_some_and(|hash| hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_fits_keeps_beginning_and_extension_and_is_known_as_one() {
        let backup = format!("{}.txt~", "b".repeat(300));
        let names =
            ["x".repeat(256), format!("{}.jpeg", "\u{1f600}".repeat(200)), "\u{e9}.".repeat(300), backup];
        for name in names {
            let alias = shown(&name);
            assert!(alias.len() <= MAX_LEN && may_be_alias(&alias), "{alias}");
            assert_eq!(alias.chars().next(), name.chars().next());
            assert_eq!(shown(&name), alias);
        }
        assert!(shown(&format!("{}.jpeg", "a".repeat(300))).ends_with(".jpeg"));
    }

    #[test]
    fn long_names_that_differ_at_the_end_have_different_aliases() {
        let names = ["1", "2"].map(|end| format!("{}{end}.txt", "n".repeat(300)));
        assert_ne!(shown(&names[0]), shown(&names[1]));
    }

    #[test]
    fn a_name_that_fits_is_left_alone() {
        let name = "y".repeat(255);
        assert_eq!(shown(&name), name);
        assert!(!may_be_alias("short~0123456789abcdef"));
    }
}
