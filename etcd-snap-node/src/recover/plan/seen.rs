//! Whether the planned revision is above all that clients of this node are known to have seen.

use etcd_snap::{
    Bump, Bumped, NewCluster, Revision, Seen, SeenIn, Snapshot, decide_bump, snapshot_members,
};

use super::PlanOptions;
use super::options::PlannedBump;
use super::prove::Decided;
use crate::{Etcd, Finding, Result};

/// A revision that a person has given, or another node has planned, knows nothing of what was seen here. The automatic one does.
pub(super) fn contradicted(
    etcd: &Etcd,
    snapshot: &Snapshot,
    cluster: &NewCluster,
    decided: &Decided,
    living: Option<&Seen>,
    options: &PlanOptions,
) -> Result<Option<Finding>> {
    if options.given.is_none() && options.bump == PlannedBump::Automatic {
        return Ok(None);
    }
    let mut told = decided.restore.options()?.with_bump(Bump::Automatic);
    let said = options.seen.map(Seen::told);
    for seen in living.cloned().into_iter().chain(said) {
        told = told.with_seen(seen);
    }
    let Some(known) = decide_bump(snapshot, &[etcd.target(&options.root)?], &told)? else {
        return Ok(None);
    };
    let planned = match &decided.bump {
        Some(bump) => bump.revision,
        None => known.from_revision,
    };
    let highest = known
        .seen
        .iter()
        .filter(|seen| !is_of_this_plan(seen, cluster, planned))
        .max_by_key(|seen| seen.revision);
    let Some(highest) = highest else {
        return Ok(None);
    };
    let is_above = match &decided.bump {
        Some(_) => planned > highest.revision,
        // The snapshot itself was seen: it is what has come after it that is missing.
        None => planned >= highest.revision,
    };
    Ok((!is_above).then(|| finding(highest, planned, &known, decided, options)))
}

/// A node that comes later finds members of the new cluster at work, and one that begins again what the same plan has made: both are at
/// the planned revision or beyond, as they should be.
fn is_of_this_plan(seen: &Seen, cluster: &NewCluster, planned: Revision) -> bool {
    match &seen.from {
        SeenIn::Endpoint { cluster_id, .. } => *cluster_id == cluster.id(),
        SeenIn::DataDir { data_dir, .. } => {
            let aside = data_dir.join("snap/db");
            let is_aside = aside.exists();
            let database = match is_aside {
                true => aside,
                false => data_dir.join("member/snap/db"),
            };
            // What served after it was made is not simply replaced by its own beginning, unless others have what it had.
            let others_have_it = is_aside && cluster.members().len() > 1;
            if seen.revision > planned && !others_have_it {
                return false;
            }
            let members = Snapshot::open(database).and_then(|it| snapshot_members(&it));
            members.is_ok_and(|members| {
                let new = cluster.members();
                let is_new = |id| new.iter().any(|it| it.id() == id);
                !members.is_empty() && members.iter().all(|it| is_new(it.member_id))
            })
        }
        _ => false,
    }
}

fn finding(
    highest: &Seen,
    planned: Revision,
    known: &Bumped,
    decided: &Decided,
    options: &PlanOptions,
) -> Finding {
    let by = known.by;
    let is_moved = decided.bump.is_some();
    let begins = match is_moved {
        true => format!(
            "{planned}, moved ahead by {}",
            decided.restore.bump_revision
        ),
        false => format!("{planned}, that of the snapshot"),
    };
    let sentence = format!(
        "clients of this node can have seen {highest}, and the new member would begin at revision {begins}: what it writes next has \
         revisions that they know with another content, and their watches are not cancelled, but wait for what never comes"
    );
    match (is_moved, &options.given) {
        (true, Some(_)) => Finding::error("revision-was-seen", sentence).with_remedy(format!(
            "make another plan, for all nodes, with --bump-revision {by} or more; nodes that were recovered with this one have to be \
             recovered again; a member.undone-TIME that no client has ever used can be moved away instead"
        )),
        (true, None) => Finding::error("revision-was-seen", sentence).with_remedy(format!(
            "say --bump-revision {by} or more, in one plan for all nodes, or leave it out: then the revision is moved above all that was \
             seen"
        )),
        // Whoever has said that it stays has to restart what watches, and is told what.
        (false, _) => Finding::warning("revision-was-seen", sentence).with_remedy(format!(
            "restart everything that watches etcd or keeps what it has read; or make a plan, for all nodes, with --bump-revision {by} or \
             more, or without --no-bump"
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use etcd_snap::{MemberTarget, RestoreOptions};

    use super::*;
    use crate::recover::plan::plan_recovery;
    use crate::recover::plan::sample::{Machine, committed_snapshot};
    use crate::{Recovery, Severity};

    const ONE: &str = "m1=http://10.0.0.1:2380";
    const MILLION: u64 = 1_000_000;

    /// A member at revision 215 and so many, where the machine knows this directory.
    fn member(machine: &Machine, data_dir: &str, token: &str, by: u64) {
        let data_dir = machine.folder.path().join(data_dir.trim_start_matches('/'));
        let snapshot = Snapshot::open(committed_snapshot()).unwrap();
        let cluster = NewCluster::parse(ONE, token).unwrap();
        let options = RestoreOptions::default()
            .with_bump(Bump::By(by))
            .with_mark_compacted(true);
        let target = MemberTarget::new("m1", data_dir);
        etcd_snap::restore(&snapshot, &cluster, &[target], &options).unwrap();
    }

    fn put_aside(machine: &Machine, name: &str) {
        let data_dir = machine.folder.path().join("var/lib/etcd");
        std::fs::rename(data_dir.join("member"), data_dir.join(name)).unwrap();
    }

    fn raw(machine: &Machine) -> PlanOptions {
        machine
            .options()
            .with_restore_options(RestoreOptions::default().with_skip_hash_check(true))
    }

    fn plan(machine: &Machine, snapshot: &Path, options: &PlanOptions) -> Recovery {
        plan_recovery(&machine.node, snapshot, options).unwrap()
    }

    fn found(recovery: &Recovery) -> Option<&Finding> {
        recovery
            .findings
            .iter()
            .find(|it| it.code == "revision-was-seen")
    }

    fn machine() -> (Machine, PathBuf) {
        let machine = Machine::kubeadm();
        let snapshot = machine.snapshot_of(ONE);
        (machine, snapshot)
    }

    #[test]
    fn a_revision_that_this_node_has_had_is_refused() {
        let (machine, snapshot) = machine();
        member(&machine, "/var/lib/etcd", "old", MILLION);
        for (options, expected) in [
            (raw(&machine), None),
            (raw(&machine).with_bump(1), Some(Severity::Error)),
            (raw(&machine).with_bump(MILLION), Some(Severity::Error)),
            (raw(&machine).with_bump(MILLION + 1), None),
            (raw(&machine).with_bump(0), Some(Severity::Warning)),
        ] {
            let recovery = plan(&machine, &snapshot, &options);
            assert_eq!(found(&recovery).map(|it| it.severity), expected);
            assert_eq!(recovery.is_refused(), expected == Some(Severity::Error));
        }
        let recovery = plan(&machine, &snapshot, &raw(&machine).with_bump(1));
        let finding = found(&recovery).unwrap();
        let message = &finding.message;
        assert!(message.contains("revision 1000215 in "), "{message}");
        assert!(
            message.contains("revision 216, moved ahead by 1"),
            "{message}"
        );
        let remedy = finding.remedy.as_ref().unwrap();
        assert!(remedy.contains("--bump-revision 2000000"), "{remedy}");

        // What an earlier recovery has put aside was seen as well.
        put_aside(&machine, "member.old-20261126T011944Z");
        let recovery = plan(&machine, &snapshot, &raw(&machine).with_bump(1));
        assert!(found(&recovery).is_some());
    }

    #[test]
    fn what_was_said_counts_beside_a_plan_and_a_number() {
        let (machine, snapshot) = machine();
        let first = plan(&machine, &snapshot, &raw(&machine).with_bump(7));
        assert_eq!(found(&first), None);
        let given = PlanOptions {
            token: None,
            ..machine.options().with_plan(first.restore)
        };
        let seen = |options: PlanOptions, seen| options.with_seen(Revision::new(seen));
        for (options, expected) in [
            (given.clone(), None),
            (seen(given.clone(), 221), None),
            (seen(given.clone(), 222), Some(Severity::Error)),
            (seen(given, 5_000_000), Some(Severity::Error)),
            (seen(raw(&machine).with_bump(7), 999), Some(Severity::Error)),
            (
                seen(raw(&machine).with_bump(0), 999),
                Some(Severity::Warning),
            ),
            (seen(raw(&machine).with_bump(0), 215), None),
            (seen(raw(&machine), 999), None),
        ] {
            let recovery = plan(&machine, &snapshot, &options);
            assert_eq!(found(&recovery).map(|it| it.severity), expected);
        }
    }

    #[test]
    fn what_the_same_plan_has_made_is_no_contradiction() {
        let (machine, snapshot) = machine();
        let first = plan(&machine, &snapshot, &raw(&machine).with_bump(7));
        let follows = |machine: &Machine| {
            let given = PlanOptions {
                token: None,
                ..machine.options().with_plan(first.restore.clone())
            };
            found(&plan(machine, &snapshot, &given)).is_none()
        };
        assert_eq!(found(&first), None);
        member(&machine, "/var/lib/etcd", "a-word", 7);
        assert!(follows(&machine));
        put_aside(&machine, "member.undone-20261126T011944Z");
        assert!(follows(&machine));
        // It has served since, and nobody else has what it had.
        let machine = self::machine().0;
        member(&machine, "/var/lib/etcd", "a-word", 70);
        assert!(!follows(&machine));
        put_aside(&machine, "member.undone-20261126T021944Z");
        assert!(!follows(&machine));

        // Another cluster.
        let machine = self::machine().0;
        member(&machine, "/var/lib/etcd", "another", 7);
        assert!(!follows(&machine));

        let cluster = first.restore.cluster().unwrap();
        let mut own = Seen::told(Revision::new(9000));
        assert!(!is_of_this_plan(&own, &cluster, first.revision));
        own.from = SeenIn::Endpoint {
            endpoint: "http://10.0.0.1:2379".into(),
            cluster_id: cluster.id(),
        };
        let other = NewCluster::parse(ONE, "another").unwrap();
        assert!(is_of_this_plan(&own, &cluster, first.revision));
        assert!(!is_of_this_plan(&own, &other, first.revision));
    }
}
