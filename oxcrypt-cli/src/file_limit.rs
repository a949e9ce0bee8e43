//! How many files may be open at a time.

/// Lets as many files be open as the system allows, because each folder on the way down holds one.
pub(crate) fn raise() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        // macOS refuses more, and takes "no limit" for an error.
        let current =
            if cfg!(target_os = "macos") { Some(maximum.unwrap_or(u64::MAX).min(10_240)) } else { maximum };
        let _ = setrlimit(Resource::Nofile, Rlimit { current, maximum });
    }
}

/// How many folders may be open, so that files and the vault have their part of what the system allows.
#[cfg(unix)]
pub(crate) fn of_folders() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    (limit / 2).clamp(16, 1024)
}

#[cfg(not(unix))]
pub(crate) fn of_folders() -> usize {
    1024
}
