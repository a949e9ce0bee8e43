//! What was found damaged, for people to ask about.

use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::{Mutex, PoisonError};

/// As much as is remembered; the oldest is forgotten.
const MEMORY: usize = 64;

/// What was found. Ciphertext paths only, as errors have them.
#[derive(Default)]
pub(crate) struct Damage(Mutex<VecDeque<String>>);

impl Damage {
    /// Takes note of something, and tells the log, unless that was done before.
    pub(crate) fn take_note(&self, operation: &str, what: &dyn Display) {
        let line = format!("{operation}: {what}");
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.contains(&line) {
            return;
        }
        told.push_back(line.clone());
        if told.len() > MEMORY {
            told.pop_front();
        }
        drop(told);
        log::error!("{line}");
    }

    /// All that is remembered, the oldest first.
    pub(crate) fn told(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_damage_is_told_once_and_memory_is_bounded() {
        let damage = Damage::default();
        for _ in 0..3 {
            damage.take_note("read", &"chunk 1 of d/AA");
        }
        assert_eq!(damage.told(), ["read: chunk 1 of d/AA"]);
        for number in 0..1000 {
            damage.take_note("read", &number);
        }
        assert_eq!(damage.told().len(), MEMORY);
    }
}
