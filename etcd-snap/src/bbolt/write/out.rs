//! Pages, one behind the other, as they are finished.

use std::path::Path;

use super::Element;
use crate::bbolt::image::Branch;
use crate::bbolt::page::{BUCKET_FLAG, ELEMENT_LEN, PageHeader, PageId, PageKind};
use crate::io::{Flusher, NewFile, ReadAt};
use crate::{Error, ErrorKind, Result};

/// What is handed to the file at once.
const BUFFER: usize = 1 << 20;
/// Of a large value, what is read at once.
const PIECE: usize = 64 << 10;
/// The pages in front of all others: both metas.
const FIRST: u64 = 2;

/// A value that will be written.
#[derive(Debug)]
pub(super) enum Value {
    Bytes(Vec<u8>),
    /// Still in the source, there.
    At {
        offset: u64,
        len: u32,
    },
}

impl Value {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::At { len, .. } => u64::from(*len),
        }
    }
}

/// A new file, written from front to back.
pub(super) struct Out<'a> {
    pub(super) source: &'a dyn ReadAt,
    pub(super) file: &'a dyn NewFile,
    pub(super) path: &'a Path,
    pub(super) flusher: &'a mut Flusher,
    page_size: u64,
    /// The high-water mark as it grows.
    next: u64,
    /// What is to be written next, and where it goes.
    buffer: Vec<u8>,
    at: u64,
}

impl<'a> Out<'a> {
    pub(super) fn new(
        source: &'a dyn ReadAt,
        (file, path): (&'a dyn NewFile, &'a Path),
        flusher: &'a mut Flusher,
        page_size: u64,
    ) -> Self {
        Self {
            source,
            file,
            path,
            flusher,
            page_size,
            next: FIRST,
            buffer: Vec::new(),
            at: FIRST.saturating_mul(page_size),
        }
    }

    pub(super) fn page_size(&self) -> u64 {
        self.page_size
    }

    pub(super) fn leaf(&mut self, elements: &[Element]) -> Result<PageId> {
        let bodies = elements.iter().map(|element| {
            let value = u32::try_from(element.value.len()).map_err(|_| too_large())?;
            let key = key_len(&element.key)?;
            Ok((u64::from(key), u64::from(value)))
        });
        let bodies: Vec<_> = bodies.collect::<Result<_>>()?;
        let bytes: u64 = bodies
            .iter()
            .map(|(key, value)| key.saturating_add(*value))
            .sum();
        let id = self.begin(PageKind::Leaf, elements.len(), bytes)?;
        let mut left = array_len(elements.len());
        let mut before = 0_u64;
        for (element, (key, value)) in elements.iter().zip(&bodies) {
            let flags = if element.is_bucket { BUCKET_FLAG } else { 0 };
            let position = left.saturating_add(before);
            for field in [u64::from(flags), position, *key, *value] {
                let field = u32::try_from(field).map_err(|_| too_large())?;
                self.push(&field.to_le_bytes())?;
            }
            before = before.saturating_add(*key).saturating_add(*value);
            left = left.saturating_sub(ELEMENT_LEN);
        }
        for element in elements {
            self.push(&element.key)?;
            self.push_value(&element.value)?;
        }
        self.end()?;
        Ok(id)
    }

    pub(super) fn branch(&mut self, elements: &[Branch]) -> Result<PageId> {
        let bytes = elements
            .iter()
            .map(|element| element.key.len() as u64)
            .sum();
        let id = self.begin(PageKind::Branch, elements.len(), bytes)?;
        let mut left = array_len(elements.len());
        let mut before = 0_u64;
        for element in elements {
            let position = left.saturating_add(before);
            let position = u32::try_from(position).map_err(|_| too_large())?;
            self.push(&position.to_le_bytes())?;
            self.push(&key_len(&element.key)?.to_le_bytes())?;
            self.push(&element.child.get().to_le_bytes())?;
            before = before.saturating_add(element.key.len() as u64);
            left = left.saturating_sub(ELEMENT_LEN);
        }
        for element in elements {
            self.push(&element.key)?;
        }
        self.end()?;
        Ok(id)
    }

    /// A list of free pages without any.
    pub(super) fn freelist(&mut self) -> Result<PageId> {
        let id = self.begin(PageKind::Freelist, 0, 0)?;
        self.end()?;
        Ok(id)
    }

    /// Writes what is left, and gives the high-water mark.
    pub(super) fn finish(&mut self) -> Result<PageId> {
        self.write()?;
        Ok(PageId::new(self.next))
    }

    /// The header of a page whose elements have bodies of so many bytes together.
    fn begin(&mut self, kind: PageKind, count: usize, bytes: u64) -> Result<PageId> {
        let len = (PageHeader::LEN as u64)
            .saturating_add(array_len(count))
            .saturating_add(bytes);
        let pages = len.div_ceil(self.page_size);
        let id = PageId::new(self.next);
        let header = PageHeader {
            id,
            flags: kind.flags(),
            count: u16::try_from(count).map_err(|_| too_large())?,
            overflow: u32::try_from(pages.saturating_sub(1)).map_err(|_| too_large())?,
        };
        self.next = self.next.checked_add(pages).ok_or_else(too_large)?;
        self.push(&header.to_bytes())?;
        Ok(id)
    }

    /// Fills the page up with zeros.
    fn end(&mut self) -> Result<()> {
        let end = self.next.saturating_mul(self.page_size);
        let here = self.at.saturating_add(self.buffer.len() as u64);
        let mut left = end.saturating_sub(here);
        while left > 0 {
            let zeros = [0; 512];
            let some = usize::try_from(left)
                .unwrap_or(zeros.len())
                .min(zeros.len());
            self.push(zeros.get(..some).unwrap_or_default())?;
            left = left.saturating_sub(some as u64);
        }
        Ok(())
    }

    fn push_value(&mut self, value: &Value) -> Result<()> {
        match value {
            Value::Bytes(bytes) => self.push(bytes),
            Value::At { offset, len } => {
                let mut buffer = vec![0; PIECE];
                let (mut at, end) = (*offset, offset.saturating_add(u64::from(*len)));
                while at < end {
                    let some = usize::try_from(end.saturating_sub(at))
                        .unwrap_or(PIECE)
                        .min(PIECE);
                    let piece = buffer.get_mut(..some).unwrap_or_default();
                    read(self.source, piece, at)?;
                    at = at.saturating_add(some as u64);
                    let piece = std::mem::take(&mut buffer);
                    self.push(piece.get(..some).unwrap_or_default())?;
                    buffer = piece;
                }
                Ok(())
            }
        }
    }

    /// A value as a whole; only of one that lies within an inline bucket.
    pub(super) fn whole(&self, value: Value) -> Result<Vec<u8>> {
        match value {
            Value::Bytes(bytes) => Ok(bytes),
            Value::At { offset, len } => {
                let mut bytes = vec![0; len as usize];
                read(self.source, &mut bytes, offset)?;
                Ok(bytes)
            }
        }
    }

    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() < BUFFER {
            return Ok(());
        }
        self.write()
    }

    fn write(&mut self) -> Result<()> {
        let failed = |e| Error::io("write", self.path, e);
        self.file.write_at(&self.buffer, self.at).map_err(failed)?;
        let bytes = self.buffer.len() as u64;
        self.flusher.wrote(bytes);
        self.at = self.at.saturating_add(bytes);
        self.buffer.clear();
        Ok(())
    }
}

fn array_len(count: usize) -> u64 {
    (count as u64).saturating_mul(ELEMENT_LEN)
}

fn key_len(key: &[u8]) -> Result<u32> {
    u32::try_from(key.len()).map_err(|_| too_large())
}

fn read(source: &dyn ReadAt, buffer: &mut [u8], offset: u64) -> Result<()> {
    let failed = |e| {
        Error::new(
            ErrorKind::Io,
            format!("cannot read a value at byte {offset}"),
        )
        .with_offset(offset)
        .with_source(e)
    };
    if source.read_at(buffer, offset).map_err(failed)? < buffer.len() {
        return Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(())
}

fn too_large() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "two neighbouring records take more than a page can have",
    )
}
