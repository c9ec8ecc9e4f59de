//! Looks at a few pages of a database and leaves the others alone: its buckets, the records of small ones, the last key of
//! large ones.

use super::meta::Meta;
use super::page::{PageId, PageKind};
use super::pages::{BucketRoot, PageError, Pages};
use super::view::{JUMP, PageView, WINDOW};
use super::visit::Record;
use crate::io::ReadAt;
use crate::problem::{Problem, ProblemCode};

/// As deep as the walk goes.
const DEEPEST_TREE: usize = 64;

/// The buckets at the top of a database.
pub(crate) struct Glance<'a> {
    pages: Pages<'a>,
    buckets: Vec<(Vec<u8>, BucketRoot)>,
}

/// Bytes that may still be read.
#[derive(Debug)]
pub(crate) struct Budget(u64);

/// The last key of a bucket, and where it stands.
#[derive(Debug)]
pub(crate) struct LastKey {
    pub(crate) key: Vec<u8>,
    pub(crate) page: PageId,
    pub(crate) offset: u64,
}

impl Budget {
    pub(crate) fn of_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    fn spend(&mut self, bytes: u64) -> bool {
        let left = self.0.checked_sub(bytes);
        self.0 = left.unwrap_or_default();
        left.is_some()
    }
}

impl<'a> Glance<'a> {
    /// Reads the names of the buckets. `None`: that takes more than the budget.
    pub(crate) fn open(
        source: &'a dyn ReadAt,
        meta: &Meta,
        size_bytes: u64,
        budget: &mut Budget,
    ) -> Result<Option<Self>, PageError> {
        let pages = Pages::new(source, meta, size_bytes);
        let mut buckets = Vec::new();
        let root = BucketRoot::Page(meta.root);
        let all = each(&pages, root, budget, &mut |record| {
            if record.is_bucket() {
                buckets.push((
                    record.key.to_vec(),
                    record.view.bucket_root(&record.element)?,
                ));
            }
            Ok(())
        })?;
        Ok(all.then_some(Self { pages, buckets }))
    }

    pub(crate) fn has(&self, bucket: &[u8]) -> bool {
        self.root(bucket).is_some()
    }

    /// Calls `visit` with every record of a bucket. `false`: that takes more than the budget.
    pub(crate) fn records(
        &self,
        bucket: &[u8],
        budget: &mut Budget,
        mut visit: impl FnMut(&mut Record<'_, 'a>) -> Result<(), PageError>,
    ) -> Result<bool, PageError> {
        match self.root(bucket) {
            Some(root) => each(&self.pages, root, budget, &mut visit),
            None => Ok(true),
        }
    }

    /// The greatest key of a bucket of any size.
    pub(crate) fn last_key(&self, bucket: &[u8]) -> Result<Option<LastKey>, PageError> {
        let Some(root) = self.root(bucket) else {
            return Ok(None);
        };
        let mut view = open(&self.pages, root)?;
        for depth in 0..DEEPEST_TREE {
            let Some(last) = view.count().checked_sub(1) else {
                if depth == 0 && view.kind() == PageKind::Leaf {
                    return Ok(None);
                }
                let message = "the page at the end of a tree is empty";
                return Err(view.damaged(ProblemCode::Element, message).into());
            };
            if is_leaf(&view)? {
                let element = view.leaf_element(last)?;
                return Ok(Some(LastKey {
                    key: view.leaf_key(&element)?.to_vec(),
                    page: view.id(),
                    offset: view.element_offset(last),
                }));
            }
            let child = view.branch_element(last)?.child;
            view = self.pages.open(child)?;
        }
        Err(too_deep(&view).into())
    }

    fn root(&self, bucket: &[u8]) -> Option<BucketRoot> {
        self.buckets
            .iter()
            .find_map(|(name, root)| (name == bucket).then_some(*root))
    }
}

/// `false`: there are more pages than the budget has.
fn each<'a>(
    pages: &Pages<'a>,
    root: BucketRoot,
    budget: &mut Budget,
    visit: &mut dyn FnMut(&mut Record<'_, 'a>) -> Result<(), PageError>,
) -> Result<bool, PageError> {
    let mut todo = vec![(root, 0)];
    while let Some((root, depth)) = todo.pop() {
        let mut view = open(pages, root)?;
        if !budget.spend(cost(&view)) {
            return Ok(false);
        }
        let leaf = is_leaf(&view)?;
        if leaf {
            for index in 0..view.count() {
                let element = view.leaf_element(index)?;
                let key = view.leaf_key(&element)?.to_vec();
                visit(&mut Record {
                    key: &key,
                    nesting: 0,
                    page: view.id(),
                    offset: view.element_offset(index),
                    path: &[],
                    view: &mut view,
                    element,
                })?;
            }
        } else if depth >= DEEPEST_TREE {
            return Err(too_deep(&view).into());
        } else if u64::from(view.count()) > pages.most_in(budget.0) {
            return Ok(false);
        } else {
            for index in (0..view.count()).rev() {
                let child = view.branch_element(index)?.child;
                todo.push((BucketRoot::Page(child), depth.saturating_add(1)));
            }
        }
    }
    Ok(true)
}

/// Bytes that are read of a page at most to see its elements, which may lie far from each other.
fn cost(view: &PageView<'_>) -> u64 {
    let head = view.len().min(WINDOW as u64);
    let jumps = if head < view.len() || view.page_count() > 1 {
        u64::from(view.count()).saturating_mul(JUMP as u64)
    } else {
        0
    };
    head.saturating_add(jumps)
}

fn open<'a>(pages: &Pages<'a>, root: BucketRoot) -> Result<PageView<'a>, PageError> {
    match root {
        BucketRoot::Page(id) => pages.open(id),
        BucketRoot::Inline { page, offset, len } => pages.open_inline(page, offset, len),
    }
}

fn is_leaf(view: &PageView<'_>) -> Result<bool, PageError> {
    match view.kind() {
        PageKind::Leaf => Ok(true),
        PageKind::Branch => Ok(false),
        kind => {
            let message = format!("a {kind} page stands where a branch or a leaf belongs");
            Err(view.damaged(ProblemCode::PageKind, message).into())
        }
    }
}

fn too_deep(view: &PageView<'_>) -> Problem {
    let message = format!("the tree is more than {DEEPEST_TREE} pages deep");
    view.damaged(ProblemCode::Depth, message)
}
