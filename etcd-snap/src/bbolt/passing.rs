//! Judges a database while its bytes pass in file order, page by page, as far as a page tells of itself.
//!
//! A stream does not say which pages are in use, and a free page may hold anything. But what stands at page 7 and calls
//! itself page 7 was written there as a whole, and what bbolt writes is well-formed for ever: high-water marks only rise. Of
//! a freed page with overflow the first page may be all that is left; what follows shows that by calling itself by its own
//! number too, so nothing is believed of overflow but that it was there.
//!
//! Memory: the first 64 KiB of the page under way.

use super::lone_page::LonePage;
use super::meta::{Meta, MetaPages};
use super::opening::Opening;
use super::page::{PageHeader, PageId, PageKind};
use crate::problem::{Problem, ProblemCode};
use crate::{Error, Result};

/// The most that is looked at of a page.
const WINDOW: u64 = 64 << 10;
/// The first page that is none of the metas'.
const FIRST: PageId = PageId::new(2);

/// Which pages are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    /// Every page that calls itself by its own number: nobody will look again.
    All,
    /// Those that the metas name, and so are in use: the tree will be walked, which tells of the others.
    #[cfg_attr(
        not(feature = "stream"),
        allow(dead_code, reason = "only a save walks later")
    )]
    InUse,
}

/// A database whose bytes pass.
#[derive(Debug)]
pub(crate) struct Passing {
    judged: Judged,
    passed: u64,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Nothing is known yet.
    Opening(Opening),
    Pages(Box<MetaPages>, Pages),
}

impl Passing {
    pub(crate) fn new(judged: Judged) -> Self {
        Self {
            judged,
            passed: 0,
            stage: Stage::Opening(Opening::new()),
        }
    }

    /// Bytes so far.
    pub(crate) fn passed(&self) -> u64 {
        self.passed
    }

    /// The meta pages, once they have passed.
    pub(crate) fn metas(&self) -> Option<&MetaPages> {
        match &self.stage {
            Stage::Opening(_) => None,
            Stage::Pages(metas, _) => Some(metas),
        }
    }

    /// Takes the next bytes, as many as there are.
    ///
    /// # Errors
    /// There are no meta pages where they may stand: `NotASnapshot` or `Damaged`.
    pub(crate) fn take(
        &mut self,
        mut bytes: &[u8],
        name: &str,
        report: &mut dyn FnMut(Problem),
    ) -> Result<()> {
        while !bytes.is_empty() {
            let taken = match &mut self.stage {
                Stage::Opening(opening) => {
                    let taken = opening.take(bytes);
                    if let Some(metas) = opening.metas(name)? {
                        self.stage = begin_pages(metas, self.judged, name, report)?;
                    }
                    taken
                }
                Stage::Pages(_, pages) => pages.take(self.passed, bytes, report),
            };
            self.passed = self.passed.saturating_add(taken as u64);
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// The meta pages, when nothing more comes.
    ///
    /// # Errors
    /// As [`take`](Self::take): there are none.
    pub(crate) fn finish(self, name: &str) -> Result<MetaPages> {
        match self.stage {
            Stage::Opening(opening) => opening.metas_so_far(name),
            Stage::Pages(metas, _) => Ok(*metas),
        }
    }
}

fn begin_pages(
    metas: MetaPages,
    judged: Judged,
    name: &str,
    report: &mut dyn FnMut(Problem),
) -> Result<Stage> {
    let meta = metas
        .current()
        .ok_or_else(|| Error::damaged(format!("{name} has no usable meta page")))?;
    for (what, page) in [("root", Some(meta.root)), ("freelist", meta.freelist)] {
        let Some(page) = page.filter(|page| !(FIRST..meta.high_water).contains(page)) else {
            continue;
        };
        let message = format!(
            "the metas name page {page} as the {what}, which is none of those from {FIRST} to the high-water mark {}",
            meta.high_water
        );
        report(Problem {
            page: Some(page),
            ..Problem::damaged(ProblemCode::PageOutOfBounds, message)
        });
    }
    Ok(Stage::Pages(Box::new(metas), Pages::new(&meta, judged)))
}

#[derive(Debug)]
struct Pages {
    meta: Meta,
    judged: Judged,
    page_size: u64,
    /// What is looked at of each page.
    window: usize,
    /// What came of that of the page under way.
    begun: Vec<u8>,
    /// Pages below this seem to belong to one before.
    overflow_end: u64,
}

impl Pages {
    fn new(meta: &Meta, judged: Judged) -> Self {
        let page_size = u64::from(meta.page_size);
        Self {
            meta: *meta,
            judged,
            page_size,
            window: usize::try_from(page_size.min(WINDOW)).unwrap_or_default(),
            begun: Vec::new(),
            overflow_end: 0,
        }
    }

    /// Takes what belongs to one page, and says how many bytes that were.
    fn take(&mut self, passed: u64, bytes: &[u8], report: &mut dyn FnMut(Problem)) -> usize {
        let page = passed.checked_div(self.page_size).unwrap_or_default();
        let within = passed.checked_rem(self.page_size).unwrap_or_default();
        let rest_of = |end: u64| {
            usize::try_from(end.saturating_sub(within))
                .unwrap_or(usize::MAX)
                .min(bytes.len())
        };
        let (id, in_window) = (PageId::new(page), rest_of(self.window as u64));
        if in_window == 0 || !self.is_looked_at(id) {
            return rest_of(self.page_size);
        }
        // The beginning of this page was missed, where the metas contradict each other.
        if self.begun.len() as u64 != within {
            return in_window;
        }
        let seen = bytes.get(..in_window).unwrap_or_default();
        if in_window == self.window {
            self.judge(id, seen, report);
        } else {
            self.begun.extend_from_slice(seen);
            if self.begun.len() == self.window {
                let seen = std::mem::take(&mut self.begun);
                self.judge(id, &seen, report);
                self.begun = seen;
                self.begun.clear();
            }
        }
        in_window
    }

    fn is_looked_at(&self, id: PageId) -> bool {
        match self.judged {
            Judged::All => (FIRST..self.meta.high_water).contains(&id),
            Judged::InUse => !self.expected(id).is_empty(),
        }
    }

    /// What a page is by the word of the metas; of most they say nothing.
    fn expected(&self, id: PageId) -> &'static [PageKind] {
        if id == self.meta.root {
            &[PageKind::Branch, PageKind::Leaf]
        } else if Some(id) == self.meta.freelist {
            &[PageKind::Freelist]
        } else {
            &[]
        }
    }

    fn judge(&mut self, id: PageId, seen: &[u8], report: &mut dyn FnMut(Problem)) {
        let expected = self.expected(id);
        let in_use = !expected.is_empty();
        let Some(page) = LonePage::new(id, seen, self.page_size, self.meta.high_water) else {
            if in_use {
                report(self.another_page(id, seen));
            }
            return;
        };
        let judged = page.judge().and_then(|()| match page.kind() {
            Some(kind) if in_use && !expected.contains(&kind) => {
                Err(Box::new(self.wrong_kind(id, kind)))
            }
            _ => Ok(()),
        });
        match judged {
            Ok(()) => {
                let end = id.get().saturating_add(page.overflow()).saturating_add(1);
                self.overflow_end = end;
            }
            // Bytes of a large value can look like anything.
            Err(_) if id.get() < self.overflow_end && !in_use => {}
            Err(problem) => report(*problem),
        }
    }

    fn another_page(&self, id: PageId, seen: &[u8]) -> Problem {
        let found = PageHeader::parse(seen).map_or(0, |header| header.id.get());
        let message = format!("the page calls itself {found}");
        Problem::damaged(ProblemCode::PageId, message).at(id, self.offset(id))
    }

    fn wrong_kind(&self, id: PageId, kind: PageKind) -> Problem {
        let what = if id == self.meta.root {
            "root"
        } else {
            "freelist"
        };
        let message = format!("the metas name a {kind} page as the {what}");
        Problem::damaged(ProblemCode::PageKind, message).at(id, self.offset(id))
    }

    fn offset(&self, id: PageId) -> u64 {
        id.get().saturating_mul(self.page_size)
    }
}
