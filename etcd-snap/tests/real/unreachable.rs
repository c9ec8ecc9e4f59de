//! Every way not to get through to a real server: the sentence says which, and where.

use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use etcd_snap::{Cluster, ErrorKind, SaveOptions, Tls, TlsBuilder};
use etcd_snap_testdata::certificates::{Authority, Identity, Leaf};
use etcd_snap_testdata::cluster::{Cluster as RealCluster, Security};
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::sample;

use crate::{Room, contents, failure, mutual, said, saved, trusting};

/// Expects a failure of the connection that names the endpoint and says `expected`.
fn refused(endpoint: &str, tls: Option<TlsBuilder>, expected: &str) -> Result<()> {
    let mut client = Cluster::new([endpoint])?;
    if let Some(tls) = tls {
        client = client.with_tls(tls.build()?);
    }
    let error = failure(&client, &SaveOptions::default())?;
    let said = said(&error);
    ensure!(
        error.kind() == ErrorKind::Connection,
        "{:?}: {said}",
        error.kind()
    );
    ensure!(error.endpoint() == Some(endpoint), "{said}");
    ensure!(said.starts_with(endpoint), "{said}");
    ensure!(said.contains(expected), "{expected:?} is not in: {said}");
    Ok(())
}

#[test]
fn a_server_with_mutual_tls_is_not_reached_with_the_wrong_certificates() -> Result<()> {
    for version in Version::ALL {
        let cluster = RealCluster::builder(version).start()?;
        let endpoint = cluster.endpoint(0);
        let other = Authority::new("another authority")?;
        let namesake = Authority::new("etcd-snap test authority")?;
        let ours = cluster.authority();
        let trusting_pem =
            |authority: &Authority| Tls::builder().ca_pem(authority.certificate_pem());
        let showing = |identity: Identity| {
            trusting(&cluster).identity_pem(identity.certificate_pem, identity.key_pem)
        };
        let client = || Leaf::client("client");
        for (tls, expected) in [
            (trusting_pem(&other), "the given CA has not signed"),
            (trusting_pem(&namesake), "the given CA has not signed"),
            (
                Tls::builder(),
                "signed by no authority of this system: name the cluster's CA file",
            ),
            (
                mutual(&cluster).server_name("etcd.internal"),
                "and not for etcd.internal",
            ),
            (
                trusting(&cluster),
                "asks for a client certificate, and none was given",
            ),
            (
                showing(ours.issue(&client().expired())?),
                "the client certificate",
            ),
            (
                showing(ours.issue(&client().not_yet_valid())?),
                "the client certificate",
            ),
            (showing(other.issue(&client())?), "the client certificate"),
            (
                showing(namesake.issue(&client())?),
                "the client certificate",
            ),
        ] {
            refused(endpoint, Some(tls), expected).with_context(|| format!("etcd {version}"))?;
        }
        // None of that was the server's fault.
        saved(&crate::client(&cluster, endpoint)?, &Room::new()?)?;
    }
    Ok(())
}

#[test]
fn a_key_of_another_certificate_is_refused_before_anything_is_connected() -> Result<()> {
    let authority = Authority::new("any")?;
    let folder = tempfile::tempdir()?;
    let one = authority
        .issue(&Leaf::client("one"))?
        .write(folder.path(), "one")?;
    let two = authority
        .issue(&Leaf::client("two"))?
        .write(folder.path(), "two")?;
    let error = Tls::builder()
        .identity_files(&one.certificate, &two.key)
        .build()
        .err()
        .context("it was taken")?;
    ensure!(error.kind() == ErrorKind::InvalidInput, "{error}");
    for part in ["two.key", "is not the one of the certificate", "one.crt"] {
        ensure!(error.to_string().contains(part), "{error}");
    }
    Ok(())
}

#[test]
fn http_and_https_are_told_apart_both_ways() -> Result<()> {
    for version in Version::ALL {
        let secure = RealCluster::builder(version).start()?;
        let address = secure.members()[0].client_address();
        refused(
            &format!("http://{address}"),
            None,
            "speaks TLS: write https://",
        )
        .with_context(|| format!("etcd {version}"))?;

        let plain = RealCluster::builder(version)
            .security(Security::Plain)
            .start()?;
        let address = plain.members()[0].client_address();
        for tls in [mutual(&plain), Tls::builder().danger_skip_verification()] {
            refused(
                &format!("https://{address}"),
                Some(tls),
                "does not speak TLS: write http://",
            )
            .with_context(|| format!("etcd {version}"))?;
        }
    }
    Ok(())
}

/// Over plain http it is one: there etcd answers to gRPC on both ports, with the same snapshot.
#[test]
fn the_port_for_other_members_is_not_the_port_for_clients() -> Result<()> {
    for version in sample(Version::ALL, 2) {
        let cluster = RealCluster::builder(version).start()?;
        let expected = "is this the client port of etcd?";
        refused(
            cluster.members()[0].peer_url(),
            Some(mutual(&cluster)),
            expected,
        )
        .with_context(|| format!("etcd {version}"))?;
    }
    Ok(())
}

#[test]
fn a_server_that_has_stopped_or_hangs_is_given_up() -> Result<()> {
    let mut cluster = RealCluster::builder(sample(Version::ALL, 1)[0]).start()?;
    let endpoint = cluster.endpoint(0).to_owned();
    let client = crate::client(&cluster, &endpoint)?;

    // The kernel takes the connection for it, and nobody is there.
    cluster.freeze(0)?;
    let impatient = client
        .clone()
        .with_connect_timeout(Duration::from_millis(200));
    let error = failure(&impatient, &SaveOptions::default())?;
    ensure!(error.kind() == ErrorKind::Connection, "{error}");
    let expected =
        format!("{endpoint} cannot be used: it did not finish the TLS handshake within 200ms");
    ensure!(said(&error) == expected, "{}", said(&error));
    cluster.thaw(0)?;
    cluster.wait_until_healthy()?;
    saved(&client, &Room::new()?)?;

    cluster.stop(0)?;
    refused(
        &endpoint,
        Some(mutual(&cluster)),
        "nothing listens there; is etcd running",
    )?;
    cluster.start_member(0)?;
    saved(&client, &Room::new()?)?;
    Ok(())
}

#[test]
fn of_several_endpoints_the_first_that_works_is_used() -> Result<()> {
    let mut cluster = RealCluster::builder(sample(Version::ALL, 1)[0])
        .members(3)
        .start()?;
    cluster.etcdctl(["put", "a", "b"])?;
    let revision = cluster.agreed_hash_kv()?.revision;
    // Two of three: what is left has no leader, cannot write, and gives its snapshot all the same.
    cluster.kill(0);
    cluster.kill(1);
    // This one takes connections and says nothing.
    let silent = TcpListener::bind(("127.0.0.1", 0))?;
    let mut endpoints = cluster.endpoints();
    endpoints.insert(0, format!("https://{}", silent.local_addr()?));
    let client = Cluster::new(&endpoints)?
        .with_tls(mutual(&cluster).build()?)
        .with_connect_timeout(Duration::from_secs(5));
    let report = saved(&client, &Room::new()?)?;
    ensure!(
        report.endpoint.as_deref() == Some(cluster.endpoint(2)),
        "{report:?}"
    );
    ensure!(contents(&report)?.revision.get() == revision, "{report:?}");

    cluster.kill(2);
    let error = failure(&client, &SaveOptions::default())?;
    ensure!(error.kind() == ErrorKind::Connection, "{error}");
    for endpoint in &endpoints {
        ensure!(
            error.to_string().contains(endpoint),
            "{endpoint} is not in: {error}"
        );
    }
    Ok(())
}
