//! Saves that the members have to bear out.

use std::convert::Infallible;
use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use etcd_snap::{
    Attest, AttestVerdict, Chunk, Error, ErrorKind, Event, Observer, Phase, SaveOptions,
    SaveReport, Target, Unproven, VerifyOptions, save, save_chunks, verify,
};
use etcd_snap_testdata::fake::{Hash, HashAnswer};
use tempfile::TempDir;
use tokio::sync::Notify;
use tonic::Code;

use crate::*;

struct Room(TempDir);

impl Room {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn target(&self) -> PathBuf {
        self.0.path().join("backup.db")
    }

    fn unproven(&self) -> PathBuf {
        self.0.path().join("backup.db.unproven")
    }

    fn names(&self) -> Vec<String> {
        let entries = self.0.path().read_dir().unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn attesting(attest: Attest) -> SaveOptions {
    SaveOptions::default().with_attest(attest)
}

async fn saved(
    room: &Room,
    answer: HashAnswer,
    options: &SaveOptions,
) -> Result<SaveReport, Error> {
    let server = running(server(answer));
    save(&client(&server), room.target(), options).await
}

fn why(error: &Error) -> &Unproven {
    assert_eq!(error.kind(), ErrorKind::Unproven, "{error}");
    let source = std::error::Error::source(error).unwrap();
    source.downcast_ref().unwrap()
}

fn compacted() -> HashAnswer {
    let message = "etcdserver: mvcc: required revision has been compacted";
    HashAnswer::error(REVISION, Code::OutOfRange, message)
}

#[tokio::test]
async fn a_save_that_is_borne_out_says_by_whom() {
    for attest in [Attest::Required, Attest::IfPossible] {
        let room = Room::new();
        let report = saved(&room, right(), &attesting(attest)).await.unwrap();
        assert_eq!(room.names(), ["backup.db"]);
        let attest = report.attest.as_ref().unwrap();
        assert_eq!(attest.verdict, AttestVerdict::Equal);
        assert_eq!(
            attest.revision,
            report.contents.as_ref().expect("a file").revision
        );
        assert_eq!(attest.cluster_id, report.cluster_id);
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<SaveReport>(&json).unwrap(), report);
    }
    let room = Room::new();
    let report = saved(&room, wrong(), &SaveOptions::default())
        .await
        .unwrap();
    assert_eq!(report.attest, None, "nobody was asked");
}

#[tokio::test]
async fn one_that_differs_is_the_end_of_a_save_however_little_is_wanted() {
    for attest in [Attest::Required, Attest::IfPossible] {
        let room = Room::new();
        fs::write(room.target(), "old").unwrap();
        let error = saved(&room, wrong(), &attesting(attest)).await.unwrap_err();
        assert!(
            error.to_string().contains("1 of 1 member differs"),
            "{error}"
        );
        assert_eq!(why(&error).attest.differing(), 1);
        assert_eq!(why(&error).kept, None);
        assert_eq!(error.path(), None);
        assert_eq!(room.names(), ["backup.db"]);
        assert_eq!(fs::read(room.target()).unwrap(), b"old");
    }
}

#[tokio::test]
async fn where_nobody_can_tell_it_depends_on_what_is_wanted() {
    let room = Room::new();
    let required = attesting(Attest::Required);
    let error = saved(&room, compacted(), &required).await.unwrap_err();
    assert!(
        error.to_string().contains("none of 1 member can tell"),
        "{error}"
    );
    assert_eq!(why(&error).attest.verdict, AttestVerdict::CannotTell);
    assert_eq!(room.names(), [""; 0]);

    let possible = attesting(Attest::IfPossible);
    let report = saved(&room, compacted(), &possible).await.unwrap();
    let attest = report.attest.unwrap();
    assert_eq!(attest.verdict, AttestVerdict::CannotTell);
    let reason = CannotTell::CompactedPast;
    cannot_tell(&attest.members[0], reason, "compacted");
    assert_eq!(room.names(), ["backup.db"]);
}

#[tokio::test]
async fn what_is_not_borne_out_is_kept_on_request_until_the_next_run() {
    let room = Room::new();
    let keeping = |attest| attesting(attest).with_keep_unproven(true);
    fs::write(room.target(), "old").unwrap();
    fs::write(room.unproven(), "older").unwrap();
    let names = ["backup.db", "backup.db.unproven"];
    for answer in [wrong(), compacted()] {
        // Only the target is not to be replaced.
        let options = keeping(Attest::Required);
        let error = saved(&room, answer, &options).await.unwrap_err();
        assert_eq!(why(&error).kept, Some(room.unproven()));
        assert_eq!(error.path(), Some(room.unproven().as_path()));
        assert!(error.to_string().ends_with("backup.db.unproven"), "{error}");
        assert_eq!(room.names(), names);
        assert_eq!(fs::read(room.target()).unwrap(), b"old");
        let kept = Snapshot::open(room.unproven()).unwrap();
        let report = verify(&kept, &VerifyOptions::default()).unwrap();
        assert!(report.into_proven().is_ok());
        fs::write(room.unproven(), "older").unwrap();
    }
    // A save that is accepted though nobody could tell counts too.
    for (answer, attest) in [
        (right(), Attest::Required),
        (compacted(), Attest::IfPossible),
    ] {
        fs::write(room.unproven(), "older").unwrap();
        let _ = saved(&room, answer.clone(), &attesting(attest))
            .await
            .unwrap();
        assert_eq!(room.names(), names);
        let _ = saved(&room, answer, &keeping(attest)).await.unwrap();
        assert_eq!(room.names(), ["backup.db"]);
    }
}

#[tokio::test]
async fn a_failure_of_another_kind_leaves_what_an_earlier_run_kept() {
    let room = Room::new();
    fs::write(room.unproven(), "older").unwrap();
    let keeping = attesting(Attest::Required).with_keep_unproven(true);
    let cluster = Cluster::new(["127.0.0.1:1"]).unwrap();
    let error = save(&cluster, room.target(), &keeping).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection);
    assert_eq!(fs::read(room.unproven()).unwrap(), b"older");
}

#[tokio::test]
async fn only_the_target_is_kept_from_being_replaced() {
    let room = Room::new();
    fs::write(room.unproven(), "older").unwrap();
    let options = attesting(Attest::Required)
        .with_keep_unproven(true)
        .with_no_clobber(true);
    let error = saved(&room, wrong(), &options).await.unwrap_err();
    assert_eq!(why(&error).kept, Some(room.unproven()));
    assert_ne!(fs::read(room.unproven()).unwrap(), b"older");
    assert_eq!(room.names(), ["backup.db.unproven"]);
}

#[tokio::test]
async fn what_is_kept_has_the_name_that_the_file_would_have_had() {
    let room = Room::new();
    let options = attesting(Attest::Required).with_keep_unproven(true);
    let pattern = room.0.path().join("{revision}.db");
    let server = running(server(wrong()));
    let target = Target::pattern(&pattern, None).unwrap();
    let error = save(&client(&server), target, &options).await.unwrap_err();
    let name = format!("{REVISION}.db.unproven");
    assert_eq!(why(&error).kept, Some(room.0.path().join(&name)));
    assert_eq!(room.names(), [name]);

    let server = running(crate::server(right()));
    let target = Target::pattern(&pattern, None).unwrap();
    save(&client(&server), target, &options).await.unwrap();
    assert_eq!(room.names(), [format!("{REVISION}.db")]);
}

#[tokio::test]
async fn a_place_where_nothing_can_be_kept_is_known_before_the_transfer() {
    let room = Room::new();
    fs::create_dir(room.unproven()).unwrap();
    let options = attesting(Attest::Required).with_keep_unproven(true);
    let error = saved(&room, right(), &options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert_eq!(error.path(), Some(room.unproven().as_path()));
    assert_eq!(room.names(), ["backup.db.unproven"]);
}

#[tokio::test]
async fn a_stream_of_chunks_has_no_members_to_ask() {
    let room = Room::new();
    let bytes = fs::read(file()).unwrap();
    let (database, digest) = bytes.split_at(bytes.len() - 32);
    let chunks: [Result<_, Infallible>; 2] = [
        Ok(Chunk::new(database.to_vec(), 0)),
        Ok(Chunk::new(digest.to_vec(), 0)),
    ];
    let options = attesting(Attest::IfPossible);
    let error = save_chunks(tokio_stream::iter(chunks), room.target(), &options)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert_eq!(room.names(), [""; 0]);
}

/// Tells when the members are asked, and may stop it there.
#[derive(Default)]
struct Asking {
    now: Notify,
    stop: bool,
    phases: Mutex<Vec<Phase>>,
}

impl Observer for Asking {
    fn event(&self, event: &Event) -> ControlFlow<()> {
        if let Event::Started(phase) = event {
            self.phases.lock().unwrap().push(*phase);
            if *phase == Phase::Attest {
                self.now.notify_one();
                if self.stop {
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    }
}

#[tokio::test]
async fn whoever_stops_it_while_members_are_asked_leaves_nothing() {
    let silent = || HashAnswer {
        revision: REVISION,
        hash: Hash::Silence,
    };
    for stop in [false, true] {
        let room = Room::new();
        let asking = Arc::new(Asking {
            stop,
            ..Asking::default()
        });
        let options = attesting(Attest::Required)
            .with_keep_unproven(true)
            .with_observer(Arc::clone(&asking) as _);
        tokio::select! {
            biased;
            ended = saved(&room, silent(), &options) => {
                assert!(stop);
                assert_eq!(ended.unwrap_err().kind(), ErrorKind::Cancelled);
            }
            () = asking.now.notified() => assert!(!stop),
        }
        assert_eq!(room.names(), [""; 0]);
        let phases = asking.phases.lock().unwrap();
        assert!(!phases.contains(&Phase::Publish), "{phases:?}");
    }
}

/// Members may hold the same while the bytes on the way do not: that is found first.
#[tokio::test]
async fn the_transfer_is_checked_before_anybody_is_asked() {
    let room = Room::new();
    let fault = etcd_snap_testdata::fake::Fault::FlipByte(40_000);
    let server = running(server(wrong()).with_fault(fault));
    let options = attesting(Attest::Required).with_keep_unproven(true);
    let error = save(&client(&server), room.target(), &options)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DigestMismatch, "{error}");
    assert_eq!(room.names(), [""; 0]);
}

/// And nothing is written before anybody notices that.
#[tokio::test]
async fn what_leaves_as_it_comes_cannot_be_attested() {
    let server = running(server(right()));
    let (mut reader, writer) = std::io::pipe().unwrap();
    for target in [
        Target::descriptor("the pipe", writer.try_clone().unwrap()),
        Target::writer("the writer", writer),
        Target::from("/dev/null"),
    ] {
        let error = save(&client(&server), target, &attesting(Attest::IfPossible))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
    let mut read = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut read).unwrap();
    assert_eq!(read, b"");
}
