//! `etcd-snap save`: a snapshot from a running cluster.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgAction, Args};
use comfy_table::Table;
use etcd_snap::{Cluster, ErrorKind, ProofKind, SaveOptions, SaveReport, Target, Tls};

use crate::arguments::Output;
use crate::commands::stopped;
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::prompt;
use crate::render::{self, Render, text};
use crate::standard;
use crate::values;

/// Take a snapshot from a running cluster
#[derive(Debug, Args)]
#[command(after_help = "\
FILE gets its name when the snapshot has arrived, its digest, pages and records are checked, and all of it is on the \
disk. Until then, and after any failure, what was there before is still there. Of several endpoints, the first one \
that can be used gives the snapshot. A flag wins over its variable.

A pipe, a device, or - for standard output is written as the bytes come. The digest and every page by itself are proven \
then, and the end is sent only after that: what a reader got of a save that failed is no snapshot.

Examples:
  etcd-snap save backup.db \\
    --endpoints 10.0.0.1:2379

  etcd-snap save backup.db \\
    --endpoints https://10.0.0.1:2379 \\
    --cacert ca.crt \\
    --cert client.crt --key client.key

  ETCDCTL_PASSWORD=secret \\
    etcd-snap save backup.db --user root

  etcd-snap save - | zstd > backup.db.zst")]
pub(crate) struct Arguments {
    /// Where the snapshot goes; - is standard output
    file: PathBuf,
    /// Refuse to replace FILE
    #[arg(long, help_heading = "Target")]
    no_clobber: bool,
    /// Members to ask, with commas
    #[arg(
        long,
        value_name = "URLS",
        default_value = "127.0.0.1:2379",
        env = "ETCDCTL_ENDPOINTS",
        hide_env_values = true,
        help_heading = "Connection"
    )]
    endpoints: String,
    /// The longest that connecting to a member may take
    #[arg(
        long,
        visible_alias = "dial-timeout",
        value_name = "TIME",
        default_value = "10s",
        value_parser = values::waiting_time,
        env = "ETCDCTL_DIAL_TIMEOUT",
        hide_env_values = true,
        help_heading = "Connection"
    )]
    connect_timeout: Duration,
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
    /// Trust the authorities in this PEM file [default: the system's]
    #[arg(
        long,
        value_name = "PEM",
        env = "ETCDCTL_CACERT",
        hide_env_values = true,
        help_heading = "TLS"
    )]
    cacert: Option<PathBuf>,
    /// Show this certificate to the server
    #[arg(
        long,
        value_name = "PEM",
        requires = "key",
        env = "ETCDCTL_CERT",
        hide_env_values = true,
        help_heading = "TLS"
    )]
    cert: Option<PathBuf>,
    /// The key of the certificate
    #[arg(
        long,
        value_name = "PEM",
        requires = "cert",
        env = "ETCDCTL_KEY",
        hide_env_values = true,
        help_heading = "TLS"
    )]
    key: Option<PathBuf>,
    /// Expect this name in the server's certificate
    #[arg(long, value_name = "NAME", help_heading = "TLS")]
    tls_server_name: Option<String>,
    /// Take any certificate: no protection from eavesdroppers
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        hide_default_value = true,
        value_parser = values::boolean,
        action = ArgAction::Set,
        env = "ETCDCTL_INSECURE_SKIP_TLS_VERIFY",
        hide_env_values = true,
        help_heading = "TLS"
    )]
    insecure_skip_tls_verify: bool,
    /// With =false, endpoints without a scheme use TLS
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_value = "true",
        default_missing_value = "true",
        value_parser = values::boolean,
        action = ArgAction::Set,
        env = "ETCDCTL_INSECURE_TRANSPORT",
        hide_env_values = true,
        help_heading = "TLS"
    )]
    insecure_transport: bool,
    /// Log in as this user; without a password, asks for it
    #[arg(
        long,
        value_name = "NAME[:PASSWORD]",
        env = "ETCDCTL_USER",
        hide_env_values = true,
        help_heading = "User"
    )]
    user: Option<String>,
    /// Its password; safer in the variable
    #[arg(
        long,
        value_name = "PASSWORD",
        env = "ETCDCTL_PASSWORD",
        hide_env_values = true,
        help_heading = "User"
    )]
    password: Option<String>,
}

pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let to_output = standard::is_dash(&arguments.file);
    let target = if to_output {
        standard::output()?
    } else {
        Target::from(&arguments.file)
    };
    let report_aside = to_output || standard::is_output(&arguments.file);
    let direct = to_output
        || arguments
            .file
            .metadata()
            .is_ok_and(|there| !there.is_file());
    let cluster = arguments.cluster()?;
    // From here on signals are wishes; before, at the prompt for the password, they end the program.
    let mut interrupt = Interrupt::listen()?;
    let progress = Arc::new(Progress::new(output.quiet, interrupt.clone()));
    let options = SaveOptions::default()
        .with_stall_timeout(arguments.stall_timeout)
        .with_no_clobber(arguments.no_clobber)
        .with_observer(Arc::clone(&progress) as _);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::System {
            doing: "start the network runtime",
            error,
        })?;
    let saved = runtime.block_on(async {
        let signals = interrupt.clone();
        // Dropping the unfinished save removes what it has staged.
        tokio::select! {
            saved = etcd_snap::save(&cluster, target, &options) => {
                saved.map_err(|error| stopped(error, &signals))
            }
            signal = interrupt.signalled() => Err(Failure::Stopped(signal)),
            limit = passed(arguments.command_timeout) => Err(Failure::Late(limit)),
        }
    });
    progress.finish();
    let report = saved.map_err(|failure| failure.or_hint(|error| arguments.hint(error, direct)))?;
    match report_aside {
        false => render::print(&report, output.write_out),
        true if output.quiet => Ok(()),
        true => render::print_aside(&report, output.write_out),
    }
}

/// Returns when the time has passed; without a limit, never.
async fn passed(limit: Option<Duration>) -> Duration {
    match limit {
        Some(limit) => {
            tokio::time::sleep(limit).await;
            limit
        }
        None => std::future::pending().await,
    }
}

impl Arguments {
    fn cluster(&self) -> Result<Cluster> {
        let mut cluster =
            Cluster::new(values::list(&self.endpoints))?.with_connect_timeout(self.connect_timeout);
        if let Some(tls) = self.tls()? {
            cluster = cluster.with_tls(tls);
        }
        if let Some((name, password)) = self.login()? {
            cluster = cluster.with_user(name, password);
        }
        Ok(cluster)
    }

    /// Endpoints without a scheme use TLS if anything was said about it.
    fn tls(&self) -> Result<Option<Tls>> {
        let mut said = !self.insecure_transport;
        let mut tls = Tls::builder();
        if let Some(authorities) = &self.cacert {
            tls = tls.ca_file(authorities);
            said = true;
        }
        if let (Some(certificate), Some(key)) = (&self.cert, &self.key) {
            tls = tls.identity_files(certificate, key);
            said = true;
        }
        if let Some(name) = &self.tls_server_name {
            tls = tls.server_name(name);
            said = true;
        }
        if self.insecure_skip_tls_verify {
            tls = tls.danger_skip_verification();
            said = true;
        }
        if said {
            Ok(Some(tls.build()?))
        } else {
            Ok(None)
        }
    }

    /// A name with a colon in it works as it does for etcdctl: by giving the password apart.
    fn login(&self) -> Result<Option<(String, String)>> {
        let Some(user) = self.user.as_deref().filter(|user| !user.is_empty()) else {
            return Ok(None);
        };
        let login = match (&self.password, user.split_once(':')) {
            (Some(password), _) => (user.to_owned(), password.clone()),
            (None, Some((name, password))) => (name.to_owned(), password.to_owned()),
            (None, None) => (user.to_owned(), ask_password(user)?),
        };
        Ok(Some(login))
    }

    fn hint(&self, error: &etcd_snap::Error, direct: bool) -> Option<String> {
        let hint = match error.kind() {
            ErrorKind::Denied if self.user.is_none() => {
                "--user names who logs in, ETCDCTL_PASSWORD holds the password"
            }
            ErrorKind::Stalled => "--stall-timeout waits longer",
            ErrorKind::Occupied if self.no_clobber => "without --no-clobber it is replaced",
            ErrorKind::Damaged if direct => render::STREAM_DAMAGE_HINT,
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

fn ask_password(user: &str) -> Result<String> {
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(format!(
            "the user {user:?} has no password: put it into ETCDCTL_PASSWORD, or use --password"
        )));
    }
    prompt::secret(&format!("Password of {}: ", text::visible(user))).map_err(|error| {
        Failure::System {
            doing: "ask for the password",
            error,
        }
    })
}

impl Render for SaveReport {
    fn simple(&self) -> String {
        // The first line is etcdctl's: scripts look for it.
        let mut lines = match &self.path {
            Some(_) => format!("Snapshot saved at {}\n", path(self)),
            None => "Snapshot written to standard output\n".to_owned(),
        };
        lines.push_str(&render::lines(&facts(self)));
        lines
    }

    fn tables(&self) -> Vec<Table> {
        let mut rows = vec![("saved at", path(self))];
        rows.extend(facts(self));
        let known = [
            ("member id", self.member_id.map(|id| id.to_string())),
            ("cluster id", self.cluster_id.map(|id| id.to_string())),
            ("storage version", self.storage_version.clone()),
        ];
        rows.extend(
            known
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        if let Some(contents) = &self.contents {
            rows.push(("hash", format!("{:x}", contents.hash)));
        }
        rows.push(("SHA-256", self.digest.to_string()));
        let durations = &self.durations;
        rows.extend([
            ("connected in", seconds(durations.connect_ms)),
            ("received in", seconds(durations.receive_ms)),
            ("checked in", seconds(durations.check_ms)),
            ("published in", seconds(durations.publish_ms)),
        ]);
        vec![render::pairs(rows)]
    }
}

fn facts(report: &SaveReport) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let Some(endpoint) = &report.endpoint {
        facts.push(("from", endpoint.clone()));
    }
    if let Some(version) = &report.etcd_version {
        facts.push(("etcd", version.clone()));
    }
    if let Some(contents) = &report.contents {
        facts.extend([
            (
                "revision",
                render::revision(contents.revision, contents.compact_revision),
            ),
            (
                "keys",
                render::keys(contents.live_keys, contents.total_records),
            ),
        ]);
    }
    facts.push(("size", text::size(report.size_bytes)));
    if report.proof != ProofKind::Full {
        facts.push(("proven", render::STREAM_PROOF.to_owned()));
    }
    facts
}

fn path(report: &SaveReport) -> String {
    match &report.path {
        Some(path) => text::visible(&path.display().to_string()),
        None => "standard output".to_owned(),
    }
}

fn seconds(milliseconds: u64) -> String {
    text::duration(Duration::from_millis(milliseconds))
}
