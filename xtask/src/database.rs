//! `cargo xtask database`: a database of any size, for measurements.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use etcd_snap_testdata::bulk::{Bulk, Facts, History, Profile};

/// Write a database of any size, like that of a cluster that has lived for long
///
/// It has the records, the order of pages and the free pages of a database that was written to, deleted from and compacted
/// for months, and is taken for one by etcd and its tools. The same options make the same file. Prints what is in it as JSON.
///
/// With cargo run --release -p xtask -- database it takes a quarter of the time.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What the values are like: small, large or kubernetes
    #[arg(long, value_name = "NAME", default_value = "kubernetes")]
    profile: Profile,
    /// How large, as in 100MB, 2GB or 512MiB
    #[arg(long, value_name = "SIZE", default_value = "100MB", value_parser = parse_size)]
    size: u64,
    /// Add free pages that take no room on the disk
    #[arg(long, value_name = "SIZE", default_value = "0", value_parser = parse_size)]
    hole: u64,
    /// Another number, another database of the same kind
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// What compactions there were: compacted, interrupted or never-compacted
    #[arg(long, value_name = "NAME", default_value = "compacted", value_parser = parse_history)]
    history: History,
    /// Where to
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let started = Instant::now();
    let facts = Bulk::new(arguments.profile, arguments.size)
        .seed(arguments.seed)
        .history(arguments.history)
        .hole(arguments.hole)
        .write(&arguments.output)?;
    eprintln!(
        "{} in {:.1} s",
        arguments.output.display(),
        started.elapsed().as_secs_f64()
    );
    // Those are for tests.
    let facts = Facts {
        samples: Vec::new(),
        ..facts
    };
    println!("{}", serde_json::to_string_pretty(&facts)?);
    Ok(())
}

/// A number with a unit: `B`, `kB`, `MB`, `GB` of thousands or `KiB`, `MiB`, `GiB` of 1024.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 8] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("B", 1),
        ("", 1),
    ];
    UNITS
        .iter()
        .find_map(|(unit, bytes)| {
            let number: u64 = text.strip_suffix(unit)?.trim().parse().ok()?;
            number.checked_mul(*bytes)
        })
        .ok_or_else(|| format!("{text:?} is no size like 100MB, 2GB or 512MiB"))
}

fn parse_history(text: &str) -> Result<History, String> {
    match text {
        "compacted" => Ok(History::Compacted),
        "interrupted" => Ok(History::Interrupted),
        "never-compacted" => Ok(History::NeverCompacted),
        _ => Err(format!(
            "{text:?} is none of compacted, interrupted and never-compacted"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::parse_size;

    #[test]
    fn sizes_are_numbers_with_units() {
        assert_eq!(parse_size("100MB"), Ok(100_000_000));
        assert_eq!(parse_size("2GB"), Ok(2_000_000_000));
        assert_eq!(parse_size("3 KiB"), Ok(3072));
        assert_eq!(parse_size("7"), Ok(7));
        for wrong in ["", "GB", "1.5GB", "-1", "99999999999GB", "1TB"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }
}
