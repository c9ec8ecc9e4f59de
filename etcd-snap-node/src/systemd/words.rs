//! Words of a unit file: split at blanks, with quotes and C escapes, as systemd does it. No shell is involved.

/// A quotation that nobody ends, or an escape that is none where that matters: systemd ignores the rest of the line then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unbalanced;

/// What a backslash does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escapes {
    /// C escapes; one that is not known stays as it is written.
    C,
    /// C escapes, and no others.
    StrictC,
    /// It is taken away, and what follows is taken as it is.
    Plain,
}

/// Takes the first word off a text; `None` where there is none left.
pub(super) fn first(text: &mut &str, escapes: Escapes) -> Result<Option<String>, Unbalanced> {
    Ok(take(text, escapes)?.map(|(word, _)| word))
}

/// Takes the first word off a text; with it, how it was written.
fn take<'a>(text: &mut &'a str, escapes: Escapes) -> Result<Option<(String, &'a str)>, Unbalanced> {
    *text = text.trim_start_matches(is_blank);
    if text.is_empty() {
        return Ok(None);
    }
    let mut word = Vec::new();
    let mut quote = None;
    let mut rest = text.chars();
    let mut written = *text;
    while let Some(c) = rest.next() {
        match (c, quote) {
            ('\\', _) => match escapes {
                // Outside of quotes one at the end stays.
                Escapes::C if rest.as_str().is_empty() && quote.is_none() => word.push(b'\\'),
                Escapes::C => unescape(&mut rest, &mut word, false)?,
                Escapes::StrictC => unescape(&mut rest, &mut word, true)?,
                Escapes::Plain => match rest.next() {
                    Some(next) => push(&mut word, next),
                    None => word.push(b'\\'),
                },
            },
            (_, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => quote = Some(c),
            (_, None) if is_blank(c) => {
                let length = text.len() - rest.as_str().len() - c.len_utf8();
                written = text.get(..length).unwrap_or_default();
                break;
            }
            _ => push(&mut word, c),
        }
    }
    // The value of a variable is split with leniency.
    if quote.is_some() && escapes != Escapes::Plain {
        return Err(Unbalanced);
    }
    *text = rest.as_str().trim_start_matches(is_blank);
    Ok(Some((String::from_utf8_lossy(&word).into_owned(), written)))
}

/// All words of a text.
pub(super) fn all(mut text: &str, escapes: Escapes) -> Result<Vec<String>, Unbalanced> {
    let mut words = Vec::new();
    while let Some(word) = first(&mut text, escapes)? {
        words.push(word);
    }
    Ok(words)
}

/// A word, and how it is written, with quotes and escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WrittenWord<'a> {
    pub(crate) word: String,
    pub(crate) written: &'a str,
}

/// All words of a text, and how they are written.
pub(super) fn written(
    mut text: &str,
    escapes: Escapes,
) -> Result<Vec<WrittenWord<'_>>, Unbalanced> {
    let mut words = Vec::new();
    while let Some((word, written)) = take(&mut text, escapes)? {
        words.push(WrittenWord { word, written });
    }
    Ok(words)
}

pub(super) fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

fn push(word: &mut Vec<u8>, c: char) {
    word.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// What follows a backslash. An end of the text is a mistake.
fn unescape(
    rest: &mut std::str::Chars<'_>,
    word: &mut Vec<u8>,
    strict: bool,
) -> Result<(), Unbalanced> {
    let all = rest.as_str();
    let c = rest.next().ok_or(Unbalanced)?;
    let simple = match c {
        'a' => Some(7),
        'b' => Some(8),
        'f' => Some(12),
        'n' => Some(b'\n'),
        'r' => Some(b'\r'),
        't' => Some(b'\t'),
        'v' => Some(11),
        's' => Some(b' '),
        '\\' | '"' | '\'' => u8::try_from(c).ok(),
        _ => None,
    };
    if let Some(byte) = simple {
        word.push(byte);
        return Ok(());
    }
    let (digits, radix) = match c {
        'x' => (all.get(1..3), 16),
        'u' => (all.get(1..5), 16),
        'U' => (all.get(1..9), 16),
        '0'..='7' => (all.get(0..3), 8),
        _ => (None, 16),
    };
    let code = digits
        .filter(|digits| digits.chars().all(|c| c.is_digit(radix)))
        .and_then(|digits| Some((digits.len(), u32::from_str_radix(digits, radix).ok()?)))
        .filter(|(_, code)| *code != 0);
    match code {
        // One byte, which need not be a character of its own.
        Some((length, code)) if matches!(c, 'x' | '0'..='7') => {
            if let Ok(byte) = u8::try_from(code) {
                word.push(byte);
                skip(rest, length - usize::from(c != 'x'));
                return Ok(());
            }
        }
        Some((length, code)) => {
            if let Some(character) = char::from_u32(code) {
                push(word, character);
                skip(rest, length);
                return Ok(());
            }
        }
        None => {}
    }
    if strict {
        return Err(Unbalanced);
    }
    word.push(b'\\');
    push(word, c);
    Ok(())
}

fn skip(rest: &mut std::str::Chars<'_>, characters: usize) {
    for _ in 0..characters {
        rest.next();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_split_at_blanks_outside_of_quotes() {
        for (text, expected) in [
            ("", vec![]),
            ("   \t ", vec![]),
            ("a b\tc", vec!["a", "b", "c"]),
            ("'a b' \"c d\"", vec!["a b", "c d"]),
            ("--name=\"m 1\"x", vec!["--name=m 1x"]),
            ("''", vec![""]),
            ("\"it's\" '\"'", vec!["it's", "\""]),
            (r#""a \"b\" c""#, vec!["a \"b\" c"]),
            (
                r"a\x20b \163 \u00e4 \U0001F600",
                vec!["a b", "s", "ä", "😀"],
            ),
            // Escapes count inside single quotes too.
            (r"'a\tb' c\sd", vec!["a\tb", "c d"]),
            (r"\\a", vec![r"\a"]),
            // What is no escape stays.
            (
                r"\d \xzz \x0 \u12 \000 \9",
                vec![r"\d", r"\xzz", r"\x0", r"\u12", r"\000", r"\9"],
            ),
            (r"\xc3\xa4", vec!["ä"]),
            ("a =\\", vec!["a", "=\\"]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(all(text, Escapes::C), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_nobody_ends_is_no_word() {
        for text in ["'a", "a \"b", r#""a\""#, "\"a\\"] {
            assert_eq!(all(text, Escapes::C), Err(Unbalanced), "{text}");
        }
        for text in [r"a\d", r"\x4", r"\000"] {
            assert!(all(text, Escapes::C).is_ok(), "{text}");
            assert_eq!(all(text, Escapes::StrictC), Err(Unbalanced), "{text}");
        }
    }

    #[test]
    fn the_value_of_a_variable_is_split_without_escapes() {
        for (text, expected) in [
            ("--a --b='c d'", vec!["--a", "--b=c d"]),
            (r"a\ b c\nd", vec!["a b", "cnd"]),
            ("a 'b c", vec!["a", "b c"]),
            ("a\\", vec!["a\\"]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(all(text, Escapes::Plain), Ok(expected), "{text}");
        }
    }

    fn quoted(word: &str) -> String {
        let escaped = word.replace('\\', r"\\").replace('"', r#"\""#);
        format!("\"{escaped}\"")
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC*|[\\\\'\" xuU0-9a-f]*") {
            let _ = all(&text, Escapes::C);
            let _ = all(&text, Escapes::Plain);
        }

        #[test]
        fn a_word_alone_is_what_it_was_among_others(text in "\\PC*|[\\\\'\" xa-c]*") {
            let Ok(words) = written(&text, Escapes::C) else {
                return Ok(());
            };
            prop_assert_eq!(
                Ok(words.iter().map(|it| it.word.clone()).collect::<Vec<_>>()),
                all(&text, Escapes::C)
            );
            for it in words {
                prop_assert_eq!(all(it.written, Escapes::C), Ok(vec![it.word]));
            }
        }

        #[test]
        fn quoted_words_come_back(words in prop::collection::vec("\\PC*|[\\\\'\" xu0-9]*", 0..5)) {
            let line = words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(all(&line, Escapes::C), Ok(words));
        }
    }
}
