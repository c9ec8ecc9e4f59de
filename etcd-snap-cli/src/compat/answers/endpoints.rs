//! Endpoints one by one: `endpoint status`, `endpoint health` and `endpoint hashkv`.

use std::fmt::Write as _;

use etcd_snap::api::messages::{HashKvResponse, StatusResponse};

use super::json::{Object, list, string};
use super::{Look, header_json, rows};
use crate::compat::call::{Form, print, print_aside, unsupported};
use crate::compat::dialect::Dialect;
use crate::compat::ended::Result;
use crate::compat::go;
use crate::compat::table::table;
use crate::render::text::size;

/// Whether an endpoint takes part, and for how long it thought about that.
#[derive(Debug, Clone)]
pub(in crate::compat) struct Health {
    pub(in crate::compat) endpoint: String,
    pub(in crate::compat) healthy: bool,
    pub(in crate::compat) took: String,
    pub(in crate::compat) error: String,
}

pub(in crate::compat) fn statuses(
    look: Look,
    statuses: &[(String, StatusResponse)],
) -> Result<Vec<u8>> {
    let cells = || -> Vec<Vec<String>> {
        let cells = statuses.iter();
        cells
            .map(|(endpoint, status)| status_cells(look, endpoint, status))
            .collect()
    };
    Ok(match look.form {
        Form::Simple => rows(&cells()),
        Form::Table => {
            let titles: Vec<&str> = columns(look).map(|(title, _)| title).collect();
            table(look.dialect, &titles, &cells())
        }
        Form::Json => json_list(look, statuses.iter(), |(endpoint, status)| {
            let mut object = Object::new();
            object
                .always("Endpoint", string(endpoint))
                .always("Status", status_json(look, status));
            object.end()
        }),
        Form::Fields => statuses
            .iter()
            .map(|(endpoint, status)| status_fields(look, endpoint, status))
            .collect(),
        Form::Protobuf => return Err(unsupported(look.form)),
    }
    .into_bytes())
}

/// The columns of `endpoint status`, and since when they are there.
const COLUMNS: [(&str, Dialect); 16] = [
    ("endpoint", Dialect::V3_4),
    ("ID", Dialect::V3_4),
    ("version", Dialect::V3_4),
    ("storage version", Dialect::V3_6),
    ("db size", Dialect::V3_4),
    ("in use", Dialect::V3_6),
    ("percentage not in use", Dialect::V3_6),
    ("quota", Dialect::V3_6),
    ("is leader", Dialect::V3_4),
    ("is learner", Dialect::V3_4),
    ("raft term", Dialect::V3_4),
    ("raft index", Dialect::V3_4),
    ("raft applied index", Dialect::V3_4),
    ("errors", Dialect::V3_4),
    ("downgrade target version", Dialect::V3_6),
    ("downgrade enabled", Dialect::V3_6),
];

fn columns(look: Look) -> impl Iterator<Item = (&'static str, Dialect)> {
    COLUMNS
        .into_iter()
        .filter(move |(_, since)| look.dialect >= *since)
}

fn status_cells(look: Look, endpoint: &str, status: &StatusResponse) -> Vec<String> {
    let id = status.header.unwrap_or_default().member_id;
    let downgrade = status.downgrade_info.clone().unwrap_or_default();
    // A size below nothing is a very large one there.
    let bytes = |bytes: i64| size(bytes as u64);
    let cells = [
        endpoint.to_owned(),
        format!("{id:x}"),
        status.version.clone(),
        status.storage_version.clone(),
        bytes(status.db_size),
        bytes(status.db_size_in_use),
        format!("{}%", percentage_free(status)),
        bytes(status.db_size_quota),
        (status.leader == id).to_string(),
        status.is_learner.to_string(),
        status.raft_term.to_string(),
        status.raft_index.to_string(),
        status.raft_applied_index.to_string(),
        status.errors.join(", "),
        downgrade.target_version,
        downgrade.enabled.to_string(),
    ];
    let shown = cells.into_iter().zip(COLUMNS);
    shown
        .filter(|(_, (_, since))| look.dialect >= *since)
        .map(|(cell, _)| cell)
        .collect()
}

/// The original dies of a division where there is no database.
fn percentage_free(status: &StatusResponse) -> i64 {
    let used = status.db_size_in_use.saturating_mul(100);
    100 - used.checked_div(status.db_size).unwrap_or(100)
}

fn status_json(look: Look, status: &StatusResponse) -> String {
    let mut object = Object::new();
    object
        .object("header", header_json(status.header.as_ref()))
        .text("version", &status.version)
        .number("dbSize", status.db_size)
        .number("leader", status.leader)
        .number("raftIndex", status.raft_index)
        .number("raftTerm", status.raft_term)
        .number("raftAppliedIndex", status.raft_applied_index)
        .texts("errors", &status.errors)
        .number("dbSizeInUse", status.db_size_in_use)
        .flag("isLearner", status.is_learner);
    if look.dialect >= Dialect::V3_6 {
        let downgrade = status.downgrade_info.as_ref().map(|info| {
            let mut object = Object::new();
            object
                .flag("enabled", info.enabled)
                .text("targetVersion", &info.target_version);
            object.end()
        });
        object
            .text("storageVersion", &status.storage_version)
            .number("dbSizeQuota", status.db_size_quota)
            .object("downgradeInfo", downgrade);
    }
    object.end()
}

fn status_fields(look: Look, endpoint: &str, status: &StatusResponse) -> String {
    let mut text = look.header(status.header.as_ref());
    let later = look.dialect >= Dialect::V3_6;
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "\"{name}\" : {value}");
    };
    line("Version", go::quote(&status.version));
    if later {
        line("StorageVersion", go::quote(&status.storage_version));
    }
    line("DBSize", status.db_size.to_string());
    if later {
        line("DBSizeInUse", status.db_size_in_use.to_string());
        line("DBSizeQuota", status.db_size_quota.to_string());
    }
    line("Leader", status.leader.to_string());
    line("IsLearner", status.is_learner.to_string());
    line("RaftIndex", status.raft_index.to_string());
    if look.dialect == Dialect::V3_4 {
        line("RaftTerm", status.raft_term.to_string());
    }
    line("RaftAppliedIndex", status.raft_applied_index.to_string());
    line("Errors", format!("[{}]", status.errors.join(" ")));
    line("Endpoint", go::quote(endpoint));
    if later {
        let downgrade = status.downgrade_info.clone().unwrap_or_default();
        line(
            "DowngradeTargetVersion",
            go::quote(&downgrade.target_version),
        );
        line("DowngradeEnabled", downgrade.enabled.to_string());
    }
    text.push('\n');
    text
}

pub(in crate::compat) fn hashes(
    look: Look,
    hashes: &[(String, HashKvResponse)],
) -> Result<Vec<u8>> {
    let later = look.dialect >= Dialect::V3_6;
    let cells = || -> Vec<Vec<String>> {
        let cells = hashes.iter().map(|(endpoint, hash)| {
            let mut cells = vec![endpoint.clone(), hash.hash.to_string()];
            if later {
                cells.push(hash.hash_revision.to_string());
            }
            cells
        });
        cells.collect()
    };
    Ok(match look.form {
        Form::Simple => rows(&cells()),
        Form::Table if later => table(
            look.dialect,
            &["endpoint", "hash", "hash revision"],
            &cells(),
        ),
        Form::Table => table(look.dialect, &["endpoint", "hash"], &cells()),
        Form::Json => json_list(look, hashes.iter(), |(endpoint, hash)| {
            let mut inner = Object::new();
            inner
                .object("header", header_json(hash.header.as_ref()))
                .number("hash", hash.hash)
                .number("compact_revision", hash.compact_revision);
            if later {
                inner.number("hash_revision", hash.hash_revision);
            }
            let mut object = Object::new();
            object
                .always("Endpoint", string(endpoint))
                .always("HashKV", inner.end());
            object.end()
        }),
        Form::Fields => hashes
            .iter()
            .map(|(endpoint, hash)| {
                let mut text = look.header(hash.header.as_ref());
                let (endpoint, value) = (go::quote(endpoint), hash.hash);
                let _ = writeln!(text, "\"Endpoint\" : {endpoint}\n\"Hash\" : {value}");
                if later {
                    let _ = writeln!(text, "\"HashRevision\" : {}", hash.hash_revision);
                }
                text.push('\n');
                text
            })
            .collect(),
        Form::Protobuf => return Err(unsupported(look.form)),
    }
    .into_bytes())
}

/// Prints on its own: what is not well goes to standard error, and what is well too in 3.4.
pub(in crate::compat) fn health(look: Look, all: &[Health]) -> Result<()> {
    let text = match look.form {
        Form::Simple => {
            for one in all {
                simple(look, one)?;
            }
            return Ok(());
        }
        Form::Table => {
            let cells: Vec<Vec<String>> = all
                .iter()
                .map(|one| {
                    vec![
                        one.endpoint.clone(),
                        one.healthy.to_string(),
                        one.took.clone(),
                        one.error.clone(),
                    ]
                })
                .collect();
            table(
                look.dialect,
                &["endpoint", "health", "took", "error"],
                &cells,
            )
        }
        Form::Json => json_list(look, all.iter(), |one| {
            let mut object = Object::new();
            object
                .always("endpoint", string(&one.endpoint))
                .always("health", one.healthy)
                .always("took", string(&one.took))
                .text("error", &one.error);
            object.end()
        }),
        Form::Fields => all.iter().fold(String::new(), |mut text, one| {
            let (endpoint, healthy) = (go::quote(&one.endpoint), one.healthy);
            let _ = writeln!(text, "\"Endpoint\" : {endpoint}\n\"Health\" : {healthy}");
            let (took, error) = (&one.took, &one.error);
            let _ = writeln!(text, "\"Took\" : {took}\n\"Error\" : {error}\n");
            text
        }),
        Form::Protobuf => return Err(unsupported(look.form)),
    };
    print(text)
}

fn simple(look: Look, one: &Health) -> Result<()> {
    let (endpoint, took, error) = (&one.endpoint, &one.took, &one.error);
    if !error.is_empty() {
        print_aside(format!(
            "{endpoint} is unhealthy: failed to commit proposal: {error}"
        ));
        return Ok(());
    }
    let line = format!("{endpoint} is healthy: successfully committed proposal: took = {took}");
    match look.dialect {
        Dialect::V3_4 => print_aside(line),
        _ => print(line + "\n")?,
    }
    Ok(())
}

/// An array; where there is nothing to put into it, later ones write `null`.
fn json_list<T>(look: Look, items: impl Iterator<Item = T>, one: impl Fn(T) -> String) -> String {
    let items: Vec<String> = items.map(one).collect();
    match items.is_empty() && look.dialect >= Dialect::V3_6 {
        true => "null\n".to_owned(),
        false => list(&items) + "\n",
    }
}
