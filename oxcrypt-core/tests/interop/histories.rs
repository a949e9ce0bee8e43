//! Random changes to one vault, and what everybody says of it afterwards.

use std::path::Path;
use std::sync::Arc;

use oxcrypt_core::crypto::MasterKey;
use oxcrypt_core::storage::LocalStorage;
use oxcrypt_core::unlock::Locked;
use oxcrypt_core::{Vault, VaultOptions};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::draft::Draft;
use crate::few;
use crate::judge::{Access, Judge, Secret};
use crate::manifest::actual;
use crate::model::Model;
use crate::official_faults;
use crate::suite::Suite;

const KEY: [u8; MasterKey::LEN] = [0x3c; MasterKey::LEN];

/// A vault that is changed, and what should be in it.
struct Scene {
    judge: &'static Judge,
    access: Access,
    suite: Suite,
    model: Model,
    _dir: TempDir,
}

impl Scene {
    fn new(judge: &'static Judge, suite: Suite) -> Self {
        let dir = TempDir::new().unwrap();
        let access = Access { path: dir.path().join("vault"), secret: Secret::Key(KEY) };
        judge.create(&access, suite);
        Self { judge, access, suite, model: Model::new(), _dir: dir }
    }

    /// Has official code make all changes that it can make.
    fn official_turn(&mut self, drafts: &[Draft]) -> Result<(), TestCaseError> {
        let (mut operations, mut expected) = (Vec::new(), Vec::new());
        for draft in drafts {
            let operation = draft.resolve(&self.model, self.suite);
            let operation = operation.filter(|operation| {
                self.model.knows(operation, self.suite) && official_faults::spare(&self.model, operation)
            });
            if let Some(operation) = operation {
                expected.push(self.model.apply(&operation));
                operations.push(operation);
            }
        }
        let outcomes = self.judge.apply(&self.access, &operations);
        for (operation, (outcome, expected)) in operations.iter().zip(outcomes.iter().zip(&expected)) {
            prop_assert_eq!(outcome, expected, "{:?}", operation);
        }
        Ok(())
    }

    fn agree(&self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.judge.list(&self.access), self.model.manifest(), "as official code has it");
        prop_assert_eq!(actual(&open(&self.access.path)), self.model.manifest(), "as we have it");
        let health = self.judge.health(&self.access);
        prop_assert!(health.is_perfect(), "{:?}", health);
        Ok(())
    }
}

fn open(path: &Path) -> Vault {
    let locked = Locked::read(Arc::new(LocalStorage::open(path).unwrap())).unwrap();
    locked.unlock_with_key(MasterKey::from_raw(&KEY), &VaultOptions::default()).unwrap()
}

proptest! {
    #![proptest_config(few(24))]

    #[test]
    fn what_official_code_writes_we_read(
        suite in Suite::any(),
        drafts in prop::collection::vec(Draft::any(), 1..60),
    ) {
        let Some(judge) = Judge::get() else { return Ok(()) };
        let mut scene = Scene::new(judge, suite);
        scene.official_turn(&drafts)?;
        scene.agree()?;
    }
}
