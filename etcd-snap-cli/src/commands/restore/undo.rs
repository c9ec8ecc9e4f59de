//! `etcd-snap restore --undo`: the old member, back in its place.

use std::path::Path;

use comfy_table::Table;
use etcd_snap::{UndoOptions, UndoReport, undo_restore};

use super::arguments::Arguments;
use super::report::path;
use crate::arguments::Output;
use crate::commands::watched;
use crate::failure::Result;
use crate::journal;
use crate::render::{self, Render};

pub(super) fn run(data_dir: &Path, arguments: &Arguments, output: &Output) -> Result<()> {
    let report = watched(output.quiet, |progress| {
        let mut options = UndoOptions::default().with_observer(progress);
        if let Some(wal_dir) = &arguments.wal_dir {
            options = options.with_wal_dir(wal_dir);
        }
        undo_restore(data_dir, &options)
    })?;
    report.notes.iter().for_each(|note| journal::warning(note));
    render::print(&report, output.write_out)
}

impl Render for UndoReport {
    fn simple(&self) -> String {
        let data_dir = path(&self.data_dir);
        let mut lines = match &self.put_back {
            Some(_) => format!("The old member is back in {data_dir}\n"),
            None => format!("The restore that was stopped half done in {data_dir} is taken back\n"),
        };
        lines.push_str(&render::lines(&facts(self)));
        lines
    }

    fn tables(&self) -> Vec<Table> {
        let mut rows = vec![("data directory", path(&self.data_dir))];
        rows.extend(facts(self));
        vec![render::pairs(rows)]
    }
}

fn facts(report: &UndoReport) -> Vec<(&'static str, String)> {
    let places = [
        ("it was kept as", &report.put_back),
        ("set aside", &report.set_aside),
        ("its WAL", &report.wal_set_aside),
    ];
    let known = places.into_iter();
    known
        .filter_map(|(name, place)| Some((name, path(place.as_ref()?))))
        .collect()
}
