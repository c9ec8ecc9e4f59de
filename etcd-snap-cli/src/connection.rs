//! The flags that lead to a cluster, which every command that asks one has, and the way in which it is asked.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{ArgAction, Args};
use etcd_snap::{Cluster, Discovery, Tls, TlsBuilder};
use tokio::runtime::{Builder, Runtime};

use crate::commands::stopped;
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::journal;
use crate::prompt;
use crate::render::text;
use crate::values;

/// How to reach a cluster, beside its endpoints.
#[derive(Debug, Clone, Args)]
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
    /// Find the endpoints by the SRV records of this domain
    #[arg(
        short,
        long,
        value_name = "DOMAIN",
        env = "ETCDCTL_DISCOVERY_SRV",
        hide_env_values = true,
        help_heading = "Connection"
    )]
    discovery_srv: Option<String>,
    /// Of several clusters in the domain, the one of this name
    #[arg(
        long,
        value_name = "NAME",
        env = "ETCDCTL_DISCOVERY_SRV_NAME",
        hide_env_values = true,
        help_heading = "Connection"
    )]
    discovery_srv_name: Option<String>,
    /// With =false, only found endpoints with TLS, and the domain in their certificates
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_value = "true",
        default_missing_value = "true",
        value_parser = values::boolean,
        action = ArgAction::Set,
        env = "ETCDCTL_INSECURE_DISCOVERY",
        hide_env_values = true,
        help_heading = "Connection"
    )]
    insecure_discovery: bool,
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
    /// Its password is the first line of this file
    #[arg(long, value_name = "FILE", help_heading = "User")]
    password_file: Option<PathBuf>,
    /// Send this token instead of a login
    #[arg(
        long,
        value_name = "TOKEN",
        env = "ETCDCTL_AUTH_JWT_TOKEN",
        hide_env_values = true,
        help_heading = "User"
    )]
    auth_jwt_token: Option<String>,
}

impl Connection {
    /// The cluster behind these endpoints, unless they are to be found by a domain. Asks for a password where one is missing.
    pub(crate) fn cluster(&self, endpoints: &str) -> Result<Cluster> {
        let cluster = match self.domain() {
            None => Cluster::parse(endpoints)?,
            Some(domain) => Cluster::new(self.discover(domain)?)?,
        };
        let mut cluster = self.timed(cluster);
        if let Some(tls) = self.tls(None)? {
            cluster = cluster.with_tls(tls);
        }
        Ok(self.credentials()?.apply(cluster))
    }

    /// One endpoint, with what the flags say of TLS. `found` counts where no files are named.
    pub(crate) fn cluster_at(&self, endpoint: &str, found: Option<TlsBuilder>) -> Result<Cluster> {
        let found = found.filter(|_| !self.has_tls_files());
        let cluster = Cluster::new([endpoint])?;
        Ok(match self.tls(found)? {
            Some(tls) => cluster.with_tls(tls),
            None => cluster,
        })
    }

    /// The same, with the time that connecting may take.
    pub(crate) fn timed(&self, cluster: Cluster) -> Cluster {
        cluster.with_connect_timeout(self.connect_timeout)
    }

    /// Whether flags name certificates.
    pub(crate) fn has_tls_files(&self) -> bool {
        self.cacert.is_some() || self.cert.is_some()
    }

    /// Whether they say anything of TLS.
    pub(crate) fn has_tls(&self) -> bool {
        self.has_tls_files() || self.tls_server_name.is_some() || self.insecure_skip_tls_verify
    }

    /// As whom one asks. Asks for a password where one is missing.
    pub(crate) fn credentials(&self) -> Result<Credentials> {
        if let Some(token) = self.token() {
            if self.has_user() {
                journal::warning("the token is used, and not the user");
            }
            return Ok(Credentials::Token(token.to_owned()));
        }
        Ok(match self.login()? {
            Some((name, password)) => Credentials::User(name, password),
            None => Credentials::Nobody,
        })
    }

    /// The endpoints that somebody has named, none of which counts where a domain is to be asked for them; `None` where nobody is to be
    /// asked at all.
    pub(crate) fn named<'e>(&self, endpoints: Option<&'e str>) -> Option<&'e str> {
        let named = endpoints.filter(|endpoints| !endpoints.is_empty());
        named.or(self.domain().is_some().then_some(""))
    }

    fn domain(&self) -> Option<&str> {
        self.discovery_srv
            .as_deref()
            .filter(|domain| !domain.is_empty())
    }

    fn discover(&self, domain: &str) -> Result<Vec<String>> {
        let found = Discovery::new(domain)
            .with_service_name(self.discovery_srv_name.as_deref().unwrap_or_default())
            .with_plain(self.insecure_discovery)
            .with_timeout(self.connect_timeout)
            .find_blocking()?;
        for endpoint in &found.left_out {
            journal::warning(&format!(
                "{endpoint} is left out: it is without TLS, and --insecure-discovery is false"
            ));
        }
        if found.endpoints.is_empty() {
            return Err(Failure::Usage(format!(
                "the domain {domain:?} has only endpoints without TLS, and --insecure-discovery is false"
            )));
        }
        Ok(found.endpoints)
    }

    fn token(&self) -> Option<&str> {
        self.auth_jwt_token
            .as_deref()
            .filter(|token| !token.is_empty())
    }

    /// Endpoints without a scheme use TLS if anything was said about it.
    fn tls(&self, found: Option<TlsBuilder>) -> Result<Option<Tls>> {
        let mut said = !self.insecure_transport || found.is_some();
        let mut tls = found.unwrap_or_else(Tls::builder);
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
        } else if let Some(domain) = self.domain().filter(|_| !self.insecure_discovery) {
            tls = tls.server_name(domain);
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
        let from_file = match &self.password_file {
            Some(path) => Some(read_password(path)?),
            None => None,
        };
        let given = from_file.as_ref().or(self.password.as_ref());
        let login = match (given, user.split_once(':')) {
            (Some(password), _) => (user.to_owned(), password.clone()),
            (None, Some((name, password))) => (name.to_owned(), password.to_owned()),
            (None, None) => (user.to_owned(), ask_password(user)?),
        };
        Ok(Some(login))
    }

    /// Whether anybody is to log in.
    pub(crate) fn has_user(&self) -> bool {
        self.user.as_ref().is_some_and(|user| !user.is_empty())
    }
}

/// As whom a cluster is asked.
pub(crate) enum Credentials {
    Nobody,
    User(String, String),
    Token(String),
}

impl Credentials {
    pub(crate) fn apply(&self, cluster: Cluster) -> Cluster {
        match self {
            Self::Nobody => cluster,
            Self::User(name, password) => cluster.with_user(name.clone(), password.clone()),
            Self::Token(token) => cluster.with_token(token.clone()),
        }
    }
}

/// The first line: what stands behind it is for people.
pub(crate) fn read_password(path: &Path) -> Result<String> {
    let shown = text::visible(&path.display().to_string());
    let read = |e| Failure::Usage(format!("cannot read the password from {shown}: {e}"));
    let mut file = File::open(path).map_err(read)?;
    let mut content = String::new();
    file.read_to_string(&mut content).map_err(read)?;
    let password = content.lines().next().unwrap_or_default();
    if password.is_empty() {
        return Err(Failure::Usage(format!(
            "there is no password in {shown}: it has to be the first line"
        )));
    }
    let readable_by_others = 0o004;
    if file
        .metadata()
        .is_ok_and(|it| it.is_file() && it.mode() & readable_by_others != 0)
    {
        journal::warning(&format!(
            "every user of this machine can read the password in {shown}: chmod o-r takes that away"
        ));
    }
    Ok(password.to_owned())
}

fn ask_password(user: &str) -> Result<String> {
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(format!(
            "the user {user:?} has no password: put it into ETCDCTL_PASSWORD, or use --password-file"
        )));
    }
    prompt::secret(&format!("Password of {}: ", text::visible(user))).map_err(|error| {
        Failure::System {
            doing: "ask for the password",
            error,
        }
    })
}

/// What answers are waited for with, in the thread of the caller.
pub(crate) fn runtime() -> Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::System {
            doing: "start the network runtime",
            error,
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
    let runtime = runtime()?;
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
