//! The cluster that a restore founds: its members, and the ids that follow from their URLs (formats.md 5.1, 5.2).

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::SystemTime;

use sha1::{Digest as _, Sha1};

use super::{ClusterId, MemberId, PeerUrl, PeerUrls};
use crate::{Error, Result, utc};

/// A cluster to be founded: who its members are, and under which ids.
///
/// The ids are a hash over the peer URLs and the token. All members must be restored with the same description and the
/// same token, and a token that was never used before keeps strayed members of the old cluster away.
///
/// ```
/// use etcd_snap::NewCluster;
///
/// let cluster = NewCluster::parse("default=http://localhost:2380", "etcd-cluster")?;
/// assert_eq!(cluster.id().to_string(), "cdf818194e3a8c32");
/// assert_eq!(cluster.member("default")?.id().to_string(), "8e9e05c52164694d");
/// # Ok::<(), etcd_snap::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCluster {
    id: ClusterId,
    token: String,
    members: Vec<NewMember>,
}

/// A member of a [`NewCluster`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMember {
    id: MemberId,
    name: String,
    peer_urls: PeerUrls,
}

impl NewCluster {
    /// Reads the text of `--initial-cluster`, `name=peer URL` with commas between, and derives the ids with `token`.
    ///
    /// A name may stand there several times, once for each of its URLs. Empty pieces are skipped.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput): no member, a piece without name or URL, a URL that cannot be a
    /// peer URL or that stands there twice, two members with the same id. The sentence says what to change.
    pub fn parse(initial_cluster: &str, token: &str) -> Result<Self> {
        let mut urls: BTreeMap<&str, Vec<PeerUrl>> = BTreeMap::new();
        let mut owners: BTreeMap<PeerUrl, &str> = BTreeMap::new();
        for piece in initial_cluster.split(',').filter(|piece| !piece.is_empty()) {
            let (name, url) = piece
                .split_once('=')
                .filter(|(name, _)| !name.is_empty())
                .ok_or_else(|| {
                    Error::invalid(format!(
                        "the initial cluster holds {piece:?}, which is not of the form name=URL: write it like \
                         m1=https://10.0.0.1:2380"
                    ))
                })?;
            let url = PeerUrl::parse(url).map_err(|e| {
                Error::invalid(format!("the initial cluster gives {name:?} no usable URL"))
                    .with_source(e)
            })?;
            if let Some(owner) = owners.insert(url.clone(), name) {
                return Err(Error::invalid(format!(
                    "the initial cluster names the peer URL {url} twice, for {owner:?} and for {name:?}: every URL \
                     belongs to one member, once"
                ))
                .with_detail("url", url.as_str()));
            }
            urls.entry(name).or_default().push(url);
        }
        let members = urls
            .into_iter()
            .map(|(name, urls)| NewMember::new(name, PeerUrls::new(urls)?, token))
            .collect::<Result<_>>()?;
        Self::new(members, token)
    }

    /// A token that no cluster ever had: `etcd-cluster-` with the time and sixteen random digits.
    ///
    /// It has to be decided once for all members of a cluster.
    #[must_use]
    pub fn fresh_token() -> String {
        let random = RandomState::new().hash_one(std::process::id());
        let now = utc::compact(SystemTime::now());
        format!("etcd-cluster-{now}-{random:016x}")
    }

    fn new(mut members: Vec<NewMember>, token: &str) -> Result<Self> {
        if members.is_empty() {
            return Err(Error::invalid(
                "the initial cluster names no member: write it like m1=https://10.0.0.1:2380",
            ));
        }
        members.sort_by_key(NewMember::id);
        for (member, next) in members.iter().zip(members.iter().skip(1)) {
            if member.id == next.id {
                return Err(Error::invalid(format!(
                    "the members {:?} and {:?} would both have the id {}: give one of them another peer URL",
                    member.name, next.name, member.id
                )));
            }
        }
        let mut hash = Sha1::new();
        for member in &members {
            hash.update(member.id.get().to_be_bytes());
        }
        Ok(Self {
            id: ClusterId::new(first_eight_bytes(hash)),
            token: token.to_owned(),
            members,
        })
    }

    /// The id of the cluster.
    #[must_use]
    pub fn id(&self) -> ClusterId {
        self.id
    }

    /// The token that went into the ids.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The members, ascending by id as a number: the order of everything that a restore writes.
    #[must_use]
    pub fn members(&self) -> &[NewMember] {
        &self.members
    }

    /// The member with this name.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput): no member has it. The sentence lists the names there are.
    pub fn member(&self, name: &str) -> Result<&NewMember> {
        self.members
            .iter()
            .find(|member| member.name == name)
            .ok_or_else(|| {
                let mut names: Vec<_> = self.members.iter().map(|m| m.name.as_str()).collect();
                names.sort_unstable();
                Error::invalid(format!(
                    "the initial cluster has no member {name:?}, only {}: use one of these names, or add \
                     {name}=<peer URL> to the initial cluster",
                    names.join(", ")
                ))
                .with_detail("name", name)
            })
    }
}

impl fmt::Display for NewCluster {
    /// The text of `--initial-cluster`, sorted by name and URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut pieces: Vec<_> = self
            .members
            .iter()
            .flat_map(|m| m.peer_urls.iter().map(|url| (m.name.as_str(), url)))
            .collect();
        pieces.sort_unstable();
        for (i, (name, url)) in pieces.into_iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            write!(f, "{comma}{name}={url}")?;
        }
        Ok(())
    }
}

impl NewMember {
    /// `computeMemberID` of etcd, as it is without a time: the name is not part of the id.
    fn new(name: &str, peer_urls: PeerUrls, token: &str) -> Result<Self> {
        let mut hash = Sha1::new();
        for url in &peer_urls {
            hash.update(url.as_str());
        }
        hash.update(token);
        let id = MemberId::new(first_eight_bytes(hash));
        if id.get() == 0 {
            return Err(Error::invalid(format!(
                "the member {name:?} would have the id 0, which raft uses for nobody: use another token"
            )));
        }
        Ok(Self {
            id,
            name: name.to_owned(),
            peer_urls,
        })
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> MemberId {
        self.id
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The peer URLs.
    #[must_use]
    pub fn peer_urls(&self) -> &PeerUrls {
        &self.peer_urls
    }

    /// Compares with the URLs that the member will advertise (`--initial-advertise-peer-urls`), as sets of texts.
    ///
    /// etcdutl would ask DNS whether different names mean the same address; here they are different.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput), with a sentence that says which URL is missing where.
    pub fn check_advertised(&self, advertised: &PeerUrls) -> Result<()> {
        let name = &self.name;
        let lacks = |urls: &PeerUrls, url: &PeerUrl| !urls.iter().any(|other| other == url);
        if let Some(url) = self.peer_urls.iter().find(|url| lacks(advertised, url)) {
            return Err(Error::invalid(format!(
                "the initial cluster gives {name:?} the peer URL {url}, which is missing from the advertised peer URLs \
                 ({advertised}): both lists must be the same{}",
                almost(url, advertised)
            ))
            .with_detail("url", url.as_str()));
        }
        if let Some(url) = advertised.iter().find(|url| lacks(&self.peer_urls, url)) {
            return Err(Error::invalid(format!(
                "the advertised peer URL {url} is missing from what the initial cluster gives {name:?} ({}): both \
                 lists must be the same{}",
                self.peer_urls,
                almost(url, &self.peer_urls)
            ))
            .with_detail("url", url.as_str()));
        }
        Ok(())
    }
}

/// In what a URL that looks the same in a list differs.
fn almost(url: &PeerUrl, list: &PeerUrls) -> &'static str {
    let place = |url: &PeerUrl| {
        let text = url.as_str().to_ascii_lowercase();
        text.split_once("://").map(|(_, place)| place.to_owned())
    };
    let Some(other) = list.iter().find(|other| place(other) == place(url)) else {
        return "";
    };
    match url.as_str().eq_ignore_ascii_case(other.as_str()) {
        true => ", in upper and lower case too",
        false => ", with http:// or https:// too",
    }
}

fn first_eight_bytes(hash: Sha1) -> u64 {
    hash.finalize()
        .iter()
        .take(8)
        .fold(0, |id, &byte| id << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::NewCluster;
    use crate::PeerUrls;

    fn three() -> NewCluster {
        NewCluster::parse(
            "m1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380,m3=http://10.0.0.3:2380",
            "etcd-cluster",
        )
        .unwrap()
    }

    fn sentence(initial_cluster: &str) -> String {
        let error = NewCluster::parse(initial_cluster, "t").unwrap_err();
        match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        }
    }

    #[test]
    fn the_defaults_have_their_well_known_ids() {
        let cluster = NewCluster::parse("default=http://localhost:2380", "etcd-cluster").unwrap();
        assert_eq!(cluster.id().get(), 14_841_639_068_965_178_418);
        let member = cluster.member("default").unwrap();
        assert_eq!(member.id().get(), 10_276_657_743_932_975_437);
    }

    #[test]
    fn a_fresh_token_gives_ids_that_were_never_there() {
        let tokens = [NewCluster::fresh_token(), NewCluster::fresh_token()];
        assert_ne!(tokens[0], tokens[1]);
        for token in &tokens {
            assert_eq!(
                token.len(),
                "etcd-cluster-20261126T011944Z-0123456789abcdef".len()
            );
            assert!(token.starts_with("etcd-cluster-2"), "{token}");
        }
    }

    #[test]
    fn three_members_have_the_ids_that_etcdutl_gives_them() {
        let ids = |cluster: &NewCluster| -> Vec<_> {
            let members = cluster.members().iter();
            members
                .map(|m| (m.name().to_owned(), m.id().to_string()))
                .collect()
        };
        let expect = |pairs: [(&str, &str); 3]| {
            pairs
                .map(|(name, id)| (name.to_owned(), id.to_owned()))
                .to_vec()
        };
        let cluster = three();
        assert_eq!(cluster.id().to_string(), "cd11e86392339c47");
        assert_eq!(
            ids(&cluster),
            expect([
                ("m1", "3ebc01aec68d6d70"),
                ("m2", "ee274cacce804b21"),
                ("m3", "fe9c64eaf3991d47"),
            ])
        );
        let other = NewCluster::parse(
            "a=http://127.0.0.1:23791,b=http://127.0.0.1:23793,c=http://127.0.0.1:23795",
            "tok3",
        );
        assert_eq!(
            ids(&other.unwrap()),
            expect([
                ("a", "282dc17ce7e0ca87"),
                ("c", "52bdbe460497580b"),
                ("b", "5c4db1e359a7c31a"),
            ])
        );
    }

    #[test]
    fn a_name_collects_its_urls_and_empty_pieces_do_not_matter() {
        let cluster =
            NewCluster::parse(",m=http://b:1,,n=http://c:1?a=b,m=HTTP://a:1,", "t").unwrap();
        assert_eq!(
            cluster.to_string(),
            "m=http://a:1,m=http://b:1,n=http://c:1?a=b"
        );
        assert_eq!(
            cluster.member("m").unwrap().peer_urls().to_string(),
            "http://a:1,http://b:1"
        );
    }

    #[test]
    fn what_cannot_be_a_cluster_is_refused_with_a_sentence() {
        for (initial_cluster, part) in [
            ("", "names no member"),
            (",,", "names no member"),
            ("m1", "not of the form name=URL"),
            ("http://a:1", "not of the form name=URL"),
            ("=http://a:1", "not of the form name=URL"),
            ("m1=", "it is empty"),
            ("m1=http://a:1/", "remove \"/\""),
            ("m1=http://a:1,m2=HTTP://a:1", "for \"m1\" and for \"m2\""),
            ("m1=http://a:1,m1=http://a:1", "twice"),
        ] {
            let sentence = sentence(initial_cluster);
            assert!(sentence.contains(part), "{initial_cluster:?}: {sentence}");
        }
    }

    #[test]
    fn two_members_with_the_same_id_are_refused() {
        // The id is a hash over the texts without anything between them.
        let sentence = sentence("m1=http://a:1?x,m1=http://b:1,m2=http://a:1?xhttp://b:1");
        assert!(sentence.contains("would both have the id"), "{sentence}");
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_names_there_are() {
        let sentence = three().member("m4").unwrap_err().to_string();
        assert!(sentence.contains("only m1, m2, m3:"), "{sentence}");
    }

    #[test]
    fn advertised_urls_are_compared_as_sets_and_without_dns() {
        let cluster = NewCluster::parse("m=http://b:1,m=http://localhost:1", "t").unwrap();
        let check = |urls| {
            let member = cluster.member("m").unwrap();
            let checked = member.check_advertised(&PeerUrls::parse(urls).unwrap());
            checked.map_err(|e| e.to_string())
        };
        assert_eq!(check("http://localhost:1,http://b:1"), Ok(()));
        let sentence = check("http://b:1,http://127.0.0.1:1").unwrap_err();
        assert!(
            sentence.contains("the peer URL http://localhost:1, which is missing"),
            "{sentence}"
        );
        let sentence = check("http://b:1,http://localhost:1,http://c:1").unwrap_err();
        assert!(
            sentence.contains("the advertised peer URL http://c:1 is missing"),
            "{sentence}"
        );
    }

    #[test]
    fn urls_that_almost_agree_are_told_apart() {
        let cluster = NewCluster::parse("m=https://host:1", "t").unwrap();
        for (urls, end) in [
            (
                "https://Host:1",
                "must be the same, in upper and lower case too",
            ),
            (
                "http://host:1",
                "must be the same, with http:// or https:// too",
            ),
            ("https://other:1", "must be the same"),
        ] {
            let advertised = PeerUrls::parse(urls).unwrap();
            let member = cluster.member("m").unwrap();
            let sentence = member
                .check_advertised(&advertised)
                .unwrap_err()
                .to_string();
            assert!(sentence.ends_with(end), "{sentence}");
        }
    }

    fn urls_of_members() -> impl Strategy<Value = Vec<(String, String)>> {
        let urls =
            proptest::collection::btree_set("https?://[a-zA-Z0-9.-]{1,8}:[1-9][0-9]{0,3}", 1..8);
        urls.prop_flat_map(|urls| {
            let names = proptest::collection::vec("m[0-3]|[^,=]{1,6}", urls.len());
            names.prop_map(move |names| names.into_iter().zip(urls.iter().cloned()).collect())
        })
    }

    fn text(pieces: &[(String, String)]) -> String {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|(name, url)| format!("{name}={url}"))
            .collect();
        pieces.join(",")
    }

    proptest! {
        #[test]
        fn ids_do_not_depend_on_the_order(
            (pieces, shuffled) in urls_of_members()
                .prop_flat_map(|pieces| (Just(pieces.clone()), Just(pieces).prop_shuffle())),
            token in "[ -~]{0,12}",
        ) {
            let cluster = NewCluster::parse(&text(&pieces), &token).unwrap();
            prop_assert_eq!(&NewCluster::parse(&text(&shuffled), &token).unwrap(), &cluster);
            prop_assert!(cluster.members().is_sorted_by(|a, b| a.id() < b.id()));
        }

        #[test]
        fn a_cluster_is_read_back_from_its_own_text(pieces in urls_of_members()) {
            let cluster = NewCluster::parse(&text(&pieces), "t").unwrap();
            prop_assert_eq!(NewCluster::parse(&cluster.to_string(), "t").unwrap(), cluster);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*", token in "\\PC*") {
            let _ = NewCluster::parse(&text, &token);
        }
    }
}
