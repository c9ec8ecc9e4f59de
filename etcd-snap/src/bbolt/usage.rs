//! Who uses which page: every page is referred to once, or free (formats.md 1.5, 1.6).

use super::page::PageId;
use super::page_set::{Insert, PageSet};
use super::pages::{PageError, Pages};
use crate::problem::{Problem, ProblemCode};

/// Problems of a freelist that are named one by one.
const NAMED: usize = 1000;

/// The pages that are in use, and the ones that the freelist names.
#[derive(Debug)]
pub(crate) struct Usage {
    reachable: PageSet,
    /// The persisted freelist. Without one, what is not reachable is free.
    free: Option<PageSet>,
    /// One past the last page.
    end: u64,
}

/// The pages that were in use at some moment.
#[derive(Debug)]
pub(crate) struct SoFar(PageSet);

impl Usage {
    /// Nothing is in use.
    pub(super) fn new(pages: &Pages<'_>) -> Self {
        Self {
            reachable: PageSet::new(pages.end()),
            free: None,
            end: pages.end(),
        }
    }

    /// Reads the persisted freelist, and gives the number of pages that it takes itself.
    pub(super) fn read_freelist(
        &mut self,
        pages: &Pages<'_>,
        id: PageId,
        report: &mut dyn FnMut(Problem),
    ) -> Result<u64, PageError> {
        let free = PageSet::new(pages.end());
        let mut odd = Vec::new();
        let mut odd_more = 0_u64;
        let taken = pages.freelist(id, |page, offset| {
            let what = match free.insert(page) {
                Insert::New => return,
                Insert::Again => "twice",
                Insert::OutOfBounds => "although it does not exist",
            };
            if odd.len() < NAMED {
                let message = format!("the freelist names page {page} {what}");
                odd.push(Problem::damaged(ProblemCode::Freelist, message).at(id, offset));
            } else {
                odd_more = odd_more.saturating_add(1);
            }
        });
        odd.into_iter().for_each(&mut *report);
        if odd_more > 0 {
            let message = format!("the freelist names {odd_more} more pages wrongly");
            report(Problem::damaged(ProblemCode::Freelist, message).at(id, pages.offset(id)));
        }
        let taken = taken?;
        self.free = Some(free);
        Ok(taken)
    }

    /// In use, although nobody can say what for.
    pub(super) fn touch(&self, id: PageId) {
        let _ = self.reachable.insert(id);
    }

    /// Marks the pages as in use; says whether all of them are so for the first time.
    pub(super) fn mark(
        &self,
        pages: &Pages<'_>,
        id: PageId,
        count: u64,
        report: &mut dyn FnMut(Problem),
    ) -> bool {
        let mut first_time = true;
        for n in 0..count {
            let page = PageId::new(id.get().saturating_add(n));
            if self.reachable.insert(page) == Insert::Again {
                first_time = false;
                let message = "more than one place refers to this page";
                let problem = Problem::damaged(ProblemCode::PageMultipleReferences, message);
                report(problem.at(page, pages.offset(page)));
            }
            if self.free.as_ref().is_some_and(|free| free.contains(page)) {
                let message = "the page is in use and on the freelist";
                let problem = Problem::damaged(ProblemCode::PageReachableAndFree, message);
                report(problem.at(page, pages.offset(page)));
            }
        }
        first_time
    }

    /// The same for a page and its overflow in a sound file: `false` where anything is not as it should be.
    pub(crate) fn claim(&self, id: PageId, count: u64) -> bool {
        (0..count).all(|n| {
            let page = PageId::new(id.get().saturating_add(n));
            self.reachable.insert(page) == Insert::New
                && !self.free.as_ref().is_some_and(|free| free.contains(page))
        })
    }

    /// What is in use by now.
    pub(crate) fn so_far(&self) -> SoFar {
        SoFar(self.reachable.copy())
    }

    /// Claims, in a database that another one grew into, what was claimed in that one since. `false` as for [`Self::claim`].
    pub(crate) fn claim_since(&self, before: &Self, then: &SoFar) -> bool {
        self.free.is_none() && self.reachable.insert_all(&before.reachable, &then.0)
    }

    /// How many pages are not in use.
    pub(crate) fn free(&self) -> u64 {
        self.end.saturating_sub(self.reachable.len())
    }

    /// With a persisted freelist every page is in use or free; each run that is neither is one problem.
    pub(super) fn unreachable(&self, pages: &Pages<'_>, report: &mut dyn FnMut(Problem)) {
        let Some(free) = &self.free else { return };
        let mut run: Option<(u64, u64)> = None;
        let end = pages.end();
        for n in 0..=end {
            let page = PageId::new(n);
            if n < end && !self.reachable.contains(page) && !free.contains(page) {
                run = Some((run.map_or(n, |(first, _)| first), n));
            } else if let Some((first, last)) = run.take() {
                let message = if first == last {
                    "the page is neither in use nor on the freelist".to_owned()
                } else {
                    format!("the pages from here to {last} are neither in use nor on the freelist")
                };
                let first = PageId::new(first);
                let problem = Problem::damaged(ProblemCode::PageUnreachable, message);
                report(problem.at(first, pages.offset(first)));
            }
        }
    }
}
