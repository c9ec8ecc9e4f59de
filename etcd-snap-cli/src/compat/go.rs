//! Forms that Go gives to values: what its parsers take, how they refuse, and how its printers write.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

/// `strconv.ParseBool`.
pub(crate) fn parse_bool(text: &str) -> Result<bool, String> {
    crate::values::boolean(text)
        .map_err(|_| format!("strconv.ParseBool: parsing {}: invalid syntax", quote(text)))
}

/// `strconv.ParseInt(text, 0, 64)`: prefixes `0x`, `0o`, `0b` and underscores are allowed.
pub(crate) fn parse_int(text: &str) -> Result<i64, String> {
    let refuse = |why: &str| Err(format!("strconv.ParseInt: parsing {}: {why}", quote(text)));
    let (negative, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) => (text.starts_with('-'), digits),
        None => (false, text),
    };
    match magnitude(digits) {
        None => refuse("invalid syntax"),
        Some(magnitude) => {
            let signed = i128::from(magnitude.unwrap_or(u64::MAX)) * if negative { -1 } else { 1 };
            match i64::try_from(signed) {
                Ok(number) if magnitude.is_some() => Ok(number),
                _ => refuse("value out of range"),
            }
        }
    }
}

/// `strconv.ParseInt(text, 16, 64)`: digits only.
pub(crate) fn parse_hex(text: &str) -> Result<i64, String> {
    let refuse = |why: &str| Err(format!("strconv.ParseInt: parsing {}: {why}", quote(text)));
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return refuse("invalid syntax");
    }
    i64::from_str_radix(text, 16).or_else(|_| refuse("value out of range"))
}

/// `strconv.ParseInt(text, 10, 64)` of a text without a sign.
pub(crate) fn parse_decimal(text: &str) -> Result<u64, String> {
    let refuse = |why: &str| Err(format!("strconv.ParseInt: parsing {}: {why}", quote(text)));
    if text.is_empty() || !text.bytes().all(|digit| digit.is_ascii_digit()) {
        return refuse("invalid syntax");
    }
    let number = text.parse().ok().filter(|n| i64::try_from(*n).is_ok());
    number.map_or_else(|| refuse("value out of range"), Ok)
}

/// `strconv.ParseUint(text, 0, 64)`.
pub(crate) fn parse_uint(text: &str) -> Result<u64, String> {
    let refuse = |why: &str| Err(format!("strconv.ParseUint: parsing {}: {why}", quote(text)));
    match magnitude(text) {
        None => refuse("invalid syntax"),
        Some(None) => refuse("value out of range"),
        Some(Some(number)) => Ok(number),
    }
}

/// `None` for what is no number; `Some(None)` for one that is too large.
fn magnitude(text: &str) -> Option<Option<u64>> {
    let lower = text.to_ascii_lowercase();
    let (radix, digits) = [("0x", 16), ("0o", 8), ("0b", 2)]
        .into_iter()
        .find_map(|(prefix, radix)| Some((radix, lower.strip_prefix(prefix)?)))
        .or_else(|| {
            let octal = lower.strip_prefix('0').filter(|rest| !rest.is_empty())?;
            Some((8, octal))
        })
        .unwrap_or((10, &lower));
    let prefixed = digits.len() < lower.len();
    let underscores_fit =
        !digits.ends_with('_') && !digits.contains("__") && (prefixed || !digits.contains('_'));
    let plain: String = digits.chars().filter(|c| *c != '_').collect();
    if plain.is_empty() || !underscores_fit || !plain.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    Some(u64::from_str_radix(&plain, radix).ok())
}

/// `time.ParseDuration`, of times that are not negative: the sign is read and what is below nothing is nothing.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("time: invalid duration {}", quote(text));
    let (negative, mut rest) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut nanoseconds = 0f64;
    while !rest.is_empty() {
        let number = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (value, behind) = rest.split_at(number);
        let value: f64 = value.parse().map_err(|_| invalid())?;
        let unit = behind
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit);
        nanoseconds += value
            * match unit {
                "ns" => 1.0,
                "us" | "µs" | "μs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3600e9,
                "" => return Err(format!("time: missing unit in duration {}", quote(text))),
                _ => {
                    return Err(format!(
                        "time: unknown unit {} in duration {}",
                        quote(unit),
                        quote(text)
                    ));
                }
            };
        rest = behind;
    }
    if nanoseconds > i64::MAX as f64 {
        return Err(invalid());
    }
    Ok(if negative {
        Duration::ZERO
    } else {
        Duration::from_nanos(nanoseconds as u64)
    })
}

/// `time.Duration.String`: `1m30s`, `59.37ms`, `0s`.
pub(crate) fn duration(time: Duration) -> String {
    let nanoseconds = time.as_nanos();
    let fraction = |unit: u128, name: &str| {
        let mut text = format!("{}", nanoseconds / unit);
        let rest = nanoseconds % unit;
        if rest > 0 {
            let width = unit.ilog10() as usize;
            let digits = format!("{rest:0width$}");
            let _ = write!(text, ".{}", digits.trim_end_matches('0'));
        }
        text + name
    };
    match nanoseconds {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanoseconds}ns"),
        1_000..1_000_000 => fraction(1_000, "µs"),
        1_000_000..1_000_000_000 => fraction(1_000_000, "ms"),
        _ => {
            let minutes = time.as_secs() / 60;
            let below = Duration::from_nanos(
                u64::try_from(nanoseconds % 60_000_000_000).unwrap_or_default(),
            );
            let seconds = {
                let mut text = below.as_secs().to_string();
                let rest = below.subsec_nanos();
                if rest > 0 {
                    let _ = write!(text, ".{}", format!("{rest:09}").trim_end_matches('0'));
                }
                text + "s"
            };
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    }
}

/// `%q` of a text.
pub(crate) fn quote(text: &str) -> String {
    quote_bytes(text.as_bytes())
}

/// `%q` of a Go string, which may hold any bytes.
pub(crate) fn quote_bytes(bytes: &[u8]) -> String {
    let mut quoted = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' => quoted.push_str("\\\""),
                '\\' => quoted.push_str("\\\\"),
                '\u{7}' => quoted.push_str("\\a"),
                '\u{8}' => quoted.push_str("\\b"),
                '\u{c}' => quoted.push_str("\\f"),
                '\n' => quoted.push_str("\\n"),
                '\r' => quoted.push_str("\\r"),
                '\t' => quoted.push_str("\\t"),
                '\u{b}' => quoted.push_str("\\v"),
                '\0'..' ' | '\u{7f}' => {
                    let _ = write!(quoted, "\\x{:02x}", u32::from(character));
                }
                _ if is_printable(character) => quoted.push(character),
                _ if u32::from(character) < 0x1_0000 => {
                    let _ = write!(quoted, "\\u{:04x}", u32::from(character));
                }
                _ => {
                    let _ = write!(quoted, "\\U{:08x}", u32::from(character));
                }
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(quoted, "\\x{byte:02x}");
        }
    }
    quoted.push('"');
    quoted
}

/// `strconv.IsPrint`: letters, marks, numbers, punctuation, symbols, and of all blanks only the usual one. Rust's debug form
/// has the same rule; a mark is escaped there only where a text begins with it.
fn is_printable(character: char) -> bool {
    if character.is_ascii() {
        return character == ' ' || character.is_ascii_graphic();
    }
    let mut text = [b'a'; 5];
    let length = character.encode_utf8(&mut text[1..]).len();
    let text = str::from_utf8(&text[..=length]).unwrap_or_default();
    text.escape_debug().nth(1) == Some(character)
}

/// What the system says of a failure, as Go writes it: `no such file or directory`.
pub(crate) fn system(error: &io::Error) -> String {
    let text = error.to_string();
    let words = match text.split_once(" (os error ") {
        Some((words, _)) => words,
        None => &text,
    };
    let mut characters = words.chars();
    match (characters.next(), error.raw_os_error()) {
        // `Input/output error` is `input/output error`.
        (Some(first), Some(_)) => first.to_lowercase().chain(characters).collect(),
        _ => words.to_owned(),
    }
}

/// `os.PathError`: `open x.db: no such file or directory`.
pub(crate) fn path_error(doing: &str, path: &std::path::Path, error: &io::Error) -> String {
    format!("{doing} {}: {}", path.display(), system(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_with_their_prefixes() {
        for (text, number) in [
            ("0", 0),
            ("-12", -12),
            ("0x1f", 31),
            ("0b101", 5),
            ("0o17", 15),
            ("017", 15),
            ("0x_ff", 255),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(parse_int(text), Ok(number), "{text}");
        }
        for text in ["", "x", "1_000", "1.5", "0x", "08", "--1"] {
            let expected = format!("strconv.ParseInt: parsing {text:?}: invalid syntax");
            assert_eq!(parse_int(text), Err(expected));
        }
        for text in ["9223372036854775808", "99999999999999999999999"] {
            let expected = format!("strconv.ParseInt: parsing {text:?}: value out of range");
            assert_eq!(parse_int(text), Err(expected));
        }
        assert_eq!(parse_uint("18446744073709551615"), Ok(u64::MAX));
        assert_eq!(
            parse_uint("-1"),
            Err("strconv.ParseUint: parsing \"-1\": invalid syntax".to_owned())
        );
    }

    #[test]
    fn times_are_read_and_written_as_go_does() {
        for (text, nanoseconds, written) in [
            ("5s", 5_000_000_000, "5s"),
            ("1m30s", 90_000_000_000, "1m30s"),
            ("1.5h", 5_400_000_000_000, "1h30m0s"),
            ("59.37ms", 59_370_000, "59.37ms"),
            ("10us", 10_000, "10µs"),
            ("0", 0, "0s"),
            ("1h", 3_600_000_000_000, "1h0m0s"),
            ("1.05s", 1_050_000_000, "1.05s"),
        ] {
            let time = Duration::from_nanos(nanoseconds);
            assert_eq!(parse_duration(text), Ok(time), "{text}");
            assert_eq!(duration(time), written, "{text}");
        }
        for (text, error) in [
            ("5", "time: missing unit in duration \"5\""),
            ("5x", "time: unknown unit \"x\" in duration \"5x\""),
            ("", "time: invalid duration \"\""),
            ("soon", "time: invalid duration \"soon\""),
        ] {
            assert_eq!(parse_duration(text), Err(error.to_owned()));
        }
    }

    #[test]
    fn quoted_text_is_readable_and_complete() {
        for (bytes, quoted) in [
            (&b"k1"[..], r#""k1""#),
            (b"a\"b\\c\n\0", r#""a\"b\\c\n\x00""#),
            ("ü\u{2028}\u{1f600}".as_bytes(), "\"ü\\u2028\u{1f600}\""),
            // A mark, a soft hyphen, a blank that is none, what is nobody's, and what is private.
            (
                "\u{301}\u{ad}\u{a0}\u{378}\u{e000}".as_bytes(),
                "\"\u{301}\\u00ad\\u00a0\\u0378\\ue000\"",
            ),
            (b"\xff\xfea", r#""\xff\xfea""#),
            (b"it's", r#""it's""#),
        ] {
            assert_eq!(quote_bytes(bytes), quoted);
        }
    }
}
