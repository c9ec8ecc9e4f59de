//! `defrag --data-dir`: the database of a stopped member, written anew.

use std::ops::ControlFlow;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use etcd_snap::{DefragOptions, DefragReport, ErrorKind, Event, Observer};
use serde_json::Value;

use crate::compat::call::{Call, print_aside};
use crate::compat::dialect::Dialect::{V3_4, V3_5, V3_7};
use crate::compat::dialect::Tool;
use crate::compat::ended::{self, Ended, Result};
use crate::compat::flags::Flag;
use crate::compat::log::Log;
use crate::compat::tree::Command;
use crate::compat::{failure, go, locked};
use crate::failure::Failure;
use crate::progress::Progress;
use crate::render::text;

const CALLER: &str = "backend/backend.go";

pub(crate) const DEFRAG: Command = Command::new(
    "defrag",
    "",
    "give free pages of a stopped member's database back to the disk",
    run,
)
.required(&[("data-dir", V3_5, V3_7)])
.flags(&[Flag::text(
    "data-dir",
    "the directory of a member that does not run",
)]);

pub(super) fn run(call: &Call) -> Result<()> {
    if call.tool == Tool::Etcdctl && call.dialect == V3_5 {
        print_aside(
            "Use `etcdutl defrag` instead. The --data-dir is going to be decomissioned in v3.6.\n",
        );
    }
    let data_dir = call.path("data-dir");
    let database = database(&data_dir);
    // The oldest tool logs nothing of it.
    let log = (call.dialect > V3_4).then(|| call.offline_log());
    let began = Instant::now();
    let waiting = || print_aside(waiting(call, &database));
    let report = locked::when_free(call, waiting, |progress| {
        let lines = Lines {
            progress,
            log,
            path: database.clone(),
        };
        let options = DefragOptions::default().with_observer(Arc::new(lines));
        etcd_snap::defrag(&data_dir, &options)
    })
    .map_err(|failed| refused(call, &data_dir, &database, failed))?;
    if let Some(log) = log {
        let fields = finished(&database, &report, began);
        log.info(CALLER, "finished defragmenting directory", &fields);
    }
    Ok(())
}

/// `member/snap/db` in it, as Go's `filepath.Join` writes it.
pub(super) fn database(data_dir: &Path) -> PathBuf {
    let parts = data_dir.components();
    let parts = parts.filter(|part| *part != Component::CurDir);
    parts.collect::<PathBuf>().join("member/snap/db")
}

fn waiting(call: &Call, database: &Path) -> String {
    let instead = match (call.tool, call.dialect) {
        (Tool::Etcdctl, _) | (_, V3_5) => "omit --data-dir",
        _ => "use `etcdctl defrag` instead",
    };
    format!(
        "waiting for etcd to close and release its lock on {}. To defrag a running etcd instance, {instead}.",
        go::quote(&database.display().to_string())
    )
}

/// Logs what is about to be written anew.
struct Lines {
    progress: Arc<Progress>,
    log: Option<Log>,
    path: PathBuf,
}

impl Observer for Lines {
    fn event(&self, event: &Event) -> ControlFlow<()> {
        if let (
            Event::Measured {
                size_bytes,
                in_use_bytes,
            },
            Some(log),
        ) = (event, self.log)
        {
            let mut fields = vec![("path", self.path.display().to_string().into())];
            fields.extend(sizes(*size_bytes, *in_use_bytes, None));
            log.info(CALLER, "defragmenting", &fields);
        }
        self.progress.event(event)
    }
}

fn finished(path: &Path, report: &DefragReport, began: Instant) -> Vec<(&'static str, Value)> {
    let (size, in_use) = (report.size_after_bytes, report.size_after_bytes);
    let before = (report.size_before_bytes, report.in_use_before_bytes);
    let mut fields = vec![("path", path.display().to_string().into())];
    fields.extend(sizes(size, in_use, Some(before)));
    fields.push(("took", go::duration(began.elapsed()).into()));
    fields
}

/// With the difference to what it was before.
fn sizes(size: u64, in_use: u64, before: Option<(u64, u64)>) -> Vec<(&'static str, Value)> {
    let difference = |now: u64, before: u64| now.wrapping_sub(before).cast_signed().into();
    let mut fields: Vec<(&'static str, Value)> = Vec::new();
    if let Some((before, _)) = before {
        fields.push(("current-db-size-bytes-diff", difference(size, before)));
    }
    fields.push(("current-db-size-bytes", size.into()));
    fields.push(("current-db-size", text::size(size).into()));
    if let Some((_, before)) = before {
        let name = "current-db-size-in-use-bytes-diff";
        fields.push((name, difference(in_use, before)));
    }
    fields.push(("current-db-size-in-use-bytes", in_use.into()));
    fields.push(("current-db-size-in-use", text::size(in_use).into()));
    fields
}

fn refused(call: &Call, data_dir: &Path, database: &Path, failed: Failure) -> Ended {
    let dir = data_dir.display();
    let why = |error: &etcd_snap::Error| why(call, database, error);
    match (call.tool, call.dialect) {
        (Tool::Etcdctl, V3_5) => failure::stopped(failed, ended::ERROR, why),
        (Tool::Etcdctl, _) => {
            let ended = failure::stopped(failed, ended::ERROR, why);
            let text = ended.text.unwrap_or_default();
            print_aside(format!("Failed to defragment etcd data[{dir}] ({text})"));
            Ended::silent(ended.code)
        }
        _ => {
            let ended = failure::stopped(failed, ended::ERROR, why);
            Ended {
                text: ended
                    .text
                    .map(|text| format!("Failed to defragment etcd data[{dir}] ({text})")),
                ..ended
            }
        }
    }
}

/// Where the original would wait for ever, or dies, the library's own words.
pub(super) fn why(call: &Call, database: &Path, error: &etcd_snap::Error) -> String {
    let doing = match call.dialect {
        V3_4 => "open",
        _ => "stat",
    };
    match failure::system(error) {
        Some(system) if error.kind() == ErrorKind::NotFound => {
            go::path_error(doing, database, system)
        }
        _ => failure::sentence(error),
    }
}
