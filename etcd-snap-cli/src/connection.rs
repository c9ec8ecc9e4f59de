//! The flags that lead to a cluster, which every command that asks one has, and the way in which it is asked.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};
use etcd_snap::{Cluster, Tls};

use crate::commands::stopped;
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::prompt;
use crate::render::text;
use crate::values;

/// How to reach a cluster, beside its endpoints.
#[derive(Debug, Args)]
pub(crate) struct Connection {
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

impl Connection {
    /// The cluster behind these endpoints, given with commas. Asks for a password where one is missing.
    pub(crate) fn cluster(&self, endpoints: &str) -> Result<Cluster> {
        let mut cluster =
            Cluster::new(values::list(endpoints))?.with_connect_timeout(self.connect_timeout);
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

    /// Whether anybody is to log in.
    pub(crate) fn has_user(&self) -> bool {
        self.user.is_some()
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

/// Asks a cluster, until a signal or the end of the time that there is: what was begun is dropped then, and tidies up.
/// `unfinished` says what is missing in that case.
pub(crate) fn online<T>(
    interrupt: &Interrupt,
    limit: Option<Duration>,
    unfinished: &'static str,
    work: impl Future<Output = etcd_snap::Result<T>>,
) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::System {
            doing: "start the network runtime",
            error,
        })?;
    let mut signals = interrupt.clone();
    runtime.block_on(async {
        tokio::select! {
            done = work => done.map_err(|error| stopped(error, interrupt)),
            signal = signals.signalled() => Err(Failure::Stopped(signal)),
            limit = passed(limit) => Err(Failure::Late { limit, unfinished }),
        }
    })
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
