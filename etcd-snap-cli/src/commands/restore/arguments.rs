//! The flags of a restore.

use std::path::PathBuf;

use clap::Args;

use super::contents::Contents;
use crate::connection::Connection;
use crate::on_node::OnNode;
use crate::values;

/// What says nothing where nothing is restored.
const OF_A_RESTORE: [&str; 28] = [
    "file",
    "discover",
    "root",
    "etcd",
    "name",
    "data_dir",
    "initial_advertise_peer_urls",
    "replace",
    "owner",
    "dry_run",
    "all_members",
    "members",
    "output_dir",
    "initial_cluster",
    "initial_cluster_token",
    "from_member",
    "plan",
    "drop_alarms",
    "drop_leases",
    "squeeze",
    "target_version",
    "quota_bytes",
    "skip_hash_check",
    "force_damaged",
    "bump_revision",
    "mark_compacted",
    "kubernetes",
    "endpoints",
];

/// Make data directories of members from a snapshot
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
There are complete members afterwards, or nothing. Host names are not looked up. All members of a cluster come from the \
same snapshot, initial cluster and token: --all-members makes all of their directories at once, to be moved to their nodes, \
and --plan keeps what was decided, for a run on each node.

Clients that have seen more than the snapshot has are misled when the revision goes back. --bump-revision=auto moves it above \
all that they can have seen: at --endpoints, and in the data directory that is replaced, with a margin; where there is nothing \
to look at, by a billion. --kubernetes does that and says what to restart.

--discover takes name, initial cluster, peer URLs, places and owner from the etcd that `etcd-snap discover` finds on this \
machine, unless flags say otherwise. It is to be stopped; `etcd-snap recover` does that too.

--compare says whether directories belong to the same restore; if not, the exit code is 11.

Beside each data directory DIR lies DIR.restore-report.json, or one report in --output-dir.

Examples:
  etcd-snap restore backup.db \\
    --from-member m1 --kubernetes \\
    --initial-cluster-token auto \\
    --data-dir new.etcd

  etcd-snap restore backup.db --all-members \\
    --initial-cluster \\
    m1=https://a:2380,m2=https://b:2380 \\
    --initial-cluster-token auto \\
    --output-dir restored

  etcd-snap restore backup.db --name m1 \\
    --plan plan.yaml --data-dir /var/lib/etcd

  etcd-snap restore backup.db --discover \\
    --replace --dry-run

  etcd-snap restore --compare \\
    restored/m1 restored/m2")]
pub(crate) struct Arguments {
    /// The snapshot
    #[arg(required_unless_present_any = ["compare", "undo"])]
    pub(super) file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) on_node: OnNode,
    /// Which etcd, where there are several: its name, unit, pod or manifest
    #[arg(
        long,
        value_name = "NAME",
        requires = "discover",
        help_heading = "Node"
    )]
    pub(super) etcd: Option<String>,
    /// Name of the member [default: default]
    #[arg(long, help_heading = "Member")]
    pub(super) name: Option<String>,
    /// Where its data goes: absent or empty [default: NAME.etcd]
    #[arg(long, value_name = "DIR", help_heading = "Member")]
    pub(super) data_dir: Option<PathBuf>,
    /// Where its WAL goes [default: DIR/member/wal]
    #[arg(long, value_name = "DIR", help_heading = "Member")]
    pub(super) wal_dir: Option<PathBuf>,
    /// The peer URLs it will have, with commas [default: those in the initial cluster]
    #[arg(long, value_name = "URLS", help_heading = "Member")]
    pub(super) initial_advertise_peer_urls: Option<String>,
    /// Replace the member that is there: it is kept as member.old-TIME
    #[arg(long, help_heading = "Target")]
    pub(super) replace: bool,
    /// Whom all of it belongs to [default: whom the old data belongs to]
    #[arg(long, value_name = "USER:GROUP", help_heading = "Target")]
    pub(super) owner: Option<String>,
    /// Check everything, and say what would be done
    #[arg(long, help_heading = "Target")]
    pub(super) dry_run: bool,
    /// Put back what a restore with --replace has replaced in this data directory
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with = "compare",
        conflicts_with_all = OF_A_RESTORE,
        help_heading = "Target"
    )]
    pub(super) undo: Option<PathBuf>,
    /// Make all members of the cluster
    #[arg(
        long,
        conflicts_with_all = ["members", "discover", "name", "data_dir", "wal_dir", "initial_advertise_peer_urls"],
        help_heading = "Several members"
    )]
    pub(super) all_members: bool,
    /// Make the members of these names, with commas
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        conflicts_with_all = ["discover", "name", "data_dir", "wal_dir", "initial_advertise_peer_urls"],
        help_heading = "Several members"
    )]
    pub(super) members: Vec<String>,
    /// Where they go: a directory each, DIR/NAME
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = ["discover", "data_dir", "wal_dir"],
        help_heading = "Several members"
    )]
    pub(super) output_dir: Option<PathBuf>,
    /// Say whether these data directories belong to the same restore
    #[arg(
        long,
        value_name = "DIR",
        num_args = 1..,
        conflicts_with = "wal_dir",
        conflicts_with_all = OF_A_RESTORE,
        help_heading = "Several members"
    )]
    pub(super) compare: Vec<PathBuf>,
    /// All members and their peer URLs, with commas [default: default=http://localhost:2380]
    #[arg(long, value_name = "NAME=URL", help_heading = "New cluster")]
    pub(super) initial_cluster: Option<String>,
    /// A word that the new cluster's ids are made with: a new one each time, auto makes one [default: etcd-cluster]
    #[arg(long, value_name = "TOKEN", help_heading = "New cluster")]
    pub(super) initial_cluster_token: Option<String>,
    /// Take name and peer URLs of this member in the snapshot; with several members, of all of them
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with_all = ["initial_cluster", "name", "discover"],
        help_heading = "New cluster"
    )]
    pub(super) from_member: Option<String>,
    /// Follow this plan; where there is none yet, write what was decided
    #[arg(long, value_name = "FILE", help_heading = "New cluster")]
    pub(super) plan: Option<PathBuf>,
    #[command(flatten)]
    pub(super) contents: Contents,
    /// The --quota-backend-bytes that the members will have, like 8GiB
    #[arg(
        long,
        value_name = "SIZE",
        value_parser = values::size,
        help_heading = "Contents"
    )]
    pub(super) quota_bytes: Option<u64>,
    /// Restore damaged pages and records as they are: keys on them are lost, and a server may panic when it meets them
    #[arg(long, help_heading = "Snapshot")]
    pub(super) force_damaged: bool,
    /// Move the revision N ahead, beyond all that clients have seen; auto looks for it
    #[arg(
        long,
        value_name = "N",
        value_parser = bump,
        help_heading = "Revision"
    )]
    pub(super) bump_revision: Option<Bump>,
    /// Mark what is before the bumped revision as compacted; auto does it
    #[arg(long, help_heading = "Revision")]
    pub(super) mark_compacted: bool,
    /// The same as --bump-revision=auto --mark-compacted, and say what to restart
    #[arg(long, help_heading = "Revision")]
    pub(super) kubernetes: bool,
    /// Members that live, with commas: look at the revision that they are at
    #[arg(long, value_name = "URLS", help_heading = "Connection")]
    pub(super) endpoints: Option<String>,
    #[command(flatten)]
    pub(super) connection: Connection,
}

/// How far the revision is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bump {
    Auto,
    By(u64),
}

fn bump(text: &str) -> Result<Bump, String> {
    match text {
        "auto" => Ok(Bump::Auto),
        _ => text
            .parse()
            .map(Bump::By)
            .map_err(|_| "write a number, or auto".to_owned()),
    }
}

impl Arguments {
    /// What is said of the bump, where something is.
    pub(super) fn bump(&self) -> Option<Bump> {
        match self.bump_revision {
            None | Some(Bump::By(0)) if self.kubernetes => Some(Bump::Auto),
            given => given,
        }
    }

    /// The members to look at, where some are named or to be found.
    pub(super) fn living(&self) -> Option<&str> {
        self.connection.named(self.endpoints.as_deref())
    }

    /// Whether several members are wanted.
    pub(super) fn several(&self) -> bool {
        self.all_members || !self.members.is_empty()
    }
}
