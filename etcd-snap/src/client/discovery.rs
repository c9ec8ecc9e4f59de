//! Where a cluster is, by the SRV records of its domain.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData};

use super::block_on;
use crate::{Error, ErrorKind, Result};

/// Finds the endpoints of a cluster by the SRV records of its domain, as etcd's own client does: those of
/// `_etcd-client-ssl._tcp.DOMAIN` become `https://` endpoints, those of `_etcd-client._tcp.DOMAIN` become `http://` ones.
///
/// Who trusts the domain rather than the names in its records gives it to
/// [`TlsBuilder::server_name`](crate::TlsBuilder::server_name): DNS alone could lead anywhere.
///
/// The system's resolvers are asked (`/etc/resolv.conf`), without a search list.
///
/// ```no_run
/// use etcd_snap::{Cluster, Discovery, Tls};
///
/// # async fn example() -> etcd_snap::Result<()> {
/// let found = Discovery::new("example.com").find().await?;
/// let tls = Tls::builder().ca_file("ca.crt").server_name("example.com").build()?;
/// let cluster = Cluster::new(found.endpoints)?.with_tls(tls);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing happens before `find`"]
pub struct Discovery {
    domain: String,
    service_name: Option<String>,
    with_plain: bool,
    nameserver: Option<SocketAddr>,
    timeout: Duration,
}

/// What the records of a domain lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Discovered {
    /// With TLS first; then by priority, weight and name.
    pub endpoints: Vec<String>,
    /// Endpoints without TLS that were found and not asked for.
    pub left_out: Vec<String>,
}

impl Discovery {
    /// In this domain.
    pub fn new(domain: impl Into<String>) -> Self {
        Self {
            domain: domain.into(),
            service_name: None,
            with_plain: false,
            nameserver: None,
            timeout: Duration::from_secs(10),
        }
    }

    /// Of several clusters in one domain, the one of this name: its services are `_etcd-client-ssl-NAME` and
    /// `_etcd-client-NAME`.
    pub fn with_service_name(mut self, name: impl Into<String>) -> Self {
        self.service_name = Some(name.into()).filter(|name| !name.is_empty());
        self
    }

    /// Takes endpoints without TLS too. Only those with TLS unless set.
    pub fn with_plain(mut self, with_plain: bool) -> Self {
        self.with_plain = with_plain;
        self
    }

    /// Asks this server instead of the system's.
    pub fn with_nameserver(mut self, address: SocketAddr) -> Self {
        self.nameserver = Some(address);
        self
    }

    /// The longest that all of it may take. 10 seconds unless set.
    pub fn with_timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Asks. Needs a tokio runtime with time and I/O.
    ///
    /// # Errors
    /// `InvalidInput` for a domain that is none; `Connection` where neither service has records, or no answer comes.
    pub async fn find(&self) -> Result<Discovered> {
        let finding = async {
            let resolver = self.resolver()?;
            // One after the other: a name that exists is answered in a moment.
            let with_tls = self.ask(&resolver, "-ssl").await?;
            let plain = self.ask(&resolver, "").await?;
            Ok::<_, Error>((with_tls, plain))
        };
        let (with_tls, plain) = tokio::time::timeout(self.timeout, finding)
            .await
            .map_err(|_| self.error(&format!("were not found within {:?}", self.timeout)))??;
        let mut found = Discovered {
            endpoints: Vec::new(),
            left_out: Vec::new(),
        };
        let records = match (with_tls, plain) {
            (Err(with_tls), Err(plain)) => {
                let why = format!("were not found: {with_tls}; {plain}");
                return Err(self.error(&why));
            }
            (with_tls, plain) => (with_tls.unwrap_or_default(), plain.unwrap_or_default()),
        };
        found.endpoints = endpoints("https", records.0);
        let plain = endpoints("http", records.1);
        if self.with_plain {
            found.endpoints.extend(plain);
        } else {
            found.left_out = plain;
        }
        Ok(found)
    }

    /// [`find`](Self::find) for programs without a runtime: it brings its own, and blocks.
    ///
    /// # Errors
    /// As [`find`](Self::find); and `InvalidInput` when it is called from within a runtime, which it would hold up.
    pub fn find_blocking(&self) -> Result<Discovered> {
        block_on("find", self.find())
    }

    fn resolver(&self) -> Result<TokioResolver> {
        let built = match self.nameserver {
            None => TokioResolver::builder_tokio(),
            Some(address) => Ok(TokioResolver::builder_with_config(
                asking(address),
                TokioRuntimeProvider::default(),
            )),
        };
        built.and_then(|builder| builder.build()).map_err(|e| {
            self.error("cannot be looked for: the system's resolver cannot be used")
                .with_source(e)
        })
    }

    /// The records of one service, or why there are none.
    async fn ask(
        &self,
        resolver: &TokioResolver,
        tls: &str,
    ) -> Result<Result<Vec<Record>, String>> {
        let service = self.service(tls);
        let mut name = Name::from_utf8(&service).map_err(|e| {
            Error::invalid(format!(
                "{:?} is no domain that could have records",
                self.domain
            ))
            .with_source(e)
        })?;
        // Else the system's search list would be tried too.
        name.set_fqdn(true);
        Ok(match resolver.srv_lookup(name).await {
            Err(e) => Err(format!("{service}: {e}")),
            Ok(answer) => {
                let records = answer
                    .answers()
                    .iter()
                    .filter_map(|record| match record.data {
                        RData::SRV(ref srv) => Some(Record {
                            priority: srv.priority,
                            weight: srv.weight,
                            host: srv.target.to_utf8(),
                            port: srv.port,
                        }),
                        _ => None,
                    });
                let records: Vec<_> = records.filter(Record::is_offered).collect();
                match records.is_empty() {
                    true => Err(format!("{service}: the service is not offered")),
                    false => Ok(records),
                }
            }
        })
    }

    fn service(&self, tls: &str) -> String {
        let name = match &self.service_name {
            Some(name) => format!("-{name}"),
            None => String::new(),
        };
        let domain = self.domain.trim_end_matches('.');
        format!("_etcd-client{tls}{name}._tcp.{domain}")
    }

    fn error(&self, what: &str) -> Error {
        let message = format!("the endpoints of the domain {:?} {what}", self.domain);
        Error::new(ErrorKind::Connection, message).with_detail("domain", self.domain.as_str())
    }
}

impl fmt::Display for Discovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.endpoints.join(","))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    priority: u16,
    weight: u16,
    host: String,
    port: u16,
}

impl Record {
    /// A target of `.` says that there is no such service (RFC 2782).
    fn is_offered(&self) -> bool {
        self.host != "."
    }
}

fn endpoints(scheme: &str, mut records: Vec<Record>) -> Vec<String> {
    records.sort_by(|a, b| {
        (a.priority, std::cmp::Reverse(a.weight), &a.host, a.port).cmp(&(
            b.priority,
            std::cmp::Reverse(b.weight),
            &b.host,
            b.port,
        ))
    });
    let records = records.into_iter();
    records
        .map(|record| {
            format!(
                "{scheme}://{}:{}",
                record.host.trim_end_matches('.'),
                record.port
            )
        })
        .collect()
}

fn asking(address: SocketAddr) -> ResolverConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
    let connections = connections.map(|mut connection| {
        connection.port = address.port();
        connection
    });
    let server = NameServerConfig::new(address.ip(), true, connections.to_vec());
    ResolverConfig::from_parts(None, Vec::new(), vec![server])
}
