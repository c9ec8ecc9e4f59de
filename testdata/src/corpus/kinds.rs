//! Files of another kind that people hand over for a snapshot: faults 24.

use super::Specimen;
use super::bases::flat;
use crate::database::{DatabaseBuilder, MetaFields, Random};

/// CRC-32 as zip and gzip have it, a bit at a time.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

/// The start of a snapshot with both of its meta pages: what wrappers hold need not be whole.
fn snapshot() -> Vec<u8> {
    let mut snapshot = DatabaseBuilder::new(4096).build();
    snapshot.truncate(4200);
    snapshot
}

/// One member that is stored as it is, as k3s and RKE wrap theirs.
fn zip() -> Vec<u8> {
    let (name, data) = (b"snapshot.db", snapshot());
    let (size, crc) = (
        (data.len() as u32).to_le_bytes(),
        crc32(&data).to_le_bytes(),
    );
    // Version, flags, method, time and date: 1 January 1980.
    let common: [u8; 10] = [20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
    let lengths = [name.len() as u8, 0, 0, 0];
    let local = [
        b"PK\x03\x04".as_slice(),
        &common,
        &crc,
        &size,
        &size,
        &lengths,
        name,
        &data,
    ]
    .concat();
    let central = [
        b"PK\x01\x02\x14\0".as_slice(),
        &common,
        &crc,
        &size,
        &size,
        &lengths,
        &[0; 14],
        name,
    ]
    .concat();
    let end = [
        b"PK\x05\x06\0\0\0\0\x01\0\x01\0".as_slice(),
        &(central.len() as u32).to_le_bytes(),
        &(local.len() as u32).to_le_bytes(),
        &[0; 2],
    ]
    .concat();
    [local, central, end].concat()
}

/// One block that is stored as it is.
fn gzip() -> Vec<u8> {
    let data = snapshot();
    let size = data.len() as u16;
    [
        b"\x1F\x8B\x08\0\0\0\0\0\0\x03\x01".as_slice(),
        &size.to_le_bytes(),
        &(!size).to_le_bytes(),
        &data,
        &crc32(&data).to_le_bytes(),
        &u32::from(size).to_le_bytes(),
    ]
    .concat()
}

/// A frame that says its size, with one raw block.
fn zstd() -> Vec<u8> {
    let data = snapshot();
    let size = (data.len() as u32).to_le_bytes();
    // The last block, raw.
    let block = ((data.len() as u32) << 3 | 1).to_le_bytes();
    [
        b"\x28\xB5\x2F\xFD\xA0".as_slice(),
        &size,
        &block[..3],
        &data,
    ]
    .concat()
}

fn tar() -> Vec<u8> {
    let data = snapshot();
    let mut header = vec![0; 512];
    header[..11].copy_from_slice(b"snapshot.db");
    header[100..107].copy_from_slice(b"0000600");
    header[124..135].copy_from_slice(format!("{:011o}", data.len()).as_bytes());
    header[136..147].copy_from_slice(b"00000000000");
    header[148..156].fill(b' ');
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let padding = data.len().next_multiple_of(512) - data.len();
    [header, data, vec![0; padding + 1024]].concat()
}

/// The first records of a member's log: the checksum and the metadata (formats.md 5.5).
fn wal() -> Vec<u8> {
    let records: [&[u8]; 2] = [
        &[4, 0, 0, 0, 0, 0, 0, 0x84, 8, 4, 0x10, 0, 0, 0, 0, 0],
        b"\x20\0\0\0\0\0\0\0\x08\x01\x10\xBB\x81\xC7\xFC\x05\x1A\x16\x08\xCD\xD2\x91\x8B\xD2\xB8\x81\xCF\x8E\x01\x10\xB2\x98\xEA\xF1\x94\x83\x86\xFC\xCD\x01",
    ];
    let mut wal = records.concat();
    wal.resize(4096, 0);
    wal
}

/// Checksum and data of raft's snapshot (formats.md 5.6), the data a store without members.
fn snap() -> Vec<u8> {
    let data =
        br#"{"Root":{"Path":"/","CreatedIndex":0,"ModifiedIndex":0,"Value":"","Children":{}}}"#;
    let snapshot = [&[0x0A, data.len() as u8], data.as_slice()].concat();
    let mut file = vec![0x08];
    let mut crc = crate::database::crc32c(0, &snapshot);
    while crc >= 0x80 {
        file.push(crc as u8 | 0x80);
        crc >>= 7;
    }
    file.extend([crc as u8, 0x12, snapshot.len() as u8]);
    file.extend(snapshot);
    file
}

/// What a server on s390x writes: every number the other way round, the checksum over those bytes.
fn big_endian() -> Vec<u8> {
    let sound = flat();
    let mut file = sound.bytes().to_vec();
    for page in [0, 1] {
        let fields = sound.meta(page);
        let at = page * sound.page_size();
        file[at..at + 16].copy_from_slice(
            &[[0, 0, 0, 0, 0, 0, 0, page as u8], [0, 4, 0, 0, 0, 0, 0, 0]].concat(),
        );
        file[at + 16..at + 80].copy_from_slice(&big_endian_meta(&fields));
    }
    file
}

fn big_endian_meta(fields: &MetaFields) -> Vec<u8> {
    let small = [fields.magic, fields.version, fields.page_size, fields.flags];
    let large = [
        fields.root,
        fields.sequence,
        fields.freelist,
        fields.high_water_mark,
        fields.transaction_id,
    ];
    let mut bytes = Vec::new();
    small
        .iter()
        .for_each(|number| bytes.extend(number.to_be_bytes()));
    large
        .iter()
        .for_each(|number| bytes.extend(number.to_be_bytes()));
    let checksum = crate::database::fnv1a(&bytes);
    bytes.extend(checksum.to_be_bytes());
    bytes
}

pub(super) fn specimens() -> Vec<Specimen> {
    let mut blob = vec![0; 2048];
    Random::new(24).fill(&mut blob);
    let behind = |head: &[u8]| [head, &blob].concat();
    vec![
        Specimen::new(
            "kind-zip",
            "A zip archive with a snapshot in it, as k3s and RKE have them.",
            zip(),
        ),
        Specimen::new("kind-gzip", "A snapshot compressed with gzip.", gzip()),
        Specimen::new("kind-zstd", "A snapshot compressed with zstd.", zstd()),
        Specimen::new(
            "kind-xz",
            "The head of a file compressed with xz.",
            behind(b"\xFD7zXZ\0\0\x04"),
        ),
        Specimen::new("kind-tar", "A tar archive with a snapshot in it.", tar()),
        Specimen::new(
            "kind-wal",
            "A segment of a member's write-ahead log.",
            wal(),
        ),
        Specimen::new("kind-snap", "A .snap file of a member.", snap()),
        Specimen::new(
            "kind-json",
            "JSON: what `kubectl get -o json` or `etcdctl -w json` print.",
            b"{\n  \"kind\": \"List\"\n}\n".to_vec(),
        ),
        Specimen::new(
            "kind-yaml",
            "A manifest.",
            b"apiVersion: v1\nkind: List\n".to_vec(),
        ),
        Specimen::new(
            "kind-html",
            "The error page of a download.",
            b"<!DOCTYPE html>\n<title>404 Not Found</title>\n".to_vec(),
        ),
        Specimen::new(
            "kind-encrypted-with-age",
            "A file encrypted with age.",
            behind(b"age-encryption.org/v1\n-> X25519 "),
        ),
        Specimen::new(
            "kind-encrypted-with-openssl",
            "A file encrypted with `openssl enc`.",
            behind(b"Salted__"),
        ),
        Specimen::new(
            "kind-encrypted-blob",
            "An encrypted file that does not say so.",
            blob.clone(),
        ),
        Specimen::new("kind-zeroes", "Nothing but zeroes.", vec![0; 4096]),
        Specimen::new(
            "kind-big-endian",
            "A database from a big-endian machine.",
            big_endian(),
        ),
    ]
}
