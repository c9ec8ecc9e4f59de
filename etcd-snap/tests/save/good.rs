//! What a save brings home.

use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use etcd_snap::{
    Cluster, Event, Observer, Phase, ProofKind, SaveOptions, SaveReport, Snapshot, Tls,
    VerifyOptions,
};
use etcd_snap_testdata::certificates::{Authority, KeyForm, Leaf};

use crate::{Room, server, snapshot};

#[tokio::test]
async fn the_file_is_what_the_server_sent_and_the_report_says_what_is_in_it() {
    let original = std::fs::read(snapshot()).unwrap();
    for chunk_bytes in [1 << 10, 32 << 10, 1 << 20, 4 << 20] {
        let server = server().with_chunk_bytes(chunk_bytes).start().unwrap();
        let cluster = Cluster::new([server.endpoint()]).unwrap();
        let room = Room::new();
        let saved = etcd_snap::save(&cluster, room.target(), &SaveOptions::default())
            .await
            .unwrap();
        assert!(std::fs::read(room.target()).unwrap() == original);
        assert_eq!(room.names(), ["backup.db"]);
        let mode = room.target().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        let status = etcd_snap::status(&Snapshot::open(room.target()).unwrap()).unwrap();
        assert_eq!(saved.schema, 1);
        assert_eq!(saved.proof, ProofKind::Full);
        assert_eq!(saved.path, Some(room.target()));
        assert_eq!(saved.endpoint, Some(server.endpoint()));
        assert_eq!(saved.member_id.unwrap().to_string(), "8e9e05c52164694d");
        assert_eq!(saved.cluster_id.unwrap().to_string(), "cdf81818e32cb7cd");
        assert_eq!(saved.etcd_version.as_deref(), Some("3.6.14"));
        assert_eq!(saved.storage_version.as_deref(), Some("3.6.0"));
        assert_eq!(saved.size_bytes, original.len() as u64);
        assert_eq!(saved.digest.as_bytes()[..], original[original.len() - 32..]);
        let contents = saved.contents.as_ref().unwrap();
        assert_eq!(contents.hash, status.hash);
        assert_eq!(contents.revision, status.revision);
        assert_eq!(contents.total_records, status.total_records);
        assert_eq!(contents.live_keys, status.live_keys);

        let json = serde_json::to_string(&saved).unwrap();
        assert_eq!(serde_json::from_str::<SaveReport>(&json).unwrap(), saved);
    }
}

#[tokio::test]
async fn an_existing_file_is_replaced_as_a_whole() {
    let server = server().start().unwrap();
    let cluster = Cluster::new([server.endpoint()]).unwrap();
    let room = Room::new();
    std::fs::write(room.target(), "old").unwrap();
    etcd_snap::save(&cluster, room.target(), &SaveOptions::default())
        .await
        .unwrap();
    let snapshot = Snapshot::open(room.target()).unwrap();
    let report = etcd_snap::verify(&snapshot, &VerifyOptions::default()).unwrap();
    let _ = report.into_proven().unwrap();
    assert_eq!(room.names(), ["backup.db"]);
}

#[test]
fn a_program_without_a_runtime_saves_too() {
    let server = server().start().unwrap();
    let cluster = Cluster::new([server.endpoint()]).unwrap();
    let room = Room::new();
    let saved = etcd_snap::save_blocking(&cluster, room.target(), &SaveOptions::default()).unwrap();
    assert_eq!(saved.size_bytes, room.target().metadata().unwrap().len());
}

#[tokio::test]
async fn the_blocking_save_refuses_to_hold_up_a_runtime() {
    let cluster = Cluster::new(["127.0.0.1:1"]).unwrap();
    let error =
        etcd_snap::save_blocking(&cluster, "never.db", &SaveOptions::default()).unwrap_err();
    assert_eq!(error.kind(), etcd_snap::ErrorKind::InvalidInput);
}

#[tokio::test]
async fn a_cluster_with_mutual_tls_is_saved_with_keys_in_every_form() {
    let authority = Authority::new("ca").unwrap();
    let server = server()
        .with_tls(&authority.issue(&Leaf::server()).unwrap(), Some(&authority))
        .unwrap()
        .start()
        .unwrap();
    let room = Room::new();
    let ca = authority.write(room.path(), "ca").unwrap();
    for form in [
        KeyForm::EcPkcs8,
        KeyForm::EcSec1,
        KeyForm::RsaPkcs8,
        KeyForm::RsaPkcs1,
    ] {
        let client = authority
            .issue(&Leaf::client("root").with_key(form))
            .unwrap();
        let files = client.write(room.path(), "client").unwrap();
        let from_files = Tls::builder()
            .ca_file(&ca)
            .identity_files(&files.certificate, &files.key);
        let from_bytes = Tls::builder()
            .ca_pem(authority.certificate_pem())
            .identity_pem(client.certificate_pem, client.key_pem);
        for tls in [from_files, from_bytes] {
            let cluster = Cluster::new([server.endpoint()])
                .unwrap()
                .with_tls(tls.build().unwrap());
            etcd_snap::save(&cluster, room.target(), &SaveOptions::default())
                .await
                .unwrap_or_else(|e| panic!("{form:?}: {e}"));
        }
    }
}

#[tokio::test]
async fn a_bare_endpoint_goes_over_tls_where_tls_is_given() {
    let authority = Authority::new("ca").unwrap();
    let server = server()
        .with_tls(&authority.issue(&Leaf::server()).unwrap(), None)
        .unwrap()
        .start()
        .unwrap();
    let tls = Tls::builder().ca_pem(authority.certificate_pem());
    let cluster = Cluster::new([server.address().to_string()])
        .unwrap()
        .with_tls(tls.build().unwrap());
    let room = Room::new();
    etcd_snap::save(&cluster, room.target(), &SaveOptions::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn another_name_is_expected_or_none_at_all() {
    let authority = Authority::new("ca").unwrap();
    let leaf = Leaf::server().with_names(["etcd.internal"]);
    let server = server()
        .with_tls(&authority.issue(&leaf).unwrap(), None)
        .unwrap()
        .start()
        .unwrap();
    let room = Room::new();
    for tls in [
        Tls::builder()
            .ca_pem(authority.certificate_pem())
            .server_name("etcd.internal"),
        Tls::builder().danger_skip_verification(),
    ] {
        let cluster = Cluster::new([server.endpoint()])
            .unwrap()
            .with_tls(tls.build().unwrap());
        etcd_snap::save(&cluster, room.target(), &SaveOptions::default())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn the_next_endpoint_is_tried_where_one_is_down() {
    let server = server().start().unwrap();
    let cluster = Cluster::new(["http://127.0.0.1:1".to_owned(), server.endpoint()]).unwrap();
    let room = Room::new();
    let saved = etcd_snap::save(&cluster, room.target(), &SaveOptions::default())
        .await
        .unwrap();
    assert_eq!(saved.endpoint, Some(server.endpoint()));
}

#[derive(Default)]
struct Log {
    events: Mutex<Vec<Event>>,
    stop_in: Option<Phase>,
}

impl Observer for Log {
    fn event(&self, event: &Event) -> ControlFlow<()> {
        self.events.lock().unwrap().push(event.clone());
        match event {
            Event::Started(phase) if Some(*phase) == self.stop_in => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

#[tokio::test]
async fn the_observer_sees_the_phases_and_the_whole_of_the_total() {
    let server = server().start().unwrap();
    let cluster = Cluster::new([server.endpoint()]).unwrap();
    let log = Arc::new(Log::default());
    let options = SaveOptions::default().with_observer(log.clone());
    let room = Room::new();
    let saved = etcd_snap::save(&cluster, room.target(), &options)
        .await
        .unwrap();
    let events = log.events.lock().unwrap();
    let phases: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            Event::Started(phase) => Some(*phase),
            _ => None,
        })
        .collect();
    assert_eq!(
        phases,
        [Phase::Connect, Phase::Receive, Phase::Check, Phase::Publish]
    );
    let total = saved.size_bytes - 32;
    assert!(events.contains(&Event::Progress {
        phase: Phase::Receive,
        done_bytes: total,
        total_bytes: total,
    }));
}

#[tokio::test]
async fn the_observer_stops_the_work_in_every_phase() {
    let server = server().start().unwrap();
    let cluster = Cluster::new([server.endpoint()]).unwrap();
    for phase in [Phase::Connect, Phase::Receive, Phase::Check, Phase::Publish] {
        let log = Log {
            stop_in: Some(phase),
            ..Log::default()
        };
        let options = SaveOptions::default().with_observer(Arc::new(log));
        let error = crate::failure(&cluster, &options).await;
        assert_eq!(error.kind(), etcd_snap::ErrorKind::Cancelled, "{phase}");
    }
}

#[test]
fn the_future_can_move_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    let cluster = Cluster::new(["a:1"]).unwrap();
    is_send(&etcd_snap::save(
        &cluster,
        "never.db",
        &SaveOptions::default(),
    ));
}
