//! What every command works with.

use std::sync::Arc;

use crate::interrupt::Interrupt;
use crate::output::{Console, Output};

/// One run of the program.
pub(crate) struct Session {
    pub(crate) out: Output,
    pub(crate) console: Console,
    pub(crate) interrupt: Arc<Interrupt>,
}
