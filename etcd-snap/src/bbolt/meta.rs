//! The two meta pages (formats.md 1.2).

use std::path::Path;

use super::page::{PageHeader, PageId, PageKind};
use crate::cursor::{Cursor, Short};
use crate::io::{NewFile, ReadAt};
use crate::problem::{Problem, ProblemCode, Severity};
use crate::{Error, ErrorKind, Result};

const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;
/// The freelist is not in the file: it follows from the pages that are reachable.
const NO_FREELIST: u64 = u64::MAX;
/// Bytes from the start of a meta page to the end of its checksum.
pub(super) const META_LEN: usize = PageHeader::LEN + 64;
const SMALLEST_PAGE: u32 = 512;
const LARGEST_PAGE: u32 = 16 << 20;

/// A meta page as it stands, before anything in it was believed.
#[derive(Debug, Clone, Copy)]
struct RawMeta {
    header: PageHeader,
    magic: u32,
    version: u32,
    page_size: u32,
    flags: u32,
    root: u64,
    sequence: u64,
    freelist: u64,
    high_water: u64,
    txid: u64,
    checksum: u64,
    computed: u64,
}

impl RawMeta {
    fn parse(bytes: &[u8]) -> Result<Self, Short> {
        let mut cursor = Cursor::new(bytes);
        let header = PageHeader::parse(cursor.take(PageHeader::LEN, "page header")?)?;
        let mut summed = cursor.clone();
        let raw = Self {
            header,
            magic: cursor.u32_le("magic")?,
            version: cursor.u32_le("version")?,
            page_size: cursor.u32_le("page size")?,
            flags: cursor.u32_le("flags")?,
            root: cursor.u64_le("root page")?,
            sequence: cursor.u64_le("sequence")?,
            freelist: cursor.u64_le("freelist page")?,
            high_water: cursor.u64_le("high-water mark")?,
            txid: cursor.u64_le("transaction id")?,
            checksum: cursor.u64_le("checksum")?,
            computed: fnv_1a(summed.take(56, "checksummed fields")?),
        };
        Ok(raw)
    }

    /// The rules of bbolt's `Meta.Validate`, and bounds for what is used before any page is read.
    fn validate(&self) -> Result<Meta, Refusal> {
        let torn = |why: String| Err(Refusal { why, torn: true });
        if self.magic != MAGIC {
            return torn(if self.magic == MAGIC.swap_bytes() {
                "it was written on a big-endian machine, which etcd-snap does not read".to_owned()
            } else {
                format!(
                    "its magic number is {:08x} instead of {MAGIC:08x}",
                    self.magic
                )
            });
        }
        if self.version != VERSION {
            return torn(format!(
                "its format version is {} instead of {VERSION}",
                self.version
            ));
        }
        if self.checksum != self.computed {
            return torn(format!(
                "its checksum is {:016x}, computed {:016x}",
                self.checksum, self.computed
            ));
        }
        if !self.page_size.is_power_of_two()
            || !(SMALLEST_PAGE..=LARGEST_PAGE).contains(&self.page_size)
        {
            return Err(Refusal {
                why: format!("its page size is {}", self.page_size),
                torn: false,
            });
        }
        Ok(Meta {
            page_size: self.page_size,
            root: PageId::new(self.root),
            freelist: (self.freelist != NO_FREELIST).then_some(PageId::new(self.freelist)),
            high_water: PageId::new(self.high_water),
            txid: self.txid,
        })
    }
}

/// Why a meta page is not used.
#[derive(Debug, Clone)]
struct Refusal {
    why: String,
    /// bbolt does not use it either, and starts from the other one.
    torn: bool,
}

/// A meta page that validated: it describes one state of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) page_size: u32,
    /// The root page of the bucket that holds the buckets.
    pub(crate) root: PageId,
    /// `None`: not persisted, as on Linux always.
    pub(crate) freelist: Option<PageId>,
    /// The first page id that is not in use.
    pub(crate) high_water: PageId,
    pub(crate) txid: u64,
}

impl Meta {
    /// The meta page with this id, 80 bytes; what follows them is arbitrary.
    pub(crate) fn to_bytes(self, id: PageId) -> [u8; META_LEN] {
        let header = PageHeader {
            id,
            flags: PageKind::Meta.flags(),
            count: 0,
            overflow: 0,
        };
        let mut fields = Vec::with_capacity(META_LEN);
        fields.extend(MAGIC.to_le_bytes());
        fields.extend(VERSION.to_le_bytes());
        fields.extend(self.page_size.to_le_bytes());
        fields.extend(0_u32.to_le_bytes());
        fields.extend(self.root.get().to_le_bytes());
        fields.extend(0_u64.to_le_bytes());
        fields.extend(self.freelist.map_or(NO_FREELIST, PageId::get).to_le_bytes());
        fields.extend(self.high_water.get().to_le_bytes());
        fields.extend(self.txid.to_le_bytes());
        let checksum = fnv_1a(&fields);
        fields.extend(checksum.to_le_bytes());

        let mut bytes = [0; META_LEN];
        let all = header.to_bytes().into_iter().chain(fields);
        bytes.iter_mut().zip(all).for_each(|(to, from)| *to = from);
        bytes
    }

    /// Writes both meta pages, the older one as the transaction before would have: with normal parity, so that a server's next
    /// commit replaces the older of the two.
    pub(super) fn write_both(self, file: &dyn NewFile, path: &Path) -> Result<()> {
        let older = Self {
            txid: self.txid.wrapping_sub(1),
            ..self
        };
        for meta in [older, self] {
            let page = PageId::new(meta.txid & 1);
            let offset = page.get().saturating_mul(u64::from(meta.page_size));
            file.write_at(&meta.to_bytes(page), offset)
                .map_err(|e| Error::io("write", path, e))?;
        }
        Ok(())
    }

    /// Bytes of the database that this meta describes.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.high_water
            .get()
            .saturating_mul(u64::from(self.page_size))
    }
}

/// Both meta pages of a file; at least one is valid.
#[derive(Debug, Clone)]
pub(crate) struct MetaPages {
    pages: [Result<Meta, Refusal>; 2],
    /// As they stand: much of them does not decide whether a meta is used.
    raw: [Option<RawMeta>; 2],
    page_size: u32,
}

impl MetaPages {
    /// Finds the page size as bbolt's `DB.getPageSize` does, and reads both.
    ///
    /// # Errors
    /// Of kind `Damaged` where neither validates and at least one looks like a meta page, `NotASnapshot` where neither
    /// does, `Io` where the source cannot be read.
    pub(crate) fn read(source: &dyn ReadAt, name: &str) -> Result<Self> {
        let read = |offset: u64| -> Result<Result<RawMeta, Short>> {
            let mut bytes = [0; META_LEN];
            let n = source.read_at(&mut bytes, offset).map_err(|e| {
                Error::new(
                    ErrorKind::Io,
                    format!("cannot read the meta page at byte {offset} of {name}"),
                )
                .with_offset(offset)
                .with_source(e)
            })?;
            Ok(RawMeta::parse(bytes.get(..n).unwrap_or_default()))
        };
        let validate = |raw: &Result<RawMeta, Short>| match raw {
            Ok(raw) => raw.validate(),
            Err(short) => Err(Refusal {
                why: short.to_string(),
                torn: true,
            }),
        };

        let first = read(0)?;
        let as_it_stands = |raw: &Result<RawMeta, Short>| raw.as_ref().ok().copied();
        let first_meta = validate(&first);
        if let Ok(meta) = &first_meta {
            let page_size = meta.page_size;
            let second = read(u64::from(page_size))?;
            return Ok(Self {
                raw: [as_it_stands(&first), as_it_stands(&second)],
                pages: [first_meta, validate(&second)],
                page_size,
            });
        }
        let mut looked_like_bbolt = first
            .as_ref()
            .is_ok_and(|raw| raw.magic == MAGIC || raw.magic == MAGIC.swap_bytes());
        let mut page_size = SMALLEST_PAGE;
        while page_size <= LARGEST_PAGE {
            let second = read(u64::from(page_size))?;
            looked_like_bbolt |= second.as_ref().is_ok_and(|raw| raw.magic == MAGIC);
            if let Ok(meta) = validate(&second)
                && meta.page_size == page_size
            {
                return Ok(Self {
                    raw: [as_it_stands(&first), as_it_stands(&second)],
                    pages: [first_meta, Ok(meta)],
                    page_size,
                });
            }
            page_size = page_size.saturating_mul(2);
        }
        let why = first_meta.map_or_else(|refusal| refusal.why, |_| String::new());
        Err(if looked_like_bbolt {
            Error::damaged(format!(
                "{name} is a bbolt database whose two meta pages are both unusable (of the first: {why}), so nothing in it can be found"
            ))
            .with_page(PageId::new(0))
            .with_offset(0)
        } else {
            Error::new(
                ErrorKind::NotASnapshot,
                format!("{name} is not an etcd snapshot"),
            )
        })
    }

    pub(crate) fn page_size(&self) -> u32 {
        self.page_size
    }

    /// The meta that counts: the valid one with the higher transaction id, and the first of equals (bbolt `DB.meta`).
    pub(crate) fn current(&self) -> Option<Meta> {
        // The last of equals is what `max_by_key` gives.
        self.pages
            .iter()
            .rev()
            .flatten()
            .copied()
            .max_by_key(|meta| meta.txid)
    }

    /// What is wrong with either, and whether both describe the same state as they do in a stream
    /// (`Tx.WriteTo`, formats.md 1.8).
    pub(crate) fn problems(&self, from_stream: bool) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (page, (meta, raw)) in (0_u64..).zip(self.pages.iter().zip(&self.raw)) {
            let page = PageId::new(page);
            let offset = page.get().saturating_mul(u64::from(self.page_size));
            // A server that dies while it writes a meta page leaves one of the two torn, and starts from the other. But bbolt
            // uses one whose checksum is right, whatever its page size.
            let believed = meta.as_ref().is_err_and(|refusal| !refusal.torn);
            if let Err(refusal) = meta {
                let severity = if from_stream || believed {
                    Severity::Damaged
                } else {
                    Severity::Suspicious
                };
                let message = format!("the meta page is not valid: {}", refusal.why);
                problems.push(Problem::new(severity, ProblemCode::Meta, message).at(page, offset));
            }
            // bbolt opens a file without a look at these headers, and its check (`Page.FastCheck`) dies of them.
            let Some(raw) = raw else { continue };
            let header = raw.header;
            if header.id != page {
                let message = format!("the meta page calls itself {}", header.id);
                problems.push(Problem::damaged(ProblemCode::PageId, message).at(page, offset));
            }
            if PageKind::from_flags(header.flags) != Some(PageKind::Meta) {
                let message = format!("the flags of the meta page are {:#x}", header.flags);
                problems.push(Problem::damaged(ProblemCode::PageKind, message).at(page, offset));
            }
            let unused = [
                ("count", u64::from(header.count)),
                ("overflow", header.overflow.into()),
                ("flags", raw.flags.into()),
                ("sequence", raw.sequence),
            ];
            for (name, number) in unused {
                if from_stream && meta.is_ok() && number != 0 {
                    let message = format!(
                        "the meta page has {number} for its {name}, where every server has 0: was the file edited?"
                    );
                    let problem = Problem::new(Severity::Suspicious, ProblemCode::Meta, message);
                    problems.push(problem.at(page, offset));
                }
            }
        }
        if let Some(current) = self.current()
            && current.page_size != self.page_size
        {
            let message = format!(
                "the newer meta page has pages of {} bytes, but the first says {}, which is what servers believe",
                current.page_size, self.page_size
            );
            let problem = Problem::damaged(ProblemCode::Meta, message);
            problems.push(problem.at(PageId::new(1), u64::from(self.page_size)));
        }
        if let ([Ok(first), Ok(second)], true) = (&self.pages, from_stream) {
            let expected = Meta {
                txid: first.txid.wrapping_sub(1),
                ..*first
            };
            if *second != expected {
                problems.push(
                    Problem::new(
                        Severity::Suspicious,
                        ProblemCode::MetaDisagreement,
                        "the two meta pages describe different states, which no server's stream does: was the file edited?",
                    )
                    .at(PageId::new(1), u64::from(self.page_size)),
                );
            }
        }
        problems
    }
}

/// FNV-1a, 64 bits: bbolt's checksum of a meta page.
fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of formats.md 1.8, written by a 3.5 server.
    const REAL: Meta = Meta {
        page_size: 4096,
        root: PageId::new(2),
        freelist: None,
        high_water: PageId::new(12),
        txid: 24,
    };

    #[test]
    fn the_checksum_is_the_one_a_server_wrote() {
        assert_eq!(fnv_1a(b""), 0xcbf2_9ce4_8422_2325);
        let bytes = REAL.to_bytes(PageId::new(0));
        assert_eq!(bytes[72..], 0x7e1f_6793_43f0_5755_u64.to_le_bytes());
        assert_eq!(RawMeta::parse(&bytes).unwrap().validate().unwrap(), REAL);
    }

    #[test]
    fn every_flipped_bit_of_the_checked_fields_is_noticed() {
        let good = REAL.to_bytes(PageId::new(0));
        for bit in 16 * 8..good.len() * 8 {
            let mut bytes = good;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(
                RawMeta::parse(&bytes).unwrap().validate().is_err(),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn the_second_meta_page_serves_when_the_first_is_gone() {
        let mut file = vec![0; 3 * 16384];
        let meta = Meta {
            page_size: 16384,
            ..REAL
        };
        file[16384..16384 + META_LEN].copy_from_slice(&meta.to_bytes(PageId::new(1)));
        let pages = MetaPages::read(&file, "it").unwrap();
        assert_eq!(pages.current(), Some(meta));
        let codes: Vec<_> = pages
            .problems(true)
            .iter()
            .map(|problem| problem.code)
            .collect();
        assert_eq!(codes, [ProblemCode::Meta, ProblemCode::PageKind]);
    }

    #[test]
    fn a_big_endian_database_is_named() {
        let mut bytes = REAL.to_bytes(PageId::new(0)).to_vec();
        bytes[16..20].reverse();
        bytes.resize(8192, 0);
        let error = MetaPages::read(&bytes, "it").unwrap_err();
        assert!(error.to_string().contains("big-endian"), "{error}");
    }
}
