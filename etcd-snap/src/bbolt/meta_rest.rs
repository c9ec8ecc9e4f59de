//! What stands behind the fields of the two meta pages: in a stream nothing (`Tx.WriteTo`, formats.md 1.8), in a member's file
//! whatever was there before.

use super::meta::{META_LEN, MetaPages};
use super::page::PageId;
use crate::io::ReadAt;
use crate::problem::{Problem, ProblemCode, Severity};
use crate::{Error, ErrorKind, Result};

/// Read at a time.
const PIECE: u64 = 64 << 10;

impl MetaPages {
    /// Suspicions about both pages of a file that should be a stream's.
    ///
    /// # Errors
    /// `Io` where they cannot be read.
    pub(crate) fn left_over(&self, source: &dyn ReadAt, name: &str) -> Result<Vec<Problem>> {
        let page_size = u64::from(self.page_size());
        let mut problems = Vec::new();
        for page in 0..2_u64 {
            let start = page.saturating_mul(page_size);
            let end = start.saturating_add(page_size);
            let first = first_byte(source, name, start.saturating_add(META_LEN as u64), end)?;
            if let Some(offset) = first {
                let message = "bytes stand behind the fields of the meta page, which no server's stream has: was the file edited?";
                let problem = Problem::new(Severity::Suspicious, ProblemCode::Meta, message);
                problems.push(problem.at(PageId::new(page), offset));
            }
        }
        Ok(problems)
    }
}

/// Where the first byte stands that is not zero.
fn first_byte(source: &dyn ReadAt, name: &str, start: u64, end: u64) -> Result<Option<u64>> {
    let mut piece = Vec::new();
    let mut at = start;
    while at < end {
        piece.resize(end.saturating_sub(at).min(PIECE) as usize, 0);
        let n = source.read_at(&mut piece, at).map_err(|e| {
            Error::new(
                ErrorKind::Io,
                format!("cannot read the meta pages of {name}"),
            )
            .with_offset(at)
            .with_source(e)
        })?;
        let read = piece.get(..n).unwrap_or_default();
        if let Some(place) = read.iter().position(|byte| *byte != 0) {
            return Ok(Some(at.saturating_add(place as u64)));
        }
        if n == 0 {
            break;
        }
        at = at.saturating_add(n as u64);
    }
    Ok(None)
}
