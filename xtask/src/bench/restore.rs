//! `cargo xtask bench restore`: what a restore, a squeezed snapshot and a defragmentation take beside every `etcdutl`, and beside a copy and a digest.

use std::fs;
use std::path::Path;

use anyhow::Result;
use etcd_snap_testdata::bulk::Profile;

use super::comparison::{Comparison, Role};
use super::programs::Programs;
use super::report::Work;
use super::stock::Wanted;
use super::summary::{Common, Goal, Summary};
use super::{programs, stock};

/// From here on the larger goals hold.
const LARGE_BYTES: u64 = 1_000_000_000;

/// Measure restore, squeeze and defrag beside etcdutl of 3.5, 3.6 and 3.7, and beside a digest and a copy
///
/// The database is one of those of `bench verify`. All programs do the same work in turn; what counts are the ratios of one
/// run. The goals stand beside them. Fails where etcd-snap takes more than 64 MiB of memory.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How large, as in 100MB or 2GB
    #[arg(long, value_name = "SIZE", default_value = "100MB", value_parser = crate::database::parse_size)]
    size: u64,
    /// What the values are like: small (300 bytes), large (4 KiB) or kubernetes
    #[arg(long, value_name = "NAME", default_value = "small")]
    profile: Profile,
    /// How often each program does each work
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let programs = Programs::get()?;
    let parent = etcd_snap_testdata::target_folder().join("bench");
    fs::create_dir_all(&parent)?;
    let parent = parent.canonicalize()?;
    let folder = tempfile::tempdir_in(&parent)?;
    let wanted = Wanted {
        profile: arguments.profile,
        size_bytes: arguments.size,
        seed: arguments.common.seed,
    };
    let (snapshot, facts) = stock::get(&parent, wanted)?;

    let mut works = Vec::new();
    for comparison in comparisons(&programs, &snapshot, folder.path())? {
        works.push(Work::new(comparison.run(arguments.rounds)?));
    }
    let goals = |work: &Work| goals(work, facts.size_bytes);
    let summary = Summary::new(wanted, &facts, arguments.rounds, works, goals)?;
    summary.finish("restore", &arguments.common)
}

fn comparisons(programs: &Programs, snapshot: &Path, folder: &Path) -> Result<Vec<Comparison>> {
    let mut restore = programs.restore(snapshot, folder);
    restore.contenders.push(programs.hash(snapshot));
    Ok(vec![
        restore,
        programs.restore_bumped(snapshot, folder),
        programs.restore_three(snapshot, folder),
        programs.squeeze(snapshot, folder)?,
        programs.defrag(snapshot, folder)?,
    ])
}

/// The goals of a work, in databases of this size.
fn goals(work: &Work, size_bytes: u64) -> Vec<Goal> {
    let is_large = size_bytes >= LARGE_BYTES;
    let most = match work.name {
        programs::RESTORE if is_large => Some(0.40),
        programs::RESTORE => Some(0.50),
        programs::BUMPED => is_large.then_some(0.36),
        programs::THREE => Some(0.50),
        _ => Some(0.40),
    };
    let walls = |role| {
        let of_role = move |program: &&super::report::Program| program.role == role;
        let programs = work.programs.iter().filter(of_role);
        programs.map(|program| program.median.wall_seconds)
    };
    let ours = walls(Role::Ours).fold(f64::NAN, f64::min);
    let best = walls(Role::Tool).fold(f64::NAN, f64::min);
    let mut goals = Vec::new();
    if let Some(most) = most {
        let what = format!("{} / the best etcdutl", work.name);
        goals.push(Goal::ratio(what, most, ours / best));
    }
    if work.name == programs::RESTORE {
        let slower = walls(Role::Limit).fold(f64::NAN, f64::max);
        let what = format!("{} / the slower of digest and copy", work.name);
        goals.push(Goal::ratio(what, 1.1, ours / slower));
    }
    goals.push(Goal::peak(work));
    goals
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::comparison::{Measured, Outcome};
    use super::super::measure::Cost;
    use super::*;

    #[test]
    fn ours_is_held_against_the_best_of_the_tools_and_the_slower_of_the_limits() {
        let measured = |(name, role, milliseconds): (&str, Role, u64)| Measured {
            name: name.to_owned(),
            role,
            runs: vec![Cost {
                wall: Duration::from_millis(milliseconds),
                cpu: Duration::ZERO,
                peak_bytes: 65 << 20,
            }],
        };
        let programs = [
            ("etcd-snap", Role::Ours, 45),
            ("etcdutl 3.7", Role::Tool, 100),
            ("etcdutl 3.5", Role::Tool, 300),
            ("hash it", Role::Limit, 10),
            ("copy it", Role::Limit, 50),
        ];
        let work = Work::new(Outcome {
            work: programs::RESTORE,
            contenders: programs.map(measured).into(),
        });
        let short = |size| -> Vec<_> {
            let goals = goals(&work, size);
            goals
                .iter()
                .map(|goal| (goal.measured.clone(), goal.met))
                .collect()
        };
        let small = [("0.450", true), ("0.900", true), ("65 MiB", false)];
        let large = [("0.450", false), ("0.900", true), ("65 MiB", false)];
        let owned = |list: [(&str, bool); 3]| list.map(|(text, met)| (text.to_owned(), met));
        assert_eq!(short(100_000_000), owned(small));
        assert_eq!(short(2_000_000_000), owned(large));
    }
}
