//! `etcd-snap defrag`: the database of a stopped member, without its free pages.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use comfy_table::Table;
use etcd_snap::{DefragOptions, DefragReport, ErrorKind};

use crate::arguments::Output;
use crate::commands::watched;
use crate::failure::Result;
use crate::render::{self, Render, text};

/// Give the free pages of a stopped member's database back to the disk
#[derive(Debug, Args)]
#[command(after_help = "\
Stop the etcd that uses the directory first. The new file is written beside the old one, which takes as much space as \
the pages in use, and is proven to hold the same before it takes its place in one step. A damaged database is refused, \
and stays as it is.

Examples:
  etcd-snap defrag --data-dir /var/lib/etcd
  etcd-snap defrag --data-dir m1.etcd -w json")]
pub(crate) struct Arguments {
    /// The data directory of the member
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
}

pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let report = watched(output.quiet, |progress| {
        let options = DefragOptions::default().with_observer(progress);
        etcd_snap::defrag(&arguments.data_dir, &options)
    })
    .map_err(|failure| failure.or_hint(hint))?;
    render::print(&report, output.write_out)
}

fn hint(error: &etcd_snap::Error) -> Option<String> {
    (error.kind() == ErrorKind::Damaged).then(|| {
        "`etcd-snap verify` lists everything that is wrong; the other members of the cluster may be whole"
            .to_owned()
    })
}

impl Render for DefragReport {
    fn simple(&self) -> String {
        format!(
            "Defragmented {}\n{}",
            text::visible(&self.data_dir.display().to_string()),
            render::lines(&facts(self))
        )
    }

    fn tables(&self) -> Vec<Table> {
        let mut rows = vec![("data directory", self.data_dir.display().to_string())];
        rows.extend(facts(self));
        rows.push(("hash", format!("{:x}", self.contents.hash)));
        let took = Duration::from_millis(self.duration_ms);
        rows.push(("done in", text::duration(took)));
        vec![render::pairs(rows)]
    }
}

fn facts(report: &DefragReport) -> Vec<(&'static str, String)> {
    let bytes = [
        report.file_before_bytes,
        report.in_use_before_bytes,
        report.size_after_bytes,
    ];
    render::written_anew(bytes, [], &report.contents)
}
