//! `etcd-snap save`: a snapshot from a running cluster.

mod report;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use etcd_snap::{Attest, EndpointPolicy, ErrorKind, SaveOptions, SaveReport, Target};

use crate::arguments::Output;
use crate::connection::{Connection, online};
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::metrics::Textfile;
use crate::on_node::OnNode;
use crate::progress::Progress;
use crate::render::{self, attest};
use crate::standard;
use crate::values;

/// Take a snapshot from a running cluster
#[derive(Debug, Args)]
#[command(after_help = "\
FILE gets its name when the snapshot has arrived, its digest, pages and records are checked, and all of it is on the \
disk. Until then, and after any failure, what was there before is still there. A flag wins over its variable.

Of several endpoints, all are asked how they are. Out of reach, learners, members of another cluster, without a leader, \
corrupt or far behind are left out; of the others a follower gives the snapshot, in the order given. If that fails, the \
next one is tried. --endpoint-policy=first takes the first that can be reached, leader and follower insist.

In the name of FILE, not of its directory, {revision}, {utc}, {cluster}, {member} and {host} are filled in, as in \
etcd-{utc}-{revision}.db; a brace itself is written twice.

With --metrics-textfile, node_exporter's textfile collector can tell when the last snapshot was taken, its size, \
revision and proof, and when and why a save failed. That it cannot be written is a warning: the snapshot is good.

A pipe, a device, or - for standard output is written as the bytes come. The digest and every page by itself are proven \
then, and the end is sent only after that: what a reader got of a save that failed is no snapshot.

With --attest, every member of the cluster is asked for the hash of its keys at the snapshot's revision; if one has \
other keys, or none can tell, there is no FILE, and the exit code is 11. With --attest=if-possible, it is no failure \
that none can tell. A later run replaces or removes FILE.unproven.

With --discover, endpoints and certificates are those of the etcd that `etcd-snap discover` finds on this machine, and \
variables about them do not count. Certificates and users that flags name come first.

Examples:
  etcd-snap save backup.db --discover

  etcd-snap save backup.db \\
    --endpoints 10.0.0.1:2379

  etcd-snap save backup.db \\
    --endpoints https://10.0.0.1:2379 \\
    --cacert ca.crt \\
    --cert client.crt --key client.key

  ETCDCTL_PASSWORD=secret \\
    etcd-snap save backup.db --user root \\
    --attest --keep-unproven

  etcd-snap save backups/etcd-{utc}.db \\
    --no-clobber

  etcd-snap save - | zstd > backup.db.zst")]
pub(crate) struct Arguments {
    /// Where the snapshot goes; - is standard output
    file: PathBuf,
    /// Refuse to replace FILE
    #[arg(long, help_heading = "Target")]
    no_clobber: bool,
    /// Write the report beside it, as FILE.manifest.json: a restore reads it
    #[arg(long, help_heading = "Target")]
    manifest: bool,
    /// Have the members bear it out: one must, none may differ
    #[arg(
        long,
        value_name = "WHEN",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "required",
        help_heading = "Proof"
    )]
    attest: Option<When>,
    /// Keep what they do not bear out as FILE.unproven
    #[arg(long, requires = "attest", help_heading = "Proof")]
    keep_unproven: bool,
    #[command(flatten)]
    on_node: OnNode,
    /// Which etcd, where there are several: its name, unit, pod or manifest
    #[arg(
        long,
        value_name = "NAME",
        requires = "discover",
        help_heading = "Node"
    )]
    etcd: Option<String>,
    /// Members to ask, with commas
    #[arg(
        long,
        value_name = "URLS",
        default_value = "127.0.0.1:2379",
        env = "ETCDCTL_ENDPOINTS",
        hide_env_values = true,
        conflicts_with = "discover",
        help_heading = "Connection"
    )]
    endpoints: String,
    /// Which of several members gives the snapshot
    #[arg(
        long,
        value_name = "POLICY",
        value_enum,
        default_value = "auto",
        help_heading = "Connection"
    )]
    endpoint_policy: Policy,
    /// The longest silence of the server in the middle
    #[arg(
        long,
        value_name = "TIME",
        default_value = "30s",
        value_parser = values::waiting_time,
        help_heading = "Connection"
    )]
    stall_timeout: Duration,
    /// The longest that all of it may take [default: no limit]
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
    /// Keep metrics of the last success and failure in this file
    #[arg(long, value_name = "FILE", help_heading = "Metrics")]
    metrics_textfile: Option<PathBuf>,
}

/// How much the members have to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum When {
    /// One of them at least has to bear it out
    Required,
    /// It is enough that none differs
    IfPossible,
}

/// Which of several members gives the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Policy {
    /// The first that can be reached
    First,
    /// A follower that is fit, else the leader
    Auto,
    /// The leader
    Leader,
    /// A follower
    Follower,
}

impl From<Policy> for EndpointPolicy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::First => Self::First,
            Policy::Auto => Self::Auto,
            Policy::Leader => Self::Leader,
            Policy::Follower => Self::Follower,
        }
    }
}

pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let textfile = arguments.metrics_textfile.as_deref();
    let textfile = textfile.map(Textfile::new).transpose()?;
    let began = Instant::now();
    let saved = save(arguments, output);
    if let Some(textfile) = textfile {
        let saved = saved.as_ref().map_err(Failure::kind_and_code);
        textfile.record(saved, began.elapsed());
    }
    let report = saved?;
    if !is_aside(&arguments.file) {
        render::print(&report, output.write_out)
    } else if output.quiet {
        Ok(())
    } else {
        render::print_aside(&report, output.write_out)
    }
}

/// Whether standard output has the data.
fn is_aside(file: &Path) -> bool {
    standard::is_dash(file) || standard::is_output(file)
}

fn save(arguments: &Arguments, output: &Output) -> Result<SaveReport> {
    let file = &arguments.file;
    let to_output = standard::is_dash(file);
    let direct = to_output || file.metadata().is_ok_and(|there| !there.is_file());
    // Before the password is asked for.
    if direct && arguments.attest.is_some() {
        return Err(Failure::Usage(
            "--attest wants a file: what is written to a pipe or a device has left before the members can be asked"
                .to_owned(),
        ));
    }
    if direct && arguments.manifest {
        return Err(Failure::Usage(
            "--manifest wants a file: a pipe or a device has no place for a manifest beside it"
                .to_owned(),
        ));
    }
    let target = if to_output {
        standard::output()?
    } else {
        Target::pattern(file, standard::host_name().as_deref())?
    };
    let cluster = match arguments.on_node.find(arguments.etcd.as_deref())? {
        Some(found) => found.cluster(&arguments.connection)?,
        None => arguments.connection.cluster(&arguments.endpoints)?,
    };
    // From here on signals are wishes; before, at the prompt for the password, they end the program.
    let interrupt = Interrupt::listen()?;
    let progress = Arc::new(Progress::new(output.quiet, interrupt.clone()));
    let options = arguments
        .options()
        .with_observer(Arc::clone(&progress) as _);
    let saved = online(
        &interrupt,
        arguments.command_timeout,
        "the snapshot was not complete",
        etcd_snap::save(&cluster, target, &options),
    );
    progress.finish();
    match saved {
        Ok(report) => Ok(report),
        Err(Failure::Library { error, hint }) => {
            let failure = attest::print_unproven(error, output)?;
            Err(failure.or_hint(|error| hint.or_else(|| arguments.hint(error, direct))))
        }
        Err(failure) => Err(failure),
    }
}

impl Arguments {
    fn options(&self) -> SaveOptions {
        SaveOptions::default()
            .with_stall_timeout(self.stall_timeout)
            .with_endpoint_policy(self.endpoint_policy.into())
            .with_no_clobber(self.no_clobber)
            .with_attest(match self.attest {
                None => Attest::No,
                Some(When::IfPossible) => Attest::IfPossible,
                Some(When::Required) => Attest::Required,
            })
            .with_keep_unproven(self.keep_unproven)
            .with_manifest(self.manifest)
    }

    fn hint(&self, error: &etcd_snap::Error, direct: bool) -> Option<String> {
        let hint = match error.kind() {
            ErrorKind::Denied if !self.connection.has_user() => {
                "--user names who logs in, ETCDCTL_PASSWORD or --password-file holds the password"
            }
            // Several endpoints, and each has something against it.
            ErrorKind::Server if error.endpoint().is_none() => {
                "--endpoint-policy=first takes the first that can be reached, whatever its state"
            }
            ErrorKind::Stalled => "--stall-timeout waits longer",
            ErrorKind::Occupied if self.no_clobber => "without --no-clobber it is replaced",
            ErrorKind::Unproven if attest::none_can_tell(error) => {
                "--attest=if-possible takes a snapshot that no member can speak of"
            }
            ErrorKind::Unproven if !self.keep_unproven => {
                "--keep-unproven keeps it as FILE.unproven, to look into"
            }
            ErrorKind::Unproven => attest::COMPARE,
            ErrorKind::Damaged if direct => render::STREAM_DAMAGE_HINT,
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
