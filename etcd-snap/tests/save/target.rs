//! Targets that cannot be had are refused before anything is asked of a server.

use etcd_snap::{Cluster, ErrorKind, SaveOptions};

use crate::{Room, server};

/// No server: whoever connects first gets the wrong error.
fn nowhere() -> Cluster {
    Cluster::new(["http://127.0.0.1:1"]).unwrap()
}

#[tokio::test]
async fn a_bad_target_is_refused_before_the_connection() {
    let room = Room::new();
    for (target, kind) in [
        (room.path().join("none/backup.db"), ErrorKind::NotFound),
        (room.path().to_owned(), ErrorKind::InvalidInput),
    ] {
        let error = etcd_snap::save(&nowhere(), &target, &SaveOptions::default())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
    assert_eq!(room.names(), [""; 0]);
}

#[tokio::test]
async fn an_existing_file_is_kept_where_that_is_asked() {
    let room = Room::new();
    std::fs::write(room.target(), "old").unwrap();
    let options = SaveOptions::default().with_no_clobber(true);
    let error = etcd_snap::save(&nowhere(), room.target(), &options)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Occupied, "{error}");
    assert_eq!(std::fs::read(room.target()).unwrap(), b"old");
}

#[tokio::test]
async fn of_two_saves_to_one_new_name_one_wins() {
    let server = server().start().unwrap();
    let cluster = Cluster::new([server.endpoint()]).unwrap();
    let room = Room::new();
    let options = SaveOptions::default().with_no_clobber(true);
    let (one, two) = tokio::join!(
        etcd_snap::save(&cluster, room.target(), &options),
        etcd_snap::save(&cluster, room.target(), &options),
    );
    let (won, lost) = if one.is_ok() { (one, two) } else { (two, one) };
    won.unwrap();
    assert_eq!(lost.unwrap_err().kind(), ErrorKind::Occupied);
    assert_eq!(room.names(), ["backup.db"]);
}

#[tokio::test]
async fn two_saves_to_one_name_do_not_write_into_each_other() {
    let server = server().with_chunk_bytes(1000).start().unwrap();
    let cluster = Cluster::new([server.endpoint()]).unwrap();
    let room = Room::new();
    std::fs::write(room.target(), "old").unwrap();
    let options = SaveOptions::default();
    let (one, two) = tokio::join!(
        etcd_snap::save(&cluster, room.target(), &options),
        etcd_snap::save(&cluster, room.target(), &options),
    );
    assert_eq!(one.unwrap().digest, two.unwrap().digest);
    assert_eq!(room.names(), ["backup.db"]);
    let saved = std::fs::read(room.target()).unwrap();
    assert_eq!(saved, std::fs::read(crate::snapshot()).unwrap());
}
