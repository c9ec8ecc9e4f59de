//! Endpoints by the SRV records of a domain.

use std::time::Duration;

use etcd_snap::{Cluster, Discovery, ErrorKind, SaveOptions, Tls, save};
use etcd_snap_testdata::certificates::{Authority, Leaf};
use etcd_snap_testdata::dns::{Dns, Srv};

use crate::{Room, server};

fn dns() -> Dns {
    Dns::serving([
        (
            "_etcd-client-ssl._tcp.example.test",
            vec![
                Srv::new(10, 1, 2379, "late.example.test"),
                Srv::new(1, 5, 2379, "light.example.test"),
                Srv::new(1, 50, 4001, "heavy.example.test"),
            ],
        ),
        (
            "_etcd-client._tcp.example.test",
            vec![Srv::new(0, 0, 2379, "plain.example.test")],
        ),
        (
            "_etcd-client-blue._tcp.example.test",
            vec![Srv::new(0, 0, 2379, "blue.example.test")],
        ),
        (
            "_etcd-client-ssl._tcp.none.test",
            vec![Srv::new(0, 0, 0, ".")],
        ),
    ])
    .unwrap()
}

const WITH_TLS: [&str; 3] = [
    "https://heavy.example.test:4001",
    "https://light.example.test:2379",
    "https://late.example.test:2379",
];
const PLAIN: &str = "http://plain.example.test:2379";

#[tokio::test]
async fn records_become_endpoints_in_their_order() {
    let dns = dns();
    let discovery = Discovery::new("example.test").with_nameserver(dns.address());
    let found = discovery.find().await.unwrap();
    assert_eq!(found.endpoints, WITH_TLS);
    assert_eq!(found.left_out, [PLAIN]);

    let found = discovery.clone().with_plain(true).find().await.unwrap();
    assert_eq!(found.endpoints[..3], WITH_TLS);
    assert_eq!(found.endpoints[3..], [PLAIN]);
    assert_eq!(found.left_out, [""; 0]);

    let blue = discovery.with_service_name("blue");
    let found = blue.clone().find().await.unwrap();
    assert_eq!(found.endpoints, [""; 0]);
    let found = blue.with_plain(true).find().await.unwrap();
    assert_eq!(found.endpoints, ["http://blue.example.test:2379"]);
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let dns = dns();
    for (domain, kind, words) in [
        (
            "elsewhere.test",
            ErrorKind::Connection,
            "_etcd-client-ssl._tcp.elsewhere.test",
        ),
        (
            "none.test",
            ErrorKind::Connection,
            "the service is not offered",
        ),
        ("two..dots", ErrorKind::InvalidInput, "is no domain"),
    ] {
        let discovery = Discovery::new(domain).with_nameserver(dns.address());
        let error = discovery.find().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    // Nobody answers there.
    let silent = std::net::UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    let discovery = Discovery::new("example.test")
        .with_nameserver(silent.local_addr().unwrap())
        .with_timeout(Duration::from_millis(100));
    let error = discovery.find().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection, "{error}");
    assert!(error.to_string().contains("within 100ms"), "{error}");
}

/// The certificate is the domain's, whatever name a record gives.
#[tokio::test]
async fn a_domain_vouches_for_its_servers() {
    let authority = Authority::new("ca").unwrap();
    let leaf = Leaf::server().with_names(["example.test"]);
    let server = server()
        .with_tls(&authority.issue(&leaf).unwrap(), None)
        .unwrap()
        .start()
        .unwrap();
    let port = server.address().port();
    let dns = Dns::serving([(
        "_etcd-client-ssl._tcp.example.test",
        vec![Srv::new(0, 0, port, "localhost")],
    )])
    .unwrap();
    let discovery = Discovery::new("example.test").with_nameserver(dns.address());
    let found = discovery.find().await.unwrap();
    let tls = Tls::builder()
        .ca_pem(authority.certificate_pem())
        .server_name("example.test")
        .build()
        .unwrap();
    let cluster = Cluster::new(&found.endpoints).unwrap().with_tls(tls);
    let room = Room::new();
    let saved = save(&cluster, room.target(), &SaveOptions::default())
        .await
        .unwrap();
    assert_eq!(saved.endpoint, Some(format!("https://localhost:{port}")));
}
