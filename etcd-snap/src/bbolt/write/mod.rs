//! Writes a database anew, without the pages that nobody uses (formats.md 1.9): one pass over the old one in the order of keys, and
//! the new pages from the leaves up, one behind the other. What bbolt's own copy gives, page for page but for what its
//! transactions leave behind.
//!
//! Memory: two pages for each level of the tree, and a buffer. Of large values only pieces are held.

mod out;
#[cfg(test)]
mod tests;
mod tree;

use std::path::Path;

use super::meta::Meta;
use super::page::{PageId, PageKind};
use super::pages::{BucketRoot, Pages};
use super::top::BUCKET_HEADER;
use super::view::{LeafElement, PageView};
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

/// Writes everything that `meta` leads to into an empty file, and gives its meta. The page size stays, transaction ids go on,
/// and there is a list of free pages in the file if there was one. The file is not synced.
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
    read: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<Meta> {
    let page_size = u64::from(meta.page_size);
    let mut copy = Copy {
        pages: Pages::new(source, meta, size_bytes),
        out: Out::new(source, to, flusher, page_size),
        pages_read: 0,
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
    pages_read: u64,
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
                let element = self.element(view, &element, nesting)?;
                tree.push(&mut self.out, element)?;
            }
        }
        Ok(tree)
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
        let root = view.bucket_root(element)?;
        let header = view.value_part(element, 0, BUCKET_HEADER)?;
        // The number that it counts for its users.
        let sequence = header.get(8..).unwrap_or_default().to_vec();
        let tree = self.tree(root, below)?;
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

fn too_deep(what: &str, deepest: usize) -> Error {
    Error::damaged(format!(
        "the database is damaged: {what} is more than {deepest} deep"
    ))
}
