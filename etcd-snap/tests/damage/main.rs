//! One small case for every kind of damage: each file is sound before, and told of by name, page and byte after.
//!
//! The files are built by hand from formats.md (the builder shares no code with the library). Every case also damages the file in
//! up to three other places, which have to be found as well: a check that gives up at the first problem hides the others.

mod buckets;
mod depth;
mod digest;
mod elements;
mod files;
mod freelist;
mod metas;
mod order;
mod pages;
mod records;
mod revisions;
mod source;
mod subject;
