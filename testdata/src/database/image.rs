//! A built file, and the tools to damage it at a named place.

use std::ops::Range;

use sha2::{Digest, Sha256};

use super::{BRANCH, ELEMENT, HEADER, MetaFields};

/// A page of the file, or the image of one within an inline bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Byte of the file at which its header begins.
    pub offset: usize,
}

/// An element of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The page it is on.
    pub page: Page,
    /// Which one it is, from 0.
    pub index: usize,
}

/// A file without its digest. Walks by name, believes what it reads, and panics where that cannot be: look up every place
/// before the damage.
#[derive(Debug, Clone)]
pub struct Image {
    bytes: Vec<u8>,
    page_size: usize,
}

impl Image {
    /// An image of these bytes, without a digest at their end.
    #[must_use]
    pub fn new(bytes: Vec<u8>, page_size: usize) -> Self {
        Self { bytes, page_size }
    }

    /// An image of a snapshot file, whose digest is left out.
    #[must_use]
    pub fn of_snapshot(mut file: Vec<u8>) -> Self {
        let page_size = MetaFields::decode(&file[HEADER..]).page_size as usize;
        assert_eq!(file.len() % 512, 32, "a digest is expected");
        file.truncate(file.len() - 32);
        Self::new(file, page_size)
    }

    // What comes of it.

    /// The file with a digest that matches.
    #[must_use]
    pub fn sealed(&self) -> Vec<u8> {
        let digest = Sha256::digest(&self.bytes);
        [self.bytes.as_slice(), digest.as_slice()].concat()
    }

    /// The file with the digest of another.
    #[must_use]
    pub fn sealed_as(&self, other: &Self) -> Vec<u8> {
        let digest = Sha256::digest(&other.bytes);
        [self.bytes.as_slice(), digest.as_slice()].concat()
    }

    /// The file without a digest.
    #[must_use]
    pub fn unsealed(&self) -> Vec<u8> {
        self.bytes.clone()
    }

    /// All bytes, to be changed at will.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// All bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes of a page.
    #[must_use]
    pub fn page_size(&self) -> usize {
        self.page_size
    }

    // Metas.

    /// What meta page 0 or 1 says.
    #[must_use]
    pub fn meta(&self, page: usize) -> MetaFields {
        MetaFields::decode(&self.bytes[page * self.page_size + HEADER..])
    }

    /// Changes meta page 0 or 1 and gives it the right checksum.
    pub fn set_meta(&mut self, page: usize, change: impl FnOnce(&mut MetaFields)) {
        let mut meta = self.meta(page);
        change(&mut meta);
        self.write(page * self.page_size + HEADER, &meta.encode());
    }

    /// Changes both metas.
    pub fn set_metas(&mut self, change: impl Fn(&mut MetaFields)) {
        self.set_meta(0, &change);
        self.set_meta(1, &change);
    }

    /// Breaks the checksum of meta page 0 or 1.
    pub fn break_meta(&mut self, page: usize) {
        self.bytes[page * self.page_size + HEADER + MetaFields::LEN - 1] ^= 0x80;
    }

    /// The newer meta.
    #[must_use]
    pub fn current(&self) -> MetaFields {
        let [first, second] = [self.meta(0), self.meta(1)];
        if first.transaction_id > second.transaction_id {
            first
        } else {
            second
        }
    }

    // Pages.

    /// The page with this id.
    #[must_use]
    pub fn page(&self, id: u64) -> Page {
        Page {
            offset: usize::try_from(id).expect("a page in memory") * self.page_size,
        }
    }

    /// The page of the file that a page is, or lies in.
    #[must_use]
    pub fn id_of(&self, page: Page) -> u64 {
        (page.offset / self.page_size) as u64
    }

    /// The page of the freelist.
    #[must_use]
    pub fn freelist(&self) -> Page {
        self.page(self.current().freelist)
    }

    /// The ids on the freelist.
    #[must_use]
    pub fn free_ids(&self) -> Vec<u64> {
        let page = self.freelist();
        let at = |n: usize| self.large(page.offset + HEADER + 8 * n);
        match self.count(page) {
            0xFFFF => (1..=at(0) as usize).map(at).collect(),
            count => (0..count).map(at).collect(),
        }
    }

    /// Puts another id on the freelist in the place of the one there.
    pub fn set_free_id(&mut self, index: usize, id: u64) {
        let page = self.freelist();
        let skipped = usize::from(self.count(page) == 0xFFFF);
        self.write(
            page.offset + HEADER + 8 * (index + skipped),
            &id.to_le_bytes(),
        );
    }

    /// How many elements a page says it has.
    #[must_use]
    pub fn count(&self, page: Page) -> usize {
        usize::from(u16::from_le_bytes(
            self.bytes[page.offset + 10..][..2].try_into().expect("two"),
        ))
    }

    /// How many pages a page says it takes beside its first.
    #[must_use]
    pub fn overflow(&self, page: Page) -> usize {
        self.small(page.offset + 12) as usize
    }

    /// Whether a page is a branch.
    #[must_use]
    pub fn is_branch(&self, page: Page) -> bool {
        self.bytes[page.offset + 8] == BRANCH as u8
    }

    /// Writes a page's id.
    pub fn set_page_id(&mut self, page: Page, id: u64) {
        self.write(page.offset, &id.to_le_bytes());
    }

    /// Writes a page's kind.
    pub fn set_flags(&mut self, page: Page, flags: u16) {
        self.write(page.offset + 8, &flags.to_le_bytes());
    }

    /// Writes a page's number of elements.
    pub fn set_count(&mut self, page: Page, count: u16) {
        self.write(page.offset + 10, &count.to_le_bytes());
    }

    /// Writes a page's overflow.
    pub fn set_overflow(&mut self, page: Page, overflow: u32) {
        self.write(page.offset + 12, &overflow.to_le_bytes());
    }

    /// Appends an empty page and raises the high-water mark over it.
    pub fn append_page(&mut self) -> Page {
        let id = self.current().high_water_mark;
        let page = self.page(id);
        self.bytes.resize(page.offset + self.page_size, 0);
        self.set_metas(|meta| meta.high_water_mark = id + 1);
        self.set_page_id(page, id);
        page
    }

    // Elements.

    /// The elements of a page.
    pub fn places(&self, page: Page) -> impl Iterator<Item = Place> + use<> {
        (0..self.count(page)).map(move |index| Place { page, index })
    }

    /// The last element of a page.
    #[must_use]
    pub fn last(&self, page: Page) -> Place {
        self.places(page).last().expect("a page with elements")
    }

    /// Byte of the file at which an element begins.
    #[must_use]
    pub fn offset_of(&self, place: Place) -> usize {
        place.page.offset + HEADER + ELEMENT * place.index
    }

    /// Where the key of an element stands.
    #[must_use]
    pub fn key_range(&self, place: Place) -> Range<usize> {
        let element = self.offset_of(place);
        let (position, key_size) = if self.is_branch(place.page) {
            (element, element + 4)
        } else {
            (element + 4, element + 8)
        };
        let start = element + self.small(position) as usize;
        start..start + self.small(key_size) as usize
    }

    /// The key of an element.
    #[must_use]
    pub fn key(&self, place: Place) -> &[u8] {
        &self.bytes[self.key_range(place)]
    }

    /// Where the value of a leaf's element stands.
    #[must_use]
    pub fn value_range(&self, place: Place) -> Range<usize> {
        assert!(!self.is_branch(place.page), "a branch has no values");
        let start = self.key_range(place).end;
        start..start + self.small(self.offset_of(place) + 12) as usize
    }

    /// The value of a leaf's element.
    #[must_use]
    pub fn value(&self, place: Place) -> &[u8] {
        &self.bytes[self.value_range(place)]
    }

    /// The page that a branch's element leads to.
    #[must_use]
    pub fn child(&self, place: Place) -> u64 {
        assert!(self.is_branch(place.page), "a leaf has no children");
        self.large(self.offset_of(place) + 8)
    }

    /// Writes the flags of a leaf's element.
    pub fn set_element_flags(&mut self, place: Place, flags: u32) {
        self.set_field(place, 0, flags);
    }

    /// Writes where an element's key begins.
    pub fn set_position(&mut self, place: Place, position: u32) {
        let field = if self.is_branch(place.page) { 0 } else { 4 };
        self.set_field(place, field, position);
    }

    /// Writes how long an element's key is.
    pub fn set_key_size(&mut self, place: Place, size: u32) {
        let field = if self.is_branch(place.page) { 4 } else { 8 };
        self.set_field(place, field, size);
    }

    /// Writes how long the value of a leaf's element is.
    pub fn set_value_size(&mut self, place: Place, size: u32) {
        self.set_field(place, 12, size);
    }

    /// Makes a branch's element lead to another page.
    pub fn set_child(&mut self, place: Place, id: u64) {
        self.write(self.offset_of(place) + 8, &id.to_le_bytes());
    }

    /// Exchanges two elements of a page with their keys and values.
    pub fn swap_elements(&mut self, page: Page, one: usize, other: usize) {
        let [one, other] = [one, other].map(|index| self.offset_of(Place { page, index }));
        let field = if self.is_branch(page) { 0 } else { 4 };
        for byte in 0..ELEMENT {
            self.bytes.swap(one + byte, other + byte);
        }
        // Positions are counted from the element.
        let distance = (other as u32).wrapping_sub(one as u32);
        let moved = self.small(one + field).wrapping_add(distance);
        self.write(one + field, &moved.to_le_bytes());
        let moved = self.small(other + field).wrapping_sub(distance);
        self.write(other + field, &moved.to_le_bytes());
    }

    /// Overwrites bytes of the file.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.bytes[offset..][..bytes.len()].copy_from_slice(bytes);
    }

    /// Overwrites the beginning of a key.
    pub fn overwrite_key(&mut self, place: Place, bytes: &[u8]) {
        let range = self.key_range(place);
        assert!(bytes.len() <= range.len(), "longer than the key");
        self.write(range.start, bytes);
    }

    /// Overwrites the beginning of a value.
    pub fn overwrite_value(&mut self, place: Place, bytes: &[u8]) {
        let range = self.value_range(place);
        assert!(bytes.len() <= range.len(), "longer than the value");
        self.write(range.start, bytes);
    }

    // Places by name.

    /// The element of the root bucket that is this bucket.
    #[must_use]
    pub fn bucket(&self, name: &str) -> Place {
        self.leaves_below(self.page(self.current().root))
            .into_iter()
            .flat_map(|leaf| self.places(leaf))
            .find(|place| self.key(*place) == name.as_bytes())
            .unwrap_or_else(|| panic!("no bucket {name}"))
    }

    /// The page at the top of a bucket: within the root's pages, where it is inline.
    #[must_use]
    pub fn bucket_root(&self, name: &str) -> Page {
        let range = self.value_range(self.bucket(name));
        match self.large(range.start) {
            0 => Page {
                offset: range.start + 16,
            },
            id => self.page(id),
        }
    }

    /// Whether a bucket lies within the root's pages.
    #[must_use]
    pub fn is_inline(&self, name: &str) -> bool {
        self.large(self.value_range(self.bucket(name)).start) == 0
    }

    /// Makes a bucket begin at another page.
    pub fn set_bucket_root(&mut self, name: &str, id: u64) {
        let range = self.value_range(self.bucket(name));
        self.write(range.start, &id.to_le_bytes());
    }

    /// Every page of a bucket from the top down, leaves in order of keys.
    #[must_use]
    pub fn pages_of(&self, name: &str) -> Vec<Page> {
        let mut pages = vec![self.bucket_root(name)];
        let mut next = 0;
        while let Some(page) = pages.get(next).copied() {
            if self.is_branch(page) {
                pages.extend(self.places(page).map(|place| self.page(self.child(place))));
            }
            next += 1;
        }
        pages
    }

    /// The branches of a bucket from the top down.
    #[must_use]
    pub fn branches(&self, name: &str) -> Vec<Page> {
        let mut pages = self.pages_of(name);
        pages.retain(|page| self.is_branch(*page));
        pages
    }

    /// The leaves of a bucket in order of keys.
    #[must_use]
    pub fn leaves(&self, name: &str) -> Vec<Page> {
        self.leaves_below(self.bucket_root(name))
    }

    /// The element of a branch that leads to a page.
    #[must_use]
    pub fn parent(&self, name: &str, page: Page) -> Place {
        self.branches(name)
            .into_iter()
            .flat_map(|branch| self.places(branch))
            .find(|place| self.page(self.child(*place)) == page)
            .expect("a page below a branch")
    }

    /// The record with this key.
    #[must_use]
    pub fn find(&self, bucket: &str, key: &[u8]) -> Place {
        self.leaves(bucket)
            .into_iter()
            .flat_map(|leaf| self.places(leaf))
            .find(|place| self.key(*place) == key)
            .unwrap_or_else(|| panic!("no such record in {bucket}"))
    }

    /// The record of a change, be it a put or a delete.
    #[must_use]
    pub fn find_revision(&self, main: i64, sub: i64) -> Place {
        let key = super::revision_key(main, sub);
        self.leaves("key")
            .into_iter()
            .flat_map(|leaf| self.places(leaf))
            .find(|place| self.key(*place).starts_with(&key))
            .unwrap_or_else(|| panic!("no record of revision {main}.{sub}"))
    }

    /// Not recursive: some trees are very deep.
    pub(super) fn leaves_below(&self, page: Page) -> Vec<Page> {
        let mut leaves = Vec::new();
        let mut ahead = vec![page];
        while let Some(page) = ahead.pop() {
            if self.is_branch(page) {
                let children: Vec<_> = self.places(page).map(|place| self.child(place)).collect();
                ahead.extend(children.into_iter().rev().map(|child| self.page(child)));
            } else {
                leaves.push(page);
            }
        }
        leaves
    }

    fn set_field(&mut self, place: Place, field: usize, number: u32) {
        self.write(self.offset_of(place) + field, &number.to_le_bytes());
    }

    fn small(&self, offset: usize) -> u32 {
        u32::from_le_bytes(self.bytes[offset..][..4].try_into().expect("four"))
    }

    fn large(&self, offset: usize) -> u64 {
        u64::from_le_bytes(self.bytes[offset..][..8].try_into().expect("eight"))
    }
}

#[cfg(test)]
mod tests {
    use crate::database::{DatabaseBuilder, FreeContent, Freelist, Inline, Shape};

    fn many(page_size: usize) -> DatabaseBuilder {
        (0..300).fold(DatabaseBuilder::new(page_size), |builder, n| {
            builder.put(
                format!("key-{:03}", n % 70),
                format!("value {n}").repeat(n % 9),
            )
        })
    }

    #[test]
    fn what_was_built_is_found_again_at_every_page_size_and_layout() {
        for exponent in 9..=16 {
            let page_size = 1 << exponent;
            let plain = many(page_size).put("long", vec![7; 3 * page_size]);
            let scattered = plain
                .clone()
                .scattered(5)
                .slack(6)
                .free_pages(9, FreeContent::Stale)
                .freelist(Freelist::Persisted)
                .shape(Shape::Member)
                .inline(Inline::Never)
                .elements_per_page(3);
            let model = plain.model();
            for builder in [plain, scattered] {
                let image = builder.image();
                let mut records = 0;
                for name in ["key", "meta", "members", "lease"] {
                    let leaves = image.leaves(name);
                    for place in leaves.into_iter().flat_map(|leaf| image.places(leaf)) {
                        assert_eq!(
                            model.value(name, image.key(place)),
                            Some(image.value(place))
                        );
                        records += 1;
                    }
                }
                assert_eq!(records, 301 + 4 + 1);
                assert_eq!(image.bytes().len() % page_size, 0);
            }
        }
    }

    #[test]
    fn small_buckets_are_inline_as_bbolt_has_them() {
        let image = many(4096).image();
        assert!(image.is_inline("members") && image.is_inline("lease"));
        assert!(!image.is_inline("key"));
        // formats.md 1.4 has these bytes.
        let empty = image.value(image.bucket("members_removed"));
        let mut expected = [0; 32];
        expected[24] = 2;
        assert_eq!(empty, expected);
    }

    #[test]
    fn the_freelist_names_every_free_page_even_beyond_what_its_count_holds() {
        for free in [0, 3, 0xFFFE, 0xFFFF, 0x1_0001] {
            let image = DatabaseBuilder::new(512)
                .free_pages(free, FreeContent::Zero)
                .freelist(Freelist::Persisted)
                .scattered(1)
                .image();
            let ids = image.free_ids();
            assert_eq!(ids.len(), free);
            assert!(ids.is_sorted());
        }
    }

    #[test]
    fn exchanged_elements_keep_their_keys_and_values() {
        let mut image = many(512).image();
        let leaf = image.leaves("key")[1];
        let places: Vec<_> = image.places(leaf).collect();
        let [first, last] = [places[0], places[places.len() - 1]];
        let [a, z] =
            [first, last].map(|place| (image.key(place).to_vec(), image.value(place).to_vec()));
        image.swap_elements(leaf, first.index, last.index);
        assert_eq!((image.key(last), image.value(last)), (&a.0[..], &a.1[..]));
        assert_eq!((image.key(first), image.value(first)), (&z.0[..], &z.1[..]));
    }
}
