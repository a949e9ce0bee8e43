//! Ctrl-C, SIGTERM, SIGHUP and SIGQUIT: the program ends soon, and leaves nothing half done behind.

use std::io::{self, Write as _};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::exit::Code;
use crate::lock::lock;

/// How long work may take to end by itself, before it is tidied up after and left behind: a read of a cloud drive may
/// be stuck in the kernel for a minute.
const GRACE: Duration = Duration::from_millis(600);

/// How long tidying up may take: the destination may be stuck as well.
const TIDYING: Duration = Duration::from_millis(300);

type Tidy = Box<dyn FnOnce() + Send>;

/// Whether somebody wants the program to end.
#[derive(Default)]
pub(crate) struct Interrupt {
    asked: AtomicBool,
    tidy: Mutex<Option<Tidy>>,
    orderly: Mutex<Option<Tidy>>,
    terminal: Mutex<Option<Terminal>>,
}

impl Interrupt {
    /// From now on signals end the program in an orderly way; a second one ends it at once.
    pub(crate) fn install() -> Arc<Self> {
        let interrupt = Arc::new(Self::default());
        listen(Arc::clone(&interrupt));
        interrupt
    }

    /// Whether work is to stop.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Work that leaves something half done looks at [`is_asked`](Self::is_asked) often. Where it cannot, `tidy` is
    /// called in its place.
    pub(crate) fn on_end(&self, tidy: impl FnOnce() + Send + 'static) {
        *lock(&self.tidy) = Some(Box::new(tidy));
    }

    /// From now on the first signal calls `end` and nothing else: whoever listens there ends the program, soon.
    #[cfg(target_os = "linux")]
    pub(crate) fn end_by(&self, end: impl FnOnce() + Send + 'static) {
        *lock(&self.orderly) = Some(Box::new(end));
    }

    /// Has the terminal show nothing of what is typed, from before anybody is asked, and restores it when this is dropped
    /// or the program ends early.
    pub(crate) fn guard_terminal(&self) -> impl Drop + use<'_> {
        *lock(&self.terminal) = Terminal::hide();
        TerminalGuard(self)
    }

    /// What a signal does. Never waits, so that the next one is heard.
    pub(crate) fn end(&self) {
        if let Some(terminal) = lock(&self.terminal).take() {
            terminal.leave();
        }
        let again = self.asked.swap(true, Ordering::Relaxed);
        if let Some(orderly) = lock(&self.orderly).take() {
            return orderly();
        }
        match lock(&self.tidy).take() {
            Some(tidy) if !again => drop(thread::spawn(move || {
                thread::sleep(GRACE);
                thread::spawn(|| {
                    thread::sleep(TIDYING);
                    process::exit(Code::Interrupted as i32);
                });
                tidy();
                // Standard error may be gone, too.
                drop(io::stderr().write_all(b"oxcrypt: interrupted while the storage did not answer\n"));
                process::exit(Code::Interrupted as i32);
            })),
            _ => process::exit(Code::Interrupted as i32),
        }
    }
}

/// Listens to signals on a thread of its own. One that was ignored when the program was started, as under `nohup`, stays
/// ignored, where the system tells that.
#[cfg(unix)]
fn listen(interrupt: Arc<Interrupt>) {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    let ignored = ignored_signals();
    let wanted =
        [SIGHUP, SIGINT, SIGQUIT, SIGTERM].into_iter().filter(|signal| ignored >> (signal - 1) & 1 == 0);
    // Fails only for signals that nobody can listen to.
    let Ok(mut signals) = signal_hook::iterator::Signals::new(wanted) else { return };
    thread::spawn(move || signals.forever().for_each(|_| interrupt.end()));
}

/// The signals that are ignored, one bit each, from the lowest.
#[cfg(unix)]
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(not(unix))]
fn listen(interrupt: Arc<Interrupt>) {
    // Fails only where somebody else has a handler, and this program has no other.
    drop(ctrlc::set_handler(move || interrupt.end()));
}

struct TerminalGuard<'i>(&'i Interrupt);

impl Drop for TerminalGuard<'_> {
    fn drop(&mut self) {
        if let Some(terminal) = lock(&self.0.terminal).take() {
            terminal.restore();
        }
    }
}

/// The terminal that the program was started from, and the settings it had then.
#[cfg(unix)]
struct Terminal(std::fs::File, rustix::termios::Termios);

#[cfg(unix)]
impl Terminal {
    fn hide() -> Option<Self> {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let tty = std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty").ok()?;
        let settings = tcgetattr(&tty).ok()?;
        let mut hidden = settings.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&tty, OptionalActions::Now, &hidden).ok()?;
        Some(Self(tty, settings))
    }

    fn restore(&self) {
        let Self(tty, settings) = self;
        let _ = rustix::termios::tcsetattr(tty, rustix::termios::OptionalActions::Now, settings);
    }

    /// Restores it in the middle of a line.
    fn leave(mut self) {
        self.restore();
        drop(self.0.write_all(b"\n"));
    }
}

/// Elsewhere the system restores the terminal itself.
#[cfg(not(unix))]
struct Terminal;

#[cfg(not(unix))]
impl Terminal {
    fn hide() -> Option<Self> {
        None
    }

    fn restore(&self) {}

    fn leave(self) {}
}
