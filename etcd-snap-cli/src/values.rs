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

#[cfg(test)]
mod tests {
    use super::*;

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
