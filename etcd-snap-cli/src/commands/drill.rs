//! `etcd-snap drill`: a restore that is tried out before it is needed.

pub(crate) mod executable;
mod report;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use etcd_snap::{Cluster, ClusterId};
use etcd_snap_node::{
    DrillOptions, DrillReport, DrillVerdict, ErrorKind, ExpectedCount, RunningProcess, drill,
    drill_cluster, parse_key,
};

use crate::arguments::Output;
use crate::connection::Connection;
use crate::exit;
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::journal;
use crate::on_node::OnNode;
use crate::render;
use crate::standard;
use crate::steps;
use crate::values;

/// Prove that a snapshot restores, with a real etcd
#[derive(Debug, Args)]
#[command(after_help = "\
The snapshot is verified and restored, all of its members, into a scratch directory; a real etcd serves it on loopback, \
with certificates that are thrown away. Then HashKV of every member has to be the file's, and revision, number of keys, \
members and alarms too; some keys are compared byte for byte, one is written, and after a restart all is still there. \
Nothing is left behind but the report, also after Ctrl-C.

The etcd is that of --etcd, or with --discover the one that runs, or the one in PATH, or one that runs on this machine. Without one, only what can be \
proven offline is, and the exit code is 13. Where something does not hold, it is 12; with 0, all does.

With --endpoints, the snapshot is taken first, into FILE if one is named, and its cluster is asked for HashKV in the end. \
With --discover, it is taken from the etcd that `etcd-snap discover` finds on this machine, --etcd-name of several.

In a key, \\xHH stands for one byte and \\\\ for a backslash; 0x and hexadecimal digits stand for bytes as well.

Examples:
  etcd-snap drill backup.db

  etcd-snap drill backup.db --max-age 26h \\
    --expect /registry/namespaces/default \\
    --expect-count '/registry/pods/>=10' \\
    --report /var/lib/backup/drill.json \\
    --html /var/www/drill.html

  etcd-snap drill --discover

  etcd-snap drill \\
    --endpoints https://10.0.0.1:2379 \\
    --cacert ca.crt \\
    --cert client.crt --key client.key")]
pub(crate) struct Arguments {
    /// The snapshot; with --endpoints or --discover, where it goes
    #[arg(required_unless_present_any = ["endpoints", "discovery_srv", "discover"])]
    file: Option<PathBuf>,
    /// Boot this etcd [default: the one in PATH, or the one that runs here]
    #[arg(long, value_name = "PATH", help_heading = "Drill")]
    etcd: Option<PathBuf>,
    /// Boot none: prove what can be proven without one
    #[arg(long, conflicts_with = "etcd", help_heading = "Drill")]
    offline: bool,
    /// Restore so many members [default: as many as the snapshot has]
    #[arg(long, value_name = "N", help_heading = "Drill")]
    members: Option<usize>,
    /// Make the scratch directory in this one [default: the system's for temporary files]
    #[arg(long, value_name = "DIR", help_heading = "Drill")]
    scratch: Option<PathBuf>,
    /// The longest that the members may take to serve
    #[arg(
        long,
        value_name = "TIME",
        default_value = "2m",
        value_parser = values::waiting_time,
        help_heading = "Drill"
    )]
    timeout: Duration,
    /// Compare so many keys byte for byte
    #[arg(long, value_name = "N", default_value_t = 100, help_heading = "Drill")]
    sample: usize,
    /// Take a file without digest, such as a copy of a database
    #[arg(long, help_heading = "Drill")]
    skip_hash_check: bool,
    /// A key that has to be there; may be given several times
    #[arg(long, value_name = "KEY", value_parser = Key::parse, help_heading = "Conditions")]
    expect: Vec<Key>,
    /// How many keys have to begin with something: it, one of >=, <=, =, <, > and a number
    #[arg(long, value_name = "COUNT", help_heading = "Conditions")]
    expect_count: Vec<ExpectedCount>,
    /// How old the snapshot may be, by its manifest or else by the time of the file
    #[arg(
        long,
        value_name = "TIME",
        value_parser = values::waiting_time,
        help_heading = "Conditions"
    )]
    max_age: Option<Duration>,
    /// The cluster that it has to be from, by its manifest
    #[arg(long, value_name = "ID", value_parser = cluster_id, help_heading = "Conditions")]
    cluster_id: Option<ClusterId>,
    /// Where the report goes, as JSON [default: drill-report.json]
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    report: Option<PathBuf>,
    /// Write it as a page for people too
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    html: Option<PathBuf>,
    #[command(flatten)]
    on_node: OnNode,
    /// Which etcd to take it from, where there are several: its name, unit, pod or manifest
    // Of a drill, --etcd is the program.
    #[arg(
        long,
        value_name = "NAME",
        requires = "discover",
        help_heading = "Node"
    )]
    etcd_name: Option<String>,
    /// Take the snapshot from one of these members, with commas
    #[arg(
        long,
        value_name = "URLS",
        conflicts_with = "discover",
        env = "ETCDCTL_ENDPOINTS",
        hide_env_values = true,
        help_heading = "Connection"
    )]
    endpoints: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// A key as bytes.
#[derive(Debug, Clone)]
struct Key(Vec<u8>);

impl Key {
    fn parse(text: &str) -> Result<Self, String> {
        parse_key(text).map(Self)
    }
}

fn cluster_id(text: &str) -> Result<ClusterId, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    u64::from_str_radix(digits, 16)
        .map(ClusterId::new)
        .map_err(|_| "write it in hexadecimal digits, like cdf818194e3a8c32".to_owned())
}

/// Where the report goes unless somebody says so: in the working directory, not beside the snapshot, whose directory is often not
/// writable for who proves it, or copied elsewhere with all that is in it.
const REPORT: &str = "drill-report.json";

pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let file = arguments.file.as_deref();
    if let Some(file) = file {
        standard::refuse_input(file, "a drill")?;
    }
    let found = arguments.on_node.find(arguments.etcd_name.as_deref())?;
    let cluster = match &found {
        Some(found) => Some(found.cluster(&arguments.connection)?),
        None => arguments.living()?,
    };
    // From here on signals are wishes; before, at the prompt for the password, they end the program.
    let interrupt = Interrupt::listen()?;
    let process = found.as_ref().and_then(|found| found.etcd.process.as_ref());
    let options = arguments.options(process);
    let drilled = steps::watched(&interrupt, output.quiet, |observer| {
        let options = options.with_observer(observer);
        Ok(match &cluster {
            Some(cluster) => drill_cluster(cluster, file, &options),
            None => drill(file.unwrap_or(Path::new("")), &options),
        })
    })?;
    let report = match drilled {
        Ok(report) => report,
        Err(error) if error.kind() == ErrorKind::Cancelled => {
            return Err(match interrupt.signal() {
                Some(signal) => Failure::Stopped(signal),
                None => error.into(),
            });
        }
        Err(error) => {
            // Whoever reads only the report must not go on with yesterday's.
            let report = DrillReport::not_done(file.unwrap_or(Path::new("")), &error);
            let _ = arguments.write(&report);
            return Err(error.into());
        }
    };
    let written = arguments.write(&report);
    render::print(&report, output.write_out)?;
    let code = match report.verdict {
        DrillVerdict::Passed => return written,
        DrillVerdict::NotBooted => exit::NOT_BOOTED,
        _ => exit::NOT_PROVEN_BY_DRILL,
    };
    // What was found matters more than that it could not be written.
    if let Some((sentence, _)) = written.err().and_then(|failure| failure.sentence()) {
        journal::warning(&sentence);
    }
    Err(Failure::Reported { code })
}

impl Arguments {
    /// The cluster to take the snapshot from, if endpoints lead to one.
    fn living(&self) -> Result<Option<Cluster>> {
        match (self.connection.named(self.endpoints.as_deref()), &self.file) {
            (Some(endpoints), _) => self.connection.cluster(endpoints).map(Some),
            (None, Some(_)) => Ok(None),
            (None, None) => Err(Failure::Usage(
                "name a snapshot, --endpoints or --discover".to_owned(),
            )),
        }
    }

    fn options(&self, process: Option<&RunningProcess>) -> DrillOptions {
        let scratch = self.scratch.clone().unwrap_or_else(std::env::temp_dir);
        let mut options = DrillOptions::default()
            .with_scratch(scratch)
            .with_timeout(self.timeout)
            .with_sample(self.sample)
            .with_skip_hash_check(self.skip_hash_check);
        if !self.offline
            && let Some(etcd) = executable::find(self.etcd.as_deref(), process)
        {
            options = options.with_etcd(etcd);
        }
        if let Some(members) = self.members {
            options = options.with_members(members);
        }
        for Key(key) in &self.expect {
            options = options.with_expected_key(key.as_slice());
        }
        for count in &self.expect_count {
            options = options.with_expected_count(count.clone());
        }
        if let Some(age) = self.max_age {
            options = options.with_max_age(age);
        }
        if let Some(id) = self.cluster_id {
            options = options.with_cluster_id(id);
        }
        if let Some(host) = standard::host_name() {
            options = options.with_host(host);
        }
        options
    }

    /// That the report cannot be written is a failure where somebody has said where it goes: they will look for it there.
    fn write(&self, report: &DrillReport) -> Result<()> {
        let said = self.report.as_deref();
        let mut written = report
            .write(said.unwrap_or(Path::new(REPORT)))
            .map_err(Failure::from);
        if let (Err(failure), None) = (&written, said) {
            journal::warning(&format!(
                "there is no {REPORT}: {}",
                failure.sentence().unwrap_or_default().0
            ));
            written = Ok(());
        }
        let page = match &self.html {
            Some(path) => report.write_page(path).map_err(Failure::from),
            None => Ok(()),
        };
        written.and(page)
    }
}
