//! Looks one key up in a bucket: a page for each level of its tree.

use super::meta::Meta;
use super::page::{PageId, PageKind};
use super::pages::{BucketRoot, PageError, Pages};
use super::view::PageView;
use crate::io::ReadAt;
use crate::problem::ProblemCode;

/// As deep as the walk goes.
const DEEPEST_TREE: usize = 64;

/// A bucket that keys are looked up in.
pub(crate) struct Lookup<'a> {
    pages: Pages<'a>,
    root: Option<BucketRoot>,
}

impl<'a> Lookup<'a> {
    /// The bucket of that name at the top; without one there are no keys.
    pub(crate) fn open(
        source: &'a dyn ReadAt,
        meta: &Meta,
        size_bytes: u64,
        name: &[u8],
    ) -> Result<Self, PageError> {
        let pages = Pages::new(source, meta, size_bytes);
        let root = match find(&pages, pages.open(meta.root)?, name)? {
            Some((mut leaf, index)) => {
                let element = leaf.leaf_element(index)?;
                Some(leaf.bucket_root(&element)?)
            }
            None => None,
        };
        Ok(Self { pages, root })
    }

    pub(crate) fn contains(&self, key: &[u8]) -> Result<bool, PageError> {
        Ok(self.find(key)?.is_some())
    }

    /// A value of at most so many bytes; what is longer is not there.
    pub(crate) fn get(&self, key: &[u8], longest: usize) -> Result<Option<Vec<u8>>, PageError> {
        let Some((mut leaf, index)) = self.find(key)? else {
            return Ok(None);
        };
        let element = leaf.leaf_element(index)?;
        let len = element.value_len() as usize;
        if element.is_bucket() || len > longest {
            return Ok(None);
        }
        Ok(Some(leaf.value_part(&element, 0, len)?.to_vec()))
    }

    /// A value of any size.
    pub(crate) fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, PageError> {
        let Some((mut leaf, index)) = self.find(key)? else {
            return Ok(None);
        };
        let element = leaf.leaf_element(index)?;
        if element.is_bucket() {
            return Ok(None);
        }
        Ok(Some(leaf.value(&element)?))
    }

    fn find(&self, key: &[u8]) -> Result<Option<(PageView<'a>, u16)>, PageError> {
        let root = match self.root {
            None => return Ok(None),
            Some(BucketRoot::Page(root)) => self.pages.open(root)?,
            Some(BucketRoot::Inline { page, offset, len }) => {
                self.pages.open_inline(page, offset, len)?
            }
        };
        find(&self.pages, root, key)
    }
}

/// The leaf that holds a key, and the number of its element.
fn find<'a>(
    pages: &Pages<'a>,
    mut page: PageView<'a>,
    key: &[u8],
) -> Result<Option<(PageView<'a>, u16)>, PageError> {
    for _ in 0..DEEPEST_TREE {
        let is_leaf = match page.kind() {
            PageKind::Leaf => true,
            PageKind::Branch => false,
            kind => {
                let message = format!("a {kind} page stands where a branch or a leaf belongs");
                return Err(page.damaged(ProblemCode::PageKind, message).into());
            }
        };
        // Elements below `low` have smaller or equal keys, those from `high` on have greater ones.
        let (mut low, mut high) = (0, page.count());
        let mut equal = None;
        while low < high {
            let middle = low.midpoint(high);
            let there = if is_leaf {
                let element = page.leaf_element(middle)?;
                page.leaf_key(&element)?
            } else {
                let element = page.branch_element(middle)?;
                page.branch_key(&element)?
            };
            if there == key {
                equal = Some(middle);
            }
            if there <= key {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        if is_leaf {
            return Ok(equal.map(|index| (page, index)));
        }
        let Some(index) = low.checked_sub(1) else {
            return Ok(None);
        };
        let child: PageId = page.branch_element(index)?.child;
        page = pages.open(child)?;
    }
    let message = format!("the tree is more than {DEEPEST_TREE} pages deep");
    Err(page.damaged(ProblemCode::Depth, message).into())
}
