//! `etcd-snap restore --compare`: do data directories belong to the same restore?

use comfy_table::Table;
use etcd_snap::{CompareOptions, CompareReport, ComparedBy, ComparedMember, compare_restored};

use super::arguments::Arguments;
use super::report::path;
use crate::arguments::Output;
use crate::commands::watched;
use crate::failure::Result;
use crate::render::{self, Render};

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let report = watched(output.quiet, |progress| {
        let options = CompareOptions::default().with_observer(progress);
        compare_restored(&arguments.compare, &options)
    })?;
    render::print(&report, output.write_out)?;
    Ok(report.require_equal()?)
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
