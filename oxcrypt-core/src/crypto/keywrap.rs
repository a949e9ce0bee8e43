//! AES key wrap of RFC 3394, with its default initial value, for keys of 32 bytes.

use aes::Aes256;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use ctutils::CtEq;
use zeroize::{Zeroize, Zeroizing};

use super::{AuthenticationFailed, wipe_stack};

/// Length of a wrapped key of 32 bytes.
pub(crate) const WRAPPED_LEN: usize = 40;

const INTEGRITY: [u8; 8] = [0xa6; 8];
const ROUNDS: usize = 6;
const PARTS: usize = 4;

/// Unwraps `wrapped` with `kek` into `key`.
///
/// Fails if the key encryption key is another one: the format's only sign of a wrong passphrase. `key` is then
/// wiped.
pub(crate) fn unwrap(
    kek: &[u8; 32],
    wrapped: &[u8; WRAPPED_LEN],
    key: &mut [u8; 32],
) -> Result<(), AuthenticationFailed> {
    let integrity = unwrap_parts(kek, wrapped, key);
    wipe_stack();
    if integrity.ct_eq(&INTEGRITY).to_bool() {
        Ok(())
    } else {
        key.zeroize();
        Err(AuthenticationFailed)
    }
}

/// A frame of its own, which lies below the caller's when that wipes the stack.
#[inline(never)]
fn unwrap_parts(kek: &[u8; 32], wrapped: &[u8; WRAPPED_LEN], key: &mut [u8; 32]) -> [u8; 8] {
    let cipher = Aes256::new(kek.into());
    let (first, rest) = wrapped.split_at(8);
    key.copy_from_slice(rest);
    let mut block = Zeroizing::new([0; 16]);
    let (integrity, part_of_block) = block.split_at_mut(8);
    integrity.copy_from_slice(first);
    part_of_block.fill(0);
    for round in (0..ROUNDS).rev() {
        for (index, part) in key.as_chunks_mut::<8>().0.iter_mut().enumerate().rev() {
            mix_step(&mut block, round * PARTS + index + 1);
            block.split_at_mut(8).1.copy_from_slice(part);
            cipher.decrypt_block((&mut *block).into());
            part.copy_from_slice(block.split_at(8).1);
        }
    }
    let mut integrity = [0; 8];
    integrity.copy_from_slice(block.split_at(8).0);
    integrity
}

/// Wraps `key` with `kek`.
pub(crate) fn wrap(kek: &[u8; 32], key: &[u8; 32]) -> [u8; WRAPPED_LEN] {
    let wrapped = wrap_parts(kek, key);
    wipe_stack();
    wrapped
}

/// A frame of its own, which lies below the caller's when that wipes the stack.
#[inline(never)]
fn wrap_parts(kek: &[u8; 32], key: &[u8; 32]) -> [u8; WRAPPED_LEN] {
    let cipher = Aes256::new(kek.into());
    let mut parts = Zeroizing::new(*key);
    let mut block = Zeroizing::new([0; 16]);
    block.split_at_mut(8).0.copy_from_slice(&INTEGRITY);
    for round in 0..ROUNDS {
        for (index, part) in parts.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            block.split_at_mut(8).1.copy_from_slice(part);
            cipher.encrypt_block((&mut *block).into());
            part.copy_from_slice(block.split_at(8).1);
            mix_step(&mut block, round * PARTS + index + 1);
        }
    }
    let mut wrapped = [0; WRAPPED_LEN];
    let (first, rest) = wrapped.split_at_mut(8);
    first.copy_from_slice(block.split_at(8).0);
    rest.copy_from_slice(&*parts);
    wrapped
}

/// Mixes the number of the step into the integrity half of `block`: as 8 bytes big-endian, of which only the last is
/// ever set.
fn mix_step(block: &mut [u8; 16], step: usize) {
    let [.., last] = block.first_chunk_mut::<8>().expect("16 bytes begin with 8");
    *last ^= u8::try_from(step).expect("24 steps fit a byte");
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXUPPER;

    use super::*;

    /// RFC 3394, section 4.6.
    #[test]
    fn agrees_with_the_rfc() {
        let kek: [u8; 32] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        let key =
            HEXUPPER.decode(b"00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F").unwrap();
        let key: [u8; 32] = key.try_into().unwrap();
        let wrapped = wrap(&kek, &key);
        assert_eq!(
            HEXUPPER.encode(&wrapped),
            "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21"
        );
        let mut unwrapped = [0; 32];
        unwrap(&kek, &wrapped, &mut unwrapped).unwrap();
        assert_eq!(unwrapped, key);
    }

    #[test]
    fn another_key_or_a_flipped_bit_unwraps_nothing() {
        let wrapped = wrap(&[7; 32], &[9; 32]);
        let mut key = [1; 32];
        assert_eq!(unwrap(&[8; 32], &wrapped, &mut key), Err(AuthenticationFailed));
        assert_eq!(key, [0; 32]);
        for byte in 0..WRAPPED_LEN {
            let mut flipped = wrapped;
            flipped[byte] ^= 1;
            assert_eq!(unwrap(&[7; 32], &flipped, &mut key), Err(AuthenticationFailed));
        }
    }
}
