//! `vault.cryptomator`: a JSON Web Token, signed with the masterkey, that says how the vault is encrypted.
//!
//! Nothing in it is believed before its signature is verified. Until then only the key source and the format are
//! looked at, to tell people what they have there.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Sha256, Sha384, Sha512};
use thiserror::Error;

use crate::crypto::{CipherCombo, MasterKey, wipe_stack};
use crate::name::random_uuid;

/// The only format this crate opens.
pub(crate) const FORMAT: u64 = 8;
/// Official clients make configs of some 300 bytes.
pub(crate) const MAX_LEN: usize = 64 * 1024;
/// The key id of a vault whose masterkey file lies in its root.
const OWN_MASTERKEY_FILE: &str = "masterkeyfile:masterkey.cryptomator";
/// What official clients let people choose, and what they choose if nobody does.
pub(crate) const MIN_THRESHOLD: usize = 36;
pub(crate) const MAX_NEW_THRESHOLD: usize = 220;
pub(crate) const DEFAULT_THRESHOLD: usize = MAX_NEW_THRESHOLD;
/// The longest host name anywhere.
pub(crate) const MAX_THRESHOLD: usize = 255;

/// Where the key comes from that a config is signed with, as the config itself claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The masterkey file in the vault's root, opened by a passphrase.
    MasterkeyFile,
    /// Cryptomator Hub.
    Hub {
        /// The server, as the config claims. Nobody has vouched for it.
        host: String,
    },
    /// Something this crate knows nothing of.
    Unknown {
        /// The scheme of its address.
        scheme: String,
    },
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MasterkeyFile => f.write_str("passphrase"),
            Self::Hub { host } => write!(f, "Cryptomator Hub at {host}"),
            Self::Unknown { scheme } => write!(f, "unknown ({scheme})"),
        }
    }
}

/// Why a config cannot be believed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// It cannot even be read.
    #[error("{0}")]
    Malformed(&'static str),
    /// It is not signed, or in a way that no client uses.
    #[error("it is signed by an unknown algorithm, \"{0}\"")]
    Algorithm(String),
    /// Another key signed it, or it was changed since.
    #[error("its signature was not made with this vault's key")]
    Signature,
}

/// A config as read, its signature not verified yet.
pub(crate) struct UnverifiedConfig {
    signed: Vec<u8>,
    signature: Vec<u8>,
    algorithm: Algorithm,
    header: Value,
    claims: Value,
}

#[derive(Clone, Copy)]
enum Algorithm {
    Hs256,
    Hs384,
    Hs512,
}

/// What a verified config says, all of it something that this crate can work with.
pub(crate) struct VaultConfig {
    pub(crate) combo: CipherCombo,
    pub(crate) shortening_threshold: usize,
}

impl UnverifiedConfig {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        let text = std::str::from_utf8(bytes).map_err(|_| ConfigError::Malformed("it is not text"))?.trim();
        let (signed, signature) =
            text.rsplit_once('.').ok_or(ConfigError::Malformed("it is no JSON Web Token"))?;
        let (header, claims) =
            signed.split_once('.').ok_or(ConfigError::Malformed("it is no JSON Web Token"))?;
        let header = json(header)?;
        let algorithm = match header.get("alg").and_then(Value::as_str) {
            Some("HS256") => Algorithm::Hs256,
            Some("HS384") => Algorithm::Hs384,
            Some("HS512") => Algorithm::Hs512,
            other => return Err(ConfigError::Algorithm(printable(other.unwrap_or("none")))),
        };
        Ok(Self {
            signed: signed.into(),
            signature: base64(signature)?,
            algorithm,
            header,
            claims: json(claims)?,
        })
    }

    /// Where the key comes from, by the key id that the config claims.
    pub(crate) fn key_source(&self) -> KeySource {
        let (scheme, rest) = self.key_id().split_once(':').unwrap_or((self.key_id(), ""));
        match scheme {
            "masterkeyfile" => KeySource::MasterkeyFile,
            "hub+http" | "hub+https" => {
                let host = rest.trim_start_matches('/').split(['/', '?', '#']).next().unwrap_or_default();
                KeySource::Hub { host: printable(host) }
            }
            other => KeySource::Unknown { scheme: printable(other) },
        }
    }

    /// Whether the key id names another masterkey file than the one in the vault's root. It is never followed:
    /// nobody vouches for it before it is used.
    pub(crate) fn names_another_masterkey_file(&self) -> bool {
        self.key_source() == KeySource::MasterkeyFile && self.key_id() != OWN_MASTERKEY_FILE
    }

    fn key_id(&self) -> &str {
        self.header.get("kid").and_then(Value::as_str).unwrap_or_default()
    }

    pub(crate) fn alleged_format(&self) -> Option<u64> {
        self.claims.get("format").and_then(Value::as_u64)
    }

    pub(crate) fn alleged_combo(&self) -> Option<String> {
        self.claims.get("cipherCombo").and_then(Value::as_str).map(printable)
    }

    pub(crate) fn alleged_threshold(&self) -> Option<u64> {
        self.claims.get("shorteningThreshold").and_then(Value::as_u64)
    }

    /// Checks the signature, in constant time.
    pub(crate) fn verify(&self, key: &MasterKey) -> Result<(), ConfigError> {
        let verified = match self.algorithm {
            Algorithm::Hs256 => self.verify_with::<Hmac<Sha256>>(key),
            Algorithm::Hs384 => self.verify_with::<Hmac<Sha384>>(key),
            Algorithm::Hs512 => self.verify_with::<Hmac<Sha512>>(key),
        };
        wipe_stack();
        if verified { Ok(()) } else { Err(ConfigError::Signature) }
    }

    /// A frame of its own, which lies below the caller's when that wipes the stack.
    #[inline(never)]
    fn verify_with<M: Mac + KeyInit>(&self, key: &MasterKey) -> bool {
        let mut mac = <M as KeyInit>::new_from_slice(key.raw()).expect("HMAC takes keys of any length");
        mac.update(&self.signed);
        mac.verify_slice(&self.signature).is_ok()
    }

    /// What the config says, once [`verify`](Self::verify) has accepted it.
    ///
    /// # Errors
    ///
    /// What it says that this crate cannot work with, in words.
    pub(crate) fn verified(&self) -> Result<VaultConfig, String> {
        match self.alleged_format() {
            Some(FORMAT) => {}
            Some(other) => return Err(format!("format {other}")),
            None => return Err("a vault config without a format".into()),
        }
        let combo = self.alleged_combo().unwrap_or_else(|| "none".into());
        let threshold = self.alleged_threshold().and_then(|threshold| threshold.try_into().ok());
        Ok(VaultConfig {
            combo: CipherCombo::from_name(&combo).ok_or_else(|| format!("the cipher combo \"{combo}\""))?,
            shortening_threshold: threshold
                .filter(|threshold| (MIN_THRESHOLD..=MAX_THRESHOLD).contains(threshold))
                .ok_or_else(|| {
                    format!("a shortening threshold outside {MIN_THRESHOLD} to {MAX_THRESHOLD}")
                })?,
        })
    }
}

fn base64(text: &str) -> Result<Vec<u8>, ConfigError> {
    BASE64URL_NOPAD
        .decode(text.as_bytes())
        .map_err(|_| ConfigError::Malformed("a part of it is not Base64url"))
}

fn json(part: &str) -> Result<Value, ConfigError> {
    match serde_json::from_slice(&base64(part)?) {
        Ok(value @ Value::Object(_)) => Ok(value),
        _ => Err(ConfigError::Malformed("a part of it is no JSON object")),
    }
}

/// Makes a text that nobody vouches for fit for a message: short, and without anything that a terminal would act on or
/// that would turn the text around it.
fn printable(text: &str) -> String {
    let acts = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().take(100).map(|c| if acts(c) { '\u{fffd}' } else { c }).collect()
}

/// Makes the config of a vault that opens by passphrase, under a random id.
pub(crate) fn create(key: &MasterKey, combo: CipherCombo, shortening_threshold: usize) -> String {
    let header = json!({ "kid": OWN_MASTERKEY_FILE, "typ": "JWT", "alg": "HS256" });
    let claims = json!({
        "jti": random_uuid(),
        "format": FORMAT,
        "cipherCombo": combo.name(),
        "shorteningThreshold": shortening_threshold,
    });
    sign(key, &header, &claims)
}

/// Signs a config, by the algorithm that its header names.
pub(crate) fn sign(key: &MasterKey, header: &Value, claims: &Value) -> String {
    let encode = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature: Vec<u8> = match header.get("alg").and_then(Value::as_str) {
        Some("HS384") => mac::<Hmac<Sha384>>(key, &signed),
        Some("HS512") => mac::<Hmac<Sha512>>(key, &signed),
        _ => mac::<Hmac<Sha256>>(key, &signed),
    };
    wipe_stack();
    format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
}

/// A frame of its own, which lies below the caller's when that wipes the stack.
#[inline(never)]
fn mac<M: Mac + KeyInit>(key: &MasterKey, signed: &str) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(key.raw()).expect("HMAC takes keys of any length");
    mac.update(signed.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> MasterKey {
        MasterKey::from_raw(&[1; 64])
    }

    fn token(alg: &str, kid: &str, claims: &Value) -> UnverifiedConfig {
        let token = sign(&key(), &json!({"kid": kid, "typ": "JWT", "alg": alg}), claims);
        UnverifiedConfig::parse(token.as_bytes()).ok().unwrap()
    }

    fn claims() -> Value {
        json!({"format": 8, "cipherCombo": "SIV_GCM", "shorteningThreshold": 220})
    }

    #[test]
    fn all_three_algorithms_are_verified_and_no_other() {
        for alg in ["HS256", "HS384", "HS512"] {
            let config = token(alg, "masterkeyfile:masterkey.cryptomator", &claims());
            assert_eq!(config.verify(&key()), Ok(()));
            assert_eq!(config.verify(&MasterKey::from_raw(&[2; 64])), Err(ConfigError::Signature));
        }
        for alg in ["none", "RS256", ""] {
            let token = sign(&key(), &json!({"alg": alg}), &claims());
            let error = UnverifiedConfig::parse(token.as_bytes()).err().unwrap();
            assert_eq!(error, ConfigError::Algorithm(alg.into()));
        }
    }

    #[test]
    fn a_new_config_is_accepted_and_has_an_id_of_its_own() {
        let configs = [CipherCombo::SivGcm, CipherCombo::SivCtrMac, CipherCombo::SivGcm]
            .map(|combo| UnverifiedConfig::parse(create(&key(), combo, 36).as_bytes()).ok().unwrap());
        for config in &configs {
            assert_eq!(config.verify(&key()), Ok(()));
            assert!(!config.names_another_masterkey_file());
            assert_eq!(config.verified().ok().unwrap().shortening_threshold, 36);
            let id = config.claims["jti"].as_str().unwrap();
            assert!(
                id.len() == 36 && id.as_bytes()[14] == b'4' && b"89ab".contains(&id.as_bytes()[19]),
                "{id}"
            );
        }
        assert_eq!(configs[1].alleged_combo().unwrap(), "SIV_CTRMAC");
        assert_ne!(configs[0].claims["jti"], configs[2].claims["jti"]);
    }

    #[test]
    fn a_changed_claim_is_noticed() {
        let token = sign(&key(), &json!({"alg": "HS256"}), &claims());
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (header, _) = signed.split_once('.').unwrap();
        let forged =
            BASE64URL_NOPAD.encode(br#"{"format":8,"cipherCombo":"SIV_GCM","shorteningThreshold":36}"#);
        let config =
            UnverifiedConfig::parse(format!("{header}.{forged}.{signature}").as_bytes()).ok().unwrap();
        assert_eq!(config.verify(&key()), Err(ConfigError::Signature));
    }

    #[test]
    fn the_key_source_is_told_from_the_key_id() {
        let source = |kid: &str| token("HS256", kid, &claims()).key_source();
        assert_eq!(source("masterkeyfile:masterkey.cryptomator"), KeySource::MasterkeyFile);
        assert_eq!(
            source("hub+https://hub.example/api/vaults/1"),
            KeySource::Hub { host: "hub.example".into() }
        );
        assert_eq!(source("smartcard:1"), KeySource::Unknown { scheme: "smartcard".into() });
        assert!(token("HS256", "masterkeyfile://evil/share", &claims()).names_another_masterkey_file());
    }

    #[test]
    fn nothing_in_a_message_acts_on_the_terminal_or_turns_the_text_around() {
        assert_eq!(printable("a\u{202e}b\u{1b}c\u{2066}\u{200f}d"), "a\u{fffd}b\u{fffd}c\u{fffd}\u{fffd}d");
        assert_eq!(printable(&"h\u{f6}st".repeat(100)).chars().count(), 100);
    }

    #[test]
    fn claims_that_cannot_be_worked_with_are_named() {
        let refused = |name: &str, value: Value| {
            let mut claims = claims();
            claims[name] = value;
            token("HS256", "", &claims).verified().err().unwrap()
        };
        assert!(refused("format", json!(9)).contains("format 9"));
        assert!(refused("cipherCombo", json!("ROT13")).contains("ROT13"));
        for threshold in [json!(35), json!(256), json!(-1), json!("220"), json!(null)] {
            assert!(refused("shorteningThreshold", threshold).contains("threshold"));
        }
    }

    #[test]
    fn white_space_around_is_no_damage_and_everything_else_is() {
        let token = sign(&key(), &json!({"alg": "HS256"}), &claims());
        assert!(UnverifiedConfig::parse(format!("\n {token}\r\n").as_bytes()).is_ok());
        for bad in ["", "a", "a.b", "a.b.c", "e30.e30.", "bnVsbA.e30.e30", "..", "\u{fffd}.."] {
            assert!(UnverifiedConfig::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(UnverifiedConfig::parse(&[0xff; 100]).is_err());
    }
}
