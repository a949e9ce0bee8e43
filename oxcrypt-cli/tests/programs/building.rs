//! A crate that is built on the mount.

use crate::stage::Stage;

/// Cargo as it is for people; it gets its own variables from whoever runs these tests.
const CARGO: &str = r#"
    unset CARGO_TARGET_DIR CARGO_BUILD_TARGET_DIR RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_JOBS CARGO_MANIFEST_DIR
    export CARGO_NET_OFFLINE=true CARGO_TERM_COLOR=never HOME=$2
    cargo=$1
    # The compiler warns where there are no hard links.
    cargo() { said=$("$cargo" "$@" 2>&1) || { echo "$said"; return 1; }; }"#;

#[test]
fn a_crate_is_built_changed_and_built_again_and_is_fresh_after_a_remount() {
    let Some(mut stage) = Stage::of_root() else { return };
    let home = std::env::var("HOME").unwrap_or_default();
    let words = [env!("CARGO"), home.as_str()];
    let said = stage.run(
        &format!(
            r#"{CARGO}
            cargo new --quiet --vcs none greeter
            cd greeter
            mkdir src/words
            echo 'pub mod words; pub fn greet() -> String {{ format!("{{}} world", words::HELLO) }}' > src/lib.rs
            echo 'pub const HELLO: &str = "hello";' > src/words.rs
            echo 'fn main() {{ println!("{{}}", greeter::greet()); }}' > src/main.rs
            echo '#[test] fn greets() {{ assert!(greeter::greet().ends_with("world")); }}' > greets.rs
            mkdir tests
            mv greets.rs tests/
            cargo build --quiet
            ./target/debug/greeter
            sed -i 's/hello/good morning/' src/words.rs
            cargo build --quiet
            ./target/debug/greeter
            cargo test --quiet
            cargo build --quiet --release
            ./target/release/greeter"#
        ),
        &words,
    );
    assert_eq!(said, "hello world\ngood morning world\ngood morning world\n");
    stage.outlives_a_remount();
    let said = stage.run(
        &format!(
            r#"{CARGO}
            cd greeter
            cargo build -v
            echo "$said"
            ./target/debug/greeter"#
        ),
        &words,
    );
    assert!(said.contains("Fresh greeter") && said.ends_with("good morning world\n"), "{said}");
}
