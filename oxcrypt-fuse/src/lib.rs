//! Cryptomator vaults as FUSE file systems.
//!
//! ```text
//!  kernel ──► session threads ──► adapter ──► dispatch ──► volume ──► memory has it: answered there and then
//!                                  decodes      │ │             └──► scheduler ─► lane: storage ──┐
//!                                       inodes ─┘ └─ handles                                      │
//!  kernel ◄─────────────────────────────────────────── reply, sent by whoever has the answer ◄────┘
//! ```
//!
//! Linux only: elsewhere it is empty.
#![cfg(target_os = "linux")]

mod adapter;
mod attr;
mod callers;
mod damage;
mod dispatch;
mod errno;
mod figures;
mod handles;
mod inodes;
mod options;
mod shown_name;

pub use callers::HeldRequest;
pub use figures::{Figures, Negotiated};
pub use options::{DirectIo, MountOptions};
