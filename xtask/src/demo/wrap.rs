//! Lines that fit: running text, and commands that a shell still reads as one.

/// Breaks text between words so that no line is wider than `width`; a word that is wider stays whole. Spaces in the middle
/// of a line stay as they are.
pub(super) fn text(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut column = 0;
    for (place, word) in text.split(' ').enumerate() {
        let length = word.chars().count();
        if place > 0 {
            if column + 1 + length > width && !line.trim().is_empty() {
                lines.push(line.trim_end().to_owned());
                line = String::new();
                column = 0;
            } else {
                line.push(' ');
                column += 1;
            }
        }
        line.push_str(word);
        column += length;
    }
    lines.push(line);
    lines
}

/// Breaks a command into lines that end with a backslash, before flags where possible. The lines after the first one get
/// `indent` spaces.
pub(super) fn command(words: &[String], width: usize, indent: usize) -> Vec<String> {
    const BACKSLASH: &str = " \\";
    let room = width.saturating_sub(BACKSLASH.len());
    let mut lines = Vec::new();
    let mut line = String::new();
    for group in groups(words) {
        let joined = group.join(" ");
        // A flag stays with its value unless they are wider than a line together.
        let pieces = if indent + joined.chars().count() > room {
            group
        } else {
            vec![joined]
        };
        for piece in pieces {
            if line.is_empty() {
                line = piece;
            } else if line.chars().count() + 1 + piece.chars().count() > room {
                lines.push(line + BACKSLASH);
                line = " ".repeat(indent) + &piece;
            } else {
                line.push(' ');
                line.push_str(&piece);
            }
        }
    }
    lines.push(line);
    lines
}

/// The words, each flag together with its value.
fn groups(words: &[String]) -> Vec<Vec<String>> {
    let mut groups: Vec<Vec<String>> = Vec::new();
    for word in words {
        match groups.last_mut() {
            Some(group) if group.len() == 1 && is_flag(&group[0]) && !is_flag(word) => {
                group.push(word.clone());
            }
            _ => groups.push(vec![word.clone()]),
        }
    }
    groups
}

fn is_flag(word: &str) -> bool {
    word.starts_with('-')
}

/// A word as a shell takes it. The one thing that stays open is a variable, which is there to be read by the shell.
pub(super) fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "$_-./:=,@%+".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &str) -> Vec<String> {
        command.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn text_breaks_between_words_and_keeps_its_columns() {
        assert_eq!(text("one two three", 8), ["one two", "three"]);
        assert_eq!(
            text("keys      226 (298 records)", 80),
            ["keys      226 (298 records)"]
        );
        assert_eq!(text("  a-long-word b", 5), ["  a-long-word", "b"]);
        assert_eq!(text("", 5), [""]);
    }

    #[test]
    fn commands_break_before_flags() {
        assert_eq!(
            command(
                &words("save a.db --cacert a.crt --cert b.crt --key b.key"),
                30,
                4
            ),
            [
                "save a.db --cacert a.crt \\",
                "    --cert b.crt --key b.key"
            ]
        );
    }

    #[test]
    fn a_flag_leaves_its_value_only_when_a_line_is_too_narrow_for_both() {
        assert_eq!(
            command(
                &words("restore --advertise https://127.0.0.1:2380 --x y"),
                26,
                4
            ),
            [
                "restore --advertise \\",
                "    https://127.0.0.1:2380 \\",
                "    --x y"
            ]
        );
    }

    #[test]
    fn words_are_quoted_for_the_shell_where_it_needs_it() {
        assert_eq!(
            quoted("m1=https://127.0.0.1:2380"),
            "m1=https://127.0.0.1:2380"
        );
        assert_eq!(quoted("$PEERS"), "$PEERS");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
