//! `snapshot status`: hash, revision, keys, size and version of a file.

use std::fs;
use std::path::Path;

use etcd_snap::{ErrorKind, Snapshot, Status, VerifyOptions};
use serde_json::json;

use crate::commands::watched;
use crate::compat::call::{Call, Form, print, print_aside, unsupported};
use crate::compat::dialect::{Dialect, Tool};
use crate::compat::ended::{self, Ended, Result};
use crate::compat::table::table;
use crate::compat::tree::Command;
use crate::compat::{failure, go};
use crate::render::text;

pub(crate) const STATUS: Command = Command::new(
    "status",
    "<filename>",
    "print hash, revision, keys and size of a snapshot",
    run,
);

/// What etcdctl 3.5 says first.
pub(super) fn deprecated(call: &Call, command: &str) {
    if call.tool == Tool::Etcdctl && call.dialect == Dialect::V3_5 {
        print_aside(format!("Deprecated: Use `etcdutl {command}` instead.\n"));
    }
}

fn run(call: &Call) -> Result<()> {
    deprecated(call, "snapshot status");
    let path = call.only_argument("snapshot status requires exactly one argument")?;
    let look = fs::metadata(path);
    // The older tools look at the form first.
    if call.tool == Tool::Etcdctl && call.dialect == Dialect::V3_4 {
        call.form()?;
    }
    let there = look.map_err(|error| Ended::error(go::path_error("stat", path, &error)))?;
    let form = call.form()?;
    if there.len() == 0 {
        return Err(Ended::error(format!(
            "write {}: bad file descriptor",
            path.display()
        )));
    }
    let status = watched(true, |progress| {
        let options = etcd_snap::StatusOptions::default().with_observer(progress);
        etcd_snap::status_with(&Snapshot::open(path)?, &options)
    })
    .map_err(|failed| failure::stopped(failed, ended::ERROR, |error| why(call, path, error)))?;
    print(match form {
        Form::Simple => {
            let mut cells = cells(call, &status);
            // A version that is not there leaves its comma.
            let last = cells.pop().unwrap_or_default();
            format!("{}, {last}\n", cells.join(", "))
        }
        Form::Json => json(call, &status),
        Form::Fields => fields(call, &status),
        Form::Table => table(call.dialect, header(call), &[cells(call, &status)]),
        Form::Protobuf => return Err(unsupported(form)),
    })
}

fn why(call: &Call, path: &Path, error: &etcd_snap::Error) -> String {
    match error.kind() {
        ErrorKind::NotASnapshot => not_a_database(call, path),
        ErrorKind::Damaged => damage(path).unwrap_or_else(|| failure::sentence(error)),
        _ => match failure::system(error) {
            Some(system) => go::path_error("open", path, system),
            None => failure::sentence(error),
        },
    }
}

/// What bbolt says, which looks at the size first, if there is enough to look for a meta in.
fn not_a_database(call: &Call, path: &Path) -> String {
    const TWO_PAGES: u64 = 8192;
    const TWO_METAS: u64 = 2048;
    if path.is_dir() && !call.is_at_least(Dialect::V3_6) {
        return format!("open {}: is a directory", path.display());
    }
    match fs::metadata(path).map_or(0, |file| if file.is_file() { file.len() } else { 0 }) {
        size if size >= TWO_PAGES || size <= TWO_METAS => "invalid database".to_owned(),
        size if call.is_at_least(Dialect::V3_6) => format!("file size too small {size}"),
        _ => "file size too small".to_owned(),
    }
}

/// Everything that is wrong, a line each.
fn damage(path: &Path) -> Option<String> {
    let snapshot = Snapshot::open(path).ok()?;
    let report = etcd_snap::verify(&snapshot, &VerifyOptions::default()).ok()?;
    let lines: Vec<String> = report
        .problems
        .iter()
        .map(|problem| problem.to_string())
        .collect();
    let count = report.more_problems.saturating_add(lines.len() as u64);
    Some(format!(
        "snapshot file integrity check failed. {count} errors found.\n{}",
        lines.join("\n")
    ))
}

fn has_version(call: &Call) -> bool {
    call.is_at_least(Dialect::V3_6)
}

/// Up to 3.5 the records of all buckets, then the keys that are not deleted.
fn keys(call: &Call, status: &Status) -> u64 {
    if has_version(call) {
        status.live_keys
    } else {
        status.total_records
    }
}

fn version(status: &Status) -> &str {
    status.storage_version.as_deref().unwrap_or_default()
}

fn header(call: &Call) -> &'static [&'static str] {
    const HEADER: [&str; 5] = ["hash", "revision", "total keys", "total size", "version"];
    if has_version(call) {
        &HEADER
    } else {
        &HEADER[..4]
    }
}

fn cells(call: &Call, status: &Status) -> Vec<String> {
    let mut cells = vec![
        format!("{:x}", status.hash),
        status.revision.to_string(),
        keys(call, status).to_string(),
        text::size(status.total_size_bytes),
    ];
    if has_version(call) {
        cells.push(version(status).to_owned());
    }
    cells
}

fn json(call: &Call, status: &Status) -> String {
    let version = match has_version(call) {
        true => format!(",\"version\":{}", json!(version(status))),
        false => String::new(),
    };
    format!(
        "{{\"hash\":{},\"revision\":{},\"totalKey\":{},\"totalSize\":{}{version}}}\n",
        status.hash,
        status.revision,
        keys(call, status),
        status.total_size_bytes,
    )
}

fn fields(call: &Call, status: &Status) -> String {
    let mut text = format!(
        "\"Hash\" : {}\n\"Revision\" : {}\n\"Keys\" : {}\n\"Size\" : {}\n",
        status.hash,
        status.revision,
        keys(call, status),
        status.total_size_bytes,
    );
    if has_version(call) {
        text.push_str(&format!("\"Version\" : {}\n", version(status)));
    }
    text
}
