//! The variables that set flags (go.etcd.io/etcd/pkg/flags): `ETCDCTL_` and the name, capitals, `_` for `-`.

use std::env;

use serde_json::Value;

use super::call::{Call, print_aside};
use super::dialect::Dialect;
use super::log::Log;

const PREFIX: &str = "ETCDCTL_";

/// Sets what was not typed. A value that does not fit is passed over without a word, as the original does; where both are
/// given the original gives up, and we take what was typed and say so.
pub(crate) fn read(call: &mut Call) {
    let log = Log::online(Dialect::V3_5);
    let names: Vec<&'static str> = call.inherited.iter().map(|flag| flag.name).collect();
    let mut known = Vec::new();
    for name in names {
        let variable = variable_of(name);
        let value = env::var(&variable).ok().filter(|value| !value.is_empty());
        // An empty one counts as unset, and then as one that nobody knows.
        if value.is_none() && !call.flags.changed(name) {
            continue;
        }
        if let Some(value) = value {
            if call.flags.changed(name) {
                print_aside(format!(
                    "{variable} and --{name} are both given: the flag counts (etcd's own tools refuse that)"
                ));
            } else {
                call.flags.set(name, &value);
            }
        }
        known.push(variable);
    }
    // Until 3.5 the program itself looks at it, and takes it away.
    if call.dialect <= Dialect::V3_5 {
        known.push("ETCDCTL_API".to_owned());
    }
    let strangers = env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        (name.starts_with(PREFIX) && !known.contains(&name))
            .then(|| format!("{name}={}", value.to_string_lossy()))
    });
    for stranger in strangers {
        if call.dialect == Dialect::V3_4 {
            let now = humantime::format_rfc3339_micros(std::time::SystemTime::now()).to_string();
            let now = now.replace('T', " ").replace('Z', "");
            print_aside(format!(
                "{now} W | pkg/flags: unrecognized environment variable {stranger}"
            ));
        } else {
            log.warn(
                "flags/flag.go",
                "unrecognized environment variable",
                &[("environment-variable", Value::from(stranger))],
            );
        }
    }
}

pub(crate) fn variable_of(flag: &str) -> String {
    format!("{PREFIX}{}", flag.to_uppercase().replace('-', "_"))
}
