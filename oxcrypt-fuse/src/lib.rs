//! Cryptomator vaults as FUSE file systems.
//!
//! This crate will decode what the kernel asks, hand it to [`oxcrypt-io`](https://docs.rs/oxcrypt-io), and mount and
//! unmount. So far it has the options of a mount.
//!
//! Linux only: elsewhere it is empty.
#![cfg(target_os = "linux")]

mod options;

pub use options::{DirectIo, MountOptions};
