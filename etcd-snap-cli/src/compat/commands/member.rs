//! `member list`: the members of the cluster.

use crate::compat::answers::{self, Look};
use crate::compat::asking::{self, Asking, Method, Refusal};
use crate::compat::call::{Call, print};
use crate::compat::connection;
use crate::compat::dialect::Dialect;
use crate::compat::ended::Result;
use crate::compat::flags::Flag;
use crate::compat::tree::Command;

use super::get::is_serializable;

pub(super) const METHOD: Method = Method::reading("/etcdserverpb.Cluster/MemberList");

pub(crate) const LIST: Command = Command::new("list", "", "list the members of the cluster", run)
    .flags(&[Flag::text(
        "consistency",
        "l: as the cluster agrees; s: as one member knows",
    )
    .default("l")
    .since(Dialect::V3_6)]);

fn run(call: &Call) -> Result<()> {
    let linearizable = match call.dialect {
        // They did not ask for it yet.
        Dialect::V3_4 => false,
        Dialect::V3_5 => true,
        // The refusal names the flag of `get`, which nobody has set.
        _ => !is_serializable(call.flags.text("consistency"), "l")?,
    };
    let mut call = call.clone();
    let cluster = connection::cluster(&mut call)?;
    let look = Look::of(&call)?;
    let answer = asking::run(Asking::any(&call, &cluster).ask(METHOD, async |client| {
        client.member_list(linearizable).await
    }))?
    .map_err(Refusal::ended)?;
    print(answers::members(look, &answer)?)
}
