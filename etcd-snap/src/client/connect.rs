//! One connection to one member. We connect ourselves, so that every failure can be told apart.

use std::future::{Ready, ready};
use std::io;
use std::net::{SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tonic::transport::Channel;

use super::endpoint::{Endpoint, Place};
use super::explain::{self, ClientCertificate};
use super::probe::{self, Protocol};
use super::tls::Tls;
use super::witness::{Beginning, Failure, Watched, Witness};
use crate::{Error, ErrorKind, Result};

/// Windows decide the speed as soon as there is latency; these carry 40 ms at the speed at which etcd sends. What arrives
/// while our own disk is slow waits in them, so they count for the memory of a save.
const STREAM_WINDOW: u32 = 8 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
const FRAME_SIZE: u32 = 1 << 20;
/// etcd's servers answer pings that come faster than every 5 seconds, or without a stream, by hanging up.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Resolves, connects, shakes hands, and waits for the first words of HTTP/2: all of it within `limit`.
///
/// The channel does not connect again when the connection is lost.
pub(crate) async fn connect(
    endpoint: &Endpoint,
    tls: Option<&Tls>,
    limit: Duration,
) -> Result<Channel> {
    const FOR_EVER: Duration = Duration::from_secs(60 * 60 * 24 * 365);
    let now = Instant::now();
    let attempt = Attempt {
        endpoint,
        limit,
        deadline: now.checked_add(limit).unwrap_or(now + FOR_EVER),
    };
    let io = attempt.dial().await?;
    let client_certificate = ClientCertificate::default();
    let io = match tls {
        None => io,
        Some(tls) => attempt.tls(io, tls, &client_certificate).await?,
    };
    attempt.http2(io, tls, &client_certificate).await
}

struct Attempt<'a> {
    endpoint: &'a Endpoint,
    limit: Duration,
    deadline: Instant,
}

impl Attempt<'_> {
    async fn dial(&self) -> Result<Box<dyn Io>> {
        match self.endpoint.place() {
            Place::Host { host, port } => Ok(Box::new(self.tcp(host, *port).await?)),
            Place::Socket(path) => {
                let connecting = async {
                    UnixStream::connect(path)
                        .await
                        .map_err(|e| explain::no_socket(self.endpoint, e))
                };
                let stream = self.in_time("it took no connection", connecting).await?;
                Ok(Box::new(stream))
            }
        }
    }

    async fn tcp(&self, host: &str, port: u16) -> Result<TcpStream> {
        let addresses: Vec<SocketAddr> = self
            .in_time("its name was not resolved", async {
                if let Some((address, zone)) = host.split_once('%') {
                    return address_in(address, zone, port)
                        .map(|address| vec![address.into()])
                        .map_err(|e| explain::no_zone(self.endpoint, zone, e));
                }
                tokio::net::lookup_host((host, port))
                    .await
                    .map(Iterator::collect)
                    .map_err(|e| explain::unresolved(self.endpoint, host, e))
            })
            .await?;

        let mut failure = io::Error::from(io::ErrorKind::NotFound);
        let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        for address in addresses {
            // An address that swallows packets must not use up the time of the next.
            let remaining = self.deadline.saturating_duration_since(Instant::now());
            let share = remaining / left.max(1);
            left = left.saturating_sub(1);
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // Without it a small request may wait for an answer to the one before.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(e)) => failure = e,
                Err(_) => failure = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(explain::unconnected(self.endpoint, self.limit, failure))
    }

    async fn tls(
        &self,
        io: Box<dyn Io>,
        tls: &Tls,
        client_certificate: &ClientCertificate,
    ) -> Result<Box<dyn Io>> {
        let name = tls
            .server_name(self.endpoint.host_name())
            .map_err(|e| e.with_endpoint(self.endpoint.to_string()))?;
        let mut config = tls.config().clone();
        config.client_auth_cert_resolver = Arc::new(AskedFor {
            resolver: config.client_auth_cert_resolver,
            told: client_certificate.clone(),
        });
        let handshake = TlsConnector::from(Arc::new(config)).connect(name, io);
        let shaken = self
            .in_time("it did not finish the TLS handshake", async {
                Ok(handshake.await)
            })
            .await?;
        match shaken {
            Ok(stream) => Ok(Box::new(stream)),
            Err(e) => {
                let failure = Failure::of(&e);
                // A plain server hangs up on the first bytes of TLS without a word.
                if failure.tls.is_none() && self.probe(Protocol::Http2).await {
                    return Err(explain::speaks_plainly(self.endpoint));
                }
                Err(explain::handshake(
                    self.endpoint,
                    tls,
                    client_certificate,
                    &failure,
                ))
            }
        }
    }

    async fn http2(
        &self,
        io: Box<dyn Io>,
        tls: Option<&Tls>,
        client_certificate: &ClientCertificate,
    ) -> Result<Channel> {
        let lost = |e: tonic::transport::Error| {
            explain::error(self.endpoint, "cannot be spoken to over HTTP/2").with_source(e)
        };
        let unusable = || {
            Error::invalid(format!("{} is not a host and a port", self.endpoint))
                .with_endpoint(self.endpoint.to_string())
        };
        let witness = Witness::default();
        let io = Watched::new(io, witness.clone());
        // TLS is done already. The plain scheme keeps tonic from asking for its own, which it would as soon as any crate
        // in the program switches its TLS features on.
        let channel =
            tonic::transport::Endpoint::from(self.endpoint.uri(false).ok_or_else(unusable)?)
                .origin(self.endpoint.uri(tls.is_some()).ok_or_else(unusable)?)
                .user_agent(concat!("etcd-snap/", env!("CARGO_PKG_VERSION")))
                .map_err(lost)?
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .max_frame_size(FRAME_SIZE)
                .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
                .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
                .keep_alive_while_idle(false)
                .connect_with_connector(Once(Some(io)))
                .await
                .map_err(lost)?;

        let beginning = self
            .in_time("it accepted the connection and then said nothing", async {
                Ok(witness.beginning().await)
            })
            .await?;
        match (beginning, tls) {
            (Beginning::Http2, _) => Ok(channel),
            (Beginning::Tls, None) => Err(explain::speaks_tls(self.endpoint)),
            (Beginning::Closed | Beginning::Failed(_), None) if self.probe(Protocol::Tls).await => {
                Err(explain::speaks_tls(self.endpoint))
            }
            (Beginning::Closed | Beginning::Failed(_), Some(_))
                if client_certificate.is_missing() =>
            {
                Err(explain::client_certificate_missing(self.endpoint))
            }
            (Beginning::Failed(failure), Some(tls)) => Err(explain::handshake(
                self.endpoint,
                tls,
                client_certificate,
                &failure,
            )),
            (Beginning::Failed(failure), None) => {
                Err(explain::error(self.endpoint, "broke the connection off").with_source(failure))
            }
            (Beginning::Closed, _) => Err(explain::hung_up(self.endpoint)),
            (Beginning::Http1, _) => Err(explain::speaks_http1(self.endpoint)),
            (Beginning::Tls | Beginning::Foreign, _) => Err(explain::foreign(self.endpoint)),
        }
    }

    async fn in_time<T>(
        &self,
        what_did_not_happen: &str,
        step: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        match timeout_at(self.deadline, step).await {
            Ok(result) => result,
            Err(_) => Err(Error::new(
                ErrorKind::Connection,
                format!(
                    "{} cannot be used: {what_did_not_happen} within {:?}",
                    self.endpoint, self.limit
                ),
            )
            .with_endpoint(self.endpoint.to_string())),
        }
    }

    /// Asks on a second connection what the server speaks, now that the first has failed; no answer in time is none.
    async fn probe(&self, protocol: Protocol) -> bool {
        let asked = async {
            match self.dial().await {
                Ok(io) => probe::speaks(io, protocol).await,
                Err(_) => false,
            }
        };
        timeout_at(self.deadline, asked).await.unwrap_or(false)
    }
}

/// Resolvers understand zones of link-local addresses, by name or number; not all of them those of others.
fn address_in(address: &str, zone: &str, port: u16) -> io::Result<SocketAddrV6> {
    let address = address
        .parse()
        .map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
    let scope = match zone.parse() {
        Ok(scope) => scope,
        Err(_) => interface(zone)?,
    };
    Ok(SocketAddrV6::new(address, port, 0, scope))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn interface(name: &str) -> io::Result<u32> {
    use rustix::net::{AddressFamily, SocketType, netdevice, socket};
    let any = socket(AddressFamily::UNIX, SocketType::DGRAM, None)?;
    Ok(netdevice::name_to_index(any, name)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn interface(name: &str) -> io::Result<u32> {
    // Any link-local address will do to have the name looked up.
    let any = std::net::ToSocketAddrs::to_socket_addrs(&format!("[fe80::1%{name}]:1"))?.next();
    match any {
        Some(std::net::SocketAddr::V6(address)) => Ok(address.scope_id()),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

/// What TLS, TCP and Unix sockets have in common.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Hands over the one connection there is.
struct Once<S>(Option<Watched<S>>);

impl<S: AsyncRead + AsyncWrite + Unpin> tower_service::Service<Uri> for Once<S> {
    type Response = TokioIo<Watched<S>>;
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _uri: Uri) -> Self::Future {
        ready(match self.0.take() {
            Some(io) => Ok(TokioIo::new(io)),
            None => Err(io::ErrorKind::NotConnected.into()),
        })
    }
}

/// Notes that the server asked for a certificate, and whether there was one to show.
#[derive(Debug)]
struct AskedFor {
    resolver: Arc<dyn ResolvesClientCert>,
    told: ClientCertificate,
}

impl ResolvesClientCert for AskedFor {
    fn resolve(
        &self,
        authorities: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let shown = self.resolver.resolve(authorities, schemes);
        self.told.asked(shown.is_some());
        shown
    }

    fn only_raw_public_keys(&self) -> bool {
        self.resolver.only_raw_public_keys()
    }

    fn has_certs(&self) -> bool {
        self.resolver.has_certs()
    }
}
