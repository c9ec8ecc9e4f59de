//! `etcd-snap hashkv`: the hash by which members compare their stores.

use std::path::PathBuf;

use clap::Args;
use comfy_table::Table;
use etcd_snap::{ErrorKind, HashKv, HashKvOptions, Revision, Snapshot};

use crate::arguments::Output;
use crate::commands::watched;
use crate::failure::Result;
use crate::render::{self, Render};
use crate::standard;

/// Print the hash by which members compare their keys
#[derive(Debug, Args)]
#[command(after_help = "\
Prints the hash, its revision, and how far the store is compacted (-1: never), as `etcdutl hashkv` does, but only reads \
the file. A member that holds the same keys answers the same hash, provided that it is compacted as far: two hashes \
compare only with the same compact revision. The digest is not looked at, that is what verify does.

Examples:
  etcd-snap hashkv backup.db
  etcd-snap hashkv backup.db --rev 1200
  etcd-snap hashkv backup.db --compact-rev 1100")]
pub(crate) struct Arguments {
    /// The snapshot, or the database file of a stopped member
    file: PathBuf,
    /// Hash at revision R; 0 stands for the newest
    #[arg(
        long,
        value_name = "R",
        default_value_t = 0,
        hide_default_value = true,
        value_parser = clap::value_parser!(i64).range(0..)
    )]
    rev: i64,
    /// Hash as a member does that has compacted up to C [default: as far as the snapshot is compacted]
    #[arg(
        long,
        value_name = "C",
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(i64).range(-1..)
    )]
    compact_rev: Option<i64>,
}

pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    standard::refuse_input(&arguments.file, "hashkv")?;
    let hash = watched(output.quiet, |progress| {
        let snapshot = Snapshot::open(&arguments.file)?;
        let options = arguments.options().with_observer(progress);
        etcd_snap::hash_kv(&snapshot, &options)
    })
    .map_err(|failure| failure.or_hint(hint))?;
    render::print(&hash, output.write_out)
}

fn hint(error: &etcd_snap::Error) -> Option<String> {
    (error.kind() == ErrorKind::Damaged)
        .then(|| "`etcd-snap verify` lists everything that is wrong".to_owned())
}

impl Arguments {
    fn options(&self) -> HashKvOptions {
        let options = HashKvOptions::default().with_revision(Revision::new(self.rev));
        match self.compact_rev {
            Some(revision) => options.with_compact_revision(Revision::new(revision)),
            None => options,
        }
    }
}

impl Render for HashKv {
    fn simple(&self) -> String {
        let compacted = self.compact_revision.map_or(-1, Revision::get);
        format!("{}, {}, {compacted}\n", self.hash, self.revision)
    }

    fn tables(&self) -> Vec<Table> {
        let compacted = self.compact_revision.map(|revision| revision.to_string());
        vec![render::pairs(vec![
            ("hash", self.hash.to_string()),
            ("revision", self.revision.to_string()),
            (
                "compact revision",
                compacted.unwrap_or_else(|| "never compacted".to_owned()),
            ),
        ])]
    }
}
