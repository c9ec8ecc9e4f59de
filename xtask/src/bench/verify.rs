//! `cargo xtask bench verify`: what it costs to know that a backup is good, over large databases that look lived in, with the
//! goals beside the numbers.

mod goals;
mod save;
mod summary;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use etcd_snap_testdata::bulk::Profile;

use super::comparison::{Before, Comparison, Contender, Role};
use super::programs::{Programs, limit};
use super::report::Work;
use super::stock::Wanted;
use super::summary::Common;
use super::{document, stock};
use crate::database::parse_size;
use summary::{Database, Summary};

/// Above this, a server that serves the database takes more memory and more time to start than is at hand.
const LARGEST_SERVED_BYTES: u64 = 3_000_000_000;
/// What a cold cache costs the others is half a minute at 2 GB.
const MOST_COLD_ROUNDS: u64 = 3;

/// Measure verify, status, hashkv and the end of a save beside etcd's own tools, over large databases
///
/// Makes the databases first and keeps them in target/bench: those of a cluster that has lived for long, of the same bytes in
/// every run. All programs do the same work in turn; what counts are the ratios of one run. The goals stand beside them.
/// Fails where etcd-snap takes more than 64 MiB of memory.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How large, as in 100MB, 2GB or 8GB; may be given more than once
    #[arg(long = "size", value_name = "SIZE", default_value = "100MB", value_parser = parse_size)]
    sizes: Vec<u64>,
    /// What the values are like: small (300 bytes), large (4 KiB) or kubernetes; may be given more than once [default: all]
    #[arg(long = "profile", value_name = "NAME")]
    profiles: Vec<Profile>,
    /// How often each program does each work
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// Measure status with the file on the disk alone as well
    #[arg(long)]
    cold: bool,
    /// Leave out what has all these words in it, as in etcdutl-hashkv, 3.6 or save; may be given more than once
    #[arg(long = "skip", value_name = "WORDS")]
    skips: Vec<String>,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let programs = Programs::get()?;
    let parent = etcd_snap_testdata::target_folder().join("bench");
    fs::create_dir_all(&parent)?;
    let parent = parent.canonicalize()?;
    let folder = tempfile::tempdir_in(&parent)?;

    let mut summary = Summary::new(arguments.rounds)?;
    for size in &arguments.sizes {
        for profile in profiles(arguments) {
            let wanted = Wanted {
                profile,
                size_bytes: *size,
                seed: arguments.common.seed,
            };
            let (snapshot, facts) = stock::get(&parent, wanted)?;
            eprintln!("{profile}, {} bytes", facts.size_bytes);
            let leases = facts.leases > 0;
            let mut works = Vec::new();
            for comparison in comparisons(&programs, &snapshot, leases, folder.path(), arguments)? {
                read_once(&snapshot)?;
                let rounds = match comparison.work {
                    goals::STATUS_COLD => arguments.rounds.min(MOST_COLD_ROUNDS),
                    _ => arguments.rounds,
                };
                works.push(Work::new(comparison.run(rounds)?));
            }
            if wants_save(arguments, facts.size_bytes) {
                let save =
                    save::measure_end(&programs, &snapshot, folder.path(), arguments.rounds)?;
                works.push(Work::new(save));
            }
            let database = Database::new(profile, *size, facts, works);
            println!("{}\n", summary.section(&database));
            summary.databases.push(database);
        }
    }
    if let Some(growth) = summary.growth() {
        println!("{growth}\n");
    }

    if let Some(file) = &arguments.common.json {
        fs::write(file, summary.to_json()?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    if arguments.common.write_docs {
        document::write("verify", summary.sections())?;
    }
    let peak = summary.own_peak_bytes();
    ensure!(
        peak <= super::PROMISED_PEAK_BYTES,
        "etcd-snap took {peak} bytes of memory, more than the {} that it promises to stay below",
        super::PROMISED_PEAK_BYTES
    );
    Ok(())
}

fn profiles(arguments: &Arguments) -> Vec<Profile> {
    if arguments.profiles.is_empty() {
        Profile::ALL.to_vec()
    } else {
        arguments.profiles.clone()
    }
}

/// All works that only look at the file.
fn comparisons(
    programs: &Programs,
    snapshot: &Path,
    leases: bool,
    folder: &Path,
    arguments: &Arguments,
) -> Result<Vec<Comparison>> {
    let copy = folder.join("copy.db");
    let mut verify = programs.verify(snapshot);
    let more = [
        ("hash it: sha256sum", &["sha256sum"][..]),
        ("read it: cat", &["cat"]),
    ];
    for (name, words) in more {
        verify.contenders.push(limit(name, words, &[snapshot]));
    }
    let mut copied = limit("copy it: cp", &["cp"], &[snapshot, &copy]);
    copied.makes = Some(copy.clone());
    verify.contenders.push(copied);

    let mut all = vec![verify, programs.status(snapshot)];
    if programs.can("hashkv")? {
        all.push(programs.hashkv(snapshot, leases, &copy));
    } else {
        eprintln!("leaving out hashkv: etcd-snap has no such command");
    }
    if arguments.cold {
        let mut cold = programs.status(snapshot);
        cold.work = goals::STATUS_COLD;
        for contender in &mut cold.contenders {
            contender.before = Before::Forget(snapshot.to_owned());
        }
        all.push(cold);
    }
    for comparison in &mut all {
        let work = comparison.work;
        comparison
            .contenders
            .retain(|contender| !skipped(&arguments.skips, work, contender));
    }
    all.retain(|comparison| {
        let mut contenders = comparison.contenders.iter();
        contenders.any(|contender| contender.role == Role::Ours)
    });
    if all.is_empty() && skips(&arguments.skips, goals::SAVE, "etcd-snap") {
        bail!("nothing is left to be measured");
    }
    Ok(all)
}

fn wants_save(arguments: &Arguments, size_bytes: u64) -> bool {
    if skips(&arguments.skips, goals::SAVE, "etcd-snap") {
        return false;
    }
    if size_bytes > LARGEST_SERVED_BYTES {
        eprintln!(
            "leaving out save: no server is started on more than {LARGEST_SERVED_BYTES} bytes"
        );
        return false;
    }
    true
}

fn skipped(patterns: &[String], work: &str, contender: &Contender) -> bool {
    skips(patterns, work, &contender.name)
}

/// Whether a pattern has no word that is neither in the work nor in the name.
fn skips(patterns: &[String], work: &str, name: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let no_word = |letter: char| !letter.is_alphanumeric() && letter != '.';
        let words = text.split(no_word).filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect()
    };
    let all = [words(work), words(name)].concat();
    patterns
        .iter()
        .map(|pattern| words(pattern))
        .any(|pattern| !pattern.is_empty() && pattern.iter().all(|word| all.contains(word)))
}

/// So that the first program finds the file in memory as the others do.
fn read_once(path: &Path) -> Result<()> {
    let mut file = fs::File::open(path)?;
    std::io::copy(&mut file, &mut std::io::sink())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::skips;

    #[test]
    fn what_has_all_words_of_a_pattern_is_left_out() {
        let patterns = |text: &str| vec![text.to_owned()];
        let both = patterns("etcdutl-hashkv");
        assert!(skips(&both, "hashkv", "etcdutl 3.7"));
        assert!(!skips(&both, "hashkv", "etcd-snap"));
        assert!(!skips(&both, "status", "etcdutl 3.7"));
        assert!(skips(&patterns("3.6"), "status", "etcdutl 3.6"));
        assert!(skips(&patterns("cold"), "status, cold cache", "etcd-snap"));
        assert!(!skips(&patterns(""), "status", "etcd-snap"));
        assert!(!skips(&[], "status", "etcd-snap"));
    }
}
