//! Who is let in by a real server, with what, and what the others are told.

use std::fs;
use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use etcd_snap::{Cluster, ErrorKind, SaveOptions, Tls, TlsBuilder};
use etcd_snap_testdata::certificates::{KeyForm, Leaf};
use etcd_snap_testdata::cluster::{Cluster as RealCluster, ROOT_PASSWORD, Security};
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::relay::Relay;
use etcd_snap_testdata::sample;

use crate::{Room, client, failure, mutual, said, saved, trusting};

/// With auth enabled, the user `root`, and the user `guest` who may read everything and is not root.
fn guarded(version: Version, security: Security) -> Result<RealCluster> {
    let cluster = RealCluster::builder(version)
        .security(security)
        .auth(true)
        .start()?;
    cluster.etcdctl(["put", "a", "b"])?;
    cluster.etcdctl(["role", "add", "reader"])?;
    cluster.etcdctl([
        "role",
        "grant-permission",
        "reader",
        "--prefix=true",
        "read",
        "",
    ])?;
    cluster.etcdctl(["user", "add", "guest:guest-password"])?;
    cluster.etcdctl(["user", "grant-role", "guest", "reader"])?;
    Ok(cluster)
}

/// Expects a refusal that names what is missing.
fn denied(client: &Cluster, endpoint: &str, expected: &str) -> Result<()> {
    let error = failure(client, &SaveOptions::default())?;
    let said = said(&error);
    ensure!(
        error.kind() == ErrorKind::Denied,
        "{:?}: {said}",
        error.kind()
    );
    ensure!(
        said.contains(endpoint) && said.contains(expected),
        "{expected:?} is not in: {said}"
    );
    ensure!(error.endpoint() == Some(endpoint), "{:?}", error.endpoint());
    for secret in ["guessed", "guest-password", ROOT_PASSWORD] {
        ensure!(!format!("{said}{error:?}").contains(secret), "{error:?}");
    }
    Ok(())
}

#[test]
fn a_password_opens_and_a_refusal_names_the_missing_right() -> Result<()> {
    for version in Version::ALL {
        let cluster = guarded(version, Security::ServerTls)?;
        let endpoint = cluster.endpoint(0);
        let nobody = client(&cluster, endpoint)?;
        let log_in = |user: &str, password: &str| nobody.clone().with_user(user, password);
        saved(&log_in("root", ROOT_PASSWORD), &Room::new()?)?;
        for (client, expected) in [
            (
                nobody.clone(),
                "auth is enabled, and it takes a user with the role root",
            ),
            (
                log_in("root", "guessed"),
                "does not let the user \"root\" in: wrong user or password",
            ),
            (
                log_in("root", ""),
                "does not let the user \"root\" in: wrong user or password",
            ),
            (
                log_in("stranger", "guessed"),
                "does not let the user \"stranger\" in: wrong user or password",
            ),
            (
                log_in("guest", "guest-password"),
                "the user \"guest\" does not have the role root",
            ),
        ] {
            denied(&client, endpoint, expected).with_context(|| format!("etcd {version}"))?;
        }
        // A refusal is no reason for the next one: the right is given, and the same client gets in.
        cluster.etcdctl(["user", "grant-role", "guest", "root"])?;
        saved(&log_in("guest", "guest-password"), &Room::new()?)?;
    }
    Ok(())
}

#[test]
fn a_client_certificate_stands_for_the_user_of_its_name() -> Result<()> {
    for version in Version::ALL {
        let cluster = guarded(version, Security::MutualTls)?;
        let endpoint = cluster.endpoint(0);
        let shown = |name: &str| -> Result<Cluster> {
            let identity = cluster.authority().issue(&Leaf::client(name))?;
            let tls = trusting(&cluster).identity_pem(identity.certificate_pem, identity.key_pem);
            Ok(Cluster::new([endpoint])?.with_tls(tls.build()?))
        };
        saved(&shown("root")?, &Room::new()?)?;
        let expected = "the user that the client certificate is for does not have the role root";
        denied(&shown("guest")?, endpoint, expected).with_context(|| format!("etcd {version}"))?;
        let expected = "it does not know the user that the client certificate is for";
        denied(&shown("stranger")?, endpoint, expected)
            .with_context(|| format!("etcd {version}"))?;
        // A login goes before the certificate, both ways.
        saved(
            &shown("guest")?.with_user("root", ROOT_PASSWORD),
            &Room::new()?,
        )?;
        let expected = "the user \"guest\" does not have the role root";
        denied(
            &shown("root")?.with_user("guest", "guest-password"),
            endpoint,
            expected,
        )?;
    }
    Ok(())
}

#[test]
fn a_login_that_nobody_asked_for_is_no_hindrance() -> Result<()> {
    for version in sample(Version::ALL, 1) {
        let cluster = RealCluster::builder(version)
            .security(Security::Plain)
            .start()?;
        let client = client(&cluster, cluster.endpoint(0))?;
        saved(&client.clone().with_user("root", "whatever"), &Room::new()?)?;
        // And http without anything; a certificate that is given is left unused.
        saved(&client, &Room::new()?)?;
        saved(&client.with_tls(mutual(&cluster).build()?), &Room::new()?)?;
    }
    Ok(())
}

#[test]
fn a_bare_address_goes_over_tls_when_certificates_are_given() -> Result<()> {
    let cluster = RealCluster::builder(Version::NEWEST).start()?;
    let bare = cluster.members()[0].client_address().to_string();
    let tls = mutual(&cluster).build()?;
    saved(&Cluster::new([&bare])?.with_tls(tls), &Room::new()?)?;
    Ok(())
}

#[test]
fn the_servers_certificate_is_checked_as_far_as_it_is_asked_for() -> Result<()> {
    for version in sample(Version::ALL, 1) {
        let cluster = RealCluster::builder(version)
            .security(Security::ServerTls)
            .start()?;
        // The certificate is for 127.0.0.1 and localhost, and not for this address of the same machine.
        let relay = Relay::at(
            Ipv4Addr::new(127, 0, 0, 2).into(),
            cluster.members()[0].client_address(),
        )?;
        let elsewhere = format!("https://{}", relay.address());
        let through = |endpoint: &str, tls: TlsBuilder| -> Result<Cluster> {
            Ok(Cluster::new([endpoint])?.with_tls(tls.build()?))
        };
        let trusting = || trusting(&cluster);
        let room = Room::new()?;
        saved(&through(cluster.endpoint(0), trusting())?, &room)?;
        saved(
            &through(&elsewhere, trusting().server_name("localhost"))?,
            &room,
        )?;
        saved(
            &through(&elsewhere, trusting().server_name("127.0.0.1"))?,
            &room,
        )?;
        saved(
            &through(&elsewhere, Tls::builder().danger_skip_verification())?,
            &room,
        )?;
        for (client, expected) in [
            (through(&elsewhere, trusting())?, "and not for 127.0.0.2"),
            (
                through(cluster.endpoint(0), trusting().server_name("etcd.internal"))?,
                "and not for etcd.internal",
            ),
        ] {
            let error = failure(&client, &SaveOptions::default())?;
            ensure!(error.kind() == ErrorKind::Connection, "{error}");
            ensure!(error.to_string().contains(expected), "{error}");
        }
    }
    Ok(())
}

#[test]
fn keys_are_taken_in_every_form_but_the_encrypted_one() -> Result<()> {
    let cluster = RealCluster::builder(sample(Version::ALL, 1)[0]).start()?;
    let (room, endpoint) = (Room::new()?, cluster.endpoint(0));
    for form in [
        KeyForm::EcSec1,
        KeyForm::EcPkcs8,
        KeyForm::RsaPkcs1,
        KeyForm::RsaPkcs8,
    ] {
        let identity = cluster
            .authority()
            .issue(&Leaf::client("form").with_key(form))?;
        let files = identity.write(cluster.folder(), "form")?;
        // One file may hold both, in any order.
        let both = cluster.folder().join("both.pem");
        fs::write(
            &both,
            format!("{}{}", identity.key_pem, identity.certificate_pem),
        )?;
        for tls in [
            trusting(&cluster).identity_files(files.certificate, files.key),
            trusting(&cluster).identity_files(&both, &both),
            trusting(&cluster).identity_pem(identity.certificate_pem, identity.key_pem),
        ] {
            saved(&Cluster::new([endpoint])?.with_tls(tls.build()?), &room)
                .with_context(|| format!("{form:?}"))?;
        }
    }
    let encrypted = Leaf::client("form").with_key(KeyForm::Encrypted);
    let files = cluster
        .authority()
        .issue(&encrypted)?
        .write(cluster.folder(), "encrypted")?;
    let refused = trusting(&cluster)
        .identity_files(&files.certificate, &files.key)
        .build()
        .err()
        .context("an encrypted key was taken")?;
    ensure!(refused.kind() == ErrorKind::InvalidInput, "{refused}");
    ensure!(refused.to_string().contains("is encrypted"), "{refused}");
    ensure!(refused.path() == Some(files.key.as_path()), "{refused}");
    Ok(())
}
