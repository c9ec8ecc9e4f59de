//! What differs on purpose: `NAME | ASPECTS | etcd's own tool | etcd-snap`, a line each.
//!
//! Aspects, with commas: `stdout`, `stderr`, `code` (not compared; ours must fail), `code=N` (ours), `files` (not compared), `clean` (not
//! compared; ours leaves nothing), `modes`, `sizes` and `contents` (of files), `their-line:TEXT` and `our-line:TEXT` (lines of standard error that hold
//! the text and only one of the two prints), `panics` (theirs does, ours ends without), `hangs` (theirs does, ours ends).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use etcd_snap_testdata::etcd::Version;

use crate::lines::Line;

#[derive(Debug, Default)]
pub(crate) struct Differences(BTreeMap<String, Difference>);

#[derive(Debug, Clone)]
pub(crate) struct Difference {
    pub(crate) aspects: Vec<String>,
    theirs: String,
    ours: String,
}

impl Differences {
    pub(crate) fn read() -> Result<Self> {
        let path = folder().join("differences.txt");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut differences = BTreeMap::new();
        for line in text.lines() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let parts: Vec<&str> = line.split(" | ").map(str::trim).collect();
            let [name, aspects, theirs, ours] = parts.as_slice() else {
                anyhow::bail!("not four parts: {line}");
            };
            let difference = Difference {
                aspects: aspects.split(',').map(|it| it.trim().to_owned()).collect(),
                theirs: (*theirs).to_owned(),
                ours: (*ours).to_owned(),
            };
            anyhow::ensure!(
                differences.insert((*name).to_owned(), difference).is_none(),
                "{name} stands there twice"
            );
        }
        Ok(Self(differences))
    }

    /// What the marks of a line allow.
    pub(crate) fn allowed(&self, line: &Line, version: Version) -> Result<Vec<String>, String> {
        let mut aspects = Vec::new();
        let marks = line.marks.iter();
        for mark in marks
            .filter(|mark| mark.versions.contains(&version))
            .map(|mark| &mark.name)
            .filter(|name| !matches!(name.as_str(), "writes" | "any-order"))
        {
            let difference = self
                .0
                .get(mark)
                .ok_or_else(|| format!("there is no difference {mark}"))?;
            aspects.extend(difference.aspects.iter().cloned());
        }
        Ok(aspects)
    }

    fn table(&self) -> String {
        let mut table = String::from("| | etcd's own tool | etcd-snap |\n|---|---|---|\n");
        for (name, difference) in &self.0 {
            table.push_str(&format!(
                "| {} | {} | {} |\n",
                name.replace('-', " "),
                difference.theirs,
                difference.ours
            ));
        }
        table
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat")
}

#[test]
fn every_difference_is_documented_and_used() -> Result<()> {
    const BEGIN: &str = "<!-- differences: from tests/compat/differences.txt -->\n";
    const END: &str = "<!-- end -->";
    let differences = Differences::read()?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/compat.md");
    let page = fs::read_to_string(&path)?;
    let (before, rest) = page.split_once(BEGIN).context("the page has no table")?;
    let (table, after) = rest.split_once(END).context("the table does not end")?;
    if std::env::var_os("ETCD_SNAP_UPDATE_GOLDEN").is_some() {
        fs::write(
            &path,
            format!("{before}{BEGIN}{}{END}{after}", differences.table()),
        )?;
    } else {
        assert_eq!(table, differences.table(), "in docs/compat.md");
    }
    let lines = crate::lines::read()?;
    for name in differences.0.keys() {
        assert!(
            lines
                .iter()
                .any(|line| line.marks.iter().any(|mark| mark.name == *name)),
            "no line has {name}"
        );
    }
    for line in &lines {
        for version in &line.versions {
            differences
                .allowed(line, *version)
                .map_err(|why| anyhow::anyhow!("line {}: {why}", line.number))?;
        }
    }
    Ok(())
}
