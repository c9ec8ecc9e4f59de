//! JSON as Go's encoding/json writes it: `<`, `>` and `&` are escaped, bytes are base64, empty fields are left out.

use std::fmt::{Display, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// An object whose fields are left out when they hold nothing (`omitempty`), except where it says `always`.
pub(super) struct Object(String);

impl Object {
    pub(super) fn new() -> Self {
        Self("{".to_owned())
    }

    /// A field that is there in any case, with a value that is JSON already.
    pub(super) fn always(&mut self, name: &str, value: impl Display) -> &mut Self {
        let comma = if self.0.len() > 1 { "," } else { "" };
        let _ = write!(self.0, "{comma}\"{name}\":{value}");
        self
    }

    pub(super) fn number<N: Display + Default + PartialEq>(
        &mut self,
        name: &str,
        number: N,
    ) -> &mut Self {
        match number == N::default() {
            true => self,
            false => self.always(name, number),
        }
    }

    pub(super) fn flag(&mut self, name: &str, flag: bool) -> &mut Self {
        match flag {
            true => self.always(name, true),
            false => self,
        }
    }

    pub(super) fn text(&mut self, name: &str, text: &str) -> &mut Self {
        match text {
            "" => self,
            text => self.always(name, string(text)),
        }
    }

    pub(super) fn bytes(&mut self, name: &str, bytes: &[u8]) -> &mut Self {
        match bytes {
            [] => self,
            bytes => self.always(name, format_args!("\"{}\"", STANDARD.encode(bytes))),
        }
    }

    pub(super) fn texts(&mut self, name: &str, texts: &[String]) -> &mut Self {
        let texts: Vec<String> = texts.iter().map(|text| string(text)).collect();
        self.list(name, &texts)
    }

    /// Values that are JSON already.
    pub(super) fn list(&mut self, name: &str, values: &[String]) -> &mut Self {
        match values {
            [] => self,
            values => self.always(name, list(values)),
        }
    }

    pub(super) fn object(&mut self, name: &str, object: Option<String>) -> &mut Self {
        match object {
            None => self,
            Some(object) => self.always(name, object),
        }
    }

    pub(super) fn end(&self) -> String {
        format!("{}}}", self.0)
    }
}

pub(super) fn list(values: &[String]) -> String {
    format!("[{}]", values.join(","))
}

/// A list of texts, and `null` for the one that Go takes for none.
pub(super) fn texts_or_null(texts: &[String]) -> String {
    match texts {
        [] => "null".to_owned(),
        texts => list(&texts.iter().map(|text| string(text)).collect::<Vec<_>>()),
    }
}

pub(super) fn string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\0'..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(character));
            }
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_as_go_does() {
        for (text, quoted) in [
            ("a\"\\/", r#""a\"\\/""#),
            ("<&>", r#""\u003c\u0026\u003e""#),
            (
                "\n\t\u{1}\u{7f}\u{2028}ü",
                "\"\\n\\t\\u0001\u{7f}\\u2028ü\"",
            ),
        ] {
            assert_eq!(string(text), quoted);
        }
    }

    #[test]
    fn what_holds_nothing_is_left_out() {
        let mut object = Object::new();
        object
            .number("a", 0)
            .text("b", "")
            .bytes("c", b"")
            .flag("d", false)
            .list("e", &[])
            .object("f", None);
        assert_eq!(object.end(), "{}");
        object
            .number("a", -1)
            .bytes("c", b"\xff\xfe\xfd")
            .texts("e", &["<".to_owned()])
            .object("f", Some("{}".to_owned()));
        assert_eq!(object.end(), r#"{"a":-1,"c":"//79","e":["\u003c"],"f":{}}"#);
    }
}
