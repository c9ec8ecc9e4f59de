//! Steps, with their times: what is told to the observer, and what stays in the report.

use std::sync::Arc;
use std::time::Instant;

use super::report::{DrillOutcome, DrillStep};
use super::time;
use crate::observe::tell;
use crate::{Event, Observer, Result};

/// What a step found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Check {
    /// It holds: what, in words.
    Holds(String),
    /// It does not: what was found, as a sentence.
    Fails(String),
    /// It was not looked at: why.
    Skipped(String),
}

impl Check {
    pub(super) fn outcome(&self) -> DrillOutcome {
        match self {
            Self::Holds(_) => DrillOutcome::Passed,
            Self::Fails(_) => DrillOutcome::Failed,
            Self::Skipped(_) => DrillOutcome::Skipped,
        }
    }

    pub(super) fn words(&self) -> &str {
        match self {
            Self::Holds(words) | Self::Fails(words) | Self::Skipped(words) => words,
        }
    }

    /// All that does not hold, or else that everything does.
    pub(super) fn all(failures: &[String], holds: impl FnOnce() -> String) -> Self {
        match failures {
            [] => Self::Holds(holds()),
            failures => Self::Fails(failures.join("; ")),
        }
    }
}

/// The steps of a drill, as they are done.
pub(super) struct Steps {
    observer: Arc<dyn Observer>,
    total: usize,
    pub(super) done: Vec<DrillStep>,
}

impl Steps {
    pub(super) fn new(observer: Arc<dyn Observer>, total: usize) -> Self {
        Self {
            observer,
            total,
            done: Vec::new(),
        }
    }

    /// Does a step. Whether it holds is `true` also of one that was skipped.
    pub(super) fn run<T>(
        &mut self,
        code: &str,
        title: &str,
        work: impl FnOnce() -> Result<(Check, T)>,
    ) -> Result<(bool, T)> {
        let number = self.done.len().saturating_add(1);
        tell(
            self.observer.as_ref(),
            &Event::StepStarted {
                number,
                total: self.total.max(number),
                title: title.to_owned(),
            },
        )?;
        let began = Instant::now();
        let (check, made) = work()?;
        let duration_ms = time::since(began);
        let outcome = check.outcome();
        self.done.push(DrillStep {
            code: code.to_owned(),
            title: title.to_owned(),
            outcome,
            detail: check.words().to_owned(),
            duration_ms,
        });
        tell(
            self.observer.as_ref(),
            &Event::StepDone {
                number,
                duration_ms,
            },
        )?;
        Ok((outcome != DrillOutcome::Failed, made))
    }

    /// A step that makes nothing.
    pub(super) fn check(
        &mut self,
        code: &str,
        title: &str,
        work: impl FnOnce() -> Result<Check>,
    ) -> Result<bool> {
        Ok(self.run(code, title, || Ok((work()?, ())))?.0)
    }

    /// What did not hold first.
    pub(super) fn first_failure(&self) -> Option<&DrillStep> {
        self.done
            .iter()
            .find(|step| step.outcome == DrillOutcome::Failed)
    }
}
