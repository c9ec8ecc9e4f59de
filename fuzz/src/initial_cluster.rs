//! The text of `--initial-cluster`: line one the cluster, line two the token, line three the advertised peer URLs.

use etcd_snap::{NewCluster, PeerUrl, PeerUrls};

/// Whether the text of the URL is sure to be read as the same URL again. A space at the end is trimmed; and of what Go escapes, or
/// finds escaped, it does not read all back: a letter beyond ASCII in a zone, a slash at the start of a path.
fn reads_back(url: &PeerUrl) -> bool {
    !url.as_str().ends_with(char::is_whitespace) && !url.as_str().contains('%')
}

pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut lines = text.splitn(3, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (initial_cluster, token, advertised) = (line(), line(), line());

    if let Ok(url) = PeerUrl::parse(advertised)
        && reads_back(&url)
    {
        assert_eq!(PeerUrl::parse(url.as_str()).unwrap(), url);
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
    let mut urls = cluster
        .members()
        .iter()
        .flat_map(|member| member.peer_urls().iter());
    // A comma that was an escape is printed as it is, by Go too, and parts the list where it is read again.
    if urls.all(|url| reads_back(url) && !url.as_str().contains(',')) {
        assert_eq!(NewCluster::parse(&printed, token).unwrap(), cluster);
    }
}
