//! What happens to which requests.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use fuser::Errno;

use super::op::{Op, OpSet};
use super::pattern::Pattern;
use super::units;

/// A request, as far as rules look at it.
pub(crate) struct Call<'a> {
    /// What is asked for.
    pub(crate) op: Op,
    /// Of what, relative to the store's folder.
    pub(crate) path: &'a [u8],
    /// The second path of a rename or a link.
    pub(crate) other: Option<&'a [u8]>,
    /// Which bytes, for reads and writes.
    pub(crate) bytes: Option<Range<u64>>,
    /// Tells the length of the file, if there is one. Looked at only where a rule asks for it.
    pub(crate) file_len: &'a dyn Fn() -> Option<u64>,
}

/// How a request ends, in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is carried out.
    Go,
    /// It is answered with an error, and never begins.
    Fail(Errno),
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nothing: an exception from older rules.
    Pass,
    /// Lets the request wait, for this long or until further notice, and then ends it.
    Hold { time: Option<Duration>, then: Verdict },
}

/// A rule, written as `ACTION OPERATIONS PATTERN [offset=FROM..TO] [min-size=BYTES] [times=N]`.
///
/// The action is `pass`, `freeze`, `delay TIME`, or `fail ERRNO [after=TIME]`.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    text: String,
    action: Action,
    ops: OpSet,
    pattern: Pattern,
    bytes: Option<Range<u64>>,
    min_file_len: Option<u64>,
    times: Option<u64>,
}

impl Rule {
    fn matches(&self, call: &Call<'_>) -> bool {
        self.times != Some(0)
            && self.ops.contains(call.op)
            && (self.pattern.matches(call.path)
                || call.other.is_some_and(|other| self.pattern.matches(other)))
            && self.bytes.as_ref().is_none_or(|wanted| {
                call.bytes.as_ref().is_some_and(|bytes| bytes.start < wanted.end && wanted.start < bytes.end)
            })
            && self.min_file_len.is_none_or(|min| (call.file_len)().is_some_and(|len| len >= min))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        self.times.map_or(Ok(()), |times| write!(f, " (times left: {times})"))
    }
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let mut next = |what: &str| words.next().ok_or_else(|| format!("a rule needs {what}"));
        let mut action = match next("an action: pass, freeze, delay or fail")? {
            "pass" => Action::Pass,
            "freeze" => Action::Hold { time: None, then: Verdict::Go },
            "delay" => Action::Hold { time: Some(units::duration(next("a time")?)?), then: Verdict::Go },
            "fail" => {
                let errno = units::errno(next("an error")?)?;
                Action::Hold { time: Some(Duration::ZERO), then: Verdict::Fail(errno) }
            }
            word => return Err(format!("no action is called {word:?}; pass, freeze, delay and fail are")),
        };
        let ops = next("operations")?.parse()?;
        let pattern = Pattern::new(next("a pattern")?);
        let (mut bytes, mut min_file_len, mut times) = (None, None, None);
        for word in words {
            match (word.split_once('='), &mut action) {
                (Some(("after", value)), Action::Hold { time, then: Verdict::Fail(_) }) => {
                    *time = Some(units::duration(value)?);
                }
                (Some(("offset", value)), _) => bytes = Some(range(value)?),
                (Some(("min-size", value)), _) => min_file_len = Some(units::bytes(value)?),
                (Some(("times", value)), _) => {
                    times = Some(value.parse().map_err(|_| format!("{value:?} is no number"))?);
                }
                _ => return Err(format!("{word:?} has no place in this rule")),
            }
        }
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(Self { text, action, ops, pattern, bytes, min_file_len, times })
    }
}

/// Reads `FROM..TO`, either of which may be missing.
fn range(text: &str) -> Result<Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or_else(|| format!("{text:?} is no range; 0..4K, 1M.. are"))?;
    let or = |text: &str, default| if text.is_empty() { Ok(default) } else { units::bytes(text) };
    let range = or(from, 0)?..or(to, u64::MAX)?;
    if range.is_empty() { Err(format!("{text:?} has no byte in it")) } else { Ok(range) }
}

/// The rules in force. The newest that matches a request decides; where none does, the request is carried out.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    rules: Vec<(u64, Rule)>,
    last_id: u64,
}

impl Rules {
    /// Adds a rule and returns the number by which it goes from now on. Numbers start at 1 and are not used again.
    pub(crate) fn add(&mut self, rule: Rule) -> u64 {
        self.last_id += 1;
        self.rules.push((self.last_id, rule));
        self.last_id
    }

    /// Removes one rule, or all, and returns how many that were.
    pub(crate) fn remove(&mut self, id: Option<u64>) -> usize {
        let before = self.rules.len();
        self.rules.retain(|(rule, _)| id.is_some_and(|id| *rule != id));
        before - self.rules.len()
    }

    /// Says what becomes of a request and which rule says so; counts that against the rule's `times`.
    pub(crate) fn decide(&mut self, call: &Call<'_>) -> Option<(u64, Action)> {
        let (id, rule) = self.rules.iter_mut().rev().find(|(_, rule)| rule.matches(call))?;
        if let Some(times) = &mut rule.times {
            *times -= 1;
        }
        Some((*id, rule.action))
    }

    /// The rules and their numbers, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Rule)> {
        self.rules.iter().map(|(id, rule)| (*id, rule))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREEZE: Action = Action::Hold { time: None, then: Verdict::Go };

    fn call(op: Op, path: &'static str) -> Call<'static> {
        Call { op, path: path.as_bytes(), other: None, bytes: None, file_len: &|| None }
    }

    fn rules(texts: &[&str]) -> Rules {
        let mut rules = Rules::default();
        for text in texts {
            rules.add(text.parse().unwrap());
        }
        rules
    }

    #[test]
    fn actions_are_read_with_their_times() {
        let action = |text: &str| text.parse::<Rule>().unwrap().action;
        let timed_out = Verdict::Fail(Errno::ETIMEDOUT);
        assert_eq!(action("pass all **"), Action::Pass);
        assert_eq!(action("freeze read *.c9r"), FREEZE);
        assert_eq!(
            action("delay 250ms open,read *"),
            Action::Hold { time: Some(Duration::from_millis(250)), then: Verdict::Go }
        );
        assert_eq!(
            action("fail ETIMEDOUT read * after=60s"),
            Action::Hold { time: Some(Duration::from_mins(1)), then: timed_out }
        );
        assert_eq!(action("fail 110 read *"), Action::Hold { time: Some(Duration::ZERO), then: timed_out });
    }

    #[test]
    fn what_is_not_a_rule_is_refused() {
        for text in [
            "",
            "freeze",
            "freeze read",
            "freeze reed *",
            "melt read *",
            "delay read *",
            "delay 5 read *",
            "fail EWHAT read *",
            "freeze read * after=1s",
            "freeze read * offset=7",
            "freeze read * offset=8..8",
            "freeze read * min-size=big",
            "freeze read * times=-1",
            "freeze read * extra",
        ] {
            assert!(text.parse::<Rule>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_rule_is_about_its_operations_and_its_files() {
        let mut rules = rules(&["freeze read,lookup *.c9r"]);
        assert_eq!(rules.decide(&call(Op::Read, "d/x.c9r")), Some((1, FREEZE)));
        assert_eq!(rules.decide(&call(Op::Lookup, "d/x.c9r")), Some((1, FREEZE)));
        assert_eq!(rules.decide(&call(Op::Write, "d/x.c9r")), None);
        assert_eq!(rules.decide(&call(Op::Read, "d/x.txt")), None);
    }

    #[test]
    fn a_rename_is_about_both_its_paths() {
        let mut rules = rules(&["freeze rename *.c9r"]);
        let moved = |path: &'static str, other: &'static str| Call {
            other: Some(other.as_bytes()),
            ..call(Op::Rename, path)
        };
        assert!(rules.decide(&moved("a.tmp", "a.c9r")).is_some());
        assert!(rules.decide(&moved("a.c9r", "a.tmp")).is_some());
        assert!(rules.decide(&moved("a.tmp", "b.tmp")).is_none());
    }

    #[test]
    fn an_offset_range_is_about_requests_that_touch_it() {
        let mut rules = rules(&["freeze read * offset=4K..8K"]);
        let read = |bytes: Range<u64>| Call { bytes: Some(bytes), ..call(Op::Read, "x") };
        assert!(rules.decide(&read(0..4096)).is_none());
        assert!(rules.decide(&read(0..4097)).is_some());
        assert!(rules.decide(&read(8191..8192)).is_some());
        assert!(rules.decide(&read(8192..9000)).is_none());
        assert!(rules.decide(&call(Op::Open, "x")).is_none());
    }

    #[test]
    fn a_minimal_size_is_that_of_the_file() {
        let mut rules = rules(&["freeze read,lookup * min-size=1M"]);
        let of_len = |file_len: &'static dyn Fn() -> Option<u64>| Call { file_len, ..call(Op::Lookup, "x") };
        assert!(rules.decide(&of_len(&|| Some(1 << 20))).is_some());
        assert!(rules.decide(&of_len(&|| Some((1 << 20) - 1))).is_none());
        assert!(rules.decide(&of_len(&|| None)).is_none());
    }

    #[test]
    fn the_newest_rule_decides_until_its_times_are_used_up() {
        let mut rules = rules(&["freeze read *", "pass read hot", "fail EIO read * times=1"]);
        assert_eq!(rules.decide(&call(Op::Read, "hot")).map(|(id, _)| id), Some(3));
        assert_eq!(rules.decide(&call(Op::Read, "hot")), Some((2, Action::Pass)));
        assert_eq!(rules.decide(&call(Op::Read, "cold")), Some((1, FREEZE)));
        assert_eq!(rules.remove(Some(1)), 1);
        assert_eq!(rules.remove(Some(1)), 0);
        assert_eq!(rules.decide(&call(Op::Read, "cold")), None);
        assert_eq!(rules.remove(None), 2);
        assert_eq!(rules.add("pass all *".parse().unwrap()), 4);
    }
}
