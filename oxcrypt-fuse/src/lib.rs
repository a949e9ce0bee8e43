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
mod backend;
mod birthmark;
mod callers;
mod connection;
mod damage;
mod dispatch;
mod errno;
mod figures;
mod handles;
mod inodes;
mod janitor;
mod options;
mod shown_name;
pub mod table;

pub use backend::{FuseBackend, FuseMount, MountStatus};
pub use callers::HeldRequest;
pub use connection::{expected_background, request_timeout};
pub use figures::{Figures, Negotiated};
pub use janitor::Janitor;
pub use options::{DirectIo, MountOptions};
