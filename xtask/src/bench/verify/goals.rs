//! What was promised of each work.

use etcd_snap_testdata::bulk::Profile;
use serde::Serialize;

use super::super::comparison::Role;
use super::super::report::Work;

pub(super) const STATUS_COLD: &str = "status, cold cache";
/// What remains to be done after the last byte.
pub(super) const SAVE: &str = "save, last byte to rename";

/// A work is to take at most so many times what another program takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Goal {
    work: &'static str,
    /// What the other program's name begins with.
    against: &'static str,
    most: f64,
}

/// A goal beside what was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Verdict {
    pub(super) work: &'static str,
    pub(super) against: &'static str,
    pub(super) most: f64,
    /// Between the medians.
    pub(super) measured: f64,
    pub(super) met: bool,
}

/// The goals for databases like this.
pub(super) fn goals(profile: Profile, size_bytes: u64) -> Vec<Goal> {
    const TWO_GB: std::ops::Range<u64> = 1_900_000_000..2_300_000_000;
    let two_gb = TWO_GB.contains(&size_bytes);
    let goal = |work, against, most| Goal {
        work,
        against,
        most,
    };
    let [newest, oldest, hashkv] = if two_gb && profile == Profile::Small {
        [0.06, 0.17, 0.02]
    } else {
        [0.25, 0.35, 0.25]
    };
    let mut goals = vec![
        goal("verify", "hash it: openssl", 1.0),
        goal("status", "etcdutl 3.7", newest),
        goal("status", "etcdutl 3.5", oldest),
        goal("hashkv", "etcdutl 3.7", hashkv),
        goal(STATUS_COLD, "etcdutl 3.7", 0.08),
    ];
    if two_gb {
        goals.push(goal(SAVE, "hash it: openssl", 0.25));
    }
    goals
}

/// The goals whose works were measured.
pub(super) fn verdicts(goals: &[Goal], works: &[Work]) -> Vec<Verdict> {
    let verdict = |goal: &Goal| {
        let work = works.iter().find(|work| work.name == goal.work)?;
        let ours = work
            .programs
            .iter()
            .find(|program| program.role == Role::Ours)?;
        let theirs = work.program(goal.against)?;
        let measured = ours.median.wall_seconds / theirs.median.wall_seconds;
        Some(Verdict {
            work: goal.work,
            against: goal.against,
            most: goal.most,
            measured,
            met: measured <= goal.most,
        })
    };
    goals.iter().filter_map(verdict).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::comparison::{Measured, Outcome};
    use super::super::super::measure::Cost;
    use super::*;

    fn work(name: &'static str, programs: &[(&str, Role, u64)]) -> Work {
        let measured = |(name, role, milliseconds): &(&str, Role, u64)| Measured {
            name: (*name).to_owned(),
            role: *role,
            runs: vec![Cost {
                wall: Duration::from_millis(*milliseconds),
                cpu: Duration::ZERO,
                peak_bytes: 1,
            }],
        };
        Work::new(Outcome {
            work: name,
            contenders: programs.iter().map(measured).collect(),
        })
    }

    #[test]
    fn goals_are_held_against_the_program_that_they_name() {
        let works = [
            work(
                "verify",
                &[
                    ("etcd-snap", Role::Ours, 90),
                    ("read it: cat", Role::Limit, 10),
                    ("hash it: openssl dgst -sha256", Role::Limit, 100),
                ],
            ),
            work(
                "status",
                &[
                    ("etcd-snap", Role::Ours, 30),
                    ("etcdutl 3.7", Role::Tool, 100),
                ],
            ),
        ];
        let all = verdicts(&goals(Profile::Large, 100_000_000), &works);
        let short: Vec<_> = all
            .iter()
            .map(|verdict| (verdict.work, verdict.against, verdict.met))
            .collect();
        assert_eq!(
            short,
            [
                ("verify", "hash it: openssl", true),
                ("status", "etcdutl 3.7", false)
            ]
        );
    }

    #[test]
    fn two_gigabytes_of_small_values_have_stricter_goals() {
        let most = |profile, size| goals(profile, size)[1].most;
        assert_eq!(most(Profile::Small, 2_000_011_296), 0.06);
        assert_eq!(most(Profile::Small, 8_000_000_000), 0.25);
        assert_eq!(most(Profile::Large, 2_000_011_296), 0.25);
    }
}
