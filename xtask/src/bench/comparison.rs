//! Several programs that do the same work, in alternating runs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
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
    /// What is done before each run, and not measured.
    pub(super) before: Before,
}

/// What a contender finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Before {
    /// The file as the one before left it.
    Nothing,
    /// A copy of its own, which it may change.
    Copy {
        /// The file.
        from: PathBuf,
        /// Where the copy goes.
        to: PathBuf,
    },
    /// The file on the disk alone, not in memory.
    Forget(PathBuf),
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
        if let Before::Copy { from, to } = &self.before {
            fs::copy(from, to)?;
        }
        // What the one before left to be written would be written during this run.
        sync()?;
        if let Before::Forget(path) = &self.before {
            forget(path)?;
        }
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

/// Brings everything that was written to the disk.
pub(super) fn sync() -> Result<()> {
    let synced = Command::new("sync").status().context("cannot run sync")?;
    ensure!(synced.success(), "sync ended with {synced}");
    Ok(())
}

/// Takes a file out of the page cache. Unlike dropping all caches, this needs no rights and leaves others alone.
fn forget(path: &Path) -> Result<()> {
    let file = File::open(path)?;
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)
        .with_context(|| format!("cannot take {} out of the page cache", path.display()))
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
            before: Before::Nothing,
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
    fn a_contender_that_changes_what_it_looks_at_gets_a_new_copy_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
        fs::write(&from, "whole").unwrap();
        let script = format!("grep -q whole {0} && echo broken > {0}", to.display());
        let mut changes = contender("a", &script, Some(to.clone()));
        changes.before = Before::Copy {
            from: from.clone(),
            to,
        };
        let mut looks = contender("b", &format!("grep -q whole {}", from.display()), None);
        looks.before = Before::Forget(from);
        Comparison {
            work: "looking",
            contenders: vec![changes, looks],
        }
        .run(2)
        .unwrap();
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
