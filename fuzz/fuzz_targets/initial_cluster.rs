//! The text of `--initial-cluster`: line one the cluster, line two the token, line three the advertised peer URLs.
#![no_main]

use etcd_snap::{NewCluster, PeerUrl, PeerUrls};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut lines = text.splitn(3, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (initial_cluster, token, advertised) = (line(), line(), line());

    if let Ok(url) = PeerUrl::parse(advertised) {
        // A space at the end is trimmed when it is read again.
        if !url.as_str().ends_with(char::is_whitespace) {
            assert_eq!(PeerUrl::parse(url.as_str()).unwrap(), url);
        }
    }
    let advertised = PeerUrls::parse(advertised);
    let cluster = match NewCluster::parse(initial_cluster, token) {
        Ok(cluster) => cluster,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    assert_eq!(cluster.token(), token);
    assert!(cluster.members().is_sorted_by(|a, b| a.id() < b.id()));
    for member in cluster.members() {
        assert_eq!(cluster.member(member.name()).unwrap(), member);
        member.check_advertised(member.peer_urls()).unwrap();
        if let Ok(advertised) = &advertised {
            let same = advertised == member.peer_urls();
            assert_eq!(member.check_advertised(advertised).is_ok(), same);
        }
    }
    assert!(cluster.member("a name, that cannot be").is_err());
    let printed = cluster.to_string();
    let trimmed = |url: &PeerUrl| url.as_str().ends_with(char::is_whitespace);
    if !cluster
        .members()
        .iter()
        .any(|m| m.peer_urls().iter().any(trimmed))
    {
        assert_eq!(NewCluster::parse(&printed, token).unwrap(), cluster);
    }
});
