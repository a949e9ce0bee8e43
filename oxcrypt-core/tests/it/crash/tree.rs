//! Changes of the tree that are interrupted: before or after, and nothing that cannot be mended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use oxcrypt_core::storage::{Attributes, Crash, Replace};
use oxcrypt_core::{NodeKind, Vault, VaultOptions};

use super::{Remains, Tree, Want, interrupt, is};
use crate::checker::{Finding, What};
use crate::lab::{self, Lab, find, make_dir, make_symlink};

const OLD: &[u8] = b"the old content";
const NEW: &[u8] = b"new content";

/// A change of the tree, and what it may leave when it is interrupted.
struct Change<'c> {
    fill: &'c dyn Fn(&Vault),
    act: &'c dyn Fn(&Vault),
    /// The trees that a kill may leave.
    states: &'c [Tree<'c>],
    /// Findings that only this change may leave.
    also: &'c [What],
}

impl Change<'_> {
    /// Interrupts it everywhere, and looks at what a killed process leaves; `lost` looks at what a loss of power does.
    fn check(&self, lab: Lab, lost: impl Fn(&Vault, &Remains)) {
        let mut seen = vec![false; self.states.len()];
        interrupt(lab, self.fill, self.act, |remains| {
            let Remains { report, place, .. } = remains;
            let vault = remains.open();
            vault.list(&vault.root(), Instant::now()).unwrap();
            if remains.is_kill {
                assert_eq!(report.worse_than_repairable(self.also), Vec::<&Finding>::new(), "{place}");
                let state = self.states.iter().position(|state| is(report, state));
                assert!(state.is_some(), "{place}: {report:?} is none of {:?}", self.states);
                seen[state.unwrap()] = true;
            } else {
                lost(&vault, remains);
            }
        });
        assert!(seen[0] && seen[self.states.len() - 1], "it was begun and came to an end");
    }
}

/// The long names are shortened in any vault.
fn long(letter: &str) -> String {
    letter.repeat(200)
}

fn labs() -> [Lab; 2] {
    [Lab::GCM, Lab::CTRMAC]
}

#[test]
fn a_file_that_is_being_created_is_there_or_is_not() {
    for name in ["new", &long("n")] {
        for lab in labs() {
            Change {
                fill: &|vault| drop(lab::put(vault, "old", OLD)),
                act: &|vault| drop(lab::create(vault, name).unwrap()),
                states: &[&[("old", Want::File(OLD))], &[("old", Want::File(OLD)), (name, Want::File(b""))]],
                also: &[],
            }
            .check(lab, |vault, remains| {
                assert_eq!(lab::read(vault, "old").unwrap(), OLD, "{}", remains.place);
            });
        }
    }
}

#[test]
fn a_directory_that_is_being_made_is_there_or_is_not() {
    for name in ["new", &long("n")] {
        Change {
            fill: &|vault| drop(lab::put(vault, "old", OLD)),
            act: &|vault| drop(make_dir(vault, name).unwrap()),
            states: &[&[("old", Want::File(OLD))], &[("old", Want::File(OLD)), (name, Want::Directory)]],
            also: &[What::EmptyDirFile],
        }
        .check(Lab::GCM, |vault, remains| {
            assert_eq!(lab::read(vault, "old").unwrap(), OLD, "{}", remains.place);
        });
    }
}

#[test]
fn a_link_that_is_being_made_is_there_or_is_not() {
    for name in ["new", &long("n")] {
        Change {
            fill: &|vault| drop(lab::put(vault, "old", OLD)),
            act: &|vault| drop(make_symlink(vault, name, "target").unwrap()),
            states: &[&[("old", Want::File(OLD))], &[("old", Want::File(OLD)), (name, Want::Link("target"))]],
            also: &[What::HalfLink],
        }
        .check(Lab::GCM, |vault, remains| {
            assert_eq!(lab::read(vault, "old").unwrap(), OLD, "{}", remains.place);
        });
    }
}

/// Makes an entry of this kind, with a mode and an owner.
fn make_with(vault: &Vault, kind: NodeKind, name: &str) {
    let made = Attributes { mode: Some(0o700), uid: Some(7), gid: Some(7), ..Attributes::default() };
    let (root, name, now) = (vault.root(), lab::name(name), Instant::now());
    match kind {
        NodeKind::File => drop(vault.create_with(&root, &name, &made, now).unwrap()),
        NodeKind::Directory => drop(vault.make_dir_with(&root, &name, &made, now).unwrap()),
        NodeKind::Symlink => drop(vault.make_symlink_with(&root, &name, "target", &made, now).unwrap()),
    }
}

#[test]
fn what_is_being_made_with_a_mode_and_an_owner_is_there_or_is_not() {
    let kinds = [
        (NodeKind::File, Want::File(b""), What::EmptyFile),
        (NodeKind::Directory, Want::Directory, What::EmptyDirFile),
        (NodeKind::Symlink, Want::Link("target"), What::HalfLink),
    ];
    for name in ["new", &long("n")] {
        for (kind, want, also) in &kinds {
            Change {
                fill: &|_| {},
                act: &|vault| make_with(vault, *kind, name),
                states: &[&[], &[(name, want.clone())]],
                also: &[*also],
            }
            .check(Lab::GCM, |_, _| {});
        }
    }
}

#[test]
fn a_directory_that_is_there_has_the_mode_that_it_was_made_with() {
    let made = Attributes { mode: Some(0o700), ..Attributes::default() };
    let act = |vault: &Vault| {
        vault.make_dir_with(&vault.root(), &lab::name("new"), &made, Instant::now()).unwrap();
    };
    interrupt(
        Lab::GCM,
        |_| {},
        act,
        |remains| {
            let vault = remains.open();
            if let (true, Ok(node)) = (remains.is_kill, find(&vault, "new")) {
                let owner = vault.attributes(&node, Instant::now()).unwrap().owner;
                assert_eq!(owner.map(|owner| owner.mode), Some(0o700), "{}", remains.place);
            }
        },
    );
}

#[test]
fn what_is_being_removed_is_there_whole_or_is_not() {
    for name in ["name", &long("n")] {
        Change {
            fill: &|vault| drop(lab::put(vault, name, OLD)),
            act: &|vault| lab::remove(vault, name).unwrap(),
            states: &[&[(name, Want::File(OLD))], &[]],
            also: &[],
        }
        .check(Lab::GCM, |vault, remains| {
            if let Ok(content) = lab::read(vault, name) {
                assert_eq!(content, OLD, "{}", remains.place);
            }
        });
        Change {
            fill: &|vault| {
                let node = make_symlink(vault, name, "target").unwrap();
                vault.sync_dir(&node.parent().unwrap()).unwrap();
            },
            act: &|vault| lab::remove(vault, name).unwrap(),
            states: &[&[(name, Want::Link("target"))], &[]],
            also: &[],
        }
        .check(Lab::GCM, |_, _| {});
        Change {
            fill: &|vault| drop(make_dir(vault, name).unwrap()),
            act: &|vault| lab::remove_dir(vault, name).unwrap(),
            states: &[&[(name, Want::Directory)], &[]],
            also: &[What::MissingContentDir],
        }
        .check(Lab::GCM, |_, _| {});
    }
}

/// Makes an entry of this kind.
fn make(vault: &Vault, kind: NodeKind, path: &str) {
    match kind {
        NodeKind::File => drop(lab::put(vault, path, OLD)),
        NodeKind::Directory => {
            make_dir(vault, path).unwrap();
            drop(lab::put(vault, &format!("{path}/inside"), OLD));
        }
        NodeKind::Symlink => drop(make_symlink(vault, path, "target").unwrap()),
    }
}

/// The entries that [`make`] makes.
fn made(kind: NodeKind, path: &str) -> Vec<(String, Want)> {
    match kind {
        NodeKind::File => vec![(path.to_owned(), Want::File(OLD))],
        NodeKind::Directory => {
            vec![(path.to_owned(), Want::Directory), (format!("{path}/inside"), Want::File(OLD))]
        }
        NodeKind::Symlink => vec![(path.to_owned(), Want::Link("target"))],
    }
}

fn borrowed(tree: &[(String, Want)]) -> Vec<(&str, Want)> {
    tree.iter().map(|(path, want)| (path.as_str(), want.clone())).collect()
}

/// Whether what [`make`] has made is found whole.
fn is_found(vault: &Vault, kind: NodeKind, path: &str) -> bool {
    let Ok(node) = find(vault, path) else { return false };
    node.kind() == kind
        && match kind {
            NodeKind::File => lab::read(vault, path).unwrap() == OLD,
            NodeKind::Directory => lab::read(vault, &format!("{path}/inside")).unwrap() == OLD,
            NodeKind::Symlink => vault.read_link(&node, Instant::now()).unwrap().as_str() == "target",
        }
}

const KINDS: [NodeKind; 3] = [NodeKind::File, NodeKind::Directory, NodeKind::Symlink];

#[test]
fn what_is_being_moved_is_under_its_old_name_or_its_new_one() {
    for kind in KINDS {
        for (from, to) in [
            ("from".to_owned(), "to".to_owned()),
            ("from".to_owned(), long("t")),
            (long("f"), "to".to_owned()),
            (long("f"), long("t")),
            ("from".to_owned(), "dir/to".to_owned()),
            (long("f"), format!("dir/{}", long("t"))),
            ("from".to_owned(), format!("dir/{}", long("t"))),
            (format!("dir/{}", long("f")), "to".to_owned()),
        ] {
            for replace in [Replace::Never, Replace::Always] {
                let dir = [("dir".to_owned(), Want::Directory)];
                let before = [&dir[..], &made(kind, &from)].concat();
                let after = [&dir[..], &made(kind, &to)].concat();
                Change {
                    fill: &|vault| {
                        make_dir(vault, "dir").unwrap();
                        make(vault, kind, &from);
                    },
                    act: &|vault| lab::rename(vault, &from, &to, replace).unwrap(),
                    states: &[&borrowed(&before), &borrowed(&after)],
                    also: &[],
                }
                .check(Lab::GCM, |vault, remains| {
                    let places = [&from, &to].map(|path| is_found(vault, kind, path));
                    assert_eq!(places.iter().filter(|found| **found).count(), 1, "{}", remains.place);
                });
            }
        }
    }
}

/// Spellings of source and target that make a rename different.
fn spellings() -> [(String, String); 4] {
    [
        ("from".to_owned(), "to".to_owned()),
        ("from".to_owned(), long("t")),
        (long("f"), "to".to_owned()),
        (long("f"), long("t")),
    ]
}

#[test]
fn a_file_that_replaces_another_is_under_one_of_its_names_and_the_other_file_is_whole_until_then() {
    for (from, to) in spellings() {
        Change {
            fill: &|vault| {
                drop(lab::put(vault, &from, NEW));
                drop(lab::put(vault, &to, OLD));
            },
            act: &|vault| lab::rename(vault, &from, &to, Replace::Always).unwrap(),
            states: &[&[(&from, Want::File(NEW)), (&to, Want::File(OLD))], &[(&to, Want::File(NEW))]],
            also: &[],
        }
        .check(Lab::GCM, |vault, remains| {
            let contents = (lab::read(vault, &from).ok(), lab::read(vault, &to).unwrap());
            let both = (Some(NEW.to_vec()), OLD.to_vec());
            assert!(contents == both || contents == (None, NEW.to_vec()), "{}: {contents:?}", remains.place);
        });
    }
}

#[test]
fn regression_a_file_is_stored_before_it_replaces_another_also_when_nothing_is_believed_any_more() {
    let storage = Lab::GCM.filled(|vault| drop(lab::put(vault, "file", OLD)));
    let vault = lab::open_with(&storage, &VaultOptions::default().max_age(Duration::ZERO));
    let file = lab::create(&vault, "new").unwrap();
    lab::write(&file, 0, NEW).unwrap();
    lab::rename(&vault, "new", "file", Replace::Always).unwrap();
    for at in 0..=storage.mutations() {
        let image = Arc::new(storage.crash_image(at, Crash::Kill { pages: 0 }));
        let content = lab::read(&lab::open(&image), "file").unwrap();
        assert!(content == OLD || content == NEW, "neither is left at call {at}");
    }
}

#[test]
fn a_directory_that_replaces_an_empty_one_is_under_one_of_its_names() {
    for (from, to) in spellings() {
        let source = made(NodeKind::Directory, &from);
        let both = [&source[..], &[(to.clone(), Want::Directory)]].concat();
        Change {
            fill: &|vault| {
                make(vault, NodeKind::Directory, &from);
                make_dir(vault, &to).unwrap();
            },
            act: &|vault| lab::rename(vault, &from, &to, Replace::Always).unwrap(),
            states: &[&borrowed(&both), &borrowed(&made(NodeKind::Directory, &to))],
            also: &[What::MissingContentDir],
        }
        .check(Lab::GCM, |vault, remains| {
            let places = [&from, &to].map(|path| lab::read(vault, &format!("{path}/inside")).is_ok());
            assert_eq!(places.iter().filter(|found| **found).count(), 1, "{}", remains.place);
        });
    }
}

#[test]
fn a_file_that_replaces_a_link_is_under_one_of_its_names_always() {
    let kinds = [(NodeKind::File, NodeKind::Symlink), (NodeKind::Symlink, NodeKind::File)];
    for (source, target) in kinds {
        for (from, to) in spellings() {
            let before = [made(source, &from), made(target, &to)].concat();
            // In one step they change places, and what is replaced is removed then; else it is removed first.
            let between = match (from.len(), to.len()) {
                (4, 2) => [made(target, &from), made(source, &to)].concat(),
                _ => made(source, &from),
            };
            Change {
                fill: &|vault| {
                    make(vault, source, &from);
                    make(vault, target, &to);
                },
                act: &|vault| lab::rename(vault, &from, &to, Replace::Always).unwrap(),
                states: &[&borrowed(&before), &borrowed(&between), &borrowed(&made(source, &to))],
                also: &[],
            }
            .check(Lab::GCM, |vault, remains| {
                let places = [&from, &to].map(|path| is_found(vault, source, path));
                assert_eq!(places.iter().filter(|found| **found).count(), 1, "{}", remains.place);
            });
        }
    }
}

#[test]
fn an_exchange_was_made_or_was_not() {
    for (one, other) in KINDS.iter().flat_map(|one| KINDS.map(|other| (*one, other))) {
        for (from, to) in spellings() {
            if one != other && from.len() + to.len() > 10 {
                continue;
            }
            let inside = |kind, path: &str| match kind {
                NodeKind::File => vec![(path.to_owned(), Want::File(NEW))],
                kind => made(kind, path),
            };
            let before = [made(one, &from), inside(other, &to)].concat();
            let after = [made(one, &to), inside(other, &from)].concat();
            let fill = |vault: &Vault| {
                make(vault, one, &from);
                match other {
                    NodeKind::File => drop(lab::put(vault, &to, NEW)),
                    other => make(vault, other, &to),
                }
            };
            interrupt(
                Lab::GCM,
                fill,
                |vault| lab::rename(vault, &from, &to, Replace::Exchange).unwrap(),
                |remains| {
                    let Remains { report, place, .. } = remains;
                    assert_eq!(report.faults(), Vec::<&Finding>::new(), "{place}");
                    assert!(
                        is(report, &borrowed(&before)) || is(report, &borrowed(&after)),
                        "{place}: {report:?}"
                    );
                },
            );
        }
    }
}
