//! Members and raft's configuration as JSON, the form in which etcd keeps them (formats.md 2).

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::go_json::to_go_json;
use super::{MemberId, NewMember};
use crate::{Error, ErrorKind, Result};

/// A member as the `members` bucket and raft's membership changes hold it (`membership.Member` of etcd).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    #[serde(with = "number")]
    pub(crate) id: MemberId,
    #[serde(rename = "peerURLs", default, deserialize_with = "null_is_empty")]
    pub(crate) peer_urls: Vec<String>,
    #[serde(rename = "isLearner", default, skip_serializing_if = "is_false")]
    pub(crate) is_learner: bool,
    /// Empty for a member that was added and never started.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    #[serde(
        rename = "clientURLs",
        default,
        deserialize_with = "null_is_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub(crate) client_urls: Vec<String>,
}

impl Member {
    /// Reads what a database or a log holds. Fields that this version does not know are passed over.
    ///
    /// # Errors
    /// It is not the JSON of a member.
    pub(crate) fn from_json(json: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(json)
    }

    /// The bytes that Go writes for it.
    pub(crate) fn to_json(&self) -> Result<Vec<u8>> {
        to_go_json(self).map_err(not_written)
    }

    /// What etcd's v2 store keeps of a member (`membership.RaftAttributes`).
    pub(crate) fn raft_attributes_json(&self) -> Result<Vec<u8>> {
        #[derive(Serialize)]
        struct RaftAttributes<'a> {
            #[serde(rename = "peerURLs")]
            peer_urls: &'a [String],
            #[serde(rename = "isLearner", skip_serializing_if = "is_false")]
            is_learner: bool,
        }
        to_go_json(&RaftAttributes {
            peer_urls: &self.peer_urls,
            is_learner: self.is_learner,
        })
        .map_err(not_written)
    }
}

impl From<&NewMember> for Member {
    fn from(member: &NewMember) -> Self {
        Self {
            id: member.id(),
            peer_urls: member.peer_urls().iter().map(ToString::to_string).collect(),
            is_learner: false,
            name: member.name().to_owned(),
            client_urls: Vec::new(),
        }
    }
}

/// Who votes: raft's configuration, kept under `meta/confState` and in raft's own files (`raftpb.ConfState`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ConfState {
    #[serde(default, with = "numbers", skip_serializing_if = "Vec::is_empty")]
    pub(crate) voters: Vec<MemberId>,
    #[serde(default, with = "numbers", skip_serializing_if = "Vec::is_empty")]
    pub(crate) learners: Vec<MemberId>,
    #[serde(default, with = "numbers", skip_serializing_if = "Vec::is_empty")]
    pub(crate) voters_outgoing: Vec<MemberId>,
    #[serde(default, with = "numbers", skip_serializing_if = "Vec::is_empty")]
    pub(crate) learners_next: Vec<MemberId>,
    #[serde(default)]
    pub(crate) auto_leave: bool,
}

impl ConfState {
    /// Everybody votes.
    pub(crate) fn of(members: &[NewMember]) -> Self {
        Self {
            voters: members.iter().map(NewMember::id).collect(),
            ..Self::default()
        }
    }

    /// Reads what a database holds.
    ///
    /// # Errors
    /// It is not the JSON of a configuration.
    pub(crate) fn from_json(json: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(json)
    }

    /// The bytes that Go writes for it.
    pub(crate) fn to_json(&self) -> Result<Vec<u8>> {
        to_go_json(self).map_err(not_written)
    }
}

/// Text and numbers always have a JSON form, so this is never seen; it is an error all the same, not a panic.
fn not_written(source: serde_json::Error) -> Error {
    Error::new(ErrorKind::Io, "cannot write the record of a member").with_source(source)
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the form that serde calls"
)]
fn is_false(value: &bool) -> bool {
    !value
}

/// Go writes a list that was never made as `null`.
fn null_is_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Ids as the bare numbers of etcd's own JSON, which exceed what a float can hold.
mod number {
    use super::{Deserialize, Deserializer, MemberId, Serializer};

    pub(super) fn serialize<S: Serializer>(
        id: &MemberId,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(id.get())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<MemberId, D::Error> {
        u64::deserialize(deserializer).map(MemberId::new)
    }
}

mod numbers {
    use super::{Deserialize, Deserializer, MemberId, Serializer};

    pub(super) fn serialize<S: Serializer>(
        ids: &[MemberId],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(ids.iter().map(|id| id.get()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<MemberId>, D::Error> {
        let ids = Option::<Vec<u64>>::deserialize(deserializer)?.unwrap_or_default();
        Ok(ids.into_iter().map(MemberId::new).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{ConfState, Member};
    use crate::{MemberId, NewCluster};

    fn text(json: Vec<u8>) -> String {
        String::from_utf8(json).unwrap()
    }

    #[test]
    fn new_members_are_written_as_etcdutl_writes_them() {
        let cluster = NewCluster::parse(
            "m1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380,m3=http://10.0.0.3:2380",
            "etcd-cluster",
        )
        .unwrap();
        let records: Vec<_> = cluster
            .members()
            .iter()
            .map(|member| {
                (
                    member.id().to_string(),
                    text(Member::from(member).to_json().unwrap()),
                )
            })
            .collect();
        let expected = [
            (
                "3ebc01aec68d6d70",
                r#"{"id":4520489976140230000,"peerURLs":["http://10.0.0.1:2380"],"name":"m1"}"#,
            ),
            (
                "ee274cacce804b21",
                r#"{"id":17160769210201164577,"peerURLs":["http://10.0.0.2:2380"],"name":"m2"}"#,
            ),
            (
                "fe9c64eaf3991d47",
                r#"{"id":18346649942272580935,"peerURLs":["http://10.0.0.3:2380"],"name":"m3"}"#,
            ),
        ];
        assert_eq!(
            records,
            expected.map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
        assert_eq!(
            text(ConfState::of(cluster.members()).to_json().unwrap()),
            r#"{"voters":[4520489976140230000,17160769210201164577,18346649942272580935],"auto_leave":false}"#
        );
    }

    #[test]
    fn a_member_of_a_running_cluster_survives() {
        for json in [
            r#"{"id":12428976124636271536,"peerURLs":["http://127.0.0.1:23791"],"name":"default","clientURLs":["http://127.0.0.1:23790"]}"#,
            r#"{"id":18446744073709551615,"peerURLs":["https://a:1","https://b:1"],"isLearner":true}"#,
            r#"{"id":1,"peerURLs":["http://a:1?x\u0026y"],"name":"\u003cm\u003e"}"#,
        ] {
            let member = Member::from_json(json.as_bytes()).unwrap();
            assert_eq!(text(member.to_json().unwrap()), json);
        }
    }

    #[test]
    fn fields_of_another_version_are_passed_over() {
        let json = br#"{"future":{"a":[1]},"name":"m","id":7,"peerURLs":null}"#;
        let member = Member::from_json(json).unwrap();
        assert_eq!(member.id, MemberId::new(7));
        assert!(member.peer_urls.is_empty());
        let json = br#"{"voters":[7],"learners":null,"future":1}"#;
        assert_eq!(
            ConfState::from_json(json).unwrap().voters,
            [MemberId::new(7)]
        );
    }

    #[test]
    fn what_is_not_a_member_is_refused() {
        for json in [
            &b""[..],
            b"{}",
            b"[]",
            br#"{"id":-1}"#,
            br#"{"id":1e3}"#,
            br#"{"id":18446744073709551616}"#,
            b"\xff",
        ] {
            assert!(Member::from_json(json).is_err());
        }
        assert!(ConfState::from_json(br#"{"voters":["a"]}"#).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(json in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Member::from_json(&json);
            let _ = ConfState::from_json(&json);
        }
    }
}
