//! `etcd-snap status`: the numbers that etcd itself prints of a snapshot.

use std::path::PathBuf;

use clap::Args;
use comfy_table::Table;
use etcd_snap::{ErrorKind, FastStatus, Snapshot, Status, StatusOptions};

use crate::arguments::Output;
use crate::commands::watched;
use crate::failure::{Failure, Result};
use crate::render::{self, Render, text};
use crate::standard;

/// Print the hash, revision, keys, size and version of a snapshot
#[derive(Debug, Args)]
#[command(after_help = "\
The numbers are those of `etcdutl snapshot status`. Pages and records are checked on the way; the digest is not, that \
is what verify does. With --fast, only the meta pages, the small buckets and the last record are read, which takes \
milliseconds at any size, and there is neither hash nor number of keys.

Examples:
  etcd-snap status backup.db
  etcd-snap status --fast backup.db
  etcd-snap status -w table backup.db")]
pub(crate) struct Arguments {
    /// The snapshot, or the database file of a stopped member
    file: PathBuf,
    /// Read a few pages only
    #[arg(long)]
    fast: bool,
}

pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    standard::refuse_input(&arguments.file, "status")?;
    if arguments.fast {
        let status = Snapshot::open(&arguments.file)
            .and_then(|snapshot| etcd_snap::fast_status(&snapshot))
            .map_err(|error| Failure::from(error).or_hint(hint))?;
        return render::print(&status, output.write_out);
    }
    let status = watched(output.quiet, |progress| {
        let snapshot = Snapshot::open(&arguments.file)?;
        let options = StatusOptions::default().with_observer(progress);
        etcd_snap::status_with(&snapshot, &options)
    })
    .map_err(|failure| failure.or_hint(hint))?;
    render::print(&status, output.write_out)
}

fn hint(error: &etcd_snap::Error) -> Option<String> {
    (error.kind() == ErrorKind::Damaged)
        .then(|| "`etcd-snap verify` lists everything that is wrong".to_owned())
}

impl Render for Status {
    fn simple(&self) -> String {
        format!(
            "{:x}, {}, {}, {}, {}\n",
            self.hash,
            self.revision,
            self.live_keys,
            text::size(self.total_size_bytes),
            text::visible(self.storage_version.as_deref().unwrap_or_default()),
        )
    }

    fn tables(&self) -> Vec<Table> {
        vec![render::pairs(vec![
            ("hash", format!("{:x}", self.hash)),
            ("revision", self.revision.to_string()),
            ("keys, since etcd 3.6", self.live_keys.to_string()),
            ("keys, up to etcd 3.5", self.total_records.to_string()),
            ("size", text::size(self.total_size_bytes)),
            ("version", self.storage_version.clone().unwrap_or_default()),
        ])]
    }
}

impl Render for FastStatus {
    fn simple(&self) -> String {
        render::lines(&facts(self))
    }

    fn tables(&self) -> Vec<Table> {
        let mut rows = facts(self);
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        let more = [
            (
                "page size",
                Some(text::count(self.page_size_bytes.into(), "byte")),
            ),
            ("consistent index", number(self.consistent_index)),
            ("term", number(self.term)),
        ];
        rows.extend(
            more.into_iter()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        vec![render::pairs(rows)]
    }
}

fn facts(status: &FastStatus) -> Vec<(&'static str, String)> {
    const NOT_COMPUTED: &str = "not computed";
    let leases = status.leases.map(|leases| leases.to_string());
    let mut facts = vec![
        ("hash", NOT_COMPUTED.to_owned()),
        (
            "revision",
            render::revision(status.revision, status.compact_revision),
        ),
        ("keys", NOT_COMPUTED.to_owned()),
        ("size", text::size(status.total_size_bytes)),
        ("members", status.members.to_string()),
        (
            "leases",
            leases.unwrap_or_else(|| "many, not counted".to_owned()),
        ),
        (
            "auth",
            if status.auth_enabled { "on" } else { "off" }.into(),
        ),
    ];
    let versions = [
        ("cluster version", &status.cluster_version),
        ("storage version", &status.storage_version),
    ];
    facts.extend(
        versions
            .into_iter()
            .filter_map(|(name, version)| Some((name, version.clone()?))),
    );
    facts.extend(status.alarms.iter().map(|alarm| ("alarm", alarm.clone())));
    facts
}
