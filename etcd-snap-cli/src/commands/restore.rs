//! `etcd-snap restore`: a data directory from a snapshot.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use comfy_table::Table;
use etcd_snap::{
    Bump, ErrorKind, MemberTarget, NewCluster, PeerUrls, RestoreOptions, RestoreReport, Snapshot,
};

use crate::arguments::Output;
use crate::commands::watched;
use crate::failure::Result;
use crate::render::{self, Render, text};
use crate::standard;

/// Make the data directory of a member from a snapshot
#[derive(Debug, Args)]
#[command(after_help = "\
Run it once for each member, with the same snapshot, initial cluster and token everywhere; then start etcd on the \
data directories. There is a complete member afterwards, or nothing. Host names are not looked up.

Examples:
  etcd-snap restore backup.db --data-dir new.etcd

  etcd-snap restore backup.db --name m1 \\
    --initial-cluster \\
    m1=https://a:2380,m2=https://b:2380 \\
    --initial-cluster-token after-the-fire \\
    --initial-advertise-peer-urls \\
    https://a:2380 \\
    --data-dir /var/lib/etcd")]
pub(crate) struct Arguments {
    /// The snapshot
    file: PathBuf,
    /// Name of the member
    #[arg(long, default_value = "default", help_heading = "Member")]
    name: String,
    /// Where its data goes: absent or empty [default: NAME.etcd]
    #[arg(long, value_name = "DIR", help_heading = "Member")]
    data_dir: Option<PathBuf>,
    /// Where its WAL goes [default: DIR/member/wal]
    #[arg(long, value_name = "DIR", help_heading = "Member")]
    wal_dir: Option<PathBuf>,
    /// The peer URLs it will have, with commas
    #[arg(
        long,
        value_name = "URLS",
        default_value = "http://localhost:2380",
        help_heading = "Member"
    )]
    initial_advertise_peer_urls: String,
    /// All members and their peer URLs, with commas
    #[arg(
        long,
        value_name = "NAME=URL",
        default_value = "default=http://localhost:2380",
        help_heading = "New cluster"
    )]
    initial_cluster: String,
    /// A word that the new cluster's ids are made with: a new one each time
    #[arg(
        long,
        value_name = "TOKEN",
        default_value = "etcd-cluster",
        help_heading = "New cluster"
    )]
    initial_cluster_token: String,
    /// Take a file without digest, or with a wrong one
    #[arg(long, help_heading = "Snapshot")]
    skip_hash_check: bool,
    /// Move the revision N ahead, beyond all that clients have seen
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        hide_default_value = true,
        help_heading = "Snapshot"
    )]
    bump_revision: u64,
    /// Mark what is before the bumped revision as compacted
    #[arg(long, help_heading = "Snapshot")]
    mark_compacted: bool,
}

pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    standard::refuse_input(&arguments.file, "restore")?;
    let report = watched(output.quiet, |progress| {
        let cluster =
            NewCluster::parse(&arguments.initial_cluster, &arguments.initial_cluster_token)?;
        let target = arguments.target()?;
        let snapshot = Snapshot::open(&arguments.file)?;
        let options = arguments.options().with_observer(progress);
        etcd_snap::restore(&snapshot, &cluster, &[target], &options)
    })
    .map_err(|failure| failure.or_hint(hint))?;
    render::print(&report, output.write_out)
}

impl Arguments {
    fn target(&self) -> etcd_snap::Result<MemberTarget> {
        let data_dir = match &self.data_dir {
            Some(directory) => directory.clone(),
            None => format!("{}.etcd", self.name).into(),
        };
        let urls = PeerUrls::parse(&self.initial_advertise_peer_urls)?;
        let target = MemberTarget::new(&self.name, data_dir).with_advertised_peer_urls(urls);
        Ok(match &self.wal_dir {
            Some(directory) => target.with_wal_dir(directory),
            None => target,
        })
    }

    fn options(&self) -> RestoreOptions {
        let bump = match self.bump_revision {
            0 => Bump::None,
            revisions => Bump::By(revisions),
        };
        RestoreOptions::default()
            .with_skip_hash_check(self.skip_hash_check)
            .with_bump(bump)
            .with_mark_compacted(self.mark_compacted)
    }
}

fn hint(error: &etcd_snap::Error) -> Option<String> {
    matches!(error.kind(), ErrorKind::DigestMismatch | ErrorKind::Damaged).then(|| {
        "`etcd-snap verify` lists everything that is wrong; another snapshot may be whole"
            .to_owned()
    })
}

impl Render for RestoreReport {
    fn simple(&self) -> String {
        let mut lines = String::new();
        for member in &self.members {
            lines.push_str(&format!(
                "Member {} restored in {}\n",
                text::visible(&member.name),
                path(&member.data_dir)
            ));
        }
        lines.push_str(&render::lines(&facts(self)));
        lines
    }

    fn tables(&self) -> Vec<Table> {
        let mut rows = Vec::new();
        for member in &self.members {
            rows.push(("member", member.name.clone()));
            rows.push(("member id", member.member_id.to_string()));
            rows.push(("peer URLs", member.peer_urls.join(", ")));
            rows.push(("data directory", path(&member.data_dir)));
            rows.push(("WAL directory", path(&member.wal_dir)));
        }
        rows.push(("initial cluster", self.initial_cluster.clone()));
        rows.push(("token", self.initial_cluster_token.clone()));
        rows.extend(facts(self));
        rows.push((
            "done in",
            text::duration(Duration::from_millis(self.duration_ms)),
        ));
        vec![render::pairs(rows)]
    }
}

fn facts(report: &RestoreReport) -> Vec<(&'static str, String)> {
    let contents = &report.contents;
    let mut facts = vec![
        ("cluster id", report.cluster_id.to_string()),
        (
            "revision",
            render::revision(contents.revision, contents.compact_revision),
        ),
    ];
    if contents.revision != report.snapshot_revision {
        facts.push(("in the snapshot", report.snapshot_revision.to_string()));
    }
    facts.extend([
        (
            "keys",
            render::keys(contents.live_keys, contents.total_records),
        ),
        ("size", text::size(report.database_bytes)),
        (
            "digest",
            match report.digest {
                Some(_) => "matches",
                None => "not compared",
            }
            .into(),
        ),
    ]);
    facts
}

fn path(path: &Path) -> String {
    text::visible(&path.display().to_string())
}
