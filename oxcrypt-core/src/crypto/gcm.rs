//! AES-256-GCM: the seam between the two libraries that can do it.
//!
//! `aws-lc` is several times faster and needs a C compiler to build; `aes-gcm` is Rust alone and always builds. Both
//! make the same bytes, which a test checks, so which one it is changes nothing but speed.

use super::AuthenticationFailed;

#[cfg(all(feature = "aws-lc", any(target_os = "linux", target_os = "macos")))]
mod aws_lc;
#[cfg(any(test, not(all(feature = "aws-lc", any(target_os = "linux", target_os = "macos")))))]
mod rust_crypto;

#[cfg(all(feature = "aws-lc", any(target_os = "linux", target_os = "macos")))]
pub(super) use aws_lc::Gcm;
#[cfg(not(all(feature = "aws-lc", any(target_os = "linux", target_os = "macos"))))]
pub(super) use rust_crypto::Gcm;

pub(super) const NONCE_LEN: usize = 12;
pub(super) const TAG_LEN: usize = 16;

#[cfg(all(test, feature = "aws-lc", any(target_os = "linux", target_os = "macos")))]
mod tests {
    use super::*;

    #[test]
    fn both_libraries_make_and_take_the_same_bytes() {
        let key = std::array::from_fn(|i| u8::try_from(i * 7 % 256).unwrap());
        let (ours, pure) = (Gcm::new(&key), rust_crypto::Gcm::new(&key));
        for len in [0, 1, 15, 16, 17, 4_095, 32_767, 32_768] {
            let clear: Vec<u8> = (0..len).map(|i| u8::try_from(i % 251).unwrap()).collect();
            let (nonce, aad) = ([u8::try_from(len % 251).unwrap(); NONCE_LEN], [3; 20]);
            let (mut one, mut two) = (clear.clone(), clear.clone());
            let tag = ours.encrypt_in_place(&nonce, &aad, &mut one);
            assert_eq!(tag, pure.encrypt_in_place(&nonce, &aad, &mut two));
            assert_eq!(one, two);
            let mut out = vec![1; len];
            ours.decrypt(&nonce, &aad, &one, &tag, &mut out).unwrap();
            assert_eq!(out, clear);
            out.fill(1);
            pure.decrypt(&nonce, &aad, &one, &tag, &mut out).unwrap();
            assert_eq!(out, clear);
            ours.decrypt_in_place(&nonce, &aad, &mut one, &tag).unwrap();
            pure.decrypt_in_place(&nonce, &aad, &mut two, &tag).unwrap();
            assert_eq!((one, two), (clear.clone(), clear));
            assert_eq!(ours.decrypt(&nonce, &aad, &out, &tag, &mut vec![0; len]).is_ok(), len == 0);
            assert_eq!(pure.decrypt(&nonce, &aad, &out, &tag, &mut vec![0; len]).is_ok(), len == 0);
        }
    }
}
