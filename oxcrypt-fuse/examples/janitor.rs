//! A program that is nothing but a janitor, for whoever mounts from a program that cannot start itself again.
//!
//! `oxcrypt_fuse::Janitor::start(Command::new("janitor"))`, before the vault is opened.

fn main() -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    oxcrypt_fuse::Janitor::serve()?;
    Ok(())
}
