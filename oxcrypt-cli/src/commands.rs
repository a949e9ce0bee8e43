//! One verb each.

pub(crate) mod cat;
pub(crate) mod decrypt;
pub(crate) mod info;
pub(crate) mod locate;
pub(crate) mod ls;
#[cfg(target_os = "linux")]
pub(crate) mod mount;
#[cfg(target_os = "linux")]
pub(crate) mod mounts;
#[cfg(target_os = "linux")]
pub(crate) mod status;
pub(crate) mod tree;
#[cfg(target_os = "linux")]
pub(crate) mod unmount;
