//! Saving: from good servers, bad ones, and none.

mod choice;
mod connection;
mod direct;
#[cfg(feature = "discovery")]
mod discovery;
mod good;
mod name;
mod rights;
mod stream;
mod target;
mod tls_files;
mod ways;

use std::path::{Path, PathBuf};

use etcd_snap::{Cluster, Error, SaveOptions};
use etcd_snap_testdata::fake::Server;
use tempfile::TempDir;

/// A small snapshot of a real server.
fn snapshot() -> PathBuf {
    etcd_snap_testdata::folder().join("snapshots/3.6.db")
}

fn server() -> Server {
    Server::serving(snapshot()).unwrap()
}

/// A directory that a save works in, and that has to be as it was after every failure.
struct Room(TempDir);

impl Room {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn target(&self) -> PathBuf {
        self.0.path().join("backup.db")
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self
            .path()
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

/// Saves and expects to fail: the error, after making sure that nothing was left.
async fn failure(cluster: &Cluster, options: &SaveOptions) -> Error {
    let room = Room::new();
    let error = etcd_snap::save(cluster, room.target(), options)
        .await
        .unwrap_err();
    assert_eq!(room.names(), [""; 0], "{error}");
    error
}

/// The whole chain, as a person reads it.
fn said(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
