//! Log lines on standard error, in the forms that zap gives them: scripts look for them.

use std::time::SystemTime;

use serde_json::Value;

use super::dialect::{Dialect, Tool};
use crate::journal;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `{"level":"info","ts":1795174011.722435,...}`
    JsonEpoch,
    /// `{"level":"info","ts":"2026-11-20T11:24:38.826206Z",...}`
    Json,
    /// `2026-11-20T11:25:56Z info restored snapshot {...}`, with tabs
    Console,
}

/// Where log lines go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Log {
    form: Form,
    /// The library's name in the line, where it has one.
    logger: Option<&'static str>,
}

/// Values of a line, in their order.
pub(crate) type Fields<'a> = &'a [(&'a str, Value)];

impl Log {
    /// What a command that speaks with a server writes.
    pub(crate) fn online(dialect: Dialect) -> Self {
        Self {
            form: match dialect {
                Dialect::V3_4 => Form::JsonEpoch,
                _ => Form::Json,
            },
            logger: None,
        }
    }

    /// What the client library writes under that name: its lines had readable times from the start.
    pub(crate) fn client(dialect: Dialect, name: &'static str) -> Self {
        Self {
            form: Form::Json,
            logger: Some(name).filter(|_| dialect > Dialect::V3_4),
        }
    }

    /// What a command that works on files writes.
    pub(crate) fn offline(tool: Tool, dialect: Dialect) -> Self {
        Self {
            form: match (tool, dialect) {
                (Tool::Etcdctl, Dialect::V3_4) => Form::JsonEpoch,
                _ => Form::Console,
            },
            logger: None,
        }
    }

    pub(crate) fn info(&self, caller: &str, message: &str, fields: Fields<'_>) {
        self.write("info", caller, message, fields);
    }

    pub(crate) fn warn(&self, caller: &str, message: &str, fields: Fields<'_>) {
        self.write("warn", caller, message, fields);
    }

    pub(crate) fn error(&self, caller: &str, message: &str, fields: Fields<'_>) {
        self.write("error", caller, message, fields);
    }

    fn write(&self, level: &str, caller: &str, message: &str, fields: Fields<'_>) {
        let line = self.line(SystemTime::now(), level, caller, message, fields);
        journal::plain(&line);
    }

    fn line(
        &self,
        now: SystemTime,
        level: &str,
        caller: &str,
        message: &str,
        fields: Fields<'_>,
    ) -> String {
        let pair = |name: &str, value: &Value, between: &str| {
            format!("{}:{between}{value}", Value::from(name))
        };
        let (time, between) = match self.form {
            Form::JsonEpoch => {
                let since = now
                    .duration_since(SystemTime::UNIX_EPOCH)
                    .unwrap_or_default();
                (Value::from(since.as_secs_f64()), "")
            }
            Form::Json => (
                Value::from(humantime::format_rfc3339_micros(now).to_string()),
                "",
            ),
            Form::Console => (
                Value::from(humantime::format_rfc3339_seconds(now).to_string()),
                " ",
            ),
        };
        let fields = fields
            .iter()
            .map(|(name, value)| pair(name, value, between));
        if self.form == Form::Console {
            let time = time.as_str().unwrap_or_default();
            let mut line = format!("{time}\t{level}\t{caller}\t{message}");
            let fields: Vec<String> = fields.collect();
            if !fields.is_empty() {
                line.push_str(&format!("\t{{{}}}", fields.join(", ")));
            }
            return line + "\n";
        }
        let mut pairs = vec![pair("level", &level.into(), ""), pair("ts", &time, "")];
        if let Some(logger) = self.logger {
            pairs.push(pair("logger", &logger.into(), ""));
        }
        pairs.push(pair("caller", &caller.into(), ""));
        pairs.push(pair("msg", &message.into(), ""));
        pairs.extend(fields);
        format!("{{{}}}\n", pairs.join(","))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn lines_have_the_form_of_their_time() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_micros(1_795_174_011_722_435);
        let fields = [("path", Value::from("s.db")), ("size", Value::from(20))];
        for (log, line) in [
            (
                Log::online(Dialect::V3_4),
                r#"{"level":"info","ts":1795174011.722435,"caller":"a.go","msg":"saved","path":"s.db","size":20}"#,
            ),
            (
                Log::online(Dialect::V3_6),
                r#"{"level":"info","ts":"2026-11-20T11:26:51.722435Z","caller":"a.go","msg":"saved","path":"s.db","size":20}"#,
            ),
            (
                Log::offline(Tool::Etcdutl, Dialect::V3_6),
                "2026-11-20T11:26:51Z\tinfo\ta.go\tsaved\t{\"path\": \"s.db\", \"size\": 20}",
            ),
        ] {
            assert_eq!(
                log.line(now, "info", "a.go", "saved", &fields),
                format!("{line}\n")
            );
        }
    }
}
