//! Changes a database by appending to it (formats.md 1.9): new pages go behind the high-water mark, then both meta pages
//! point to the new root. Old pages stay as they are; with no freelist in the file, bbolt finds them free.

use std::path::Path;

use super::image::{self, Branch, Leaf};
use super::meta::Meta;
use super::page::PageId;
use super::top::{BUCKET_HEADER, Records, Top, page_root, right_edge};
use super::view::PageView;
use crate::io::NewFile;
use crate::{Error, ErrorKind, Result};

/// A database that is being changed. Nothing leads to the changes before [`commit`](Self::commit).
pub(crate) struct Edit<'a> {
    file: &'a dyn NewFile,
    path: &'a Path,
    meta: Meta,
    /// Only what was there before is ever read.
    top: Top<'a>,
    /// The high-water mark as it grows.
    next: u64,
}

impl<'a> Edit<'a> {
    /// Takes a database whose `meta` was read from it, and which holds all that the meta describes.
    pub(crate) fn begin(file: &'a dyn NewFile, path: &'a Path, meta: Meta) -> Result<Self> {
        Ok(Self {
            file,
            path,
            meta,
            top: Top::read(file, meta)?,
            next: meta.high_water.get(),
        })
    }

    /// The records of a small bucket; none where there is no such bucket.
    pub(crate) fn bucket(&self, name: &[u8]) -> Result<Records> {
        self.top.small_bucket(name)
    }

    /// What the root leads to, before the next change.
    pub(crate) fn top(&self) -> &Top<'a> {
        &self.top
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
        self.top.buckets.insert(name.to_vec(), value);
        Ok(())
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
        let root = match self.top.buckets.get(name) {
            Some(bucket) => page_root(bucket)?,
            None => None,
        };
        let Some(root) = root else {
            let mut elements = match self.top.buckets.get(name) {
                Some(bucket) => self.top.inline(bucket)?,
                None => Vec::new(),
            };
            elements.push(record);
            let bucket = self.bucket_value(&elements)?;
            self.top.buckets.insert(name.to_vec(), bucket);
            return Ok(());
        };

        let (mut path, mut last) = right_edge(&self.top.pages(), root)?;
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
        self.top.buckets.insert(name.to_vec(), page_bucket(child));
        Ok(())
    }

    /// Writes the new root and points both meta pages to it. The file is not synced.
    pub(crate) fn commit(mut self) -> Result<Meta> {
        let meta = self.new_meta()?;
        meta.write_both(self.file, self.path)?;
        Ok(meta)
    }

    /// Writes the new root, brings everything to the disk, and then points the older of the two meta pages to it, as bbolt
    /// commits: whenever that ends, one of the metas is whole and leads to a whole database, the old one or the new one.
    pub(crate) fn commit_in_place(mut self) -> Result<Meta> {
        let meta = self.new_meta()?;
        self.sync()?;
        let page = PageId::new(meta.txid & 1);
        let offset = page.get().saturating_mul(u64::from(meta.page_size));
        self.write_at(&meta.to_bytes(page), offset)?;
        self.sync()?;
        Ok(meta)
    }

    fn sync(&self) -> Result<()> {
        let failed = |e| Error::io("sync", self.path, e);
        self.file.sync().map_err(failed)
    }

    fn new_meta(&mut self) -> Result<Meta> {
        let elements: Vec<_> = std::mem::take(&mut self.top.buckets)
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
        Ok(Meta {
            root,
            freelist: None,
            high_water: PageId::new(self.next),
            txid,
            ..self.meta
        })
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

fn too_many() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "the changes to the database do not fit in its pages",
    )
}
