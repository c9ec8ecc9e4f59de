//! `etcd-snap restore`: data directories from a snapshot.

mod arguments;
mod compare;
pub(super) mod contents;
mod identity;
pub(super) mod plan;
mod report;
mod request;
mod undo;

use std::path::Path;

use etcd_snap::{
    Cluster, ErrorKind, Manifest, PlanFile, RestorePlan, Seen, Snapshot, decide_bump, restore,
};

pub(crate) use arguments::Arguments;

use crate::arguments::Output;
use crate::commands::watched_with;
use crate::connection::online;
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::journal;
use crate::render;
use crate::standard;
use report::Report;
use request::Request;

pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    if !arguments.compare.is_empty() {
        return compare::run(arguments, output);
    }
    if let Some(data_dir) = &arguments.undo {
        return undo::run(data_dir, arguments, output);
    }
    let snapshot = Snapshot::open(file(arguments)?)?;
    let manifest = Manifest::beside(&snapshot)?;
    let plan_path = arguments.plan.as_deref();
    let planned = match plan_path {
        Some(path) => plan::read(path)?,
        None => None,
    };
    let arguments = &arguments.filled(&snapshot, planned.is_some())?;
    let mut request = Request::of(arguments, &snapshot, planned.as_ref())?;
    if let Some(id) = manifest.as_ref().and_then(|manifest| manifest.cluster_id) {
        request.options = request.options.with_old_cluster(id);
    }
    let living = living(arguments, planned.is_some())?;

    // From here on signals are wishes; before, at the prompt for the password, they end the program.
    let interrupt = Interrupt::listen()?;
    if let Some(living) = living {
        let unfinished = "the endpoints did not answer";
        let seen = online(&interrupt, None, unfinished, Seen::of_cluster(&living));
        let seen = seen.map_err(|failure| failure.or_hint(without_endpoints))?;
        request.options = request.options.with_seen(seen);
    }
    let request = decided(request, &snapshot, &interrupt, output)?;
    let plan_file = match plan_path {
        Some(path) if !arguments.dry_run || planned.is_some() => keep_to_plan(
            path,
            planned.as_ref(),
            &request,
            &snapshot,
            &interrupt,
            output,
        )?,
        _ => None,
    };
    let restored = watched_with(&interrupt, output.quiet, |progress| {
        let options = request.options.with_observer(progress);
        restore(&snapshot, &request.cluster, &request.targets, &options)
    })
    .map_err(|failure| failure.or_hint(hint))?;
    if let Some(plan_file) = plan_file {
        plan_file.keep();
    }
    let report = Report::new(restored, request.again, arguments, manifest);
    report.warn();
    if !arguments.dry_run {
        report.write_beside(arguments.output_dir.as_deref());
    }
    render::print(&report, output.write_out)
}

/// How far the revision is moved, before anything is made.
fn decided(
    mut request: Request,
    snapshot: &Snapshot,
    interrupt: &Interrupt,
    output: &Output,
) -> Result<Request> {
    let decided = watched_with(interrupt, output.quiet, |progress| {
        let options = request.options.clone().with_observer(progress);
        decide_bump(snapshot, &request.targets, &options)
    })
    .map_err(|failure| failure.or_hint(hint))?;
    if let Some(decided) = decided {
        request.options = request.options.with_decided_bump(decided);
    }
    Ok(request)
}

/// Holds the snapshot against the plan, or writes a plan where there is none: it goes again if the restore fails.
fn keep_to_plan(
    path: &Path,
    planned: Option<&RestorePlan>,
    request: &Request,
    snapshot: &Snapshot,
    interrupt: &Interrupt,
    output: &Output,
) -> Result<Option<PlanFile>> {
    let digest = watched_with(interrupt, output.quiet, |progress| {
        RestorePlan::digest_of(snapshot, &request.options, progress.as_ref())
    })?;
    if let Some(plan) = planned {
        plan.require_snapshot(snapshot, digest)?;
        return Ok(None);
    }
    let plan = RestorePlan::new(digest, &request.cluster, &request.options)?;
    plan::write(path, &plan).map(Some)
}

/// The cluster to ask what clients have seen. Flags that lead to one are often carried over from a save.
fn living(arguments: &Arguments, is_planned: bool) -> Result<Option<Cluster>> {
    let Some(endpoints) = arguments.living() else {
        return Ok(None);
    };
    if is_planned || arguments.bump() != Some(arguments::Bump::Auto) {
        journal::warning(
            "a restore is offline: nobody is asked at the endpoints, but for --bump-revision=auto and --kubernetes without a plan",
        );
        return Ok(None);
    }
    arguments.connection.cluster(endpoints).map(Some)
}

/// The snapshot, which needs a name and is read back and forth.
fn file(arguments: &Arguments) -> Result<&Path> {
    let file = arguments.file.as_deref().unwrap_or(Path::new(""));
    if file.as_os_str().is_empty() {
        return Err(Failure::Usage(
            "the name of the snapshot is empty: name the file to restore".to_owned(),
        ));
    }
    standard::refuse_input(file, "restore")?;
    Ok(file)
}

fn hint(error: &etcd_snap::Error) -> Option<String> {
    matches!(error.kind(), ErrorKind::DigestMismatch | ErrorKind::Damaged).then(|| {
        "`etcd-snap verify` lists everything that is wrong; another snapshot may be whole"
            .to_owned()
    })
}

fn without_endpoints(_: &etcd_snap::Error) -> Option<String> {
    let hint =
        "if nobody lives any more, leave --endpoints out: the revision is moved far enough then";
    Some(hint.to_owned())
}
