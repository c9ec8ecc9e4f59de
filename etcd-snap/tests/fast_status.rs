//! The fast status says what the whole one says, of any database, and reads next to nothing.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use etcd_snap::{
    Contents, ErrorKind, FastStatus, ReadAt, Snapshot, VerifyOptions, fast_status, verify,
};
use etcd_snap_testdata::database::{DatabaseBuilder, FreeContent, Image};
use etcd_snap_testdata::golden;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

#[path = "properties/databases.rs"]
mod databases;

fn open(file: Vec<u8>) -> Snapshot {
    Snapshot::from_source("the file", Arc::new(file)).expect("opens")
}

fn is_what_the_whole_status_says(fast: &FastStatus, whole: &Contents) {
    assert_eq!(fast.revision, whole.revision);
    assert_eq!(fast.compact_revision, whole.compact_revision);
    assert_eq!(fast.total_size_bytes, whole.total_size_bytes);
    assert_eq!(fast.storage_version, whole.storage_version);
    assert_eq!(fast.cluster_version, whole.cluster_version);
    assert_eq!(fast.members, whole.members);
    assert_eq!(fast.leases.unwrap_or(whole.leases), whole.leases);
    assert_eq!(fast.alarms, whole.alarms);
    assert_eq!(fast.auth_enabled, whole.auth_enabled);
}

#[test]
fn it_says_what_the_whole_status_says_of_real_snapshots() -> Result<()> {
    for path in golden::snapshots() {
        let snapshot = Snapshot::open(&path)?;
        let proof = verify(&snapshot, &VerifyOptions::default())?.into_proven()?;
        let fast = fast_status(&snapshot)?;
        is_what_the_whole_status_says(&fast, &proof.contents);
        assert!(fast.consistent_index > Some(1), "{fast:?}");
        assert!(fast.leases.is_some(), "{fast:?}");
        assert_eq!(
            fast.term.is_some(),
            !path.to_string_lossy().contains("3.4"),
            "{}: {fast:?}",
            path.display()
        );
        let json = serde_json::to_string(&fast)?;
        assert_eq!(serde_json::from_str::<FastStatus>(&json)?, fast);
    }
    Ok(())
}

/// The same every time, as in the properties of the rest.
fn config() -> Config {
    let mut config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 96;
        config.rng_seed = RngSeed::Fixed(20_260_801);
    }
    config
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn it_says_what_the_whole_status_says_of_random_databases(builder in databases::database()) {
        let snapshot = open(builder.build());
        let report = verify(&snapshot, &VerifyOptions::default()).expect("can be looked at");
        let fast = fast_status(&snapshot).expect("sound");
        is_what_the_whole_status_says(&fast, &report.contents);
        prop_assert_eq!((fast.consistent_index, fast.term), (Some(7), Some(2)));
    }

    #[test]
    fn any_harm_is_survived(builder in databases::database(), at: prop::sample::Index, bytes: [u8; 8]) {
        let mut image = builder.image();
        let at = at.index(image.bytes().len() - 8);
        image.write(at, &bytes);
        if let Ok(snapshot) = Snapshot::from_source("it", Arc::new(image.sealed()))
            && let Err(e) = fast_status(&snapshot)
        {
            prop_assert!(
                matches!(e.kind(), ErrorKind::Damaged | ErrorKind::Unsupported), "{}", e
            );
            prop_assert!(e.to_string().len() < 2000);
        }
    }
}

/// Counts what is read.
struct Counted {
    bytes: Vec<u8>,
    read: Arc<AtomicU64>,
}

impl ReadAt for Counted {
    fn size(&self) -> io::Result<u64> {
        self.bytes.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let n = self.bytes.read_at(buffer, offset)?;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// What is read of a file, from opening it to the answer.
fn bytes_read(file: Vec<u8>) -> (u64, FastStatus) {
    let read = Arc::new(AtomicU64::new(0));
    let source = Counted {
        bytes: file,
        read: Arc::clone(&read),
    };
    let snapshot = Snapshot::from_source("the file", Arc::new(source)).expect("opens");
    let status = fast_status(&snapshot).expect("sound");
    (read.load(Ordering::Relaxed), status)
}

#[test]
fn some_hundred_kilobytes_are_read_at_any_size() {
    const LIMIT: u64 = 600_000;
    for page_size in [512, 4096, 65_536] {
        let mut builder = DatabaseBuilder::new(page_size)
            .scattered(3)
            .free_pages(50, FreeContent::Junk);
        for n in 0..4_000 {
            builder = builder.put(format!("key-{n}"), vec![7; 300]);
        }
        builder = builder.put("large", vec![7; 5 << 20]);
        let file = builder.build();
        assert!(file.len() > 6 << 20);
        let (read, status) = bytes_read(file);
        assert!(read < LIMIT, "{read} bytes with pages of {page_size}");
        assert_eq!(status.revision.get(), 4_002);

        // So many leases that nobody would count them in a moment.
        for id in 1..=30_000 {
            builder = builder.lease(id, 60);
        }
        let (read, status) = bytes_read(builder.build());
        assert!(read < LIMIT, "{read} bytes with pages of {page_size}");
        assert_eq!(status.leases, None);
        assert_eq!((status.members, status.revision.get()), (1, 4_002));
    }
}

type Harm = fn(&mut Image);

#[test]
fn damage_on_the_way_has_a_page_and_a_byte() {
    let harms: [(&str, Harm); 8] = [
        ("the root is another page", |image| {
            let root = image.page(image.current().root);
            image.set_page_id(root, 77);
        }),
        ("the last leaf is another page", |image| {
            let leaf = *image.leaves("key").last().expect("leaves");
            image.set_page_id(leaf, 77);
        }),
        ("the last leaf is a freelist", |image| {
            let leaf = *image.leaves("key").last().expect("leaves");
            image.set_flags(leaf, 0x10);
        }),
        ("the last leaf is empty", |image| {
            let leaf = *image.leaves("key").last().expect("leaves");
            image.set_count(leaf, 0);
        }),
        ("a branch leads to itself", |image| {
            let branch = image.branches("key")[0];
            let last = image.last(branch);
            image.set_child(last, image.id_of(branch));
        }),
        ("a branch leads to nowhere", |image| {
            let branch = image.branches("key")[0];
            let last = image.last(branch);
            image.set_child(last, 1 << 50);
        }),
        ("the last key is no revision", |image| {
            let leaf = *image.leaves("key").last().expect("leaves");
            let last = image.last(leaf);
            image.set_key_size(last, 5);
        }),
        ("the term has seven bytes", |image| {
            let place = image.find("meta", b"term");
            image.set_value_size(place, 7);
        }),
    ];
    for (what, harm) in harms {
        let mut builder = DatabaseBuilder::new(4096);
        for n in 0..300 {
            builder = builder.put(format!("key-{n}"), "value");
        }
        let mut image = builder.image();
        harm(&mut image);
        let error = fast_status(&open(image.sealed())).expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Damaged, "{what}: {error}");
        let page = error.page().expect("a page").get();
        assert!(
            error.to_string().starts_with("the file is damaged: "),
            "{error}"
        );
        if page < 1 << 50 {
            let offset = error.offset().expect("a byte");
            assert_eq!(offset / 4096, page, "{what}: {error}");
        }
    }
}

#[test]
fn a_file_that_ends_too_early_is_damaged() {
    let mut file = DatabaseBuilder::new(4096).build();
    file.truncate(file.len() - 4096);
    let error = fast_status(&open(file)).expect_err("it is too short");
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    for name in ["key", "meta"] {
        let builder = DatabaseBuilder::new(4096).remove_bucket(name);
        let error = fast_status(&open(builder.build())).expect_err("it is missing");
        assert!(error.to_string().contains("is missing"), "{error}");
    }
}
