//! Page ids, headers and elements (formats.md 1.1, 1.3).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cursor::{Cursor, Short};

/// The number of a page: page `n` begins at byte `n` times the page size.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PageId(u64);

impl PageId {
    /// The page with this number.
    #[must_use]
    pub const fn new(id: u64) -> Self {
        Self(id)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for PageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for PageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PageId({})", self.0)
    }
}

/// What a page holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageKind {
    Branch,
    Leaf,
    Meta,
    Freelist,
}

impl PageKind {
    pub(crate) const fn flags(self) -> u16 {
        match self {
            Self::Branch => 0x01,
            Self::Leaf => 0x02,
            Self::Meta => 0x04,
            Self::Freelist => 0x10,
        }
    }

    pub(crate) fn from_flags(flags: u16) -> Option<Self> {
        [Self::Branch, Self::Leaf, Self::Meta, Self::Freelist]
            .into_iter()
            .find(|kind| kind.flags() == flags)
    }
}

impl fmt::Display for PageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Branch => "branch",
            Self::Leaf => "leaf",
            Self::Meta => "meta",
            Self::Freelist => "freelist",
        })
    }
}

/// The 16 bytes that every page begins with, as they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageHeader {
    pub(crate) id: PageId,
    pub(crate) flags: u16,
    pub(crate) count: u16,
    /// Pages that follow and belong to this one.
    pub(crate) overflow: u32,
}

impl PageHeader {
    pub(crate) const LEN: usize = 16;

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Short> {
        let mut cursor = Cursor::new(bytes);
        Ok(Self {
            id: PageId(cursor.u64_le("page id")?),
            flags: cursor.u16_le("page flags")?,
            count: cursor.u16_le("element count")?,
            overflow: cursor.u32_le("overflow")?,
        })
    }

    pub(crate) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let fields = self
            .id
            .0
            .to_le_bytes()
            .into_iter()
            .chain(self.flags.to_le_bytes())
            .chain(self.count.to_le_bytes())
            .chain(self.overflow.to_le_bytes());
        bytes
            .iter_mut()
            .zip(fields)
            .for_each(|(to, from)| *to = from);
        bytes
    }
}

/// Bytes of an element, leaf or branch.
pub(crate) const ELEMENT_LEN: u64 = 16;

/// The element flag that says: the value is a bucket.
pub(crate) const BUCKET_FLAG: u32 = 0x01;

/// The longest key (bbolt `MaxKeySize`).
pub(crate) const LONGEST_KEY: u32 = 32_768;

/// Where the key and the value of an element lie, counted from the start of its page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) key_at: u64,
    pub(crate) value_at: u64,
    pub(crate) end: u64,
}

/// Where an element of a page begins.
pub(crate) fn element_at(index: u16) -> u64 {
    u64::from(index)
        .saturating_mul(ELEMENT_LEN)
        .saturating_add(PageHeader::LEN as u64)
}

impl Body {
    /// Of element `index` of `count`, in a page of `page_len` bytes: behind the element array, before the end of the page.
    ///
    /// # Errors
    /// A phrase that continues "element 3 ...".
    pub(crate) fn locate(
        page_len: u64,
        count: u16,
        index: u16,
        [position, key_len, value_len]: [u32; 3],
    ) -> Result<Self, String> {
        let key_at = element_at(index).saturating_add(u64::from(position));
        let value_at = key_at.saturating_add(u64::from(key_len));
        let end = value_at.saturating_add(u64::from(value_len));
        Err(if key_len == 0 {
            "has an empty key".to_owned()
        } else if key_len > LONGEST_KEY {
            format!("has a key of {key_len} bytes, more than the {LONGEST_KEY} there may be")
        } else if key_at < element_at(count) {
            "has its key inside the element array".to_owned()
        } else if end > page_len {
            format!(
                "reaches to byte {end} of a page of {page_len} (key of {key_len} bytes, value of {value_len})"
            )
        } else {
            return Ok(Self {
                key_at,
                value_at,
                end,
            });
        })
    }
}
