//! Values as Go reads them.

use super::flags::Kind;

/// A boolean as Go's `strconv.ParseBool` reads it.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A whole number as Go's flags read it: `0x`, `0o`, `0b`, a leading 0 for octal, and `_` between digits.
pub(crate) fn number(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) => (text.starts_with('-'), digits),
        None => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = if let Some(digits) = lower.strip_prefix("0x") {
        (16, digits)
    } else if let Some(digits) = lower.strip_prefix("0b") {
        (2, digits)
    } else if let Some(digits) = lower.strip_prefix("0o") {
        (8, digits)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, lower.get(1..)?)
    } else {
        (10, lower.as_str())
    };
    if !digits.starts_with(|c: char| c.is_digit(radix)) {
        return None;
    }
    // As in Go's own code, `_` may stand between digits.
    if digits.ends_with('_') || digits.contains("__") {
        return None;
    }
    let digits = digits.replace('_', "");
    let number = i128::from_str_radix(&digits, radix).ok()?;
    Some(if negative { -number } else { number })
}

/// Whether Go's `time.ParseDuration` takes it.
pub(crate) fn is_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let unit = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let amount = rest.strip_suffix(unit).unwrap_or_default();
        if amount.parse::<f64>().is_err() {
            return false;
        }
        let units = ["ns", "us", "µs", "μs", "ms", "s", "m", "h"];
        let name = unit
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .and_then(|end| unit.get(..end))
            .unwrap_or(unit);
        if !units.contains(&name) {
            return false;
        }
        rest = unit.strip_prefix(name).unwrap_or_default();
    }
    true
}

/// What is wrong with the value of a flag; `None`: etcd takes it. URLs are another matter.
pub(crate) fn problem(kind: Kind, value: &str) -> Option<&'static str> {
    let fits = match kind {
        Kind::Text | Kind::List | Kind::Urls | Kind::Ignored => true,
        Kind::Switch => boolean(value).is_some(),
        Kind::Unsigned => {
            !value.starts_with(['-', '+'])
                && number(value).is_some_and(|number| u64::try_from(number).is_ok())
        }
        Kind::Signed => number(value).is_some_and(|number| i64::try_from(number).is_ok()),
        Kind::Duration => is_duration(value),
    };
    (!fits).then_some(match kind {
        Kind::Switch => "is neither true nor false",
        Kind::Duration => "is no duration like 5s or 1m30s",
        Kind::Unsigned => "is no whole number from 0",
        _ => "is no whole number",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_those_of_go() {
        for text in ["1", "t", "T", "true", "TRUE", "True"] {
            assert_eq!(boolean(text), Some(true), "{text}");
        }
        for text in ["0", "f", "F", "false", "FALSE", "False"] {
            assert_eq!(boolean(text), Some(false), "{text}");
        }
        for text in ["", "yes", "on", "tRUE", " true", "truE"] {
            assert_eq!(boolean(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_those_of_go() {
        for (text, expected) in [
            ("0", Some(0)),
            ("8589934592", Some(8_589_934_592)),
            ("-1", Some(-1)),
            ("0x10", Some(16)),
            ("010", Some(8)),
            ("0b11", Some(3)),
            ("0x1_0", Some(16)),
            ("1_000", Some(1000)),
            ("1__0", None),
            ("_1", None),
            ("1_", None),
            ("8G", None),
            ("", None),
            ("-", None),
            ("--1", None),
            ("100 # ms", None),
        ] {
            assert_eq!(number(text), expected, "{text}");
        }
    }

    #[test]
    fn durations_are_those_of_go() {
        for text in [
            "0",
            "5s",
            "1m30s",
            "1.5h",
            "100ms",
            "-1s",
            "5µs",
            "1h2m3s4ms",
        ] {
            assert!(is_duration(text), "{text}");
        }
        for text in ["", "5", "5 s", "s", "1d", "1.2.3s", "5sm", "m5"] {
            assert!(!is_duration(text), "{text}");
        }
    }

    #[test]
    fn a_value_of_another_kind_is_a_problem() {
        for (kind, value, fits) in [
            (Kind::Unsigned, "5000", true),
            (Kind::Unsigned, "-1", false),
            (Kind::Signed, "-1", true),
            (Kind::Signed, "8GB", false),
            (Kind::Switch, "True", true),
            (Kind::Switch, "yes", false),
            (Kind::Duration, "5000000000", false),
            (Kind::Text, "", true),
        ] {
            assert_eq!(problem(kind, value).is_none(), fits, "{kind:?} {value}");
        }
    }
}
