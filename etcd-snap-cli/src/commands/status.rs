//! `etcd-snap status`: the numbers that etcd itself prints of a snapshot.

use std::path::PathBuf;

use clap::Args;
use comfy_table::Table;
use etcd_snap::{ErrorKind, Snapshot, Status, StatusOptions};

use crate::arguments::Output;
use crate::commands::watched;
use crate::failure::Result;
use crate::render::{self, Render, text};
use crate::standard;

/// Print the hash, revision, keys, size and version of a snapshot
#[derive(Debug, Args)]
#[command(after_help = "\
The numbers are those of `etcdutl snapshot status`. Pages and records are checked on the way; the digest is not, that \
is what verify does.

Examples:
  etcd-snap status backup.db
  etcd-snap status -w table backup.db")]
pub(crate) struct Arguments {
    /// The snapshot, or the database file of a stopped member
    file: PathBuf,
}

pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    standard::refuse_input(&arguments.file, "status")?;
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
