//! Copies of key files.

use super::*;

/// A vault whose passphrase was changed three times, each backup a day younger than the last.
fn changed_thrice() -> Arc<MemoryStorage> {
    let storage = Arc::new(vault_with(Recipe::default()));
    for (day, (old, new)) in [("passphrase", "a"), ("a", "b"), ("b", "c")].into_iter().enumerate() {
        let before = names(&*storage);
        change(Arc::clone(&storage) as _, old, new).unwrap();
        let made = names(&*storage).into_iter().find(|name| !before.contains(name)).unwrap();
        set_time(&storage, &made, day as u64 + 1);
    }
    storage
}

fn set_time(storage: &MemoryStorage, name: &str, day: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_hours(24 * day);
    let change = Attributes { modified: Some(time), ..Attributes::default() };
    storage.set_attributes(&path(name), &change).unwrap();
}

#[test]
fn they_are_listed_with_what_they_are_copies_of() {
    let storage = changed_thrice();
    let vault = Locked::read(Arc::clone(&storage) as _).unwrap().unlock(&phrase("c"), &options()).unwrap();
    vault.back_up_key_files().unwrap();
    storage.write_new(&path("masterkey.cryptomator.notes"), b"").unwrap();
    let all = unlock::backups(&*storage).unwrap();
    let told: Vec<(KeyFile, bool)> = all.iter().map(|backup| (backup.key_file, backup.is_current)).collect();
    let current = [(KeyFile::Config, true), (KeyFile::Masterkey, true)];
    assert_eq!(
        told,
        [
            current[0],
            current[1],
            (KeyFile::Masterkey, false),
            (KeyFile::Masterkey, false),
            (KeyFile::Masterkey, false)
        ]
    );
    let days: Vec<Option<SystemTime>> = all.iter().skip(2).map(|backup| backup.modified).collect();
    assert!(days.is_sorted_by(|one, other| one > other), "{days:?}");
}

#[test]
fn a_writer_makes_one_copy_of_each_and_not_another() {
    let storage = Arc::new(vault_with(Recipe::default()));
    let before = state(&*storage);
    let vault =
        Locked::read(Arc::clone(&storage) as _).unwrap().unlock(&phrase("passphrase"), &options()).unwrap();
    assert_eq!(state(&*storage), before, "unlocking changes nothing");
    let options = options().read_only(true);
    let reader = Locked::read(Arc::clone(&storage) as _).unwrap().unlock(&phrase("passphrase"), &options);
    assert_eq!(reader.unwrap().back_up_key_files().unwrap_err().kind(), ErrorKind::ReadOnly);
    assert_eq!(state(&*storage), before, "and no reader makes a copy");
    vault.back_up_key_files().unwrap();
    let after = state(&*storage);
    assert_eq!(after.len(), before.len() + 2);
    vault.back_up_key_files().unwrap();
    assert_eq!(state(&*storage), after);
}

#[test]
fn what_is_old_goes_and_what_is_current_stays() {
    let removed = |keep: usize, current: bool| {
        let storage = changed_thrice();
        let locked = Locked::read(Arc::clone(&storage) as _).unwrap();
        if current {
            let vault =
                Locked::read(Arc::clone(&storage) as _).unwrap().unlock(&phrase("c"), &options()).unwrap();
            vault.back_up_key_files().unwrap();
            for backup in unlock::backups(&*storage).unwrap().iter().filter(|backup| backup.is_current) {
                // Old as they are, they are copies of what is there.
                set_time(&storage, &backup.name, 0);
            }
        }
        let all = unlock::backups(&*storage).unwrap();
        let superfluous = locked.superfluous_backups(&phrase("c"), &options(), keep).unwrap();
        let doomed: Vec<String> = superfluous.backups().iter().map(|backup| backup.name.clone()).collect();
        superfluous.remove().unwrap();
        let left = unlock::backups(&*storage).unwrap();
        assert!(left.iter().all(|backup| !doomed.contains(&backup.name)));
        assert_eq!(left.len() + doomed.len(), all.len());
        assert!(!current || left.iter().filter(|backup| backup.is_current).count() == 2);
        assert!(opened(&storage, "c").is_ok());
        // Those that stay are the newest.
        let newest = all.iter().filter(|backup| backup.key_file == KeyFile::Masterkey).take(keep);
        assert!(newest.into_iter().all(|backup| left.contains(backup)));
        doomed.len()
    };
    assert_eq!([0, 1, 2, 3, 9].map(|keep| removed(keep, false)), [3, 2, 1, 0, 0]);
    assert_eq!([0, 1, 3].map(|keep| removed(keep, true)), [3, 2, 0]);
}

#[test]
fn nothing_goes_while_a_backup_may_be_all_that_opens_the_vault() {
    let storage = changed_thrice();
    let damage = |file: &str, content: &[u8]| {
        let damaged = Arc::new(storage.snapshot());
        replace(&*damaged, file, content);
        let locked = Locked::read(damaged)?;
        locked.superfluous_backups(&phrase("c"), &options(), 0).map(|found| found.backups().len())
    };
    assert!(damage(MASTERKEY, b"{}").is_err());
    assert!(damage(CONFIG, b"damaged").is_err());
    let another = vault_with(Recipe { key: &[3; 64], passphrase: "c", ..Recipe::default() });
    assert!(damage(MASTERKEY, &read(&another, MASTERKEY)).is_err(), "it opens, but not this vault");
    let locked = Locked::read(Arc::clone(&storage) as _).unwrap();
    assert!(locked.superfluous_backups(&phrase("a"), &options(), 0).is_err(), "only a backup opens by this");
}
