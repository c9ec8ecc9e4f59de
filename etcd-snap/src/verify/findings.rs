//! What a walk over a snapshot finds: problems up to a bound, and the contents.

use crate::bbolt::MetaPages;
use crate::verify::DigestCheck;
use crate::{Digest, Error, ErrorKind, Problem, ProblemCode, Result, Severity, Snapshot};

/// Collects problems: the worse before the rest, up to a bound.
#[derive(Debug)]
pub(crate) struct Findings {
    max_problems: usize,
    problems: Vec<Problem>,
    more_problems: u64,
}

impl Findings {
    pub(crate) fn new(max_problems: usize) -> Self {
        Self {
            max_problems,
            problems: Vec::new(),
            more_problems: 0,
        }
    }

    /// A full list still takes what is worse than something in it: the verdict must not depend on the bound.
    pub(crate) fn problem(&mut self, problem: Problem) {
        // Even a bound of nothing keeps the one problem that makes the verdict.
        if self.problems.len() < self.max_problems.max(1) {
            self.problems.push(problem);
            return;
        }
        self.more_problems = self.more_problems.saturating_add(1);
        let worse = |listed: &&mut Problem| listed.severity < problem.severity;
        let listed = self.problems.iter_mut().rev().filter(worse);
        if let Some(lesser) = listed.min_by_key(|listed| listed.severity) {
            *lesser = problem;
        }
    }

    /// A problem that is listed before all others.
    pub(crate) fn first(&mut self, problem: Problem) {
        self.problems.insert(0, problem);
        if self.problems.len() > self.max_problems.max(1) {
            // What goes is counted, and damage stays: the first one is.
            self.problems.pop();
            self.more_problems = self.more_problems.saturating_add(1);
        }
    }

    pub(crate) fn max_problems(&self) -> usize {
        self.max_problems
    }

    /// The worst so far.
    pub(crate) fn worst(&self) -> Option<Severity> {
        self.problems.iter().map(|problem| problem.severity).max()
    }

    /// Adds these to others.
    pub(crate) fn give_to(self, others: &mut Self) {
        for problem in self.problems {
            others.problem(problem);
        }
        others.more_problems = others.more_problems.saturating_add(self.more_problems);
    }

    pub(crate) fn into_parts(self) -> (Vec<Problem>, u64) {
        (self.problems, self.more_problems)
    }

    /// The damage alone, and how many more problems there were than were kept.
    pub(crate) fn into_damage(self) -> (Vec<Problem>, u64) {
        let problems = self.problems.into_iter();
        let damage = problems.filter(|problem| problem.severity == Severity::Damaged);
        (damage.collect(), self.more_problems)
    }

    /// # Errors
    /// `Damaged` if there is any damage.
    pub(crate) fn require_sound(&self, name: &str) -> Result<()> {
        if self
            .problems
            .iter()
            .any(|problem| problem.severity == Severity::Damaged)
        {
            let digest = None;
            return Err(damage_with(
                name,
                digest,
                &self.problems,
                self.more_problems,
            ));
        }
        Ok(())
    }
}

/// Judges the two meta pages, and the length of the file by them.
pub(crate) fn examine_metas(snapshot: &Snapshot, findings: &mut Findings) {
    let from_stream = snapshot.digest().is_some();
    let metas = snapshot.metas();
    judge_metas(metas, snapshot.database_bytes(), from_stream, findings);
}

/// The same by themselves: `there` are the bytes of the database that there are, `from_stream` says that a digest follows.
pub(crate) fn judge_metas(
    metas: &MetaPages,
    there: u64,
    from_stream: bool,
    findings: &mut Findings,
) {
    for problem in metas.problems(from_stream) {
        findings.problem(problem);
    }
    let Some(meta) = metas.current() else { return };
    let needed = meta.size_bytes();
    if needed > there {
        findings.problem(Problem {
            offset: Some(there),
            ..Problem::damaged(
                ProblemCode::FileTooShort,
                format!(
                    "the database ends at byte {there}, its high-water mark {} needs {needed}",
                    meta.high_water
                ),
            )
        });
    }
    // The file of a member is allocated ahead; a stream ends where the database does.
    if from_stream && there > needed {
        findings.problem(Problem {
            offset: Some(needed),
            ..Problem::damaged(
                ProblemCode::FileTooLong,
                format!(
                    "{} bytes stand between the end of the database and the digest",
                    there.saturating_sub(needed)
                ),
            )
        });
    }
}

/// The worst of problems that were collected.
pub(crate) fn worst(problems: &[Problem]) -> Option<Severity> {
    // A list that was cut short begins with damage, if there is any: see Findings::problem.
    problems.iter().map(|problem| problem.severity).max()
}

/// The digest, where it matches and nothing is damaged.
pub(crate) fn proven(
    name: &str,
    digest: &DigestCheck,
    problems: &[Problem],
    more_problems: u64,
) -> Result<Digest> {
    let sound = worst(problems) < Some(Severity::Damaged);
    match digest {
        DigestCheck::Matches { digest } if sound => Ok(*digest),
        DigestCheck::Missing { .. } if sound => Err(Error::new(
            ErrorKind::NoDigest,
            format!(
                "{name} is sound, but has no digest: nothing proves that its bytes are the ones a server sent"
            ),
        )),
        _ => Err(damage(name, digest, problems, more_problems)),
    }
}

pub(crate) fn damage(
    name: &str,
    digest: &DigestCheck,
    problems: &[Problem],
    more_problems: u64,
) -> Error {
    damage_with(name, Some(digest), problems, more_problems)
}

fn damage_with(
    name: &str,
    digest: Option<&DigestCheck>,
    problems: &[Problem],
    more_problems: u64,
) -> Error {
    const SHOWN: usize = 3;
    let bad: Vec<_> = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Damaged)
        .collect();
    let mut sentence = format!("{name} is damaged: ");
    for (n, problem) in bad.iter().take(SHOWN).enumerate() {
        if n > 0 {
            sentence.push_str("; ");
        }
        sentence.push_str(&problem.to_string());
    }
    let more = more_problems.saturating_add(bad.len().saturating_sub(SHOWN) as u64);
    if more > 0 {
        sentence.push_str(&format!("; and {more} more"));
    }
    let mismatch = match digest {
        Some(DigestCheck::Mismatch { expected, found }) => Some((*expected, *found)),
        _ => None,
    };
    let kind = if mismatch.is_some() {
        ErrorKind::DigestMismatch
    } else {
        ErrorKind::Damaged
    };
    let mut error = Error::new(kind, sentence);
    if let Some((expected, found)) = mismatch {
        error = error
            .with_detail("expected", expected.to_string())
            .with_detail("found", found.to_string());
    }
    if let Some(problem) = bad.first() {
        if let Some(page) = problem.page {
            error = error.with_page(page);
        }
        if let Some(offset) = problem.offset {
            error = error.with_offset(offset);
        }
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_list_gives_up_its_least_problem_for_a_worse_one() {
        let problem =
            |severity, message: &str| Problem::new(severity, ProblemCode::MetaBucket, message);
        let all = [
            problem(Severity::Suspicious, "a"),
            problem(Severity::Note, "b"),
            problem(Severity::Note, "c"),
            problem(Severity::Suspicious, "d"),
            problem(Severity::Damaged, "e"),
            problem(Severity::Suspicious, "f"),
        ];
        for (most, kept) in [(1, "e"), (2, "ae"), (3, "aed"), (4, "adef"), (6, "abcdef")] {
            let mut findings = Findings::new(most);
            all.iter()
                .cloned()
                .for_each(|problem| findings.problem(problem));
            let (problems, more) = findings.into_parts();
            let mut messages: Vec<_> = problems.iter().map(|p| p.message.as_str()).collect();
            messages.sort_unstable();
            let mut kept: Vec<_> = kept.split("").filter(|name| !name.is_empty()).collect();
            kept.sort_unstable();
            assert_eq!(messages, kept, "of {most}");
            assert_eq!(more as usize + messages.len(), all.len());
        }
    }
}
