//! A page on the way of the walk, with what bounds it and what its elements have claimed so far.

use super::page::{ELEMENT_LEN, element_at};
use super::pages::PageError;
use super::view::PageView;
use crate::problem::{Problem, ProblemCode};

/// A page of the path from the root, and the keys that bound what may stand below it.
pub(super) struct Frame<'a> {
    pub(super) view: PageView<'a>,
    pub(super) next: u16,
    /// No key below may be smaller.
    pub(super) least: Option<Vec<u8>>,
    /// Every key below must be smaller.
    pub(super) bound: Option<Vec<u8>>,
    /// The greatest key met so far below this page.
    pub(super) greatest: Option<Vec<u8>>,
    /// Bytes of the page that the elements so far have claimed. Honest elements do not overlap, so that the work for a
    /// page stays within its size.
    pub(super) claimed: u64,
    /// Where the keys and values of the elements so far end, and the next has to begin.
    pub(super) bodies_end: u64,
    /// It is not known where the next has to begin, or that one did not has been said.
    pub(super) lost: bool,
    pub(super) inline: bool,
}

impl<'a> Frame<'a> {
    pub(super) fn new(view: PageView<'a>) -> Self {
        let bodies_start = element_at(view.count());
        Self {
            view,
            next: 0,
            least: None,
            bound: None,
            greatest: None,
            claimed: 0,
            bodies_end: bodies_start,
            lost: false,
            inline: false,
        }
    }

    /// Accounts for the bytes of an element. `Err`: there is no point in looking at the rest of the page.
    pub(super) fn claim(&mut self, index: u16, bytes: u64) -> Result<(), PageError> {
        self.claimed = self.claimed.saturating_add(bytes);
        if self.claimed <= self.view.len() {
            return Ok(());
        }
        let message = format!("element {index} shares bytes with the elements before it");
        Err(self.view.damaged(ProblemCode::Element, message).into())
    }

    /// bbolt writes keys and values one behind the other, in the order of their elements and directly behind the last of these
    /// (`WriteInodeToPage`). So one that begins elsewhere has a wrong position or size, or the one before has; or elements were
    /// forgotten. Said once a page: one wrong size can make many of them.
    pub(super) fn misplaced(&mut self, index: u16, start: u64, end: u64) -> Option<Problem> {
        let expected = self.bodies_end;
        self.bodies_end = expected.max(end);
        if start == expected || self.lost {
            return None;
        }
        self.lost = true;
        let gap = start.saturating_sub(expected);
        let message = if start < expected {
            format!("element {index} begins before the one in front of it ends")
        } else if index == 0 && gap.is_multiple_of(ELEMENT_LEN) {
            format!(
                "{gap} bytes behind the last element are nobody's: the page has forgotten elements"
            )
        } else {
            format!(
                "{gap} bytes before the body of element {index} are nobody's: a position or a size is wrong"
            )
        };
        Some(
            Problem::damaged(ProblemCode::Element, message)
                .at(self.view.id(), self.view.element_offset(index)),
        )
    }

    /// An element says nothing of where the next one has to begin.
    pub(super) fn lose_place(&mut self) {
        self.lost = true;
    }
}
