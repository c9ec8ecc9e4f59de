//! `etcd-snap verify`: is a snapshot whole?

mod stream;

use std::io::{self, IsTerminal};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use comfy_table::Table;
use console::Term;
use etcd_snap::{DigestCheck, ErrorKind, Problem, Severity, Snapshot, VerifyOptions, VerifyReport};

use crate::arguments::Output;
use crate::commands::watched;
use crate::exit;
use crate::failure::{Failure, Result};
use crate::render::{self, Render, WriteOut, text};
use crate::standard;

/// Check that a snapshot is whole
#[derive(Debug, Args)]
#[command(after_help = "\
Compares the digest, checks every page, decodes every record, and lists all that is wrong. The file is only read. \
Ends with 0 only if the snapshot is proven: 7 means damaged, 8 sound but without a digest to prove it.

Of a pipe, or of - for standard input, the digest is proven and every page by itself: what hangs together how, and what \
the records say, shows in a file only.

Examples:
  etcd-snap verify backup.db
  etcd-snap verify -w json backup.db
  zstd -dc backup.db.zst | etcd-snap verify -")]
pub(crate) struct Arguments {
    /// The snapshot, or the database file of a stopped member; - is standard input
    file: PathBuf,
    /// How many problems to list, at least one; the rest is counted
    #[arg(long, value_name = "N", default_value_t = 100)]
    max_problems: usize,
}

pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    if passes_once(&arguments.file) {
        return stream::run(arguments, output);
    }
    let report = watched(output.quiet, |progress| {
        let snapshot = Snapshot::open(&arguments.file)?;
        etcd_snap::verify(&snapshot, &arguments.options().with_observer(progress))
    })?;
    render::print(&report, output.write_out)?;
    end(report.into_proven().map(drop), hint, output)
}

/// Standard input, or a pipe with a name.
fn passes_once(file: &Path) -> bool {
    standard::is_dash(file)
        || file
            .metadata()
            .is_ok_and(|there| there.file_type().is_fifo())
}

impl Arguments {
    fn options(&self) -> VerifyOptions {
        VerifyOptions::default().with_max_problems(self.max_problems)
    }
}

/// The verdict as an exit code, after the report was printed.
fn end(
    verdict: etcd_snap::Result<()>,
    hint: impl FnOnce(&etcd_snap::Error) -> Option<String>,
    output: &Output,
) -> Result<()> {
    match verdict {
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
        verdict => verdict.map_err(|error| Failure::from(error).or_hint(hint)),
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
        let mut lines = verdict(
            &name(self),
            &self.digest,
            &self.problems,
            self.more_problems,
        );
        lines.push('\n');
        lines.push_str(&problem_lines(&self.problems, self.more_problems));
        lines.push_str(&render::lines(&if self.is_sound() {
            facts(self)
        } else {
            // What can still be read of a damaged database is for those who ask for it.
            vec![digest(&self.digest), size(self.size_bytes)]
        }));
        lines
    }

    fn tables(&self) -> Vec<Table> {
        let verdict = verdict(
            &name(self),
            &self.digest,
            &self.problems,
            self.more_problems,
        );
        let mut rows = vec![("verdict", verdict)];
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
            tables.push(problem_table(&self.problems, self.more_problems));
        }
        tables
    }
}

fn name(report: &VerifyReport) -> String {
    report
        .path
        .as_ref()
        .map(|path| path.display().to_string())
        .unwrap_or_default()
}

fn verdict(name: &str, digest: &DigestCheck, problems: &[Problem], more_problems: u64) -> String {
    let damaged = problems
        .iter()
        .any(|problem| problem.severity >= Severity::Damaged);
    let word = match digest {
        _ if damaged => "DAMAGED",
        DigestCheck::Missing { .. } => "sound, no digest",
        _ => "sound",
    };
    let problems = (problems.len() as u64).saturating_add(more_problems);
    let name = text::visible(name);
    match problems {
        0 => format!("{word}: {name}"),
        _ => format!("{word}: {name}, {}", text::count(problems, "problem")),
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
        size(report.size_bytes),
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

fn size(bytes: u64) -> (&'static str, String) {
    ("size", text::size(bytes))
}

fn digest(check: &DigestCheck) -> (&'static str, String) {
    let verdict = match check {
        DigestCheck::Matches { .. } => "matches",
        DigestCheck::Mismatch { .. } => "does not match",
        _ => "none",
    };
    ("digest", verdict.into())
}

fn problem_lines(problems: &[Problem], more_problems: u64) -> String {
    let width = text::width(&Term::stdout());
    let mut lines: String = problems
        .iter()
        .map(|problem| {
            let severity = severity(problem.severity);
            let line = format!("  {severity}: {}", text::visible(&problem.to_string()));
            format!("{}\n", text::wrap(&line, width, 4))
        })
        .collect();
    if more_problems > 0 {
        lines.push_str(&format!("  and {more_problems} more\n"));
    }
    lines
}

fn problem_table(problems: &[Problem], more_problems: u64) -> Table {
    let mut table = render::frame();
    table.set_header(["severity", "page", "byte", "problem"]);
    for problem in problems {
        let number = |number: Option<String>| number.unwrap_or_default();
        table.add_row([
            severity(problem.severity).to_owned(),
            number(problem.page.map(|page| page.to_string())),
            number(problem.offset.map(|offset| offset.to_string())),
            text::visible(&problem.message),
        ]);
    }
    if more_problems > 0 {
        table.add_row([
            String::new(),
            String::new(),
            String::new(),
            format!("and {more_problems} more"),
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
