//! Several programs that do the same work, in alternating runs.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use super::measure::{Cost, measure};

/// Why a program takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Role {
    /// etcd-snap.
    Ours,
    /// What people use instead.
    Tool,
    /// A part of the work that cannot be left out, done by a program that does nothing else.
    Limit,
}

/// A program with its arguments.
pub(super) struct Contender {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) command: Command,
    /// What it makes: there after a run, and gone before the next one.
    pub(super) makes: Option<PathBuf>,
}

/// One work, and those who do it.
pub(super) struct Comparison {
    pub(super) work: &'static str,
    pub(super) contenders: Vec<Contender>,
}

/// What the runs of one contender took, in their order.
pub(super) struct Measured {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) runs: Vec<Cost>,
}

/// A work, measured.
pub(super) struct Outcome {
    pub(super) work: &'static str,
    pub(super) contenders: Vec<Measured>,
}

impl Comparison {
    /// Each round begins with another contender, so that none of them always runs behind the same one.
    pub(super) fn run(mut self, rounds: u64) -> Result<Outcome> {
        eprintln!("measuring {}", self.work);
        let mut runs: Vec<Vec<Cost>> = self.contenders.iter().map(|_| Vec::new()).collect();
        let count = self.contenders.len();
        for round in 0..rounds as usize {
            for turn in 0..count {
                let place = (round + turn) % count;
                runs[place].push(self.contenders[place].run()?);
            }
        }
        let measured = self.contenders.into_iter().zip(runs);
        Ok(Outcome {
            work: self.work,
            contenders: measured
                .map(|(contender, runs)| Measured {
                    name: contender.name,
                    role: contender.role,
                    runs,
                })
                .collect(),
        })
    }
}

impl Contender {
    fn run(&mut self) -> Result<Cost> {
        self.clear()?;
        // What the one before left to be written would be written during this run.
        let synced = Command::new("sync").status().context("cannot run sync")?;
        ensure!(synced.success(), "sync ended with {synced}");
        let cost = measure(&mut self.command)?;
        if let Some(path) = &self.makes {
            ensure!(
                path.exists(),
                "{} did not make {}",
                self.name,
                path.display()
            );
        }
        self.clear()?;
        Ok(cost)
    }

    fn clear(&self) -> Result<()> {
        match &self.makes {
            Some(path) if path.is_dir() => fs::remove_dir_all(path)?,
            Some(path) if path.exists() => fs::remove_file(path)?,
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contender(name: &str, script: &str, makes: Option<PathBuf>) -> Contender {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Contender {
            name: name.to_owned(),
            role: Role::Tool,
            command,
            makes,
        }
    }

    #[test]
    fn every_contender_runs_once_a_round_and_each_round_begins_with_another() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let write =
            |name: &str| contender(name, &format!("echo -n {name} >> {}", log.display()), None);
        let comparison = Comparison {
            work: "writing",
            contenders: vec![write("a"), write("b")],
        };
        let outcome = comparison.run(2).unwrap();
        assert_eq!(fs::read_to_string(&log).unwrap(), "abba");
        assert!(
            outcome
                .contenders
                .iter()
                .all(|contender| contender.runs.len() == 2)
        );
    }

    #[test]
    fn what_a_contender_makes_is_gone_before_its_next_run() {
        let folder = tempfile::tempdir().unwrap();
        let made = folder.path().join("made");
        let script = format!("test ! -e {0} && mkdir {0}", made.display());
        let contenders = vec![contender("a", &script, Some(made.clone()))];
        let comparison = Comparison {
            work: "making",
            contenders,
        };
        comparison.run(2).unwrap();
        assert!(!made.exists());
    }

    #[test]
    fn a_contender_that_makes_nothing_does_not_count() {
        let nowhere = PathBuf::from("/nonexistent/made");
        let contenders = vec![contender("idle", "true", Some(nowhere))];
        assert!(
            Comparison {
                work: "making",
                contenders
            }
            .run(1)
            .is_err()
        );
    }
}
