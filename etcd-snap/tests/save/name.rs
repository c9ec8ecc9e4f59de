//! Names with placeholders.

use std::convert::Infallible;
use std::fs;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use etcd_snap::{Chunk, Cluster, Error, ErrorKind, SaveOptions, SaveReport, Target, save_chunks};

use crate::{Room, server, snapshot};

async fn saved(room: &Room, name: &str, options: &SaveOptions) -> Result<SaveReport, Error> {
    let server = server().start().unwrap();
    let cluster = Cluster::new([server.endpoint()]).unwrap();
    let target = Target::pattern(room.path().join(name), Some("node-1"))?;
    etcd_snap::save(&cluster, target, options).await
}

#[tokio::test]
async fn a_name_is_filled_in_when_the_snapshot_is_there() {
    let room = Room::new();
    let name = "etcd-{host}-{cluster}-{member}-{revision}.db";
    let report = saved(&room, name, &SaveOptions::default()).await.unwrap();
    let filled = "etcd-node-1-cdf81818e32cb7cd-8e9e05c52164694d-215.db";
    assert_eq!(room.names(), [filled]);
    assert_eq!(report.path, Some(room.path().join(filled)));
    assert_eq!(report.contents.unwrap().revision.get(), 215);

    let room = Room::new();
    let report = saved(&room, "{utc}", &SaveOptions::default())
        .await
        .unwrap();
    let name = room.names().concat();
    assert_eq!(report.path, Some(room.path().join(&name)));
    let shape: String = name
        .chars()
        .map(|letter| if letter.is_ascii_digit() { '0' } else { letter })
        .collect();
    assert_eq!(shape, "00000000T000000Z");
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused_on_request_whenever_it_is_known() {
    let options = SaveOptions::default().with_no_clobber(true);
    for (name, taken) in [("{revision}.db", "215.db"), ("{host}.db", "node-1.db")] {
        let room = Room::new();
        fs::write(room.path().join(taken), "old").unwrap();
        let error = saved(&room, name, &options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Occupied, "{error}");
        assert_eq!(error.path(), Some(&*room.path().join(taken)));
        assert_eq!(fs::read(room.path().join(taken)).unwrap(), b"old");
        assert_eq!(room.names(), [taken]);
        saved(&room, name, &SaveOptions::default()).await.unwrap();
        assert_eq!(room.names(), [taken]);
        assert_ne!(fs::read(room.path().join(taken)).unwrap(), b"old");
    }
}

#[tokio::test]
async fn nothing_but_a_file_is_replaced() {
    let room = Room::new();
    let socket = room.path().join("215");
    let _listener = UnixListener::bind(&socket).unwrap();
    fs::create_dir(room.path().join("215.d")).unwrap();
    std::os::unix::fs::symlink("/dev/null", room.path().join("215.n")).unwrap();
    let before = room.names();
    for name in ["{revision}", "{revision}.d", "{revision}.n"] {
        let error = saved(&room, name, &SaveOptions::default())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert_eq!(room.names(), before);
    }
}

#[tokio::test]
async fn what_a_pipe_is_called_is_not_filled_in() {
    let room = Room::new();
    let link = room.path().join("{revision}");
    std::os::unix::fs::symlink("/dev/null", &link).unwrap();
    let error = saved(&room, "{revision}", &SaveOptions::default())
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("placeholders are for files"),
        "{error}"
    );
    assert_eq!(room.names(), ["{revision}"]);
}

#[tokio::test]
async fn a_stream_that_cannot_tell_is_not_begun() {
    let room = Room::new();
    let target = || Target::pattern(room.path().join("{revision}-{member}"), None).unwrap();
    let never = tokio_stream::iter([Ok::<_, Infallible>(Chunk::new(vec![0; 8], 0))]);
    let error = save_chunks(never, target(), &SaveOptions::default())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    assert!(error.to_string().contains("{member}"), "{error}");
    assert_eq!(room.names(), [""; 0]);
}

#[test]
fn a_placeholder_that_nobody_knows_is_refused_before_anything_else() {
    let path = snapshot().with_file_name("{date}.db");
    let error = Target::pattern(&path, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("{date}"), "{error}");
    assert_eq!(error.path(), Some(&*PathBuf::from(&path)));
}
