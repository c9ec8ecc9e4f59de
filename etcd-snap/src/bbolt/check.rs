//! The walk over a whole database, in key order: bbolt's own five rules (formats.md 1.6), what bbolt trusts beside, and
//! every record handed to a visitor on the way.
//!
//! Memory: two bits a page of the file, and a page for each level of the tree.

use super::meta::Meta;
use super::page::{PageId, PageKind};
use super::page_set::{Insert, PageSet};
use super::pages::{BucketRoot, PageError, Pages};
use super::view::{BranchElement, PageView};
use super::visit::{Record, Visitor};
use crate::io::ReadAt;
use crate::problem::{Problem, ProblemCode};
use crate::{Error, ErrorKind, Result};

/// A tree of 4 KiB pages with two children a branch would pass a petabyte at this depth; a cycle would never end.
const DEEPEST_TREE: usize = 64;
/// 16 TiB of 4 KiB pages. A file with holes can claim any number, and every one takes two bits of memory.
const MOST_PAGES: u64 = 1 << 32;
/// etcd has buckets at the top only.
const DEEPEST_BUCKET: usize = 8;

/// Walks everything that `meta` leads to. What is wrong goes to the visitor; the rest is still walked.
///
/// # Errors
/// Where the source cannot be read, or the visitor asks to stop.
pub(crate) fn check(
    source: &dyn ReadAt,
    meta: &Meta,
    size_bytes: u64,
    visitor: &mut dyn Visitor,
) -> Result<()> {
    let pages = Pages::new(source, meta, size_bytes);
    if pages.end() > MOST_PAGES {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "the file holds {} pages, more than the {MOST_PAGES} that can be checked: is it mostly a hole?",
                pages.end()
            ),
        ));
    }
    let mut walk = Walk {
        pages,
        visitor,
        reachable: PageSet::new(pages.end()),
        free: None,
        walked: 0,
    };
    let freelist_pages = match meta.freelist {
        Some(freelist) => walk.freelist(freelist)?,
        None => None,
    };
    // Only now is it known which pages are free.
    walk.mark(PageId::new(0), 2);
    if let Some((first, count)) = freelist_pages {
        walk.mark(first, count);
    }
    walk.tree(meta.root, 0)?;
    walk.unreachable();
    Ok(())
}

struct Walk<'a, 'v> {
    pages: Pages<'a>,
    visitor: &'v mut dyn Visitor,
    reachable: PageSet,
    /// The persisted freelist. Without one, what is not reachable is free.
    free: Option<PageSet>,
    walked: u64,
}

/// A page of the path from the root, and the keys that bound what may stand below it.
struct Frame<'a> {
    view: PageView<'a>,
    next: u16,
    /// No key below may be smaller.
    least: Option<Vec<u8>>,
    /// Every key below must be smaller.
    bound: Option<Vec<u8>>,
    /// The greatest key met so far below this page.
    greatest: Option<Vec<u8>>,
    /// Bytes of the page that the elements so far have claimed. Honest elements do not overlap, so that the work for a
    /// page stays within its size.
    claimed: u64,
    /// Where the keys and values of the elements so far end.
    bodies_end: u64,
    /// An element began before that, which has been said.
    overlapping: bool,
    inline: bool,
}

impl<'a> Frame<'a> {
    fn new(view: PageView<'a>) -> Self {
        Self {
            view,
            next: 0,
            least: None,
            bound: None,
            greatest: None,
            claimed: 0,
            bodies_end: 0,
            overlapping: false,
            inline: false,
        }
    }

    /// Accounts for the bytes of an element. `Err`: there is no point in looking at the rest of the page.
    fn claim(&mut self, index: u16, bytes: u64) -> Result<(), PageError> {
        self.claimed = self.claimed.saturating_add(bytes);
        if self.claimed <= self.view.len() {
            return Ok(());
        }
        let message = format!("element {index} shares bytes with the elements before it");
        Err(self.view.damaged(ProblemCode::Element, message).into())
    }

    /// bbolt writes keys and values in the order of their elements (`WriteInodeToPage`), so one that begins before the end of
    /// the one before has a wrong position or size, or that one has. Said once a page: one wrong size can make many of them.
    fn overlap(&mut self, index: u16, start: u64, end: u64) -> Option<Problem> {
        let first = start < self.bodies_end && !self.overlapping;
        self.overlapping |= first;
        self.bodies_end = self.bodies_end.max(end);
        first.then(|| {
            let message = format!("element {index} begins before the one in front of it ends");
            Problem::damaged(ProblemCode::Element, message)
                .at(self.view.id(), self.view.element_offset(index))
        })
    }
}

impl<'a> Walk<'a, '_> {
    /// Reads the freelist. `Some`: the pages that it takes itself.
    fn freelist(&mut self, id: PageId) -> Result<Option<(PageId, u64)>> {
        let mut free = PageSet::new(self.pages.end());
        let mut odd = Vec::new();
        let mut odd_more = 0_u64;
        let taken = self.pages.freelist(id, |page, offset| {
            let what = match free.insert(page) {
                Insert::New => return,
                Insert::Again => "twice",
                Insert::OutOfBounds => "although it does not exist",
            };
            if odd.len() < 1000 {
                odd.push(
                    Problem::damaged(
                        ProblemCode::Freelist,
                        format!("the freelist names page {page} {what}"),
                    )
                    .at(id, offset),
                );
            } else {
                odd_more = odd_more.saturating_add(1);
            }
        });
        odd.into_iter()
            .for_each(|problem| self.visitor.problem(problem));
        if odd_more > 0 {
            let message = format!("the freelist names {odd_more} more pages wrongly");
            self.visitor.problem(
                Problem::damaged(ProblemCode::Freelist, message).at(id, self.pages.offset(id)),
            );
        }
        match taken {
            Ok(taken) => {
                self.free = Some(free);
                Ok(Some((id, taken)))
            }
            Err(e) => {
                self.note(e)?;
                Ok(None)
            }
        }
    }

    /// Damage becomes a problem and the walk goes on; any other failure ends it.
    fn note(&mut self, error: PageError) -> Result<()> {
        match error {
            PageError::Failed(error) => Err(error),
            PageError::Damaged(problem) => {
                self.visitor.problem(*problem);
                Ok(())
            }
        }
    }

    /// Marks the pages as in use; says whether all of them are so for the first time.
    fn mark(&mut self, id: PageId, count: u64) -> bool {
        let mut first_time = true;
        for n in 0..count {
            let page = PageId::new(id.get().saturating_add(n));
            let offset = self.pages.offset(page);
            if self.reachable.insert(page) == Insert::Again {
                first_time = false;
                self.visitor.problem(
                    Problem::damaged(
                        ProblemCode::PageMultipleReferences,
                        "more than one place refers to this page",
                    )
                    .at(page, offset),
                );
            }
            if self.free.as_ref().is_some_and(|free| free.contains(page)) {
                self.visitor.problem(
                    Problem::damaged(
                        ProblemCode::PageReachableAndFree,
                        "the page is in use and on the freelist",
                    )
                    .at(page, offset),
                );
            }
        }
        first_time
    }

    /// Opens a page of a tree and accounts for it. `None`: it cannot be walked, and that has been said.
    fn enter(&mut self, id: PageId) -> Result<Option<PageView<'a>>> {
        let view = match self.pages.open(id) {
            Ok(view) => view,
            Err(e) => {
                // In use all the same, although nobody can say for how many pages.
                let _ = self.reachable.insert(id);
                self.note(e)?;
                return Ok(None);
            }
        };
        if !matches!(view.kind(), PageKind::Branch | PageKind::Leaf) {
            let message = format!(
                "a {} page stands where a branch or a leaf belongs",
                view.kind()
            );
            let _ = self.reachable.insert(id);
            self.visitor
                .problem(view.damaged(ProblemCode::PageKind, message));
            return Ok(None);
        }
        // Walking a shared page again would let a small file keep us busy for ever.
        if !self.mark(id, view.page_count()) {
            return Ok(None);
        }
        self.walked = self.walked.saturating_add(view.page_count());
        self.visitor.progress(self.walked, self.pages.end())?;
        Ok(Some(view))
    }

    fn tree(&mut self, root: PageId, nesting: usize) -> Result<()> {
        let Some(view) = self.enter(root)? else {
            return Ok(());
        };
        let mut path = vec![Frame::new(view)];
        while let Some(frame) = path.last_mut() {
            if frame.view.kind() == PageKind::Leaf {
                self.leaf(frame, nesting)?;
            } else if frame.next < frame.view.count() {
                let Some((child, least, bound)) = self.descend(frame)? else {
                    continue;
                };
                if path.len() >= DEEPEST_TREE {
                    let message = format!("the tree is more than {DEEPEST_TREE} pages deep");
                    let offset = self.pages.offset(child);
                    self.visitor
                        .problem(Problem::damaged(ProblemCode::Depth, message).at(child, offset));
                } else if let Some(view) = self.enter(child)? {
                    path.push(Frame {
                        least: Some(least),
                        bound,
                        ..Frame::new(view)
                    });
                }
                continue;
            } else if frame.view.count() == 0 {
                let problem = frame
                    .view
                    .damaged(ProblemCode::Element, "a branch page without children");
                self.visitor.problem(problem);
            }
            let done = path.pop();
            if let (Some(parent), Some(greatest)) =
                (path.last_mut(), done.and_then(|done| done.greatest))
            {
                parent.greatest = Some(greatest);
            }
        }
        Ok(())
    }

    /// The next child of a branch with the keys that bound it. `None`: this child cannot be reached.
    #[expect(clippy::type_complexity, reason = "used once")]
    fn descend(
        &mut self,
        frame: &mut Frame<'a>,
    ) -> Result<Option<(PageId, Vec<u8>, Option<Vec<u8>>)>> {
        let index = frame.next;
        frame.next = index.saturating_add(1);
        let (element, key) = match self.child(frame, index) {
            Ok(child) => child,
            Err(e) => {
                self.note(e)?;
                return Ok(None);
            }
        };
        self.order(frame, index, &key);
        let bound = if frame.next < frame.view.count() {
            let next = frame.next;
            let read = frame
                .view
                .branch_element(next)
                .and_then(|e| Ok(frame.view.branch_key(&e)?.to_vec()));
            // The next element is judged in its own turn.
            read.ok().or_else(|| frame.bound.clone())
        } else {
            frame.bound.clone()
        };
        if frame
            .greatest
            .as_ref()
            .is_none_or(|greatest| *greatest < key)
        {
            frame.greatest = Some(key.clone());
        }
        Ok(Some((element.child, key, bound)))
    }

    fn child(
        &mut self,
        frame: &mut Frame<'a>,
        index: u16,
    ) -> Result<(BranchElement, Vec<u8>), PageError> {
        let element = frame.view.branch_element(index)?;
        if let Err(e) = frame.claim(index, element.size()) {
            frame.next = frame.view.count();
            return Err(e);
        }
        let (start, end) = element.extent();
        if let Some(problem) = frame.overlap(index, start, end) {
            self.visitor.problem(problem);
        }
        let key = frame.view.branch_key(&element)?.to_vec();
        Ok((element, key))
    }

    fn leaf(&mut self, frame: &mut Frame<'a>, nesting: usize) -> Result<()> {
        for index in 0..frame.view.count() {
            if let Err(e) = self.leaf_record(frame, index, nesting) {
                self.note(e)?;
            }
            if nesting == 0 {
                self.visitor.bucket_end();
            }
            if frame.claimed > frame.view.len() {
                break;
            }
        }
        Ok(())
    }

    fn leaf_record(
        &mut self,
        frame: &mut Frame<'a>,
        index: u16,
        nesting: usize,
    ) -> Result<(), PageError> {
        let element = frame.view.leaf_element(index)?;
        frame.claim(index, element.size())?;
        let (start, end) = element.extent();
        if let Some(problem) = frame.overlap(index, start, end) {
            self.visitor.problem(problem);
        }
        let key = frame.view.leaf_key(&element)?.to_vec();
        self.order(frame, index, &key);
        let (page, offset) = (frame.view.id(), frame.view.element_offset(index));
        let at_top = nesting == 0;
        let result = if at_top && element.is_bucket() {
            self.visitor.bucket(&key)?;
            Ok(())
        } else if at_top {
            let message = format!(
                "a key ({}) stands at the top, where only buckets belong",
                hexadecimal(&key)
            );
            Err(Problem::damaged(ProblemCode::Bucket, message)
                .at(page, offset)
                .into())
        } else {
            self.visitor.record(&mut Record {
                key: &key,
                nesting: nesting.saturating_sub(1),
                page,
                offset,
                view: &mut frame.view,
                element,
            })
        };
        frame.greatest = Some(key);
        if let Err(e) = result {
            self.note(e)?;
        }
        if element.is_bucket() {
            if frame.inline {
                let message = "an inline bucket holds another bucket";
                return Err(frame.view.damaged(ProblemCode::Bucket, message).into());
            }
            if nesting >= DEEPEST_BUCKET {
                let message = format!("buckets are nested more than {DEEPEST_BUCKET} deep");
                return Err(frame.view.damaged(ProblemCode::Depth, message).into());
            }
            match frame.view.bucket_root(&element)? {
                BucketRoot::Page(root) => {
                    if element.value_len() != BucketRoot::HEADER_LEN {
                        let message = format!(
                            "a bucket with pages of its own has a value of {} bytes instead of {}",
                            element.value_len(),
                            BucketRoot::HEADER_LEN
                        );
                        self.visitor.problem(
                            Problem::damaged(ProblemCode::Bucket, message).at(page, offset),
                        );
                    }
                    self.tree(root, nesting.saturating_add(1))?;
                }
                BucketRoot::Inline { page, offset, len } => {
                    let view = self.pages.open_inline(page, offset, len)?;
                    if view.header_id() != PageId::new(0) || view.page_count() != 1 {
                        let message = "the header of an inline bucket names a page";
                        self.visitor
                            .problem(view.damaged(ProblemCode::Bucket, message));
                    }
                    let mut frame = Frame {
                        inline: true,
                        ..Frame::new(view)
                    };
                    self.leaf(&mut frame, nesting.saturating_add(1))?;
                }
            }
        }
        Ok(())
    }

    /// The rules of bbolt's `verifyKeyOrder`.
    fn order(&mut self, frame: &Frame<'_>, index: u16, key: &[u8]) {
        let mut wrong = |what: &str, other: &[u8]| {
            self.visitor.problem(
                Problem::damaged(
                    ProblemCode::KeyOrder,
                    format!(
                        "key {index} ({}) {what} ({})",
                        hexadecimal(key),
                        hexadecimal(other)
                    ),
                )
                .at(frame.view.id(), frame.view.element_offset(index)),
            );
        };
        match &frame.greatest {
            Some(greatest) if greatest.as_slice() == key => {
                wrong("stands twice: it equals the one before it", greatest);
            }
            Some(greatest) if greatest.as_slice() > key => {
                wrong("is smaller than the one before it", greatest);
            }
            Some(_) => {}
            None => {
                if let Some(least) = frame.least.as_ref().filter(|least| least.as_slice() > key) {
                    wrong("is smaller than its separator in the page above", least);
                }
            }
        }
        if let Some(bound) = frame.bound.as_ref().filter(|bound| bound.as_slice() <= key) {
            wrong(
                "is not smaller than the next separator in the page above",
                bound,
            );
        }
    }

    /// With a persisted freelist every page is in use or free; each run that is neither is one problem.
    fn unreachable(&mut self) {
        let Some(free) = &self.free else { return };
        let mut run: Option<(u64, u64)> = None;
        let end = self.pages.end();
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
                self.visitor.problem(
                    Problem::damaged(ProblemCode::PageUnreachable, message)
                        .at(first, self.pages.offset(first)),
                );
            }
        }
    }
}

/// A key for a sentence: its first bytes as hexadecimal digits.
fn hexadecimal(key: &[u8]) -> String {
    use std::fmt::Write as _;
    const SHOWN: usize = 32;
    let mut text = String::new();
    for byte in key.iter().take(SHOWN) {
        let _ = write!(text, "{byte:02x}");
    }
    if key.len() > SHOWN {
        text.push('…');
    }
    text
}
