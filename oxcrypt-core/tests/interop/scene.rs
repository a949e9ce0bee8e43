//! A vault that both sides change, and what should be in it.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use oxcrypt_core::crypto::{CipherCombo, MasterKey};
use oxcrypt_core::storage::LocalStorage;
use oxcrypt_core::unlock::{self, Locked, NewVault, Passphrase, ScryptParams};
use oxcrypt_core::{Vault, VaultOptions};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::draft::Draft;
use crate::judge::{Access, Judge, Secret};
use crate::manifest::{actual, actual_at};
use crate::model::Model;
use crate::operation::{Operation, Outcome};
use crate::suite::Suite;
use crate::{official_faults, ours, second_opinion};

/// One session of one side.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    hand: Hand,
    drafts: Vec<Draft>,
}

#[derive(Clone, Copy, Debug)]
enum Hand {
    Official,
    /// With the vault that is open all the time, or one that is opened for this.
    Ours {
        is_open: bool,
        stores_late: bool,
    },
}

pub(crate) struct Scene {
    judge: &'static Judge,
    access: Access,
    suite: Suite,
    model: Model,
    options: VaultOptions,
    /// Open all the time.
    vault: Vault,
    /// Goes on between turns so far that nothing is believed any more.
    now: Instant,
    /// Who has done what.
    history: Vec<(Hand, Operation)>,
    _dir: TempDir,
}

impl Turn {
    pub(crate) fn official(most: usize) -> impl Strategy<Value = Self> {
        let drafts = prop::collection::vec(Draft::any(), 1..most);
        drafts.prop_map(|drafts| Self { hand: Hand::Official, drafts })
    }

    pub(crate) fn ours(most: usize) -> impl Strategy<Value = Self> {
        let hand = (any::<bool>(), any::<bool>())
            .prop_map(|(is_open, stores_late)| Hand::Ours { is_open, stores_late });
        (hand, prop::collection::vec(Draft::any(), 1..most)).prop_map(|(hand, drafts)| Self { hand, drafts })
    }
}

impl Scene {
    /// An empty vault of official code's making.
    pub(crate) fn official(judge: &'static Judge, suite: Suite, options: VaultOptions) -> Self {
        Self::new(judge, suite, options, Secret::Key([0x3c; MasterKey::LEN]), |access| {
            judge.create(access, suite);
        })
    }

    /// An empty vault of our making.
    pub(crate) fn ours(judge: &'static Judge, suite: Suite, options: VaultOptions) -> Self {
        let passphrase = "passphrase";
        Self::new(judge, suite, options, Secret::Passphrase(passphrase), |access| {
            make(access, suite, passphrase);
        })
    }

    fn new(
        judge: &'static Judge,
        suite: Suite,
        options: VaultOptions,
        secret: Secret,
        make: impl FnOnce(&Access),
    ) -> Self {
        let dir = TempDir::new().unwrap();
        let access = Access { path: dir.path().join("vault"), secret };
        make(&access);
        let vault = open(&access, &options);
        let (model, now, history) = (Model::new(), Instant::now(), Vec::new());
        Self { judge, access, suite, model, options, vault, now, history, _dir: dir }
    }

    /// Fails where anything becomes of a change but what should, or somebody sees something else afterwards.
    pub(crate) fn take(&mut self, turn: &Turn) -> Result<(), TestCaseError> {
        self.now += self.options.max_age + Duration::from_secs(1);
        let done = match turn.hand {
            Hand::Official => self.official_turn(&turn.drafts),
            Hand::Ours { is_open, stores_late } => self.our_turn(turn, is_open, stores_late),
        };
        done.and_then(|()| self.agree()).map_err(|error| {
            // Drafts say nothing without the tree that they were made for.
            TestCaseError::fail(format!("{error}\nafter {:#?}", self.history))
        })
    }

    fn official_turn(&mut self, drafts: &[Draft]) -> Result<(), TestCaseError> {
        let mut session = Vec::new();
        for draft in drafts {
            let operation = self.resolve(draft);
            let operation = operation.filter(|operation| official_faults::spare(&self.model, operation));
            let Some(operation) = operation else { continue };
            let is_last = official_faults::confuses(&self.model, &operation);
            let expected = self.model.apply(&operation);
            self.history.push((Hand::Official, operation.clone()));
            session.push((operation, expected));
            if is_last {
                self.official_session(&mut session)?;
            }
        }
        self.official_session(&mut session)
    }

    /// Has official code open the vault, do all this, and close it.
    fn official_session(&self, session: &mut Vec<(Operation, Outcome)>) -> Result<(), TestCaseError> {
        let (operations, expected): (Vec<_>, Vec<_>) = session.drain(..).unzip();
        let outcomes = self.judge.apply(&self.access, &operations);
        for ((operation, expected), outcome) in operations.iter().zip(&expected).zip(&outcomes) {
            prop_assert_eq!(outcome, expected, "{:?}", operation);
        }
        Ok(())
    }

    fn our_turn(&mut self, turn: &Turn, is_open: bool, stores_late: bool) -> Result<(), TestCaseError> {
        let another = (!is_open).then(|| open(&self.access, &self.options));
        for draft in &turn.drafts {
            let Some(operation) = self.resolve(draft) else { continue };
            self.history.push((turn.hand, operation.clone()));
            let vault = another.as_ref().unwrap_or(&self.vault);
            let outcome = ours::apply(vault, &operation, self.now);
            prop_assert_eq!(outcome, self.model.apply(&operation), "{:?}", operation);
            if !stores_late {
                ours::save(vault, self.now);
            }
        }
        ours::save(another.as_ref().unwrap_or(&self.vault), self.now);
        Ok(())
    }

    fn resolve(&self, draft: &Draft) -> Option<Operation> {
        let operation = draft.resolve(&self.model, self.suite)?;
        self.model.knows(&operation, self.suite).then_some(operation)
    }

    /// Whether everybody sees what should be there, and the official health checks find nothing, not even a remark.
    fn agree(&mut self) -> Result<(), TestCaseError> {
        let expected = self.model.manifest();
        self.now += self.options.max_age + Duration::from_secs(1);
        prop_assert_eq!(&self.judge.list(&self.access), &expected, "as official code has it");
        prop_assert_eq!(&actual(&open(&self.access, &self.options)), &expected, "as we have it");
        prop_assert_eq!(
            &actual_at(&self.vault, self.now),
            &expected,
            "as we have it who were there all the time"
        );
        let health = self.judge.health(&self.access);
        prop_assert!(health.is_perfect(), "{:?}", health);
        Ok(())
    }

    /// Whether `pycryptomator` sees the same, where it can open the vault.
    pub(crate) fn second_opinion(&self) -> Result<(), TestCaseError> {
        let Secret::Passphrase(passphrase) = self.access.secret else { return Ok(()) };
        let (CipherCombo::SivGcm, Some(python)) = (self.suite.combo, second_opinion::python()) else {
            return Ok(());
        };
        let seen = second_opinion::list(python, &self.access.path, passphrase);
        prop_assert_eq!(&seen, &self.model.manifest(), "as pycryptomator has it");
        Ok(())
    }
}

/// Makes a vault as we do, with a passphrase as somebody typed it.
pub(crate) fn make(access: &Access, suite: Suite, passphrase: &str) {
    fs::create_dir(&access.path).unwrap();
    // Guesses cost less here than anybody should have them.
    let scrypt = ScryptParams { cost: 1 << 10, block_size: 8 };
    let new = NewVault::default().combo(suite.combo).shortening_threshold(suite.threshold).scrypt(scrypt);
    let storage = LocalStorage::open(&access.path).unwrap();
    unlock::create(&storage, &Passphrase::new(passphrase), &new).unwrap();
}

/// Opens a vault as we do.
pub(crate) fn open(access: &Access, options: &VaultOptions) -> Vault {
    let locked = Locked::read(Arc::new(LocalStorage::open(&access.path).unwrap())).unwrap();
    let vault = match &access.secret {
        Secret::Key(key) => locked.unlock_with_key(MasterKey::from_raw(key), options),
        Secret::Passphrase(passphrase) => locked.unlock(&Passphrase::new(passphrase), options),
    };
    vault.unwrap()
}
