//! What is done, in which order, and what a person would type to do the same.

use std::path::{Path, PathBuf};

use etcd_snap::RestorePlan;

use super::shell::{line, path, word};
use crate::recover::{Action, FileChange, RecoveryStep, RecoveryTarget, StopBy};
use crate::{Etcd, RunBy};

/// What the steps are made of.
pub(super) struct Making<'a> {
    pub(super) snapshot: &'a Path,
    pub(super) etcd: &'a Etcd,
    pub(super) restore: &'a RestorePlan,
    pub(super) member: &'a str,
    pub(super) target: &'a RecoveryTarget,
    pub(super) owner: Option<&'a str>,
    pub(super) stop: &'a StopBy,
    pub(super) changes: &'a [FileChange],
    pub(super) stamp: &'a str,
    pub(super) revision: i64,
    pub(super) waits_for: usize,
}

/// The steps in their order.
pub(super) fn steps(making: &Making<'_>) -> Vec<RecoveryStep> {
    let exchange = match making.target {
        RecoveryTarget::InPlace { .. } => making.swap(),
        RecoveryTarget::NewDataDir { .. } => making.change(),
    };
    [
        making.verify(),
        making.stage(),
        making.stop(),
        making.wait_until_stopped(),
        exchange,
        making.start(),
        making.wait_until_serving(),
        making.prove(),
    ]
    .into_iter()
    .enumerate()
    .map(|(n, (action, title, by_hand))| RecoveryStep {
        number: n + 1,
        action,
        title,
        by_hand,
    })
    .collect()
}

type Step = (Action, String, Vec<String>);

impl Making<'_> {
    fn verify(&self) -> Step {
        let mut words = vec!["etcd-snap verify".to_owned()];
        if self.restore.skip_hash_check {
            words.push("--skip-hash-check".into());
        }
        words.push(path(self.snapshot));
        (
            Action::Verify,
            format!(
                "prove the snapshot, and that its SHA-256 is {}",
                self.restore.snapshot_sha256
            ),
            vec![line(&words)],
        )
    }

    fn stage(&self) -> Step {
        let (title, data_dir, wal_dir) = match self.target {
            RecoveryTarget::InPlace {
                staged, staged_wal, ..
            } => (
                format!(
                    "make the member {} in {}, while etcd may still run",
                    self.member,
                    staged.display()
                ),
                staged,
                staged_wal.as_ref(),
            ),
            RecoveryTarget::NewDataDir { data_dir } => (
                format!(
                    "make the member {} in {}, while etcd may still run",
                    self.member,
                    data_dir.display()
                ),
                data_dir,
                None,
            ),
        };
        let plan = self.restore;
        let cluster: Vec<_> = plan
            .members
            .iter()
            .flat_map(|member| {
                let urls = member.peer_urls.iter();
                urls.map(move |url| format!("{}={url}", member.name))
            })
            .collect();
        let mut words = vec![
            "etcd-snap restore".to_owned(),
            path(self.snapshot),
            "--name".into(),
            word(self.member),
            "--initial-cluster".into(),
            word(&cluster.join(",")),
            "--initial-cluster-token".into(),
            word(&plan.initial_cluster_token),
        ];
        if plan.bump_revision > 0 {
            let by = plan.bump_revision;
            words.push(format!("--bump-revision {by} --mark-compacted"));
        }
        for (wanted, flag) in [
            (plan.skip_hash_check, "--skip-hash-check"),
            (plan.drop_alarms, "--drop-alarms"),
            (plan.drop_leases, "--drop-leases"),
            (plan.squeeze, "--squeeze"),
        ] {
            if wanted {
                words.push(flag.into());
            }
        }
        if let Some(version) = &plan.target_version {
            words.push(format!("--target-version {}", word(version)));
        }
        words.push(format!("--data-dir {}", path(data_dir)));
        if let Some(wal_dir) = wal_dir {
            words.push(format!("--wal-dir {}", path(wal_dir)));
        }
        if let Some(owner) = self.owner {
            words.push(format!("--owner {}", word(owner)));
        }
        let database = data_dir.join("member/snap/db");
        (
            Action::Stage,
            title,
            vec![
                line(&words),
                format!("etcd-snap hashkv {}", path(&database)),
            ],
        )
    }

    fn stop(&self) -> Step {
        match self.stop {
            StopBy::Manifests {
                directory,
                aside,
                manifests,
            } => {
                let files: Vec<_> = manifests.iter().map(|it| path(&it.from)).collect();
                (
                    Action::Stop,
                    format!(
                        "move {} out of {}, to {}",
                        self.moved_names(),
                        directory.display(),
                        aside.display()
                    ),
                    vec![
                        format!("mkdir -m 700 {}", path(aside)),
                        format!("mv {} {}/", files.join(" "), path(aside)),
                    ],
                )
            }
            StopBy::Unit { unit } => (
                Action::Stop,
                format!("stop {unit}"),
                vec![format!("systemctl stop {}", word(unit))],
            ),
        }
    }

    fn moved_names(&self) -> String {
        let StopBy::Manifests { manifests, .. } = self.stop else {
            return String::new();
        };
        let names: Vec<_> = manifests
            .iter()
            .filter_map(|it| it.from.file_name())
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.join(", ")
    }

    fn wait_until_stopped(&self) -> Step {
        let database = self.old_data_dir().join("member/snap/db");
        (
            Action::WaitUntilStopped,
            "wait until nobody listens at its ports and the lock of its database is free".into(),
            // Its lock is what etcd holds; the program that looks at it comes with every distribution.
            vec![format!(
                "while test -e {0} && ! flock --nonblock {0} true; do sleep 1; done",
                path(&database)
            )],
        )
    }

    fn old_data_dir(&self) -> PathBuf {
        let place = &self.etcd.data_dir;
        place.host.clone().unwrap_or_else(|| place.path.clone())
    }

    fn swap(&self) -> Step {
        let RecoveryTarget::InPlace {
            data_dir,
            wal_dir,
            staged,
            staged_wal,
        } = self.target
        else {
            return self.change();
        };
        let old = data_dir.join(format!("member.old-{}", self.stamp));
        let mut by_hand = Vec::new();
        let member = data_dir.join("member");
        let has_member = self.etcd.data.as_ref().is_none_or(|data| data.has_member);
        if wal_dir.as_ref().is_some_and(|it| it.starts_with(&member)) {
            // The directory of the WAL stays, and so does the one that it is in.
            if has_member {
                by_hand.push(format!("mkdir {}", path(&old)));
                by_hand.push(format!("mv {} {}/", path(&member.join("snap")), path(&old)));
            }
            let made = staged.join("member");
            by_hand.push(format!(
                "mv {} {}/",
                path(&made.join("snap")),
                path(&member)
            ));
            by_hand.push(format!("rmdir {} {}", path(&made), path(staged)));
        } else {
            if has_member {
                by_hand.push(format!("mv {} {}", path(&member), path(&old)));
            }
            by_hand.push(format!(
                "mv {} {}/",
                path(&staged.join("member")),
                path(data_dir)
            ));
            by_hand.push(format!("rmdir {}", path(staged)));
        }
        let mut report = staged.clone().into_os_string();
        report.push(".restore-report.json");
        by_hand.push(format!("rm {}", path(Path::new(&report))));
        if let (Some(wal_dir), Some(staged_wal)) = (wal_dir, staged_wal) {
            let old = wal_dir.join(format!("wal.old-{}", self.stamp));
            by_hand.extend([
                format!("mkdir {}", path(&old)),
                format!("mv {}/*.wal {}/", path(wal_dir), path(&old)),
                format!("mv {}/* {}/", path(staged_wal), path(wal_dir)),
                format!("rmdir {}", path(staged_wal)),
            ]);
        }
        (
            Action::Swap,
            format!(
                "swap member/ in {}; the old one is kept there as {}",
                data_dir.display(),
                old.file_name().unwrap_or_default().to_string_lossy()
            ),
            by_hand,
        )
    }

    fn change(&self) -> Step {
        let names: Vec<_> = self
            .changes
            .iter()
            .map(|change| change.path.display().to_string())
            .collect();
        let mut by_hand = Vec::new();
        for change in self.changes {
            let at = self.where_it_is(&change.path);
            let directory = at.parent().unwrap_or(Path::new("/"));
            match &change.before {
                // The patch of the file as it is: the name in the diff is that of its place.
                Some(_) => {
                    by_hand.extend(printed(&change.diff, &format!("| patch {}", path(&at))));
                }
                None => {
                    by_hand.push(format!("mkdir -p {}", path(directory)));
                    by_hand.extend(printed(&change.after, &format!("> {}", path(&at))));
                }
            }
        }
        if let StopBy::Unit { .. } = self.stop {
            by_hand.push("systemctl daemon-reload".into());
        }
        let verb = match self.changes.iter().all(|change| change.before.is_none()) {
            true => "make",
            false => "change",
        };
        (
            Action::Change,
            format!("{verb} {}, for the new data directory", names.join(" and ")),
            by_hand,
        )
    }

    /// A manifest is changed where it is meanwhile.
    fn where_it_is(&self, file: &Path) -> PathBuf {
        if let StopBy::Manifests { manifests, .. } = self.stop
            && let Some(moved) = manifests.iter().find(|moved| moved.from == file)
        {
            return moved.to.clone();
        }
        file.to_owned()
    }

    fn start(&self) -> Step {
        match self.stop {
            StopBy::Manifests {
                directory,
                manifests,
                ..
            } => {
                // etcd first: what is started before it waits for it.
                let files: Vec<_> = manifests.iter().rev().map(|it| path(&it.to)).collect();
                (
                    Action::Start,
                    format!(
                        "put {} back into {}",
                        self.moved_names(),
                        directory.display()
                    ),
                    vec![format!("mv {} {}/", files.join(" "), path(directory))],
                )
            }
            StopBy::Unit { unit } => (
                Action::Start,
                format!("start {unit}"),
                vec![format!("systemctl start {}", word(unit))],
            ),
        }
    }

    fn wait_until_serving(&self) -> Step {
        let title = match self.waits_for {
            0 => format!(
                "wait until the member serves revision {} or above",
                self.revision
            ),
            others => format!(
                "wait until the member serves revision {} or above, for which {others} more {} to be recovered",
                self.revision,
                match others {
                    1 => "member has",
                    _ => "members have",
                }
            ),
        };
        (
            Action::WaitUntilServing,
            title,
            vec![self.asked("endpoint status -w table")],
        )
    }

    fn prove(&self) -> Step {
        (
            Action::Prove,
            "compare the HashKV of the member with the one of what was made".into(),
            vec![self.asked("endpoint hashkv -w table")],
        )
    }

    fn asked(&self, what: &str) -> String {
        let mut words = vec!["etcd-snap etcdctl".to_owned()];
        if let Some(endpoint) = self.etcd.endpoints().first() {
            words.push(format!("--endpoints {}", word(endpoint)));
            if let Some(identity) = &self.etcd.client_identity {
                words.push(format!("--cacert {}", path(&identity.authority)));
                if let (Some(certificate), Some(key)) = (&identity.certificate, &identity.key) {
                    words.push(format!("--cert {} --key {}", path(certificate), path(key)));
                }
            }
        }
        words.push(what.to_owned());
        line(&words)
    }
}

/// A text for a shell, to be typed or pasted with any blanks before its lines, as a here-document cannot be.
fn printed(text: &str, to: &str) -> Vec<String> {
    let mut lines = vec!["printf '%s\\n' \\".to_owned()];
    lines.extend(text.lines().map(|line| format!("  {} \\", word(line))));
    lines.push(format!("  {to}"));
    lines
}

/// Whether a person of Kubernetes is spoken to.
pub(super) fn is_of_kubernetes(etcd: &Etcd) -> bool {
    use crate::Layout;
    matches!(etcd.run_by, RunBy::StaticPod { .. })
        || matches!(etcd.layout, Layout::Kubespray | Layout::K3s | Layout::Rke2)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn what_is_to_be_typed_can_be_pasted_with_blanks_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a file");
        let text = "--- it's\n  $HOME `x` \\\n\tEND\n";
        let lines = printed(text, &format!("> {}", path(&file)));
        let pasted: String = lines.iter().map(|line| format!("      {line}\n")).collect();
        let status = Command::new("/bin/sh").args(["-c", &pasted]).status();
        assert!(status.unwrap().success(), "{pasted}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    }
}
