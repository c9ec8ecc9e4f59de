//! The file format of bbolt (formats.md 1). Knows nothing of etcd.
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod check;
mod edit;
mod find;
mod frame;
mod glance;
mod image;
mod leaf_page;
mod leaves;
mod lone_page;
mod meta;
mod meta_rest;
mod opening;
mod page;
mod page_set;
mod pages;
mod passing;
mod sweep;
mod top;
mod usage;
mod view;
mod visit;
mod write;

pub(crate) use check::{check, check_unreachable};
pub(crate) use edit::Edit;
pub(crate) use find::Lookup;
pub(crate) use glance::{Budget, Glance};
pub(crate) use leaf_page::{LeafPage, LeafRecord};
pub(crate) use leaves::{Bounds, Leaves};
pub(crate) use meta::{Meta, MetaPages};
pub use page::PageId;
pub(crate) use page::PageKind;
pub(crate) use pages::PageError;
pub(crate) use passing::{Judged, Passing};
pub(crate) use sweep::{Sweep, Swept};
pub(crate) use top::{Records, Top};
pub(crate) use usage::Usage;
pub(crate) use visit::{Follow, Record, Visitor};
pub(crate) use write::{Differences, Same, rewrite};
