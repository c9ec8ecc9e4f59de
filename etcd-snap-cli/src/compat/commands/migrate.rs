//! `etcdutl migrate`: the data of a stopped member, fit for another minor.

use std::path::Path;
use std::sync::Arc;

use etcd_snap::{Error, MigrateOptions, MigrateReport, StorageVersion};

use super::offline_defrag;
use crate::compat::call::Call;
use crate::compat::dialect::Dialect::{V3_6, V3_7};
use crate::compat::ended::{self, Ended, Result};
use crate::compat::flags::Flag;
use crate::compat::log::Log;
use crate::compat::tree::Command;
use crate::compat::{failure, go, locked};
use crate::failure::Failure;
use crate::progress::Progress;

const CALLER: &str = "etcdutl/migrate_command.go";
const STEP_CALLER: &str = "schema/migration.go";

pub(crate) const MIGRATE: Command = Command::new(
    "migrate",
    "",
    "make the data of a stopped member fit for another minor of etcd",
    run,
)
.since(V3_6)
.required(&[("data-dir", V3_6, V3_7), ("target-version", V3_6, V3_7)])
.flags(&[
    Flag::text("data-dir", "the directory of a member that does not run"),
    Flag::text("target-version", "the minor of etcd, as 3.6; 3.5 or newer"),
    Flag::switch(
        "force",
        "set the version where there is no way to it; the data may be of no use then",
    ),
]);

fn run(call: &Call) -> Result<()> {
    let target = target(call.flags.text("target-version"))?;
    let (data_dir, force) = (call.path("data-dir"), call.flags.switch("force"));
    let database = offline_defrag::database(&data_dir);
    let log = call.offline_log();
    let newest = StorageVersion::new(3, if call.dialect == V3_6 { 6 } else { 7 });
    let attempt = |force| {
        let migrate = |progress: Arc<Progress>| {
            let options = MigrateOptions::default()
                .with_force(force)
                .with_newest(newest)
                .with_observer(progress);
            etcd_snap::migrate(&data_dir, target, &options)
        };
        locked::when_free(call, || {}, migrate)
    };
    let done = match attempt(false) {
        Err(Failure::Library { error, .. }) if force && can_be_forced(&error) => {
            let text = why(call, &database, &error);
            tell_refused(&log, &error, &text);
            let fields = [("error", text.into())];
            log.info(CALLER, "normal migrate failed, trying with force", &fields);
            attempt(true)
        }
        done => done,
    };
    let report = done.map_err(|failed| {
        failure::stopped(failed, ended::ERROR, |error| {
            let text = why(call, &database, error);
            tell_refused(&log, error, &text);
            text
        })
    })?;
    tell(&log, target, &report);
    Ok(())
}

/// `X.Y`, and not below 3.5 (`migrateOptions.Config`).
fn target(text: &str) -> Result<StorageVersion> {
    if text.matches('.').count() != 1 {
        return Err(Ended::arguments(format!(
            "wrong target version format, expected \"X.Y\", got {}",
            go::quote(text)
        )));
    }
    let refuse = |why: String| Ended::arguments(format!("failed to parse target version: {why}"));
    // What stands behind these signs has no dots that count.
    if let Some((number, _)) = text.split_once('+').or_else(|| text.split_once('-')) {
        let number = number.split('-').next().unwrap_or_default();
        return Err(refuse(format!("{number} is not in dotted-tri format")));
    }
    let (major, minor) = text.split_once('.').unwrap_or_default();
    let number = |text| go::parse_decimal(text).map_err(refuse);
    let version = StorageVersion::new(number(major)?, number(minor)?);
    if version < StorageVersion::V3_5 {
        return Err(Ended::arguments(format!(
            "target version {} not supported. Minimal \"3.5\"",
            go::quote(&short(version))
        )));
    }
    Ok(version)
}

fn short(version: StorageVersion) -> String {
    format!("{}.{}", version.major(), version.minor())
}

fn tell(log: &Log, target: StorageVersion, report: &MigrateReport) {
    let version = [("storage-version", short(target).into())];
    if report.forced.is_some() && target < StorageVersion::V3_6 {
        log.warn(CALLER, "forcefully cleared storage version", &[]);
    } else if report.forced.is_some() {
        log.warn(CALLER, "forcefully set storage version", &version);
    } else if report.steps.is_empty() {
        log.info(CALLER, "storage version up-to-date", &version);
    }
    for step in &report.steps {
        let fields = [("new-storage-version", step.as_str().into())];
        log.info(STEP_CALLER, "updated storage version", &fields);
    }
}

fn refusal(error: &Error) -> Option<&str> {
    failure::detail(error, "refusal")
}

fn can_be_forced(error: &Error) -> bool {
    ["other-major", "unknown-version", "newer-entries"]
        .iter()
        .any(|one| refusal(error) == Some(one))
}

/// What is logged before the failure itself.
fn tell_refused(log: &Log, error: &Error, text: &str) {
    match refusal(error) {
        Some("no-term") => log.error(
            CALLER,
            "failed to detect storage version. Please make sure you are using data dir from etcd v3.5 and older",
            &[],
        ),
        Some("other-major") => {
            let version = |name| failure::detail(error, name).unwrap_or_default().into();
            log.error(
                STEP_CALLER,
                "Changing major storage version is not supported",
                &[
                    ("storage-version", version("current")),
                    ("target-storage-version", version("target")),
                ],
            );
        }
        _ if failure::detail(error, "wal").is_some() => {
            log.error(CALLER, "Failed to finalize config", &[("error", text.into())]);
        }
        _ => {}
    }
}

fn why(call: &Call, database: &Path, error: &Error) -> String {
    let value = |name| failure::detail(error, name).unwrap_or_default();
    match refusal(error) {
        Some("no-term") => "missing term information".to_owned(),
        Some("other-major") => {
            "cannot create migration plan: changing major storage version is not supported"
                .to_owned()
        }
        Some("unknown-version") => format!(
            "cannot create migration plan: version {} is not supported",
            go::quote(value("version"))
        ),
        Some("newer-entries") => format!(
            "cannot downgrade storage, WAL contains newer entries, as the target version ({}) is lower than the version ({}) detected from WAL logs",
            value("target"),
            value("detected")
        ),
        _ => match failure::detail(error, "wal") {
            Some(stage) => no_wal(stage, error),
            None => offline_defrag::why(call, database, error),
        },
    }
}

fn no_wal(stage: &str, error: &Error) -> String {
    let path = error.path().unwrap_or(Path::new(""));
    let what = match (stage, failure::system(error)) {
        ("none", _) => "wal: file not found".to_owned(),
        ("list", Some(system)) => format!(
            "[readWALNames] fileutil.ReadDir failed: {}",
            go::path_error("open", path, system)
        ),
        ("open", Some(system)) => format!(
            "[openWALFiles] os.OpenFile failed ({}): {}",
            go::quote(&path.display().to_string()),
            go::path_error("open", path, system)
        ),
        _ => match failure::detail(error, "missing") {
            Some("snapshot") => "wal: snapshot not found".to_owned(),
            _ => failure::sentence(error),
        },
    };
    let doing = match stage {
        "choose" => "failed to open wal",
        "read" => "failed to read wal",
        _ => "failed to get the lastest snapshot",
    };
    format!("{doing}: {what}")
}
