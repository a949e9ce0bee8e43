//! Work on storage that may hang, and answers that come in time.
//!
//! A read on a cloud drive may block its thread for a minute, in the kernel, where nothing reaches it. So a request and
//! its work have lives of their own here. The *request* is answered by its deadline. Its *operations* take as long as
//! storage takes; they hold a slot of their class meanwhile, and slots are what there is a fixed number of.
//!
//! ```text
//!              answered at the deadline, once           ┌──────────── reply
//!                                                       │
//!  request ──► waiter ─┬─ joins ──► flight ── value ────┤
//!  request ──► waiter ─┘              │                 └──────────── reply
//!                                     │ waits: round robin over objects, oldest first within one
//!                                     ▼
//!             slots of its class:  hot 4 │ meta, demand, background 64 │ close 2 │ mutations 4 + 4
//!                                     │
//!                                     │ runs longer than 30 ms or 1 s: stalled, and moves away,
//!                                     ▼ so that the slot is free again
//!             reserve:  112 for stalled operations │ 16 for scouts, sent out one at a time to find
//!                                     │               what storage still answers when all else hangs
//!                                     ▼
//!             storage returns, at some time: the value goes to whoever waits for it then
//! ```
//!
//! What keeps one dead file from stopping the others: at most eight operations of a class run on an object, and none
//! begins beside two that have stalled. What keeps 600 dead files from stopping the rest: the reserve and the scouts.
//! What keeps storage from being asked twice: operations are shared, and go on when all who waited have left. What
//! keeps the kernel from waiting twice as long: a failure for want of time is remembered for two seconds.
//!
//! [`plan`] decides all this, and does nothing: it has no thread and no clock. The lanes that run operations and the
//! timer that wakes the plan come next.

pub mod plan;
