//! Random damage to the bytes of a database.

use etcd_snap_testdata::database::Image;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// What is done to the bytes.
#[derive(Debug, Clone)]
pub(crate) enum Harm {
    Flip {
        at: Index,
        bit: u8,
    },
    /// A number that has a meaning somewhere, in one of the places where numbers are.
    Number {
        at: Index,
        number: u64,
        bytes: usize,
    },
    /// A field of a page's header, or of one of its first elements.
    Field {
        page: Index,
        field: usize,
        number: u64,
    },
    SwapPages {
        one: Index,
        other: Index,
    },
    CopyPage {
        from: Index,
        to: Index,
    },
    Zero {
        at: Index,
        length: usize,
    },
    Truncate {
        to: Index,
    },
    Append {
        length: usize,
    },
    /// The metas lie, with the right checksum.
    Meta {
        which: usize,
        field: usize,
        number: u64,
    },
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        select(vec![
            0,
            1,
            2,
            3,
            15,
            16,
            17,
            0x10,
            0xFFFE,
            0xFFFF,
            0x1_0000,
            0x7FFF_FFFF,
            0x8000_0000,
            0xFFFF_FFF0,
            0xFFFF_FFFF,
            0x1_0000_0000,
            i64::MAX as u64,
            1 << 63,
            u64::MAX - 1,
            u64::MAX,
        ]),
        0_u64..300,
        any::<u64>(),
    ]
}

pub(crate) fn harm() -> impl Strategy<Value = Harm> {
    let index = any::<Index>;
    prop_oneof![
        4 => (index(), 0_u8..8).prop_map(|(at, bit)| Harm::Flip { at, bit }),
        2 => (index(), number(), select(vec![1_usize, 2, 4, 8]))
            .prop_map(|(at, number, bytes)| Harm::Number { at, number, bytes }),
        6 => (index(), 0_usize..24, number())
            .prop_map(|(page, field, number)| Harm::Field { page, field, number }),
        2 => (index(), index()).prop_map(|(one, other)| Harm::SwapPages { one, other }),
        2 => (index(), index()).prop_map(|(from, to)| Harm::CopyPage { from, to }),
        1 => (index(), 1_usize..5000).prop_map(|(at, length)| Harm::Zero { at, length }),
        1 => index().prop_map(|to| Harm::Truncate { to }),
        1 => (1_usize..5000).prop_map(|length| Harm::Append { length }),
        1 => (0_usize..2, 0_usize..6, number())
            .prop_map(|(which, field, number)| Harm::Meta { which, field, number }),
    ]
}

pub(crate) fn apply(image: &mut Image, harm: &Harm) {
    let size = image.page_size();
    let length = image.bytes().len();
    let pages = length / size;
    if pages < 2 {
        return;
    }
    match harm {
        Harm::Flip { at, bit } => {
            let at = at.index(length);
            image.bytes_mut()[at] ^= 1 << bit;
        }
        Harm::Number { at, number, bytes } => {
            let at = at.index(length - bytes) / bytes * bytes;
            image.write(at, &number.to_le_bytes()[..*bytes]);
        }
        Harm::Field {
            page,
            field,
            number,
        } => {
            // Id, flags, count and overflow, then five elements of four fields.
            const HEADER: [(usize, usize); 4] = [(0, 8), (8, 2), (10, 2), (12, 4)];
            let (at, bytes) = match HEADER.get(*field) {
                Some(field) => *field,
                None => (16 + 4 * (field - HEADER.len()), 4),
            };
            image.write(
                page.index(pages) * size + at,
                &number.to_le_bytes()[..bytes],
            );
        }
        Harm::SwapPages { one, other } => {
            let [one, other] = [one, other].map(|page| page.index(pages) * size);
            for byte in 0..size {
                image.bytes_mut().swap(one + byte, other + byte);
            }
        }
        Harm::CopyPage { from, to } => {
            let [from, to] = [from, to].map(|page| page.index(pages) * size);
            image.bytes_mut().copy_within(from..from + size, to);
        }
        Harm::Zero { at, length: zeroes } => {
            let at = at.index(length);
            let end = length.min(at + zeroes);
            image.bytes_mut()[at..end].fill(0);
        }
        Harm::Truncate { to } => image.bytes_mut().truncate(to.index(length)),
        Harm::Append { length: more } => image.bytes_mut().resize(length + more, 0x5A),
        Harm::Meta {
            which,
            field,
            number,
        } => image.set_meta(*which, |meta| match field {
            0 => meta.root = *number,
            1 => meta.high_water_mark = *number,
            2 => meta.freelist = *number,
            3 => meta.transaction_id = *number,
            4 => meta.page_size = *number as u32,
            _ => meta.sequence = *number,
        }),
    }
}
