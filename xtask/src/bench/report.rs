//! Medians and ratios, to read and as JSON.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::comparison::{Measured, Outcome, Role};
use super::measure::measure;

/// A whole run.
#[derive(Serialize)]
pub(super) struct Report {
    /// Of this form: 1.
    schema: u32,
    machine: Machine,
    snapshot_bytes: u64,
    rounds: u64,
    /// What every peak is at least: see `Cost`.
    least_peak_bytes: u64,
    works: Vec<Work>,
}

/// Where it was measured.
#[derive(Serialize)]
pub(super) struct Machine {
    pub(super) architecture: &'static str,
    operating_system: &'static str,
    pub(super) cores: usize,
}

/// A work, and those who did it.
#[derive(Serialize)]
pub(super) struct Work {
    pub(super) name: &'static str,
    pub(super) programs: Vec<Program>,
}

/// What one program took.
#[derive(Serialize)]
pub(super) struct Program {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) median: Run,
    /// Between the slowest and the fastest run, as a part of the median: what ratios below that say is nothing.
    spread: f64,
    runs: Vec<Run>,
}

/// One run, or the middle of several.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Run {
    pub(super) wall_seconds: f64,
    pub(super) cpu_seconds: f64,
    pub(super) peak_bytes: u64,
}

impl Report {
    pub(super) fn new(snapshot: &Path, rounds: u64, outcomes: Vec<Outcome>) -> Result<Self> {
        Ok(Self {
            schema: 1,
            machine: Machine::this()?,
            snapshot_bytes: snapshot.metadata()?.len(),
            rounds,
            least_peak_bytes: least_peak_bytes()?,
            works: outcomes.into_iter().map(Work::new).collect(),
        })
    }

    pub(super) fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// The most memory that any run of etcd-snap took.
    pub(super) fn own_peak_bytes(&self) -> u64 {
        self.works
            .iter()
            .map(Work::own_peak_bytes)
            .max()
            .unwrap_or_default()
    }
}

impl Machine {
    pub(super) fn this() -> Result<Self> {
        Ok(Self {
            architecture: std::env::consts::ARCH,
            operating_system: std::env::consts::OS,
            cores: std::thread::available_parallelism()?.get(),
        })
    }
}

/// What a program takes that has next to nothing of its own.
pub(super) fn least_peak_bytes() -> Result<u64> {
    Ok(measure(&mut Command::new("true"))?.peak_bytes)
}

impl Program {
    fn new(measured: Measured) -> Self {
        let runs: Vec<Run> = measured
            .runs
            .iter()
            .map(|cost| Run {
                wall_seconds: seconds(cost.wall),
                cpu_seconds: seconds(cost.cpu),
                peak_bytes: cost.peak_bytes,
            })
            .collect();
        let walls = || runs.iter().map(|run| run.wall_seconds);
        let median = Run {
            wall_seconds: median(walls()),
            cpu_seconds: median(runs.iter().map(|run| run.cpu_seconds)),
            peak_bytes: median(runs.iter().map(|run| run.peak_bytes as f64)) as u64,
        };
        let (fastest, slowest) = walls().fold((f64::MAX, 0.0), |(low, high), wall| {
            (f64::min(low, wall), f64::max(high, wall))
        });
        Self {
            name: measured.name,
            role: measured.role,
            median,
            spread: (slowest - fastest) / median.wall_seconds,
            runs,
        }
    }
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

/// The middle one, or the mean of the two in the middle.
fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    if numbers.len() % 2 == 1 {
        numbers[middle]
    } else {
        (numbers[middle - 1] + numbers[middle]) / 2.0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "A snapshot of {} MiB, {} cores ({}), medians of {} runs. \"x\" is how many times what etcd-snap takes: above 1 it \
             is better, below 1 worse. Peaks below {} MiB cannot be seen.\n",
            self.snapshot_bytes >> 20,
            self.machine.cores,
            self.machine.architecture,
            self.rounds,
            self.least_peak_bytes >> 20
        )?;
        write!(f, "{}", table(&self.works))
    }
}

/// One row a program.
pub(super) fn table(works: &[Work]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "", "", "wall s", "x", "spread", "CPU s", "x", "peak MiB", "x",
    ]);
    for work in works {
        for row in work.rows() {
            table.add_row(row);
        }
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

impl Work {
    pub(super) fn new(outcome: Outcome) -> Self {
        Self {
            name: outcome.work,
            programs: outcome.contenders.into_iter().map(Program::new).collect(),
        }
    }

    /// The most memory that any run of etcd-snap took.
    pub(super) fn own_peak_bytes(&self) -> u64 {
        self.programs
            .iter()
            .filter(|program| program.role == Role::Ours)
            .flat_map(|program| &program.runs)
            .map(|run| run.peak_bytes)
            .max()
            .unwrap_or_default()
    }

    /// The first program whose name begins like this.
    pub(super) fn program(&self, name: &str) -> Option<&Program> {
        self.programs
            .iter()
            .find(|program| program.name.starts_with(name))
    }

    fn rows(&self) -> Vec<[String; 9]> {
        let ours = self
            .programs
            .iter()
            .find(|program| program.role == Role::Ours);
        let Some(ours) = ours.map(|ours| ours.median) else {
            return Vec::new();
        };
        let row = |(place, program): (usize, &Program)| {
            let run = program.median;
            [
                if place == 0 {
                    self.name.to_owned()
                } else {
                    String::new()
                },
                match program.role {
                    Role::Ours | Role::Tool => program.name.clone(),
                    Role::Limit => format!("limit: {}", program.name),
                },
                format!("{:.3}", run.wall_seconds),
                times(run.wall_seconds, ours.wall_seconds),
                format!("{:.0} %", program.spread * 100.0),
                format!("{:.3}", run.cpu_seconds),
                times(run.cpu_seconds, ours.cpu_seconds),
                (run.peak_bytes >> 20).to_string(),
                times(run.peak_bytes as f64, ours.peak_bytes as f64),
            ]
        };
        self.programs.iter().enumerate().map(row).collect()
    }
}

/// Of a goal.
pub(super) fn said(met: bool) -> &'static str {
    if met { "met" } else { "NOT MET" }
}

/// Columns from this one on have numbers.
pub(super) fn new_table(header: &[&str], numbers_from: usize) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(header);
    for column in table.column_iter_mut().skip(numbers_from) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// As it is given on the command line.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (1_000_000_000, "GB"),
        (1 << 30, "GiB"),
        (1_000_000, "MB"),
        (1 << 20, "MiB"),
    ];
    let unit = UNITS.iter().find(|(unit, _)| bytes.is_multiple_of(*unit));
    unit.map_or_else(
        || format!("{bytes}B"),
        |(unit, name)| format!("{}{name}", bytes / unit),
    )
}

/// Two digits that count.
fn times(theirs: f64, ours: f64) -> String {
    let ratio = theirs / ours;
    if ratio >= 10.0 {
        format!("{ratio:.0}")
    } else if ratio >= 1.0 {
        format!("{ratio:.1}")
    } else {
        format!("{ratio:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::measure::Cost;
    use super::*;

    fn measured(name: &str, role: Role, milliseconds: &[u64]) -> Measured {
        let cost = |wall: &u64| Cost {
            wall: Duration::from_millis(*wall),
            cpu: Duration::from_millis(*wall / 2),
            peak_bytes: wall << 20,
        };
        Measured {
            name: name.to_owned(),
            role,
            runs: milliseconds.iter().map(cost).collect(),
        }
    }

    #[test]
    fn medians_are_the_middle_of_odd_and_even_numbers_of_runs() {
        assert_eq!(median([3.0, 1.0, 9.0].into_iter()), 3.0);
        assert_eq!(median([4.0, 1.0, 9.0, 2.0].into_iter()), 3.0);
    }

    #[test]
    fn sizes_are_those_of_the_command_line() {
        assert_eq!(size(100_000_000), "100MB");
        assert_eq!(size(2_000_000_000), "2GB");
        assert_eq!(size(512 << 20), "512MiB");
        assert_eq!(size(7), "7B");
    }

    #[test]
    fn rows_compare_medians_with_ours() {
        let work = Work {
            name: "status",
            programs: vec![
                Program::new(measured("etcd-snap", Role::Ours, &[10, 12, 8])),
                Program::new(measured("etcdutl", Role::Tool, &[300, 250, 260])),
                Program::new(measured("cat", Role::Limit, &[5, 5, 5])),
            ],
        };
        let rows = work.rows();
        assert_eq!(
            rows[0],
            [
                "status",
                "etcd-snap",
                "0.010",
                "1.0",
                "40 %",
                "0.005",
                "1.0",
                "10",
                "1.0"
            ]
        );
        assert_eq!(
            rows[1],
            [
                "", "etcdutl", "0.260", "26", "19 %", "0.130", "26", "260", "26"
            ]
        );
        assert_eq!(
            rows[2],
            [
                "",
                "limit: cat",
                "0.005",
                "0.50",
                "0 %",
                "0.002",
                "0.40",
                "5",
                "0.50"
            ]
        );
    }

    #[test]
    fn the_memory_that_counts_is_the_most_that_any_run_of_ours_took() {
        let snapshot = tempfile::NamedTempFile::new().unwrap();
        let outcome = Outcome {
            work: "verify",
            contenders: vec![
                measured("etcd-snap", Role::Ours, &[8, 30, 8]),
                measured("other", Role::Tool, &[90]),
            ],
        };
        let report = Report::new(snapshot.path(), 3, vec![outcome]).unwrap();
        assert_eq!(report.own_peak_bytes(), 30 << 20);
        assert!(report.to_json().unwrap().contains("\"role\": \"ours\""));
    }
}
