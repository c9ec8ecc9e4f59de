//! What is taken out before two outputs are compared: times, and what only says where in the source a line was written.

use serde_json::Value;

/// A line of standard error: a log line by its level, message and fields; others as they are.
pub(crate) fn stderr(text: &str, writes: bool) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let line = log_line(line).unwrap_or_else(|| without_times(&old_log_line(line)));
        lines.push(if writes { without_numbers(&line) } else { line });
    }
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

pub(crate) fn stdout(bytes: &[u8], writes: bool) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        // The header of a protobuf answer has the revision, in as many bytes.
        return if writes {
            vec![b'N'; bytes.len()]
        } else {
            bytes.to_owned()
        };
    };
    let plain = without_times(text);
    let plain = if plain == text {
        plain
    } else {
        without_widths(&plain)
    };
    if writes {
        without_numbers(&plain)
    } else {
        plain
    }
    .into_bytes()
}

/// zap's lines, as JSON or for the console.
fn log_line(line: &str) -> Option<String> {
    let names = |fields: &serde_json::Map<String, Value>| -> Vec<String> {
        // How long it took, where in memory, Go's words for it, a port of the client, and what a defragmentation came to.
        const OWN: [&str; 5] = ["took", "target", "error", "attempt", "peer"];
        let own = |name: &str| OWN.contains(&name) || name.starts_with("current-db-size");
        const PLACE: [&str; 6] = ["level", "ts", "caller", "msg", "stacktrace", "logger"];
        let mut names: Vec<String> = fields
            .iter()
            .filter(|(name, _)| !PLACE.contains(&name.as_str()))
            .map(|(name, value)| match own(name) {
                true => name.clone(),
                false => format!("{name}={value}"),
            })
            .collect();
        names.sort();
        names
    };
    if line.starts_with('{') {
        let Value::Object(fields) = serde_json::from_str(line).ok()? else {
            return None;
        };
        let text = |name: &str| fields.get(name)?.as_str().map(ToOwned::to_owned);
        let names = names(&fields);
        let logger = text("logger").unwrap_or_default();
        let (level, message) = (text("level")?, text("msg")?);
        return Some(format!("{level} {logger} {message:?} {names:?}"));
    }
    let mut parts = line.split('\t');
    let (time, level) = (parts.next()?, parts.next()?);
    if !time.contains('T') || !["info", "warn", "error"].contains(&level) {
        return None;
    }
    let mut rest: Vec<&str> = parts.collect();
    let fields = rest.last().and_then(|last| serde_json::from_str(last).ok());
    let names = match fields {
        Some(Value::Object(fields)) => {
            rest.pop();
            names(&fields)
        }
        _ => Vec::new(),
    };
    // The caller stands before the message, and before it a logger that has a name.
    let message = rest.pop()?;
    rest.pop()?;
    let logger = rest.pop().unwrap_or_default();
    Some(format!("{level} {logger} {message:?} {names:?}"))
}

/// `2026-11-25 22:02:05.764524 C | ...`, of 3.4.
fn old_log_line(line: &str) -> String {
    match line.split_once(" | ") {
        Some((head, rest)) if head.len() == 28 && head.as_bytes()[4] == b'-' => {
            format!("{} | {rest}", &head[27..])
        }
        _ => line.to_owned(),
    }
}

/// Durations as Go writes them.
fn without_times(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        let starts = first.is_ascii_digit() && !(before.is_alphanumeric() || before == '.');
        match starts.then(|| time_length(rest)).flatten() {
            Some(length) => {
                plain.push_str("<time>");
                rest = &rest[length..];
                before = 's';
            }
            None => {
                plain.push(first);
                before = first;
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    plain
}

fn time_length(text: &str) -> Option<usize> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let unit = ["ns", "µs", "ms", "s"]
        .into_iter()
        .find(|unit| text[digits..].starts_with(unit))?;
    let end = digits + unit.len();
    let behind = text[end..].chars().next();
    (!behind.is_some_and(char::is_alphanumeric)).then_some(end)
}

/// A table is as wide as the times in it.
fn without_widths(text: &str) -> String {
    let mut plain = String::new();
    for character in text.chars() {
        let repeats = plain.ends_with(character) && matches!(character, ' ' | '-' | '─');
        if !repeats {
            plain.push(character);
        }
    }
    plain
}

fn without_numbers(text: &str) -> String {
    let mut plain = String::new();
    for character in text.chars() {
        let digit = character.is_ascii_digit();
        match (digit, plain.ends_with('N')) {
            (true, true) => {}
            (true, false) => plain.push('N'),
            (false, _) => plain.push(character),
        }
    }
    plain
}

#[test]
fn only_times_and_places_are_taken_out() {
    assert_eq!(
        without_times("took = 1.5ms, 3.5.30, \"59.37ms\" k3s 5 s 12s"),
        "took = <time>, 3.5.30, \"<time>\" k3s 5 s <time>"
    );
    let json = r#"{"level":"info","ts":"x","caller":"a.go:1","msg":"saved","path":"s.db"}"#;
    let console = "2026-11-20T11:25:56Z\tinfo\ta/b.go:1\tsaved\t{\"path\": \"s.db\"}";
    assert_eq!(stderr(json, false), stderr(console, false));
    assert_ne!(
        stderr(json, false),
        stderr(&json.replace("path", "paths"), false)
    );
    assert_eq!(
        stderr("2026-11-25 21:43:56.250470 C | pkg/flags: x", false),
        ["C | pkg/flags: x"]
    );
}
