//! The flags of a recovery.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use etcd_snap::Revision;
use etcd_snap_node::{ApplyOptions, PlanOptions, Root, STATE_DIRECTORY};

use crate::commands::drill::executable;
use crate::commands::restore::contents::Contents;
use crate::values;

/// What says nothing once a recovery is under way: its journal has all of it.
const OF_A_PLAN: [&str; 19] = [
    "snapshot",
    "etcd",
    "plan_file",
    "new_data_dir",
    "alone",
    "initial_cluster",
    "initial_cluster_token",
    "bump_revision",
    "no_bump",
    "seen_revision",
    "skip_hash_check",
    "drop_alarms",
    "drop_leases",
    "squeeze",
    "target_version",
    "force_with_quorum",
    "max_age",
    "plan",
    "apply",
];

/// Bring this node back from a snapshot
#[derive(Debug, Args)]
#[command(after_help = "\
Without --apply nothing is changed: the plan shows what was found, each step with what a person would type to do the same, and what the \
other nodes must do. With it, the new member is made aside, etcd and the API server are stopped, the member is put in place, all is \
started again, and what the member serves is compared with the snapshot. The old member is kept.

Each step is noted: after a crash, --resume goes on and --rollback goes back. In a cluster of several members, the first node writes \
--plan-file, and each other one is given it; until enough of them are back, the exit code is 14, and --resume proves the cluster later.

k3s, RKE2, OpenShift, kOps and Talos own their etcd: for them the plan says how their own way goes.

Examples:
  etcd-snap recover backup.db
  etcd-snap recover backup.db --apply
  etcd-snap recover backup.db --apply \\
    --plan-file plan.yaml
  etcd-snap recover --resume
  etcd-snap recover --rollback")]
pub(crate) struct Arguments {
    /// The snapshot
    #[arg(required_unless_present_any = ["resume", "rollback"])]
    pub(super) snapshot: Option<PathBuf>,
    /// Show what would be done; so it is without --apply
    #[arg(long, conflicts_with_all = ["apply", "resume", "rollback"], help_heading = "What to do")]
    pub(super) plan: bool,
    /// Do it
    #[arg(long, conflicts_with_all = ["resume", "rollback"], help_heading = "What to do")]
    pub(super) apply: bool,
    /// Go on where a recovery has stopped, or prove the cluster when the other members are back
    #[arg(long, conflicts_with_all = OF_A_PLAN, conflicts_with = "rollback", help_heading = "What to do")]
    pub(super) resume: bool,
    /// Put back what was there before
    #[arg(long, conflicts_with_all = OF_A_PLAN, help_heading = "What to do")]
    pub(super) rollback: bool,
    /// Do not ask
    #[arg(short, long, conflicts_with = "plan", help_heading = "What to do")]
    pub(super) yes: bool,
    /// The tree of the machine [default: /]
    #[arg(long, value_name = "DIR", help_heading = "Node")]
    pub(super) root: Option<PathBuf>,
    /// Which etcd, where there are several: its name, unit, pod or manifest
    #[arg(long, value_name = "NAME", help_heading = "Node")]
    pub(super) etcd: Option<String>,
    /// Where the journal of a recovery is kept, in the tree of the machine
    #[arg(
        long,
        value_name = "DIR",
        default_value = STATE_DIRECTORY,
        help_heading = "Node"
    )]
    pub(super) state_dir: PathBuf,
    /// The systemctl that stops and starts a unit; a unit in another tree than / needs one [default: the one in PATH]
    #[arg(long, value_name = "PATH", help_heading = "Node")]
    pub(super) systemctl: Option<PathBuf>,
    /// The longest that etcd may take to stop
    #[arg(
        long,
        value_name = "TIME",
        default_value = "5m",
        value_parser = values::waiting_time,
        help_heading = "Node"
    )]
    pub(super) stop_timeout: Duration,
    /// The longest that it may take to serve
    #[arg(
        long,
        value_name = "TIME",
        default_value = "10m",
        value_parser = values::waiting_time,
        help_heading = "Node"
    )]
    pub(super) start_timeout: Duration,
    /// Make the member there, and change what starts etcd
    #[arg(long, value_name = "DIR", help_heading = "Node")]
    pub(super) new_data_dir: Option<PathBuf>,
    /// Follow this plan; where there is none yet, write what was decided
    #[arg(long, value_name = "FILE", help_heading = "New cluster")]
    pub(super) plan_file: Option<PathBuf>,
    /// Make a cluster of this node only; the others join it anew
    #[arg(long, conflicts_with = "initial_cluster", help_heading = "New cluster")]
    pub(super) alone: bool,
    /// All members and their peer URLs, with commas [default: those in the snapshot]
    #[arg(long, value_name = "NAME=URL", help_heading = "New cluster")]
    pub(super) initial_cluster: Option<String>,
    /// A word that the new cluster's ids are made with [default: a fresh one]
    #[arg(long, value_name = "TOKEN", help_heading = "New cluster")]
    pub(super) initial_cluster_token: Option<String>,
    /// Recover though the cluster has its quorum: what was written since the snapshot is lost
    #[arg(long, help_heading = "New cluster")]
    pub(super) force_with_quorum: bool,
    /// Move the revision N ahead [default: above all that clients can have seen]
    #[arg(long, value_name = "N", help_heading = "Revision")]
    pub(super) bump_revision: Option<u64>,
    /// Leave the revision where it is
    #[arg(long, conflicts_with = "bump_revision", help_heading = "Revision")]
    pub(super) no_bump: bool,
    /// A revision that clients have seen, beside what is found
    #[arg(long, value_name = "N", help_heading = "Revision")]
    pub(super) seen_revision: Option<i64>,
    /// Point out a snapshot that is older
    #[arg(
        long,
        value_name = "TIME",
        value_parser = humantime::parse_duration,
        default_value = "24h",
        help_heading = "Snapshot"
    )]
    pub(super) max_age: Duration,
    #[command(flatten)]
    pub(super) contents: Contents,
}

impl Arguments {
    pub(super) fn plan_options(&self, root: Root) -> PlanOptions {
        let mut options = PlanOptions::default()
            .with_root(root)
            .with_alone(self.alone)
            .with_restore_options(self.contents.options())
            .with_force_with_quorum(self.force_with_quorum)
            .with_old(self.max_age)
            .with_state_directory(&self.state_dir);
        // Of a tree that is only looked at nobody knows whose servers those are. What is changed has to be asked.
        if self.apply {
            options = options.with_questions(true);
        }
        if let Some(name) = &self.etcd {
            options = options.with_etcd(name);
        }
        if let Some(directory) = &self.new_data_dir {
            options = options.with_new_data_dir(directory);
        }
        if let Some(file) = &self.plan_file {
            options = options.with_plan_file(file);
        }
        if let Some(members) = &self.initial_cluster {
            options = options.with_initial_cluster(members);
        }
        if let Some(token) = &self.initial_cluster_token {
            options = options.with_token(token);
        }
        if let Some(by) = self.bump_revision.or(self.no_bump.then_some(0)) {
            options = options.with_bump(by);
        }
        if let Some(revision) = self.seen_revision {
            options = options.with_seen(Revision::new(revision));
        }
        options
    }

    /// The flags that another run needs too, which finds the journal by them.
    pub(super) fn of_the_machine(&self) -> String {
        let mut flags = String::new();
        let mut add = |flag: &str, path: &Path| {
            let path = path.display().to_string();
            let is_plain = |it: char| it.is_ascii_alphanumeric() || "_-./:=,@%+".contains(it);
            let _ = match path.chars().all(is_plain) {
                true => write!(flags, " {flag} {path}"),
                false => write!(flags, " {flag} '{}'", path.replace('\'', r"'\''")),
            };
        };
        if let Some(root) = &self.root {
            add("--root", root);
        }
        if self.state_dir != Path::new(STATE_DIRECTORY) {
            add("--state-dir", &self.state_dir);
        }
        if let Some(systemctl) = &self.systemctl {
            add("--systemctl", systemctl);
        }
        flags
    }

    pub(super) fn apply_options(&self, root: Root) -> ApplyOptions {
        // The one in PATH speaks to the systemd of this machine, which has nothing to do with another tree.
        let of_machine = || executable::in_path("systemctl").filter(|_| root.is_this_machine());
        let systemctl = self.systemctl.clone().or_else(of_machine);
        let options = ApplyOptions::default()
            .with_root(root)
            .with_state_directory(&self.state_dir)
            .with_stop_timeout(self.stop_timeout)
            .with_start_timeout(self.start_timeout);
        match systemctl {
            Some(program) => options.with_systemctl(program),
            None => options,
        }
    }
}
