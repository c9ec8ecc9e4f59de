//! What can be said of a page by itself, from its first bytes: no other page, and nothing of what leads to it, is known.

use super::page::{BUCKET_FLAG, Body, ELEMENT_LEN, PageHeader, PageId, PageKind, element_at};
use super::pages::BucketRoot;
use crate::cursor::Cursor;
use crate::problem::{Problem, ProblemCode};

/// The first thing that is wrong with a page, if there is one.
type Judgement = Result<(), Box<Problem>>;

/// A page that calls itself by its own number.
pub(super) struct LonePage<'a> {
    id: PageId,
    /// Where it begins in the file.
    offset: u64,
    header: PageHeader,
    /// The first of its bytes. What lies behind them is passed over.
    seen: &'a [u8],
    /// Its bytes, overflow included.
    len: u64,
    high_water: u64,
    inline: bool,
}

impl<'a> LonePage<'a> {
    /// `None`: the bytes are no page of this number.
    pub(super) fn new(
        id: PageId,
        seen: &'a [u8],
        page_size: u64,
        high_water: PageId,
    ) -> Option<Self> {
        let header = PageHeader::parse(seen).ok()?;
        (header.id == id).then(|| Self {
            id,
            offset: id.get().saturating_mul(page_size),
            header,
            seen,
            len: u64::from(header.overflow)
                .saturating_add(1)
                .saturating_mul(page_size),
            high_water: high_water.get(),
            inline: false,
        })
    }

    /// Pages behind it that belong to it.
    pub(super) fn overflow(&self) -> u64 {
        self.header.overflow.into()
    }

    pub(super) fn kind(&self) -> Option<PageKind> {
        PageKind::from_flags(self.header.flags)
    }

    pub(super) fn judge(&self) -> Judgement {
        let end = self.id.get().saturating_add(self.overflow());
        if end >= self.high_water {
            return Err(self.damaged(
                ProblemCode::PageOutOfBounds,
                format!(
                    "the page claims {} pages behind it, more than there are below {}",
                    self.header.overflow, self.high_water
                ),
            ));
        }
        match self.kind() {
            Some(PageKind::Leaf) => self.leaf(),
            Some(PageKind::Branch) => self.branch(),
            Some(PageKind::Freelist) => self.freelist(),
            Some(PageKind::Meta) => Err(self.damaged(
                ProblemCode::PageKind,
                "a meta page stands behind the two that there are",
            )),
            None => Err(self.damaged(
                ProblemCode::PageKind,
                format!(
                    "the page is of no known kind: flags {:#x}",
                    self.header.flags
                ),
            )),
        }
    }

    fn leaf(&self) -> Judgement {
        let mut order = Order::of(self.header.count);
        for (index, mut fields) in self.elements()? {
            let mut field = |name| fields.u32_le(name).unwrap_or_default();
            let (flags, sizes) = (field("flags"), [(); 3].map(|()| field("position or size")));
            let body = self.body(index, sizes)?;
            self.follow(&mut order, index, body)?;
            if flags & !BUCKET_FLAG != 0 {
                let message = format!("has unknown flags {flags:#x}");
                return Err(self.element(index, &message));
            }
            if flags == BUCKET_FLAG {
                self.bucket(index, body)?;
            }
        }
        Ok(())
    }

    fn bucket(&self, index: u16, body: Body) -> Judgement {
        const HEADER_LEN: u64 = BucketRoot::HEADER_LEN as u64;
        let wrong = |message: String| Err(self.damaged(ProblemCode::Bucket, message));
        if self.inline {
            return wrong("an inline bucket holds another bucket".to_owned());
        }
        let len = body.end.saturating_sub(body.value_at);
        if len < HEADER_LEN {
            return wrong(format!(
                "a bucket's value has {len} bytes instead of 16 or more"
            ));
        }
        let value = self.seen_from(body.value_at);
        let Ok(root) = Cursor::new(value).u64_le("root page") else {
            return Ok(());
        };
        if root != 0 {
            if len != HEADER_LEN {
                return wrong(format!(
                    "a bucket with pages of its own has a value of {len} bytes instead of {HEADER_LEN}"
                ));
            }
            return self.leads_to(index, root);
        }
        let image_at = body.value_at.saturating_add(HEADER_LEN);
        let image_len = len.saturating_sub(HEADER_LEN);
        let image = self.seen_from(image_at);
        let image = usize::try_from(image_len)
            .ok()
            .and_then(|len| image.get(..len))
            .unwrap_or(image);
        if image_len < PageHeader::LEN as u64 {
            return wrong(format!(
                "an inline bucket has {image_len} bytes, less than a page header"
            ));
        }
        let Ok(header) = PageHeader::parse(image) else {
            return Ok(());
        };
        if PageKind::from_flags(header.flags) != Some(PageKind::Leaf) {
            let message = format!("an inline bucket is not a leaf: flags {:#x}", header.flags);
            return Err(self.damaged(ProblemCode::PageKind, message));
        }
        if header.id != PageId::new(0) || header.overflow != 0 {
            return wrong("the header of an inline bucket names a page".to_owned());
        }
        LonePage {
            offset: self.offset.saturating_add(image_at),
            header,
            seen: image,
            len: image_len,
            inline: true,
            ..*self
        }
        .leaf()
    }

    fn branch(&self) -> Judgement {
        if self.header.count == 0 {
            return Err(self.damaged(ProblemCode::Element, "a branch page without children"));
        }
        let mut order = Order::of(self.header.count);
        for (index, mut fields) in self.elements()? {
            let position = fields.u32_le("position").unwrap_or_default();
            let key_len = fields.u32_le("key size").unwrap_or_default();
            let child = fields.u64_le("child page").unwrap_or_default();
            let body = self.body(index, [position, key_len, 0])?;
            self.follow(&mut order, index, body)?;
            self.leads_to(index, child)?;
        }
        Ok(())
    }

    /// The ids that stand in sight (formats.md 1.5).
    fn freelist(&self) -> Judgement {
        const COUNT_IN_FIRST_ENTRY: u16 = 0xFFFF;
        const ID_LEN: u64 = 8;
        let mut ids = Cursor::new(self.seen_from(PageHeader::LEN as u64));
        let mut taken = PageHeader::LEN as u64;
        let mut count = u64::from(self.header.count);
        if self.header.count == COUNT_IN_FIRST_ENTRY {
            let Ok(real) = ids.u64_le("count") else {
                return Ok(());
            };
            count = real;
            taken = taken.saturating_add(ID_LEN);
        }
        if count.saturating_mul(ID_LEN).saturating_add(taken) > self.len {
            let message = format!("the freelist claims {count} pages, more than fit in it");
            return Err(self.damaged(ProblemCode::Freelist, message));
        }
        for n in 0..count {
            let Ok(id) = ids.u64_le("page id") else {
                break;
            };
            if !self.is_page(id) {
                let at = taken.saturating_add(n.saturating_mul(ID_LEN));
                let message = format!("the freelist names page {id}, which can never be free");
                return Err(self.damaged_at(at, ProblemCode::Freelist, message));
            }
        }
        Ok(())
    }

    /// The elements that stand in sight, each as its 16 bytes.
    fn elements(&self) -> Result<impl Iterator<Item = (u16, Cursor<'a>)> + use<'a>, Box<Problem>> {
        let count = self.header.count;
        if element_at(count) > self.len {
            let message = format!(
                "the page claims {count} elements, more than fit in its {} bytes",
                self.len
            );
            return Err(self.damaged(ProblemCode::Element, message));
        }
        let array = self.seen_from(PageHeader::LEN as u64);
        let elements = array.chunks_exact(ELEMENT_LEN as usize).map(Cursor::new);
        Ok((0..count).zip(elements))
    }

    fn body(&self, index: u16, sizes: [u32; 3]) -> Result<Body, Box<Problem>> {
        Body::locate(self.len, self.header.count, index, sizes)
            .map_err(|what| self.element(index, &what))
    }

    /// bbolt writes keys and values one behind the other, in the order of their elements, and keys ascend.
    fn follow(&self, order: &mut Order<'a>, index: u16, body: Body) -> Judgement {
        if body.key_at != order.bodies_end {
            let what = "does not begin where the one in front of it ends";
            return Err(self.element(index, what));
        }
        order.bodies_end = body.end;
        let len = usize::try_from(body.value_at.saturating_sub(body.key_at)).unwrap_or(usize::MAX);
        let Some(key) = self.seen_from(body.key_at).get(..len) else {
            return Ok(());
        };
        if order.key.is_some_and(|before| before >= key) {
            let message = format!("key {index} is not greater than the one before it");
            return Err(self.damaged_at(element_at(index), ProblemCode::KeyOrder, message));
        }
        order.key = Some(key);
        Ok(())
    }

    fn leads_to(&self, index: u16, page: u64) -> Judgement {
        if self.is_page(page) {
            return Ok(());
        }
        let message = format!(
            "element {index} leads to page {page}, which is none of those from 2 to the high-water mark {}",
            self.high_water
        );
        Err(self.damaged_at(element_at(index), ProblemCode::PageOutOfBounds, message))
    }

    /// Whether a page may be anything but a meta page.
    fn is_page(&self, id: u64) -> bool {
        (2..self.high_water).contains(&id)
    }

    fn seen_from(&self, at: u64) -> &'a [u8] {
        usize::try_from(at)
            .ok()
            .and_then(|at| self.seen.get(at..))
            .unwrap_or_default()
    }

    fn damaged(&self, code: ProblemCode, message: impl Into<String>) -> Box<Problem> {
        self.damaged_at(0, code, message)
    }

    /// With the byte of the page.
    fn damaged_at(&self, at: u64, code: ProblemCode, message: impl Into<String>) -> Box<Problem> {
        let offset = self.offset.saturating_add(at);
        Box::new(Problem::damaged(code, message).at(self.id, offset))
    }

    fn element(&self, index: u16, what: &str) -> Box<Problem> {
        self.damaged_at(
            element_at(index),
            ProblemCode::Element,
            format!("element {index} {what}"),
        )
    }
}

/// How far the elements of a page have come.
struct Order<'a> {
    /// The last key that was in sight.
    key: Option<&'a [u8]>,
    bodies_end: u64,
}

impl Order<'_> {
    /// Of so many elements: the first body begins behind the array of them.
    fn of(count: u16) -> Self {
        Self {
            key: None,
            bodies_end: element_at(count),
        }
    }
}
