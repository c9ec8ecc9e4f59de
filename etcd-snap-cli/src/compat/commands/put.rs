//! `put`: writes one key.

use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;

use etcd_snap::api::messages::PutRequest;

use crate::compat::answers::{self, Look};
use crate::compat::asking::{self, Asking, Method, Refusal};
use crate::compat::call::{Call, print};
use crate::compat::connection;
use crate::compat::ended::{Ended, Result};
use crate::compat::flags::Flag;
use crate::compat::go;
use crate::compat::tree::Command;

const METHOD: Method = Method::writing("/etcdserverpb.KV/Put");

pub(crate) const PUT: Command = Command::new(
    "put",
    "[options] <key> <value> (<value> can also be given from stdin)",
    "write one key",
    run,
)
.flags(&[
    Flag::text(
        "lease",
        "attach the key to this lease, in hexadecimal digits",
    )
    .default("0"),
    Flag::switch("prev-kv", "print what the key was before"),
    Flag::switch("ignore-value", "leave the value as it is"),
    Flag::switch("ignore-lease", "leave the lease as it is"),
]);

fn run(call: &Call) -> Result<()> {
    let request = request(call)?;
    let mut call = call.clone();
    let cluster = connection::cluster(&mut call)?;
    let look = Look::of(&call)?;
    let answer = asking::run(
        Asking::any(&call, &cluster).ask(METHOD, async |client| client.put(request.clone()).await),
    )?
    .map_err(Refusal::ended)?;
    print(answers::put(look, &answer)?)
}

fn request(call: &Call) -> Result<PutRequest> {
    const NEEDS: &str = "put command needs 1 argument and input from stdin or 2 arguments";
    let flags = &call.flags;
    let [key, more @ ..] = call.arguments.as_slice() else {
        return Err(Ended::arguments(NEEDS));
    };
    let ignore_value = flags.switch("ignore-value");
    let value = match more.first() {
        Some(_) if ignore_value => {
            return Err(Ended::arguments(
                "put command needs only 1 argument when 'ignore-value' is set",
            ));
        }
        Some(value) => value.as_bytes().to_vec(),
        None if ignore_value => Vec::new(),
        None => input().ok_or_else(|| Ended::arguments(NEEDS))?,
    };
    let lease = go::parse_hex(flags.text("lease"))
        .map_err(|why| Ended::arguments(format!("bad lease ID ({why}), expecting ID in Hex")))?;
    Ok(PutRequest {
        key: key.as_bytes().to_vec(),
        value,
        lease,
        prev_kv: flags.switch("prev-kv"),
        ignore_value,
        ignore_lease: flags.switch("ignore-lease"),
    })
}

/// All of standard input, unless that is nothing.
fn input() -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes).ok()?;
    Some(bytes).filter(|bytes| !bytes.is_empty())
}
