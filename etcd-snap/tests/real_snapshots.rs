//! Snapshots that real servers of every minor streamed: the numbers are those that etcd's own tools print, and no bit of them can
//! change unnoticed.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use etcd_snap::{
    DigestCheck, HashKvOptions, ProblemCode, Revision, Snapshot, VerifyOptions, hash_kv, status,
    verify, verify_stream,
};
use etcd_snap_testdata::database::{Image, Random};
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::golden;

#[test]
fn status_gives_the_numbers_of_every_minors_tool() -> Result<()> {
    for path in golden::snapshots() {
        let ours = status(&Snapshot::open(&path)?)?;
        for by in Version::ALL {
            let theirs = golden::status(&path, by)?;
            let number = |field: &str| {
                let number = theirs[field].as_u64();
                number.with_context(|| format!("no {field} of {} by {by}", path.display()))
            };
            let what = format!("{} by {by}", path.display());
            assert_eq!(u64::from(ours.hash), number("hash")?, "{what}");
            assert_eq!(ours.revision.get() as u64, number("revision")?, "{what}");
            assert_eq!(ours.total_size_bytes, number("totalSize")?, "{what}");
            if by < Version::V3_6 {
                assert_eq!(ours.total_records, number("totalKey")?, "{what}");
            } else {
                assert_eq!(ours.live_keys, number("totalKey")?, "{what}");
                let version = theirs["version"]
                    .as_str()
                    .filter(|version| !version.is_empty());
                assert_eq!(ours.storage_version.as_deref(), version, "{what}");
            }
        }
    }
    Ok(())
}

#[test]
fn verify_finds_nothing_at_all_in_them() -> Result<()> {
    for path in golden::snapshots() {
        let report = verify(&Snapshot::open(&path)?, &VerifyOptions::default())?;
        assert_eq!(report.problems, [], "{}", path.display());
        assert!(matches!(report.digest, DigestCheck::Matches { .. }));
        let proven = report.into_proven()?;
        assert_eq!(
            !proven.contents.alarms.is_empty(),
            path == golden::snapshot_with_alarm()
        );
    }
    Ok(())
}

#[test]
fn nothing_in_them_is_odd_while_they_pass() -> Result<()> {
    for path in golden::snapshots() {
        let name = path.display().to_string();
        let report = verify_stream(&name, File::open(&path)?, &VerifyOptions::default())?;
        assert_eq!(report.problems, [], "{name}");
        let digest = report.into_proven()?;
        assert_eq!(Some(digest), Snapshot::open(&path)?.digest(), "{name}");
    }
    Ok(())
}

#[test]
fn verify_knows_what_the_servers_said_of_themselves() -> Result<()> {
    for version in Version::ALL {
        let facts = golden::facts(version)?;
        let snapshot = Snapshot::open(golden::snapshot(version))?;
        let contents = verify(&snapshot, &VerifyOptions::default())?.contents;
        assert_eq!(Some(contents.revision.get()), facts["revision"].as_i64());
        assert_eq!(
            contents.compact_revision.map(|revision| revision.get()),
            facts["compact_revision"].as_i64()
        );
        let leases = facts["leases"].as_array().context("a list of leases")?;
        assert_eq!(contents.leases, leases.len() as u64);
        let members = facts["members"]["members"].as_array();
        let members = members.context("a list of members")?;
        assert_eq!(contents.members, members.len() as u64);
    }
    Ok(())
}

fn codes(file: Vec<u8>) -> Result<Option<Vec<ProblemCode>>> {
    let Ok(snapshot) = Snapshot::from_source("the file", Arc::new(file)) else {
        return Ok(None);
    };
    let report = verify(&snapshot, &VerifyOptions::default())?;
    let codes = report.problems.iter().map(|problem| problem.code).collect();
    assert_eq!(report.is_sound(), report.problems.is_empty());
    Ok(Some(codes))
}

fn flipped(file: &[u8], bit: usize) -> Vec<u8> {
    let mut flipped = file.to_vec();
    flipped[bit / 8] ^= 1 << (bit % 8);
    flipped
}

/// Fields of the metas, every page's header, the digest, and bits from everywhere.
fn bits(file: &[u8], path: &Path) -> Vec<usize> {
    let image = Image::of_snapshot(file.to_vec());
    let (size, pages) = (image.page_size(), image.bytes().len() / image.page_size());
    let mut random = Random::new(path.as_os_str().len() as u64);
    let metas = (0..2).flat_map(|page| (0..80).map(move |byte| page * size + byte));
    let headers = (2..pages).flat_map(|page| (0..16).map(move |byte| page * size + byte));
    let digest = file.len() - 32..file.len();
    let mut bits: Vec<_> = metas
        .chain(headers)
        .chain(digest)
        .map(|byte| 8 * byte + random.below(8))
        .collect();
    bits.extend((0..200).map(|_| random.below(8 * file.len())));
    bits
}

#[test]
fn every_flipped_bit_is_told() -> Result<()> {
    for path in golden::snapshots() {
        let file = std::fs::read(&path)?;
        for bit in bits(&file, &path) {
            let codes = codes(flipped(&file, bit))?;
            // Where it does not open any more, that is said too.
            let told = codes.is_none_or(|codes| codes.contains(&ProblemCode::DigestMismatch));
            assert!(told, "{} with bit {bit} flipped", path.display());
        }
    }
    Ok(())
}

/// Nothing vouches for a raw copy; yet what holds its tree together cannot change without notice.
#[test]
fn flipped_bits_of_page_headers_are_told_without_the_digest() -> Result<()> {
    for path in golden::snapshots() {
        let image = Image::of_snapshot(std::fs::read(&path)?);
        let pages = ["key", "lease"]
            .into_iter()
            .filter(|name| !image.is_inline(name))
            .flat_map(|name| image.pages_of(name));
        for page in pages.collect::<Vec<_>>() {
            // Id and kind. A count or an overflow that grew or shrank may still be one that fits.
            for bit in 8 * page.offset..8 * (page.offset + 10) {
                let codes = codes(flipped(image.bytes(), bit))?.context("opens")?;
                assert!(
                    !codes.is_empty(),
                    "{} with bit {bit} flipped",
                    path.display()
                );
            }
        }
    }
    Ok(())
}

#[test]
fn a_snapshot_cut_at_any_page_is_told() -> Result<()> {
    for path in golden::snapshots() {
        let file = std::fs::read(&path)?;
        for length in (0..file.len() - 32).step_by(4096) {
            let codes = codes(file[..length].to_vec())?;
            let told = codes.is_none_or(|codes| codes.contains(&ProblemCode::FileTooShort));
            assert!(told, "{} of {length} bytes", path.display());
        }
    }
    Ok(())
}

#[test]
fn hash_kv_is_what_the_servers_said() -> Result<()> {
    for version in Version::ALL {
        let snapshot = Snapshot::open(golden::snapshot(version))?;
        let facts = golden::facts(version)?;
        let answers = facts["hash_kv"].as_array().context("no hash_kv")?;
        let newest = hash_kv(&snapshot, &HashKvOptions::default())?;
        for answer in answers {
            let number = |field: &str| answer[field].as_i64().context("no number");
            let compact = Revision::new(number("compact_revision")?);
            if Some(compact) != newest.compact_revision {
                continue;
            }
            let options =
                HashKvOptions::default().with_revision(Revision::new(number("revision")?));
            let ours = hash_kv(&snapshot, &options)?;
            assert_eq!(
                i64::from(ours.hash),
                number("hash")?,
                "etcd {version}: {answer}"
            );
        }
    }
    Ok(())
}
