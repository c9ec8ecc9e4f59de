//! Clusters for the tests of this room.

use proptest::prelude::*;

use crate::NewCluster;

/// The one that etcd's defaults describe.
pub(super) fn one() -> NewCluster {
    NewCluster::parse("default=http://localhost:2380", "etcd-cluster").unwrap()
}

/// The example of formats.md 5.2.
pub(super) fn three() -> NewCluster {
    NewCluster::parse(
        "m1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380,m3=http://10.0.0.3:2380",
        "etcd-cluster",
    )
    .unwrap()
}

/// Any cluster of a few members.
pub(super) fn clusters() -> impl Strategy<Value = NewCluster> {
    let piece = (
        "[^,=]{1,6}",
        "https?://[a-zA-Z0-9.<>&-]{1,8}",
        "[?#]?[a-z&<>]{0,3}",
    );
    let token = "[ -~é]{0,12}";
    (proptest::collection::vec(piece, 1..7), token).prop_map(|(pieces, token)| {
        // The port makes every URL another one.
        let pieces = (1..).zip(pieces).map(|(port, (name, host, tail))| {
            let tail = if tail.starts_with(['?', '#']) {
                &tail
            } else {
                ""
            };
            format!("{name}={host}:{port}{tail}")
        });
        NewCluster::parse(&pieces.collect::<Vec<_>>().join(","), &token).unwrap()
    })
}
