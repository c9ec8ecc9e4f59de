//! The buckets of a database, the small ones among them, and the last key of a large one: a few pages, at any size of the
//! file.

use std::collections::BTreeMap;

use super::image::{Branch, Leaf};
use super::meta::Meta;
use super::page::{PageId, PageKind};
use super::pages::Pages;
use super::view::PageView;
use crate::io::ReadAt;
use crate::problem::ProblemCode;
use crate::{Error, ErrorKind, Result};

/// The most that a bucket may hold which is read into memory: a thousand members have a fifth of it.
const LARGEST_BUCKET: u64 = 1 << 20;
/// Pages deep, as in the check.
const DEEPEST_TREE: usize = 64;
pub(super) const BUCKET_HEADER: usize = 16;

/// The records of a small bucket.
pub(crate) type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// What the root of a database leads to.
pub(crate) struct Top<'a> {
    source: &'a dyn ReadAt,
    meta: Meta,
    /// Buckets by name, each with the value that describes it.
    pub(super) buckets: Records,
}

impl<'a> Top<'a> {
    /// Reads the root of a database whose `meta` was read from it, and which holds all that the meta describes.
    pub(crate) fn read(source: &'a dyn ReadAt, meta: Meta) -> Result<Self> {
        let pages = Pages::new(source, &meta, meta.size_bytes());
        let mut buckets = Records::new();
        for element in small_tree(&pages, meta.root)? {
            if !element.is_bucket {
                return Err(Error::damaged(
                    "the database is damaged: a key stands at the top, where only buckets belong",
                ));
            }
            buckets.insert(element.key, element.value);
        }
        Ok(Self {
            source,
            meta,
            buckets,
        })
    }

    /// Whether there is such a bucket.
    pub(crate) fn has(&self, name: &[u8]) -> bool {
        self.buckets.contains_key(name)
    }

    /// The records of a small bucket; none where there is no such bucket.
    pub(crate) fn small_bucket(&self, name: &[u8]) -> Result<Records> {
        let Some(value) = self.buckets.get(name) else {
            return Ok(Records::new());
        };
        let elements = match page_root(value)? {
            Some(root) => small_tree(&self.pages(), root)?,
            None => self.inline(value)?,
        };
        if elements.iter().any(|element| element.is_bucket) {
            return Err(Error::damaged(format!(
                "the database is damaged: a bucket is nested in {:?}, which etcd never does",
                String::from_utf8_lossy(name)
            )));
        }
        Ok(elements
            .into_iter()
            .map(|leaf| (leaf.key, leaf.value))
            .collect())
    }

    /// The greatest key of a bucket of any size.
    pub(crate) fn last_key(&self, name: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some(value) = self.buckets.get(name) else {
            return Ok(None);
        };
        let Some(root) = page_root(value)? else {
            return Ok(self.inline(value)?.pop().map(|leaf| leaf.key));
        };
        let (_, mut leaf) = right_edge(&self.pages(), root)?;
        let Some(last) = leaf.count().checked_sub(1) else {
            return Ok(None);
        };
        let element = leaf.leaf_element(last)?;
        Ok(Some(leaf.leaf_key(&element)?.to_vec()))
    }

    pub(super) fn pages(&self) -> Pages<'a> {
        Pages::new(self.source, &self.meta, self.meta.size_bytes())
    }

    pub(super) fn inline(&self, value: &[u8]) -> Result<Vec<Leaf>> {
        let value = value.to_vec();
        let len = value.len().saturating_sub(BUCKET_HEADER) as u64;
        let pages = Pages::new(&value, &self.meta, value.len() as u64);
        let mut view = pages.open_inline(self.meta.root, BUCKET_HEADER as u64, len)?;
        let mut elements = Vec::new();
        leaves(&mut view, &mut elements, &mut 0)?;
        Ok(elements)
    }
}

/// The page of a bucket; `None` for an inline one.
pub(super) fn page_root(value: &[u8]) -> Result<Option<PageId>> {
    let (root, _) = value
        .split_first_chunk()
        .filter(|_| value.len() >= BUCKET_HEADER)
        .ok_or_else(|| {
            Error::damaged("the database is damaged: the value of a bucket is cut off")
        })?;
    let root = u64::from_le_bytes(*root);
    Ok((root != 0).then_some(PageId::new(root)))
}

/// All elements of a tree that has to fit in memory.
fn small_tree(pages: &Pages<'_>, root: PageId) -> Result<Vec<Leaf>> {
    let mut elements = Vec::new();
    let mut bytes = 0;
    let mut todo = vec![(root, 0)];
    while let Some((id, depth)) = todo.pop() {
        let mut view = pages.open(id)?;
        match view.kind() {
            PageKind::Leaf => leaves(&mut view, &mut elements, &mut bytes)?,
            PageKind::Branch if depth < DEEPEST_TREE => {
                let children = branches(&mut view, &mut bytes)?;
                let below = depth.saturating_add(1);
                todo.extend(
                    children
                        .into_iter()
                        .rev()
                        .map(|branch| (branch.child, below)),
                );
            }
            kind => {
                let message = format!("a {kind} page stands where none belongs");
                return Err(view.damaged(ProblemCode::PageKind, message).into());
            }
        }
    }
    Ok(elements)
}

fn claim(view: &PageView<'_>, bytes: &mut u64, more: u64) -> Result<(), Error> {
    *bytes = bytes.saturating_add(more);
    if *bytes <= LARGEST_BUCKET {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Unsupported,
        format!(
            "a bucket that holds a few members or settings has more than {LARGEST_BUCKET} bytes: is the database damaged?"
        ),
    )
    .with_page(view.id())
    .with_offset(view.offset()))
}

fn leaves(view: &mut PageView<'_>, elements: &mut Vec<Leaf>, bytes: &mut u64) -> Result<()> {
    for index in 0..view.count() {
        let element = view.leaf_element(index)?;
        claim(view, bytes, element.size())?;
        let key = view.leaf_key(&element)?.to_vec();
        // What is read here is written anew in order: no check of the result would find what was wrong.
        if elements.last().is_some_and(|last| last.key >= key) {
            let message = format!("key {index} is not greater than the one before it");
            return Err(view.damaged(ProblemCode::KeyOrder, message).into());
        }
        let value = view.value(&element)?;
        elements.push(Leaf {
            key,
            value,
            is_bucket: element.is_bucket(),
        });
    }
    Ok(())
}

/// The elements of a branch page. `bytes` counts them with those of the other pages that are held.
fn branches(view: &mut PageView<'_>, bytes: &mut u64) -> Result<Vec<Branch>> {
    let mut branches = Vec::new();
    for index in 0..view.count() {
        let element = view.branch_element(index)?;
        // Each element counts, so that a cycle comes to an end.
        claim(view, bytes, element.size())?;
        let key = view.branch_key(&element)?.to_vec();
        branches.push(Branch {
            key,
            child: element.child,
        });
    }
    if branches.is_empty() {
        let message = "a branch page without children";
        return Err(view.damaged(ProblemCode::Element, message).into());
    }
    Ok(branches)
}

/// The branch pages from a root to its last leaf, and that leaf.
pub(super) fn right_edge<'a>(
    pages: &Pages<'a>,
    root: PageId,
) -> Result<(Vec<Vec<Branch>>, PageView<'a>)> {
    let mut path = Vec::new();
    let mut bytes = 0;
    let mut view = pages.open(root)?;
    while view.kind() == PageKind::Branch && path.len() < DEEPEST_TREE {
        let children = branches(&mut view, &mut bytes)?;
        let Some(last) = children.last().map(|branch| branch.child) else {
            break;
        };
        path.push(children);
        view = pages.open(last)?;
    }
    if view.kind() != PageKind::Leaf {
        let message = format!("a {} page stands where a leaf belongs", view.kind());
        return Err(view.damaged(ProblemCode::PageKind, message).into());
    }
    Ok((path, view))
}
