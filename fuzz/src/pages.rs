//! Sound databases with damage at chosen places: headers, elements, children, metas, whole pages. Checksums and digest are
//! put right, so that nothing but the page and the record check stands between the damage and the verdict.
//!
//! Input: the database, how it is restored, how it is sealed, then what is done to it, change by change.

use std::sync::OnceLock;

use crate::database::{
    Change, DatabaseBuilder, FreeContent, Freelist, Image, Inline, MetaFields, Shape,
};
use crate::input::Input;
use crate::judge::look;
use crate::restore::restored;

pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let sound = base(&mut input);
    let restore = input.byte();
    let seal = input.byte();
    let mut image = sound.clone();
    // What more bytes would say adds nothing that fewer cannot.
    for _ in 0..16 {
        if input.is_empty() {
            break;
        }
        damage(&mut image, &mut input);
    }
    let file = match seal % 4 {
        0 | 1 => image.sealed(),
        2 => image.sealed_as(sound),
        _ => image.unsealed(),
    };
    look(&file);
    // It writes a whole member, which takes as long as all the rest.
    if restore % 4 == 1 {
        restored(restore / 4, file);
    }
}

fn base(input: &mut Input<'_>) -> &'static Image {
    static BASES: OnceLock<Vec<Image>> = OnceLock::new();
    let bases = BASES.get_or_init(|| {
        let tall = small(512).elements_per_page(3);
        vec![
            small(512).image(),
            tall.clone().scattered(3).image(),
            tall.clone()
                .free_pages(5, FreeContent::Stale)
                .freelist(Freelist::Persisted)
                .scattered(5)
                .image(),
            tall.clone()
                .inline(Inline::Never)
                .shape(Shape::Member)
                .tail([0; 700])
                .image(),
            small(1024).inline(Inline::Always).image(),
            small(4096).free_pages(2, FreeContent::Junk).image(),
            small(512).bump(1000).taller(3).image(),
            DatabaseBuilder::new(512).image(),
        ]
    });
    &bases[input.below(bases.len())]
}

/// A little of everything.
fn small(page_size: usize) -> DatabaseBuilder {
    let builder = (1..=7).fold(DatabaseBuilder::new(page_size), |builder, lease| {
        builder.lease(lease, 60)
    });
    (0..20)
        .fold(builder, |builder, n| match n {
            5 => builder.put("long", vec![b'x'; 600]),
            11 => builder.transaction([
                Change::put("a", "1"),
                Change::delete("key-2"),
                Change::put("b", "2"),
            ]),
            n if n % 7 == 6 => builder.delete(format!("key-{}", n % 4)),
            n if n % 5 == 3 => builder.put_with_lease("leased", "v", n % 7 + 1),
            n => builder.put(format!("key-{}", n % 4), format!("value {n}")),
        })
        .compact(6)
        .user("root", &["root"])
        .role("root", &[])
        .removed_member(0xBEEF)
}

/// One change. Nothing in the image is believed: what was changed before may be anything.
fn damage(image: &mut Image, input: &mut Input<'_>) {
    let (size, length) = (image.page_size(), image.bytes().len());
    let pages = length / size;
    if pages < 3 {
        return;
    }
    match input.byte() % 12 {
        0..=1 => header(image, input, pages),
        2..=4 => element(image, input, pages),
        5 => {
            // A child, a bucket's root, or what else stands in eight bytes.
            let one = place(image, input, pages) + 8;
            let other = place(image, input, pages) + 8;
            for byte in 0..8 {
                image.bytes_mut().swap(one + byte, other + byte);
            }
        }
        6 => {
            let which = input.below(2);
            let field = input.byte();
            let number = input.number();
            if input.byte().is_multiple_of(4) {
                image.set_meta(which, |meta| set(meta, field, number));
            } else {
                image.set_metas(|meta| set(meta, field, number));
            }
        }
        7 => {
            let [one, other] = [input.below(pages) * size, input.below(pages) * size];
            for byte in 0..size {
                image.bytes_mut().swap(one + byte, other + byte);
            }
        }
        8 => {
            let [from, to] = [input.below(pages) * size, input.below(pages) * size];
            image.bytes_mut().copy_within(from..from + size, to);
            if input.byte().is_multiple_of(2) {
                image.write(to, &((to / size) as u64).to_le_bytes());
            }
        }
        9 => {
            let at = input.below(length - 8);
            let number = input.number().to_le_bytes();
            image.write(at, &number[..[1, 2, 4, 8][input.below(4)]]);
        }
        10 => {
            let at = input.below(length);
            let piece = input.piece();
            let end = length.min(at + piece.len());
            image.write(at, &piece[..end - at]);
        }
        _ => match input.byte() % 4 {
            0 => {
                let kept = input.below(pages) * size + input.below(size);
                // The metas have to stay, or there is nothing to see.
                image.bytes_mut().truncate(kept.max(2 * size));
            }
            1 => {
                let more = input.below(2 * size);
                image.bytes_mut().resize(length + more, 0x5A);
            }
            _ => {
                let at = input.below(length);
                let bit = input.below(8);
                image.bytes_mut()[at] ^= 1 << bit;
            }
        },
    }
}

fn header(image: &mut Image, input: &mut Input<'_>, pages: usize) {
    let at = input.below(pages) * image.page_size();
    let (field, number) = (input.byte(), input.number());
    match field % 4 {
        0 => image.write(at, &number.to_le_bytes()),
        1 => image.write(at + 8, &(number as u16).to_le_bytes()),
        2 => image.write(at + 10, &(number as u16).to_le_bytes()),
        _ => image.write(at + 12, &(number as u32).to_le_bytes()),
    }
}

/// The place of one of the first elements of a page.
fn place(image: &Image, input: &mut Input<'_>, pages: usize) -> usize {
    let size = image.page_size();
    let page = input.below(pages) * size;
    page + 16 + 16 * input.below((size / 16 - 2).min(24))
}

fn element(image: &mut Image, input: &mut Input<'_>, pages: usize) {
    let at = place(image, input, pages);
    let field = input.byte() % 8;
    let old = u32::from_le_bytes(
        image.bytes()[at + 4 * usize::from(field % 4)..][..4]
            .try_into()
            .expect("four"),
    );
    let number = match field {
        // Near to what was there: still in bounds, and into the neighbour.
        4..=7 => old.wrapping_add(u32::from(input.byte())).wrapping_sub(128),
        _ => input.number() as u32,
    };
    image.write(at + 4 * usize::from(field % 4), &number.to_le_bytes());
}

fn set(meta: &mut MetaFields, field: u8, number: u64) {
    match field % 8 {
        0 => meta.root = number,
        1 => meta.high_water_mark = number,
        2 => meta.freelist = number,
        3 => meta.transaction_id = number,
        4 => meta.page_size = number as u32,
        5 => meta.sequence = number,
        6 => meta.high_water_mark = meta.high_water_mark.wrapping_add(number).wrapping_sub(16),
        _ => meta.flags = number as u32,
    }
}
