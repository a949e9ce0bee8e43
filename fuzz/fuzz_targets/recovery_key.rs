//! Any text as a recovery key: a key that says the same again, or a reason.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oxcrypt_core::crypto::MasterKey;
use oxcrypt_core::unlock::RecoveryKey;

fuzz_target!(|input: &[u8]| {
    if let Ok(text) = std::str::from_utf8(input)
        && let Ok(key) = RecoveryKey::read(text)
    {
        let words: Vec<&str> = text.split_whitespace().collect();
        assert_eq!(RecoveryKey::of(&key).words(), words.join(" "));
    }
    // Any key has words, and they give it back.
    let mut raw = [0; MasterKey::LEN];
    for (byte, of) in raw.iter_mut().zip(input) {
        *byte = *of;
    }
    let words = RecoveryKey::of(&MasterKey::from_raw(&raw)).words().to_owned();
    assert!(RecoveryKey::read(&words).is_ok_and(|key| *key.raw() == raw));
});
