//! Works over one database, with the goals beside them.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use etcd_snap_testdata::bulk::{Facts, Profile};
use serde::Serialize;

use super::report::{Machine, Work, least_peak_bytes, new_table, said, size, table};
use super::stock::Wanted;
use super::{PROMISED_PEAK_BYTES, document};

/// A whole run.
#[derive(Serialize)]
pub(super) struct Summary {
    /// Of this form: 1.
    schema: u32,
    machine: Machine,
    profile: Profile,
    /// As it was asked for.
    #[serde(skip)]
    wanted_bytes: u64,
    size_bytes: u64,
    rounds: u64,
    least_peak_bytes: u64,
    works: Vec<Work>,
    goals: Vec<Goal>,
}

/// What every bench over large databases takes.
#[derive(clap::Args)]
pub(super) struct Common {
    /// Another number, other databases of the same kind
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(super) seed: u64,
    /// Write every single measurement to this file too
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Put the tables into docs/performance.md, where that has a place for them
    #[arg(long)]
    pub(super) write_docs: bool,
}

/// A goal beside what was measured.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Goal {
    what: String,
    pub(super) most: String,
    pub(super) measured: String,
    pub(super) met: bool,
}

impl Goal {
    pub(super) fn ratio(what: String, most: f64, measured: f64) -> Self {
        Self {
            what,
            most: format!("{most:.2}"),
            measured: format!("{measured:.3}"),
            met: measured <= most,
        }
    }

    /// The memory that is promised at any size.
    pub(super) fn peak(work: &Work) -> Self {
        let peak = work.own_peak_bytes();
        Self {
            what: format!("{}: peak memory of any run", work.name),
            most: format!("{} MiB", PROMISED_PEAK_BYTES >> 20),
            measured: format!("{} MiB", peak.div_ceil(1 << 20)),
            met: peak <= PROMISED_PEAK_BYTES,
        }
    }
}

impl Summary {
    pub(super) fn new(
        wanted: Wanted,
        facts: &Facts,
        rounds: u64,
        works: Vec<Work>,
        goals: impl Fn(&Work) -> Vec<Goal>,
    ) -> Result<Self> {
        Ok(Self {
            schema: 1,
            machine: Machine::this()?,
            profile: wanted.profile,
            wanted_bytes: wanted.size_bytes,
            size_bytes: facts.size_bytes,
            rounds,
            least_peak_bytes: least_peak_bytes()?,
            goals: works.iter().flat_map(goals).collect(),
            works,
        })
    }

    /// Prints and writes what was measured.
    ///
    /// # Errors
    /// Also where ours took more memory than is promised.
    pub(super) fn finish(&self, command: &str, common: &Common) -> Result<()> {
        println!("{}", self.section());
        if let Some(file) = &common.json {
            fs::write(file, serde_json::to_string_pretty(self)? + "\n")
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        if common.write_docs {
            let name = format!("{} {}", self.profile, size(self.wanted_bytes));
            document::write(command, [(name, self.section())])?;
        }
        let peaks = self.works.iter().map(Work::own_peak_bytes);
        let peak = peaks.max().unwrap_or_default();
        ensure!(
            peak <= PROMISED_PEAK_BYTES,
            "etcd-snap took {peak} bytes of memory, more than the {PROMISED_PEAK_BYTES} that it promises to stay below"
        );
        Ok(())
    }

    fn section(&self) -> String {
        let mut goals = new_table(&["goal", "at most", "measured", ""], 1);
        for goal in &self.goals {
            goals.add_row([&goal.what, &goal.most, &goal.measured, said(goal.met)]);
        }
        format!(
            "{} MiB, values of the kind \"{}\"; {} cores ({}), medians of {} runs. \"x\" is how many times what etcd-snap takes. \
             Peaks below\n{} MiB cannot be seen.\n\n{}\n\n{goals}",
            self.size_bytes >> 20,
            self.profile,
            self.machine.cores,
            self.machine.architecture,
            self.rounds,
            self.least_peak_bytes.div_ceil(1 << 20),
            table(&self.works),
        )
    }
}
