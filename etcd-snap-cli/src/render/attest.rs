//! What the members of a cluster say of a snapshot.

use std::io::{self, IsTerminal};

use comfy_table::Table;
use etcd_snap::{AttestReport, AttestVerdict, Unproven};

use super::{Render, WriteOut, lines, pairs, print, text};
use crate::arguments::Output;
use crate::exit;
use crate::failure::{Failure, Result};

/// What to do where members differ.
pub(crate) const COMPARE: &str =
    "`etcdctl endpoint hashkv --cluster` compares the members with each other";

/// The verdict, and below it that of every member.
pub(crate) fn rows(report: &AttestReport) -> Vec<(&'static str, String)> {
    let verdict = format!("{}, at revision {}", report.summary(), report.revision);
    let mut rows = vec![("attest", verdict)];
    let members = report.members.iter();
    rows.extend(members.map(|member| ("member", member.to_string())));
    if !report.listed {
        let note = "the cluster did not list its members: only the given endpoints were asked";
        rows.push(("note", note.to_owned()));
    }
    if report.known_members == Some(false) {
        let note = "the snapshot knows none of these members: it is from another cluster, or this one was restored";
        rows.push(("note", note.to_owned()));
    }
    rows
}

/// Prints what the members say to a snapshot that they do not bear out, if that is the reason of the failure.
pub(crate) fn print_unproven(error: etcd_snap::Error, output: &Output) -> Result<Failure> {
    let Some(unproven) = unproven(&error) else {
        return Ok(error.into());
    };
    print(unproven, output.write_out)?;
    Ok(reported(error, output))
}

/// The failure, in full or, where both streams are read by the person who has just read the report, as a code alone.
pub(crate) fn reported(error: etcd_snap::Error, output: &Output) -> Failure {
    let read = output.write_out != WriteOut::Json
        && io::stdout().is_terminal()
        && io::stderr().is_terminal();
    if read {
        Failure::Reported {
            code: exit::code(error.kind()),
        }
    } else {
        error.into()
    }
}

/// Whether that is the whole trouble.
pub(crate) fn none_can_tell(error: &etcd_snap::Error) -> bool {
    unproven(error).is_some_and(|unproven| unproven.attest.verdict == AttestVerdict::CannotTell)
}

fn unproven(error: &etcd_snap::Error) -> Option<&Unproven> {
    std::error::Error::source(error)?.downcast_ref()
}

impl Render for Unproven {
    fn simple(&self) -> String {
        let mut text = verdict(self);
        text.push('\n');
        text.push_str(&lines(&rows(&self.attest)));
        text
    }

    fn tables(&self) -> Vec<Table> {
        let mut all = vec![("verdict", verdict(self))];
        all.extend(rows(&self.attest));
        vec![pairs(all)]
    }
}

fn verdict(unproven: &Unproven) -> String {
    match &unproven.kept {
        Some(path) => format!(
            "Snapshot not proven, kept as {}",
            text::visible(&path.display().to_string())
        ),
        None => "Snapshot not proven, and not kept".to_owned(),
    }
}
