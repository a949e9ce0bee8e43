//! What is written into a mounted vault.

use oxcrypt_fuse::{DirectIo, MountOptions};
use oxcrypt_io::mount::Unmount;

use crate::house::{House, content};

/// A house with an empty vault.
fn empty_house(direct_io: DirectIo) -> Option<House> {
    let mut options = MountOptions::default();
    options.direct_io = direct_io;
    House::new(options, |_, _| ())
}

#[test]
fn what_is_written_is_read_and_is_there_after_the_next_mount() {
    for direct_io in [DirectIo::Always, DirectIo::Never, DirectIo::WhereItMayBlock] {
        let Some(mut house) = empty_house(direct_io) else { return };
        let source = tempfile::tempdir().unwrap();
        for len in [0, 1, 32_768, 100_000, 5_000_000] {
            let from = source.path().join(len.to_string());
            std::fs::write(&from, content(len)).unwrap();
            let copy = format!(r#"cp "{}" "$1""#, from.display());
            house.sh(&copy, &len.to_string()).succeed();
            assert!(house.read(&len.to_string()) == content(len), "{len}, {direct_io:?}");
        }
        let tree = r#"
            cd "$1"; mkdir -p a/b/c; echo one > a/b/one; mv a/b a/d; ln -s d/one a/link
            echo two >> a/d/one; rm 1; mkdir gone; rmdir gone
            cat a/link; ls -R
        "#;
        let said = String::from_utf8(house.sh(tree, "").succeed().output).unwrap();
        house.unmount(Unmount::IfUnused).unwrap();
        house.mount_again();
        let again =
            String::from_utf8(house.sh(r#"cd "$1"; cat a/link; ls -R"#, "").succeed().output).unwrap();
        assert_eq!(said, again);
        assert!(said.starts_with("one\ntwo\n"), "{said}");
        assert!(house.read("5000000") == content(5_000_000));
    }
}
