//! One verb each.

pub(crate) mod cat;
pub(crate) mod decrypt;
pub(crate) mod info;
pub(crate) mod locate;
pub(crate) mod ls;
pub(crate) mod tree;
