//! The answer of the resident half.

/// What memory knows: the value, or nothing.
///
/// Code that returns a `Probe` holds no storage handle, so it cannot block on storage. `Absent` is no error and no
/// "not found": it means that storage has to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe<T> {
    /// The value, as storage last told it.
    Ready(T),
    /// Not in memory, or too old.
    Absent,
}

impl<T> Probe<T> {
    /// The value, if memory has it.
    pub fn ready(self) -> Option<T> {
        match self {
            Self::Ready(value) => Some(value),
            Self::Absent => None,
        }
    }
}

impl<T> From<Option<T>> for Probe<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Self::Ready)
    }
}
