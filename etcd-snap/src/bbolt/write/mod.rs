//! Writes a database anew, without the pages that nobody uses (formats.md 1.9): one pass over the old one in the order of keys, and
//! the new pages from the leaves up, one behind the other. What bbolt's own copy gives, page for page but for what its
//! transactions leave behind. What is to be different comes from the caller, who knows what the records mean.
//!
//! Memory: two pages for each level of the tree, and a buffer. Of large values only pieces are held.

mod out;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;
use std::path::Path;

use super::meta::Meta;
use super::page::{PageId, PageKind};
use super::pages::{BucketRoot, Pages};
use super::top::{BUCKET_HEADER, Records};
use super::view::{LeafElement, PageView};
use super::visit::Record;
use crate::io::{Flusher, NewFile, ReadAt};
use crate::{Error, Result};
use out::{Out, Value};
use tree::{Finished, Tree};

/// As deep as the check goes.
const DEEPEST_TREE: usize = 64;
const DEEPEST_BUCKET: usize = 8;

/// An element of a leaf that is being written.
#[derive(Debug)]
struct Element {
    key: Vec<u8>,
    value: Value,
    is_bucket: bool,
}

/// What a new database is to have other than the old one. As it stands: nothing.
pub(crate) trait Differences {
    /// Buckets at the top that hold these records and nothing else, whether there were such buckets or not. Asked once.
    fn replaced(&mut self) -> BTreeMap<Vec<u8>, Records> {
        BTreeMap::new()
    }
    /// Whether a record of a bucket at the top stays.
    fn keeps(&mut self, bucket: &[u8], record: &mut Record<'_, '_>) -> Result<bool> {
        let _ = (bucket, record);
        Ok(true)
    }
    /// A record behind all those of a bucket at the top that stay, when they are known.
    fn appended(&mut self, bucket: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        let _ = bucket;
        None
    }
}

/// The new database holds what the old one holds.
pub(crate) struct Same;

impl Differences for Same {}

/// Writes everything that `meta` leads to into an empty file, but for the `differences`, and gives its meta. The page size stays,
/// transaction ids go on, and there is a list of free pages in the file if there was one. The file is not synced.
///
/// `read` is told how many pages of the source have been read.
///
/// # Errors
/// Where the source cannot be read, is damaged, or the file cannot be written; and what `read` says.
pub(crate) fn rewrite(
    source: &dyn ReadAt,
    meta: &Meta,
    size_bytes: u64,
    to: (&dyn NewFile, &Path),
    flusher: &mut Flusher,
    differences: &mut dyn Differences,
    read: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<Meta> {
    let page_size = u64::from(meta.page_size);
    let mut copy = Copy {
        pages: Pages::new(source, meta, size_bytes),
        out: Out::new(source, to, flusher, page_size),
        bucket: Vec::new(),
        pages_read: 0,
        replaced: differences.replaced(),
        differences,
        read,
    };
    let tree = copy.tree(BucketRoot::Page(meta.root), 0)?;
    let mut out = copy.out;
    let Finished::Page(root) = tree.finish(&mut out, false)? else {
        return Err(Error::invalid("the root of a database cannot be inline"));
    };
    let freelist = meta.freelist.map(|_| out.freelist()).transpose()?;
    let high_water = out.finish()?;
    let txid = meta.txid.checked_add(1).ok_or_else(|| {
        Error::damaged("the database is damaged: its transaction id is the last there can be")
    })?;
    let meta = Meta {
        root,
        freelist,
        high_water,
        txid,
        ..*meta
    };
    meta.write_both(to.0, to.1)?;
    Ok(meta)
}

struct Copy<'a, 'o> {
    pages: Pages<'a>,
    out: Out<'o>,
    /// The one at the top that is being read.
    bucket: Vec<u8>,
    pages_read: u64,
    /// Those that have not been written yet.
    replaced: BTreeMap<Vec<u8>, Records>,
    differences: &'o mut dyn Differences,
    read: &'o mut dyn FnMut(u64) -> Result<()>,
}

impl<'a> Copy<'a, '_> {
    /// Reads a bucket and what is nested in it. What belongs into its last pages is still to be written.
    fn tree(&mut self, root: BucketRoot, nesting: usize) -> Result<Tree> {
        let mut tree = Tree::new(self.out.page_size());
        let mut path = vec![(self.open(root)?, 0)];
        while let Some((view, next)) = path.last_mut() {
            let index = *next;
            if index >= view.count() {
                path.pop();
                continue;
            }
            *next = index.saturating_add(1);
            if view.kind() == PageKind::Branch {
                let child = view.branch_element(index)?.child;
                if path.len() >= DEEPEST_TREE {
                    return Err(too_deep("the tree", DEEPEST_TREE));
                }
                path.push((self.open(BucketRoot::Page(child))?, 0));
            } else {
                let element = view.leaf_element(index)?;
                if nesting == 0 {
                    let name = view.leaf_key(&element)?.to_vec();
                    self.replaced_below(&mut tree, Some(&name))?;
                    self.bucket = name;
                } else if nesting == 1 && !self.keeps(view, element, index)? {
                    continue;
                }
                let element = self.element(view, &element, nesting)?;
                tree.push(&mut self.out, element)?;
            }
        }
        if nesting == 0 {
            self.replaced_below(&mut tree, None)?;
        } else if let (1, Some((key, value))) = (nesting, self.differences.appended(&self.bucket)) {
            tree.push(&mut self.out, record(key, value))?;
        }
        Ok(tree)
    }

    /// Buckets that were not there before, and whose names are smaller than `bound`.
    fn replaced_below(&mut self, tree: &mut Tree, bound: Option<&[u8]>) -> Result<()> {
        while let Some(next) = self.replaced.first_entry()
            && bound.is_none_or(|bound| next.key().as_slice() < bound)
        {
            let (key, records) = next.remove_entry();
            let element = Element {
                key,
                value: Value::Bytes(self.replacement(records)?),
                is_bucket: true,
            };
            tree.push(&mut self.out, element)?;
        }
        Ok(())
    }

    /// The value of a bucket with these records.
    fn replacement(&mut self, records: Records) -> Result<Vec<u8>> {
        let mut tree = Tree::new(self.out.page_size());
        for (key, value) in records {
            tree.push(&mut self.out, record(key, value))?;
        }
        self.bucket_value(tree, &[0; 8])
    }

    fn keeps(&mut self, view: &mut PageView<'a>, element: LeafElement, index: u16) -> Result<bool> {
        let key = view.leaf_key(&element)?.to_vec();
        let mut record = Record {
            key: &key,
            nesting: 0,
            page: view.id(),
            offset: view.element_offset(index),
            path: &[],
            view,
            element,
        };
        self.differences.keeps(&self.bucket, &mut record)
    }

    fn element(
        &mut self,
        view: &mut PageView<'a>,
        element: &LeafElement,
        nesting: usize,
    ) -> Result<Element> {
        let key = view.leaf_key(element)?.to_vec();
        let len = element.value_len();
        let value = if element.is_bucket() {
            Value::Bytes(self.bucket(view, element, nesting)?)
        } else if len as usize <= PageView::AT_ONCE {
            Value::Bytes(view.value_part(element, 0, len as usize)?.to_vec())
        } else {
            let (_, end) = element.extent();
            let start = end.saturating_sub(u64::from(len));
            let offset = view.offset().saturating_add(start);
            Value::At { offset, len }
        };
        Ok(Element {
            key,
            value,
            is_bucket: element.is_bucket(),
        })
    }

    /// The value of a bucket, after all its pages were written.
    fn bucket(
        &mut self,
        view: &mut PageView<'a>,
        element: &LeafElement,
        nesting: usize,
    ) -> Result<Vec<u8>> {
        let below = nesting.saturating_add(1);
        if below > DEEPEST_BUCKET {
            return Err(too_deep("a bucket", DEEPEST_BUCKET));
        }
        if below == 1
            && let Some(records) = self.replaced.remove(&self.bucket)
        {
            return self.replacement(records);
        }
        let root = view.bucket_root(element)?;
        let header = view.value_part(element, 0, BUCKET_HEADER)?;
        // The number that it counts for its users.
        let sequence = header.get(8..).unwrap_or_default().to_vec();
        let tree = self.tree(root, below)?;
        self.bucket_value(tree, &sequence)
    }

    fn bucket_value(&mut self, tree: Tree, sequence: &[u8]) -> Result<Vec<u8>> {
        let (root, inline) = match tree.finish(&mut self.out, true)? {
            Finished::Page(root) => (root, Vec::new()),
            Finished::Inline(page) => (PageId::new(0), page),
        };
        let mut value = root.get().to_le_bytes().to_vec();
        value.extend(sequence);
        value.extend(inline);
        Ok(value)
    }

    fn open(&mut self, root: BucketRoot) -> Result<PageView<'a>> {
        let view = match root {
            BucketRoot::Page(id) => self.pages.open(id)?,
            BucketRoot::Inline { page, offset, len } => {
                return Ok(self.pages.open_inline(page, offset, len)?);
            }
        };
        if !matches!(view.kind(), PageKind::Branch | PageKind::Leaf) {
            let kind = view.kind();
            return Err(Error::damaged(format!(
                "the database is damaged: a {kind} page stands where a branch or a leaf belongs"
            )));
        }
        self.pages_read = self.pages_read.saturating_add(view.page_count());
        // A page that is met twice could keep us busy for ever.
        if self.pages_read > self.pages.end() {
            return Err(Error::damaged(
                "the database is damaged: more than one place refers to a page",
            ));
        }
        (self.read)(self.pages_read)?;
        Ok(view)
    }
}

fn record(key: Vec<u8>, value: Vec<u8>) -> Element {
    Element {
        key,
        value: Value::Bytes(value),
        is_bucket: false,
    }
}

fn too_deep(what: &str, deepest: usize) -> Error {
    Error::damaged(format!(
        "the database is damaged: {what} is more than {deepest} deep"
    ))
}
