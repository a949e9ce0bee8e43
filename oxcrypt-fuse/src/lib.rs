//! Cryptomator vaults as FUSE file systems.
//!
//! This crate will decode what the kernel asks, hand it to [`oxcrypt-io`](https://docs.rs/oxcrypt-io), and mount and
//! unmount. It is empty so far: the version that has it is the one after the scheduler.
