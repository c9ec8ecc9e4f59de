//! Frames: how records lie one behind the other in a WAL file, and the checksum that chains them (formats.md 5.5).

use prost::Message as _;

use super::messages::Record;
use crate::cursor::Cursor;
use crate::{Error, ReadAt, Result};

/// The length field before each record.
const LENGTH_FIELD_BYTES: u64 = 8;
/// The top byte of a length field has this bit when padding follows the record.
const PADDED: u64 = 0x80;
/// What a record can hold at most: a server advises against requests above ten megabytes, and a record holds one.
const MAX_RECORD_BYTES: u64 = 16 << 20;

/// What a record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RecordKind {
    Metadata,
    Entry,
    State,
    Crc,
    Snapshot,
}

impl RecordKind {
    fn number(self) -> i64 {
        match self {
            Self::Metadata => 1,
            Self::Entry => 2,
            Self::State => 3,
            Self::Crc => 4,
            Self::Snapshot => 5,
        }
    }

    fn from_number(number: i64) -> Option<Self> {
        [
            Self::Metadata,
            Self::Entry,
            Self::State,
            Self::Crc,
            Self::Snapshot,
        ]
        .into_iter()
        .find(|kind| kind.number() == number)
    }
}

/// Zeros behind a record that make its length a multiple of eight, so that a length field is never torn.
fn padding(record_bytes: u64) -> u64 {
    record_bytes.wrapping_neg() & 7
}

/// Writes records behind each other.
pub(super) struct FrameWriter {
    bytes: Vec<u8>,
    crc: u32,
}

impl FrameWriter {
    /// A first file: it begins with a checksum record of zero.
    pub(super) fn new() -> Self {
        let mut writer = Self {
            bytes: Vec::new(),
            crc: 0,
        };
        writer.push(RecordKind::Crc, None);
        writer
    }

    /// A file whose checksums go on from those of the file before.
    #[cfg(test)]
    pub(super) fn behind(crc: u32) -> Self {
        let mut writer = Self {
            bytes: Vec::new(),
            crc,
        };
        writer.push(RecordKind::Crc, None);
        writer
    }

    #[cfg(test)]
    pub(super) fn crc(&self) -> u32 {
        self.crc
    }

    pub(super) fn push(&mut self, kind: RecordKind, data: Option<Vec<u8>>) {
        self.crc = crc32c::crc32c_append(self.crc, data.as_deref().unwrap_or_default());
        let record = Record {
            kind: Some(kind.number()),
            crc: Some(self.crc),
            data,
        }
        .encode_to_vec();
        let len = record.len() as u64;
        let padding = padding(len);
        let flags = if padding == 0 { 0 } else { PADDED | padding };
        self.bytes.extend((flags << 56 | len).to_le_bytes());
        self.bytes.extend(record);
        self.bytes.extend((0..padding).map(|_| 0));
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// A record that was read and whose checksum fits.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Where its length field stands in the file.
    pub(super) offset: u64,
    pub(super) kind: RecordKind,
    pub(super) data: Vec<u8>,
}

impl Frame {
    /// The message that it carries.
    pub(super) fn decode<M: prost::Message + Default>(&self) -> Result<M> {
        M::decode(self.data.as_slice()).map_err(|e| {
            self.misplaced("holds data that cannot be decoded")
                .with_source(e)
        })
    }

    /// What is wrong with it, for a reader who expects something else in its place.
    pub(super) fn misplaced(&self, why: &str) -> Error {
        Error::damaged(format!("the WAL record at byte {} {why}", self.offset))
            .with_offset(self.offset)
    }
}

/// Reads the records of one file, in order, and checks lengths and checksums.
///
/// Any bytes will do: it does not panic, and holds one record at a time, of at most 16 MiB and never more than the file has.
pub(super) struct FrameReader<'a, R: ?Sized> {
    source: &'a R,
    size: u64,
    offset: u64,
    crc: u32,
}

impl<'a, R: ReadAt + ?Sized> FrameReader<'a, R> {
    pub(super) fn new(source: &'a R) -> Result<Self> {
        Self::behind(source, 0)
    }

    /// A file whose checksums go on from those of the file before.
    pub(super) fn behind(source: &'a R, crc: u32) -> Result<Self> {
        let size = source.size().map_err(|e| not_read(0, e))?;
        Ok(Self {
            source,
            size,
            offset: 0,
            crc,
        })
    }

    /// Where the next record begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The running checksum.
    pub(super) fn crc(&self) -> u32 {
        self.crc
    }

    /// Whether the record that could not be read is one that a killed server has left: its end is missing, or whole sectors of it
    /// were not written (`decoder.isTornEntry`).
    pub(super) fn is_torn(&self) -> Result<bool> {
        const SECTOR: u64 = 512;
        let start = self.offset.saturating_add(LENGTH_FIELD_BYTES);
        if start > self.size {
            return Ok(true);
        }
        let head = self.bytes(self.offset, LENGTH_FIELD_BYTES)?;
        let field = Cursor::new(&head).u64_le("length of a record");
        let len = field.unwrap_or_default() & (u64::MAX >> 8);
        let end = start.saturating_add(len).saturating_add(padding(len));
        if end > self.size {
            return Ok(true);
        }
        if len > MAX_RECORD_BYTES {
            return Ok(false);
        }
        let mut at = start;
        while at < end {
            let sector_end = (at / SECTOR).saturating_add(1).saturating_mul(SECTOR);
            let chunk_end = sector_end.min(end);
            let chunk = self.bytes(at, chunk_end.saturating_sub(at))?;
            if chunk.iter().all(|byte| *byte == 0) {
                return Ok(true);
            }
            at = chunk_end;
        }
        Ok(false)
    }

    /// The next record. `None` at the end: of the file, or of what is used of it.
    ///
    /// # Errors
    /// [`Damaged`](crate::ErrorKind::Damaged), with the offset of the record. Nothing more can be read after it.
    pub(super) fn read(&mut self) -> Result<Option<Frame>> {
        let offset = self.offset;
        let damaged = |why: String| {
            Error::damaged(format!("the WAL record at byte {offset} {why}")).with_offset(offset)
        };
        let left = self.size.saturating_sub(offset);
        if left == 0 {
            return Ok(None);
        }
        let head = self.bytes(offset, LENGTH_FIELD_BYTES.min(left))?;
        let field = Cursor::new(&head)
            .u64_le("length of a record")
            .map_err(|e| damaged("is cut off".to_owned()).with_source(e))?;
        if field == 0 {
            return Ok(None);
        }
        let (flags, len) = (field >> 56, field & (u64::MAX >> 8));
        let left = left.saturating_sub(LENGTH_FIELD_BYTES);
        if len > MAX_RECORD_BYTES || len.saturating_add(padding(len)) > left {
            return Err(damaged(format!(
                "claims {len} bytes, where {left} are left in the file"
            )));
        }
        let expected = if padding(len) == 0 {
            0
        } else {
            PADDED | padding(len)
        };
        if flags != expected {
            return Err(damaged(format!(
                "has the flags {flags:#x} in its length field, where {expected:#x} belong"
            )));
        }
        let start = offset.saturating_add(LENGTH_FIELD_BYTES);
        let record = self.bytes(start, len)?;
        let record = Record::decode(record.as_slice())
            .map_err(|e| damaged("cannot be decoded".to_owned()).with_source(e))?;
        let number = record.kind.unwrap_or_default();
        let kind = RecordKind::from_number(number)
            .ok_or_else(|| damaged(format!("is of the unknown type {number}")))?;
        let data = record.data.unwrap_or_default();
        self.check_crc(kind, record.crc.unwrap_or_default(), &data)
            .map_err(damaged)?;
        self.offset = start.saturating_add(len).saturating_add(padding(len));
        Ok(Some(Frame { offset, kind, data }))
    }

    /// Data goes into the running checksum; a checksum record continues the one of the file before.
    fn check_crc(&mut self, kind: RecordKind, stored: u32, data: &[u8]) -> Result<(), String> {
        let computed = match kind {
            RecordKind::Crc if self.crc == 0 => stored,
            RecordKind::Crc => self.crc,
            _ => crc32c::crc32c_append(self.crc, data),
        };
        if stored != computed {
            return Err(format!(
                "has the checksum {stored:08x}, where its data gives {computed:08x}"
            ));
        }
        self.crc = computed;
        Ok(())
    }

    fn bytes(&self, offset: u64, len: u64) -> Result<Vec<u8>> {
        let cut_off = || {
            Error::damaged(format!(
                "the WAL ends before byte {}",
                offset.saturating_add(len)
            ))
            .with_offset(offset)
        };
        let mut bytes = vec![0; usize::try_from(len).map_err(|_| cut_off())?];
        let filled = self
            .source
            .read_at(&mut bytes, offset)
            .map_err(|e| not_read(offset, e))?;
        if filled < bytes.len() {
            return Err(cut_off());
        }
        Ok(bytes)
    }
}

fn not_read(offset: u64, source: std::io::Error) -> Error {
    Error::new(
        crate::ErrorKind::Io,
        format!("cannot read the WAL at byte {offset}"),
    )
    .with_offset(offset)
    .with_source(source)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{FrameReader, FrameWriter, RecordKind};
    use crate::{ErrorKind, Result};

    fn read_all(bytes: &[u8]) -> Result<Vec<(RecordKind, Vec<u8>)>> {
        let mut reader = FrameReader::new(bytes)?;
        let mut records = Vec::new();
        while let Some(frame) = reader.read()? {
            records.push((frame.kind, frame.data));
        }
        Ok(records)
    }

    #[test]
    fn the_castagnoli_polynomial_is_used() {
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn a_first_file_begins_with_a_checksum_of_zero() {
        assert_eq!(
            FrameWriter::new().into_bytes(),
            [4, 0, 0, 0, 0, 0, 0, 0x84, 8, 4, 0x10, 0, 0, 0, 0, 0]
        );
    }

    #[test]
    fn a_file_ends_where_its_bytes_end_or_where_zeros_begin() {
        let mut bytes = FrameWriter::new().into_bytes();
        assert_eq!(read_all(&bytes).unwrap().len(), 1);
        bytes.extend([0; 8]);
        assert_eq!(read_all(&bytes).unwrap().len(), 1);
        assert_eq!(read_all(&[]).unwrap(), []);
    }

    #[test]
    fn a_second_file_continues_the_checksum() {
        // Type 4 with a running value that is not zero; then an empty entry, which leaves it as it is.
        let bytes = [
            5, 0, 0, 0, 0, 0, 0, 0x83, 8, 4, 0x10, 0x85, 1, 0, 0, 0, //
            5, 0, 0, 0, 0, 0, 0, 0x83, 8, 2, 0x10, 0x85, 1, 0, 0, 0,
        ];
        assert_eq!(read_all(&bytes).unwrap().len(), 2);
        let mut wrong = bytes;
        wrong[28] = 2;
        assert_eq!(read_all(&wrong).unwrap_err().offset(), Some(16));
    }

    #[test]
    fn damage_is_named_with_its_offset() {
        let mut writer = FrameWriter::new();
        writer.push(RecordKind::Entry, Some(b"some data".to_vec()));
        let sound = writer.into_bytes();
        type Change = fn(&mut Vec<u8>);
        let changes: [(&str, Change); 7] = [
            ("is cut off", |b| b.truncate(20)),
            ("claims 19 bytes, where 6 are left", |b| b.truncate(30)),
            ("claims 71776119061217299 bytes", |b| b[22] = 0xff),
            ("length field", |b| b[23] = 0),
            ("length field", |b| b[23] ^= 0x40),
            ("unknown type 9", |b| b[25] = 9),
            ("checksum", |b| b[36] ^= 1),
        ];
        for (part, change) in changes {
            let mut bytes = sound.clone();
            change(&mut bytes);
            let error = read_all(&bytes).unwrap_err();
            assert_eq!(
                (error.kind(), error.offset()),
                (ErrorKind::Damaged, Some(16))
            );
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    fn records() -> impl Strategy<Value = Vec<(RecordKind, Vec<u8>)>> {
        let kind = prop_oneof![
            Just(RecordKind::Metadata),
            Just(RecordKind::Entry),
            Just(RecordKind::State),
            Just(RecordKind::Snapshot),
        ];
        let data = proptest::collection::vec(any::<u8>(), 0..40);
        proptest::collection::vec((kind, data), 0..10)
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(records in records(), zeros in 0usize..40) {
            let mut writer = FrameWriter::new();
            for (kind, data) in &records {
                writer.push(*kind, Some(data.clone()));
            }
            let mut bytes = writer.into_bytes();
            prop_assert_eq!(bytes.len() % 8, 0);
            bytes.extend(vec![0; zeros / 8 * 8]);
            let read = read_all(&bytes).unwrap();
            prop_assert_eq!(&read[0], &(RecordKind::Crc, Vec::new()));
            prop_assert_eq!(&read[1..], &records[..]);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_all(&bytes);
        }

        #[test]
        fn a_flipped_bit_is_found_or_harmless(records in records(), at in any::<prop::sample::Index>(), bit in 0u32..8) {
            let mut writer = FrameWriter::new();
            for (kind, data) in &records {
                writer.push(*kind, Some(data.clone()));
            }
            let mut bytes = writer.into_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= 1u8 << bit;
            // Types are not under the checksum; data is.
            if let Ok(read) = read_all(&bytes) {
                for ((_, data), (_, expected)) in read.iter().skip(1).zip(&records) {
                    prop_assert_eq!(data, expected);
                }
            }
        }
    }
}
