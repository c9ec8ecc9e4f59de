//! A missing right is named.

use etcd_snap::{Cluster, ErrorKind, SaveOptions};
use etcd_snap_testdata::fake::Auth;

use crate::{Room, failure, server};

fn auth(is_root: bool, modern: bool) -> Auth {
    Auth {
        user: "ann".to_owned(),
        password: "right".to_owned(),
        is_root,
        modern,
    }
}

#[tokio::test]
async fn who_may_not_take_a_snapshot_hears_why() {
    for (version, modern) in [("3.4.23", false), ("3.5.30", false), ("3.6.14", true)] {
        for (user, is_root, expected) in [
            (
                None,
                true,
                "auth is enabled, and it takes a user with the role root",
            ),
            (
                Some(("ann", "wrong")),
                true,
                "\"ann\" in: wrong user or password",
            ),
            (
                Some(("bob", "right")),
                true,
                "\"bob\" in: wrong user or password",
            ),
            (
                Some(("ann", "right")),
                false,
                "the user \"ann\" does not have the role root",
            ),
        ] {
            let server = server()
                .with_version(version)
                .with_auth(auth(is_root, modern))
                .start()
                .unwrap();
            let mut cluster = Cluster::new([server.endpoint()]).unwrap();
            if let Some((name, password)) = user {
                cluster = cluster.with_user(name, password);
            }
            let error = failure(&cluster, &SaveOptions::default()).await;
            assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
            assert_eq!(error.endpoint(), Some(server.endpoint().as_str()));
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}

#[tokio::test]
async fn a_user_with_the_role_root_saves_and_one_too_many_does_no_harm() {
    let room = Room::new();
    for server in [server().with_auth(auth(true, true)), server()] {
        let server = server.start().unwrap();
        let cluster = Cluster::new([server.endpoint()])
            .unwrap()
            .with_user("ann", "right");
        etcd_snap::save(&cluster, room.target(), &SaveOptions::default())
            .await
            .unwrap();
    }
}
