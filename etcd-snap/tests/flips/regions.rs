//! What every byte of a snapshot is for.

use std::fmt;
use std::ops::Range;

use etcd_snap_testdata::database::{Image, Page};

/// What a byte is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Region {
    Meta,
    PageHeader,
    Element,
    /// A key of the tree: a revision, a lease, a separator, the name of a bucket.
    Key,
    BucketHeader,
    /// Tags, lengths and revisions in a record.
    RecordField,
    UserKey,
    UserValue,
    /// The lease of a record.
    Lease,
    /// A value of a bucket beside `key`.
    SmallValue,
    /// Behind the fields of a meta page.
    BehindMeta,
    /// The end of a page in use.
    Unused,
    FreePage,
    Digest,
}

impl Region {
    /// Nothing else in the file says what stands here.
    pub(crate) fn is_exempt(self) -> bool {
        self >= Self::UserKey && self != Self::Digest
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Meta => "meta pages",
            Self::PageHeader => "page headers",
            Self::Element => "elements",
            Self::Key => "keys of the tree",
            Self::BucketHeader => "bucket headers",
            Self::RecordField => "fields of records",
            Self::UserKey => "user keys",
            Self::UserValue => "user values",
            Self::Lease => "leases of records",
            Self::SmallValue => "other values",
            Self::BehindMeta => "behind the metas",
            Self::Unused => "unused page ends",
            Self::FreePage => "free pages",
            Self::Digest => "digest",
        })
    }
}

/// The region of every byte of a sound snapshot without a freelist.
pub(crate) fn regions(file: &[u8]) -> Vec<Region> {
    let image = Image::of_snapshot(file.to_vec());
    let mut regions = vec![Region::FreePage; file.len()];
    regions[image.bytes().len()..].fill(Region::Digest);
    for page in [0, 1] {
        let at = image.page(page).offset;
        regions[at..at + image.page_size()].fill(Region::BehindMeta);
        regions[at..at + 80].fill(Region::Meta);
    }
    let mut map = Map { image, regions };
    let root = map.image.page(map.image.current().root);
    map.tree(root, "");
    map.regions
}

struct Map {
    image: Image,
    regions: Vec<Region>,
}

impl Map {
    fn fill(&mut self, range: Range<usize>, region: Region) {
        self.regions[range].fill(region);
    }

    fn tree(&mut self, page: Page, bucket: &str) {
        let size = self.image.page_size() * (1 + self.image.overflow(page));
        self.fill(page.offset..page.offset + size, Region::Unused);
        self.page(page, bucket);
    }

    fn page(&mut self, page: Page, bucket: &str) {
        self.fill(page.offset..page.offset + 16, Region::PageHeader);
        for place in self.image.places(page) {
            let element = self.image.offset_of(place);
            self.fill(element..element + 16, Region::Element);
            self.fill(self.image.key_range(place), Region::Key);
            if self.image.is_branch(page) {
                let child = self.image.page(self.image.child(place));
                self.tree(child, bucket);
                continue;
            }
            let value = self.image.value_range(place);
            match bucket {
                "" => {
                    self.fill(value.start..value.start + 16, Region::BucketHeader);
                    let name = String::from_utf8_lossy(self.image.key(place)).into_owned();
                    let root = self.image.bucket_root(&name);
                    if self.image.is_inline(&name) {
                        self.page(root, &name);
                    } else {
                        self.tree(root, &name);
                    }
                }
                "key" => self.record(value),
                _ => self.fill(value, Region::SmallValue),
            }
        }
    }

    /// `mvccpb.KeyValue`.
    fn record(&mut self, value: Range<usize>) {
        self.fill(value.clone(), Region::RecordField);
        let mut at = value.start;
        while at < value.end {
            let tag = self.varint(&mut at);
            let start = at;
            let number = self.varint(&mut at);
            let body = at..at + number as usize;
            match tag {
                0x0A => {
                    at = body.end;
                    self.fill(body, Region::UserKey);
                }
                0x2A => {
                    at = body.end;
                    self.fill(body, Region::UserValue);
                }
                0x30 => self.fill(start..at, Region::Lease),
                0x10 | 0x18 | 0x20 => {}
                other => panic!("no field of a record: {other}"),
            }
        }
    }

    fn varint(&self, at: &mut usize) -> u64 {
        let mut number = 0;
        for shift in (0..).step_by(7) {
            let byte = self.image.bytes()[*at];
            *at += 1;
            number |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        number
    }
}
