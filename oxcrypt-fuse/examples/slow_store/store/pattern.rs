//! Which files a rule is about.

/// A pattern over paths relative to the store's folder, as bytes: names need not be UTF-8.
///
/// `*` stands for any part of a name, `?` for one byte of it, `**` for anything, slashes included. A pattern without
/// a slash is about the last name of a path, whatever folder that is in; one with a slash is about the whole path. A
/// slash at its start only says so. The store's own folder has the empty path, which `*` and `**` match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    bytes: Vec<u8>,
    whole_path: bool,
}

impl Pattern {
    pub(crate) fn new(text: &str) -> Self {
        let bytes = text.strip_prefix('/').unwrap_or(text).as_bytes().to_vec();
        Self { bytes, whole_path: text.contains('/') }
    }

    /// Whether `path` is meant.
    pub(crate) fn matches(&self, path: &[u8]) -> bool {
        let name =
            if self.whole_path { path } else { path.rsplit(|byte| *byte == b'/').next().unwrap_or(path) };
        matches(&self.bytes, name)
    }
}

fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([b'*', b'*', rest @ ..], _) => tails(text).any(|tail| matches(rest, tail)),
        ([b'*', rest @ ..], _) => {
            let name = text.iter().position(|byte| *byte == b'/').unwrap_or(text.len());
            tails(text).take(name + 1).any(|tail| matches(rest, tail))
        }
        ([b'?', rest @ ..], [byte, tail @ ..]) => *byte != b'/' && matches(rest, tail),
        ([wanted, rest @ ..], [byte, tail @ ..]) => wanted == byte && matches(rest, tail),
        ([], []) => true,
        _ => false,
    }
}

/// `text` without its first 0, 1, 2 … bytes.
fn tails(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    (0..=text.len()).filter_map(|from| text.get(from..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_without_a_slash_is_about_the_last_name() {
        let pattern = Pattern::new("*.c9r");
        assert!(pattern.matches(b"d/2X/ABC/name.c9r"));
        assert!(pattern.matches(b".c9r"));
        assert!(!pattern.matches(b"d/name.c9r/dir"));
        assert!(!Pattern::new("cold?").matches(b"cold"));
        assert!(Pattern::new("cold?").matches(b"x/cold7"));
        assert!(Pattern::new("hot").matches(b"hot") && !Pattern::new("hot").matches(b"hotter"));
    }

    #[test]
    fn a_pattern_with_a_slash_is_about_the_whole_path() {
        assert!(Pattern::new("d/*/x").matches(b"d/2X/x"));
        assert!(!Pattern::new("d/*/x").matches(b"d/2X/ABC/x"));
        assert!(Pattern::new("d/**/x").matches(b"d/2X/ABC/x"));
        assert!(Pattern::new("/x").matches(b"x") && !Pattern::new("/x").matches(b"d/x"));
        assert!(!Pattern::new("d/?").matches(b"d//"));
    }

    #[test]
    fn stars_match_the_folder_itself() {
        assert!(
            Pattern::new("*").matches(b"")
                && Pattern::new("**").matches(b"")
                && Pattern::new("/").matches(b"")
        );
        assert!(!Pattern::new("?").matches(b""));
        assert!(Pattern::new("**").matches(b"a/b/\xff"));
    }
}
