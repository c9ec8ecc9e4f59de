//! `etcdutl hashkv`: the hash by which members compare their keys, of a file. It is only read.

use std::fs;
use std::path::Path;

use etcd_snap::{Error, ErrorKind, HashKvOptions, Revision, Snapshot};

use crate::commands::watched;
use crate::compat::call::{Call, Form, print, unsupported};
use crate::compat::dialect::Dialect;
use crate::compat::ended::{self, Ended, Result};
use crate::compat::flags::Flag;
use crate::compat::table::table;
use crate::compat::tree::Command;
use crate::compat::{failure, go};

pub(crate) const HASHKV: Command = Command::new(
    "hashkv",
    "<filename>",
    "print the hash by which members compare their keys",
    run,
)
.since(Dialect::V3_6)
.exactly(1)
.flags(&[Flag::int("rev", "hash at this revision; 0 is the newest")]);

fn run(call: &Call) -> Result<()> {
    let form = call.form()?;
    let path = call.only_argument("accepts 1 arg(s)")?;
    fs::metadata(path).map_err(|error| Ended::error(go::path_error("stat", path, &error)))?;
    let asked = Revision::new(call.flags.int("rev"));
    let report = watched(true, |progress| {
        let options = HashKvOptions::default()
            .with_revision(asked)
            .with_observer(progress);
        etcd_snap::hash_kv(&Snapshot::open(path)?, &options)
    })
    .map_err(|failed| failure::stopped(failed, ended::ERROR, |error| why(path, asked, error)))?;
    let (hash, revision) = (report.hash, report.revision);
    let compacted = report.compact_revision.map_or(-1, Revision::get);
    print(match form {
        Form::Simple => format!("{hash}, {revision}, {compacted}\n"),
        Form::Json => format!(
            "{{\"hash\":{hash},\"hashRevision\":{revision},\"compactRevision\":{compacted}}}\n"
        ),
        Form::Fields => format!(
            "\"Hash\" : {hash}\n\"Hash revision\" : {revision}\n\"Compact revision\" : {compacted}\n"
        ),
        Form::Table => table(
            call.dialect,
            &["hash", "hash revision", "compact revision"],
            &[vec![
                hash.to_string(),
                revision.to_string(),
                compacted.to_string(),
            ]],
        ),
        Form::Protobuf => return Err(unsupported(form)),
    })
}

fn why(path: &Path, asked: Revision, error: &Error) -> String {
    match error.kind() {
        // The revision is the only thing that can be wrong with the question.
        ErrorKind::InvalidInput => {
            let newest = Snapshot::open(path)
                .and_then(|snapshot| etcd_snap::fast_status(&snapshot))
                .map(|status| status.revision);
            match newest {
                Ok(newest) if asked > newest => "mvcc: required revision is a future revision",
                _ => "mvcc: required revision has been compacted",
            }
            .to_owned()
        }
        ErrorKind::NotASnapshot => "invalid database".to_owned(),
        _ => failure::sentence(error),
    }
}
