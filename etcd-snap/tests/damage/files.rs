//! Files that were cut, that grew, and that never were a database.

use etcd_snap::{ErrorKind, ProblemCode, Severity};
use etcd_snap_testdata::database::{DatabaseBuilder, Random, Shape};

use crate::subject::{open, report, status_of, tall_builder, wide_builder};

/// Larger than 64 KiB.
fn file() -> (Vec<u8>, usize) {
    let builder = (0..600).fold(DatabaseBuilder::new(4096), |builder, n| {
        builder.put(format!("key-{n}"), vec![b'v'; 100])
    });
    let file = builder.build();
    assert!(file.len() > 80_000);
    let database = file.len() - 32;
    (file, database)
}

#[test]
fn a_cut_at_every_sector_of_the_first_64_kib_is_told() {
    let (file, database) = file();
    for sector in 0..=128 {
        assert_cut_is_told(&file, database, sector * 512);
    }
}

/// 32 bytes over a sector look like a digest.
#[test]
fn a_cut_that_leaves_what_looks_like_a_digest_is_told() {
    let (file, database) = file();
    for sector in 0..=128 {
        assert_cut_is_told(&file, database, sector * 512 + 32);
    }
}

#[test]
fn cuts_anywhere_are_told() {
    let (file, database) = file();
    let mut random = Random::new(18);
    for _ in 0..100 {
        assert_cut_is_told(&file, database, random.below(file.len()));
    }
    for missing in 1..=64 {
        assert_cut_is_told(&file, database, file.len() - missing);
    }
}

fn assert_cut_is_told(file: &[u8], database: usize, length: usize) {
    let cut = file[..length].to_vec();
    let snapshot = match open(cut.clone()) {
        Err(e) => {
            assert!(
                matches!(e.kind(), ErrorKind::NotASnapshot | ErrorKind::Damaged),
                "{length}: {e}"
            );
            return;
        }
        Ok(snapshot) => snapshot,
    };
    assert_eq!(snapshot.size_bytes(), length as u64);
    let report = report(cut.clone());
    if length < database {
        assert!(!report.is_sound(), "{length}: {:#?}", report.problems);
        assert!(status_of(cut).is_err(), "{length}");
        let told = report
            .problems
            .iter()
            .any(|problem| problem.code == ProblemCode::FileTooShort);
        assert!(told, "{length}: {:#?}", report.problems);
    }
    let error = report.into_proven().expect_err("is no backup");
    if length >= database {
        assert_eq!(error.kind(), ErrorKind::NoDigest, "{length}: {error}");
    }
}

#[test]
fn what_is_appended_is_told() {
    let (file, _) = file();
    let mut random = Random::new(19);
    for length in [1, 31, 32, 480, 511, 512, 1024, 4096 - 32, 4096, 1 << 20] {
        let mut longer = file.clone();
        longer.resize(file.len() + length, 0);
        let appended = longer.len() - length;
        random.fill(&mut longer[appended..]);
        let report = report(longer);
        assert!(report.into_proven().is_err(), "{length} bytes");
    }
}

/// The digest is right: it was made over the garbage too.
#[test]
fn what_stands_between_the_database_and_a_right_digest_is_told() {
    for length in [512, 4096, 1 << 20] {
        let image = wide_builder().tail(vec![0xA5; length]).image();
        let report = report(image.sealed());
        let told = report.problems.iter().any(|problem| {
            problem.code == ProblemCode::FileTooLong
                && problem.offset == Some((image.bytes().len() - length) as u64)
        });
        assert!(told && !report.is_sound(), "{:#?}", report.problems);
    }
}

/// The tail of a member's file is room that bbolt took in advance: cutting it loses nothing.
#[test]
fn a_members_file_cut_in_its_tail_is_sound() {
    let builder = tall_builder().shape(Shape::Member).tail(vec![0; 8192]);
    let file = builder.build();
    let database = file.len() - 8192;
    for length in [database, database + 1, database + 512, database + 8000] {
        let report = report(file[..length].to_vec());
        assert!(report.is_sound(), "{length}: {:#?}", report.problems);
        assert_eq!(report.contents.hash, builder.model().status_hash());
    }
    for length in [database - 1, database - 512, database - 5000] {
        assert!(!report(file[..length].to_vec()).is_sound(), "{length}");
    }
}

/// Cut where a download broke off, then padded: the length is right and the end is empty.
#[test]
fn pages_that_were_never_written_are_told() {
    let (file, database) = file();
    for from in [8192, 40_000, database - 4096] {
        let mut holed = file.clone();
        holed[from..database].fill(0);
        assert!(!report(holed).is_sound(), "{from}");
        let mut holed = file[..database].to_vec();
        holed[from..].fill(0);
        assert!(!report(holed).is_sound(), "{from}, without a digest");
    }
}

#[test]
fn files_of_other_kinds_are_refused_and_named() {
    let mut tar = vec![b'a'; 2048];
    tar[257..265].copy_from_slice(b"ustar\x0000");
    // The first records of a WAL and of a `.snap`, from formats.md 5.5 and 5.6.
    let wal: Vec<u8> = [
        [4, 0, 0, 0, 0, 0, 0, 0x84].as_slice(),
        &[8, 4, 0x10, 0, 0, 0, 0, 0],
        &[0x20, 0, 0, 0, 0, 0, 0, 0],
        &[8, 1, 0x10, 0xBB, 0x81, 0xC7, 0xFC, 5, 0x1A, 0x16],
        &[0; 4096],
    ]
    .concat();
    let snap = [
        &[0x08, 0xBB, 0x81, 0xC7, 0xFC, 0x05, 0x12, 0xF5, 0x32, 0x0A],
        [0x20; 3000].as_slice(),
    ]
    .concat();
    let mut random = vec![0; 100_000];
    Random::new(24).fill(&mut random);
    let padded = |head: &[u8]| [head, &random].concat();
    for (file, word) in [
        (Vec::new(), "empty"),
        (padded(b"PK\x03\x04\x14\0\0\0\x08\0"), "zip"),
        (padded(b"\x1F\x8B\x08\0\0\0\0\0\0\x03"), "gzip"),
        (padded(b"\x28\xB5\x2F\xFD\x24"), "zstd"),
        (padded(b"\xFD7zXZ\0\0\x04"), "compressed"),
        (tar, "tar"),
        (wal, "write-ahead log"),
        (snap, ".snap"),
        (b"just some text\n".repeat(500), "text"),
        (b"x".to_vec(), "text"),
        (b"{\n \"kind\": \"List\"\n}".to_vec(), "JSON"),
        (padded(b"age-encryption.org/v1\n"), "encrypted"),
        (vec![0; 65_536], "zero"),
        (random.clone(), "no meta page"),
    ] {
        let error = open(file.clone()).expect_err(word);
        assert_eq!(error.kind(), ErrorKind::NotASnapshot, "{error}");
        assert!(error.to_string().contains(word), "{word}: {error}");
    }
}

/// A snapshot in a wrapper, and with something before it.
#[test]
fn a_snapshot_that_does_not_begin_at_the_first_byte_is_refused() {
    let (file, _) = file();
    for shift in [1, 32, 512, 1024, 4096] {
        let shifted = [vec![0x20; shift], file.clone()].concat();
        match open(shifted.clone()) {
            Err(e) => assert!(matches!(
                e.kind(),
                ErrorKind::NotASnapshot | ErrorKind::Damaged
            )),
            Ok(_) => assert!(!report(shifted).is_sound(), "{shift}"),
        }
    }
}

/// The header of a tar archive is as long as the smallest page, so that the snapshot's first meta page stands where the second of
/// another database could.
#[test]
fn a_snapshot_in_a_tar_archive_is_called_that() {
    for page_size in [512, 4096] {
        let mut header = vec![0; 512];
        header[..9].copy_from_slice(b"backup.db");
        header[257..265].copy_from_slice(b"ustar\x0000");
        let file = DatabaseBuilder::new(page_size).put("a", "b").build();
        let archive = [header, file].concat();
        let options = etcd_snap::VerifyOptions::default();
        let piped = etcd_snap::verify_stream("a pipe", archive.as_slice(), &options);
        for error in [
            open(archive).expect_err("an archive"),
            piped.expect_err("an archive"),
        ] {
            assert_eq!(error.kind(), ErrorKind::NotASnapshot, "{error}");
            assert!(error.to_string().contains("tar"), "{error}");
        }
    }
}

/// Its first and its last page are of two times.
#[test]
fn a_raw_copy_that_mixes_two_states_is_told_where_the_pages_differ() {
    let before = tall_builder().shape(Shape::Member);
    let after = (0..40).fold(before.clone(), |builder, n| {
        builder.put(format!("new-{n}"), "value")
    });
    let [before, after] = [before.build(), after.build()];
    let half = (before.len() / 1024) * 512;
    let torn = [&after[..half], &before[half..]].concat();
    let report = report(torn);
    assert!(
        report
            .problems
            .iter()
            .any(|problem| problem.severity == Severity::Damaged)
    );
}

#[test]
fn directories_devices_and_absent_files_are_refused() {
    use etcd_snap::Snapshot;
    let folder = tempfile::tempdir().unwrap();
    let error = Snapshot::open(folder.path()).expect_err("a directory");
    assert_eq!(error.kind(), ErrorKind::NotASnapshot);
    assert!(error.to_string().contains("directory"), "{error}");
    let error = Snapshot::open(folder.path().join("absent")).expect_err("absent");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let error = Snapshot::open("/dev/zero").expect_err("a device");
    assert_eq!(error.kind(), ErrorKind::NotASnapshot);
}
