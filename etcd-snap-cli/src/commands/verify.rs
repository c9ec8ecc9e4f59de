//! `etcd-snap verify`: is a snapshot whole?

mod findings;
mod stream;

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use comfy_table::Table;
use etcd_snap::{
    AttestOptions, AttestReport, Contents, DigestCheck, ErrorKind, Snapshot, VerifyOptions,
    VerifyReport,
};
use serde::Serialize;

use crate::arguments::Output;
use crate::commands::watched_with;
use crate::connection::{Connection, online};
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::render::{self, Render, attest, text};
use crate::standard;
use crate::values;
use findings::{problem_lines, problem_table, verdict};

/// Check that a snapshot is whole
#[derive(Debug, Args)]
#[command(after_help = "\
Compares the digest, checks every page, decodes every record, and lists all that is wrong. The file is only read. \
Ends with 0 only if the snapshot is proven: 7 means damaged, 8 sound but without a digest to prove it.

With --against, every member of that cluster is also asked for the hash of its keys at the snapshot's revision. If one \
has other keys, or none can tell, the exit code is 11.

Of a pipe, or of - for standard input, the digest is proven and every page by itself: what hangs together how, and what \
the records say, shows in a file only.

Examples:
  etcd-snap verify backup.db
  etcd-snap verify -w json backup.db

  etcd-snap verify backup.db \\
    --against https://10.0.0.1:2379 \\
    --cacert ca.crt \\
    --cert client.crt --key client.key

  zstd -dc backup.db.zst | etcd-snap verify -")]
pub(crate) struct Arguments {
    /// The snapshot, or the database file of a stopped member; - is standard input
    file: PathBuf,
    /// How many problems to list, at least one; the rest is counted
    #[arg(long, value_name = "N", default_value_t = 100)]
    max_problems: usize,
    /// Compare with the members of this cluster too
    #[arg(long, value_name = "URLS", help_heading = "Proof")]
    against: Option<String>,
    /// The longest that asking may take [default: no limit]
    #[arg(
        long,
        value_name = "TIME",
        value_parser = values::waiting_time,
        env = "ETCDCTL_COMMAND_TIMEOUT",
        hide_env_values = true,
        help_heading = "Connection"
    )]
    command_timeout: Option<Duration>,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    if passes_once(&arguments.file) {
        if arguments.against.is_some() {
            return Err(Failure::Usage(
                "--against wants a file: what passes by once cannot be hashed again as the members would".to_owned(),
            ));
        }
        return stream::run(arguments, output);
    }
    let connection = &arguments.connection;
    let cluster = match &arguments.against {
        Some(endpoints) => Some(connection.cluster(endpoints)?),
        None => None,
    };
    // From here on signals are wishes; before, at the prompt for the password, they end the program.
    let interrupt = Interrupt::listen()?;
    let (snapshot, verify) = watched_with(&interrupt, output.quiet, |progress| {
        let snapshot = Snapshot::open(&arguments.file)?;
        let options = arguments.options().with_observer(progress);
        let report = etcd_snap::verify(&snapshot, &options)?;
        Ok((snapshot, report))
    })?;
    let attest = match cluster {
        // Nobody can speak of what cannot be read.
        Some(cluster) if verify.is_sound() => {
            let progress = Arc::new(Progress::new(output.quiet, interrupt.clone()));
            let options = AttestOptions::default()
                .with_contents(verify.contents.clone())
                .with_observer(Arc::clone(&progress) as _);
            let asked = online(
                &interrupt,
                arguments.command_timeout,
                "the members did not answer",
                etcd_snap::attest(&snapshot, &cluster, &options),
            );
            progress.finish();
            Some(asked?)
        }
        _ => None,
    };
    let report = Report { verify, attest };
    render::print(&report, output.write_out)?;
    end(report.verdict(), hint, output)
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
    verdict.map_err(|error| {
        let failure = match error.kind() {
            ErrorKind::NoDigest => Failure::from(error),
            _ => attest::reported(error, output),
        };
        failure.or_hint(hint)
    })
}

/// What the file says of itself, and what the members say of it.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    verify: VerifyReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    attest: Option<AttestReport>,
}

impl Report {
    /// Damage counts before what the members say, and that before a missing digest.
    fn verdict(self) -> etcd_snap::Result<()> {
        let proven = self.verify.into_proven();
        match self.attest {
            Some(attest) => attest.into_proven().and(proven.map(drop)),
            None => proven.map(drop),
        }
    }
}

fn hint(error: &etcd_snap::Error) -> Option<String> {
    match error.kind() {
        ErrorKind::NoDigest => Some(
            "only `etcd-snap save` and `etcdctl snapshot save` add a digest; a copy of a member's db file has none".into(),
        ),
        ErrorKind::Unproven if attest::none_can_tell(error) => {
            Some("`etcd-snap save --attest` takes one while the members still know all of it".into())
        }
        ErrorKind::Unproven => Some(attest::COMPARE.into()),
        ErrorKind::Damaged | ErrorKind::DigestMismatch => {
            Some("take a new snapshot while the cluster lives, or an older one".into())
        }
        _ => None,
    }
}

impl Render for Report {
    fn simple(&self) -> String {
        let report = &self.verify;
        let mut lines = verdict_of(report);
        lines.push('\n');
        lines.push_str(&problem_lines(&report.problems, report.more_problems));
        let mut rows = if report.is_sound() {
            facts(report)
        } else {
            // What can still be read of a damaged database is for those who ask for it.
            vec![digest(&report.digest), size(report.size_bytes)]
        };
        rows.extend(self.attest.iter().flat_map(attest::rows));
        lines.push_str(&render::lines(&rows));
        lines
    }

    fn tables(&self) -> Vec<Table> {
        let report = &self.verify;
        let contents = &report.contents;
        let mut rows = vec![("verdict", verdict_of(report))];
        rows.extend(facts(report));
        if let DigestCheck::Matches { digest } = report.digest {
            rows.push(("SHA-256", digest.to_string()));
        }
        rows.push(("hash", format!("{:x}", contents.hash)));
        if let Some(hash) = &contents.hash_kv {
            let at = format!("{} at revision {}", hash.hash, hash.revision);
            rows.push(("HashKV", at));
        }
        rows.push((
            "page size",
            text::count(report.page_size_bytes.into(), "byte"),
        ));
        rows.push(("free pages", free_pages(report)));
        rows.push((
            "checked in",
            text::duration(Duration::from_millis(report.duration_ms)),
        ));
        rows.extend(self.attest.iter().flat_map(attest::rows));
        let mut tables = vec![render::pairs(rows), bucket_table(contents)];
        if !contents.largest_records.is_empty() {
            tables.push(largest_table(contents));
        }
        if !report.problems.is_empty() {
            tables.push(problem_table(&report.problems, report.more_problems));
        }
        tables
    }
}

fn verdict_of(report: &VerifyReport) -> String {
    let path = report.path.as_ref();
    verdict(
        &path
            .map(|path| path.display().to_string())
            .unwrap_or_default(),
        &report.digest,
        &report.problems,
        report.more_problems,
    )
}

/// What a defragmentation would give back.
fn free_pages(report: &VerifyReport) -> String {
    let pages = report.contents.free_pages;
    let bytes = pages.saturating_mul(report.page_size_bytes.into());
    format!("{pages} ({})", text::size(bytes))
}

fn bucket_table(contents: &Contents) -> Table {
    let mut table = render::frame();
    table.set_header(["bucket", "records", "keys and values", "pages"]);
    for bucket in &contents.buckets {
        table.add_row([
            text::visible(&bucket.name),
            bucket.records.to_string(),
            text::size(bucket.data_bytes),
            bucket.pages.to_string(),
        ]);
    }
    table
}

fn largest_table(contents: &Contents) -> Table {
    let mut table = render::frame();
    table.set_header(["largest records", "revision", "size"]);
    for record in &contents.largest_records {
        table.add_row([
            text::visible(&record.key),
            record.revision.to_string(),
            text::size(record.size_bytes),
        ]);
    }
    table
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
