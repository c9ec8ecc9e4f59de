//! `snapshot save`: a snapshot from a running cluster.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use etcd_snap::{
    Cluster, EndpointPolicy, Error, ErrorKind, Event, Observer, Phase, SaveOptions, SaveReport,
    Target,
};
use serde_json::Value;

use crate::compat::asking::{self, LOGIN, NO_PEER};
use crate::compat::call::{Call, print, print_aside};
use crate::compat::dialect::Dialect;
use crate::compat::ended::{self, Ended, Result};
use crate::compat::failure::LATE;
use crate::compat::flags::Flag;
use crate::compat::log::Log;
use crate::compat::tree::Command;
use crate::compat::{connection, failure, go};
use crate::connection::online;
use crate::exit;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::metrics::Textfile;
use crate::render::text;
use crate::standard;

const CALLER: &str = "snapshot/v3_snapshot.go";
const RETRY_CALLER: &str = "v3/retry_interceptor.go";
const CLIENT_CALLER: &str = "v3/maintenance.go";

pub(crate) const SAVE: Command = Command::new(
    "save",
    "<filename>",
    "take a snapshot from a running cluster",
    run,
)
.flags(&[
    Flag::switch("no-clobber", "refuse to replace the file").ours(),
    Flag::text(
        "endpoint-policy",
        "of several members, which gives the snapshot: first, auto, leader, follower",
    )
    .default("auto")
    .ours(),
    Flag::text(
        "metrics-textfile",
        "keep metrics of the last success and failure here",
    )
    .ours(),
]);

/// etcdutl 3.5 has the name, to send people to the other tool.
pub(crate) const STUB: Command = Command::new("save", "<filename>", "see etcdctl", |_| {
    print_aside("Command \"save\" is deprecated, Use `etcdctl snapshot save` to download snapshot");
    Err(Ended::arguments(
        "In order to download snapshot use: `etcdctl snapshot save ...`",
    ))
})
.since(Dialect::V3_5)
.until(Dialect::V3_5);

fn run(call: &Call) -> Result<()> {
    let expects = match call.is_at_least(Dialect::V3_6) {
        true => "snapshot save expects one argument <filename>",
        false => "snapshot save expects one argument",
    };
    let path = call.only_argument(expects)?.to_owned();
    let mut call = call.clone();
    let policy = policy(&call)?;
    let metrics = call.flags.text("metrics-textfile");
    let metrics = Some(Path::new(metrics)).filter(|path| *path != Path::new(""));
    let metrics = metrics
        .map(Textfile::new)
        .transpose()
        .map_err(|failed| failure::stopped(failed, ended::BAD_ARGUMENTS, failure::sentence))?;
    let started = Instant::now();
    let record = |saved: Result<&SaveReport, (&str, u8)>| {
        if let Some(metrics) = &metrics {
            metrics.record(saved, started.elapsed());
        }
    };
    let cluster = connection::cluster(&mut call).map_err(|refused| {
        let refused = match connection::endpoints(&call).is_empty() {
            true => Ended::new(
                ended::INTERRUPTED,
                "snapshot must be requested to one selected node, not multiple []",
            ),
            false => refused,
        };
        record(Err((exit::name(exit::USAGE), refused.code)));
        refused
    })?;
    note_endpoints(&call);
    let interrupt = Interrupt::listen()
        .map_err(|failed| failure::stopped(failed, ended::INTERRUPTED, failure::sentence))?;
    let lines = Arc::new(Lines::new(&call, &path, interrupt));
    let report = save(&call, &path, &cluster, policy, &lines).map_err(|failed| {
        let (kind, _) = failed.kind_and_code();
        let ended = lines.ended(&call, &path, failed);
        record(Err((kind, ended.code)));
        ended
    })?;
    record(Ok(&report));
    lines.saved(&report, started);
    for other in &report.passed_over {
        print_aside(format!("not used: {}", other.message));
    }
    let saved_at = report.path.as_deref().unwrap_or(&path);
    let mut said = format!("Snapshot saved at {}\n", saved_at.display());
    if let Some(version) = &report.storage_version
        && call.is_at_least(Dialect::V3_6)
    {
        said.push_str(&format!("Server version {version}\n"));
    }
    if standard::is_dash(&path) || standard::is_output(&path) {
        // Standard output has the snapshot.
        print_aside(said.trim_end());
        return Ok(());
    }
    print(said)
}

fn save(
    call: &Call,
    path: &Path,
    cluster: &Cluster,
    policy: EndpointPolicy,
    lines: &Arc<Lines>,
) -> crate::failure::Result<SaveReport> {
    let target = if standard::is_dash(path) {
        standard::output()?
    } else {
        // For the original all braces are letters.
        Target::pattern(path, standard::host_name().as_deref())
            .unwrap_or_else(|_| Target::from(path))
    };
    let options = SaveOptions::default()
        .with_no_clobber(call.flags.switch("no-clobber"))
        .with_endpoint_policy(policy)
        .with_observer(Arc::clone(lines) as _);
    online(
        &lines.interrupt,
        limit(call),
        "the snapshot was not complete",
        etcd_snap::save(cluster, target, &options),
    )
}

fn policy(call: &Call) -> Result<EndpointPolicy> {
    match call.flags.text("endpoint-policy") {
        "first" => Ok(EndpointPolicy::First),
        "auto" => Ok(EndpointPolicy::Auto),
        "leader" => Ok(EndpointPolicy::Leader),
        "follower" => Ok(EndpointPolicy::Follower),
        other => Err(Ended::arguments(format!(
            "--endpoint-policy takes first, auto, leader or follower, and not {other:?}"
        ))),
    }
}

/// The default is for short commands: only who says it means it.
fn limit(call: &Call) -> Option<Duration> {
    call.flags
        .changed("command-timeout")
        .then(|| connection::command_timeout(call))
}

/// The original takes one endpoint only.
fn note_endpoints(call: &Call) {
    let endpoints = connection::endpoints(call);
    if endpoints.len() > 1 {
        print_aside(format!(
            "{} endpoints are given: one of them gives the snapshot (etcd's own tool takes only one)",
            endpoints.len()
        ));
    }
}

fn why(path: &Path, error: &Error) -> String {
    let part = part_of(path);
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::AccessDenied | ErrorKind::Io
            if error.endpoint().is_none() =>
        {
            let cause = match failure::system(error) {
                Some(system) => go::path_error("open", &part, system),
                None if error.kind() == ErrorKind::NotFound => {
                    format!("open {}: no such file or directory", part.display())
                }
                None => return failure::sentence(error),
            };
            format!("could not open {} ({cause})", part.display())
        }
        ErrorKind::InvalidInput if path.is_dir() => {
            let (part, path) = (part.display(), path.display());
            format!("could not rename {part} to {path} (rename {part} {path}: file exists)")
        }
        _ => failure::sentence(error),
    }
}

fn part_of(path: &Path) -> PathBuf {
    let mut part = path.to_owned().into_os_string();
    part.push(".part");
    part.into()
}

/// The lines that the original logs, made from what happens.
struct Lines {
    log: Log,
    client: Log,
    dialect: Dialect,
    path: String,
    endpoints: Vec<String>,
    interrupt: Interrupt,
    /// Whether bytes have begun to come.
    began: AtomicBool,
}

impl Lines {
    fn new(call: &Call, path: &Path, interrupt: Interrupt) -> Self {
        Self {
            log: Log::online(call.dialect),
            client: Log::client(call.dialect, "client"),
            dialect: call.dialect,
            path: path.display().to_string(),
            endpoints: connection::endpoints(call),
            interrupt,
            began: AtomicBool::new(false),
        }
    }

    fn endpoint(&self, report: Option<&SaveReport>) -> Value {
        let used = report.and_then(|report| report.endpoint.clone());
        // As it was given, not as it is understood.
        match (self.endpoints.as_slice(), used) {
            ([only], _) => only.as_str().into(),
            (_, Some(used)) => used.into(),
            (many, None) => many.join(",").into(),
        }
    }

    /// The original makes its file when it is logged in, which is later than we do.
    fn created(&self) {
        let part = part_of(Path::new(&self.path)).display().to_string();
        let fields = [("path", part.into())];
        self.log.info(CALLER, "created temporary db file", &fields);
    }

    fn opened(&self) {
        self.client
            .info(CLIENT_CALLER, "opened snapshot stream; downloading", &[]);
    }

    fn fetching(&self) {
        let fields = [("endpoint", self.endpoint(None))];
        self.log.info(CALLER, "fetching snapshot", &fields);
    }

    fn no_stream(&self, why: &str) {
        self.created();
        let fields = [("error", why.into())];
        let message = "streamer failed to create ClientStream";
        self.client.error(RETRY_CALLER, message, &fields);
    }

    /// The time of the command is over.
    fn late(&self, call: &Call) -> Ended {
        let status = format!("rpc error: code = DeadlineExceeded desc = {LATE}");
        if self.began.load(Ordering::Relaxed) {
            let message = "failed to receive from snapshot stream; closing";
            let fields = [("error", status.into())];
            self.client.warn(CLIENT_CALLER, message, &fields);
            let text = match self.dialect < Dialect::V3_6 {
                true => LATE.to_owned(),
                false => format!("could not write snapshot: {LATE}"),
            };
            return Ended::new(ended::INTERRUPTED, text);
        }
        if call.flags.text("user").is_empty() {
            self.no_stream(&status);
        } else {
            self.unary_failed(NO_PEER, &status);
        }
        Ended::new(ended::INTERRUPTED, LATE)
    }

    /// How the command ends, after the lines that the original logs then.
    fn ended(&self, call: &Call, path: &Path, failed: Failure) -> Ended {
        if let Failure::Late { .. } = failed {
            return self.late(call);
        }
        failure::stopped(failed, ended::INTERRUPTED, |error| match error.kind() {
            // The original tries again until its time is over, and for ever without one; to log in it takes the time of
            // dialling.
            ErrorKind::Connection | ErrorKind::Stalled if !call.flags.text("user").is_empty() => {
                self.unary_failed(NO_PEER, &failure::sentence(error));
                LATE.to_owned()
            }
            ErrorKind::Connection | ErrorKind::Stalled if limit(call).is_some() => {
                self.no_stream(&failure::sentence(error));
                LATE.to_owned()
            }
            ErrorKind::Denied | ErrorKind::Server => self.refused(error),
            // What the original opens before the transfer, and what fails later, are different things.
            _ if self.began.load(Ordering::Relaxed) => failure::sentence(error),
            _ => why(path, error),
        })
    }

    fn unary_failed(&self, peer: &str, why: &str) {
        let first = self.endpoints.first().map_or("", String::as_str);
        asking::unary_failed(&self.client, self.dialect, first, LOGIN, 0, peer, why);
    }

    /// What the server said instead: to the login, or on the stream.
    fn refused(&self, error: &Error) -> String {
        let Some(answer) = failure::answered(error) else {
            return failure::sentence(error);
        };
        let whole = failure::status(error).unwrap_or_else(|| answer.clone());
        if answer.contains("authentication failed") {
            self.unary_failed(&asking::peer(error.endpoint().unwrap_or_default()), &whole);
            return answer;
        }
        self.created();
        self.opened();
        // Since 3.6 the first message comes before the line.
        if self.dialect < Dialect::V3_6 {
            self.fetching();
        }
        let fields = [("error", whole.as_str().into())];
        let message = "failed to receive from snapshot stream; closing";
        self.client.warn(CLIENT_CALLER, message, &fields);
        if self.dialect < Dialect::V3_6 {
            answer
        } else {
            whole
        }
    }

    fn saved(&self, report: &SaveReport, started: Instant) {
        let took = started.elapsed();
        let mut fields = vec![
            ("endpoint", self.endpoint(Some(report))),
            ("size", text::size(report.size_bytes).into()),
            (
                "took",
                match self.dialect {
                    Dialect::V3_4 => took.as_secs_f64().into(),
                    Dialect::V3_5 => ago(took.as_secs()).into(),
                    _ => go::duration(took).into(),
                },
            ),
        ];
        if self.dialect >= Dialect::V3_6 {
            let version = report.storage_version.clone().unwrap_or_default();
            fields.push(("etcd-version", version.into()));
        }
        self.log.info(CALLER, "fetched snapshot", &fields);
        let path = report.path.as_ref();
        let path = path.map_or_else(|| self.path.clone(), |path| path.display().to_string());
        self.log.info(CALLER, "saved", &[("path", path.into())]);
    }
}

impl Observer for Lines {
    fn event(&self, event: &Event) -> ControlFlow<()> {
        match event {
            Event::Started(Phase::Receive) => {
                self.began.store(true, Ordering::Relaxed);
                self.created();
                self.opened();
                self.fetching();
            }
            Event::Started(Phase::Check) => {
                self.client
                    .info(CLIENT_CALLER, "completed snapshot read; closing", &[]);
            }
            _ => {}
        }
        match self.interrupt.signal() {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    }
}

/// `now`, `3 seconds ago`, `2 minutes ago` (github.com/dustin/go-humanize).
fn ago(seconds: u64) -> String {
    match seconds {
        0 => "now".to_owned(),
        1 => "1 second ago".to_owned(),
        2..60 => format!("{seconds} seconds ago"),
        60..120 => "1 minute ago".to_owned(),
        120..3600 => format!("{} minutes ago", seconds / 60),
        3600..7200 => "1 hour ago".to_owned(),
        _ => format!("{} hours ago", seconds / 3600),
    }
}
