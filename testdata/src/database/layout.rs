//! How buckets lie in the pages of a file (formats.md 1).

use super::random::Random;
use super::{
    BRANCH, Bucket, ELEMENT, Entry, FREELIST, HEADER, LEAF, META, NO_FREELIST,
    meta_fields::MetaFields,
};

/// What the two metas say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Both the same state, the transaction of page 0 one above that of page 1; a digest follows the last page.
    Stream,
    /// The current state in the page of its transaction's parity, an older one in the other; no digest.
    Member,
}

/// Where the free pages are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freelist {
    /// Nowhere: they are all the pages that nothing refers to. So on Linux.
    Absent,
    /// In a page of their own.
    Persisted,
}

/// What stands in free pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FreeContent {
    /// Nothing.
    Zero,
    /// Anything.
    Junk,
    /// What a page was before it was freed: a page in use, with its header, and perhaps with the id of the free one.
    Stale,
}

/// Which buckets lie within the page of the bucket above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inline {
    /// Those of up to a quarter of a page.
    AsBbolt,
    /// None.
    Never,
    /// All, at any size and in any depth. bbolt never does that.
    Always,
}

#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) page_size: usize,
    pub(super) shape: Shape,
    pub(super) transaction_id: u64,
    pub(super) freelist: Freelist,
    pub(super) free_pages: usize,
    pub(super) free_content: FreeContent,
    pub(super) scatter: Option<u64>,
    pub(super) slack: Option<u64>,
    pub(super) elements_per_page: usize,
    pub(super) extra_levels: usize,
    pub(super) inline: Inline,
    pub(super) tail: Vec<u8>,
}

/// What an element carries beside its key.
#[derive(Debug, Clone)]
enum Body {
    Value(Vec<u8>),
    InlineBucket(Vec<u8>),
    /// A bucket whose root is this planned page.
    BucketAt(usize),
    /// A planned page below a branch.
    Child(usize),
}

#[derive(Debug, Clone)]
struct Element {
    key: Vec<u8>,
    body: Body,
}

impl Element {
    fn is_child(&self) -> bool {
        matches!(self.body, Body::Child(_))
    }

    fn value_size(&self) -> usize {
        match &self.body {
            Body::Value(value) | Body::InlineBucket(value) => value.len(),
            Body::BucketAt(_) => 16,
            Body::Child(_) => 0,
        }
    }

    fn size(&self) -> usize {
        ELEMENT + self.key.len() + self.value_size()
    }
}

/// A page that has no id yet.
struct Planned {
    elements: Vec<Element>,
    /// Pages of the file that it takes.
    extent: usize,
}

enum Root {
    Inline(Vec<u8>),
    Page(usize),
}

/// What takes up pages.
#[derive(Debug, Clone, Copy)]
enum Tenant {
    Planned(usize),
    Freelist,
    Free,
}

impl Layout {
    pub(super) fn new(page_size: usize) -> Self {
        assert!(page_size.is_power_of_two() && page_size >= 512);
        Self {
            page_size,
            shape: Shape::Stream,
            transaction_id: 24,
            freelist: Freelist::Absent,
            free_pages: 0,
            free_content: FreeContent::Zero,
            scatter: None,
            slack: None,
            elements_per_page: usize::MAX,
            extra_levels: 0,
            inline: Inline::AsBbolt,
            tail: Vec::new(),
        }
    }

    /// The file without a digest.
    pub(super) fn write(&self, root: &Bucket) -> Vec<u8> {
        let mut pages = Vec::new();
        let Root::Page(root) = self.plan(root, &mut pages, true) else {
            unreachable!("the root bucket has a page of its own")
        };

        let mut tenants: Vec<_> = (0..pages.len()).map(Tenant::Planned).collect();
        if self.freelist == Freelist::Persisted {
            tenants.push(Tenant::Freelist);
        }
        tenants.extend((0..self.free_pages).map(|_| Tenant::Free));
        if let Some(seed) = self.scatter {
            Random::new(seed).shuffle(&mut tenants);
        }
        let mut ids = vec![0; pages.len()];
        let mut free = Vec::new();
        let mut freelist = NO_FREELIST;
        let mut next = 2;
        for tenant in &tenants {
            match tenant {
                Tenant::Planned(page) => ids[*page] = next,
                Tenant::Freelist => freelist = next,
                Tenant::Free => free.push(next),
            }
            next += self.extent(*tenant, &pages) as u64;
        }

        let mut file = vec![0; next as usize * self.page_size];
        let mut slack = self.slack.map(Random::new);
        for (page, id) in pages.iter().zip(&ids) {
            let target = self.extent_at(&mut file, *id, page.extent);
            if let Some(random) = &mut slack {
                random.fill(target);
            }
            let image = page_image(*id, page.extent, &page.elements, &ids);
            target[..image.len()].copy_from_slice(&image);
        }
        if freelist != NO_FREELIST {
            let extent = self.extent(Tenant::Freelist, &pages);
            let image = freelist_image(freelist, extent, &free);
            self.extent_at(&mut file, freelist, extent)[..image.len()].copy_from_slice(&image);
        }
        self.fill_free_pages(&mut file, &free, &ids);
        self.write_metas(
            &mut file,
            &MetaFields {
                page_size: self.page_size as u32,
                root: ids[root],
                freelist,
                high_water_mark: next,
                transaction_id: self.transaction_id,
                ..MetaFields::default()
            },
            free.first().copied(),
        );
        file.extend_from_slice(&self.tail);
        file
    }

    fn plan(&self, bucket: &Bucket, pages: &mut Vec<Planned>, is_root: bool) -> Root {
        let mut elements = Vec::new();
        let mut has_buckets = false;
        for (key, entry) in bucket {
            let body = match entry {
                Entry::Value(value) => Body::Value(value.clone()),
                Entry::RawBucket(value) => {
                    has_buckets = true;
                    Body::InlineBucket(value.clone())
                }
                Entry::Bucket(inner) => {
                    has_buckets = true;
                    match self.plan(inner, pages, false) {
                        Root::Page(page) => Body::BucketAt(page),
                        Root::Inline(image) => Body::InlineBucket([vec![0; 16], image].concat()),
                    }
                }
            };
            elements.push(Element {
                key: key.clone(),
                body,
            });
        }
        let size = HEADER + elements.iter().map(Element::size).sum::<usize>();
        let inline = match self.inline {
            Inline::AsBbolt => !has_buckets && size <= self.page_size / 4,
            Inline::Never => false,
            Inline::Always => true,
        };
        if inline && !is_root {
            return Root::Inline(page_image(0, 1, &elements, &[]));
        }
        Root::Page(self.plan_tree(elements, pages, is_root))
    }

    /// Leaves, then branches until one page is above all.
    fn plan_tree(
        &self,
        mut elements: Vec<Element>,
        pages: &mut Vec<Planned>,
        is_root: bool,
    ) -> usize {
        // An empty leaf has no key to stand for it in a branch.
        let bare = is_root || elements.is_empty();
        let mut extra = if bare { 0 } else { self.extra_levels };
        let mut fewest = 1;
        loop {
            let mut above = Vec::new();
            for group in self.split(elements, fewest) {
                let size = HEADER + group.iter().map(Element::size).sum::<usize>();
                above.push(Element {
                    key: group
                        .first()
                        .map(|first| first.key.clone())
                        .unwrap_or_default(),
                    body: Body::Child(pages.len()),
                });
                pages.push(Planned {
                    elements: group,
                    extent: size.div_ceil(self.page_size),
                });
            }
            if above.len() == 1 {
                if extra == 0 {
                    return pages.len() - 1;
                }
                extra -= 1;
            }
            elements = above;
            fewest = 2;
        }
    }

    /// Groups that fit a page each; one that has less than `fewest` elements grows over the page.
    fn split(&self, elements: Vec<Element>, fewest: usize) -> Vec<Vec<Element>> {
        let mut groups = vec![Vec::new()];
        let mut size = HEADER;
        for element in elements {
            let group = groups.last().expect("at least one");
            let full =
                size + element.size() > self.page_size || group.len() >= self.elements_per_page;
            if full && group.len() >= fewest {
                groups.push(Vec::new());
                size = HEADER;
            }
            size += element.size();
            groups.last_mut().expect("at least one").push(element);
        }
        let short = groups.last().is_some_and(|last| last.len() < fewest);
        if short && groups.len() > 1 {
            let last = groups.pop().expect("more than one");
            groups.last_mut().expect("more than one").extend(last);
        }
        groups
    }

    fn extent(&self, tenant: Tenant, pages: &[Planned]) -> usize {
        match tenant {
            Tenant::Planned(page) => pages[page].extent,
            // One number more than there are ids: the real count of a long list.
            Tenant::Freelist => (HEADER + 8 * (self.free_pages + 1)).div_ceil(self.page_size),
            Tenant::Free => 1,
        }
    }

    fn extent_at<'a>(&self, file: &'a mut [u8], id: u64, extent: usize) -> &'a mut [u8] {
        &mut file[id as usize * self.page_size..][..extent * self.page_size]
    }

    fn fill_free_pages(&self, file: &mut [u8], free: &[u64], used: &[u64]) {
        let mut random = Random::new(self.scatter.unwrap_or_default());
        let page_size = self.page_size as u64;
        for (n, id) in free.iter().enumerate() {
            let offset = *id as usize * self.page_size;
            match self.free_content {
                FreeContent::Zero => {}
                FreeContent::Junk => random.fill(&mut file[offset..][..self.page_size]),
                FreeContent::Stale => {
                    let from = used[random.below(used.len())] as usize * self.page_size;
                    file.copy_within(from..from + self.page_size, offset);
                    // What was once at home here did not reach over the end of the file.
                    let overflow = &file[offset + 12..][..4];
                    let overflow = u32::from_le_bytes(overflow.try_into().expect("four"));
                    let fits = (*id + u64::from(overflow)) < file.len() as u64 / page_size;
                    if n % 2 == 0 && fits {
                        file[offset..][..8].copy_from_slice(&id.to_le_bytes());
                    }
                }
            }
        }
    }

    fn write_metas(&self, file: &mut [u8], meta: &MetaFields, free: Option<u64>) {
        let older = MetaFields {
            transaction_id: meta.transaction_id - 1,
            ..*meta
        };
        match self.shape {
            Shape::Stream => {
                self.write_meta(file, 0, meta);
                self.write_meta(file, 1, &older);
            }
            Shape::Member => {
                // Its tree may lie in pages that are free by now.
                let older = MetaFields {
                    root: free.unwrap_or(meta.root),
                    ..older
                };
                self.write_meta(file, meta.transaction_id % 2, meta);
                self.write_meta(file, older.transaction_id % 2, &older);
            }
        }
    }

    fn write_meta(&self, file: &mut [u8], id: u64, meta: &MetaFields) {
        let page = self.extent_at(file, id, 1);
        page[..HEADER].copy_from_slice(&header(id, META, 0, 1));
        page[HEADER..][..MetaFields::LEN].copy_from_slice(&meta.encode());
    }
}

pub(crate) fn header(id: u64, flags: u16, count: u16, extent: usize) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(&id.to_le_bytes());
    header[8..10].copy_from_slice(&flags.to_le_bytes());
    header[10..12].copy_from_slice(&count.to_le_bytes());
    header[12..].copy_from_slice(&(extent as u32 - 1).to_le_bytes());
    header
}

/// Header, elements, then keys and values back to back.
fn page_image(id: u64, extent: usize, elements: &[Element], ids: &[u64]) -> Vec<u8> {
    let kind = match elements.first() {
        Some(first) if first.is_child() => BRANCH,
        _ => LEAF,
    };
    let count = u16::try_from(elements.len()).expect("a page holds less than 65536 elements");
    let mut image = header(id, kind, count, extent).to_vec();
    let mut bodies = Vec::new();
    let first_body = HEADER + ELEMENT * elements.len();
    for element in elements {
        let position = (first_body + bodies.len() - image.len()) as u32;
        let key_size = element.key.len() as u32;
        bodies.extend_from_slice(&element.key);
        let flags = match &element.body {
            Body::Value(_) => 0_u32,
            _ => 1,
        };
        match &element.body {
            Body::Child(page) => {
                image.extend_from_slice(&position.to_le_bytes());
                image.extend_from_slice(&key_size.to_le_bytes());
                image.extend_from_slice(&ids[*page].to_le_bytes());
            }
            Body::Value(value) | Body::InlineBucket(value) => {
                bodies.extend_from_slice(value);
                for field in [flags, position, key_size, value.len() as u32] {
                    image.extend_from_slice(&field.to_le_bytes());
                }
            }
            Body::BucketAt(page) => {
                bodies.extend_from_slice(&ids[*page].to_le_bytes());
                bodies.extend_from_slice(&[0; 8]);
                for field in [flags, position, key_size, 16] {
                    image.extend_from_slice(&field.to_le_bytes());
                }
            }
        }
    }
    image.extend_from_slice(&bodies);
    image
}

/// From 0xFFFF ids on, the header's count says so and the real one comes first.
fn freelist_image(id: u64, extent: usize, free: &[u64]) -> Vec<u8> {
    const LONG: usize = 0xFFFF;
    let mut image = header(id, FREELIST, free.len().min(LONG) as u16, extent).to_vec();
    if free.len() >= LONG {
        image.extend_from_slice(&(free.len() as u64).to_le_bytes());
    }
    image.extend(free.iter().flat_map(|id| id.to_le_bytes()));
    image
}
