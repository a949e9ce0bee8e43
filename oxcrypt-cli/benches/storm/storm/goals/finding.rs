//! A figure, and whether it is as promised.

use std::fmt;
use std::time::Duration;

use super::Variant;

/// What was found of one goal.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    goal: &'static str,
    what: String,
    figure: String,
    bound: String,
    pub(crate) holds: bool,
}

impl Finding {
    /// A time that is to be no longer than another. `None` says that there was no answer at all.
    pub(crate) fn time(goal: &'static str, what: &str, time: Option<Duration>, bound: Duration) -> Self {
        let figure = time.map_or("no answer".to_owned(), millis);
        let holds = time.is_some_and(|time| time <= bound);
        Self { goal, what: what.to_owned(), figure, bound: millis(bound), holds }
    }

    /// A number that is to be no greater than another.
    pub(crate) fn number(goal: &'static str, what: &str, number: f64, bound: f64) -> Self {
        let holds = number <= bound;
        let (figure, bound) = (format!("{number:.2}"), format!("{bound:.2}"));
        Self { goal, what: what.to_owned(), figure, bound, holds }
    }

    /// A count that is to be no greater than another.
    pub(crate) fn count(goal: &'static str, what: &str, count: u64, bound: u64) -> Self {
        let (figure, holds) = (count.to_string(), count <= bound);
        Self { goal, what: what.to_owned(), figure, bound: bound.to_string(), holds }
    }

    /// A number that is to be no smaller than another.
    pub(crate) fn at_least(goal: &'static str, what: &str, number: f64, bound: f64) -> Self {
        let holds = number >= bound;
        let (figure, bound) = (format!("{number:.2}"), format!("at least {bound:.2}"));
        Self { goal, what: what.to_owned(), figure, bound, holds }
    }

    /// Something that could not be tried here, which is no failure.
    pub(crate) fn skipped(goal: &'static str, what: &str, why: &str) -> Self {
        let figure = format!("SKIPPED: {why}");
        Self { goal, what: what.to_owned(), figure, bound: String::new(), holds: true }
    }

    /// A scene that came to no end.
    pub(crate) fn failure(goal: &'static str, why: &str) -> Self {
        let figure = why.lines().take(3).collect::<Vec<_>>().join(" ");
        Self { goal, what: "the scene itself".to_owned(), figure, bound: String::new(), holds: false }
    }

    /// The same, of one of several scenes.
    pub(crate) fn of(self, scene: &str) -> Self {
        Self { what: format!("{} ({scene})", self.what), ..self }
    }

    /// It alone.
    pub(crate) fn into_vec(self) -> Vec<Self> {
        vec![self]
    }

    /// The row of a table.
    pub(crate) fn row(&self, variant: Variant) -> String {
        let holds = if self.holds { "yes" } else { "NO" };
        format!("| {} | {variant} | {} | {} | {} | {holds} |", self.goal, self.what, self.figure, self.bound)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let holds = if self.holds { "" } else { "   DOES NOT HOLD" };
        write!(f, "{} {}: {} ({}){holds}", self.goal, self.what, self.figure, self.bound)
    }
}

fn millis(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1e3;
    if millis < 10.0 { format!("{millis:.3} ms") } else { format!("{millis:.0} ms") }
}
