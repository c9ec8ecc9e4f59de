//! Memory does not follow what a file claims. Alone in its program: the allocator that counts is the whole program's.

use std::io;
use std::sync::{Arc, Mutex};

use etcd_snap::keys::{KeyQuestions, look_up};
use etcd_snap::{
    MemberTarget, NewCluster, ReadAt, RestoreOptions, Snapshot, SqueezeOptions, VerifyOptions,
    fast_status, restore, squeeze, status, verify, verify_stream,
};
use etcd_snap_testdata::bulk::{Bulk, Profile};
use etcd_snap_testdata::database::{DatabaseBuilder, FreeContent, Freelist, Image, Place};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Only one test may allocate while another measures.
static ALONE: Mutex<()> = Mutex::new(());

const MIB: usize = 1 << 20;

/// The most bytes that `work` held at a time, beyond what there was before.
fn peak_of(work: impl FnOnce()) -> usize {
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    work();
    ALLOCATOR.peak_usage().saturating_sub(before)
}

/// Looks at a file in every way there is, and says how much memory that took.
fn peak_of_looking(source: &Arc<dyn ReadAt>) -> usize {
    peak_of(|| {
        if let Ok(snapshot) = Snapshot::from_source("the file", Arc::clone(source)) {
            let _ = status(&snapshot);
            let _ = fast_status(&snapshot);
            let questions = KeyQuestions::default()
                .with_key("key-7")
                .with_prefix("key-");
            let _ = look_up(&snapshot, &questions);
            let report = verify(&snapshot, &VerifyOptions::default()).expect("can be looked at");
            drop(report.into_proven());
        }
    })
}

fn some_keys(page_size: usize) -> DatabaseBuilder {
    (0..300).fold(DatabaseBuilder::new(page_size), |builder, n| {
        builder.put(format!("key-{n}"), "value")
    })
}

#[test]
fn an_allocation_is_counted() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let peak = peak_of(|| drop(std::hint::black_box(vec![1_u8; 5 * MIB])));
    // The test harness itself takes and frees a little meanwhile.
    assert!((4 * MIB..6 * MIB).contains(&peak), "{peak}");
}

type Harm = fn(&mut Image);

#[test]
fn a_small_file_that_claims_gigabytes_takes_megabytes() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let harms: [(&str, Harm); 14] = [
        ("nothing", |_| ()),
        ("a key of 4 GiB", |image| {
            let place = leaf_place(image);
            image.set_key_size(place, u32::MAX);
        }),
        ("a value of 4 GiB", |image| {
            let place = leaf_place(image);
            image.set_value_size(place, u32::MAX);
        }),
        ("an overflow of 16 TiB", |image| {
            let place = leaf_place(image);
            image.set_overflow(place.page, u32::MAX);
        }),
        ("65535 elements", |image| {
            let place = leaf_place(image);
            image.set_count(place.page, u16::MAX);
        }),
        ("a freelist of 2^61 pages", |image| {
            let page = image.freelist();
            image.set_count(page, 0xFFFF);
            image.write(page.offset + 16, &(1_u64 << 61).to_le_bytes());
        }),
        ("a freelist of 2^30 pages", |image| {
            let page = image.freelist();
            image.set_count(page, 0xFFFF);
            image.set_overflow(page, u32::MAX);
            image.write(page.offset + 16, &(1_u64 << 30).to_le_bytes());
        }),
        ("a high-water mark of 2^52 pages", |image| {
            image.set_metas(|meta| meta.high_water_mark = 1 << 52);
        }),
        ("a high-water mark of 2^64 pages", |image| {
            image.set_metas(|meta| meta.high_water_mark = u64::MAX);
        }),
        ("pages of 16 MiB", |image| {
            image.set_metas(|meta| meta.page_size = 16 << 20);
        }),
        ("pages of 16 MiB, in the second meta", |image| {
            image.set_meta(1, |meta| meta.page_size = 16 << 20);
            image.break_meta(0);
        }),
        ("a user's key of 2^40 bytes", |image| {
            let place = leaf_place(image);
            image.overwrite_value(place, &[0x0A, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20]);
        }),
        ("an inline bucket of 4 GiB", |image| {
            let place = image.bucket("members");
            image.set_value_size(place, u32::MAX);
        }),
        ("a freelist at the end of the world", |image| {
            image.set_metas(|meta| meta.freelist = u64::MAX - 1);
        }),
    ];
    let builder = some_keys(4096)
        .free_pages(20, FreeContent::Zero)
        .freelist(Freelist::Persisted);
    for (what, harm) in harms {
        let mut image = builder.image();
        harm(&mut image);
        for file in [image.sealed(), image.unsealed()] {
            let passing = peak_of(|| {
                let _ = verify_stream("the stream", &file[..], &VerifyOptions::default());
            });
            assert!(passing < 2 * MIB, "{what}: {passing} bytes as it passes");
            let source: Arc<dyn ReadAt> = Arc::new(file);
            let peak = peak_of_looking(&source);
            assert!(peak < 3 * MIB, "{what}: {peak} bytes");
        }
    }
}

fn leaf_place(image: &Image) -> Place {
    let leaf = image.leaves("key")[0];
    image.places(leaf).nth(2).expect("three records")
}

/// The list of problems is bounded, and so are their sentences.
#[test]
fn a_file_of_nothing_but_problems_takes_megabytes() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    // Keys of 32 KiB, each too small for its place, in a bucket with a name as long.
    let name = String::from_utf8(vec![b'n'; 32_768]).expect("text");
    let builder = (0..200_u32).fold(DatabaseBuilder::new(4096), |builder, n| {
        let mut key = vec![b'k'; 32_768];
        key[..4].copy_from_slice(&n.to_be_bytes());
        builder.record(&name, key, "v")
    });
    let mut image = builder.image();
    let leaves = image.leaves(&name);
    for leaf in leaves {
        let places: Vec<_> = image.places(leaf).collect();
        for place in places {
            image.overwrite_key(place, &[0, 0, 0, 0]);
        }
    }
    let source: Arc<dyn ReadAt> = Arc::new(image.sealed());
    let peak = peak_of_looking(&source);
    assert!(peak < 12 * MIB, "{peak} bytes");
}

/// Deep, and wide at every level: what is held of a page times the levels.
#[test]
fn a_deep_tree_of_large_pages_takes_megabytes() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut builder = DatabaseBuilder::new(65_536).elements_per_page(2).taller(60);
    for n in 0..4 {
        builder = builder.put(format!("{n}").repeat(30_000), vec![0; 100_000]);
    }
    let source: Arc<dyn ReadAt> = Arc::new(builder.build());
    let peak = peak_of_looking(&source);
    assert!(peak < 24 * MIB, "{peak} bytes");
}

/// No page is read whole that is larger than a few values of the usual sizes, on any way through a file.
#[test]
fn keys_and_values_of_any_size_take_megabytes() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    for page_size in [4096, 2 << 20] {
        let some = some_keys(page_size).elements_per_page(100);
        let large = vec![b'l'; 20 * MIB];
        for (what, builder) in [
            ("value", some.clone().put("large", large.clone())),
            ("key", some.put(large, "value")),
        ] {
            let source: Arc<dyn ReadAt> = Arc::new(builder.compact(200).build());
            let peak = peak_of_looking(&source);
            assert!(
                peak < 6 * MIB,
                "a large {what}, pages of {page_size}: {peak} bytes"
            );
        }
    }
}

/// A hundred gigabytes, of which only the beginning was ever written.
struct Sparse {
    head: Vec<u8>,
    size: u64,
}

impl ReadAt for Sparse {
    fn size(&self) -> io::Result<u64> {
        Ok(self.size)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let there = self.size.saturating_sub(offset).min(buffer.len() as u64) as usize;
        let buffer = &mut buffer[..there];
        buffer.fill(0);
        self.head.read_at(buffer, offset)?;
        Ok(there)
    }
}

const HUNDRED_GB: u64 = 100_000_000_000 / 4096 * 4096;

/// Opened and counted: hashing so much takes minutes, and is read piece by piece like any file.
fn status_of_sparse(image: &Image) -> (usize, bool) {
    let source: Arc<dyn ReadAt> = Arc::new(Sparse {
        head: image.unsealed(),
        size: HUNDRED_GB,
    });
    let mut sound = false;
    let peak = peak_of(|| {
        let snapshot = Snapshot::from_source("the file", source).expect("opens");
        sound = status(&snapshot).is_ok();
    });
    (peak, sound)
}

#[test]
fn a_sparse_file_of_a_hundred_gigabytes_takes_megabytes() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let pages = HUNDRED_GB / 4096;

    // As a member that was given much room and took little of it.
    let image = some_keys(4096).image();
    let (peak, sound) = status_of_sparse(&image);
    assert!(sound && peak < 4 * MIB, "{peak} bytes");

    // Everything in use, or so it says; nothing but the beginning is referred to.
    let mut image = some_keys(4096).image();
    image.set_metas(|meta| meta.high_water_mark = pages);
    let (peak, sound) = status_of_sparse(&image);
    assert!(sound && peak < 16 * MIB, "{peak} bytes");

    // The same with a freelist: the rest is neither free nor in use.
    let mut image = some_keys(4096)
        .free_pages(3, FreeContent::Zero)
        .freelist(Freelist::Persisted)
        .image();
    image.set_metas(|meta| meta.high_water_mark = pages);
    let (peak, sound) = status_of_sparse(&image);
    assert!(!sound && peak < 16 * MIB, "{peak} bytes");

    // One leaf that takes all of it.
    let mut image = some_keys(4096).image();
    let last = image.append_page();
    let leaf = image.id_of(last);
    let lost = image.leaves("key")[0];
    let parent = image.parent("key", lost);
    image.set_child(parent, leaf);
    image.set_flags(last, 2);
    image.set_overflow(last, (pages - leaf - 1) as u32);
    image.set_metas(|meta| meta.high_water_mark = pages);
    let (peak, _) = status_of_sparse(&image);
    assert!(peak < 16 * MIB, "{peak} bytes");
}

#[test]
fn a_file_with_a_hole_of_exabytes_is_refused() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut image = some_keys(4096).image();
    image.set_metas(|meta| meta.high_water_mark = 1 << 50);
    let source: Arc<dyn ReadAt> = Arc::new(Sparse {
        head: image.unsealed(),
        size: 1 << 62,
    });
    let peak = peak_of(|| {
        let snapshot = Snapshot::from_source("the file", source).expect("opens");
        let error = status(&snapshot).expect_err("nobody can look at so much");
        assert_eq!(error.kind(), etcd_snap::ErrorKind::Unsupported, "{error}");
    });
    assert!(peak < MIB, "{peak} bytes");
}

#[test]
fn a_value_of_many_megabytes_is_written_anew_in_pieces() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("member/snap/db");
    std::fs::create_dir_all(path.parent().expect("it has one")).expect("folders");
    let database = some_keys(4096)
        .put("large", vec![7; 40 * MIB])
        .put("larger", vec![7; 60 * MIB])
        .delete("large")
        .build();
    std::fs::write(&path, database).expect("a file");
    let peak = peak_of(|| {
        let report = etcd_snap::defrag(folder.path(), &etcd_snap::DefragOptions::default());
        assert!(report.expect("it is sound").size_after_bytes > 100 * MIB as u64);
    });
    assert!(peak < 24 * MIB, "{peak} bytes");
}

/// With some ten thousand leased keys. Beside the tables of the check, which have their own limit, it is buffers and fingerprints.
#[test]
fn squeezing_and_leaving_out_leases_takes_little_memory() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("in.db");
    Bulk::new(Profile::Small, 48 << 20)
        .write(&path)
        .expect("a database");
    let snapshot = Snapshot::open(&path).expect("a snapshot");
    let skip = snapshot.digest().is_none();

    let squeezing = peak_of(|| {
        let options = SqueezeOptions::default().with_skip_hash_check(skip);
        squeeze(&snapshot, folder.path().join("out.db"), &options).expect("sound");
    });
    let mut keys = None;
    let restoring = peak_of(|| {
        let cluster = NewCluster::parse("m1=http://10.0.0.1:2380", "t").expect("a cluster");
        let targets = [MemberTarget::new("m1", folder.path().join("m1"))];
        let options = RestoreOptions::default()
            .with_skip_hash_check(skip)
            .with_drop_leases(true);
        let report = restore(&snapshot, &cluster, &targets, &options).expect("sound");
        keys = report.found.leases.keys;
    });
    assert!(keys > Some(1000), "{keys:?} keys hang on leases");
    assert!(
        squeezing < 32 * MIB && restoring < 32 * MIB,
        "{squeezing} and {restoring} bytes"
    );
}

/// With some hundred thousand keys, each of them counted three times over and drawn from.
#[test]
fn looking_keys_up_takes_what_it_may_hold_of_them() {
    let _alone = ALONE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("in.db");
    Bulk::new(Profile::Small, 96 << 20)
        .write(&path)
        .expect("a database");
    let snapshot = Snapshot::open(&path).expect("a snapshot");
    let questions = KeyQuestions::default()
        .with_sample(100)
        .with_prefix("/")
        .with_prefix("");
    let mut keys = 0;
    let peak = peak_of(|| {
        let answers = look_up(&snapshot, &questions).expect("sound");
        assert_eq!(
            (answers.sample.len(), answers.counts[1]),
            (100, answers.keys)
        );
        keys = answers.keys;
    });
    assert!(keys > 50_000, "{keys} keys");
    assert!(peak < 48 * MIB, "{peak} bytes");
}
