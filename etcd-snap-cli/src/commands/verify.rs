//! `etcd-snap verify`: is a snapshot whole?

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use comfy_table::Table;
use console::Term;
use etcd_snap::{DigestCheck, ErrorKind, Severity, Snapshot, VerifyOptions, VerifyReport};

use crate::arguments::Output;
use crate::commands::watched;
use crate::exit;
use crate::failure::{Failure, Result};
use crate::render::{self, Render, WriteOut, text};

/// Check that a snapshot is whole
#[derive(Debug, Args)]
#[command(after_help = "\
Compares the digest, checks every page, decodes every record, and lists all that is wrong. The file is only read. \
Ends with 0 only if the snapshot is proven: 7 means damaged, 8 sound but without a digest to prove it.

Examples:
  etcd-snap verify backup.db
  etcd-snap verify -w json backup.db")]
pub(crate) struct Arguments {
    /// The snapshot, or the database file of a stopped member
    file: PathBuf,
}

pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let report = watched(output.quiet, |progress| {
        let snapshot = Snapshot::open(&arguments.file)?;
        let options = VerifyOptions::default().with_observer(progress);
        etcd_snap::verify(&snapshot, &options)
    })?;
    render::print(&report, output.write_out)?;
    match report.into_proven() {
        Ok(_) => Ok(()),
        // Whoever looks at both streams has just read the whole list.
        Err(error)
            if error.kind() != ErrorKind::NoDigest
                && output.write_out != WriteOut::Json
                && io::stdout().is_terminal()
                && io::stderr().is_terminal() =>
        {
            Err(Failure::Reported {
                code: exit::code(error.kind()),
            })
        }
        Err(error) => Err(Failure::from(error).or_hint(hint)),
    }
}

fn hint(error: &etcd_snap::Error) -> Option<String> {
    match error.kind() {
        ErrorKind::NoDigest => Some(
            "only `etcd-snap save` and `etcdctl snapshot save` add a digest; a copy of a member's db file has none".into(),
        ),
        ErrorKind::Damaged | ErrorKind::DigestMismatch => {
            Some("take a new snapshot while the cluster lives, or an older one".into())
        }
        _ => None,
    }
}

impl Render for VerifyReport {
    fn simple(&self) -> String {
        let mut lines = verdict(self);
        lines.push('\n');
        lines.push_str(&problem_lines(self));
        lines.push_str(&render::lines(&if self.is_sound() {
            facts(self)
        } else {
            // What can still be read of a damaged database is for those who ask for it.
            vec![digest(&self.digest), size(self)]
        }));
        lines
    }

    fn tables(&self) -> Vec<Table> {
        let mut rows = vec![("verdict", verdict(self))];
        rows.extend(facts(self));
        if let DigestCheck::Matches { digest } = self.digest {
            rows.push(("SHA-256", digest.to_string()));
        }
        rows.push(("hash", format!("{:x}", self.contents.hash)));
        rows.push((
            "page size",
            text::count(self.page_size_bytes.into(), "byte"),
        ));
        rows.push((
            "checked in",
            text::duration(Duration::from_millis(self.duration_ms)),
        ));
        let mut tables = vec![render::pairs(rows)];
        if !self.problems.is_empty() {
            tables.push(problem_table(self));
        }
        tables
    }
}

fn verdict(report: &VerifyReport) -> String {
    let word = match report.digest {
        _ if !report.is_sound() => "DAMAGED",
        DigestCheck::Missing { .. } => "sound, no digest",
        _ => "sound",
    };
    let file = report
        .path
        .as_ref()
        .map(|path| path.display().to_string())
        .unwrap_or_default();
    let problems = (report.problems.len() as u64).saturating_add(report.more_problems);
    let file = text::visible(&file);
    match problems {
        0 => format!("{word}: {file}"),
        _ => format!("{word}: {file}, {}", text::count(problems, "problem")),
    }
}

fn facts(report: &VerifyReport) -> Vec<(&'static str, String)> {
    let contents = &report.contents;
    let mut facts = vec![
        digest(&report.digest),
        (
            "revision",
            render::revision(contents.revision, contents.compact_revision),
        ),
        (
            "keys",
            render::keys(contents.live_keys, contents.total_records),
        ),
        size(report),
        ("members", contents.members.to_string()),
        ("leases", contents.leases.to_string()),
        (
            "auth",
            if contents.auth_enabled { "on" } else { "off" }.into(),
        ),
    ];
    if let Some(version) = &contents.cluster_version {
        facts.push(("cluster version", version.clone()));
    }
    if let Some(version) = &contents.storage_version {
        facts.push(("storage version", version.clone()));
    }
    facts.extend(contents.alarms.iter().map(|alarm| ("alarm", alarm.clone())));
    facts
}

fn size(report: &VerifyReport) -> (&'static str, String) {
    ("size", text::size(report.size_bytes))
}

fn digest(check: &DigestCheck) -> (&'static str, String) {
    let verdict = match check {
        DigestCheck::Matches { .. } => "matches",
        DigestCheck::Mismatch { .. } => "does not match",
        _ => "none",
    };
    ("digest", verdict.into())
}

fn problem_lines(report: &VerifyReport) -> String {
    let width = text::width(&Term::stdout());
    let mut lines: String = report
        .problems
        .iter()
        .map(|problem| {
            let severity = severity(problem.severity);
            let line = format!("  {severity}: {}", text::visible(&problem.to_string()));
            format!("{}\n", text::wrap(&line, width, 4))
        })
        .collect();
    if report.more_problems > 0 {
        lines.push_str(&format!("  and {} more\n", report.more_problems));
    }
    lines
}

fn problem_table(report: &VerifyReport) -> Table {
    let mut table = render::frame();
    table.set_header(["severity", "page", "byte", "problem"]);
    for problem in &report.problems {
        let number = |number: Option<String>| number.unwrap_or_default();
        table.add_row([
            severity(problem.severity).to_owned(),
            number(problem.page.map(|page| page.to_string())),
            number(problem.offset.map(|offset| offset.to_string())),
            text::visible(&problem.message),
        ]);
    }
    if report.more_problems > 0 {
        table.add_row([
            String::new(),
            String::new(),
            String::new(),
            format!("and {} more", report.more_problems),
        ]);
    }
    table
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Damaged => "damaged",
        Severity::Suspicious => "suspicious",
        _ => "note",
    }
}
