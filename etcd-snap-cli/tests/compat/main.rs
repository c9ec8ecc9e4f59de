//! etcd's own tools and ours, side by side: every line of `lines.txt` is run by the real `etcdctl` or `etcdutl` of a version and by
//! ours in its dialect, against the same server and files. Standard output, the shape of standard error, the exit code and the files
//! left behind must be the same.
//!
//! Timestamps, durations, folders and the `caller` of log lines are taken out before (`normal.rs`). What differs on purpose is marked
//! in the line with a name, which stands with its reason in `differences.txt` and in docs/compat.md; a mark that nothing comes of is
//! a failure too.
//!
//! A usual run takes a sample of the lines; `cargo xtask test --full` runs all, and so does `ETCD_SNAP_COMPAT_LINES=TEXT` with those that
//! contain the text.

mod compare;
mod differences;
mod lines;
mod normal;
mod run;
mod world;

use anyhow::Result;
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::sample;

use differences::Differences;
use lines::Line;
use world::World;

/// Of one dialect in a usual run.
const SAMPLE: usize = 45;

fn lines_of(version: Version) -> Result<Vec<Line>> {
    let lines = lines::read()?;
    let mut lines: Vec<Line> = lines
        .into_iter()
        .filter(|line| line.versions.contains(&version))
        .collect();
    if let Ok(text) = std::env::var("ETCD_SNAP_COMPAT_LINES") {
        lines.retain(|line| line.text.contains(&text));
        return Ok(lines);
    }
    Ok(sample(lines, SAMPLE))
}

fn compare_all(version: Version) -> Result<()> {
    let differences = Differences::read()?;
    let mut world = World::new(version)?;
    let mut failures = Vec::new();
    let lines = lines_of(version)?;
    for line in &lines {
        let theirs = run::theirs(&mut world, line)?;
        let ours = run::ours(&mut world, line)?;
        let found = compare::compare(line, version, &differences, &theirs, &ours);
        failures.extend(found.into_iter().map(|what| {
            format!(
                "line {} ({version}): {}\n{what}\n--- etcd's own ---\n{theirs}--- ours ---\n{ours}",
                line.number, line.text
            )
        }));
    }
    assert!(
        failures.is_empty(),
        "{} of {} lines differ:\n\n{}",
        failures.len(),
        lines.len(),
        failures.join("\n")
    );
    Ok(())
}

#[test]
fn etcd_3_4() -> Result<()> {
    compare_all(Version::V3_4)
}

#[test]
fn etcd_3_5() -> Result<()> {
    compare_all(Version::V3_5)
}

#[test]
fn etcd_3_6() -> Result<()> {
    compare_all(Version::V3_6)
}

#[test]
fn etcd_3_7() -> Result<()> {
    compare_all(Version::V3_7)
}

/// Of the real tool against itself nothing may be left but what is normal: else the comparison would find differences that are none.
#[test]
fn a_tool_equals_itself() -> Result<()> {
    let version = Version::V3_6;
    let mut world = World::new(version)?;
    let lines = lines_of(version)?;
    let lines = sample(lines.into_iter().filter(|line| line.marks.is_empty()), 12);
    assert!(!lines.is_empty());
    for line in &lines {
        let one = run::theirs(&mut world, line)?;
        let other = run::theirs(&mut world, line)?;
        let found = compare::compare(line, version, &Differences::default(), &one, &other);
        assert_eq!(found, Vec::<String>::new(), "{}", line.text);
    }
    Ok(())
}
