//! Every way not to reach a server has a sentence of its own.

use std::time::Duration;

use etcd_snap::{Cluster, ErrorKind, SaveOptions, Tls, TlsBuilder};
use etcd_snap_testdata::certificates::{Authority, KeyForm, Leaf};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::{failure, said, server};

/// Expects a failure of the connection that names the endpoint and says `expected`.
async fn refused(endpoint: &str, tls: Option<TlsBuilder>, expected: &str) {
    let mut cluster = Cluster::new([endpoint])
        .unwrap()
        .with_connect_timeout(Duration::from_secs(5));
    if let Some(tls) = tls {
        cluster = cluster.with_tls(tls.build().unwrap());
    }
    let error = failure(&cluster, &SaveOptions::default()).await;
    let said = said(&error);
    assert_eq!(error.kind(), ErrorKind::Connection, "{said}");
    assert_eq!(error.endpoint(), Some(endpoint), "{said}");
    assert!(said.starts_with(endpoint), "{said}");
    assert!(said.contains(expected), "{expected} in: {said}");
}

/// A listener that reads what comes, says `answer` and then hangs up, or waits for ever.
async fn listener(answer: Option<&'static [u8]>) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut heard = [0; 1024];
                let _ = stream.read(&mut heard).await;
                match answer {
                    Some(answer) => {
                        let _ = stream.write_all(answer).await;
                    }
                    None => std::future::pending().await,
                }
            });
        }
    });
    address.to_string()
}

fn authority() -> Authority {
    Authority::new("ca").unwrap()
}

fn trusting(authority: &Authority) -> TlsBuilder {
    Tls::builder().ca_pem(authority.certificate_pem())
}

#[tokio::test]
async fn nothing_listens() {
    // Bound and closed again: nobody else gets this port so soon.
    let port = std::net::TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    refused(
        &format!("http://127.0.0.1:{port}"),
        None,
        "nothing listens there",
    )
    .await;
}

#[tokio::test]
async fn the_name_does_not_exist() {
    refused(
        "http://no-such-host.invalid:2379",
        None,
        // Or its name was not resolved in time, where the resolver itself is out of reach.
        "resolved",
    )
    .await;
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let address = listener(None).await;
    for (endpoint, expected) in [
        (
            format!("http://{address}"),
            "then said nothing within 300ms",
        ),
        (
            format!("https://{address}"),
            "did not finish the TLS handshake within 300ms",
        ),
    ] {
        let cluster = Cluster::new([&endpoint])
            .unwrap()
            .with_tls(Tls::builder().danger_skip_verification().build().unwrap())
            .with_connect_timeout(Duration::from_millis(300));
        let error = failure(&cluster, &SaveOptions::default()).await;
        assert_eq!(error.kind(), ErrorKind::Connection);
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.to_string().starts_with(&endpoint), "{error}");
    }
}

#[tokio::test]
async fn another_protocol_answers() {
    let web = listener(Some(b"HTTP/1.1 400 Bad Request\r\n\r\n")).await;
    refused(&format!("http://{web}"), None, "answers in HTTP/1").await;
    let mail = listener(Some(b"220 mail.example ESMTP\r\n")).await;
    refused(&format!("http://{mail}"), None, "some other protocol").await;
    let mute = listener(Some(b"")).await;
    refused(
        &format!("http://{mute}"),
        None,
        "closed the connection without a word",
    )
    .await;
}

#[tokio::test]
async fn tls_to_a_plain_port() {
    let any = || Some(Tls::builder().danger_skip_verification());
    let web = listener(Some(b"HTTP/1.0 400 Bad Request\r\n\r\n")).await;
    refused(&format!("https://{web}"), any(), "does not speak TLS").await;
    let server = server().start().unwrap();
    let endpoint = format!("https://{}", server.address());
    refused(&endpoint, any(), "does not speak TLS").await;
}

#[tokio::test]
async fn plain_to_a_tls_port() {
    let authority = authority();
    let server = server()
        .with_tls(&authority.issue(&Leaf::server()).unwrap(), None)
        .unwrap()
        .start()
        .unwrap();
    let endpoint = format!("http://{}", server.address());
    refused(&endpoint, None, "speaks TLS: write https://").await;
}

#[tokio::test]
async fn the_servers_certificate_is_not_to_be_trusted() {
    let ours = authority();
    let namesake = authority();
    let other = Authority::new("other").unwrap();
    for (leaf, authority, tls, expected) in [
        (
            Leaf::server(),
            &other,
            trusting(&ours),
            "the given CA has not signed",
        ),
        (
            Leaf::server(),
            &namesake,
            trusting(&ours),
            "the given CA has not signed",
        ),
        (
            Leaf::server(),
            &ours,
            Tls::builder(),
            "signed by no authority of this system",
        ),
        (
            Leaf::server().expired(),
            &ours,
            trusting(&ours),
            "expired on 2021-01-01",
        ),
        (
            Leaf::server().not_yet_valid(),
            &ours,
            trusting(&ours),
            "not valid before 2119-01-01: is this machine's clock right?",
        ),
        (
            Leaf::server().with_names(["etcd-0.internal", "10.1.2.3"]),
            &ours,
            trusting(&ours),
            "shows a certificate for etcd-0.internal, 10.1.2.3, and not for 127.0.0.1",
        ),
        (
            Leaf::client("root").with_names(["127.0.0.1"]),
            &ours,
            trusting(&ours),
            "not meant for servers",
        ),
    ] {
        let server = server()
            .with_tls(&authority.issue(&leaf).unwrap(), None)
            .unwrap()
            .start()
            .unwrap();
        refused(&server.endpoint(), Some(tls), expected).await;
    }
}

#[tokio::test]
async fn the_client_certificate_is_missing_or_refused() {
    let ours = authority();
    let other = Authority::new("other").unwrap();
    let server = server()
        .with_tls(&ours.issue(&Leaf::server()).unwrap(), Some(&ours))
        .unwrap()
        .start()
        .unwrap();
    let with = |authority: &Authority, leaf: &Leaf| {
        let client = authority.issue(leaf).unwrap();
        trusting(&ours).identity_pem(client.certificate_pem, client.key_pem)
    };
    for (tls, expected) in [
        (
            trusting(&ours),
            "asks for a client certificate, and none was given",
        ),
        (
            with(&other, &Leaf::client("root")),
            "the client certificate",
        ),
        (
            with(&ours, &Leaf::client("root").expired()),
            "the client certificate",
        ),
    ] {
        refused(&server.endpoint(), Some(tls), expected).await;
    }
}

#[test]
fn a_key_is_refused_before_anything_is_connected() {
    let authority = authority();
    let one = authority.issue(&Leaf::client("one")).unwrap();
    let two = authority.issue(&Leaf::client("two")).unwrap();
    let encrypted = authority
        .issue(&Leaf::client("three").with_key(KeyForm::Encrypted))
        .unwrap();
    let old_form = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n\
                    -----END RSA PRIVATE KEY-----\n";
    for (certificate, key, expected) in [
        (
            &one.certificate_pem,
            &two.key_pem,
            "is not the one of the certificate",
        ),
        (
            &encrypted.certificate_pem,
            &encrypted.key_pem,
            "is encrypted",
        ),
        (&one.certificate_pem, &old_form.to_owned(), "is encrypted"),
        (&one.certificate_pem, &one.certificate_pem, "holds no key"),
        (&one.key_pem, &one.key_pem, "holds no certificate"),
        (&String::new(), &one.key_pem, "holds no certificate"),
    ] {
        let error = Tls::builder()
            .identity_pem(certificate.as_str(), key.as_str())
            .build()
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(expected), "{error}");
    }
    let error = Tls::builder()
        .ca_file("/no/such/ca.crt")
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let error = Tls::builder().ca_pem("no PEM").build().unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the CA that was given holds no certificate"),
        "{error}"
    );
    let error = Tls::builder()
        .danger_skip_verification()
        .server_name("no name")
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
}

#[tokio::test]
async fn all_endpoints_are_named_when_none_can_be_used() {
    let web = listener(Some(b"HTTP/1.1 400 Bad Request\r\n\r\n")).await;
    let cluster = Cluster::new(["http://127.0.0.1:1".to_owned(), format!("http://{web}")]).unwrap();
    let error = failure(&cluster, &SaveOptions::default()).await;
    assert_eq!(error.kind(), ErrorKind::Connection);
    let said = error.to_string();
    for part in [
        "none of the 2 endpoints",
        "http://127.0.0.1:1 refuses",
        &web,
    ] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn nothing_secret_is_shown() {
    let client = authority().issue(&Leaf::client("root")).unwrap();
    let secret = client.key_pem.lines().nth(1).unwrap().to_owned();
    let builder = Tls::builder()
        .danger_skip_verification()
        .identity_pem(client.certificate_pem, client.key_pem);
    let before = format!("{builder:?}");
    let after = format!("{:?}", builder.build().unwrap());
    for shown in [before, after] {
        assert!(
            shown.contains("[redacted]") && !shown.contains(&secret),
            "{shown}"
        );
        assert!(!shown.contains("[45, 45,"), "{shown}");
    }
}
