//! The vaults that so many tests are built on, made to order, are vaults to others too.

use std::collections::BTreeMap;

use oxcrypt_core::DirId;
use oxcrypt_core::crypto::CipherCombo;
use oxcrypt_core::storage::LocalStorage;
use oxcrypt_core::testing::{Recipe, VaultBuilder};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::draft::Draft;
use crate::few;
use crate::judge::{Access, Judge, Secret};
use crate::model::{Model, Thing};
use crate::second_opinion;
use crate::suite::Suite;

fn build(model: &Model, builder: &VaultBuilder<'_>) {
    let mut ids = BTreeMap::from([("", DirId::root())]);
    for (path, thing) in model.things().filter(|(path, _)| !path.is_empty()) {
        let (parent, name) = path.rsplit_once('/').unwrap();
        let parent = &ids[parent];
        match thing {
            Thing::Directory => {
                let id = builder.directory(parent, name).unwrap();
                ids.insert(path, id);
            }
            Thing::File(content) => drop(builder.file(parent, name, content).unwrap()),
            Thing::Symlink(target) => builder.symlink(parent, name, target).unwrap(),
        }
    }
}

proptest! {
    #![proptest_config(few(12))]

    #[test]
    fn a_vault_made_to_order_is_what_others_take_for_one(
        suite in Suite::any(),
        drafts in prop::collection::vec(Draft::any(), 1..60),
    ) {
        let mut model = Model::new();
        for draft in &drafts {
            if let Some(operation) = draft.resolve(&model, suite) {
                model.apply(&operation);
            }
        }
        let dir = TempDir::new().unwrap();
        let storage = LocalStorage::open(dir.path()).unwrap();
        let recipe = Recipe { combo: suite.combo, threshold: suite.threshold, ..Recipe::default() };
        build(&model, &VaultBuilder::create(&storage, recipe).unwrap());
        if let Some(judge) = Judge::get() {
            let access = Access { path: dir.path().to_owned(), secret: Secret::Passphrase(recipe.passphrase) };
            prop_assert_eq!(judge.list(&access), model.manifest());
            let health = judge.health(&access);
            prop_assert!(health.is_sound(), "{:?}", health);
        }
        if let (CipherCombo::SivGcm, Some(python)) = (suite.combo, second_opinion::python()) {
            prop_assert_eq!(second_opinion::list(python, dir.path(), recipe.passphrase), model.manifest());
        }
    }
}
