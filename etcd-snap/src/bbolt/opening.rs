//! The beginning of a database whose bytes pass: as much of it as its meta pages take, and not a page more.

use std::io;

use super::meta::{META_LEN, MetaPages};
use crate::io::ReadAt;
use crate::{ErrorKind, Result, sniff};

/// What is kept of the very first bytes: enough to say what a file is that is no database.
const HEAD: usize = 512 + META_LEN;
/// The sizes that a page may have, apart from the smallest, whose second meta page is in the head.
const PAGE_SIZES: std::ops::RangeInclusive<u32> = 10..=24;

/// Keeps the places where meta pages may stand, until they are found.
#[derive(Debug)]
pub(super) struct Opening {
    /// Where each place begins, and what came of it.
    places: Vec<(u64, Vec<u8>)>,
    passed: u64,
}

impl Opening {
    pub(super) fn new() -> Self {
        let others = PAGE_SIZES.map(|power| (1 << power, Vec::with_capacity(META_LEN)));
        Self {
            places: [(0, Vec::with_capacity(HEAD))]
                .into_iter()
                .chain(others)
                .collect(),
            passed: 0,
        }
    }

    /// Takes the next bytes, up to the end of the next place; says how many those were.
    pub(super) fn take(&mut self, bytes: &[u8]) -> usize {
        let mut taken = bytes.len();
        for (start, place) in &mut self.places {
            let missing = place.capacity().saturating_sub(place.len());
            if missing == 0 {
                continue;
            }
            let at = start.saturating_add(place.len() as u64);
            let before = usize::try_from(at.saturating_sub(self.passed)).unwrap_or(usize::MAX);
            let rest = bytes.get(before..).unwrap_or_default();
            let part = rest.get(..missing).unwrap_or(rest);
            place.extend_from_slice(part);
            taken = before.saturating_add(part.len()).min(bytes.len());
            break;
        }
        self.passed = self.passed.saturating_add(taken as u64);
        taken
    }

    /// Both meta pages, once all that they are read from has passed; `None` before.
    ///
    /// # Errors
    /// There are none where meta pages may stand: `NotASnapshot`, saying what it is instead, or `Damaged`.
    pub(super) fn metas(&self, name: &str) -> Result<Option<MetaPages>> {
        match self.metas_so_far(name) {
            Ok(metas) => {
                let end = u64::from(metas.page_size()).saturating_add(META_LEN as u64);
                Ok((self.passed >= end).then_some(metas))
            }
            Err(_) if !self.is_over() => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The same with nothing more to come: a meta page that is missing then is not valid.
    pub(super) fn metas_so_far(&self, name: &str) -> Result<MetaPages> {
        if let Some(error) = sniff::of_another_kind(self, name) {
            return Err(error);
        }
        MetaPages::read(self, name).map_err(|e| match e.kind() {
            ErrorKind::NotASnapshot => sniff::not_a_snapshot(self, self.passed, name),
            _ => e,
        })
    }

    fn is_over(&self) -> bool {
        self.places
            .iter()
            .all(|(_, place)| place.len() == place.capacity())
    }
}

/// Only the places that were kept can be read.
impl ReadAt for Opening {
    fn size(&self) -> io::Result<u64> {
        Ok(self.passed)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let kept = self.places.iter().find_map(|(start, place)| {
            let from = usize::try_from(offset.checked_sub(*start)?).ok()?;
            place.get(from..).filter(|rest| !rest.is_empty())
        });
        kept.unwrap_or_default().read_at(buffer, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bbolt::{Meta, PageId};

    fn meta(page_size: u32) -> Meta {
        Meta {
            page_size,
            root: PageId::new(2),
            freelist: None,
            high_water: PageId::new(3),
            txid: 24,
        }
    }

    /// A database of three pages, without those of its metas that are not wanted.
    fn file(page_size: u32, wanted: [bool; 2]) -> Vec<u8> {
        let mut file = vec![0xEE; 3 * page_size as usize];
        for (n, wanted) in (0_u64..).zip(wanted) {
            let at = n as usize * page_size as usize;
            if wanted {
                file[at..at + META_LEN].copy_from_slice(&meta(page_size).to_bytes(PageId::new(n)));
            }
        }
        file
    }

    /// The page size that is found, and how many bytes it took.
    fn found(file: &[u8], piece: usize) -> Result<Option<(u32, u64)>> {
        let mut opening = Opening::new();
        for mut bytes in file.chunks(piece) {
            while !bytes.is_empty() {
                bytes = &bytes[opening.take(bytes)..];
                if let Some(metas) = opening.metas("it")? {
                    return Ok(Some((metas.page_size(), opening.passed)));
                }
            }
        }
        Ok(None)
    }

    #[test]
    fn both_metas_are_found_at_every_page_size_with_either_of_them_gone() {
        for power in 9..=24 {
            let page_size = 1 << power;
            for wanted in [[true, true], [true, false], [false, true]] {
                let file = file(page_size, wanted);
                for piece in [1 << 20, 777, 4096] {
                    let (found, taken) = found(&file, piece).unwrap().unwrap();
                    assert_eq!(found, page_size);
                    let end = u64::from(page_size) + META_LEN as u64;
                    assert!(taken == end || page_size <= 512, "{taken}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_database_is_named_when_all_places_have_passed() {
        let mut zip = vec![7; 17 << 20];
        zip[..4].copy_from_slice(b"PK\x03\x04");
        let error = found(&zip, 100_000).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotASnapshot);
        assert!(error.to_string().contains("zip"), "{error}");

        let mut opening = Opening::new();
        assert_eq!(opening.take(b"PK\x03\x04"), 4);
        assert!(opening.metas("it").unwrap().is_none());
        let error = opening.metas_so_far("it").unwrap_err();
        assert!(error.to_string().contains("zip"), "{error}");
    }
}
