//! Several endpoints in one text.

/// The endpoints of a list as people give it: with commas, and in brackets also with blanks, as Go prints one. The
/// brackets of a single IPv6 address are its own.
pub(crate) fn split(text: &str) -> Vec<&str> {
    let text = text.trim();
    let pieces: Vec<&str> = match within_brackets(text) {
        Some(list) => list.split([',', ' ', '\t', '\n']).collect(),
        None => text.split(',').collect(),
    };
    pieces
        .into_iter()
        .map(str::trim)
        .filter(|piece| !piece.is_empty())
        .collect()
}

/// What stands between the first and the last character, if these are a pair of brackets around a list.
fn within_brackets(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    let address = inner.split_once('%').map_or(inner, |(address, _)| address);
    if address.parse::<std::net::Ipv6Addr>().is_ok() {
        return None;
    }
    let mut depth = 0_u32;
    for character in inner.chars() {
        match character {
            '[' => depth = depth.saturating_add(1),
            // The first bracket is closed already, and the last one belongs to another.
            ']' => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    Some(inner)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn lists_are_written_in_many_ways() {
        for (text, expected) in [
            ("a:1", &["a:1"][..]),
            (" a:1, b:2,,", &["a:1", "b:2"]),
            ("[127.0.0.1:2379]", &["127.0.0.1:2379"]),
            (
                "[http://a:2379 http://b:2379]",
                &["http://a:2379", "http://b:2379"],
            ),
            ("[a:1,b:2]", &["a:1", "b:2"]),
            ("[a:1, b:2]", &["a:1", "b:2"]),
            ("[::1]", &["[::1]"]),
            ("[fe80::1%lo]", &["[fe80::1%lo]"]),
            ("[::1]:2379", &["[::1]:2379"]),
            ("[::1],[::2]", &["[::1]", "[::2]"]),
            ("[::1]:1,[::2]:2", &["[::1]:1", "[::2]:2"]),
            ("[[::1]:1 [::2]]", &["[::1]:1", "[::2]"]),
            ("[[::1]]", &["[::1]"]),
            ("unix:///run/a b", &["unix:///run/a b"]),
            ("[]", &[]),
            (" , ", &[]),
            ("", &[]),
        ] {
            assert_eq!(split(text), expected, "{text}");
        }
    }
}
