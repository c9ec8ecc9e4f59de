//! What a file is that is not a snapshot: people hand over the wrong one, and the answer should say which it was.

use crate::io::ReadAt;
use crate::{Error, ErrorKind};

/// What is looked at.
pub(crate) const HEAD: usize = 512;

/// The error for a file that is no bbolt database.
pub(crate) fn not_a_snapshot(source: &dyn ReadAt, size_bytes: u64, name: &str) -> Error {
    let mut head = [0; HEAD];
    error(name, describe(read(source, &mut head), size_bytes))
}

/// The same for a file that says itself that it is something else, whatever else may be in it: the header of a tar archive
/// is as long as the smallest page, and the snapshot behind it begins with a meta page.
pub(crate) fn of_another_kind(source: &dyn ReadAt, name: &str) -> Option<Error> {
    let mut head = [0; HEAD];
    Some(error(name, named(read(source, &mut head))?))
}

fn read<'a>(source: &dyn ReadAt, head: &'a mut [u8; HEAD]) -> &'a [u8] {
    let n = source.read_at(head, 0).unwrap_or_default();
    head.get(..n).unwrap_or_default()
}

fn error(name: &str, what: &'static str) -> Error {
    Error::new(
        ErrorKind::NotASnapshot,
        format!("{name} is not an etcd snapshot: {what}"),
    )
    .with_detail("found", what)
}

fn describe(head: &[u8], size_bytes: u64) -> &'static str {
    if let Some(what) = named(head) {
        what
    } else if size_bytes == 0 {
        "it is empty"
    } else if head.iter().all(|byte| *byte == 0) {
        "it begins with nothing but zero bytes"
    } else if !head.is_empty()
        && head
            .iter()
            .all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..0x7F))
    {
        "it is a text file"
    } else {
        "it has no meta page where a bbolt database begins"
    }
}

/// What the first bytes name.
fn named(head: &[u8]) -> Option<&'static str> {
    let starts = |magic: &[u8]| head.starts_with(magic);
    Some(if starts(b"PK\x03\x04") {
        "it is a zip archive; unpack it first"
    } else if starts(b"\x1f\x8b") {
        "it is compressed with gzip; unpack it first"
    } else if starts(b"\x28\xb5\x2f\xfd") {
        "it is compressed with zstd; unpack it first"
    } else if starts(b"BZh") || starts(b"\xfd7zXZ\0") {
        "it is compressed; unpack it first"
    } else if is_tar(head) {
        "it is a tar archive; unpack it first"
    } else if is_wal(head) {
        "it is a segment of a write-ahead log; the database of a member is member/snap/db"
    } else if is_snap(head) {
        "it is a raft snapshot (.snap) of a member; the database is the file `db` beside it"
    } else if starts(b"age-encryption.org/") || starts(b"-----BEGIN ") || starts(b"Salted__") {
        "it is encrypted, or a key; decrypt it first"
    } else if [b"{\"".as_slice(), b"{\n", b"{}", b"[{", b"[\n"]
        .into_iter()
        .any(starts)
    {
        "it looks like JSON"
    } else {
        return None;
    })
}

/// A file's name comes first, so that no archive begins with a zero byte; every database does.
fn is_tar(head: &[u8]) -> bool {
    head.first() != Some(&0) && head.get(257..262) == Some(b"ustar")
}

/// The first record of every segment carries the running checksum: type 4, in a frame of up to 16 bytes (formats.md 5.5).
fn is_wal(head: &[u8]) -> bool {
    matches!(
        head,
        [
            4..=12,
            0,
            0,
            0,
            0,
            0,
            0,
            0 | 0x80..=0x87,
            0x08,
            0x04,
            0x10,
            ..
        ]
    )
}

/// A checksum (field 1, varint) and then the data (field 2, bytes), which holds raft's snapshot (formats.md 5.6).
fn is_snap(head: &[u8]) -> bool {
    let Some((0x08, rest)) = head.split_first().map(|(first, rest)| (*first, rest)) else {
        return false;
    };
    let checksum = rest
        .iter()
        .take(5)
        .take_while(|byte| **byte & 0x80 != 0)
        .count();
    rest.get(checksum.saturating_add(1)) == Some(&0x12)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wrong_file_is_named() {
        let mut tar = vec![b'a'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        for (head, word) in [
            (b"".as_slice(), "empty"),
            (b"PK\x03\x04\x14\0", "zip"),
            (b"\x1f\x8b\x08", "gzip"),
            (b"\x28\xb5\x2f\xfd\0", "zstd"),
            (&tar, "tar"),
            (
                b"\x04\0\0\0\0\0\0\x84\x08\x04\x10\0\0\0\0\0",
                "write-ahead log",
            ),
            (
                b"\x08\x97\xd5\xe3\x9a\x0c\x12\xd4\x32\x0a\xb9",
                "raft snapshot",
            ),
            (b"{\"a\":1}", "JSON"),
            (b"hello\n", "text"),
            (&[0; 512], "zero"),
            (&[0xA5; 512], "no meta page"),
        ] {
            let error = not_a_snapshot(&head.to_vec(), head.len() as u64, "it");
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}
