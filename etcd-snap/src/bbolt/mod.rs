//! The file format of bbolt (formats.md 1). Knows nothing of etcd.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod check;
mod edit;
mod image;
mod meta;
mod page;
mod page_set;
mod pages;
mod view;
mod visit;

pub(crate) use check::check;
pub(crate) use edit::{Edit, Records};
pub(crate) use meta::{Meta, MetaPages};
pub use page::PageId;
pub(crate) use pages::PageError;
pub(crate) use visit::{Record, Visitor};
