//! JSON as Go's `encoding/json` writes it: the bytes go into files that are compared with Go's.

use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

/// `json.Marshal`: no spaces, `<`, `>`, `&`, U+2028 and U+2029 escaped in strings (`HTMLEscape`).
pub(crate) fn to_go_json<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut bytes, Go))?;
    Ok(bytes)
}

struct Go;

impl Formatter for Go {
    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let escaped = |c| matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}');
        for piece in fragment.split_inclusive(escaped) {
            match piece.chars().next_back().filter(|&c| escaped(c)) {
                Some(c) => {
                    let plain = piece.strip_suffix(c).unwrap_or_default();
                    CompactFormatter.write_string_fragment(writer, plain)?;
                    write!(writer, "\\u{:04x}", u32::from(c))?;
                }
                None => CompactFormatter.write_string_fragment(writer, piece)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::to_go_json;

    #[test]
    fn strings_are_escaped_as_go_escapes_them() {
        let text = "a<b>&\u{2028}\u{2029}\"\\\n\r\t\u{8}\u{c}\u{1}\u{7f}é/";
        assert_eq!(
            String::from_utf8(to_go_json(text).unwrap()).unwrap(),
            "\"a\\u003cb\\u003e\\u0026\\u2028\\u2029\\\"\\\\\\n\\r\\t\\b\\f\\u0001\u{7f}é/\""
        );
    }

    #[test]
    fn what_is_written_reads_back() {
        let text = "<<&&>\u{2028}x";
        let bytes = to_go_json(text).unwrap();
        assert_eq!(serde_json::from_slice::<String>(&bytes).unwrap(), text);
    }
}
