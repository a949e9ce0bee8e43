//! One verb each.

pub(crate) mod backups;
pub(crate) mod cat;
pub(crate) mod config;
pub(crate) mod cp;
pub(crate) mod create;
pub(crate) mod decrypt;
#[cfg(target_os = "linux")]
pub(crate) mod discard;
pub(crate) mod info;
pub(crate) mod locate;
pub(crate) mod ls;
pub(crate) mod mkdir;
#[cfg(target_os = "linux")]
pub(crate) mod mount;
#[cfg(target_os = "linux")]
pub(crate) mod mounts;
pub(crate) mod mv;
pub(crate) mod passphrase;
pub(crate) mod put;
pub(crate) mod recovery_key;
pub(crate) mod rm;
#[cfg(target_os = "linux")]
pub(crate) mod status;
pub(crate) mod tree;
#[cfg(target_os = "linux")]
pub(crate) mod unmount;
