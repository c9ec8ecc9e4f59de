//! Saving from real servers of every minor.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use etcd_snap::{
    Cluster, ErrorKind, SaveOptions, SaveReport, Snapshot, Tls, TlsBuilder, VerifyOptions,
};
use etcd_snap_testdata::certificates::{Authority, Leaf};
use etcd_snap_testdata::cluster::{self, Bulk, ROOT_PASSWORD, Security, Workload};
use etcd_snap_testdata::etcd::Version;

macro_rules! on_every_minor {
    ($($name:ident: $test:ident($version:ident);)*) => {$(
        #[test]
        fn $name() -> Result<()> {
            $test(Version::$version)
        }
    )*};
}

on_every_minor! {
    a_3_4_cluster_is_saved_over_mutual_tls: a_cluster_is_saved(V3_4);
    a_3_5_cluster_is_saved_over_mutual_tls: a_cluster_is_saved(V3_5);
    a_3_6_cluster_is_saved_over_mutual_tls: a_cluster_is_saved(V3_6);
    a_3_7_cluster_is_saved_over_mutual_tls: a_cluster_is_saved(V3_7);
    a_busy_3_4_cluster_is_saved: a_busy_cluster_is_saved(V3_4);
    a_busy_3_5_cluster_is_saved: a_busy_cluster_is_saved(V3_5);
    a_busy_3_6_cluster_is_saved: a_busy_cluster_is_saved(V3_6);
    a_busy_3_7_cluster_is_saved: a_busy_cluster_is_saved(V3_7);
    a_3_4_cluster_names_the_missing_right: a_missing_right_is_named(V3_4);
    a_3_5_cluster_names_the_missing_right: a_missing_right_is_named(V3_5);
    a_3_6_cluster_names_the_missing_right: a_missing_right_is_named(V3_6);
    a_3_7_cluster_names_the_missing_right: a_missing_right_is_named(V3_7);
    the_wrong_way_to_a_3_4_server_is_explained: the_wrong_way_is_explained(V3_4);
    the_wrong_way_to_a_3_5_server_is_explained: the_wrong_way_is_explained(V3_5);
    the_wrong_way_to_a_3_6_server_is_explained: the_wrong_way_is_explained(V3_6);
    the_wrong_way_to_a_3_7_server_is_explained: the_wrong_way_is_explained(V3_7);
}

fn tls(cluster: &cluster::Cluster) -> TlsBuilder {
    let files = cluster.tls();
    Tls::builder()
        .ca_file(&files.authority)
        .identity_files(&files.client.certificate, &files.client.key)
}

/// The way in, as the cluster's own etcdctl takes it.
fn client(cluster: &cluster::Cluster) -> Result<Cluster> {
    let mut client = Cluster::new(cluster.endpoints())?;
    if cluster.security() != Security::Plain {
        client = client.with_tls(tls(cluster).build()?);
    }
    if let Some((user, password)) = cluster.credentials() {
        client = client.with_user(user, password);
    }
    Ok(client)
}

fn save(from: &Cluster, to: &Path) -> etcd_snap::Result<SaveReport> {
    etcd_snap::save_blocking(from, to, &SaveOptions::default())
}

fn prove(path: &Path) -> Result<()> {
    let report = etcd_snap::verify(&Snapshot::open(path)?, &VerifyOptions::default())?;
    ensure!(report.problems.is_empty(), "{:?}", report.problems);
    let _ = report.into_proven()?;
    Ok(())
}

fn a_cluster_is_saved(version: Version) -> Result<()> {
    let cluster = cluster::Cluster::builder(version).members(3).start()?;
    let revision = cluster.write(&Workload::default())?;
    cluster.agreed_hash_kv()?;
    let path = cluster.folder().join("saved.db");
    let saved = save(&client(&cluster)?, &path)?;

    prove(&path)?;
    cluster.binaries().check_pages([&path])?;
    assert_eq!(saved.revision.get(), revision);
    assert!(saved.compact_revision.is_some());
    assert_eq!(saved.endpoint.as_deref(), Some(cluster.endpoint(0)));
    assert!(saved.cluster_id.is_some() && saved.member_id.is_some());
    let etcd_version = saved.etcd_version.unwrap();
    assert!(etcd_version.starts_with(version.minor()), "{etcd_version}");
    // A young server has not written it yet.
    ensure!(saved.storage_version.is_none() || version >= Version::V3_6);
    assert_eq!(saved.size_bytes, path.metadata()?.len());
    Ok(())
}

fn a_busy_cluster_is_saved(version: Version) -> Result<()> {
    let cluster = cluster::Cluster::builder(version)
        .security(Security::Plain)
        .start()?;
    cluster.write(&Workload::default())?;
    let writer = cluster.write_in_background(&Bulk::default())?;
    let client = client(&cluster)?;
    let mut before = cluster.revision(0)?;
    for round in 0..5 {
        match round {
            1 => drop(cluster.etcdctl(["compact", &before.to_string()])?),
            3 => drop(cluster.etcdctl(["defrag"])?),
            _ => {}
        }
        let path = cluster.folder().join(format!("{round}.db"));
        let saved = save(&client, &path)?;
        prove(&path)?;
        let after = cluster.revision(0)?;
        let revision = saved.revision.get();
        ensure!(
            before <= revision && revision <= after,
            "{before} {revision} {after}"
        );
        before = after;
    }
    writer.stop()?;
    Ok(())
}

fn a_missing_right_is_named(version: Version) -> Result<()> {
    let cluster = cluster::Cluster::builder(version)
        .security(Security::Plain)
        .auth(true)
        .start()?;
    cluster.etcdctl(["user", "add", "guest:guest"])?;
    let path = cluster.folder().join("saved.db");
    let nobody = Cluster::new(cluster.endpoints())?;
    for (client, expected) in [
        (nobody.clone(), "it takes a user with the role root"),
        (
            nobody.clone().with_user("root", "wrong"),
            "does not let the user \"root\" in: wrong user or password",
        ),
        (
            nobody.clone().with_user("ghost", "wrong"),
            "does not let the user \"ghost\" in: wrong user or password",
        ),
        (
            nobody.clone().with_user("guest", "guest"),
            "the user \"guest\" does not have the role root",
        ),
    ] {
        let error = save(&client, &path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
        ensure!(error.to_string().contains(expected), "{error}");
        ensure!(!path.exists());
    }
    save(&nobody.with_user("root", ROOT_PASSWORD), &path)?;
    prove(&path)
}

#[test]
fn a_client_certificate_is_a_login_and_may_have_too_few_rights() -> Result<()> {
    let cluster = cluster::Cluster::builder(Version::NEWEST)
        .auth(true)
        .start()?;
    let path = cluster.folder().join("saved.db");
    cluster.etcdctl(["user", "add", "guest:guest"])?;
    let as_user = |name: &str| -> Result<Cluster> {
        let identity = cluster.authority().issue(&Leaf::client(name))?;
        let tls = Tls::builder()
            .ca_file(&cluster.tls().authority)
            .identity_pem(identity.certificate_pem, identity.key_pem);
        Ok(Cluster::new(cluster.endpoints())?.with_tls(tls.build()?))
    };
    for (name, expected) in [
        (
            "guest",
            "the user that the client certificate is for does not have the role root",
        ),
        (
            "ghost",
            "it does not know the user that the client certificate is for",
        ),
    ] {
        let error = save(&as_user(name)?, &path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
        ensure!(error.to_string().contains(expected), "{error}");
    }
    save(&as_user("root")?, &path)?;
    prove(&path)
}

fn the_wrong_way_is_explained(version: Version) -> Result<()> {
    let secure = cluster::Cluster::builder(version).start()?;
    let plain = cluster::Cluster::builder(version)
        .security(Security::Plain)
        .start()?;
    let foreign = Authority::new("another authority")?;
    let stranger = foreign.issue(&Leaf::client("root"))?;
    let expired = secure.authority().issue(&Leaf::client("root").expired())?;
    let trusting = || Tls::builder().ca_file(&secure.tls().authority);

    let https = secure.endpoint(0).to_owned();
    let http = plain.endpoint(0).to_owned();
    let [to_tls, to_plain] = [&https, &http].map(|url| url.split_once("://").unwrap().1);
    for (endpoint, tls, expected) in [
        (
            format!("http://{to_tls}"),
            None,
            "speaks TLS: write https://",
        ),
        (
            format!("https://{to_plain}"),
            Some(trusting()),
            "does not speak TLS: write http://",
        ),
        (
            https.clone(),
            Some(trusting()),
            "asks for a client certificate, and none was given",
        ),
        (
            https.clone(),
            Some(trusting().identity_pem(stranger.certificate_pem, stranger.key_pem)),
            "the client certificate",
        ),
        (
            https.clone(),
            Some(trusting().identity_pem(expired.certificate_pem, expired.key_pem)),
            "the client certificate",
        ),
        (
            https.clone(),
            Some(Tls::builder().ca_pem(foreign.certificate_pem())),
            "that the given CA has not signed",
        ),
        (
            https.clone(),
            Some(tls(&secure).server_name("etcd.elsewhere")),
            "and not for etcd.elsewhere",
        ),
    ] {
        let mut client = Cluster::new([&endpoint])?.with_connect_timeout(Duration::from_secs(10));
        if let Some(tls) = tls {
            client = client.with_tls(tls.build()?);
        }
        let error = save(&client, &secure.folder().join("never.db")).unwrap_err();
        ensure!(error.kind() == ErrorKind::Connection, "{error:?}");
        ensure!(error.endpoint() == Some(endpoint.as_str()), "{error:?}");
        ensure!(error.to_string().contains(expected), "{expected}: {error}");
    }

    // The way that is right all the same: nobody is believed, and the name does not matter.
    let any = tls(&secure).danger_skip_verification().build()?;
    let client = Cluster::new([https])?.with_tls(any);
    save(&client, &secure.folder().join("saved.db"))?;
    Ok(())
}

#[test]
fn a_member_without_a_leader_gives_its_snapshot_and_says_so() -> Result<()> {
    use std::ops::ControlFlow;
    use std::sync::Mutex;

    use etcd_snap::{Event, Observer};

    #[derive(Default)]
    struct Notes(Mutex<Vec<String>>);

    impl Observer for Notes {
        fn event(&self, event: &Event) -> ControlFlow<()> {
            if let Event::Note(note) = event {
                self.0.lock().unwrap().push(note.clone());
            }
            ControlFlow::Continue(())
        }
    }

    let mut cluster = cluster::Cluster::builder(Version::NEWEST)
        .members(3)
        .start()?;
    cluster.write(&Workload::default())?;
    cluster.kill(1);
    cluster.kill(2);
    let client = client(&cluster)?;
    let path = cluster.folder().join("alone.db");
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        let notes = Arc::new(Notes::default());
        let options = SaveOptions::default().with_observer(notes.clone());
        etcd_snap::save_blocking(&client, &path, &options)?;
        let notes = notes.0.lock().unwrap();
        if notes.iter().any(|note| note.contains("knows no leader")) {
            break;
        }
        // It takes some heartbeats until the last member knows that it is alone.
        ensure!(std::time::Instant::now() < deadline, "{notes:?}");
    }
    prove(&path)
}
