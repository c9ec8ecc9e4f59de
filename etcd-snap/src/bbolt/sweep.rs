//! Reads the leaves of a tree in the order of the file, on several threads or beside one that hashes the whole file.
//!
//! Fast, because the file is read once and from front to back. It knows sound leaves only: where one is not, it says so, and
//! the walk in the order of the tree finds out what is wrong.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::leaf_page::LeafPage;
use super::leaves::Leaves;
use super::page::{PageHeader, PageId};
use super::usage::Usage;
use crate::io::ReadAt;
use crate::{Error, ErrorKind, Result};

/// Read at a time; of the pages themselves where they are larger.
const BLOCK: u64 = 1 << 20;
/// Blocks under way between the thread that reads and the one that hashes.
const BLOCKS_UNDER_WAY: usize = 6;
/// The largest leaf that is read in one piece: four values of the largest size that servers accept unless told, and more.
const LARGEST_LEAF: u64 = 16 << 20;
/// Where fewer than this part of a block are wanted, they are read one by one.
const FEW: usize = 4;

/// What is swept.
#[derive(Clone, Copy)]
pub(crate) struct Sweep<'a> {
    pub(crate) source: &'a dyn ReadAt,
    /// The file, in sentences.
    pub(crate) name: &'a str,
    pub(crate) page_size: u64,
    /// One past the last page.
    pub(crate) end: u64,
    pub(crate) leaves: &'a Leaves,
    /// Leaves before this one are passed over.
    pub(crate) from: usize,
    /// Where the pages that overflow from leaves are marked as in use, in the one sweep that does that.
    pub(crate) usage: Option<&'a Usage>,
    /// Is told how many bytes of the file are done.
    pub(crate) progress: &'a (dyn Fn(u64) -> Result<()> + Sync),
}

/// What the sweep of one thread gives.
pub(crate) enum Swept<S> {
    Sound(S),
    /// A leaf is not as it should be, or its judge did not like it.
    Odd,
}

/// Looks at one leaf: its number, and its page. `false`: not as it should be.
pub(crate) trait Judge<S>: Fn(&mut S, usize, &LeafPage<'_>) -> bool + Sync {}
impl<S, F: Fn(&mut S, usize, &LeafPage<'_>) -> bool + Sync> Judge<S> for F {}

/// Memory for the rare leaf that a block does not hold whole; one at a time for all threads.
type Spare = Mutex<Vec<u8>>;

impl Sweep<'_> {
    /// Several blocks are in memory at a time.
    pub(crate) const LARGEST_PAGE: u64 = BLOCK;

    /// All leaves, on `threads` threads; each begins with a state of its own.
    pub(crate) fn run<S: Send>(
        &self,
        threads: usize,
        new: impl Fn() -> S + Sync,
        judge: impl Judge<S>,
    ) -> Result<Swept<Vec<S>>> {
        let spare = Spare::default();
        let next = AtomicU64::new(0);
        let stop = AtomicBool::new(false);
        let done = AtomicU64::new(0);
        let work = |reports: bool| -> Result<Swept<S>> {
            let mut state = new();
            let mut block = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some((first, pages)) = self.block(number) else {
                    return Ok(Swept::Sound(state));
                };
                if stop.load(Ordering::Relaxed) {
                    return Ok(Swept::Odd);
                }
                let sound = self
                    .wanted(first, pages, &mut block, &spare, &mut state, &judge)
                    .inspect_err(|_| stop.store(true, Ordering::Relaxed))?;
                if !sound {
                    stop.store(true, Ordering::Relaxed);
                    return Ok(Swept::Odd);
                }
                let bytes = self.page_size.saturating_mul(pages as u64);
                let done = done
                    .fetch_add(bytes, Ordering::Relaxed)
                    .saturating_add(bytes);
                if reports {
                    (self.progress)(done).inspect_err(|_| stop.store(true, Ordering::Relaxed))?;
                }
            }
        };
        let work = &work;
        let outcomes = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads)
                .map(|_| scope.spawn(move || work(false)))
                .collect();
            let mut outcomes = vec![work(true)];
            outcomes.extend(others.into_iter().map(|other| {
                other
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            }));
            outcomes
        });
        let mut states = Vec::new();
        let mut odd = false;
        for outcome in outcomes {
            match outcome? {
                Swept::Sound(state) => states.push(state),
                Swept::Odd => odd = true,
            }
        }
        Ok(if odd {
            Swept::Odd
        } else {
            Swept::Sound(states)
        })
    }

    /// All leaves on this thread, and all of the first `file_bytes` on another one, in order. That goes on to the end where a
    /// leaf is odd. `each` gets every block on this thread, before its leaves are judged.
    pub(crate) fn run_beside<S, H: Send>(
        &self,
        file_bytes: u64,
        hasher: H,
        hash: impl FnMut(&mut H, &[u8]) + Send,
        each: &mut dyn FnMut(u64, &[u8]) -> Result<()>,
        mut state: S,
        judge: impl Judge<S>,
    ) -> Result<(Swept<S>, H)> {
        let spare = Spare::default();
        let block_bytes = self.block_bytes();
        let (free, buffers) = channel();
        for _ in 0..BLOCKS_UNDER_WAY {
            let _ = free.send(Vec::new());
        }
        std::thread::scope(|scope| {
            let (full, blocks) = sync_channel(BLOCKS_UNDER_WAY);
            let back = free.clone();
            let beside = scope.spawn(move || hash_blocks(&blocks, &back, hasher, hash));
            let mut odd = false;
            let mut at = 0_u64;
            while at < file_bytes {
                let wanted = block_bytes.min(file_bytes.saturating_sub(at));
                let block = self.pass(&buffers, &full, at, wanted)?;
                each(at, &block)?;
                let first = at.checked_div(self.page_size).unwrap_or_default();
                if !odd {
                    let pages = wanted.div_ceil(self.page_size) as usize;
                    odd = !self.leaves_of(first, pages, &block, &spare, &mut state, &judge)?;
                }
                give_back(block, &free);
                at = at.saturating_add(wanted);
                (self.progress)(at)?;
            }
            drop(full);
            let hasher = beside
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let swept = if odd { Swept::Odd } else { Swept::Sound(state) };
            Ok((swept, hasher))
        })
    }

    /// Reads a block and hands it to the thread that hashes.
    fn pass(
        &self,
        buffers: &Receiver<Vec<u8>>,
        full: &SyncSender<Arc<Vec<u8>>>,
        at: u64,
        wanted: u64,
    ) -> Result<Arc<Vec<u8>>> {
        let gone = || Error::new(ErrorKind::Io, "the thread that hashes is gone");
        let mut buffer = buffers.recv().map_err(|_| gone())?;
        self.read(&mut buffer, at, wanted)?;
        let block = Arc::new(buffer);
        full.send(Arc::clone(&block)).map_err(|_| gone())?;
        Ok(block)
    }

    /// Of whole pages.
    fn block_bytes(&self) -> u64 {
        BLOCK.max(self.page_size)
    }

    /// First page and number of pages of a block.
    fn block(&self, number: u64) -> Option<(u64, usize)> {
        let pages = self.block_bytes().checked_div(self.page_size)?;
        let first = number
            .checked_mul(pages)
            .filter(|first| *first < self.end)?;
        Some((first, pages.min(self.end.saturating_sub(first)) as usize))
    }

    fn read(&self, buffer: &mut Vec<u8>, at: u64, wanted: u64) -> Result<()> {
        let len = usize::try_from(wanted).unwrap_or(usize::MAX);
        buffer.resize(len, 0);
        read_exactly(self.source, self.name, buffer, at)
    }

    /// Reads what is wanted of a block: all of it, or a few leaves.
    fn wanted<S>(
        &self,
        first: u64,
        pages: usize,
        block: &mut Vec<u8>,
        spare: &Spare,
        state: &mut S,
        judge: &impl Judge<S>,
    ) -> Result<bool> {
        let wanted = self
            .leaves
            .among(first, pages)
            .filter(|(_, leaf)| *leaf >= self.from)
            .count();
        if wanted.saturating_mul(FEW) >= pages {
            let at = first.saturating_mul(self.page_size);
            let bytes = self.page_size.saturating_mul(pages as u64);
            self.read(block, at, bytes)?;
            return self.leaves_of(first, pages, block, spare, state, judge);
        }
        for (n, leaf) in self.leaves.among(first, pages) {
            if leaf < self.from {
                continue;
            }
            let page = first.saturating_add(n as u64);
            self.read(block, page.saturating_mul(self.page_size), self.page_size)?;
            if !self.leaf(page, leaf, block, spare, state, judge)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The leaves that begin in a block.
    fn leaves_of<S>(
        &self,
        first: u64,
        pages: usize,
        block: &[u8],
        spare: &Spare,
        state: &mut S,
        judge: &impl Judge<S>,
    ) -> Result<bool> {
        let page_size = self.page_size as usize;
        for (n, leaf) in self.leaves.among(first, pages) {
            if leaf < self.from {
                continue;
            }
            let page = first.saturating_add(n as u64);
            let rest = block.get(n.saturating_mul(page_size)..).unwrap_or_default();
            if !self.leaf(page, leaf, rest, spare, state, judge)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// One leaf, whose first bytes, or all, are `bytes`.
    fn leaf<S>(
        &self,
        page: u64,
        leaf: usize,
        bytes: &[u8],
        spare: &Spare,
        state: &mut S,
        judge: &impl Judge<S>,
    ) -> Result<bool> {
        let Some(overflow) = bytes
            .get(..PageHeader::LEN)
            .and_then(LeafPage::overflow)
            .map(u64::from)
        else {
            return Ok(false);
        };
        let pages = overflow.saturating_add(1);
        let len = pages.saturating_mul(self.page_size);
        if page.saturating_add(pages) > self.end || len > LARGEST_LEAF {
            return Ok(false);
        }
        let id = PageId::new(page);
        let behind = PageId::new(page.saturating_add(1));
        if let Some(usage) = self.usage
            && !usage.claim(behind, overflow)
        {
            return Ok(false);
        }
        if let Some(whole) = bytes.get(..len as usize) {
            return Ok(LeafPage::parse(id, whole).is_some_and(|page| judge(state, leaf, &page)));
        }
        let mut spare = spare.lock().unwrap_or_else(PoisonError::into_inner);
        spare.clear();
        spare.extend_from_slice(bytes);
        spare.resize(len as usize, 0);
        let at = page
            .saturating_mul(self.page_size)
            .saturating_add(bytes.len() as u64);
        let rest = spare.get_mut(bytes.len()..).unwrap_or_default();
        read_exactly(self.source, self.name, rest, at)?;
        let sound = LeafPage::parse(id, &spare).is_some_and(|page| judge(state, leaf, &page));
        // One such leaf is no reason to keep the memory.
        if spare.capacity() as u64 > BLOCK {
            *spare = Vec::new();
        }
        Ok(sound)
    }
}

fn hash_blocks<H>(
    blocks: &Receiver<Arc<Vec<u8>>>,
    free: &Sender<Vec<u8>>,
    mut hasher: H,
    mut hash: impl FnMut(&mut H, &[u8]),
) -> H {
    for block in blocks {
        hash(&mut hasher, &block);
        give_back(block, free);
    }
    hasher
}

/// Whoever is done with a block last gives its memory back.
fn give_back(block: Arc<Vec<u8>>, free: &Sender<Vec<u8>>) {
    if let Some(buffer) = Arc::into_inner(block) {
        // At the end nobody wants it.
        let _ = free.send(buffer);
    }
}

/// Fills the buffer.
///
/// # Errors
/// `Io`, also where the file ends before that: it was longer when it was opened.
fn read_exactly(source: &dyn ReadAt, name: &str, buffer: &mut [u8], at: u64) -> Result<()> {
    let n = source.read_at(buffer, at).map_err(|e| {
        Error::new(ErrorKind::Io, format!("cannot read {name} at byte {at}"))
            .with_offset(at)
            .with_source(e)
    })?;
    if n < buffer.len() {
        let end = at.saturating_add(n as u64);
        let message = format!("{name} became shorter while it was read: it ends at byte {end}");
        return Err(Error::new(ErrorKind::Io, message).with_offset(at));
    }
    Ok(())
}
