//! `cargo xtask bench restore`: what data directories cost beside `etcdutl`, which checks the digest alone, and what a database
//! without free pages costs beside its `defrag`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use etcd_snap_testdata::bulk::Profile;
use serde::Serialize;

use super::comparison::{Comparison, Role};
use super::programs::Programs;
use super::report::{Machine, Work, least_peak_bytes, new_table, said, size, table};
use super::stock::Wanted;
use super::{PROMISED_PEAK_BYTES, document, stock};

pub(super) const RESTORE: &str = "restore";
pub(super) const BUMPED: &str = "restore, bumped";
pub(super) const THREE: &str = "restore of three members";
pub(super) const DEFRAG: &str = "defrag";
pub(super) const SQUEEZE: &str = "squeeze";
/// From here on the goals are those of large databases.
const LARGE: u64 = 950_000_000;

/// Measure restore, squeeze and defrag beside etcdutl, over large databases
///
/// The databases are those of `bench verify`. A plain restore, one with a bumped revision, one of three members from one run
/// against three runs of etcdutl, and what writes only the pages in use against `etcdutl defrag`. All programs do the same
/// work in turn; limits are one SHA-256 pass, and one copy that is brought to the disk. The goals stand beside the numbers.
/// Fails where etcd-snap takes more than 64 MiB of memory.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How large, as in 100MB, 2GB or 8GB; may be given more than once
    #[arg(long = "size", value_name = "SIZE", default_value = "100MB", value_parser = crate::database::parse_size)]
    sizes: Vec<u64>,
    /// What the values are like: small (300 bytes), large (4 KiB) or kubernetes
    #[arg(long, value_name = "NAME", default_value = "small")]
    profile: Profile,
    /// How often each program does each work
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// Another number, another database of the same kind
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Write every single measurement to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Put the tables into docs/performance.md, where that has a place for them
    #[arg(long)]
    write_docs: bool,
}

/// What was measured over one database.
#[derive(Serialize)]
struct Summary {
    /// Of this form: 1.
    schema: u32,
    machine: Machine,
    profile: Profile,
    size_bytes: u64,
    rounds: u64,
    least_peak_bytes: u64,
    works: Vec<Work>,
    goals: Vec<Goal>,
}

/// A goal beside what was measured.
#[derive(Debug, PartialEq, Serialize)]
struct Goal {
    what: String,
    most: String,
    measured: String,
    met: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let programs = Programs::get()?;
    let parent = etcd_snap_testdata::target_folder().join("bench");
    fs::create_dir_all(&parent)?;
    let parent = parent.canonicalize()?;
    let folder = tempfile::tempdir_in(&parent)?;

    let mut summaries = Vec::new();
    for bytes in &arguments.sizes {
        let wanted = Wanted {
            profile: arguments.profile,
            size_bytes: *bytes,
            seed: arguments.seed,
        };
        let (snapshot, facts) = stock::get(&parent, wanted)?;
        let mut works = Vec::new();
        for comparison in comparisons(&programs, &snapshot, folder.path())? {
            works.push(Work::new(comparison.run(arguments.rounds)?));
        }
        let summary = Summary {
            schema: 1,
            machine: Machine::this()?,
            profile: arguments.profile,
            size_bytes: facts.size_bytes,
            rounds: arguments.rounds,
            least_peak_bytes: least_peak_bytes()?,
            goals: works
                .iter()
                .flat_map(|work| goals(work, facts.size_bytes))
                .collect(),
            works,
        };
        println!("{}\n", summary.section());
        summaries.push((format!("{} {}", arguments.profile, size(*bytes)), summary));
    }

    if let Some(file) = &arguments.json {
        let all: Vec<_> = summaries.iter().map(|(_, summary)| summary).collect();
        fs::write(file, serde_json::to_string_pretty(&all)? + "\n")
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    if arguments.write_docs {
        let sections = summaries
            .iter()
            .map(|(name, summary)| (name.clone(), summary.section()));
        document::write("restore", sections)?;
    }
    let works = summaries.iter().flat_map(|(_, summary)| &summary.works);
    let peak = works.map(Work::own_peak_bytes).max().unwrap_or_default();
    ensure!(
        peak <= PROMISED_PEAK_BYTES,
        "etcd-snap took {peak} bytes of memory, more than the {PROMISED_PEAK_BYTES} that it promises to stay below"
    );
    Ok(())
}

fn comparisons(programs: &Programs, snapshot: &Path, folder: &Path) -> Result<Vec<Comparison>> {
    let mut restore = programs.restore(snapshot, folder);
    restore.contenders.push(programs.hash(snapshot));
    let mut bumped = programs.restore(snapshot, folder);
    bumped.work = BUMPED;
    bumped
        .contenders
        .retain(|contender| contender.role != Role::Limit);
    for contender in &mut bumped.contenders {
        contender
            .command
            .args(["--bump-revision", "1000000", "--mark-compacted"]);
    }
    Ok(vec![
        restore,
        bumped,
        programs.restore_three(snapshot, folder),
        programs.squeeze(snapshot, folder)?,
        programs.defrag(snapshot, folder)?,
    ])
}

/// What is promised of a work over a database of this size, beside what was measured.
fn goals(work: &Work, size_bytes: u64) -> Vec<Goal> {
    let walls = |role| {
        let programs = work.programs.iter();
        programs
            .filter(move |program| program.role == role)
            .map(|program| program.median.wall_seconds)
    };
    let Some(ours) = walls(Role::Ours).next() else {
        return Vec::new();
    };
    let best = walls(Role::Tool).fold(f64::MAX, f64::min);
    let mut goals = Vec::new();
    let mut goal = |what: &str, most: f64, other: f64| {
        let measured = ours / other;
        goals.push(Goal {
            what: format!("{}: wall time / {what}", work.name),
            most: format!("{most:.2}"),
            measured: format!("{measured:.3}"),
            met: measured <= most,
        });
    };
    match work.name {
        RESTORE => {
            let most = if size_bytes < LARGE { 0.5 } else { 0.4 };
            goal("the best etcdutl's", most, best);
            let slower = walls(Role::Limit).fold(0.0, f64::max);
            goal("the slower limit's", 1.1, slower);
        }
        BUMPED if size_bytes >= LARGE => goal("the best etcdutl's", 0.36, best),
        THREE => goal("three runs of the best etcdutl", 0.5, best),
        SQUEEZE | DEFRAG => goal("the best `etcdutl defrag`", 0.4, best),
        _ => {}
    }
    let peak = work.own_peak_bytes();
    goals.push(Goal {
        what: format!("{}: peak memory of any run", work.name),
        most: format!("{} MiB", PROMISED_PEAK_BYTES >> 20),
        measured: format!("{} MiB", peak.div_ceil(1 << 20)),
        met: peak <= PROMISED_PEAK_BYTES,
    });
    goals
}

impl Summary {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::comparison::{Measured, Outcome};
    use super::super::measure::Cost;
    use super::*;

    fn work(name: &'static str, programs: &[(&str, Role, u64)]) -> Work {
        let contenders = programs.iter().map(|(name, role, milliseconds)| Measured {
            name: (*name).to_owned(),
            role: *role,
            runs: vec![Cost {
                wall: Duration::from_millis(*milliseconds),
                cpu: Duration::ZERO,
                peak_bytes: 20 << 20,
            }],
        });
        Work::new(Outcome {
            work: name,
            contenders: contenders.collect(),
        })
    }

    #[test]
    fn the_best_tool_and_the_slower_limit_count() {
        let programs = [
            ("etcd-snap", Role::Ours, 45),
            ("etcdutl 3.7", Role::Tool, 200),
            ("etcdutl 3.5", Role::Tool, 100),
            ("hash it", Role::Limit, 40),
            ("copy it", Role::Limit, 10),
        ];
        let short = |name, size_bytes| -> Vec<(String, String, bool)> {
            let goals = goals(&work(name, &programs), size_bytes);
            let goal = |goal: Goal| (goal.most, goal.measured, goal.met);
            goals.into_iter().map(goal).collect()
        };
        let texts = |most: &str, measured: &str, met| (most.to_owned(), measured.to_owned(), met);
        let peak = texts("64 MiB", "20 MiB", true);
        let limit = texts("1.10", "1.125", false);
        assert_eq!(
            short(RESTORE, 100_000_000),
            [texts("0.50", "0.450", true), limit.clone(), peak.clone()]
        );
        assert_eq!(
            short(RESTORE, 2_000_000_000),
            [texts("0.40", "0.450", false), limit, peak.clone()]
        );
        assert_eq!(
            short(SQUEEZE, 100_000_000),
            [texts("0.40", "0.450", false), peak.clone()]
        );
        assert_eq!(short(BUMPED, 100_000_000), [peak]);
    }
}
