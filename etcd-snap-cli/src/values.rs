//! Values of flags in the forms that etcdctl takes.

use std::time::Duration;

/// What Go's `strconv.ParseBool` takes: scripts hand such values over in variables.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("write true or false".into()),
    }
}

/// A time to wait: `5s`, `1m30s`, `500ms`.
pub(crate) fn waiting_time(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if !time.is_zero() => Ok(time),
        Ok(_) => Err("it must be longer than nothing".into()),
        Err(_) => Err("write it like 10s or 1m30s".into()),
    }
}

/// A number of bytes: `2147483648`, `8GiB`, `500M`. Without an `i`, units are those of 1000.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let refused = || "write it in bytes, or like 8GiB".to_owned();
    let unit = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(unit.unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| refused())?;
    let unit = unit.trim_end_matches(['B', 'b']).to_ascii_uppercase();
    let (letter, base) = match unit.strip_suffix('I') {
        Some(letter) => (letter, 1024_u64),
        None => (unit.as_str(), 1000),
    };
    let power = match letter {
        "" if base == 1000 => 0,
        "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        _ => return Err(refused()),
    };
    base.checked_pow(power)
        .and_then(|unit| number.checked_mul(unit))
        .ok_or_else(|| "it is too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_of_1000_and_of_1024() {
        for (text, bytes) in [
            ("2147483648", 2 << 30),
            ("8GiB", 8 << 30),
            ("8gib", 8 << 30),
            ("8Gi", 8 << 30),
            ("8GB", 8_000_000_000),
            ("500M", 500_000_000),
            ("1TiB", 1 << 40),
            ("1k", 1000),
            ("7B", 7),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "G",
            "8 G",
            "-1",
            "1.5G",
            "8iB",
            "8GG",
            "8X",
            "20000000TiB",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_written_as_in_go() {
        for (text, milliseconds) in [
            ("5s", 5_000),
            ("1m30s", 90_000),
            ("500ms", 500),
            ("2h", 7_200_000),
        ] {
            assert_eq!(
                waiting_time(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        for text in ["0", "0s", "", "5", "soon", "-5s"] {
            assert!(waiting_time(text).is_err(), "{text}");
        }
    }
}
