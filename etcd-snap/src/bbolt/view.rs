//! One page in view: its elements, keys and values, every place in it checked before it is read.

use super::page::{BUCKET_FLAG, Body, ELEMENT_LEN, PageHeader, PageId, PageKind, element_at};
use super::pages::{BucketRoot, PageError};
use crate::Error;
use crate::cursor::Cursor;
use crate::io::ReadAt;
use crate::problem::{Problem, ProblemCode};

/// The most bytes of a page that are held at a time in one of its windows.
pub(super) const WINDOW: usize = 64 * 1024;

/// What is read at least where the reading does not go on from the window.
pub(super) const JUMP: usize = 4096;

/// A part of a page in memory.
#[derive(Debug, Default)]
struct Window {
    /// Where it begins, counted from the start of the page.
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    fn get(&self, at: u64, len: usize) -> Option<&[u8]> {
        let start = usize::try_from(at.checked_sub(self.start)?).ok()?;
        self.bytes.get(start..start.checked_add(len)?)
    }

    /// Whether a byte is in the window or directly behind it.
    fn reaches(&self, at: u64) -> bool {
        let end = self.start.saturating_add(self.bytes.len() as u64);
        (self.start..=end).contains(&at)
    }
}

/// An element of a leaf page, whose key and value lie within the page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LeafElement {
    key_at: u64,
    key_len: u32,
    value_at: u64,
    value_len: u32,
    is_bucket: bool,
}

impl LeafElement {
    pub(crate) fn is_bucket(&self) -> bool {
        self.is_bucket
    }

    pub(crate) fn value_len(&self) -> u32 {
        self.value_len
    }

    /// Bytes it takes of its page.
    pub(crate) fn size(&self) -> u64 {
        let (start, end) = self.extent();
        ELEMENT_LEN.saturating_add(end.saturating_sub(start))
    }

    /// From where to where in the page its key and value stand.
    pub(crate) fn extent(&self) -> (u64, u64) {
        let end = self.value_at.saturating_add(u64::from(self.value_len));
        (self.key_at, end)
    }
}

/// An element of a branch page, whose key lies within the page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BranchElement {
    key_at: u64,
    key_len: u32,
    pub(crate) child: PageId,
}

impl BranchElement {
    /// Bytes it takes of its page.
    pub(crate) fn size(&self) -> u64 {
        ELEMENT_LEN.saturating_add(u64::from(self.key_len))
    }

    /// From where to where in the page its key stands.
    pub(crate) fn extent(&self) -> (u64, u64) {
        let end = self.key_at.saturating_add(u64::from(self.key_len));
        (self.key_at, end)
    }
}

/// One page with its overflow, opened and bounded.
pub(crate) struct PageView<'a> {
    source: &'a dyn ReadAt,
    id: PageId,
    /// Where it begins in the file.
    offset: u64,
    /// Its bytes, overflow included.
    len: u64,
    header: PageHeader,
    kind: PageKind,
    /// The first bytes: all of an ordinary page.
    head: Window,
    /// Slides over the element array of a large page, `data` over its keys and values.
    elements: Window,
    data: Window,
}

impl<'a> PageView<'a> {
    /// With its first bytes read and its header as it stands. `len` is what is known of its size.
    pub(super) fn begin(
        source: &'a dyn ReadAt,
        id: PageId,
        offset: u64,
        len: u64,
    ) -> Result<Self, PageError> {
        let head_len = usize::try_from(len).unwrap_or(WINDOW).min(WINDOW);
        let head = read(source, id, offset, head_len)?;
        let header = PageHeader::parse(&head).map_err(|short| {
            // An ordinary page is at least 512 bytes.
            let message = format!("an inline bucket is cut off: {short}");
            Problem::damaged(ProblemCode::Bucket, message).at(id, offset)
        })?;
        Ok(Self {
            source,
            id,
            offset,
            len,
            header,
            kind: PageKind::Leaf,
            head: Window {
                start: 0,
                bytes: head,
            },
            elements: Window::default(),
            data: Window::default(),
        })
    }

    /// What the page is, and its bytes with all overflow, after both were looked at.
    pub(super) fn settle(&mut self, kind: PageKind, len: u64) -> Result<(), PageError> {
        self.kind = kind;
        self.len = len;
        match kind {
            PageKind::Branch | PageKind::Leaf => self.check_element_array(),
            PageKind::Meta | PageKind::Freelist => Ok(()),
        }
    }

    pub(super) fn header(&self) -> PageHeader {
        self.header
    }

    pub(crate) fn id(&self) -> PageId {
        self.id
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// What its header calls it: nothing, within an inline bucket.
    pub(crate) fn header_id(&self) -> PageId {
        self.header.id
    }

    /// Its bytes, overflow included.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn kind(&self) -> PageKind {
        self.kind
    }

    pub(crate) fn count(&self) -> u16 {
        self.header.count
    }

    /// Pages it takes, itself included.
    pub(crate) fn page_count(&self) -> u64 {
        u64::from(self.header.overflow).saturating_add(1)
    }

    pub(crate) fn damaged(&self, code: ProblemCode, message: impl Into<String>) -> Problem {
        Problem::damaged(code, message).at(self.id, self.offset)
    }

    fn check_element_array(&self) -> Result<(), PageError> {
        let needed = u64::from(self.header.count)
            .saturating_mul(ELEMENT_LEN)
            .saturating_add(PageHeader::LEN as u64);
        if needed > self.len {
            let message = format!(
                "the page claims {} elements, more than fit in its {} bytes",
                self.header.count, self.len
            );
            return Err(self.damaged(ProblemCode::Element, message).into());
        }
        Ok(())
    }

    /// `len` bytes from `at` within the page, by way of the head or the given window.
    fn bytes(&mut self, at: u64, len: usize, part: Part) -> Result<&[u8], PageError> {
        if self.head.get(at, len).is_none() {
            let window = match part {
                Part::Elements => &mut self.elements,
                Part::Data => &mut self.data,
            };
            if window.get(at, len).is_none() {
                let rest = usize::try_from(self.len.saturating_sub(at)).unwrap_or(usize::MAX);
                // A jump takes little: elements in wild order would cost a whole window each.
                let goes_on = window.reaches(at);
                let wanted = if goes_on { WINDOW } else { JUMP }.max(len).min(rest);
                window.start = at;
                window.bytes = read(self.source, self.id, self.offset.saturating_add(at), wanted)?;
            }
        }
        let window = match part {
            Part::Elements => &self.elements,
            Part::Data => &self.data,
        };
        self.head
            .get(at, len)
            .or_else(|| window.get(at, len))
            .ok_or_else(|| {
                Problem::damaged(ProblemCode::Element, "an element reaches out of its page")
                    .at(self.id, self.offset.saturating_add(at))
                    .into()
            })
    }

    pub(super) fn u64_at(&mut self, at: u64) -> Result<u64, PageError> {
        let bytes = self.bytes(at, 8, Part::Data)?;
        Ok(Cursor::new(bytes).u64_le("page id").unwrap_or_default())
    }

    /// Where the element's key and value lie.
    fn body(
        &self,
        index: u16,
        position: u32,
        key_len: u32,
        value_len: u32,
    ) -> Result<Body, PageError> {
        Body::locate(
            self.len,
            self.header.count,
            index,
            [position, key_len, value_len],
        )
        .map_err(|what| self.element_damaged(index, &what).into())
    }

    pub(crate) fn leaf_element(&mut self, index: u16) -> Result<LeafElement, PageError> {
        let bytes = self.bytes(element_at(index), ELEMENT_LEN as usize, Part::Elements)?;
        let mut cursor = Cursor::new(bytes);
        let mut field = |name| cursor.u32_le(name).unwrap_or_default();
        let (flags, position) = (field("flags"), field("position"));
        let (key_len, value_len) = (field("key size"), field("value size"));
        let body = self.body(index, position, key_len, value_len)?;
        if flags & !BUCKET_FLAG != 0 {
            let message = format!("has unknown flags {flags:#x}");
            return Err(self.element_damaged(index, &message).into());
        }
        Ok(LeafElement {
            key_at: body.key_at,
            key_len,
            value_at: body.value_at,
            value_len,
            is_bucket: flags == BUCKET_FLAG,
        })
    }

    pub(crate) fn branch_element(&mut self, index: u16) -> Result<BranchElement, PageError> {
        let bytes = self.bytes(element_at(index), ELEMENT_LEN as usize, Part::Elements)?;
        let mut cursor = Cursor::new(bytes);
        let position = cursor.u32_le("position").unwrap_or_default();
        let key_len = cursor.u32_le("key size").unwrap_or_default();
        let child = PageId::new(cursor.u64_le("child page").unwrap_or_default());
        let body = self.body(index, position, key_len, 0)?;
        Ok(BranchElement {
            key_at: body.key_at,
            key_len,
            child,
        })
    }

    fn element_damaged(&self, index: u16, what: &str) -> Problem {
        Problem::damaged(ProblemCode::Element, format!("element {index} {what}"))
            .at(self.id, self.offset.saturating_add(element_at(index)))
    }

    /// Where an element stands in the file.
    pub(crate) fn element_offset(&self, index: u16) -> u64 {
        self.offset.saturating_add(element_at(index))
    }

    pub(crate) fn leaf_key(&mut self, element: &LeafElement) -> Result<&[u8], PageError> {
        self.bytes(element.key_at, element.key_len as usize, Part::Data)
    }

    pub(crate) fn branch_key(&mut self, element: &BranchElement) -> Result<&[u8], PageError> {
        self.bytes(element.key_at, element.key_len as usize, Part::Data)
    }

    /// `len` bytes of the value from `from`; at most [`PageView::AT_ONCE`] of them.
    pub(crate) fn value_part(
        &mut self,
        element: &LeafElement,
        from: u32,
        len: usize,
    ) -> Result<&[u8], PageError> {
        let rest = element.value_len.saturating_sub(from);
        if len as u64 > u64::from(rest) || len > Self::AT_ONCE {
            let message = format!("a value of {} bytes ends too early", element.value_len);
            return Err(self.damaged(ProblemCode::Value, message).into());
        }
        self.bytes(
            element.value_at.saturating_add(u64::from(from)),
            len,
            Part::Data,
        )
    }

    /// All of a value, of any size.
    pub(crate) fn value(&mut self, element: &LeafElement) -> Result<Vec<u8>, PageError> {
        let mut value = Vec::new();
        while (value.len() as u64) < u64::from(element.value_len) {
            let at = value.len() as u32;
            let len = (element.value_len.saturating_sub(at) as usize).min(Self::AT_ONCE);
            value.extend_from_slice(self.value_part(element, at, len)?);
        }
        Ok(value)
    }

    /// The most bytes of a value that can be had in one piece.
    pub(crate) const AT_ONCE: usize = WINDOW;

    /// The bucket that the value of a bucket element describes.
    pub(crate) fn bucket_root(&mut self, element: &LeafElement) -> Result<BucketRoot, PageError> {
        const BUCKET_HEADER: u32 = BucketRoot::HEADER_LEN;
        if element.value_len < BUCKET_HEADER {
            let message = format!(
                "a bucket's value has {} bytes instead of 16 or more",
                element.value_len
            );
            return Err(self.damaged(ProblemCode::Bucket, message).into());
        }
        let header = self.value_part(element, 0, BUCKET_HEADER as usize)?;
        let root = Cursor::new(header).u64_le("root page").unwrap_or_default();
        if root != 0 {
            return Ok(BucketRoot::Page(PageId::new(root)));
        }
        Ok(BucketRoot::Inline {
            page: self.id,
            offset: self
                .offset
                .saturating_add(element.value_at)
                .saturating_add(u64::from(BUCKET_HEADER)),
            len: u64::from(element.value_len.saturating_sub(BUCKET_HEADER)),
        })
    }
}

#[derive(Debug, Clone, Copy)]
enum Part {
    Elements,
    Data,
}

fn read(source: &dyn ReadAt, page: PageId, offset: u64, len: usize) -> Result<Vec<u8>, PageError> {
    let mut bytes = vec![0; len];
    let n = source.read_at(&mut bytes, offset).map_err(|e| {
        Error::new(
            crate::ErrorKind::Io,
            format!("cannot read page {page} at byte {offset}"),
        )
        .with_page(page)
        .with_offset(offset)
        .with_source(e)
    })?;
    if n < len {
        return Err(Problem::damaged(
            ProblemCode::FileTooShort,
            format!("the file ends {} bytes into a part of {len} bytes", n),
        )
        .at(page, offset)
        .into());
    }
    Ok(bytes)
}
