//! `defrag`: has members write their databases anew.

use tokio::time::Instant;

use crate::compat::asking::{self, Asking, Method};
use crate::compat::call::{Call, print, print_aside};
use crate::compat::connection;
use crate::compat::dialect::Dialect;
use crate::compat::ended::{self, Ended, Result};
use crate::compat::flags::Flag;
use crate::compat::go;
use crate::compat::tree::Command;

use super::{CLUSTER, endpoint, offline_defrag};

const METHOD: Method = Method::reading("/etcdserverpb.Maintenance/Defragment");

pub(crate) const DEFRAG: Command = Command::new(
    "defrag",
    "",
    "give free pages of each endpoint's database back to the disk",
    run,
)
.flags(&[
    CLUSTER,
    Flag::text("data-dir", "the directory of a member that does not run").until(Dialect::V3_5),
]);

fn run(call: &Call) -> Result<()> {
    if !call.flags.text("data-dir").is_empty() {
        return offline_defrag::run(call);
    }
    let mut call = call.clone();
    let cluster = connection::cluster(&mut call)?;
    let failed = asking::run(async {
        let mut failed = false;
        for endpoint in endpoint::each(&call, &cluster).await? {
            let began = Instant::now();
            let asking = Asking::new(&call, &cluster, vec![endpoint.clone()]);
            let asked = asking
                .ask(METHOD, async |client| client.defragment().await)
                .await;
            // Since 3.6.
            let took = |end: &str| match call.is_at_least(Dialect::V3_6) {
                true => format!(". took {}{end}", go::duration(began.elapsed())),
                false => String::new(),
            };
            match asked {
                Ok(_) => print(format!(
                    "Finished defragmenting etcd member[{endpoint}]{}\n",
                    took("")
                ))?,
                Err(refusal) if refusal.is_wrong_login() => return Err(refusal.ended()),
                Err(refusal) => {
                    print_aside(format!(
                        "Failed to defragment etcd member[{endpoint}]{} ({})",
                        took("."),
                        refusal.text
                    ));
                    failed = true;
                }
            }
        }
        Ok(failed)
    })??;
    match failed {
        false => Ok(()),
        true => Err(Ended::silent(ended::ERROR)),
    }
}
