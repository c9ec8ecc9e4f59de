//! `get`: a key, or a range of them.

use std::os::unix::ffi::OsStrExt as _;

use etcd_snap::api::messages::{RangeRequest, SortOrder, SortTarget};

use crate::compat::answers::{self, Look};
use crate::compat::asking::{self, Asking, Method, Refusal};
use crate::compat::call::{Call, Form, print};
use crate::compat::connection;
use crate::compat::dialect::Dialect;
use crate::compat::ended::{self, Ended, Result};
use crate::compat::flags::Flag;
use crate::compat::go;
use crate::compat::tree::Command;

const METHOD: Method = Method::reading("/etcdserverpb.KV/Range");
const IN_PARTS: Method = Method::streaming("/etcdserverpb.KV/RangeStream");

pub(crate) const GET: Command = Command::new(
    "get",
    "[options] <key> [range_end]",
    "print a key, or a range of them",
    run,
)
.flags(&[
    Flag::text(
        "consistency",
        "l: as the cluster agrees; s: as one member knows",
    )
    .default("l"),
    Flag::text("order", "order of the keys: ASCEND or DESCEND"),
    Flag::text(
        "sort-by",
        "what the order is about: CREATE, KEY, MODIFY, VALUE or VERSION",
    ),
    Flag::int("limit", "the most keys to print"),
    Flag::switch("prefix", "all keys that begin like this one"),
    Flag::switch("from-key", "this key and all behind it"),
    Flag::int("rev", "as it was at this revision"),
    Flag::switch("keys-only", "without the values"),
    Flag::switch("count-only", "only how many there are").since(Dialect::V3_5),
    Flag::switch("print-value-only", "without the keys"),
    Flag::int("min-create-rev", "created at this revision at the earliest").since(Dialect::V3_6),
    Flag::int("max-create-rev", "created at this revision at the latest").since(Dialect::V3_6),
    Flag::int("min-mod-rev", "modified at this revision at the earliest").since(Dialect::V3_6),
    Flag::int("max-mod-rev", "modified at this revision at the latest").since(Dialect::V3_6),
    Flag::switch(
        "stream",
        "have the answer in parts, as servers since 3.7 can",
    )
    .since(Dialect::V3_7),
]);

fn run(call: &Call) -> Result<()> {
    let request = request(call)?;
    let mut call = call.clone();
    let cluster = connection::cluster(&mut call)?;
    let look = Look::of(&call)?;
    let flags = &call.flags;
    let in_parts = flags.switch("stream");
    let answer = asking::run(Asking::any(&call, &cluster).ask(
        if in_parts { IN_PARTS } else { METHOD },
        async |client| match in_parts {
            true => client.range_stream(request.clone()).await?.whole().await,
            false => client.range(request.clone()).await,
        },
    ))?
    .map_err(Refusal::ended)?;
    // Noticed after the fact, as in the original.
    let form = call.form()?;
    if flags.switch("count-only") && form != Form::Fields {
        return Err(Ended::arguments(
            "--count-only is only for `--write-out=fields`",
        ));
    }
    let value_only = flags.switch("print-value-only");
    if value_only && form != Form::Simple {
        return Err(Ended::arguments(
            "print-value-only is only for `--write-out=simple`",
        ));
    }
    print(answers::got(look, &answer, value_only)?)
}

/// The request, or what is wrong with the line, in the original's order.
fn request(call: &Call) -> Result<RangeRequest> {
    let flags = &call.flags;
    let [key, more @ ..] = call.arguments.as_slice() else {
        return Err(Ended::arguments(
            "get command needs one argument as key and an optional argument as range_end",
        ));
    };
    let (prefix, from_key) = (flags.switch("prefix"), flags.switch("from-key"));
    if prefix && from_key {
        return Err(Ended::arguments(
            "`--prefix` and `--from-key` cannot be set at the same time, choose one",
        ));
    }
    let (keys_only, count_only) = (flags.switch("keys-only"), flags.switch("count-only"));
    if keys_only && count_only {
        return Err(Ended::arguments(
            "`--keys-only` and `--count-only` cannot be set at the same time, choose one",
        ));
    }
    let serializable = is_serializable(flags.text("consistency"), flags.text("consistency"))?;
    let key = key.as_bytes().to_vec();
    let mut range_end = Vec::new();
    if let Some(end) = more.first() {
        if prefix || from_key {
            return Err(Ended::arguments(
                "too many arguments, only accept one argument when `--prefix` or `--from-key` is set",
            ));
        }
        range_end = end.as_bytes().to_vec();
    }
    let order = order(flags.text("order"))?;
    let target = target(flags.text("sort-by"))?;
    let (min_create, max_create) = between(call, "create", "Create")?;
    let (min_mod, max_mod) = between(call, "mod", "Mod")?;
    let everything = key.is_empty() && (prefix || from_key);
    if everything || from_key {
        range_end = vec![0];
    } else if prefix {
        range_end = behind(&key);
    }
    Ok(RangeRequest {
        key: if everything { vec![0] } else { key },
        range_end,
        limit: flags.int("limit"),
        revision: flags.int("rev").max(0),
        // Servers sort all that there is, where they are asked to; keys are in this order anyway.
        sort_order: match (target, order) {
            (SortTarget::Key, SortOrder::Ascend) => SortOrder::None,
            (_, order) => order,
        }
        .into(),
        sort_target: target.into(),
        serializable,
        keys_only,
        count_only,
        min_mod_revision: min_mod,
        max_mod_revision: max_mod,
        min_create_revision: min_create,
        max_create_revision: max_create,
    })
}

/// `named` is what a refusal names.
pub(super) fn is_serializable(consistency: &str, named: &str) -> Result<bool> {
    match consistency {
        "s" => Ok(true),
        "l" => Ok(false),
        _ => Err(Ended::new(
            ended::BAD_FEATURE,
            format!("unknown consistency flag {}", go::quote(named)),
        )),
    }
}

fn order(text: &str) -> Result<SortOrder> {
    match text.to_uppercase().as_str() {
        "" => Ok(SortOrder::None),
        "ASCEND" => Ok(SortOrder::Ascend),
        "DESCEND" => Ok(SortOrder::Descend),
        _ => Err(Ended::new(
            ended::BAD_FEATURE,
            format!("bad sort order {text}"),
        )),
    }
}

fn target(text: &str) -> Result<SortTarget> {
    match text.to_uppercase().as_str() {
        "" | "KEY" => Ok(SortTarget::Key),
        "CREATE" => Ok(SortTarget::Create),
        "MODIFY" => Ok(SortTarget::Mod),
        "VALUE" => Ok(SortTarget::Value),
        "VERSION" => Ok(SortTarget::Version),
        _ => Err(Ended::new(
            ended::BAD_FEATURE,
            format!("bad sort target {text}"),
        )),
    }
}

fn between(call: &Call, flag: &str, named: &str) -> Result<(i64, i64)> {
    let revision = |end: &str| call.flags.int(&format!("{end}-{flag}-rev")).max(0);
    let (min, max) = (revision("min"), revision("max"));
    if max > 0 && min > max {
        return Err(Ended::new(
            ended::BAD_FEATURE,
            format!("getMin{named}Rev(={min}) > getMax{named}Rev(={max})"),
        ));
    }
    Ok((min, max))
}

/// The first key behind all that begin like this; 0 where there is none.
fn behind(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return end;
        }
    }
    vec![0]
}

#[cfg(test)]
mod tests {
    use super::behind;

    #[test]
    fn a_prefix_ends_before_the_next_one() {
        for (prefix, end) in [
            (&b"a"[..], &b"b"[..]),
            (b"a\xff\xff", b"b"),
            (b"\xff\xff", b"\0"),
            (b"a\0", b"a\x01"),
        ] {
            assert_eq!(behind(prefix), end);
        }
    }
}
