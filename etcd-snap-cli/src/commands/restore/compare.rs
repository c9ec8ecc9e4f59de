//! `etcd-snap restore --compare`: do data directories belong to the same restore?

use std::fs;
use std::path::{Path, PathBuf};

use comfy_table::Table;
use etcd_snap::{
    CompareOptions, CompareReport, ComparedBy, ComparedMember, RestoreReport, compare_restored,
};

use super::arguments::Arguments;
use super::report::{OF_SEVERAL, beside, path};
use crate::arguments::Output;
use crate::commands::watched;
use crate::failure::Result;
use crate::render::{self, Render};

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let report = watched(output.quiet, |progress| {
        let options = CompareOptions::default().with_observer(progress);
        let places = arguments.compare.iter();
        let places = places.filter_map(|data_dir| Some((data_dir, wal_dir(data_dir)?)));
        let options = places.fold(options, |options, (data_dir, wal_dir)| {
            options.with_wal_dir(data_dir, wal_dir)
        });
        compare_restored(&arguments.compare, &options)
    })?;
    render::print(&report, output.write_out)?;
    Ok(report.require_equal()?)
}

/// Where the WAL of a data directory is that has none inside, as the report says that lies beside it.
fn wal_dir(data_dir: &Path) -> Option<PathBuf> {
    if data_dir.join("member/wal").exists() {
        return None;
    }
    let data_dir = data_dir.canonicalize().ok()?;
    let together = data_dir.parent()?.join(OF_SEVERAL);
    [beside(&data_dir), together].iter().find_map(|report| {
        let report: RestoreReport = serde_json::from_slice(&fs::read(report).ok()?).ok()?;
        let mut members = report.members.into_iter();
        let member = members.find(|member| member.data_dir == data_dir)?;
        Some(member.wal_dir)
    })
}

impl Render for CompareReport {
    fn simple(&self) -> String {
        let mut lines = verdict(self).to_owned();
        lines.push('\n');
        for member in &self.members {
            lines.push_str(&format!("{}\n", path(&member.data_dir)));
            lines.push_str(&render::lines(&facts(member)));
        }
        lines
    }

    fn tables(&self) -> Vec<Table> {
        let verdict = vec![
            ("verdict", verdict(self).to_owned()),
            ("compared", compared(&self.compared)),
        ];
        let mut tables = vec![render::pairs(verdict)];
        for member in &self.members {
            let mut rows = vec![("data directory", path(&member.data_dir))];
            rows.extend(facts(member));
            rows.extend(member.members.iter().map(|listed| {
                let urls = listed.peer_urls.join(", ");
                (
                    "lists",
                    format!("{} {} {urls}", listed.member_id, listed.name),
                )
            }));
            if let Some(fingerprint) = &member.fingerprint {
                rows.push(("fingerprint", fingerprint.clone()));
            }
            tables.push(render::pairs(rows));
        }
        tables
    }
}

fn verdict(report: &CompareReport) -> &'static str {
    match report.belong_together {
        true => "The directories belong to the same restore",
        false => "The directories do not belong to the same restore",
    }
}

fn compared(by: &ComparedBy) -> String {
    match by {
        ComparedBy::Bytes => "byte by byte".to_owned(),
        ComparedBy::HashKv { revision } => format!("the hash of their keys at revision {revision}"),
        _ => String::new(),
    }
}

fn facts(member: &ComparedMember) -> Vec<(&'static str, String)> {
    let name = member.name.as_deref().unwrap_or("not in its list");
    let mut facts = vec![
        ("member", format!("{name} ({})", member.member_id)),
        ("cluster id", member.cluster_id.to_string()),
        ("revision", member.revision.to_string()),
        (
            "state",
            match member.has_run {
                true => "a server has run in it",
                false => "as it was made",
            }
            .to_owned(),
        ),
    ];
    let differences = member.differences.iter();
    facts.extend(differences.map(|sentence| ("differs", sentence.clone())));
    facts
}
