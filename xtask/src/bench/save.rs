//! `cargo xtask bench save`: what a save takes of the client's machine beside `etcdctl`, which checks nothing.

use std::fs;

use anyhow::Result;
use etcd_snap_testdata::bulk::Profile;
use etcd_snap_testdata::cluster::Security;

use super::comparison::Role;
use super::programs::Programs;
use super::report::Work;
use super::stock::Wanted;
use super::summary::{Common, Goal, Summary};
use super::{database, stock};

const WORKS: [(Security, &str); 2] = [
    (Security::Plain, "save, plain http"),
    (Security::MutualTls, "save, mutual TLS"),
];
/// What ours is to take at most of theirs.
const MOST_CPU: f64 = 0.65;
const MOST_WALL: f64 = 1.0;

/// Measure save beside etcdctl, against one real server, plain and with mutual TLS
///
/// The database is one of those of `bench verify`. Both clients save it in turn from the same server, each round beginning
/// with the other one. What counts are the ratios: processor time of the client (user and system), median wall time, peak
/// memory. The goals stand beside them. Fails where etcd-snap takes more than 64 MiB of memory.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How large, as in 100MB or 2GB
    #[arg(long, value_name = "SIZE", default_value = "2GB", value_parser = crate::database::parse_size)]
    size: u64,
    /// What the values are like: small (300 bytes), large (4 KiB) or kubernetes
    #[arg(long, value_name = "NAME", default_value = "small")]
    profile: Profile,
    /// How often each client saves
    #[arg(long, value_name = "NUMBER", default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..))]
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
    for (security, work) in WORKS {
        let cluster = database::serve(&snapshot, security, folder.path())?;
        works.push(Work::new(
            programs.save(&cluster, work).run(arguments.rounds)?,
        ));
        let served = cluster.folder().to_owned();
        drop(cluster);
        fs::remove_dir_all(served)?;
    }
    let summary = Summary::new(wanted, &facts, arguments.rounds, works, goals)?;
    summary.finish("save", &arguments.common)
}

fn goals(work: &Work) -> Vec<Goal> {
    let of = |role| work.programs.iter().find(|program| program.role == role);
    let (Some(ours), Some(theirs)) = (of(Role::Ours), of(Role::Tool)) else {
        return Vec::new();
    };
    let ratio = |what: &str, most: f64, ours: f64, theirs: f64| {
        Goal::ratio(
            format!("{}: {what} / etcdctl's", work.name),
            most,
            ours / theirs,
        )
    };
    let (ours, theirs) = (&ours.median, &theirs.median);
    vec![
        ratio(
            "processor time",
            MOST_CPU,
            ours.cpu_seconds,
            theirs.cpu_seconds,
        ),
        ratio(
            "median wall time",
            MOST_WALL,
            ours.wall_seconds,
            theirs.wall_seconds,
        ),
        Goal::peak(work),
    ]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::comparison::{Measured, Outcome};
    use super::super::measure::Cost;
    use super::*;

    #[test]
    fn goals_are_ratios_of_medians_and_the_highest_peak() {
        let measured = |name: &str, role, cpu: &[u64], peak_mib: u64| Measured {
            name: name.to_owned(),
            role,
            runs: cpu
                .iter()
                .map(|cpu| Cost {
                    wall: Duration::from_millis(100),
                    cpu: Duration::from_millis(*cpu),
                    peak_bytes: peak_mib << 20,
                })
                .collect(),
        };
        let work = Work::new(Outcome {
            work: "save",
            contenders: vec![
                measured("etcd-snap", Role::Ours, &[60, 70, 900], 65),
                measured("etcdctl 3.7", Role::Tool, &[100, 100, 100], 90),
            ],
        });
        let goals = goals(&work);
        let short: Vec<_> = goals
            .iter()
            .map(|goal| (&*goal.most, &*goal.measured, goal.met))
            .collect();
        assert_eq!(
            short,
            [
                ("0.65", "0.700", false),
                ("1.00", "1.000", true),
                ("64 MiB", "65 MiB", false)
            ]
        );
    }
}
