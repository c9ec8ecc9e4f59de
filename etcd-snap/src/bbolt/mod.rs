//! The file format of bbolt (formats.md 1). Knows nothing of etcd.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod check;
mod edit;
mod image;
mod meta;
mod page;
mod pages;

pub(crate) use check::{Record, Visitor, check};
pub(crate) use edit::{Edit, Records};
pub(crate) use meta::{Meta, MetaPages};
pub use page::PageId;
pub(crate) use pages::PageError;
