//! etcd is gone: nobody listens at its ports, and nobody has its files.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use etcd_snap::require_stopped;

use super::Run;
use crate::description::dialled;
use crate::recover::StopBy;
use crate::static_pod::api_server;
use crate::{Error, ErrorKind, Result};

impl Run<'_> {
    pub(in super::super) fn wait_until_stopped(&mut self) -> Result<()> {
        let until = Instant::now() + self.options.stop_timeout;
        while let Some(what) = self.still_there()? {
            if Instant::now() > until {
                return Err(self.stays(&what));
            }
            self.pause(&what)?;
        }
        self.wait_for_the_api_server()
    }

    /// An API server that kubelet is slow to stop has nobody to write to any more, and goes on with what it has seen. Somebody else may
    /// have its port, a balancer for example: so it is not waited for as long as for etcd, and a note says that it is there.
    fn wait_for_the_api_server(&mut self) -> Result<()> {
        const PATIENCE: Duration = Duration::from_secs(30);
        let Some(port) = self.port_of_the_api_server() else {
            return Ok(());
        };
        let url = format!("https://127.0.0.1:{port}");
        let until = Instant::now() + PATIENCE.min(self.options.stop_timeout);
        while is_taken(&url) {
            if Instant::now() > until {
                return self.note(format!(
                    "something still listens at {url}, where the API server did: if it is one, it goes on with what it has seen until it is restarted"
                ));
            }
            self.pause(&format!("the API server still listens at {url}"))?;
        }
        Ok(())
    }

    /// As its manifest says that was moved out; `None` where none was.
    fn port_of_the_api_server(&self) -> Option<u16> {
        const USUAL: u16 = 6443;
        let StopBy::Manifests { manifests, .. } = &self.recovery().stop else {
            return None;
        };
        let mut moved = manifests.iter();
        let api_server = moved.find_map(|manifest| api_server(self.root(), &manifest.to))?;
        let said = api_server.flag("secure-port");
        Some(said.and_then(|port| port.parse().ok()).unwrap_or(USUAL))
    }

    /// What tells that it still runs, as a sentence.
    fn still_there(&self) -> Result<Option<String>> {
        let etcd = &self.recovery().etcd;
        for url in etcd.listen_client_urls.iter().chain(&etcd.listen_peer_urls) {
            if is_taken(url) {
                return Ok(Some(format!("something still listens at {url}")));
            }
        }
        let target = etcd.target(self.root())?;
        match require_stopped(target.data_dir(), target.wal_dir()) {
            Ok(()) => Ok(None),
            Err(e) if e.kind() == etcd_snap::ErrorKind::Busy => Ok(Some(e.to_string())),
            Err(e) => Err(e.into()),
        }
    }

    fn stays(&self, what: &str) -> Error {
        let limit = humantime::format_duration(self.options.stop_timeout);
        let look = match &self.recovery().stop {
            StopBy::Manifests { .. } => {
                "look whether kubelet runs, which stops it (`systemctl status kubelet`, `crictl ps`)".to_owned()
            }
            StopBy::Unit { unit } => format!("look with `systemctl status {unit}`"),
        };
        Error::new(
            ErrorKind::Late,
            format!("etcd has not stopped in {limit}: {what}"),
        )
        .with_remedy(look)
    }
}

/// Whether somebody takes connections there.
pub(in super::super) fn listens(url: &str) -> bool {
    dial(url, |answer, _| answer.is_ok())
}

/// Whether a port of this machine is in use. One that is, and takes no connections, as those of a process that hangs, says nothing
/// at all, where an unused one refuses.
fn is_taken(url: &str) -> bool {
    dial(url, |answer, address| match answer {
        Ok(_) => true,
        // Another machine may just not be there.
        Err(e) if e.kind() == io::ErrorKind::TimedOut => is_own(address).unwrap_or(false),
        Err(_) => false,
    })
}

/// Whether an address is one of this machine: then it is also where one would come from to get there. Nothing is sent.
fn is_own(address: SocketAddr) -> io::Result<bool> {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(address)?;
    Ok(socket.local_addr()?.ip() == address.ip())
}

fn dial(url: &str, is_so: impl Fn(io::Result<TcpStream>, SocketAddr) -> bool) -> bool {
    /// To this machine itself.
    const LONGEST: Duration = Duration::from_secs(1);
    let url = dialled(url);
    let Some((scheme, rest)) = url.split_once("://") else {
        return false;
    };
    if scheme.starts_with("unix") {
        return UnixStream::connect(rest).is_ok();
    }
    let address = rest.split('/').next().unwrap_or_default();
    let mut addresses = address.to_socket_addrs().into_iter().flatten();
    addresses.any(|address| is_so(TcpStream::connect_timeout(&address, LONGEST), address))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn who_takes_no_connections_still_has_its_port() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = port.local_addr().unwrap();
        let url = format!("http://{address}");
        assert!(is_taken(&url) && listens(&url));
        // Until there is room for no more.
        let mut waiting = Vec::new();
        while let Ok(connection) = TcpStream::connect_timeout(&address, Duration::from_millis(200))
        {
            waiting.push(connection);
        }
        assert!(is_taken(&url), "{} wait", waiting.len());
        drop((waiting, port));
        assert!(!is_taken(&url) && !listens(&url));
        // Of documentation: of no machine.
        assert!(!is_own("203.0.113.9:2379".parse().unwrap()).unwrap_or(false));
        assert!(is_own(address).unwrap());
    }
}
