//! The root, and the small buckets in it.

use std::collections::BTreeMap;

use super::Profile;
use crate::database::{ELEMENT, HEADER, LEAF, Member, header, revision_key};

/// A leaf element: whether it is a bucket, and its value.
type Elements = BTreeMap<Vec<u8>, (bool, Vec<u8>)>;

/// Buckets that fit into the root's page, by name.
#[derive(Debug)]
pub(super) struct Small {
    buckets: BTreeMap<&'static str, BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl Small {
    /// What a cluster of etcd 3.6 without alarms and users has there.
    pub(super) fn new(profile: Profile, revision: i64, compactions: Option<(i64, i64)>) -> Self {
        const BUCKETS: [&str; 8] = [
            "alarm",
            "auth",
            "authRoles",
            "authUsers",
            "cluster",
            "members",
            "members_removed",
            "meta",
        ];
        let mut small = Self {
            buckets: BUCKETS.map(|name| (name, BTreeMap::new())).into(),
        };
        let mut put = |bucket, key: &[u8], value: &[u8]| {
            small
                .buckets
                .entry(bucket)
                .or_default()
                .insert(key.to_vec(), value.to_vec());
        };
        put("auth", b"authEnabled", &[0]);
        put("auth", b"authRevision", &1_u64.to_be_bytes());
        put("cluster", b"clusterVersion", b"3.6.0");
        let members = members(profile);
        for member in &members {
            put("members", &member.key(), &member.json());
        }
        let voters: Vec<_> = members.iter().map(|member| member.id.to_string()).collect();
        let conf_state = format!("{{\"voters\":[{}],\"auto_leave\":false}}", voters.join(","));
        put("meta", b"confState", conf_state.as_bytes());
        // Elections and changes of membership are entries of the log as well.
        let index = revision as u64 + 1234;
        put("meta", b"consistent_index", &index.to_be_bytes());
        put("meta", b"term", &7_u64.to_be_bytes());
        put("meta", b"storageVersion", b"3.6.0");
        if let Some((finished, scheduled)) = compactions {
            put("meta", b"finishedCompactRev", &revision_key(finished, 0));
            put("meta", b"scheduledCompactRev", &revision_key(scheduled, 0));
        }
        small
    }

    pub(super) fn records(&self) -> u64 {
        self.buckets
            .values()
            .map(|bucket| bucket.len() as u64)
            .sum()
    }

    /// All buckets in their order, with those that have pages of their own between the small ones.
    pub(super) fn root(&self, large: &[(&'static str, u64)]) -> Vec<u8> {
        let mut root = Elements::new();
        for (name, records) in &self.buckets {
            let records = records
                .iter()
                .map(|(key, value)| (key.clone(), (false, value.clone())));
            let image = leaf(&records.collect());
            root.insert(
                name.as_bytes().to_vec(),
                (true, [vec![0; 16], image].concat()),
            );
        }
        for (name, page) in large {
            let mut value = page.to_le_bytes().to_vec();
            value.extend_from_slice(&[0; 8]);
            root.insert(name.as_bytes().to_vec(), (true, value));
        }
        leaf(&root)
    }

    /// The hash of `etcdutl snapshot status`, with the records of the others already summed up, and how many bytes that was of.
    pub(super) fn status_hash(&self, large: &[(&'static str, u32, u64)]) -> u32 {
        let mut names: Vec<_> = self.buckets.keys().copied().collect();
        names.extend(large.iter().map(|(name, _, _)| *name));
        names.sort_unstable();
        let mut crc = 0;
        for name in names {
            crc = crc32c::crc32c_append(crc, name.as_bytes());
            for (key, value) in self.buckets.get(name).into_iter().flatten() {
                crc = crc32c::crc32c_append(crc, key);
                crc = crc32c::crc32c_append(crc, value);
            }
            if let Some((_, records, bytes)) = large.iter().find(|(other, _, _)| *other == name) {
                crc = crc32c::crc32c_combine(crc, *records, *bytes as usize);
            }
        }
        crc
    }
}

fn members(profile: Profile) -> Vec<Member> {
    let member = |id, number: u8| Member {
        id,
        peer_urls: vec![format!("https://10.0.0.{number}:2380")],
        name: format!("etcd-{number}"),
        client_urls: vec![format!("https://10.0.0.{number}:2379")],
        learner: false,
    };
    let all = vec![
        member(0x3EBC_01AE_C68D_6D70, 1),
        member(0xEE27_4CAC_CE80_4B21, 2),
        member(0xFE9C_64EA_F399_1D47, 3),
    ];
    match profile {
        Profile::Kubernetes => all,
        Profile::Small | Profile::Large => all[..1].to_vec(),
    }
}

/// A leaf without an id, as large as it has to be.
fn leaf(elements: &Elements) -> Vec<u8> {
    let bodies: usize = elements
        .iter()
        .map(|(key, (_, value))| key.len() + value.len())
        .sum();
    let size = HEADER + elements.len() * ELEMENT + bodies;
    let extent = size.div_ceil(super::space::PAGE);
    let mut image = header(0, LEAF, elements.len() as u16, extent).to_vec();
    let mut position = elements.len() * ELEMENT;
    for (key, (bucket, value)) in elements {
        for field in [
            u32::from(*bucket),
            position as u32,
            key.len() as u32,
            value.len() as u32,
        ] {
            image.extend_from_slice(&field.to_le_bytes());
        }
        position = position + key.len() + value.len() - ELEMENT;
    }
    for (key, (_, value)) in elements {
        image.extend_from_slice(key);
        image.extend_from_slice(value);
    }
    image
}
