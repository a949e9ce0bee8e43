//! The recovery key: the masterkey as words that a person can write down and type.

use thiserror::Error;
use zeroize::Zeroizing;

use crate::crypto::MasterKey;

/// The words of official clients, in their order: each stands for 12 bits.
const WORDS: &str = include_str!("../words/4096words_en.txt");
/// Two words for each three bytes of key and check bytes.
const WORD_COUNT: usize = 44;
const CHECK_LEN: usize = 2;
const ENCODED_LEN: usize = MasterKey::LEN + CHECK_LEN;
const LONGEST_WORD: usize = 9;

/// The recovery key of a vault: 44 words, as official clients show it. Whoever has it can open the vault, whatever the
/// passphrase is. Has no `Debug` and is wiped when dropped.
pub struct RecoveryKey(Zeroizing<String>);

/// Why a text is no recovery key. Never holds a word of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidRecoveryKey {
    /// It is cut off, or more than a recovery key.
    #[error("a recovery key has {WORD_COUNT} words, and this has {0}")]
    WordCount(usize),
    /// A word that stands in no recovery key.
    #[error("word {0} of the recovery key is none that recovery keys are made of")]
    UnknownWord(
        /// Which one, counted from 1.
        usize,
    ),
    /// Possible words that do not belong together.
    #[error("each word of the recovery key is a possible one, but one is wrong or in the wrong place")]
    CheckBytes,
}

impl RecoveryKey {
    /// The recovery key of the vault with this masterkey.
    #[must_use]
    pub fn of(key: &MasterKey) -> Self {
        let mut bytes = Zeroizing::new([0; ENCODED_LEN]);
        let (raw, check) = bytes.split_at_mut(MasterKey::LEN);
        raw.copy_from_slice(key.raw());
        check.copy_from_slice(&check_bytes(key.raw()));
        // Never grows, so no copy is left behind.
        let mut text = Zeroizing::new(String::with_capacity(WORD_COUNT * (LONGEST_WORD + 1)));
        for [first, second, third] in bytes.as_chunks().0 {
            let middle = u16::from(*second);
            push_word(&mut text, u16::from(*first) << 4 | middle >> 4);
            push_word(&mut text, (middle & 0xf) << 8 | u16::from(*third));
        }
        Self(text)
    }

    /// The words, with a space between two.
    #[must_use]
    pub fn words(&self) -> &str {
        &self.0
    }

    /// Reads a recovery key that somebody typed: words with any white space between them. Capitals are no mistake.
    ///
    /// That it is one does not say which vault's.
    ///
    /// # Errors
    ///
    /// [`InvalidRecoveryKey`].
    pub fn read(text: &str) -> Result<MasterKey, InvalidRecoveryKey> {
        let count = text.split_whitespace().count();
        if count != WORD_COUNT {
            return Err(InvalidRecoveryKey::WordCount(count));
        }
        let mut bytes = Zeroizing::new([0; ENCODED_LEN]);
        let mut words = (1..).zip(text.split_whitespace());
        let mut next = || words.next().map_or(Ok(0), |(number, word)| number_of(word, number));
        for [first, second, third] in bytes.as_chunks_mut().0 {
            let (high, low) = (next()?, next()?);
            *first = low_byte(high >> 4);
            *second = low_byte(high << 4) | low_byte(low >> 8);
            *third = low_byte(low);
        }
        let (raw, check) = bytes.split_first_chunk().ok_or(InvalidRecoveryKey::CheckBytes)?;
        if *check == check_bytes(raw) {
            Ok(MasterKey::from_raw(raw))
        } else {
            Err(InvalidRecoveryKey::CheckBytes)
        }
    }
}

fn push_word(text: &mut String, number: u16) {
    if !text.is_empty() {
        text.push(' ');
    }
    text.extend(WORDS.lines().nth(usize::from(number)));
}

fn number_of(word: &str, position: usize) -> Result<u16, InvalidRecoveryKey> {
    let known = (0..).zip(WORDS.lines()).find(|(_, known)| known.eq_ignore_ascii_case(word));
    known.map(|(number, _)| number).ok_or(InvalidRecoveryKey::UnknownWord(position))
}

fn low_byte(number: u16) -> u8 {
    number.to_le_bytes()[0]
}

/// The common CRC-32, of which the low bytes are kept, the lowest first.
fn check_bytes(raw: &[u8; MasterKey::LEN]) -> [u8; CHECK_LEN] {
    let mut crc = u32::MAX;
    for byte in raw {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 0 { crc >> 1 } else { (crc >> 1) ^ 0xedb8_8320 };
        }
    }
    let [lowest, second, ..] = (!crc).to_le_bytes();
    [lowest, second]
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    use super::*;

    /// Made by the official client.
    const KEY: &str = "bb01e256b7836e6bf8ecaee867397065b1dc12a976676f5badb805c4a03b8b9e295d53e81e8c4a2b9af3652dd51213f1\
                       1de810282c1ae4c9387a9eceb18bad03";
    const WORDS_OF_KEY: &str = "pathway lift abuse plenty export texture gentleman landscape beyond ceiling around leaf \
        cafe charity border breakdown victory surely computer cat linger restrict infer crowd live computer true written \
        amazed investor boot depth left theory snow whereby terminal weekly reject happiness circuit partial cup ad";

    fn read(text: &str) -> Result<[u8; MasterKey::LEN], InvalidRecoveryKey> {
        RecoveryKey::read(text).map(|key| *key.raw())
    }

    #[test]
    fn the_words_are_those_of_official_clients() {
        let hash = HEXLOWER.encode(&Sha256::digest(WORDS));
        assert_eq!(hash, "a66b733e516289fbe2a0f9382d450965edf4c9657a596035d34d1ae8a01ce175");
        assert_eq!(WORDS.lines().count(), 4_096);
        assert!(WORDS.lines().all(|word| (2..=LONGEST_WORD).contains(&word.len())));
    }

    #[test]
    fn agrees_with_the_official_vector() {
        let raw: [u8; MasterKey::LEN] = HEXLOWER.decode(KEY.as_bytes()).unwrap().try_into().unwrap();
        assert_eq!(RecoveryKey::of(&MasterKey::from_raw(&raw)).words(), WORDS_OF_KEY);
        assert_eq!(read(WORDS_OF_KEY), Ok(raw));
        let zeros = RecoveryKey::of(&MasterKey::from_raw(&[0; MasterKey::LEN]));
        assert!(zeros.words().ends_with(" at assume"), "{}", zeros.words());
    }

    #[test]
    fn how_it_is_typed_does_not_matter() {
        let typed = WORDS_OF_KEY.to_uppercase().replace(' ', "\r\n\t ");
        assert_eq!(read(&format!("\n {typed}  \n")), read(WORDS_OF_KEY));
    }

    #[test]
    fn what_is_wrong_is_told_without_any_word() {
        assert_eq!(read(""), Err(InvalidRecoveryKey::WordCount(0)));
        assert_eq!(read(&WORDS_OF_KEY[..WORDS_OF_KEY.len() - 3]), Err(InvalidRecoveryKey::WordCount(43)));
        assert_eq!(read(&format!("{WORDS_OF_KEY} ad")), Err(InvalidRecoveryKey::WordCount(45)));
        let misspelt = WORDS_OF_KEY.replace("plenty", "plentyy");
        let error = read(&misspelt).unwrap_err();
        assert_eq!(error, InvalidRecoveryKey::UnknownWord(4));
        assert!(!error.to_string().contains("plenty"));
        let wrong_last = format!("{}wrong", WORDS_OF_KEY.strip_suffix("ad").unwrap());
        assert_eq!(read(&wrong_last), Err(InvalidRecoveryKey::CheckBytes));
        assert_eq!(
            read(&WORDS_OF_KEY.replace("cafe charity", "charity cafe")),
            Err(InvalidRecoveryKey::CheckBytes)
        );
    }

    proptest! {
        // Words are looked up one by one, which takes its time without optimisation.
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn every_key_round_trips(key in proptest::array::uniform32(any::<u8>()), mac in proptest::array::uniform32(any::<u8>())) {
            let raw: [u8; MasterKey::LEN] = [key, mac].concat().try_into().unwrap();
            let words = RecoveryKey::of(&MasterKey::from_raw(&raw));
            prop_assert!(words.words().len() <= WORD_COUNT * (LONGEST_WORD + 1));
            prop_assert_eq!(read(words.words()), Ok(raw));
        }

        #[test]
        fn whatever_is_no_recovery_key_is_refused(text in ".{0,400}", words in proptest::collection::vec(0..4_096usize, 44)) {
            prop_assert!(read(&text).is_err());
            // Of so many words that exist, one text in 65,536 is one.
            let all: Vec<&str> = WORDS.lines().collect();
            let text = words.iter().map(|word| all[*word]).collect::<Vec<_>>().join(" ");
            match read(&text) {
                Ok(raw) => prop_assert!(RecoveryKey::of(&MasterKey::from_raw(&raw)).words() == text),
                Err(error) => prop_assert_eq!(error, InvalidRecoveryKey::CheckBytes),
            }
        }
    }
}
