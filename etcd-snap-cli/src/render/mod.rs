//! Reports on standard output: a few lines to read, a table, or JSON.

pub(crate) mod attest;
pub(crate) mod findings;
pub(crate) mod text;

use std::io::{self, Write};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use console::Term;
use etcd_snap::{Contents, Revision};
use serde::Serialize;

use crate::failure::{Failure, Result};
use crate::journal;

/// The forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum WriteOut {
    /// Lines to read
    #[default]
    Simple,
    /// The same and more, in a frame
    Table,
    /// The whole report, on one line
    Json,
}

/// A report that can be shown. Its JSON is what the library made, unchanged.
pub(crate) trait Render: Serialize {
    /// Lines to read, each with its end.
    fn simple(&self) -> String;

    /// Tables that carry the same and more.
    fn tables(&self) -> Vec<Table>;
}

/// What is proven of something that passed.
pub(crate) const STREAM_PROOF: &str = "the digest, and every page by itself";
/// What to do where a page of something that passed looks damaged.
pub(crate) const STREAM_DAMAGE_HINT: &str = "a stream does not show which pages are in use, and one that is not may hold anything: a file does";

/// Prints a report to standard output. A reader that has gone away is no failure.
pub(crate) fn print(report: &impl Render, form: WriteOut) -> Result<()> {
    record(report);
    print_text(text_of(report, form)?.as_bytes())
}

/// Prints to standard output what is no report.
pub(crate) fn print_text(text: &[u8]) -> Result<()> {
    match write(&mut io::stdout().lock(), text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::System {
            doing: "write to standard output",
            error,
        }),
        _ => Ok(()),
    }
}

/// Prints a report to standard error, where standard output has the data. Nobody is left to tell when that fails.
pub(crate) fn print_aside(report: &impl Render, form: WriteOut) -> Result<()> {
    record(report);
    let _ = write(&mut io::stderr().lock(), text_of(report, form)?.as_bytes());
    Ok(())
}

fn record(report: &impl Render) {
    journal::report(report.simple().lines().next().unwrap_or_default(), report);
}

fn write(to: &mut impl Write, text: &[u8]) -> io::Result<()> {
    to.write_all(text)?;
    to.flush()
}

fn text_of(report: &impl Render, form: WriteOut) -> Result<String> {
    Ok(match form {
        WriteOut::Simple => report.simple(),
        WriteOut::Table => report
            .tables()
            .into_iter()
            .map(|table| format!("{}\n", fit(table)))
            .collect(),
        WriteOut::Json => {
            let mut line = serde_json::to_string(report).map_err(|error| Failure::System {
                doing: "write the report as JSON",
                error: error.into(),
            })?;
            line.push('\n');
            line
        }
    })
}

/// A table of names and values.
pub(crate) fn pairs(rows: Vec<(&'static str, String)>) -> Table {
    let mut table = frame();
    for (name, value) in rows {
        table.add_row([name.to_owned(), text::visible(&value)]);
    }
    table
}

/// `215, compacted at 205`.
pub(crate) fn revision(revision: Revision, compacted: Option<Revision>) -> String {
    match compacted {
        Some(compacted) => format!("{revision}, compacted at {compacted}"),
        None => revision.to_string(),
    }
}

/// `226 (283 records)`.
pub(crate) fn keys(live_keys: u64, total_records: u64) -> String {
    format!("{live_keys} ({})", text::count(total_records, "record"))
}

/// What a file without free pages was, is, and holds; `more` comes between.
pub(crate) fn written_anew(
    [before_bytes, in_use_bytes, after_bytes]: [u64; 3],
    more: impl IntoIterator<Item = (&'static str, String)>,
    contents: &Contents,
) -> Vec<(&'static str, String)> {
    let before = format!(
        "{}, {} of it in use",
        text::size(before_bytes),
        text::size(in_use_bytes)
    );
    let mut facts = vec![("before", before), ("after", text::size(after_bytes))];
    facts.extend(more);
    facts.push((
        "revision",
        revision(contents.revision, contents.compact_revision),
    ));
    facts.push(("keys", keys(contents.live_keys, contents.total_records)));
    facts
}

/// An empty table in the look that all tables have.
pub(crate) fn frame() -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_FULL_CONDENSED);
    table
}

/// The names in one column, the values behind them.
pub(crate) fn lines(rows: &[(&'static str, String)]) -> String {
    let width = rows
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or_default();
    rows.iter()
        .map(|(name, value)| format!("  {name:<width$}  {}\n", text::visible(value)))
        .collect()
}

fn fit(mut table: Table) -> Table {
    if let Some(columns) = columns() {
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(columns);
    }
    table
}

/// The width of the terminal; of none, what `COLUMNS` says, as for `--help`.
fn columns() -> Option<u16> {
    match Term::stdout().size_checked() {
        Some((_, columns)) => Some(columns),
        None => std::env::var("COLUMNS").ok()?.parse().ok(),
    }
}
