//! Text for people: sizes, times, and nothing that a terminal would obey.

use std::fmt::Write as _;
use std::time::Duration;

use console::Term;

/// Bytes in SI units, with the digits that etcd's tools show: `20 kB`, `1.5 MB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 10 {
        return format!("{bytes} B");
    }
    let power = bytes.ilog10() / 3;
    let unit = UNITS.get(power as usize).unwrap_or(&"EB");
    let value = (bytes as f64 / 1000f64.powi(power as i32) * 10.0 + 0.5).floor() / 10.0;
    let digits = usize::from(value < 10.0);
    format!("{value:.digits$} {unit}")
}

/// `0.3 s`, `12 s`, `3 min 20 s`, `1 h 2 min`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// `12 s left`, `3 min left`, `1 h 2 min left`: no more digits than a guess has.
pub(crate) fn time_left(time: Duration) -> String {
    let seconds = time.as_secs_f64().ceil() as u64;
    let minutes = seconds / 60;
    match seconds {
        0..60 => format!("{seconds} s left"),
        60..3600 => format!("{minutes} min left"),
        _ => format!("{} h {} min left", minutes / 60, minutes % 60),
    }
}

/// `1 key`, `2 keys`.
pub(crate) fn count(number: u64, one: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {one}{plural}")
}

/// The text with control characters written out: file names, and what a damaged file says of itself, are not to steer
/// the terminal.
pub(crate) fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            let _ = write!(visible, "{}", character.escape_default());
        } else {
            visible.push(character);
        }
    }
    visible
}

/// Breaks lines between words, for a terminal of this width; without one, the text stays as it is. A word that is too
/// long stays whole. All lines but the first begin with that many blanks.
pub(crate) fn wrap(text: &str, width: Option<usize>, indent: usize) -> String {
    let Some(width) = width else {
        return text.to_owned();
    };
    let mut lines = String::with_capacity(text.len());
    let mut column = 0;
    for (n, word) in text.split(' ').enumerate() {
        let length = console::measure_text_width(word);
        if column > indent && column + 1 + length > width {
            let _ = write!(lines, "\n{:indent$}", "");
            column = indent;
        } else if n > 0 {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += length;
    }
    lines
}

/// Columns of a terminal; `None` where the stream goes elsewhere.
pub(crate) fn width(terminal: &Term) -> Option<usize> {
    terminal
        .size_checked()
        .map(|(_, columns)| usize::from(columns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_etcd() {
        for (bytes, text) in [
            (0, "0 B"),
            (9, "9 B"),
            (82, "82 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (1_536, "1.5 kB"),
            (20_480, "20 kB"),
            (999_999, "1000 kB"),
            (1_000_000, "1.0 MB"),
            (2_147_483_648, "2.1 GB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn times_have_the_digits_that_matter() {
        for (milliseconds, text) in [
            (5, "0.0 s"),
            (320, "0.3 s"),
            (12_900, "12 s"),
            (200_000, "3 min 20 s"),
            (3_720_000, "1 h 2 min"),
        ] {
            assert_eq!(duration(Duration::from_millis(milliseconds)), text);
        }
    }

    #[test]
    fn a_guess_has_few_digits() {
        for (milliseconds, text) in [
            (10, "1 s left"),
            (59_000, "59 s left"),
            (119_000, "1 min left"),
            (3_720_000, "1 h 2 min left"),
        ] {
            assert_eq!(time_left(Duration::from_millis(milliseconds)), text);
        }
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(
            wrap("one two three-and-more", Some(8), 0),
            "one two\nthree-and-more"
        );
        assert_eq!(wrap("one two", Some(7), 0), "one two");
        assert_eq!(wrap("one two", None, 0), "one two");
        assert_eq!(
            wrap("  one two three", Some(7), 4),
            "  one\n    two\n    three"
        );
    }
}
