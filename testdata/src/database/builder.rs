//! What a database holds: the changes that a client would make, applied as etcd applies them.

use std::collections::BTreeMap;

use super::layout::Layout;
use super::model::user_key;
use super::records::{
    AlarmKind, KeyValue, Member, Permission, lease_record, placeholder_key, revision_key,
    role_record, tombstone_key, user_record,
};
use super::{Bucket, Entry, FreeContent, Freelist, Image, Inline, Model, Shape};

/// One change of a transaction.
#[derive(Debug, Clone)]
pub enum Change {
    /// Sets a key, and hangs it on a lease (0: none).
    Put(Vec<u8>, Vec<u8>, i64),
    /// Deletes a key. Of one that does not exist: nothing, as in etcd.
    Delete(Vec<u8>),
}

impl Change {
    /// Sets a key.
    pub fn put(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        Self::Put(key.into(), value.into(), 0)
    }

    /// Deletes a key.
    pub fn delete(key: impl Into<Vec<u8>>) -> Self {
        Self::Delete(key.into())
    }
}

#[derive(Debug, Clone, Copy)]
struct Live {
    create_revision: i64,
    version: i64,
    lease: i64,
}

/// Builds a database in memory. See the [module](super) for an example.
///
/// Unless told otherwise it is what a Linux server with one member streams: no freelist, both metas of the stream's shape, the
/// digest at the end.
#[derive(Debug, Clone)]
pub struct DatabaseBuilder {
    buckets: Bucket,
    pub(super) revision: i64,
    live: BTreeMap<Vec<u8>, Live>,
    layout: Layout,
}

impl DatabaseBuilder {
    /// The buckets of a member of etcd 3.6 that has just started, with this page size.
    #[must_use]
    pub fn new(page_size: usize) -> Self {
        const BUCKETS: [&str; 10] = [
            "alarm",
            "auth",
            "authRoles",
            "authUsers",
            "cluster",
            "key",
            "lease",
            "members",
            "members_removed",
            "meta",
        ];
        let member = Member::new(0xAC7C_9ED4_5E41_93B0, "default", 23791);
        let conf_state = format!("{{\"voters\":[{}],\"auto_leave\":false}}", member.id);
        BUCKETS
            .iter()
            .fold(Self::bare(page_size), |builder, name| builder.bucket(*name))
            .member(&member)
            .record("meta", "consistent_index", 7_u64.to_be_bytes())
            .record("meta", "term", 2_u64.to_be_bytes())
            .record("meta", "confState", conf_state)
            .record("meta", "storageVersion", "3.6.0")
            .record("cluster", "clusterVersion", "3.6.0")
            .record("auth", "authEnabled", [0])
            .record("auth", "authRevision", 1_u64.to_be_bytes())
    }

    /// A database without any bucket.
    #[must_use]
    pub fn bare(page_size: usize) -> Self {
        Self {
            buckets: Bucket::new(),
            revision: 1,
            live: BTreeMap::new(),
            layout: Layout::new(page_size),
        }
    }

    // What it holds, as clients make it.

    /// A put in a transaction of its own.
    #[must_use]
    pub fn put(self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        self.transaction([Change::put(key, value)])
    }

    /// A put of a key that hangs on a lease.
    #[must_use]
    pub fn put_with_lease(
        self,
        key: impl Into<Vec<u8>>,
        value: impl Into<Vec<u8>>,
        lease: i64,
    ) -> Self {
        self.transaction([Change::Put(key.into(), value.into(), lease)])
    }

    /// A delete in a transaction of its own.
    #[must_use]
    pub fn delete(self, key: impl Into<Vec<u8>>) -> Self {
        self.transaction([Change::delete(key)])
    }

    /// Changes that share one revision.
    #[must_use]
    pub fn transaction(mut self, changes: impl IntoIterator<Item = Change>) -> Self {
        let main = self.revision + 1;
        let mut sub = 0;
        for change in changes {
            let (record_key, record) = match change {
                Change::Put(key, value, lease) => {
                    let live = self.live.entry(key.clone()).or_insert(Live {
                        create_revision: main,
                        version: 0,
                        lease,
                    });
                    live.version += 1;
                    live.lease = lease;
                    let record = KeyValue {
                        key,
                        create_revision: live.create_revision,
                        mod_revision: main,
                        version: live.version,
                        value,
                        lease,
                    };
                    (revision_key(main, sub), record)
                }
                Change::Delete(key) => {
                    if self.live.remove(&key).is_none() {
                        continue;
                    }
                    let record = KeyValue {
                        key,
                        ..KeyValue::default()
                    };
                    (tombstone_key(main, sub), record)
                }
            };
            self = self.record("key", record_key, record.encode());
            sub += 1;
        }
        if sub > 0 {
            self.revision = main;
        }
        self
    }

    /// A delete of all keys in one transaction. Of none: nothing.
    #[must_use]
    pub fn delete_all(self) -> Self {
        let all: Vec<_> = self.live.keys().cloned().map(Change::Delete).collect();
        self.transaction(all)
    }

    /// A lease.
    #[must_use]
    pub fn lease(self, id: i64, ttl_seconds: i64) -> Self {
        self.record("lease", id.to_be_bytes(), lease_record(id, ttl_seconds, 0))
    }

    /// Without leases, and without any record of the keys that hang on one now. With `stand_in`, an empty record takes the place of
    /// the newest revision where nothing is left of it, so that the store does not go back.
    #[must_use]
    pub fn without_leases(self, stand_in: bool) -> Self {
        let before = self.model();
        let mut left = self.clone();
        for (key, value) in before.changes() {
            let live = self.live.get(&user_key(value));
            if live.is_some_and(|live| live.lease != 0) {
                left = left.remove("key", key);
            }
        }
        left.live.retain(|_, live| live.lease == 0);
        left = left.bucket("lease").remove_bucket("lease").bucket("lease");
        if stand_in && left.model().revision() < before.revision() {
            left = left.record("key", placeholder_key(before.revision()), []);
        }
        left
    }

    /// A member.
    #[must_use]
    pub fn member(self, member: &Member) -> Self {
        self.record("members", member.key(), member.json())
    }

    /// A member that was removed.
    #[must_use]
    pub fn removed_member(self, id: u64) -> Self {
        self.record("members_removed", format!("{id:x}"), "removed")
    }

    /// An alarm in force.
    #[must_use]
    pub fn alarm(self, kind: AlarmKind, member: u64) -> Self {
        self.record("alarm", kind.key(member), [])
    }

    /// A user.
    #[must_use]
    pub fn user(self, name: &str, roles: &[&str]) -> Self {
        let hash = "$2a$10$abcdefghijklmnopqrstuv0123456789ABCDEFGHIJKLMNOPQRSTU";
        self.record("authUsers", name, user_record(name, hash, roles))
    }

    /// A role.
    #[must_use]
    pub fn role(self, name: &str, permissions: &[Permission<'_>]) -> Self {
        self.record("authRoles", name, role_record(name, permissions))
    }

    // What it holds, as bytes.

    /// An empty bucket, unless there is one.
    #[must_use]
    pub fn bucket(mut self, name: impl Into<Vec<u8>>) -> Self {
        self.buckets
            .entry(name.into())
            .or_insert_with(|| Entry::Bucket(Bucket::new()));
        self
    }

    /// Any record in any bucket, in the place of the one with that key.
    #[must_use]
    pub fn record(
        mut self,
        bucket: &str,
        key: impl Into<Vec<u8>>,
        value: impl Into<Vec<u8>>,
    ) -> Self {
        self = self.bucket(bucket);
        self.records(bucket)
            .insert(key.into(), Entry::Value(value.into()));
        self
    }

    /// Takes a record away.
    #[must_use]
    pub fn remove(mut self, bucket: &str, key: impl AsRef<[u8]>) -> Self {
        let removed = self.records(bucket).remove(key.as_ref());
        assert!(removed.is_some(), "there is no such record in {bucket}");
        self
    }

    /// Takes a bucket away.
    #[must_use]
    pub fn remove_bucket(mut self, name: &str) -> Self {
        let removed = self.buckets.remove(name.as_bytes());
        assert!(removed.is_some(), "there is no bucket {name}");
        self
    }

    /// `depth` empty buckets, each in the one before, in a bucket. No etcd does that.
    #[must_use]
    pub fn nested(mut self, bucket: &str, key: impl Into<Vec<u8>>, depth: usize) -> Self {
        let inner = (1..depth).fold(Bucket::new(), |inner, _| {
            Bucket::from([(b"deeper".to_vec(), Entry::Bucket(inner))])
        });
        self.records(bucket)
            .insert(key.into(), Entry::Bucket(inner));
        self
    }

    /// A plain record beside the buckets. No etcd does that.
    #[must_use]
    pub fn stray(mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        self.buckets.insert(key.into(), Entry::Value(value.into()));
        self
    }

    /// A bucket whose value, header and page image, is given. For what no writer makes.
    #[must_use]
    pub fn raw_bucket(mut self, name: &str, value: impl Into<Vec<u8>>) -> Self {
        self.buckets
            .insert(name.into(), Entry::RawBucket(value.into()));
        self
    }

    // How it lies in the file.

    /// Both metas as a server streams them, or as a member leaves them on its disk. Stream unless told.
    #[must_use]
    pub fn shape(mut self, shape: Shape) -> Self {
        self.layout.shape = shape;
        self
    }

    /// The last transaction.
    #[must_use]
    pub fn transaction_id(mut self, id: u64) -> Self {
        self.layout.transaction_id = id;
        self
    }

    /// Whether the free pages are listed in the file. They are not, unless told.
    #[must_use]
    pub fn freelist(mut self, freelist: Freelist) -> Self {
        self.layout.freelist = freelist;
        self
    }

    /// How many pages are free, and what stands in them. None unless told.
    #[must_use]
    pub fn free_pages(mut self, pages: usize, content: FreeContent) -> Self {
        self.layout.free_pages = pages;
        self.layout.free_content = content;
        self
    }

    /// Puts the pages in some other order than that of the tree, free ones among them.
    #[must_use]
    pub fn scattered(mut self, seed: u64) -> Self {
        self.layout.scatter = Some(seed);
        self
    }

    /// Fills the unused ends of pages with bytes from this seed. Zero unless told.
    #[must_use]
    pub fn slack(mut self, seed: u64) -> Self {
        self.layout.slack = Some(seed);
        self
    }

    /// The most elements that a page takes: 2 makes tall trees out of few records.
    #[must_use]
    pub fn elements_per_page(mut self, most: usize) -> Self {
        self.layout.elements_per_page = most;
        self
    }

    /// Puts this many branches of one child each above the tree of every bucket that has pages of its own.
    #[must_use]
    pub fn taller(mut self, levels: usize) -> Self {
        self.layout.extra_levels = levels;
        self
    }

    /// Which buckets lie within the root's pages. As bbolt does it unless told.
    #[must_use]
    pub fn inline(mut self, inline: Inline) -> Self {
        self.layout.inline = inline;
        self
    }

    /// Bytes behind the last page, as a member's file has them.
    #[must_use]
    pub fn tail(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.layout.tail = bytes.into();
        self
    }

    /// Bytes of a page.
    #[must_use]
    pub fn page_size(&self) -> usize {
        self.layout.page_size
    }

    // What comes of it.

    /// The revision of the store.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// The file: with a digest in the stream's shape, without one in a member's.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        match self.layout.shape {
            Shape::Stream => self.image().sealed(),
            Shape::Member => self.image().unsealed(),
        }
    }

    /// The file without its digest, to be damaged.
    #[must_use]
    pub fn image(&self) -> Image {
        Image::new(self.layout.write(&self.buckets), self.layout.page_size)
    }

    /// The same contents, without pages.
    ///
    /// # Panics
    /// With nested buckets or stray records, which etcd does not count.
    #[must_use]
    pub fn model(&self) -> Model {
        let value = |entry: &Entry| match entry {
            Entry::Value(value) => value.clone(),
            _ => panic!("a model has no nested buckets"),
        };
        let records = |entry: &Entry| match entry {
            Entry::Bucket(records) => records
                .iter()
                .map(|(key, entry)| (key.clone(), value(entry)))
                .collect(),
            _ => panic!("a model has no stray or raw records"),
        };
        let buckets = self.buckets.iter();
        Model {
            buckets: buckets
                .map(|(name, entry)| (name.clone(), records(entry)))
                .collect(),
        }
    }

    fn records(&mut self, bucket: &str) -> &mut Bucket {
        match self.buckets.get_mut(bucket.as_bytes()) {
            Some(Entry::Bucket(records)) => records,
            _ => panic!("there is no bucket {bucket}"),
        }
    }
}
