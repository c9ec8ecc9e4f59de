//! Tables with the goals beside them, to read and as JSON.

use anyhow::Result;
use comfy_table::Table;
use etcd_snap_testdata::bulk::{Facts, Profile};
use serde::Serialize;

use super::super::PROMISED_PEAK_BYTES;
use super::super::report::{Machine, Work, least_peak_bytes, new_table, said, size, table};
use super::goals::{Verdict, goals, verdicts};

/// A whole run.
#[derive(Serialize)]
pub(super) struct Summary {
    /// Of this form: 1.
    schema: u32,
    machine: Machine,
    rounds: u64,
    least_peak_bytes: u64,
    pub(super) databases: Vec<Database>,
}

/// What was measured over one database.
#[derive(Serialize)]
pub(super) struct Database {
    profile: Profile,
    /// As it was asked for.
    size_bytes: u64,
    facts: Facts,
    works: Vec<Work>,
    goals: Vec<Verdict>,
}

impl Database {
    pub(super) fn new(profile: Profile, size_bytes: u64, facts: Facts, works: Vec<Work>) -> Self {
        Self {
            profile,
            size_bytes,
            goals: verdicts(&goals(profile, facts.size_bytes), &works),
            facts: Facts {
                samples: Vec::new(),
                ..facts
            },
            works,
        }
    }

    /// What stands for it in the document: `small 2GB`.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.profile, size(self.size_bytes))
    }

    fn own_peak_bytes(&self) -> u64 {
        let works = self.works.iter().map(Work::own_peak_bytes);
        works.max().unwrap_or_default()
    }
}

impl Summary {
    pub(super) fn new(rounds: u64) -> Result<Self> {
        Ok(Self {
            schema: 1,
            machine: Machine::this()?,
            rounds,
            least_peak_bytes: least_peak_bytes()?,
            databases: Vec::new(),
        })
    }

    pub(super) fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    pub(super) fn own_peak_bytes(&self) -> u64 {
        let peaks = self.databases.iter().map(Database::own_peak_bytes);
        peaks.max().unwrap_or_default()
    }

    /// All that is to be written down, with the names of the places for it.
    pub(super) fn sections(&self) -> Vec<(String, String)> {
        let databases = self.databases.iter();
        let sections = databases.map(|database| (database.name(), self.section(database)));
        let growth = self.growth().map(|table| ("growth".to_owned(), table));
        sections.chain(growth).collect()
    }

    /// Both tables of a database.
    pub(super) fn section(&self, database: &Database) -> String {
        let facts = &database.facts;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        format!(
            "{:.0} MiB, {} live keys, {} records, values of the kind \"{}\"; {} cores ({}), medians of {} runs.\n\
             \"x\" is how many times what etcd-snap takes. Peaks below {:.0} MiB cannot be seen.\n\n{}\n\n{}",
            mib(facts.size_bytes),
            thousands(facts.live_keys),
            thousands(facts.total_records),
            database.profile,
            self.machine.cores,
            self.machine.architecture,
            self.rounds,
            mib(self.least_peak_bytes).ceil(),
            table(&database.works),
            goal_table(database),
        )
    }

    /// Seconds a gigabyte and memory, where there are several sizes.
    pub(super) fn growth(&self) -> Option<String> {
        let mut databases: Vec<_> = self.databases.iter().collect();
        databases.sort_by_key(|database| (database.profile.to_string(), database.size_bytes));
        let grew = databases
            .windows(2)
            .any(|pair| pair[0].profile == pair[1].profile);
        if !grew {
            return None;
        }
        let mut table = new_table(
            &["values", "size", "work", "wall s", "s a GB", "peak MiB"],
            3,
        );
        for database in databases {
            for work in &database.works {
                let Some(ours) = work.program("etcd-snap") else {
                    continue;
                };
                let seconds = ours.median.wall_seconds;
                let gigabytes = database.facts.size_bytes as f64 / 1e9;
                table.add_row([
                    database.profile.to_string(),
                    size(database.size_bytes),
                    work.name.to_owned(),
                    format!("{seconds:.3}"),
                    format!("{:.2}", seconds / gigabytes),
                    (work.own_peak_bytes() >> 20).to_string(),
                ]);
            }
        }
        Some(table.to_string())
    }
}

fn goal_table(database: &Database) -> Table {
    let mut table = new_table(&["goal", "at most", "measured", ""], 1);
    for verdict in &database.goals {
        table.add_row([
            format!("{} / {}", verdict.work, verdict.against),
            verdict.most.to_string(),
            format!("{:.3}", verdict.measured),
            said(verdict.met).to_owned(),
        ]);
    }
    let peak = database.own_peak_bytes();
    table.add_row([
        "peak memory of any run".to_owned(),
        format!("{} MiB", PROMISED_PEAK_BYTES >> 20),
        format!("{} MiB", peak >> 20),
        said(peak <= PROMISED_PEAK_BYTES).to_owned(),
    ]);
    table
}

/// `3 116 870`
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_read_well() {
        assert_eq!(thousands(3_116_870), "3 116 870");
        assert_eq!(thousands(870), "870");
    }
}
