//! A cluster, as a client names it.

use std::fmt;
use std::time::Duration;

use super::auth::{Login, Password, User};
use super::endpoint::Endpoint;
use super::endpoints;
use super::tls::Tls;
use crate::{Error, Result};

/// How to reach a cluster: its endpoints, and what it takes to be let in.
///
/// Nothing is resolved or connected before a verb needs it. Of several endpoints, each verb says which it uses; a save
/// chooses by its [`EndpointPolicy`](crate::EndpointPolicy).
///
/// ```
/// use etcd_snap::{Cluster, Tls};
///
/// # fn main() -> etcd_snap::Result<()> {
/// let tls = Tls::builder().danger_skip_verification().build()?;
/// let cluster = Cluster::new(["https://10.0.0.1:2379", "https://10.0.0.2:2379"])?.with_tls(tls);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Cluster {
    endpoints: Vec<Endpoint>,
    tls: Option<Tls>,
    login: Option<Login>,
    connect_timeout: Duration,
}

impl Cluster {
    /// The cluster behind these endpoints: `http://host:port`, `https://host:port`, or a bare `host:port`, which goes
    /// over TLS when [`with_tls`](Self::with_tls) is given. IPv6 addresses stand in brackets, with their zone if they need
    /// one, like `[fe80::1%eth0]:2379`; a missing port is 2379.
    ///
    /// `unix:///path` leads to a Unix socket, over TLS when that is given, and `unixs:///path` always over TLS. `unix:path`
    /// and `unix://path` are relative, so that `unix://host:port` is a file of that name, as etcd makes one.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) when there is no endpoint, or one that is none.
    pub fn new<I>(endpoints: I) -> Result<Self>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let endpoints = endpoints
            .into_iter()
            .map(|endpoint| Endpoint::parse(endpoint.as_ref()))
            .collect::<Result<Vec<_>>>()?;
        if endpoints.is_empty() {
            return Err(Error::invalid(
                "no endpoint is given: name at least one, like https://10.0.0.1:2379",
            ));
        }
        Ok(Self {
            endpoints,
            tls: None,
            login: None,
            connect_timeout: Duration::from_secs(10),
        })
    }

    /// The cluster behind a list of endpoints, as flags and variables have it: with commas, blanks around the pieces, and
    /// empty pieces that do not count. Brackets around the whole list are passed over, and within them blanks part the
    /// pieces too: `[127.0.0.1:2379]` and `[a:2379 b:2379]` are lists, `[::1]` is an address.
    ///
    /// ```
    /// # fn main() -> etcd_snap::Result<()> {
    /// let cluster = etcd_snap::Cluster::parse("10.0.0.1:2379, [fe80::1%eth0]:2379,unix:///run/etcd.sock")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn parse(endpoints: &str) -> Result<Self> {
        Self::new(Self::split(endpoints))
    }

    /// The pieces that [`parse`](Self::parse) finds in a list, as they are written there.
    #[must_use]
    pub fn split(endpoints: &str) -> Vec<&str> {
        endpoints::split(endpoints)
    }

    /// Certificates to trust and to show. Without it, an `https://` endpoint is checked against the system's roots.
    #[must_use]
    pub fn with_tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The user to log in as; a snapshot takes the role `root` where auth is enabled. Where it is not, user and password
    /// are left unused. Takes the place of [`with_token`](Self::with_token).
    #[must_use]
    pub fn with_user(mut self, name: impl Into<String>, password: impl Into<Password>) -> Self {
        self.login = Some(Login::User(User::new(name.into(), password.into())));
        self
    }

    /// A token that stands for a login, as servers with `--auth-token=jwt` take it from whoever made it; nobody logs in
    /// then. It goes with every request, and has to last as long as the verb. Takes the place of
    /// [`with_user`](Self::with_user).
    #[must_use]
    pub fn with_token(mut self, token: impl Into<Password>) -> Self {
        self.login = Some(Login::Token(token.into()));
        self
    }

    /// The longest that resolving a name, TCP, TLS and the beginning of HTTP/2 may take together, for one endpoint, and
    /// then again each of the short questions before the snapshot. 10 seconds unless set.
    #[must_use]
    pub fn with_connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    pub(crate) fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    pub(crate) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    pub(crate) fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("endpoints", &self.endpoints)
            .field("tls", &self.tls)
            .field("login", &self.login)
            .field("connect_timeout", &self.connect_timeout)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Cluster;
    use crate::ErrorKind;

    #[test]
    fn a_cluster_has_an_endpoint() {
        let none: [&str; 0] = [];
        assert_eq!(
            Cluster::new(none).unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
    }

    #[test]
    fn a_password_is_not_shown() {
        let cluster = Cluster::new(["a:1"]).unwrap().with_user("root", "hunter2");
        let shown = format!("{cluster:?}");
        assert!(
            shown.contains("root") && shown.contains("[redacted]"),
            "{shown}"
        );
        assert!(!shown.contains("hunter2"), "{shown}");
        let cluster = cluster.with_token("hunter2");
        let shown = format!("{cluster:?}");
        assert!(
            shown.contains("[redacted]") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}
