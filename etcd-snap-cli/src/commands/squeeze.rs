//! `etcd-snap squeeze`: a snapshot file without the pages that nobody uses.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use comfy_table::Table;
use etcd_snap::{ErrorKind, Snapshot, SqueezeOptions, SqueezeReport};

use crate::arguments::Output;
use crate::commands::watched;
use crate::failure::Result;
use crate::render::{self, Render, text};

/// Write a snapshot file anew, without its free pages
#[derive(Debug, Args)]
#[command(after_help = "\
The snapshot is proven first, and the new file is proven to hold the same before it gets its name, with a digest of its own. \
OUT may be IN, which is then replaced in one step. A damaged snapshot is refused, and stays as it is.

Examples:
  etcd-snap squeeze backup.db small.db
  etcd-snap squeeze backup.db backup.db -w json
  etcd-snap squeeze --skip-hash-check /var/lib/etcd/member/snap/db backup.db")]
pub(crate) struct Arguments {
    /// The snapshot file
    #[arg(value_name = "IN")]
    snapshot: PathBuf,
    /// The file to write
    #[arg(value_name = "OUT")]
    target: PathBuf,
    /// Refuse to replace OUT if it is there
    #[arg(long)]
    no_clobber: bool,
    /// Take a file without digest, as the copy of a stopped member's db is
    #[arg(long)]
    skip_hash_check: bool,
}

pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let report = watched(output.quiet, |progress| {
        let options = SqueezeOptions::default()
            .with_no_clobber(arguments.no_clobber)
            .with_skip_hash_check(arguments.skip_hash_check)
            .with_observer(progress);
        let snapshot = Snapshot::open(&arguments.snapshot)?;
        etcd_snap::squeeze(&snapshot, &arguments.target, &options)
    })
    .map_err(|failure| failure.or_hint(hint))?;
    render::print(&report, output.write_out)
}

fn hint(error: &etcd_snap::Error) -> Option<String> {
    let hint = match error.kind() {
        ErrorKind::Damaged | ErrorKind::DigestMismatch => {
            "`etcd-snap verify` lists everything that is wrong; squeeze another snapshot"
        }
        ErrorKind::NoDigest => "if it is the copy of a stopped member's db, say --skip-hash-check",
        _ => return None,
    };
    Some(hint.to_owned())
}

impl Render for SqueezeReport {
    fn simple(&self) -> String {
        format!(
            "Squeezed into {}\n{}",
            text::visible(&self.target.display().to_string()),
            render::lines(&facts(self))
        )
    }

    fn tables(&self) -> Vec<Table> {
        let mut rows = vec![("file", self.target.display().to_string())];
        rows.extend(facts(self));
        rows.push(("hash", format!("{:x}", self.contents.hash)));
        let took = Duration::from_millis(self.duration_ms);
        rows.push(("done in", text::duration(took)));
        vec![render::pairs(rows)]
    }
}

fn facts(report: &SqueezeReport) -> Vec<(&'static str, String)> {
    let bytes = [
        report.file_before_bytes,
        report.in_use_before_bytes,
        report.file_after_bytes,
    ];
    render::written_anew(
        bytes,
        [("SHA-256", report.digest.to_string())],
        &report.contents,
    )
}
