//! `etcd-snap verify` of what can be read only once: standard input, or a pipe with a name.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::Duration;

use comfy_table::Table;
use etcd_snap::{DigestCheck, Error, ErrorKind, StreamReport};

use super::findings::{problem_lines, problem_table, verdict};
use super::{Arguments, digest, end, hint, size};
use crate::arguments::Output;
use crate::commands::watched_apart;
use crate::failure::Result;
use crate::render::{self, Render, text};
use crate::standard;

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let (name, input) = if standard::is_dash(&arguments.file) {
        ("standard input".to_owned(), Input::Open(standard::input()?))
    } else {
        let path = arguments.file.clone();
        (path.display().to_string(), Input::Path(path))
    };
    let options = arguments.options();
    let report = watched_apart(output.quiet, move |progress| {
        etcd_snap::verify_stream(name, input, &options.with_observer(progress))
    })?;
    render::print(&report, output.write_out)?;
    end(report.into_proven().map(drop), stream_hint, output)
}

/// Opened by the first read: a pipe waits for its writer.
enum Input {
    Path(PathBuf),
    Open(File),
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Self::Path(path) = self {
            *self = Self::Open(File::open(path)?);
        }
        match self {
            Self::Open(file) => file.read(buffer),
            Self::Path(_) => Ok(0),
        }
    }
}

fn stream_hint(error: &Error) -> Option<String> {
    match error.kind() {
        ErrorKind::Damaged => Some(render::STREAM_DAMAGE_HINT.to_owned()),
        _ => hint(error),
    }
}

impl Render for StreamReport {
    fn simple(&self) -> String {
        let verdict = verdict(&self.name, &self.digest, &self.problems, self.more_problems);
        let problems = problem_lines(&self.problems, self.more_problems);
        format!("{verdict}\n{problems}{}", render::lines(&facts(self)))
    }

    fn tables(&self) -> Vec<Table> {
        let verdict = verdict(&self.name, &self.digest, &self.problems, self.more_problems);
        let mut rows = vec![("verdict", verdict)];
        rows.extend(facts(self));
        if let DigestCheck::Matches { digest } = self.digest {
            rows.push(("SHA-256", digest.to_string()));
        }
        rows.push((
            "page size",
            text::count(self.page_size_bytes.into(), "byte"),
        ));
        rows.push((
            "checked in",
            text::duration(Duration::from_millis(self.duration_ms)),
        ));
        let mut tables = vec![render::pairs(rows)];
        if !self.problems.is_empty() {
            tables.push(problem_table(&self.problems, self.more_problems));
        }
        tables
    }
}

fn facts(report: &StreamReport) -> Vec<(&'static str, String)> {
    let mut facts = vec![digest(&report.digest), size(report.size_bytes)];
    if report.is_sound() && matches!(report.digest, DigestCheck::Matches { .. }) {
        facts.push(("proven", render::STREAM_PROOF.to_owned()));
    }
    facts
}
