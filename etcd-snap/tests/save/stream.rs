//! Servers that lie, stall and break off.

use std::time::Duration;

use etcd_snap::{Chunk, Cluster, ErrorKind, SaveOptions};
use etcd_snap_testdata::fake::{Fault, Pace, Server};
use tonic::Code;

use crate::{Room, failure, said, server, snapshot};

const KIB: usize = 1 << 10;

async fn broken(server: Server, options: &SaveOptions) -> (ErrorKind, Option<u64>, String) {
    let server = server.start().unwrap();
    let cluster = Cluster::new([server.endpoint()]).unwrap();
    let error = failure(&cluster, options).await;
    assert_eq!(
        error.endpoint(),
        Some(server.endpoint().as_str()),
        "{error}"
    );
    (error.kind(), error.offset(), said(&error))
}

#[tokio::test]
async fn a_stream_that_is_not_as_it_should_be_leaves_no_file_and_says_where() {
    let whole = std::fs::metadata(snapshot()).unwrap().len() - 32;
    let third = 32 * KIB as u64;
    for (fault, offset, expected) in [
        (Fault::EndAfter(0), 0, "without a single byte"),
        (
            Fault::EndAfter(32 * KIB),
            third,
            "before the end of the database",
        ),
        (Fault::NoDigest, whole, "without the digest"),
        (Fault::DoubledDigest, whole, "after the digest"),
        (Fault::SplitDigest, whole, "16 bytes where the digest"),
        (
            Fault::GluedDigest,
            3 * third,
            "32 bytes more than it had announced",
        ),
        (Fault::ShortDigest(31), whole, "31 bytes where the digest"),
        (Fault::ShortDigest(0), whole, "0 bytes where the digest"),
        (Fault::RemainingOff(1), 0, "which no database has"),
        (
            Fault::RemainingOff(-512),
            3 * third,
            "more than it had announced",
        ),
        (
            Fault::RemainingOff(512),
            whole,
            "says that 0 bytes remain where 480 do",
        ),
        (Fault::RemainingGrows, 0, ""),
        (
            Fault::EmptyAfter(32 * KIB),
            third,
            "it probably cannot read its own file",
        ),
        (
            Fault::EmptyAfter(0),
            0,
            "it probably cannot read its own file",
        ),
        (
            Fault::ResetAfter(64 * KIB),
            0,
            "the snapshot stream broke off at byte",
        ),
    ] {
        let name = format!("{fault:?}");
        let (kind, at, said) = broken(server().with_fault(fault), &SaveOptions::default()).await;
        assert_eq!(kind, ErrorKind::Stream, "{name}: {said}");
        assert!(said.contains(expected), "{name}: {said}");
        assert!(said.contains("at byte"), "{name}: {said}");
        // How much of what was sent before a reset arrives is the network's affair, and the size may be refused first.
        if !name.starts_with("Reset") && !name.starts_with("Remaining") {
            assert_eq!(at, Some(offset), "{name}: {said}");
        }
    }
}

#[tokio::test]
async fn other_bytes_than_the_digest_is_of_are_no_backup() {
    for fault in [Fault::WrongDigest, Fault::FlipByte(50_000)] {
        let name = format!("{fault:?}");
        let server = server().with_fault(fault).start().unwrap();
        let cluster = Cluster::new([server.endpoint()]).unwrap();
        let error = failure(&cluster, &SaveOptions::default()).await;
        assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{name}: {error}");
        let names: Vec<_> = error.detail().map(|(name, _)| name).collect();
        assert_eq!(names, ["expected", "found"]);
    }
}

#[tokio::test]
async fn a_database_that_was_damaged_on_the_server_is_no_backup() {
    let mut bytes = std::fs::read(snapshot()).unwrap();
    let database = bytes.len() - 32;
    // The root page, which the meta names, says that it is another.
    let root = u64::from_le_bytes(bytes[32..40].try_into().unwrap()) as usize;
    bytes[root * 4096] ^= 0x55;
    let digest = {
        use sha2::Digest as _;
        sha2::Sha256::digest(&bytes[..database])
    };
    bytes[database..].copy_from_slice(&digest);
    let server = Server::serving_bytes(bytes).start().unwrap();
    let cluster = Cluster::new([server.endpoint()]).unwrap();
    let error = failure(&cluster, &SaveOptions::default()).await;
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    assert!(error.to_string().contains(&server.endpoint()), "{error}");
}

#[tokio::test]
async fn an_error_of_the_server_is_passed_on() {
    let fault = Fault::ErrorAfter(
        0,
        Code::Unavailable,
        "etcdserver: server stopped".to_owned(),
    );
    let (kind, _, text) = broken(server().with_fault(fault), &SaveOptions::default()).await;
    assert_eq!(kind, ErrorKind::Server, "{text}");
    assert!(text.contains("etcdserver: server stopped"), "{text}");
    let fault = Fault::ErrorAfter(64 * KIB, Code::Unknown, "disk on fire".to_owned());
    let (kind, at, text) = broken(server().with_fault(fault), &SaveOptions::default()).await;
    assert_eq!(kind, ErrorKind::Server, "{text}");
    assert_eq!(at, Some(64 * KIB as u64));
    assert!(
        text.contains("broke off at byte 65536") && text.contains("disk on fire"),
        "{text}"
    );
}

#[tokio::test]
async fn a_silence_ends_the_save_wherever_it_falls() {
    let options = SaveOptions::default().with_stall_timeout(Duration::from_millis(100));
    for bytes in [0, 32 * KIB] {
        let fault = Fault::SilentAfter(bytes);
        let (kind, at, text) = broken(server().with_fault(fault), &options).await;
        assert_eq!(kind, ErrorKind::Stalled, "{text}");
        assert_eq!(at, Some(bytes as u64), "{text}");
        assert!(
            text.contains("has sent nothing for 100ms (at byte"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_slow_server_is_not_a_silent_one() {
    // The first message takes longer than the patience lasts, and its bytes trickle.
    let pace = Pace {
        piece_bytes: 256,
        every: Duration::from_millis(20),
        for_bytes: 33 * KIB,
    };
    let server = server().with_pace(pace).start().unwrap();
    let cluster = Cluster::new([server.endpoint()]).unwrap();
    let options = SaveOptions::default().with_stall_timeout(Duration::from_millis(1500));
    let room = Room::new();
    etcd_snap::save(&cluster, room.target(), &options)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_dropped_save_leaves_nothing_and_nothing_comes_later() {
    let server = server()
        .with_fault(Fault::SilentAfter(64 * KIB))
        .start()
        .unwrap();
    let cluster = Cluster::new([server.endpoint()]).unwrap();
    let room = Room::new();
    std::fs::write(room.target(), "old").unwrap();
    let (began, begins) = tokio::sync::oneshot::channel();
    let options =
        SaveOptions::default().with_observer(std::sync::Arc::new(Begins(Some(began).into())));
    {
        let save = etcd_snap::save(&cluster, room.target(), &options);
        tokio::select! {
            result = save => panic!("{result:?}"),
            _ = begins => {}
        }
    }
    assert_eq!(room.names(), ["backup.db"]);
    assert_eq!(std::fs::read(room.target()).unwrap(), b"old");
}

/// Tells when the stream has been asked for.
struct Begins(std::sync::Mutex<Option<tokio::sync::oneshot::Sender<()>>>);

impl etcd_snap::Observer for Begins {
    fn event(&self, event: &etcd_snap::Event) -> std::ops::ControlFlow<()> {
        if *event == etcd_snap::Event::Started(etcd_snap::Phase::Receive)
            && let Some(sender) = self.0.lock().unwrap().take()
        {
            let _ = sender.send(());
        }
        std::ops::ControlFlow::Continue(())
    }
}

#[tokio::test]
async fn any_stream_of_chunks_gets_the_same_checks() {
    let bytes = std::fs::read(snapshot()).unwrap();
    let (database, digest) = bytes.split_at(bytes.len() - 32);
    let mut left = database.len() as u64;
    let mut chunks: Vec<Result<Chunk, std::io::Error>> = database
        .chunks(10_000)
        .map(|piece| {
            left -= piece.len() as u64;
            Ok(Chunk::new(piece.to_vec(), left).with_version("3.6.0"))
        })
        .collect();
    chunks.push(Ok(Chunk::new(digest.to_vec(), 0)));
    let room = Room::new();
    let options = SaveOptions::default();
    let saved = etcd_snap::save_chunks(tokio_stream::iter(chunks), room.target(), &options)
        .await
        .unwrap();
    assert_eq!(
        (saved.endpoint, saved.member_id, saved.cluster_id),
        (None, None, None)
    );
    assert!(std::fs::read(room.target()).unwrap() == bytes);

    let room = Room::new();
    let broken = vec![
        Ok(Chunk::new(vec![0; 512], 512)),
        Err(std::io::Error::other("cable bitten through")),
    ];
    let error = etcd_snap::save_chunks(tokio_stream::iter(broken), room.target(), &options)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stream);
    assert_eq!(
        said(&error),
        "the snapshot stream broke off at byte 512 of 1024: cable bitten through"
    );
    assert_eq!(room.names(), [""; 0]);
}
