//! What the signals that wait for a thread say about what it wants.

use super::status_of;

/// The signals that ask to end, by number: HUP, INT, QUIT, TERM.
const ENDING: [u32; 4] = [1, 2, 3, 15];
/// The one that nobody can refuse.
const KILL: u32 = 9;

/// What somebody who waits wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// To wait on.
    Stay,
    /// To be let go: it is dying, or was told to stop.
    Leave,
    /// Nothing: there is nobody any more.
    Gone,
}

/// What a look at somebody who waits tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) wish: Wish,
    /// The process that his thread is of, if that is to be known.
    pub(super) process: Option<u32>,
}

impl Look {
    /// Looks at a thread.
    pub(super) fn at(thread: u32) -> Self {
        let Some(status) = status_of(thread) else { return Self { wish: Wish::Gone, process: None } };
        let process = status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok());
        Self { wish: Wish::read(&status), process }
    }
}

impl Wish {
    /// What `/proc/TID/status` says. Other signals than those that ask to end say nothing: programs send some to
    /// themselves all the time.
    fn read(status: &str) -> Self {
        let mask = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
            line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0)
        };
        let pending = mask("SigPnd") | mask("ShdPnd");
        let heard = pending & !mask("SigBlk") & !mask("SigIgn");
        let asked_to_end = ENDING.iter().any(|signal| heard & bit(*signal) != 0);
        if pending & bit(KILL) != 0 || asked_to_end { Self::Leave } else { Self::Stay }
    }
}

fn bit(signal: u32) -> u64 {
    1 << (signal - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(own: u64, shared: u64, blocked: u64, ignored: u64) -> String {
        format!(
            "Name:\tcat\nState:\tD (disk sleep)\nSigQ:\t1/95000\nSigPnd:\t{own:016x}\nShdPnd:\t{shared:016x}\n\
             SigBlk:\t{blocked:016x}\nSigIgn:\t{ignored:016x}\nSigCgt:\t0000000000000000\n"
        )
    }

    #[test]
    fn a_killed_thread_wants_to_leave_whatever_it_blocks() {
        assert_eq!(Wish::read(&status(bit(KILL), 0, u64::MAX, 0)), Wish::Leave);
        assert_eq!(Wish::read(&status(0, bit(KILL), 0, 0)), Wish::Leave);
    }

    #[test]
    fn ctrl_c_is_heard_unless_it_is_blocked_or_ignored() {
        for signal in ENDING {
            assert_eq!(Wish::read(&status(0, bit(signal), 0, 0)), Wish::Leave);
            assert_eq!(Wish::read(&status(0, bit(signal), bit(signal), 0)), Wish::Stay);
            assert_eq!(Wish::read(&status(bit(signal), 0, 0, bit(signal))), Wish::Stay);
        }
    }

    #[test]
    fn other_signals_disturb_nobody() {
        // URG is how Go's scheduler wakes its threads, CHLD and ALRM are everyday.
        for signal in [14, 17, 23, 34] {
            assert_eq!(Wish::read(&status(bit(signal), bit(signal), 0, 0)), Wish::Stay);
        }
        assert_eq!(Wish::read(""), Wish::Stay);
    }

    #[test]
    fn whoever_lives_is_not_gone_though_proc_may_hide_it() {
        use crate::callers::is_gone;

        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let own = std::fs::read_link("/proc/thread-self").unwrap();
            tell.send(own.file_name().unwrap().to_str().unwrap().parse().unwrap()).unwrap();
            ended.recv().unwrap_err();
        });
        // By the number of a thread, as the kernel says who asks, and by that of a process of another user.
        assert!(!is_gone(told.recv().unwrap()) && !is_gone(1));
        drop(end);
        thread.join().unwrap();
        assert!(is_gone(1 << 23) && is_gone(u32::MAX));
    }

    #[test]
    fn a_thread_that_is_not_there_wants_nothing() {
        // Above the greatest number that Linux gives to threads.
        assert_eq!(Look::at(1 << 23), Look { wish: Wish::Gone, process: None });
        let own = std::process::id();
        assert_eq!(Look::at(own), Look { wish: Wish::Stay, process: Some(own) });
    }
}
