//! Who may run: the slots of each class, the reserve behind them, and the queue of the storage itself.

use super::class::{Class, PerClass};
use super::limits::Limits;

/// What a running operation holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// A slot of its class.
    Own,
    /// One of the reserve, which it moved to when it stalled.
    Reserve,
    /// One of the reserve from the start.
    Scout,
}

/// The accounts. They are exact: each slot taken is given back once.
#[derive(Debug)]
pub(super) struct Slots {
    limits: Limits,
    own: PerClass<usize>,
    reserve: usize,
    store: StoreQueue,
}

/// Reads that storage has not answered yet. Stalled ones are among them: they are what fills its queue.
#[derive(Debug, Default)]
struct StoreQueue {
    ordinary: usize,
    scouts: usize,
    hot: usize,
}

impl Slots {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, own: PerClass::default(), reserve: 0, store: StoreQueue::default() }
    }

    /// Whether an operation of `class` may begin in a slot of its own.
    pub(super) fn is_free(&self, class: Class) -> bool {
        let (own, limits) = (&self.own, &self.limits);
        let slot = match class {
            Class::Hot => own[class] < limits.hot,
            Class::Meta => self.pool() < limits.pool,
            Class::Demand => self.pool() < limits.pool && self.shared() < limits.demand_and_background,
            Class::Background => {
                self.pool() < limits.pool
                    && self.shared() < limits.demand_and_background
                    && own[class] < limits.background
            }
            Class::Close => own[class] < limits.close,
            Class::Namespace => own[class] < limits.namespace,
            Class::WriteBack => own[class] < limits.write_back,
        };
        slot && self.store_takes(class, Slot::Own)
    }

    /// Whether an operation of `class`, for which no slot [is free](Self::is_free), may begin in the scouts' part of
    /// the reserve. That part is not touched while stalled operations still find room in the rest; a full queue of the
    /// storage is another matter, because it does not help to move them.
    pub(super) fn scout_is_free(&self, class: Class) -> bool {
        let left = self.reserve_left();
        let needed = left <= self.limits.scouts || !self.store_takes(class, Slot::Own);
        left > 0 && needed && self.store_takes(class, Slot::Scout)
    }

    /// Whether such a scout may go to a suspect. These get half of the scouts' part, so that they never have all of it,
    /// and nothing of the place that a full queue of the storage keeps for what it can still serve.
    pub(super) fn scout_is_free_for_suspects(&self, class: Class) -> bool {
        let left = self.reserve_left();
        let waits_for_reserve = left <= self.limits.scouts && self.store_takes(class, Slot::Own);
        waits_for_reserve && left > self.limits.scouts / 2
    }

    pub(super) fn take(&mut self, class: Class, slot: Slot) {
        match slot {
            Slot::Own => self.own[class] += 1,
            Slot::Reserve | Slot::Scout => self.reserve += 1,
        }
        if let Some(count) = self.store.count(class, slot) {
            *count += 1;
        }
    }

    pub(super) fn give_back(&mut self, class: Class, slot: Slot) {
        match slot {
            Slot::Own => self.own[class] -= 1,
            Slot::Reserve | Slot::Scout => self.reserve -= 1,
        }
        if let Some(count) = self.store.count(class, slot) {
            *count -= 1;
        }
    }

    /// Moves an operation from a slot of its class to the reserve, if that has one left which is not for scouts.
    pub(super) fn move_to_reserve(&mut self, class: Class) -> bool {
        let room = self.reserve_left() > self.limits.scouts;
        if room {
            self.own[class] -= 1;
            self.reserve += 1;
        }
        room
    }

    pub(super) fn reserve_left(&self) -> usize {
        self.limits.reserve - self.reserve
    }

    /// Whether stalled operations find no more room in the reserve.
    pub(super) fn is_down(&self) -> bool {
        self.reserve_left() <= self.limits.scouts
    }

    fn pool(&self) -> usize {
        self.own[Class::Meta] + self.shared()
    }

    fn shared(&self) -> usize {
        self.own[Class::Demand] + self.own[Class::Background]
    }

    /// Whether the queue of the storage takes one more: ordinary reads fill ¾ of it, scouts all but two places, hot
    /// reads all but one. In a short queue ordinary reads leave a place for a scout too, and read-ahead always leaves
    /// half of the queue to those who wait.
    fn store_takes(&self, class: Class, slot: Slot) -> bool {
        let Some(limit) = self.limits.store_queue else { return true };
        let ordinary = (limit * 3 / 4).min(limit.saturating_sub(3)).max(1);
        let with_scouts = limit.saturating_sub(2).max(ordinary);
        let with_hot = limit.saturating_sub(1).max(with_scouts);
        let store = &self.store;
        let scouts = store.ordinary + store.scouts;
        let all = scouts + store.hot;
        match (class, slot) {
            (Class::Hot, _) => all < with_hot,
            (Class::Demand | Class::Background, Slot::Scout) => scouts < with_scouts && all < with_hot,
            (Class::Demand, _) => store.ordinary < ordinary && scouts < with_scouts && all < with_hot,
            (Class::Background, _) => {
                let ahead = (limit / 2).clamp(1, ordinary);
                store.ordinary < ahead && scouts < with_scouts && all < with_hot
            }
            _ => true,
        }
    }
}

impl StoreQueue {
    fn count(&mut self, class: Class, slot: Slot) -> Option<&mut usize> {
        match (class, slot) {
            (Class::Hot, _) => Some(&mut self.hot),
            (Class::Demand | Class::Background, Slot::Scout) => Some(&mut self.scouts),
            (Class::Demand | Class::Background, _) => Some(&mut self.ordinary),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(slots: &mut Slots, class: Class) -> usize {
        let mut taken = 0;
        while slots.is_free(class) {
            slots.take(class, Slot::Own);
            taken += 1;
        }
        taken
    }

    #[test]
    fn reads_leave_eight_slots_for_metadata() {
        let mut slots = Slots::new(Limits::default());
        assert_eq!(fill(&mut slots, Class::Background), 16);
        assert_eq!(fill(&mut slots, Class::Demand), 40);
        assert_eq!(fill(&mut slots, Class::Meta), 8);
        assert!(!slots.is_free(Class::Background));
    }

    #[test]
    fn a_store_with_a_queue_of_twelve_gets_nine_reads_one_scout_and_one_hot_read() {
        let mut slots = Slots::new(Limits { store_queue: Some(12), ..Limits::default() });
        assert_eq!(fill(&mut slots, Class::Demand), 9);
        // They stall and move away, but the queue of the storage is as full as before.
        while slots.own[Class::Demand] > 0 {
            assert!(slots.move_to_reserve(Class::Demand));
        }
        assert!(!slots.is_free(Class::Demand) && slots.scout_is_free(Class::Demand));
        assert!(!slots.scout_is_free_for_suspects(Class::Demand));
        slots.take(Class::Demand, Slot::Scout);
        assert!(!slots.scout_is_free(Class::Demand) && !slots.is_free(Class::Background));
        assert_eq!(fill(&mut slots, Class::Hot), 1);
        slots.give_back(Class::Demand, Slot::Reserve);
        assert!(slots.is_free(Class::Hot) && slots.is_free(Class::Demand));
        assert_eq!(fill(&mut slots, Class::Meta), 64);
    }

    #[test]
    fn read_ahead_leaves_room_in_the_queue_of_a_store() {
        let mut slots = Slots::new(Limits { store_queue: Some(12), ..Limits::default() });
        assert_eq!(fill(&mut slots, Class::Background), 6);
        assert_eq!(fill(&mut slots, Class::Demand), 3);
    }

    #[test]
    fn a_store_with_the_smallest_queue_still_gets_one_read_at_a_time() {
        for limit in 0..5 {
            let mut slots = Slots::new(Limits { store_queue: Some(limit), ..Limits::default() });
            assert_eq!(fill(&mut slots, Class::Demand), 1);
        }
    }

    #[test]
    fn however_short_the_queue_of_the_store_is_a_scout_finds_a_place() {
        for limit in 4..40 {
            let mut slots = Slots::new(Limits { store_queue: Some(limit), ..Limits::default() });
            assert!(fill(&mut slots, Class::Demand) * 4 <= limit * 3);
            assert!(slots.scout_is_free(Class::Demand), "{limit}");
        }
    }

    #[test]
    fn the_last_sixteen_of_the_reserve_are_for_scouts() {
        let mut slots = Slots::new(Limits::default());
        let mut moved = 0;
        loop {
            assert_eq!(slots.is_down(), slots.scout_is_free(Class::Meta));
            slots.take(Class::Meta, Slot::Own);
            if !slots.move_to_reserve(Class::Meta) {
                break;
            }
            moved += 1;
        }
        assert_eq!((moved, slots.reserve_left()), (112, 16));
        for left in (0..16).rev() {
            assert!(slots.scout_is_free(Class::Demand));
            assert_eq!(
                slots.scout_is_free_for_suspects(Class::Demand),
                left >= 8,
                "half of them are for others"
            );
            slots.take(Class::Demand, Slot::Scout);
            assert_eq!(slots.reserve_left(), left);
        }
        assert!(!slots.scout_is_free(Class::Demand));
    }
}
