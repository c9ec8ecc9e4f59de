//! Conditions of the caller: keys that have to be there, and how many.

use std::fmt;
use std::str::FromStr;

/// Reads a key as it is typed: `\xHH` stands for one byte, `\\` for a backslash, and a key that begins with `0x` and goes on in pairs of
/// hexadecimal digits is those bytes, as reports print keys that are no text.
///
/// # Errors
/// A sentence, for an escape that is none, and for nothing at all.
pub fn parse_key(text: &str) -> Result<Vec<u8>, String> {
    let key = parse_bytes(text)?;
    if key.is_empty() {
        return Err("no key is empty".to_owned());
    }
    Ok(key)
}

fn parse_bytes(text: &str) -> Result<Vec<u8>, String> {
    if let Some(bytes) = text.strip_prefix("0x").and_then(hexadecimal) {
        return Ok(bytes);
    }
    let mut key = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        key.extend_from_slice(before.as_bytes());
        rest = match after.strip_prefix('\\') {
            Some(behind) => {
                key.push(b'\\');
                behind
            }
            None => {
                let byte = after
                    .strip_prefix('x')
                    .and_then(|digits| digits.get(..2))
                    .and_then(hexadecimal);
                let byte = byte.ok_or_else(|| {
                    "behind a backslash stands x with two hexadecimal digits, or another backslash"
                        .to_owned()
                })?;
                key.extend(byte);
                after.get(3..).unwrap_or_default()
            }
        };
    }
    key.extend_from_slice(rest.as_bytes());
    Ok(key)
}

/// Pairs of hexadecimal digits, one at least.
fn hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.as_bytes();
    if digits.is_empty() || !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .chunks(2)
        .map(|pair| {
            let high = char::from(*pair.first()?).to_digit(16)?;
            let low = char::from(*pair.last()?).to_digit(16)?;
            u8::try_from(high << 4 | low).ok()
        })
        .collect()
}

/// A key for people: text where it is printable, else hexadecimal digits behind `0x`; the beginning of a long one.
pub(super) fn shown(key: &[u8]) -> String {
    use fmt::Write as _;
    const SHOWN: usize = 120;
    let part = key.get(..SHOWN).unwrap_or(key);
    let more = if part.len() < key.len() { "…" } else { "" };
    match std::str::from_utf8(part) {
        Ok(text) if !text.chars().any(char::is_control) => format!("{text}{more}"),
        _ => {
            let mut text = "0x".to_owned();
            for byte in part {
                let _ = write!(text, "{byte:02x}");
            }
            text + more
        }
    }
}

/// How many keys have to begin with something: `/registry/pods/>=10`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedCount {
    prefix: Vec<u8>,
    comparison: Comparison,
    number: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    AtLeast,
    AtMost,
    Exactly,
    Below,
    Above,
}

impl Comparison {
    /// The longer ones first.
    const ALL: [(&'static str, Self); 5] = [
        (">=", Self::AtLeast),
        ("<=", Self::AtMost),
        ("=", Self::Exactly),
        ("<", Self::Below),
        (">", Self::Above),
    ];

    fn sign(self) -> &'static str {
        let known = Self::ALL.iter().find(|(_, comparison)| *comparison == self);
        known.map_or("=", |(sign, _)| sign)
    }
}

impl FromStr for ExpectedCount {
    type Err = String;

    /// The comparison is the last one in the text, and a number stands behind it. The prefix is written as for [`parse_key`]; an empty one
    /// stands for all keys.
    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || {
            "write it like /registry/pods/>=10, with one of >=, <=, =, <, > and a number".to_owned()
        };
        let before = text.trim_end_matches(|c: char| c.is_ascii_digit());
        let number = text.strip_prefix(before).and_then(|it| it.parse().ok());
        let (number, before) = (number.ok_or_else(refused)?, before.trim_end());
        let (prefix, comparison) = Comparison::ALL
            .into_iter()
            .find_map(|(sign, comparison)| Some((before.strip_suffix(sign)?, comparison)))
            .ok_or_else(refused)?;
        Ok(Self {
            prefix: parse_bytes(prefix)?,
            comparison,
            number,
        })
    }
}

impl fmt::Display for ExpectedCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, number) = (self.comparison.sign(), self.number);
        if self.prefix.is_empty() {
            write!(f, "all keys {sign} {number}")
        } else {
            write!(f, "keys below {} {sign} {number}", shown(&self.prefix))
        }
    }
}

impl ExpectedCount {
    pub(super) fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    pub(super) fn holds(&self, count: u64) -> bool {
        match self.comparison {
            Comparison::AtLeast => count >= self.number,
            Comparison::AtMost => count <= self.number,
            Comparison::Exactly => count == self.number,
            Comparison::Below => count < self.number,
            Comparison::Above => count > self.number,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_typed_as_text_or_as_bytes() {
        for (typed, key) in [
            ("/registry/pods/a", b"/registry/pods/a".as_slice()),
            (r"a\x00b\\", b"a\0b\\"),
            ("0x00ff", b"\0\xff"),
            ("0xyz", b"0xyz"),
            ("0x123", b"0x123"),
            (r"\x30x12", b"0x12"),
            ("ключ", "ключ".as_bytes()),
        ] {
            assert_eq!(parse_key(typed).unwrap(), key, "{typed}");
        }
        for typed in ["", r"\", r"a\n", r"\x1", r"\xzz", r"\xп"] {
            assert!(parse_key(typed).is_err(), "{typed}");
        }
    }

    #[test]
    fn a_count_is_compared_as_its_sign_says() {
        for (typed, shown, holding, failing) in [
            ("/a/>=10", "keys below /a/ >= 10", 10, 9),
            ("/a/<=10", "keys below /a/ <= 10", 10, 11),
            ("/a/= 3", "keys below /a/ = 3", 3, 4),
            ("/a=b<3", "keys below /a=b < 3", 2, 3),
            (">0", "all keys > 0", 1, 0),
            (r"\x00>=1", "keys below 0x00 >= 1", 1, 0),
        ] {
            let count: ExpectedCount = typed.parse().unwrap();
            assert_eq!(count.to_string(), shown);
            assert!(count.holds(holding) && !count.holds(failing), "{typed}");
        }
        for typed in [
            "",
            "/a/",
            "/a/>=",
            "10",
            "/a/>=-1",
            "/a/>=99999999999999999999",
        ] {
            assert!(typed.parse::<ExpectedCount>().is_err(), "{typed}");
        }
    }

    #[test]
    fn keys_are_shown_as_they_can_be_typed() {
        for key in [b"/a/b".as_slice(), b"\xff\0", b"a\nb"] {
            assert_eq!(parse_key(&shown(key)).unwrap(), key);
        }
    }
}
