//! The walk over a whole database, in key order: bbolt's own five rules (formats.md 1.6), what bbolt trusts beside, and
//! every record handed to a visitor on the way.
//!
//! Memory: two bits a page of the file, and a page for each level of the tree.

use super::frame::Frame;
use super::meta::Meta;
use super::page::{PageId, PageKind};
use super::pages::{BucketRoot, PageError, Pages};
use super::usage::Usage;
use super::view::{BranchElement, PageView};
use super::visit::{Follow, Record, Visitor};
use crate::io::ReadAt;
use crate::problem::{Problem, ProblemCode};
use crate::{Error, ErrorKind, Result};

/// A tree of 4 KiB pages with two children a branch would pass a petabyte at this depth; a cycle would never end.
const DEEPEST_TREE: usize = 64;
/// Half a TiB of 4 KiB pages. A file with holes can claim any number, and every one takes two bits of memory.
const MOST_PAGES: u64 = 1 << 27;
/// etcd has buckets at the top only.
const DEEPEST_BUCKET: usize = 8;

/// Walks everything that `meta` leads to. What is wrong goes to the visitor; the rest is still walked. Of a bucket that the
/// visitor wants to follow by branches only, the leaves are left to it; [`check_unreachable`] comes when it has seen them.
///
/// # Errors
/// Where the source cannot be read, or the visitor asks to stop.
pub(crate) fn check(
    source: &dyn ReadAt,
    meta: &Meta,
    size_bytes: u64,
    visitor: &mut dyn Visitor,
) -> Result<Usage> {
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
        usage: Usage::new(&pages),
        trail: Vec::new(),
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
    walk.tree(meta.root, 0, Follow::Records)?;
    Ok(walk.usage)
}

/// The last of bbolt's rules, when every page that is in use has been seen: with a persisted freelist the others are in it.
pub(crate) fn check_unreachable(
    source: &dyn ReadAt,
    meta: &Meta,
    size_bytes: u64,
    usage: &Usage,
    report: &mut dyn FnMut(Problem),
) {
    usage.unreachable(&Pages::new(source, meta, size_bytes), report);
}

struct Walk<'a, 'v> {
    pages: Pages<'a>,
    visitor: &'v mut dyn Visitor,
    usage: Usage,
    /// From the root to the page in view, through all buckets.
    trail: Vec<PageId>,
    walked: u64,
}

impl<'a> Walk<'a, '_> {
    /// Reads the freelist. `Some`: the pages that it takes itself.
    fn freelist(&mut self, id: PageId) -> Result<Option<(PageId, u64)>> {
        let visitor = &mut *self.visitor;
        let mut report = |problem| visitor.problem(problem);
        match self.usage.read_freelist(&self.pages, id, &mut report) {
            Ok(taken) => Ok(Some((id, taken))),
            Err(e) => {
                self.note(e)?;
                Ok(None)
            }
        }
    }

    /// A problem of the page in view, or of one that it leads to.
    fn problem(&mut self, problem: Problem) {
        self.visitor.problem(problem.under(&self.trail));
    }

    /// Damage becomes a problem and the walk goes on; any other failure ends it.
    fn note(&mut self, error: PageError) -> Result<()> {
        match error {
            PageError::Failed(error) => Err(error),
            PageError::Damaged(problem) => {
                self.problem(*problem);
                Ok(())
            }
        }
    }

    /// Marks the pages as in use; says whether all of them are so for the first time.
    fn mark(&mut self, id: PageId, count: u64) -> bool {
        let (visitor, trail) = (&mut *self.visitor, &self.trail);
        let mut report = |problem: Problem| visitor.problem(problem.under(trail));
        self.usage.mark(&self.pages, id, count, &mut report)
    }

    /// Opens a page of a tree and accounts for it. `None`: it cannot be walked, and that has been said.
    fn enter(&mut self, id: PageId) -> Result<Option<PageView<'a>>> {
        let view = match self.pages.open(id) {
            Ok(view) => view,
            Err(e) => {
                // In use all the same, although nobody can say for how many pages.
                self.usage.touch(id);
                self.note(e)?;
                return Ok(None);
            }
        };
        if !matches!(view.kind(), PageKind::Branch | PageKind::Leaf) {
            let message = format!(
                "a {} page stands where a branch or a leaf belongs",
                view.kind()
            );
            self.usage.touch(id);
            self.problem(view.damaged(ProblemCode::PageKind, message));
            return Ok(None);
        }
        // Walking a shared page again would let a small file keep us busy for ever.
        if !self.mark(id, view.page_count()) {
            return Ok(None);
        }
        self.walked = self.walked.saturating_add(view.page_count());
        self.visitor.page(view.kind(), view.page_count());
        self.visitor.progress(self.walked, self.pages.end())?;
        Ok(Some(view))
    }

    fn tree(&mut self, root: PageId, nesting: usize, follow: Follow) -> Result<()> {
        let Some(view) = self.enter(root)? else {
            return Ok(());
        };
        let above = self.trail.len();
        self.trail.push(root);
        let mut path = vec![Frame::new(view)];
        // Set by the leaf at the left edge; in a tree that bbolt wrote all the others are as deep.
        let mut leaf_depth = None;
        let mut is_root = true;
        while let Some(frame) = path.last_mut() {
            if frame.view.kind() == PageKind::Leaf {
                if !is_root && frame.view.count() == 0 {
                    let message = "a leaf page without records below a branch";
                    let problem = frame.view.damaged(ProblemCode::Element, message);
                    self.problem(problem);
                }
                self.leaf(frame, nesting)?;
            } else if frame.next < frame.view.count() {
                let Some((child, least, bound)) = self.descend(frame)? else {
                    continue;
                };
                let wanted = bound
                    .as_ref()
                    .is_none_or(|bound| self.visitor.wants_below(bound));
                if !wanted {
                    continue;
                }
                if path.len() >= DEEPEST_TREE {
                    let message = format!("the tree is more than {DEEPEST_TREE} pages deep");
                    let offset = self.pages.offset(child);
                    self.problem(Problem::damaged(ProblemCode::Depth, message).at(child, offset));
                } else if follow == Follow::Branches
                    && self.is_leaf(child, path.len(), &mut leaf_depth)?
                {
                    if self.mark(child, 1) {
                        self.visitor.leaf(child, &least, bound.as_deref());
                    }
                } else if let Some(view) = self.enter(child)? {
                    self.trail.push(child);
                    is_root = false;
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
                self.problem(problem);
            }
            let done = path.pop();
            self.trail.pop();
            if let (Some(parent), Some(greatest)) =
                (path.last_mut(), done.and_then(|done| done.greatest))
            {
                parent.greatest = Some(greatest);
            }
        }
        self.trail.truncate(above);
        Ok(())
    }

    /// Whether a child at this depth is a leaf, without reading it if another one of that depth has been looked at. Who reads
    /// the leaves later finds out where this was wrong.
    fn is_leaf(
        &mut self,
        child: PageId,
        depth: usize,
        leaf_depth: &mut Option<usize>,
    ) -> Result<bool> {
        if leaf_depth.is_none() {
            match self.pages.open(child) {
                Ok(view) if view.kind() == PageKind::Leaf => *leaf_depth = Some(depth),
                // It is entered next, and judged there.
                Ok(_) | Err(PageError::Damaged(_)) => {}
                Err(PageError::Failed(error)) => return Err(error),
            }
        }
        Ok(*leaf_depth == Some(depth))
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
        let element = frame
            .view
            .branch_element(index)
            .inspect_err(|_| frame.lose_place())?;
        if let Err(e) = frame.claim(index, element.size()) {
            frame.next = frame.view.count();
            return Err(e);
        }
        let (start, end) = element.extent();
        if let Some(problem) = frame.misplaced(index, start, end) {
            self.problem(problem);
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
        let element = frame
            .view
            .leaf_element(index)
            .inspect_err(|_| frame.lose_place())?;
        frame.claim(index, element.size())?;
        let (start, end) = element.extent();
        if let Some(problem) = frame.misplaced(index, start, end) {
            self.problem(problem);
        }
        let key = frame.view.leaf_key(&element)?.to_vec();
        self.order(frame, index, &key);
        let (page, offset) = (frame.view.id(), frame.view.element_offset(index));
        let at_top = nesting == 0;
        let mut follow = Follow::Records;
        let result = if at_top && element.is_bucket() {
            follow = self.visitor.bucket(&key)?;
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
                path: &self.trail,
                view: &mut frame.view,
                element,
            })
        };
        frame.greatest = Some(key);
        if let Err(e) = result {
            self.note(e)?;
        }
        if element.is_bucket() && follow != Follow::Nothing {
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
                        self.problem(
                            Problem::damaged(ProblemCode::Bucket, message).at(page, offset),
                        );
                    }
                    self.tree(root, nesting.saturating_add(1), follow)?;
                }
                BucketRoot::Inline { page, offset, len } => {
                    let view = self.pages.open_inline(page, offset, len)?;
                    if view.header_id() != PageId::new(0) || view.page_count() != 1 {
                        let message = "the header of an inline bucket names a page";
                        self.problem(view.damaged(ProblemCode::Bucket, message));
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
        let (page, offset) = (frame.view.id(), frame.view.element_offset(index));
        let mut wrong = |what: &str, other: &[u8]| {
            let message = format!(
                "key {index} ({}) {what} ({})",
                hexadecimal(key),
                hexadecimal(other)
            );
            let problem = Problem::damaged(ProblemCode::KeyOrder, message).at(page, offset);
            self.problem(problem.with_key(key));
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
