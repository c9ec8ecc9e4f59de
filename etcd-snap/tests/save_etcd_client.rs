//! The same save through a client that a program already holds.

use std::time::Duration;

use anyhow::Result;
use etcd_client::{Client, ConnectOptions};
use etcd_snap::{Error, ErrorKind, SaveOptions, Snapshot, VerifyOptions, etcd_client as adapter};
use etcd_snap_testdata::cluster::{Cluster, ROOT_PASSWORD, Security, Workload};
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::fake::{Auth, Fault, Server};
use etcd_snap_testdata::golden;

async fn failure(server: Server, user: Option<(&str, &str)>) -> Result<Error> {
    let server = server.start()?;
    let options = user.map(|(name, password)| ConnectOptions::new().with_user(name, password));
    let mut client = Client::connect([server.endpoint()], options).await?;
    let directory = tempfile::tempdir()?;
    let options = SaveOptions::default().with_stall_timeout(Duration::from_secs(1));
    let error = adapter::save(&mut client, directory.path().join("backup.db"), &options)
        .await
        .unwrap_err();
    assert_eq!(directory.path().read_dir()?.count(), 0, "{error}");
    Ok(error)
}

#[tokio::test]
async fn a_real_server_of_every_minor_is_saved() -> Result<()> {
    for version in Version::ALL {
        let cluster = Cluster::builder(version)
            .security(Security::Plain)
            .auth(true)
            .start()?;
        let revision = cluster.write(&Workload::default())?;
        let options = ConnectOptions::new().with_user("root", ROOT_PASSWORD);
        let mut client = Client::connect([cluster.endpoint(0)], Some(options)).await?;
        let path = cluster.folder().join("backup.db");
        let saved = adapter::save(&mut client, &path, &SaveOptions::default()).await?;
        assert_eq!(saved.contents.unwrap().revision.get(), revision);
        assert!(saved.cluster_id.is_some());
        assert_eq!((saved.endpoint, saved.member_id), (None, None));
        let report = etcd_snap::verify(&Snapshot::open(&path)?, &VerifyOptions::default())?;
        let _ = report.into_proven()?;
    }
    Ok(())
}

#[tokio::test]
async fn the_checks_are_the_same() -> Result<()> {
    let server = || Server::serving(golden::snapshot(Version::V3_6));
    for (fault, kind, expected) in [
        (
            Fault::EndAfter(32 << 10),
            ErrorKind::Stream,
            "before the end of the database (at byte 32768 of",
        ),
        (Fault::DoubledDigest, ErrorKind::Stream, "after the digest"),
        (
            Fault::EmptyAfter(32 << 10),
            ErrorKind::Stream,
            "it probably cannot read its own file",
        ),
        (
            Fault::WrongDigest,
            ErrorKind::DigestMismatch,
            "not the ones that were sent",
        ),
        (
            Fault::SilentAfter(32 << 10),
            ErrorKind::Stalled,
            "nothing for 1s (at byte 32768 of",
        ),
        (
            Fault::ResetAfter(64 << 10),
            ErrorKind::Stream,
            "broke off at byte",
        ),
    ] {
        let name = format!("{fault:?}");
        let error = failure(server()?.with_fault(fault), None).await?;
        assert_eq!(error.kind(), kind, "{name}: {error}");
        assert!(error.to_string().contains(expected), "{name}: {error}");
    }
    Ok(())
}

#[tokio::test]
async fn a_missing_right_is_named() -> Result<()> {
    for modern in [false, true] {
        for (user, expected) in [
            (None, "it takes a user with the role root"),
            (Some(("ann", "right")), "does not have the role root"),
        ] {
            let auth = Auth {
                user: "ann".to_owned(),
                password: "right".to_owned(),
                is_root: false,
                modern,
            };
            let server = Server::serving(golden::snapshot(Version::V3_6))?.with_auth(auth);
            let error = failure(server, user).await?;
            assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_stream_opened_elsewhere_is_saved_too() -> Result<()> {
    let original = golden::snapshot(Version::V3_6);
    let server = Server::serving(&original)?.start()?;
    let mut client = Client::connect([server.endpoint()], None).await?;
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("backup.db");
    let chunks = adapter::chunks(client.snapshot().await?);
    etcd_snap::save_chunks(chunks, &path, &SaveOptions::default()).await?;
    assert!(std::fs::read(path)? == std::fs::read(original)?);
    Ok(())
}
