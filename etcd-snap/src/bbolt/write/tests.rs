//! Databases that etcd never makes: other buckets, nested ones, of any size.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::bbolt::{Follow, MetaPages, PageError, Record, Visitor, check};
use crate::io::{Disk, Storage as _};
use crate::problem::Problem;

/// Keys and values, buckets among them.
type Bucket = BTreeMap<Vec<u8>, Node>;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Value(Vec<u8>),
    Bucket(u64, Bucket),
}

struct Database {
    _folder: tempfile::TempDir,
    file: Arc<dyn NewFile>,
}

impl Database {
    fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = Disk.create_file(&folder.path().join("db")).unwrap();
        Self {
            _folder: folder,
            file,
        }
    }

    /// Straight from the model.
    fn of(buckets: &Bucket, page_size: u32) -> Self {
        let database = Self::empty();
        let mut flusher = Flusher::new(&database.file);
        let nothing = Vec::new();
        let to = (database.file.as_ref(), Path::new("db"));
        let mut out = Out::new(&nothing, to, &mut flusher, u64::from(page_size));
        let Finished::Page(root) = write(&mut out, buckets, false) else {
            panic!("an inline root");
        };
        let meta = Meta {
            page_size,
            root,
            freelist: Some(out.freelist().unwrap()),
            high_water: out.finish().unwrap(),
            txid: 7,
        };
        meta.write_both(to.0, to.1).unwrap();
        database
    }

    fn meta(&self) -> Meta {
        let metas = MetaPages::read(self.file.as_ref(), "it").unwrap();
        metas.current().unwrap()
    }

    fn rewritten(&self) -> Self {
        let new = Self::empty();
        let mut flusher = Flusher::new(&new.file);
        let meta = self.meta();
        let to = (new.file.as_ref(), Path::new("db"));
        let mut pages = 0;
        let mut read = |read| {
            assert!(read > pages);
            pages = read;
            Ok(())
        };
        let source = self.file.as_ref();
        let written = rewrite(
            source,
            &meta,
            meta.size_bytes(),
            to,
            &mut flusher,
            &mut Same,
            &mut read,
        );
        assert_eq!(written.unwrap(), new.meta());
        // All but the metas and the freelist were read.
        assert_eq!(pages, meta.high_water.get() - 3);
        assert_eq!(new.file.size().unwrap(), new.meta().size_bytes());
        new
    }

    /// What a walk by bbolt's rules finds.
    fn content(&self) -> Bucket {
        let meta = self.meta();
        let mut found = Found;
        let usage = check(self.file.as_ref(), &meta, meta.size_bytes(), &mut found).unwrap();
        assert_eq!(usage.free(), 0);
        content(self, BucketRoot::Page(meta.root))
    }
}

fn write(out: &mut Out<'_>, bucket: &Bucket, may_be_inline: bool) -> Finished {
    let mut tree = Tree::new(out.page_size());
    for (key, node) in bucket {
        let (value, is_bucket) = match node {
            Node::Value(value) => (value.clone(), false),
            Node::Bucket(sequence, nested) => {
                let (root, inline) = match write(out, nested, true) {
                    Finished::Page(root) => (root.get(), Vec::new()),
                    Finished::Inline(page) => (0, page),
                };
                let header = [root.to_le_bytes(), sequence.to_le_bytes()].concat();
                ([header, inline].concat(), true)
            }
        };
        let element = Element {
            key: key.clone(),
            value: Value::Bytes(value),
            is_bucket,
        };
        tree.push(out, element).unwrap();
    }
    tree.finish(out, may_be_inline).unwrap()
}

/// By a way of its own: every page as a whole, without regard to order.
fn content(database: &Database, root: BucketRoot) -> Bucket {
    let meta = database.meta();
    let pages = Pages::new(database.file.as_ref(), &meta, meta.size_bytes());
    let mut view = match root {
        BucketRoot::Page(id) => pages.open(id).unwrap(),
        BucketRoot::Inline { page, offset, len } => pages.open_inline(page, offset, len).unwrap(),
    };
    let is_root = BucketRoot::Page(meta.root) == root;
    let mut found = Bucket::new();
    for index in 0..view.count() {
        if view.kind() == PageKind::Branch {
            assert!(view.count() >= 2, "a branch with a single child");
            let child = view.branch_element(index).unwrap().child;
            found.extend(content(database, BucketRoot::Page(child)));
            continue;
        }
        let element = view.leaf_element(index).unwrap();
        let key = view.leaf_key(&element).unwrap().to_vec();
        let mut value = Vec::new();
        while value.len() < element.value_len() as usize {
            let rest = element.value_len() as usize - value.len();
            let piece = view.value_part(&element, value.len() as u32, rest.min(PageView::AT_ONCE));
            value.extend(piece.unwrap());
        }
        let node = if element.is_bucket() {
            let sequence = u64::from_le_bytes(value[8..16].try_into().unwrap());
            let root = view.bucket_root(&element).unwrap();
            Node::Bucket(sequence, content(database, root))
        } else {
            Node::Value(value)
        };
        found.insert(key, node);
    }
    assert!(is_root || view.kind() != PageKind::Meta);
    found
}

struct Found;

impl Visitor for Found {
    fn bucket(&mut self, _: &[u8]) -> Result<Follow> {
        Ok(Follow::Records)
    }
    fn bucket_end(&mut self) {}
    fn record(&mut self, _: &mut Record<'_, '_>) -> Result<(), PageError> {
        Ok(())
    }
    fn problem(&mut self, problem: Problem) {
        panic!("{problem:?}");
    }
    fn progress(&mut self, _: u64, _: u64) -> Result<()> {
        Ok(())
    }
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 1..most)
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        30 => bytes(40),
        5 => (any::<u8>(), 0_usize..3000).prop_map(|(byte, len)| vec![byte; len]),
        1 => (any::<u8>(), 60_000_usize..200_000).prop_map(|(byte, len)| vec![byte; len]),
    ]
}

fn bucket() -> impl Strategy<Value = Bucket> {
    let key = || prop_oneof![9 => bytes(12), 1 => bytes(600)];
    let values = proptest::collection::btree_map(key(), value().prop_map(Node::Value), 0..60);
    values.prop_recursive(3, 400, 6, move |inner| {
        let nested = (any::<u64>(), inner.clone()).prop_map(|(n, of)| Node::Bucket(n, of));
        let buckets = proptest::collection::btree_map(key(), nested, 0..6);
        (inner, buckets).prop_map(|(mut values, buckets)| {
            values.extend(buckets);
            values
        })
    })
}

/// At the top there are buckets only.
fn buckets() -> impl Strategy<Value = Bucket> {
    let nested = (any::<u64>(), bucket()).prop_map(|(n, of)| Node::Bucket(n, of));
    proptest::collection::btree_map(bytes(12), nested, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_database_is_sound_and_keeps_what_it_holds(
        buckets in buckets(),
        page_size in prop::sample::select(vec![512_u32, 1024, 4096, 65_536]),
    ) {
        let database = Database::of(&buckets, page_size);
        prop_assert_eq!(&database.content(), &buckets);
        prop_assert_eq!(database.rewritten().content(), buckets);
    }
}

/// The number of children at which a level begins, and one more or less: no page is left with a single one.
#[test]
fn every_number_of_records_gives_a_tree_without_lonely_pages() {
    for value in [1, 100, 300] {
        for count in 0..150_u32 {
            let records = (0..count)
                .map(|n| (n.to_be_bytes().to_vec(), Node::Value(vec![7; value])))
                .collect();
            let buckets = Bucket::from([(b"b".to_vec(), Node::Bucket(3, records))]);
            let database = Database::of(&buckets, 512);
            assert_eq!(database.content(), buckets, "{count} of {value}");
        }
    }
}

#[test]
fn pages_are_filled_to_nine_tenths() {
    let records: Bucket = (0..10_000_u32)
        .map(|n| (n.to_be_bytes().to_vec(), Node::Value(vec![7; 80])))
        .collect();
    let buckets = Bucket::from([(b"b".to_vec(), Node::Bucket(0, records))]);
    let database = Database::of(&buckets, 4096);
    // 36 records of 100 bytes each fit into 3686; one branch names 113 leaves of the 278.
    let leaves = 10_000_u64.div_ceil(36);
    let branches = leaves.div_ceil((3686 - 16) / 20);
    let all = 2 + leaves + branches + u64::from(branches > 1) + 2;
    assert_eq!(database.meta().high_water.get(), all);
}

#[test]
fn a_failure_to_write_is_told() {
    use crate::io::faulty::{Fault, FaultyDisk};
    let database = Database::of(&Bucket::new(), 4096);
    let meta = database.meta();
    // Made, then pages, then metas.
    for failing in 1..4 {
        let folder = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::new(failing, Fault::Once);
        let file = disk.create_file(&folder.path().join("db")).unwrap();
        let mut flusher = Flusher::new(&file);
        let to = (file.as_ref(), Path::new("db"));
        let source = database.file.as_ref();
        let written = rewrite(
            source,
            &meta,
            meta.size_bytes(),
            to,
            &mut flusher,
            &mut Same,
            &mut |_| Ok(()),
        );
        assert_eq!(written.unwrap_err().kind(), crate::ErrorKind::NoSpace);
    }
}
