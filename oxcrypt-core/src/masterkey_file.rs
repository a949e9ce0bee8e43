//! `masterkey.cryptomator`: the two halves of the masterkey, wrapped with a key derived from the passphrase.

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use scrypt::Params;
use serde_json::Value;
use sha2::Sha256;
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::crypto::{MasterKey, WRAPPED_LEN, fill_random, unwrap, wipe_stack, wrap};

/// Official clients make files of some 350 bytes.
pub(crate) const MAX_LEN: usize = 64 * 1024;
/// The version that says: the format is in the vault config.
pub(crate) const VERSION_IN_CONFIG: u32 = 999;

/// As long as official clients make it.
const NEW_SALT_LEN: usize = 8;
const MAX_SALT_LEN: usize = 64;
const MIN_SALT_LEN: usize = 8;
const MAX_COST: u64 = 1 << 20;
const MAX_BLOCK_SIZE: u64 = 32;
/// Below this product of cost and block size a passphrase is guessed too fast.
const WEAK: u64 = (1 << 14) * 8;

/// What somebody typed to unlock a vault. Has no `Debug` and is wiped when dropped.
pub struct Passphrase(Zeroizing<Vec<u8>>);

impl Passphrase {
    /// Copies a passphrase. The caller wipes its own copy.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self::from_bytes(Zeroizing::new(text.into()))
    }

    /// Takes the bytes as they were typed. They need not be UTF-8.
    #[must_use]
    pub fn from_bytes(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// Whether nothing was typed at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether both are the same text.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        match (self.normal(), other.normal()) {
            (Some(one), Some(other)) => one == other,
            _ => self.0 == other.0,
        }
    }

    /// How many characters it has; bytes, where it is no text.
    #[must_use]
    pub fn len(&self) -> usize {
        std::str::from_utf8(&self.0).map_or(self.0.len(), |text| text.nfc().count())
    }

    /// The bytes in normal form NFC, as most clients make it; `None` for what is no text.
    pub(crate) fn normal(&self) -> Option<Zeroizing<Vec<u8>>> {
        let text = std::str::from_utf8(&self.0).ok()?;
        // Composing never makes UTF-8 more than three times longer, so no copy is left behind by growing.
        let mut bytes = Zeroizing::new(Vec::with_capacity(3 * text.len()));
        let mut utf8 = Zeroizing::new([0; 4]);
        for c in text.nfc() {
            bytes.extend_from_slice(c.encode_utf8(&mut *utf8).as_bytes());
        }
        Some(bytes)
    }

    /// What the passphrase may be in bytes: in normal form, and as typed if that differs, because the official command
    /// line does not normalise.
    fn candidates(&self) -> impl Iterator<Item = Zeroizing<Vec<u8>>> {
        let nfc = self.normal();
        let as_typed = nfc.as_ref().is_none_or(|nfc| **nfc != *self.0).then(|| self.0.clone());
        nfc.into_iter().chain(as_typed)
    }
}

/// The cost of deriving the key: 128 · `cost` · `block_size` bytes of memory, and time in proportion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScryptParams {
    /// N, a power of two.
    pub cost: u64,
    /// r.
    pub block_size: u64,
}

impl Default for ScryptParams {
    /// What official clients choose for a new vault.
    fn default() -> Self {
        Self { cost: 1 << 15, block_size: 8 }
    }
}

impl ScryptParams {
    /// Bytes of memory that the derivation takes.
    #[must_use]
    pub fn memory(self) -> u64 {
        self.cost.saturating_mul(self.block_size).saturating_mul(128)
    }

    /// Whether passphrases are guessed faster than with the weakest cost that any official client ever used.
    #[must_use]
    pub fn is_weak(self) -> bool {
        self.cost.saturating_mul(self.block_size) < WEAK
    }

    /// Whether this is a cost that a masterkey file may have, with at most `max_memory` bytes of memory.
    pub(crate) fn is_sane(self, max_memory: u64) -> bool {
        self.check(max_memory).is_ok()
    }

    fn check(self, max_memory: u64) -> Result<Params, MasterkeyFileError> {
        let refused = MasterkeyFileError::Hostile(self);
        let sane = self.cost.is_power_of_two()
            && (2..=MAX_COST).contains(&self.cost)
            && (1..=MAX_BLOCK_SIZE).contains(&self.block_size)
            && self.memory() <= max_memory;
        match (sane, u8::try_from(self.cost.trailing_zeros()), u32::try_from(self.block_size)) {
            (true, Ok(log_cost), Ok(block_size)) => Params::new(log_cost, block_size, 1).map_err(|_| refused),
            _ => Err(refused),
        }
    }
}

/// Why a masterkey file gives no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum MasterkeyFileError {
    #[error("{0}")]
    Malformed(&'static str),
    #[error("it asks for {} MiB of memory", .0.memory() >> 20)]
    Hostile(ScryptParams),
    #[error("no key unwraps")]
    WrongPassphrase,
}

/// A masterkey file, parsed. Nothing in it is authentic before a key was unwrapped.
pub(crate) struct MasterkeyFile {
    pub(crate) version: u32,
    pub(crate) scrypt: ScryptParams,
    salt: Vec<u8>,
    encryption_key: [u8; WRAPPED_LEN],
    mac_key: [u8; WRAPPED_LEN],
    version_mac: Vec<u8>,
}

impl MasterkeyFile {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, MasterkeyFileError> {
        let json: Value =
            serde_json::from_slice(bytes).map_err(|_| MasterkeyFileError::Malformed("it is no JSON"))?;
        let salt = bytes_of(&json, "scryptSalt")?;
        if !(MIN_SALT_LEN..=MAX_SALT_LEN).contains(&salt.len()) {
            return Err(MasterkeyFileError::Malformed("its salt has no length that a client would use"));
        }
        Ok(Self {
            version: number(&json, "version")?
                .try_into()
                .map_err(|_| MasterkeyFileError::Malformed("its version is no version"))?,
            scrypt: ScryptParams {
                cost: number(&json, "scryptCostParam")?,
                block_size: number(&json, "scryptBlockSize")?,
            },
            salt,
            encryption_key: wrapped_key(&json, "primaryMasterKey")?,
            mac_key: wrapped_key(&json, "hmacMasterKey")?,
            version_mac: bytes_of(&json, "versionMac")?,
        })
    }

    /// Derives the key from the passphrase and unwraps the masterkey. Takes `self.scrypt` in time and memory, twice
    /// where the passphrase is not in normal form.
    pub(crate) fn unlock(
        &self,
        passphrase: &Passphrase,
        max_memory: u64,
    ) -> Result<MasterKey, MasterkeyFileError> {
        let params = self.scrypt.check(max_memory)?;
        passphrase
            .candidates()
            .find_map(|candidate| self.unlock_with(&candidate, &params))
            .ok_or(MasterkeyFileError::WrongPassphrase)
    }

    fn unlock_with(&self, passphrase: &[u8], params: &Params) -> Option<MasterKey> {
        let mut kek = Zeroizing::new([0; 32]);
        scrypt::scrypt(passphrase, &self.salt, params, &mut *kek)
            .expect("32 bytes are a length scrypt can give");
        let mut raw = Zeroizing::new([0; MasterKey::LEN]);
        let [encryption, mac] = raw.as_chunks_mut::<32>().0 else { return None };
        unwrap(&kek, &self.encryption_key, encryption).ok()?;
        unwrap(&kek, &self.mac_key, mac).ok()?;
        Some(MasterKey::from_raw(&raw))
    }

    /// Whether the version is the one that was written with this key. Official clients do not look.
    pub(crate) fn version_is_authentic(&self, key: &MasterKey) -> bool {
        let is_authentic = self.verify_version(key);
        wipe_stack();
        is_authentic
    }

    /// A frame of its own, which lies below the caller's when that wipes the stack.
    #[inline(never)]
    fn verify_version(&self, key: &MasterKey) -> bool {
        version_mac(key, self.version).verify_slice(&self.version_mac).is_ok()
    }

    /// Makes a masterkey file as official clients do, with a new salt. `passphrase` is taken as it is. Takes `scrypt` in
    /// time and memory.
    pub(crate) fn create(
        key: &MasterKey,
        passphrase: &[u8],
        scrypt: ScryptParams,
        version: u32,
    ) -> Result<String, MasterkeyFileError> {
        let params = scrypt.check(u64::MAX)?;
        let mut salt = [0; NEW_SALT_LEN];
        fill_random(&mut salt);
        let mut kek = Zeroizing::new([0; 32]);
        scrypt::scrypt(passphrase, &salt, &params, &mut *kek).expect("32 bytes are a length scrypt can give");
        let [encryption, mac] =
            [key.encryption_key(), key.mac_key()].map(|half| BASE64.encode(&wrap(&kek, half)));
        let version_mac = new_version_mac(key, version);
        wipe_stack();
        // The order of the official writer, for people who look at it.
        Ok(format!(
            "{{\n  \"version\": {version},\n  \"scryptSalt\": \"{}\",\n  \"scryptCostParam\": {},\n  \
             \"scryptBlockSize\": {},\n  \"primaryMasterKey\": \"{encryption}\",\n  \
             \"hmacMasterKey\": \"{mac}\",\n  \"versionMac\": \"{version_mac}\"\n}}",
            BASE64.encode(&salt),
            scrypt.cost,
            scrypt.block_size,
        ))
    }
}

/// A frame of its own, which lies below the caller's when that wipes the stack.
#[inline(never)]
fn new_version_mac(key: &MasterKey, version: u32) -> String {
    BASE64.encode(&version_mac(key, version).finalize().into_bytes())
}

fn version_mac(key: &MasterKey, version: u32) -> Hmac<Sha256> {
    let mut mac =
        <Hmac<Sha256> as KeyInit>::new_from_slice(key.mac_key()).expect("HMAC takes keys of any length");
    mac.update(&version.to_be_bytes());
    mac
}

fn number(json: &Value, field: &str) -> Result<u64, MasterkeyFileError> {
    json.get(field).and_then(Value::as_u64).ok_or(MasterkeyFileError::Malformed("a number is missing in it"))
}

fn bytes_of(json: &Value, field: &str) -> Result<Vec<u8>, MasterkeyFileError> {
    let text = json.get(field).and_then(Value::as_str);
    text.and_then(|text| BASE64.decode(text.as_bytes()).ok())
        .ok_or(MasterkeyFileError::Malformed("a Base64 value is missing in it"))
}

fn wrapped_key(json: &Value, field: &str) -> Result<[u8; WRAPPED_LEN], MasterkeyFileError> {
    bytes_of(json, field)?
        .try_into()
        .map_err(|_| MasterkeyFileError::Malformed("a wrapped key in it is not 40 bytes long"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// `MasterkeyFileAccessTest` of cryptolib: passphrase `asd`, both keys zeros.
    fn official() -> Value {
        json!({
            "version": 3,
            "scryptSalt": "AAAAAAAAAAA=",
            "scryptCostParam": 2,
            "scryptBlockSize": 8,
            "primaryMasterKey": "mM+qoQ+o0qvPTiDAZYt+flaC3WbpNAx1sTXaUzxwpy0M9Ctj6Tih/Q==",
            "hmacMasterKey": "mM+qoQ+o0qvPTiDAZYt+flaC3WbpNAx1sTXaUzxwpy0M9Ctj6Tih/Q==",
            "versionMac": "iUmRRHITuyJsJbVNqGNw+82YQ4A3Rma7j/y1v0DCVLA=",
        })
    }

    fn parse(json: &Value) -> Result<MasterkeyFile, MasterkeyFileError> {
        MasterkeyFile::parse(json.to_string().as_bytes())
    }

    fn unlock(json: &Value, passphrase: &str) -> Result<MasterKey, MasterkeyFileError> {
        parse(json)?.unlock(&Passphrase::new(passphrase), 1 << 30)
    }

    fn create(key: &MasterKey, passphrase: &[u8]) -> Value {
        let cheap = ScryptParams { cost: 2, block_size: 1 };
        let file = MasterkeyFile::create(key, passphrase, cheap, VERSION_IN_CONFIG).unwrap();
        serde_json::from_str(&file).unwrap()
    }

    #[test]
    fn agrees_with_the_official_test() {
        let key = unlock(&official(), "asd").ok().unwrap();
        assert_eq!(key.raw(), &[0; 64]);
        let file = parse(&official()).ok().unwrap();
        assert!(file.version_is_authentic(&key));
        assert!(!file.version_is_authentic(&MasterKey::from_raw(&[1; 64])));
        assert_eq!(
            BASE64.encode(&version_mac(&key, 999).finalize().into_bytes()),
            "trDKXqDhu94/VPuoWaQGBm8hwSPYc0D9t6DRRxKZ65k="
        );
    }

    #[test]
    fn a_wrong_passphrase_unwraps_nothing() {
        assert_eq!(unlock(&official(), "asdf").err(), Some(MasterkeyFileError::WrongPassphrase));
    }

    #[test]
    fn the_passphrase_is_tried_in_nfc_and_then_as_typed() {
        let key = MasterKey::from_raw(&[3; 64]);
        let (composed, decomposed) = ("p\u{e4}ss", "pa\u{308}ss");
        let nfc = create(&key, composed.as_bytes());
        assert!(unlock(&nfc, composed).is_ok() && unlock(&nfc, decomposed).is_ok());
        let as_typed = create(&key, decomposed.as_bytes());
        assert!(unlock(&as_typed, decomposed).is_ok());
        assert!(unlock(&as_typed, composed).is_err());
        let bytes = create(&key, b"\xff\xfe");
        let typed = Passphrase::from_bytes(Zeroizing::new(b"\xff\xfe".to_vec()));
        assert!(parse(&bytes).ok().unwrap().unlock(&typed, 1 << 30).is_ok());
    }

    #[test]
    fn a_new_file_has_what_the_official_writer_has_and_a_salt_of_its_own() {
        let key = MasterKey::from_raw(&std::array::from_fn(|i| u8::try_from(i).unwrap()));
        let scrypt = ScryptParams { cost: 4, block_size: 8 };
        let [one, other] =
            [7, 999].map(|version| MasterkeyFile::create(&key, b"x", scrypt, version).unwrap());
        let fields: Vec<&str> = one.lines().filter_map(|line| line.split('"').nth(1)).collect();
        assert_eq!(
            fields,
            [
                "version",
                "scryptSalt",
                "scryptCostParam",
                "scryptBlockSize",
                "primaryMasterKey",
                "hmacMasterKey",
                "versionMac",
            ]
        );
        let [one, other] = [one, other].map(|file| MasterkeyFile::parse(file.as_bytes()).unwrap());
        assert_eq!((one.version, other.version, one.scrypt, one.salt.len()), (7, 999, scrypt, 8));
        assert_ne!(one.salt, other.salt);
        for file in [one, other] {
            let unlocked = file.unlock(&Passphrase::new("x"), 1 << 30).ok().unwrap();
            assert_eq!(unlocked.raw(), key.raw());
            assert!(file.version_is_authentic(&unlocked));
        }
    }

    #[test]
    fn passphrases_are_the_same_if_their_normal_forms_are() {
        let [composed, decomposed, other] = ["p\u{e4}ss", "pa\u{308}ss", "pass"].map(Passphrase::new);
        assert!(composed.is_same_as(&decomposed) && !composed.is_same_as(&other));
        assert_eq!((composed.len(), decomposed.len(), Passphrase::new("").is_empty()), (4, 4, true));
    }

    #[test]
    fn hostile_costs_are_refused_before_any_memory_is_taken() {
        for (cost, block_size) in [
            (0, 8),
            (1, 8),
            (3, 8),
            (32_767, 8),
            (1 << 21, 8),
            (1 << 20, 9),
            (1 << 40, 1),
            (u64::MAX, u64::MAX),
            (1 << 15, 0),
            (1 << 15, 33),
        ] {
            let mut json = official();
            json["scryptCostParam"] = json!(cost);
            json["scryptBlockSize"] = json!(block_size);
            let error = unlock(&json, "asd").err();
            assert_eq!(error, Some(MasterkeyFileError::Hostile(ScryptParams { cost, block_size })));
        }
    }

    #[test]
    fn a_missing_or_absurd_field_is_damage() {
        for field in official().as_object().unwrap().keys() {
            for value in [json!(null), json!("%"), json!(-1), json!([])] {
                let mut json = official();
                json[field] = value;
                assert!(matches!(parse(&json), Err(MasterkeyFileError::Malformed(_))), "{field}");
            }
        }
        let mut short = official();
        short["hmacMasterKey"] = json!("AAAA");
        assert!(parse(&short).is_err());
        for salt in ["AAAA", &"AAAA".repeat(30)] {
            let mut json = official();
            json["scryptSalt"] = json!(salt);
            assert!(parse(&json).is_err());
        }
        assert!(MasterkeyFile::parse(b"{").is_err());
        assert!(MasterkeyFile::parse("[".repeat(60_000).as_bytes()).is_err());
    }
}
