//! Keys and values: `get` and `put`.

use std::fmt::Write as _;

use etcd_snap::api::Answer;
use etcd_snap::api::messages::{KeyValue, PutResponse, RangeResponse};

use super::json::{Object, list};
use super::{Look, header_json};
use crate::compat::call::{Form, unsupported};
use crate::compat::ended::Result;
use crate::compat::go;

/// What `get` prints.
pub(in crate::compat) fn got(
    look: Look,
    answer: &Answer<RangeResponse>,
    value_only: bool,
) -> Result<Vec<u8>> {
    let message = &answer.message;
    Ok(match look.form {
        Form::Simple => {
            let mut text = Vec::new();
            for pair in &message.kvs {
                lines(look, &mut text, pair, value_only);
            }
            text
        }
        Form::Json => {
            let pairs: Vec<String> = message.kvs.iter().map(json).collect();
            let mut object = Object::new();
            object.object("header", header_json(message.header.as_ref()));
            if !pairs.is_empty() {
                object.always("kvs", list(&pairs));
            }
            object
                .flag("more", message.more)
                .number("count", message.count);
            (object.end() + "\n").into_bytes()
        }
        Form::Fields => {
            let mut text = look.header(message.header.as_ref());
            for pair in &message.kvs {
                text.push_str(&fields(look, "", pair));
            }
            let (more, count) = (message.more, message.count);
            let _ = writeln!(text, "\"More\" : {more}\n\"Count\" : {count}");
            text.into_bytes()
        }
        Form::Protobuf => answer.bytes.clone(),
        Form::Table => return Err(unsupported(look.form)),
    })
}

/// What `put` prints.
pub(in crate::compat) fn put(look: Look, answer: &Answer<PutResponse>) -> Result<Vec<u8>> {
    let message = &answer.message;
    Ok(match look.form {
        Form::Simple => {
            let mut text = b"OK\n".to_vec();
            if let Some(previous) = &message.prev_kv {
                lines(look, &mut text, previous, false);
            }
            text
        }
        Form::Json => {
            let mut object = Object::new();
            object
                .object("header", header_json(message.header.as_ref()))
                .object("prev_kv", message.prev_kv.as_ref().map(json));
            (object.end() + "\n").into_bytes()
        }
        Form::Fields => {
            let mut text = look.header(message.header.as_ref());
            if let Some(previous) = &message.prev_kv {
                text.push_str(&fields(look, "Prev", previous));
            }
            text.into_bytes()
        }
        Form::Protobuf => answer.bytes.clone(),
        Form::Table => return Err(unsupported(look.form)),
    })
}

/// A line for the key and one for the value, as they are, or as `\x6b\x31`.
fn lines(look: Look, text: &mut Vec<u8>, pair: &KeyValue, value_only: bool) {
    let mut line = |bytes: &[u8]| {
        match look.hex {
            true => {
                let digits = bytes.iter().fold(String::new(), |mut digits, byte| {
                    let _ = write!(digits, "\\x{byte:02x}");
                    digits
                });
                text.extend_from_slice(digits.as_bytes());
            }
            false => text.extend_from_slice(bytes),
        }
        text.push(b'\n');
    };
    if !value_only {
        line(&pair.key);
    }
    line(&pair.value);
}

fn json(pair: &KeyValue) -> String {
    let mut object = Object::new();
    object
        .bytes("key", &pair.key)
        .number("create_revision", pair.create_revision)
        .number("mod_revision", pair.mod_revision)
        .number("version", pair.version)
        .bytes("value", &pair.value)
        .number("lease", pair.lease);
    object.end()
}

fn fields(look: Look, prefix: &str, pair: &KeyValue) -> String {
    let lease = match look.hex_ids() {
        true => format!("{:016x}", pair.lease),
        false => pair.lease.to_string(),
    };
    [
        ("Key", go::quote_bytes(&pair.key)),
        ("CreateRevision", pair.create_revision.to_string()),
        ("ModRevision", pair.mod_revision.to_string()),
        ("Version", pair.version.to_string()),
        ("Value", go::quote_bytes(&pair.value)),
        ("Lease", lease),
    ]
    .iter()
    .fold(String::new(), |mut text, (name, value)| {
        let _ = writeln!(text, "\"{prefix}{name}\" : {value}");
        text
    })
}
