//! Tests of the library from outside: official vaults and vectors, hostile input, costs, secrets.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test is to panic")]
#![expect(clippy::single_range_in_vec_init, reason = "lists of ranges, most of them short")]

mod assembly;
mod changes;
mod checker;
mod content;
mod cost;
mod cost_of_changes;
mod crash;
mod damaged;
mod discard;
mod file_model;
mod fixtures;
mod foreign;
mod gone;
mod growing;
mod half_done;
mod hostile;
mod kept;
mod keys;
mod lab;
mod late;
mod limits;
mod manifest;
mod modes;
mod official;
mod old_listings;

mod plain;
mod races;
mod read_only;
mod regressions;
mod rmdir;
mod secrets;
mod stored;
mod times;
mod tree;
mod tree_model;
mod vectors;
