//! The ways to a server that are no plain host and port.

use etcd_snap::{Cluster, ErrorKind, SaveOptions, Tls, save};
use etcd_snap_testdata::certificates::{Authority, Leaf};
use etcd_snap_testdata::fake::Running;
use etcd_snap_testdata::relay::Relay;
use tokio::net::{TcpStream, UnixListener};

use crate::{Room, failure, said, server};

/// A Unix socket at which this server is reached.
fn socket(room: &Room, name: &str, server: &Running) -> String {
    let path = room.path().join(name);
    let listener = UnixListener::bind(&path).unwrap();
    let address = server.address();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut server = TcpStream::connect(address).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    path.to_str().unwrap().to_owned()
}

async fn saved(cluster: &Cluster) -> Option<String> {
    let room = Room::new();
    let report = save(cluster, room.target(), &SaveOptions::default()).await;
    report.unwrap_or_else(|e| panic!("{}", said(&e))).endpoint
}

#[tokio::test]
async fn a_unix_socket() {
    let room = Room::new();
    let server = server().start().unwrap();
    let path = socket(&room, "localhost:2379", &server);
    for endpoint in [format!("unix://{path}"), format!("unix:{path}")] {
        let used = saved(&Cluster::new([&endpoint]).unwrap()).await;
        assert_eq!(used, Some(format!("unix://{path}")));
    }
    let stale = room.path().join("stale");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    for (endpoint, words) in [
        (
            format!("unix://{}", stale.display()),
            "nobody listens at the socket",
        ),
        (format!("unix://{path}x"), "there is no such socket"),
        (format!("unixs://{path}"), "leave the TLS files away"),
    ] {
        let tls = Tls::builder().danger_skip_verification().build().unwrap();
        let mut cluster = Cluster::new([&endpoint]).unwrap();
        if endpoint.starts_with("unixs") {
            cluster = cluster.with_tls(tls);
        }
        let error = failure(&cluster, &SaveOptions::default()).await;
        assert_eq!(error.kind(), ErrorKind::Connection, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn tls_over_a_unix_socket() {
    let room = Room::new();
    let authority = Authority::new("ca").unwrap();
    let identity = authority.issue(&Leaf::server()).unwrap();
    let server = server().with_tls(&identity, None).unwrap().start().unwrap();
    // The certificate is for the name of the file, up to what looks like a port.
    let path = socket(&room, "localhost:m0", &server);
    let tls = Tls::builder().ca_pem(authority.certificate_pem());
    let tls = tls.build().unwrap();
    for endpoint in [format!("unixs://{path}"), format!("unix://{path}")] {
        saved(&Cluster::new([&endpoint]).unwrap().with_tls(tls.clone())).await;
    }
    let plain = Cluster::new([format!("unix://{path}")]).unwrap();
    let error = failure(&plain, &SaveOptions::default()).await;
    assert!(error.to_string().contains("write unixs://"), "{error}");
}

#[tokio::test]
async fn an_ipv6_address_with_a_zone_is_reached_through_that_zone() {
    let server = server().start().unwrap();
    let Ok(relay) = Relay::at(std::net::Ipv6Addr::LOCALHOST.into(), server.address()) else {
        panic!("this machine has no ::1");
    };
    let port = relay.address().port();
    for host in ["[::1]", "[::1%lo]", "[::1%1]"] {
        let used = saved(&Cluster::new([format!("http://{host}:{port}")]).unwrap()).await;
        assert_eq!(used, Some(format!("http://{host}:{port}")));
    }
    saved(&Cluster::new([format!("http://[::1%25lo]:{port}")]).unwrap()).await;
    let elsewhere = Cluster::new([format!("[::1%nowhere0]:{port}")]).unwrap();
    let error = failure(&elsewhere, &SaveOptions::default()).await;
    assert_eq!(error.kind(), ErrorKind::Connection, "{error}");
    let words = "no network interface \"nowhere0\"";
    assert!(error.to_string().contains(words), "{error}");
}

#[tokio::test]
async fn a_list_may_be_written_in_brackets() {
    let server = server().start().unwrap();
    let address = server.address();
    for list in [
        address.to_string(),
        format!("[{address}]"),
        format!("[http://{address} 127.0.0.1:1]"),
        format!(" http://{address} ,127.0.0.1:1"),
    ] {
        saved(&Cluster::parse(&list).unwrap()).await;
    }
    for empty in ["", "[]", ","] {
        let error = Cluster::parse(empty).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(
            error.to_string().contains("no endpoint is given"),
            "{error}"
        );
    }
}
