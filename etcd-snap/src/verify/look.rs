//! The one look through a whole database that every verb takes: pages, records, hashes, and the digest where it is asked for.
//!
//! Sound files are read once, in the order of the file; where anything is odd, and where the file is larger than memory for
//! that allows, the walk in the order of the tree says what there is to say.

use sha2::{Digest as _, Sha256};

use super::at::{Asked, At, Compactions};
use super::beside::Beside;
use super::fast::{self, Fast};
use super::findings::{Findings, examine_metas};
use super::large;
use super::records::{Records, Walked};
use super::{Contents, read_in_order};
use crate::bbolt::{self, Usage, Visitor as _};
use crate::observe::{Event, Observer, Phase, tell};
use crate::{Digest, HashKv, Problem, Result, Revision, Severity, Snapshot};

/// What a look is to find out, beside pages and records, and with what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wants {
    /// The SHA-256 of the database.
    pub(crate) digest: bool,
    /// Which HashKV.
    pub(crate) hash_kv: Asked,
    /// Memory for tables that grow with the file, together.
    pub(crate) table_bytes: u64,
}

impl Wants {
    /// Beside a transfer, whose buffers are free by then and yet take memory.
    #[cfg(feature = "stream")]
    pub(crate) const LITTLE_TABLE_BYTES: u64 = 20 << 20;
}

impl Default for Wants {
    fn default() -> Self {
        /// What is left of 64 MiB beside blocks, buffers and the program.
        const TABLE_BYTES: u64 = 48 << 20;
        Self {
            digest: false,
            hash_kv: Asked::default(),
            table_bytes: TABLE_BYTES,
        }
    }
}

/// What it found; problems are in the findings.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    pub(crate) contents: Contents,
    /// Where it was wanted.
    pub(crate) digest: Option<Digest>,
}

/// Checks meta pages, page tree and records.
///
/// # Errors
/// Where the file cannot be read, the observer asked to stop, or there is no such HashKV.
pub(crate) fn look(
    snapshot: &Snapshot,
    wants: Wants,
    findings: &mut Findings,
    observer: &dyn Observer,
) -> Result<Looked> {
    tell(observer, &Event::Started(Phase::Check))?;
    examine_metas(snapshot, findings);
    if snapshot.digest().is_some() {
        let source = snapshot.source().as_ref();
        let left_over = snapshot.metas().left_over(source, snapshot.name())?;
        left_over
            .into_iter()
            .for_each(|problem| findings.problem(problem));
    }
    let mut looked = match fast::look(snapshot, wants, findings, observer)? {
        Fast::Sound(looked) => *looked,
        Fast::TooLarge => look_in_tree_order(snapshot, wants, findings, observer, large::look)?,
        Fast::LookCloser { digest } => {
            let wants = Wants {
                digest: wants.digest && digest.is_none(),
                ..wants
            };
            let mut looked =
                look_in_tree_order(snapshot, wants, findings, observer, |_, _, _, _| Ok(None))?;
            looked.digest = looked.digest.or(digest);
            looked
        }
    };
    looked.contents.total_size_bytes = snapshot.meta().size_bytes();
    Ok(looked)
}

/// Is told of pages that are done, and how many there are.
pub(super) type Progress<'a> = &'a dyn Fn(u64, u64) -> Result<()>;

/// In the order of the tree, as often as it takes, with the digest beside it; `hopeful` is tried first.
fn look_in_tree_order(
    snapshot: &Snapshot,
    wants: Wants,
    findings: &mut Findings,
    observer: &dyn Observer,
    hopeful: fn(&Snapshot, Wants, &mut Findings, Progress<'_>) -> Result<Option<Looked>>,
) -> Result<Looked> {
    let page_size = u64::from(snapshot.meta().page_size);
    let progress = |done: u64, total: u64| {
        tell(
            observer,
            &Event::Progress {
                phase: Phase::Check,
                done_bytes: done.saturating_mul(page_size),
                total_bytes: total.saturating_mul(page_size),
            },
        )
    };
    let beside = Beside::new(observer);
    std::thread::scope(|scope| {
        let hashing = wants
            .digest
            .then(|| scope.spawn(|| hash(snapshot, &beside)));
        let looked = match hopeful(snapshot, wants, findings, &progress) {
            Ok(None) => walk(snapshot, wants.hash_kv, findings, &progress),
            Ok(Some(looked)) => Ok(looked),
            Err(e) => Err(e),
        };
        beside.go_on_alone(&looked);
        let digest = hashing.map(|hashing| {
            hashing
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        // The walk's failure first: it stops the hash, which then has another.
        let looked = looked?;
        Ok(Looked {
            digest: digest.transpose()?,
            ..looked
        })
    })
}

/// Takes nothing for granted, and names every problem.
pub(super) fn walk(
    snapshot: &Snapshot,
    asked: Asked,
    findings: &mut Findings,
    progress: Progress<'_>,
) -> Result<Looked> {
    let compactions = Compactions::read(snapshot)?;
    // The last revision is not known yet; a hash at it takes all there is.
    let at = At {
        revision: asked.revision.unwrap_or(Revision::new(i64::MAX)),
        compact_revision: asked.compact_revision.or(compactions.compact_revision()),
    };
    let mut damaged = false;
    let mut report = |problem: Problem| {
        damaged |= problem.severity == Severity::Damaged;
        findings.problem(problem);
    };
    let mut records = Records::new(snapshot, at, &mut report, progress)?;
    let usage = check(snapshot, &mut records)?;
    check_unreachable(snapshot, &usage, &mut |problem| records.problem(problem));
    let last = records.last_revision();
    while records.goes_on() {
        check(snapshot, &mut records)?;
    }
    let hash = records.hash_kv();
    let Walked {
        mut contents,
        largest,
        ..
    } = records.finish();
    contents.largest_records = largest.into_vec();
    contents.free_pages = usage.free();
    if !damaged {
        let at = asked.at(compactions, last)?;
        contents.hash_kv = hash.map(|hash| HashKv::new(hash, at));
    }
    Ok(Looked {
        contents,
        digest: None,
    })
}

pub(super) fn check(snapshot: &Snapshot, visitor: &mut dyn bbolt::Visitor) -> Result<Usage> {
    bbolt::check(
        snapshot.source().as_ref(),
        snapshot.meta(),
        snapshot.database_bytes(),
        visitor,
    )
}

pub(super) fn check_unreachable(
    snapshot: &Snapshot,
    usage: &Usage,
    report: &mut dyn FnMut(Problem),
) {
    bbolt::check_unreachable(
        snapshot.source().as_ref(),
        snapshot.meta(),
        snapshot.database_bytes(),
        usage,
        report,
    );
}

/// The SHA-256 of the database alone.
pub(crate) fn hash(snapshot: &Snapshot, observer: &dyn Observer) -> Result<Digest> {
    let mut hasher = Sha256::new();
    read_in_order(
        snapshot.source().as_ref(),
        snapshot.database_bytes(),
        snapshot.name(),
        Phase::Digest,
        observer,
        |_, bytes| {
            hasher.update(bytes);
            Ok(())
        },
    )?;
    Ok(Digest::new(hasher.finalize().into()))
}

/// Looks in all ways, for the fuzz targets and the tests: where a hopeful one is content, the walk that takes nothing for granted
/// finds no damage either, and counts the same. Says how many were content.
#[cfg(any(fuzzing, test))]
pub(crate) fn all_ways(snapshot: &Snapshot) -> Result<usize> {
    const MOST: usize = 1000;
    let progress: Progress<'_> = &|_, _| Ok(());
    let (wants, asked) = (Wants::default(), Asked::default());
    let [mut fast, mut large, mut close] = [(); 3].map(|()| Findings::new(MOST));
    let walked = walk(snapshot, asked, &mut close, progress)?;
    let damaged = close.worst() == Some(Severity::Damaged);
    let close = close.into_parts();
    let in_file_order = match fast::look(snapshot, wants, &mut fast, &crate::Silent)? {
        Fast::Sound(looked) => Some(*looked),
        Fast::TooLarge | Fast::LookCloser { .. } => None,
    };
    let in_tree_order = large::look(snapshot, wants, &mut large, progress)?;
    let mut content = 0_usize;
    for (looked, findings) in [(in_file_order, fast), (in_tree_order, large)] {
        if let Some(looked) = looked {
            assert!(!damaged, "{close:?}");
            assert_eq!(findings.into_parts(), close);
            assert_eq!(looked.contents, walked.contents);
            content = content.saturating_add(1);
        }
    }
    Ok(content)
}
