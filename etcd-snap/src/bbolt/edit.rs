//! Changes a database by appending to it (formats.md 1.9): new pages go behind the high-water mark, then both meta pages
//! point to the new root. Old pages stay as they are; with no freelist in the file, bbolt finds them free.

use std::collections::BTreeMap;
use std::path::Path;

use super::image::{self, Branch, Leaf};
use super::meta::Meta;
use super::page::{PageId, PageKind};
use super::pages::{PageError, Pages};
use super::view::{LeafElement, PageView};
use crate::io::NewFile;
use crate::problem::ProblemCode;
use crate::{Error, ErrorKind, Result};

/// The most that a bucket may hold which is read into memory: a thousand members have a fifth of it.
const LARGEST_BUCKET: u64 = 1 << 20;
/// Pages deep, as in the check.
const DEEPEST_TREE: usize = 64;
const BUCKET_HEADER: usize = 16;

/// The records of a small bucket.
pub(crate) type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// A database that is being changed. Nothing leads to the changes before [`commit`](Self::commit).
pub(crate) struct Edit<'a> {
    file: &'a dyn NewFile,
    path: &'a Path,
    meta: Meta,
    /// Buckets by name, each with the value that describes it.
    buckets: Records,
    /// The high-water mark as it grows.
    next: u64,
}

impl<'a> Edit<'a> {
    /// Takes a database whose `meta` was read from it, and which holds all that the meta describes.
    pub(crate) fn begin(file: &'a dyn NewFile, path: &'a Path, meta: Meta) -> Result<Self> {
        let pages = Pages::new(file, &meta, meta.size_bytes());
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
            file,
            path,
            meta,
            buckets,
            next: meta.high_water.get(),
        })
    }

    /// The records of a small bucket; none where there is no such bucket.
    pub(crate) fn bucket(&self, name: &[u8]) -> Result<Records> {
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

    /// Whether there is such a bucket.
    pub(crate) fn has(&self, name: &[u8]) -> bool {
        self.buckets.contains_key(name)
    }

    /// Replaces all that a bucket holds.
    pub(crate) fn replace(&mut self, name: &[u8], records: Records) -> Result<()> {
        let elements: Vec<_> = records
            .into_iter()
            .map(|(key, value)| Leaf {
                key,
                value,
                is_bucket: false,
            })
            .collect();
        let value = self.bucket_value(&elements)?;
        self.buckets.insert(name.to_vec(), value);
        Ok(())
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

    /// Puts a record behind all others of a bucket of any size; its key must be greater than all of them.
    ///
    /// The record gets a leaf of its own: the last leaf may have many megabytes, which so need not be copied.
    pub(crate) fn append(&mut self, name: &[u8], key: Vec<u8>, value: Vec<u8>) -> Result<()> {
        let record = Leaf {
            key: key.clone(),
            value,
            is_bucket: false,
        };
        let root = match self.buckets.get(name) {
            Some(bucket) => page_root(bucket)?,
            None => None,
        };
        let Some(root) = root else {
            let mut elements = match self.buckets.get(name) {
                Some(bucket) => self.inline(bucket)?,
                None => Vec::new(),
            };
            elements.push(record);
            let bucket = self.bucket_value(&elements)?;
            self.buckets.insert(name.to_vec(), bucket);
            return Ok(());
        };

        let (mut path, mut last) = right_edge(&self.pages(), root)?;
        let (last_id, first_key) = (last.id(), first_key(&mut last)?);
        let leaf = self.write(image::leaf(&[record]))?;
        let child = match (path.pop(), first_key) {
            (Some(mut parent), _) => {
                parent.push(Branch { key, child: leaf });
                let mut child = self.write(image::branch(&parent))?;
                while let Some(mut ancestor) = path.pop() {
                    if let Some(last) = ancestor.last_mut() {
                        last.child = child;
                    }
                    child = self.write(image::branch(&ancestor))?;
                }
                child
            }
            (None, Some(first_key)) => {
                let first = Branch {
                    key: first_key,
                    child: last_id,
                };
                self.write(image::branch(&[first, Branch { key, child: leaf }]))?
            }
            // The bucket was empty: the new leaf is all there is.
            (None, None) => leaf,
        };
        self.buckets.insert(name.to_vec(), page_bucket(child));
        Ok(())
    }

    /// Writes the new root and points both meta pages to it. The file is not synced.
    pub(crate) fn commit(mut self) -> Result<Meta> {
        let elements: Vec<_> = std::mem::take(&mut self.buckets)
            .into_iter()
            .map(|(key, value)| Leaf {
                key,
                value,
                is_bucket: true,
            })
            .collect();
        let root = self.write(image::leaf(&elements))?;
        let txid = self.meta.txid.checked_add(1).ok_or_else(|| {
            Error::damaged("the database is damaged: its transaction id is the last there can be")
        })?;
        let meta = Meta {
            root,
            freelist: None,
            high_water: PageId::new(self.next),
            txid,
            ..self.meta
        };
        // Normal parity, so that the server's next commit replaces the older of the two.
        for meta in [
            Meta {
                txid: self.meta.txid,
                ..meta
            },
            meta,
        ] {
            let page = PageId::new(meta.txid & 1);
            let offset = page.get().saturating_mul(u64::from(meta.page_size));
            self.write_at(&meta.to_bytes(page), offset)?;
        }
        Ok(meta)
    }

    fn pages(&self) -> Pages<'a> {
        // Only what was there before is ever read.
        Pages::new(self.file, &self.meta, self.meta.size_bytes())
    }

    fn inline(&self, value: &[u8]) -> Result<Vec<Leaf>> {
        let value = value.to_vec();
        let len = value.len().saturating_sub(BUCKET_HEADER) as u64;
        let pages = Pages::new(&value, &self.meta, value.len() as u64);
        let mut view = pages.open_inline(self.meta.root, BUCKET_HEADER as u64, len)?;
        let mut elements = Vec::new();
        leaves(&mut view, &mut elements, &mut 0)?;
        Ok(elements)
    }

    /// The value that describes a bucket with these records: the records themselves where bbolt would keep them inline
    /// (`Bucket.inlineable`), else the page that they were written to.
    fn bucket_value(&mut self, elements: &[Leaf]) -> Result<Vec<u8>> {
        let image = image::leaf(elements).ok_or_else(too_many)?;
        if image.len() as u64 <= u64::from(self.meta.page_size) / 4 {
            let mut value = vec![0; BUCKET_HEADER];
            value.extend(image);
            return Ok(value);
        }
        self.write(Some(image)).map(page_bucket)
    }

    /// Writes a page, with as many overflow pages as it needs, at the high-water mark.
    fn write(&mut self, image: Option<Vec<u8>>) -> Result<PageId> {
        let mut image = image.ok_or_else(too_many)?;
        let page_size = u64::from(self.meta.page_size);
        let id = PageId::new(self.next);
        let count = (image.len() as u64).div_ceil(page_size);
        let overflow = u32::try_from(count.saturating_sub(1)).map_err(|_| too_many())?;
        image::place(&mut image, id, overflow);
        let end = self.next.checked_add(count);
        let end_bytes = end.and_then(|end| end.checked_mul(page_size));
        let (Some(end), Some(end_bytes)) = (end, end_bytes) else {
            return Err(too_many());
        };
        image.resize(
            usize::try_from(count.saturating_mul(page_size)).map_err(|_| too_many())?,
            0,
        );
        self.write_at(&image, end_bytes.saturating_sub(image.len() as u64))?;
        self.next = end;
        Ok(id)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file
            .write_at(bytes, offset)
            .map_err(|e| Error::io("write", self.path, e))
    }
}

/// The page of a bucket; `None` for an inline one.
fn page_root(value: &[u8]) -> Result<Option<PageId>> {
    let (root, _) = value
        .split_first_chunk()
        .filter(|_| value.len() >= BUCKET_HEADER)
        .ok_or_else(|| {
            Error::damaged("the database is damaged: the value of a bucket is cut off")
        })?;
    let root = u64::from_le_bytes(*root);
    Ok((root != 0).then_some(PageId::new(root)))
}

/// The value of a bucket whose pages begin there.
fn page_bucket(root: PageId) -> Vec<u8> {
    let mut value = root.get().to_le_bytes().to_vec();
    value.resize(BUCKET_HEADER, 0);
    value
}

fn first_key(leaf: &mut PageView<'_>) -> Result<Option<Vec<u8>>> {
    if leaf.count() == 0 {
        return Ok(None);
    }
    let element = leaf.leaf_element(0)?;
    Ok(Some(leaf.leaf_key(&element)?.to_vec()))
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
        let value = value(view, &element)?;
        elements.push(Leaf {
            key,
            value,
            is_bucket: element.is_bucket(),
        });
    }
    Ok(())
}

fn value(view: &mut PageView<'_>, element: &LeafElement) -> Result<Vec<u8>, PageError> {
    let mut value = Vec::new();
    while (value.len() as u64) < u64::from(element.value_len()) {
        let at = value.len() as u32;
        let len = (element.value_len().saturating_sub(at) as usize).min(PageView::AT_ONCE);
        value.extend_from_slice(view.value_part(element, at, len)?);
    }
    Ok(value)
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
fn right_edge<'a>(pages: &Pages<'a>, root: PageId) -> Result<(Vec<Vec<Branch>>, PageView<'a>)> {
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

fn too_many() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "the changes to the database do not fit in its pages",
    )
}
