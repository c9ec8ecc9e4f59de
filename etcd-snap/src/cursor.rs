//! The only place that slices untrusted bytes: a short read names the field that was missing.

use std::fmt;

/// Bytes ended before a field did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Short {
    pub(crate) field: &'static str,
}

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the bytes end before the {}", self.field)
    }
}

impl std::error::Error for Short {}

/// Reads fields one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn take(&mut self, len: usize, field: &'static str) -> Result<&'a [u8], Short> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Short { field })?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Short> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Short { field })?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u16_le(&mut self, field: &'static str) -> Result<u16, Short> {
        self.array(field).map(u16::from_le_bytes)
    }

    pub(crate) fn u32_le(&mut self, field: &'static str) -> Result<u32, Short> {
        self.array(field).map(u32::from_le_bytes)
    }

    pub(crate) fn u64_le(&mut self, field: &'static str) -> Result<u64, Short> {
        self.array(field).map(u64::from_le_bytes)
    }

    pub(crate) fn i64_be(&mut self, field: &'static str) -> Result<i64, Short> {
        self.array(field).map(i64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::{Cursor, Short};

    #[test]
    fn a_short_read_names_the_field_and_takes_nothing() {
        let mut cursor = Cursor::new(&[1, 0, 2]);
        assert_eq!(cursor.u16_le("count"), Ok(1));
        assert_eq!(cursor.u32_le("overflow"), Err(Short { field: "overflow" }));
        assert_eq!(cursor.rest(), [2]);
        assert_eq!(cursor.take(1, "tail"), Ok([2].as_slice()));
    }
}
