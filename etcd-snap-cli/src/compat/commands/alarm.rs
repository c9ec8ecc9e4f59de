//! `alarm list` and `alarm disarm`.

use crate::compat::answers::{self, Look};
use crate::compat::asking::{self, Asking, Method, Refusal};
use crate::compat::call::{Call, print};
use crate::compat::connection;
use crate::compat::ended::{Ended, Result};
use crate::compat::tree::Command;

pub(super) const METHOD: Method = Method::reading("/etcdserverpb.Maintenance/Alarm");

pub(crate) const LIST: Command = Command::new("list", "", "list the alarms", list);
pub(crate) const DISARM: Command = Command::new("disarm", "", "take all alarms back", disarm);

fn list(call: &Call) -> Result<()> {
    if !call.arguments.is_empty() {
        return Err(Ended::arguments("alarm list command accepts no arguments"));
    }
    let mut call = call.clone();
    let cluster = connection::cluster(&mut call)?;
    let look = Look::of(&call)?;
    let asking = Asking::any(&call, &cluster);
    let answer = asking::run(asking.ask(METHOD, async |client| client.alarms().await))?
        .map_err(Refusal::ended)?;
    print(answers::alarms(look, &answer)?)
}

fn disarm(call: &Call) -> Result<()> {
    if !call.arguments.is_empty() {
        return Err(Ended::arguments(
            "alarm disarm command accepts no arguments",
        ));
    }
    let mut call = call.clone();
    let cluster = connection::cluster(&mut call)?;
    let look = Look::of(&call)?;
    let asking = Asking::any(&call, &cluster);
    let answer = asking::run(asking.ask(METHOD, async |client| client.disarm_all().await))?
        .map_err(Refusal::ended)?;
    print(answers::alarms(look, &answer)?)
}
