//! A whole leaf page in one piece of memory, for those who read many: everything that the walk would complain about is
//! noticed, and nothing is said of what it was.

use std::ops::Range;

use super::page::{LONGEST_KEY, PageHeader, PageId, PageKind};

/// A leaf page with its overflow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LeafPage<'p> {
    bytes: &'p [u8],
    elements: &'p [[u8; 16]],
}

/// A key with its value, and where both stand in the page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LeafRecord<'p> {
    pub(crate) key: &'p [u8],
    pub(crate) value: &'p [u8],
    /// Of the key's first byte.
    pub(crate) start: usize,
    /// Behind the value's last byte.
    pub(crate) end: usize,
}

impl<'p> LeafPage<'p> {
    /// The overflow that the first bytes of a page claim.
    pub(crate) fn overflow(head: &[u8]) -> Option<u32> {
        PageHeader::parse(head).ok().map(|header| header.overflow)
    }

    /// `bytes` are those of page `id` and of all its overflow. `None`: it is not the leaf that it should be.
    pub(crate) fn parse(id: PageId, bytes: &'p [u8]) -> Option<Self> {
        let header = PageHeader::parse(bytes).ok()?;
        let is_leaf = header.id == id && header.flags == PageKind::Leaf.flags();
        let (elements, _) = bytes.get(PageHeader::LEN..)?.as_chunks();
        let elements = elements.get(..usize::from(header.count))?;
        is_leaf.then_some(Self { bytes, elements })
    }

    /// Pages that it takes, overflow included.
    pub(crate) fn pages(&self) -> u64 {
        let header = PageHeader::parse(self.bytes);
        header.map_or(1, |header| u64::from(header.overflow).saturating_add(1))
    }

    pub(crate) fn bytes(&self, range: Range<usize>) -> Option<&'p [u8]> {
        self.bytes.get(range)
    }

    /// Every record; `None` for one that is a bucket, reaches out of the page, or does not begin where the one before ends.
    pub(crate) fn records(&self) -> impl Iterator<Item = Option<LeafRecord<'p>>> + use<'p> {
        const ELEMENT: usize = 16;
        let bytes = self.bytes;
        let bodies = PageHeader::LEN.saturating_add(self.elements.len().saturating_mul(ELEMENT));
        let mut element_at = PageHeader::LEN;
        let mut bodies_end = bodies;
        self.elements.iter().map(move |element| {
            let (fields, _) = element.as_chunks::<4>();
            let [flags, position, key_len, value_len] = fields else {
                return None;
            };
            let [flags, position, key_len, value_len] =
                [flags, position, key_len, value_len].map(|field| u32::from_le_bytes(*field));
            if flags != 0 || key_len == 0 || key_len > LONGEST_KEY {
                return None;
            }
            let start = element_at.checked_add(position as usize)?;
            let value_at = start.checked_add(key_len as usize)?;
            let end = value_at.checked_add(value_len as usize)?;
            if start != bodies_end {
                return None;
            }
            let record = LeafRecord {
                key: bytes.get(start..value_at)?,
                value: bytes.get(value_at..end)?,
                start,
                end,
            };
            element_at = element_at.saturating_add(ELEMENT);
            bodies_end = end;
            Some(record)
        })
    }
}
