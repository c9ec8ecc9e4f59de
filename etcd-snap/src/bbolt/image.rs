//! Builds the bytes of pages.

use super::page::{BUCKET_FLAG, ELEMENT_LEN, PageHeader, PageId, PageKind};

/// An element of a leaf that is being built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) is_bucket: bool,
}

/// An element of a branch that is being built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Branch {
    pub(crate) key: Vec<u8>,
    pub(crate) child: PageId,
}

/// A page without its place: id and overflow follow from where it is written. `None`: it has more than a page can count.
pub(crate) fn leaf(elements: &[Leaf]) -> Option<Vec<u8>> {
    build(PageKind::Leaf, elements, |element, position| {
        let flags = if element.is_bucket { BUCKET_FLAG } else { 0 };
        let mut fields = [0; ELEMENT_LEN as usize];
        let all = [
            flags,
            position,
            u32::try_from(element.key.len()).ok()?,
            u32::try_from(element.value.len()).ok()?,
        ];
        fill(&mut fields, all.into_iter().flat_map(u32::to_le_bytes));
        Some((fields, [element.key.as_slice(), element.value.as_slice()]))
    })
}

pub(crate) fn branch(elements: &[Branch]) -> Option<Vec<u8>> {
    build(PageKind::Branch, elements, |element, position| {
        let mut fields = [0; ELEMENT_LEN as usize];
        let all = [position, u32::try_from(element.key.len()).ok()?];
        let all = all.into_iter().flat_map(u32::to_le_bytes);
        fill(&mut fields, all.chain(element.child.get().to_le_bytes()));
        Some((fields, [element.key.as_slice(), &[]]))
    })
}

/// Element array first, then keys and values back to back; an element's position counts from its own start.
fn build<'e, E>(
    kind: PageKind,
    elements: &'e [E],
    mut encode: impl FnMut(&'e E, u32) -> Option<([u8; ELEMENT_LEN as usize], [&'e [u8]; 2])>,
) -> Option<Vec<u8>> {
    let count = u16::try_from(elements.len()).ok()?;
    let header = PageHeader {
        id: PageId::new(0),
        flags: kind.flags(),
        count,
        overflow: 0,
    };
    let mut image = header.to_bytes().to_vec();
    let mut data: Vec<u8> = Vec::new();
    let mut array_left = u64::from(count).checked_mul(ELEMENT_LEN)?;
    for element in elements {
        let position = u32::try_from(array_left.checked_add(data.len() as u64)?).ok()?;
        let (fields, bytes) = encode(element, position)?;
        image.extend(fields);
        bytes.into_iter().for_each(|bytes| data.extend(bytes));
        array_left = array_left.checked_sub(ELEMENT_LEN)?;
    }
    image.extend(data);
    Some(image)
}

/// Puts a page image in its place.
pub(crate) fn place(image: &mut [u8], id: PageId, overflow: u32) {
    fill(image, id.get().to_le_bytes());
    if let Some(field) = image.get_mut(12..) {
        fill(field, overflow.to_le_bytes());
    }
}

fn fill(to: &mut [u8], from: impl IntoIterator<Item = u8>) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to = from);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_inline_bucket_has_the_bytes_that_bbolt_writes() {
        let image = leaf(&[]).unwrap();
        assert_eq!(image, [0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
    }
}
