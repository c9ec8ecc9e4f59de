//! etcd's records, byte by byte (formats.md 2).

/// The key of a change in the `key` bucket.
#[must_use]
pub fn revision_key(main: i64, sub: i64) -> Vec<u8> {
    let mut key = main.to_be_bytes().to_vec();
    key.push(b'_');
    key.extend_from_slice(&sub.to_be_bytes());
    key
}

/// The key of a change that deletes.
#[must_use]
pub fn tombstone_key(main: i64, sub: i64) -> Vec<u8> {
    let mut key = revision_key(main, sub);
    key.push(b't');
    key
}

/// The key of the empty record that a restore with a revision bump leaves.
#[must_use]
pub fn placeholder_key(main: i64) -> Vec<u8> {
    revision_key(main, 0)
}

/// `mvccpb.KeyValue`: the value of a change in the `key` bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyValue {
    /// The user's key.
    pub key: Vec<u8>,
    /// Revision that made this key, since it last did not exist.
    pub create_revision: i64,
    /// Revision of this change.
    pub mod_revision: i64,
    /// How many puts since it was made.
    pub version: i64,
    /// The user's value.
    pub value: Vec<u8>,
    /// The lease it hangs on, or 0.
    pub lease: i64,
}

impl KeyValue {
    /// The bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        bytes_field(&mut out, 1, &self.key);
        number_field(&mut out, 2, self.create_revision as u64);
        number_field(&mut out, 3, self.mod_revision as u64);
        number_field(&mut out, 4, self.version as u64);
        bytes_field(&mut out, 5, &self.value);
        number_field(&mut out, 6, self.lease as u64);
        out
    }
}

/// A member as it stands in the `members` bucket.
#[derive(Debug, Clone, Default)]
pub struct Member {
    /// Its id.
    pub id: u64,
    /// Where the others reach it.
    pub peer_urls: Vec<String>,
    /// Empty until it starts for the first time.
    pub name: String,
    /// Empty until it starts for the first time.
    pub client_urls: Vec<String>,
    /// Has no vote.
    pub learner: bool,
}

impl Member {
    /// One with this id, name and port, on this machine.
    #[must_use]
    pub fn new(id: u64, name: &str, port: u16) -> Self {
        Self {
            id,
            peer_urls: vec![format!("http://127.0.0.1:{port}")],
            name: name.to_owned(),
            client_urls: vec![format!("http://127.0.0.1:{}", port - 1)],
            learner: false,
        }
    }

    /// Its key: hexadecimal without padding.
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        format!("{:x}", self.id).into_bytes()
    }

    /// Its value: JSON as Go writes it.
    #[must_use]
    pub fn json(&self) -> Vec<u8> {
        let list = |urls: &[String]| {
            let quoted: Vec<_> = urls.iter().map(|url| format!("{url:?}")).collect();
            format!("[{}]", quoted.join(","))
        };
        let mut json = format!(
            "{{\"id\":{},\"peerURLs\":{}",
            self.id,
            list(&self.peer_urls)
        );
        if self.learner {
            json.push_str(",\"isLearner\":true");
        }
        if !self.name.is_empty() {
            json.push_str(&format!(",\"name\":{:?}", self.name));
        }
        if !self.client_urls.is_empty() {
            json.push_str(&format!(",\"clientURLs\":{}", list(&self.client_urls)));
        }
        json.push('}');
        json.into_bytes()
    }
}

/// What an alarm is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlarmKind {
    /// The database is above its quota.
    NoSpace = 1,
    /// Members disagree.
    Corrupt = 2,
}

impl AlarmKind {
    /// The key in the `alarm` bucket.
    #[must_use]
    pub fn key(self, member: u64) -> Vec<u8> {
        let mut out = Vec::new();
        number_field(&mut out, 1, member);
        number_field(&mut out, 2, self as u64);
        out
    }
}

/// `leasepb.Lease`.
#[must_use]
pub fn lease_record(id: i64, ttl_seconds: i64, remaining_seconds: i64) -> Vec<u8> {
    let mut out = Vec::new();
    number_field(&mut out, 1, id as u64);
    number_field(&mut out, 2, ttl_seconds as u64);
    number_field(&mut out, 3, remaining_seconds as u64);
    out
}

/// `authpb.User`.
#[must_use]
pub fn user_record(name: &str, password_hash: &str, roles: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    bytes_field(&mut out, 1, name.as_bytes());
    bytes_field(&mut out, 2, password_hash.as_bytes());
    for role in roles {
        bytes_field(&mut out, 3, role.as_bytes());
    }
    // The options are written even when they say nothing.
    length_delimited(&mut out, 4, &[]);
    out
}

/// What a role may do with a range of keys.
#[derive(Debug, Clone, Copy)]
pub struct Permission<'a> {
    /// 0 reads, 1 writes, 2 does both.
    pub kind: u64,
    /// The key, or the first of a range.
    pub key: &'a str,
    /// The end of the range; empty for one key.
    pub range_end: &'a str,
}

/// `authpb.Role`.
#[must_use]
pub fn role_record(name: &str, permissions: &[Permission<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    bytes_field(&mut out, 1, name.as_bytes());
    for permission in permissions {
        let mut inner = Vec::new();
        number_field(&mut inner, 1, permission.kind);
        bytes_field(&mut inner, 2, permission.key.as_bytes());
        bytes_field(&mut inner, 3, permission.range_end.as_bytes());
        length_delimited(&mut out, 2, &inner);
    }
    out
}

pub(crate) fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub(crate) fn number_field(out: &mut Vec<u8>, field: u64, number: u64) {
    if number != 0 {
        varint(out, field << 3);
        varint(out, number);
    }
}

pub(crate) fn bytes_field(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    if !bytes.is_empty() {
        length_delimited(out, field, bytes);
    }
}

pub(crate) fn length_delimited(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn records_are_the_bytes_of_the_test_vectors() {
        assert_eq!(
            hex(&revision_key(1055, 0)),
            "000000000000041f5f0000000000000000"
        );
        assert_eq!(
            hex(&tombstone_key(1055, 0)),
            "000000000000041f5f000000000000000074"
        );
        assert_eq!(
            hex(&AlarmKind::NoSpace.key(12_428_976_124_636_271_536)),
            "08b0a786f6f0fda5beac011001"
        );
        let member = Member {
            id: 12_428_976_124_636_271_536,
            ..Member::new(0, "default", 23791)
        };
        assert_eq!(
            String::from_utf8(member.json()).unwrap(),
            r#"{"id":12428976124636271536,"peerURLs":["http://127.0.0.1:23791"],"name":"default","clientURLs":["http://127.0.0.1:23790"]}"#
        );
    }
}
