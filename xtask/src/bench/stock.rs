//! Databases that were made once and are kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use etcd_snap_testdata::bulk::{self, Facts, Profile};

/// Which database.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) profile: Profile,
    pub(super) size_bytes: u64,
    pub(super) seed: u64,
}

/// The database, and what it holds.
pub(super) fn get(folder: &Path, wanted: Wanted) -> Result<(PathBuf, Facts)> {
    get_or(folder, wanted, make)
}

fn get_or(
    folder: &Path,
    wanted: Wanted,
    make: impl FnOnce(Wanted, &Path) -> Result<String>,
) -> Result<(PathBuf, Facts)> {
    let Wanted {
        profile,
        size_bytes,
        seed,
    } = wanted;
    let name = format!("{profile}-{size_bytes}-{seed}-v{}.db", bulk::VERSION);
    let path = folder.join(name);
    let facts_path = path.with_extension("json");
    // The facts are written last: a database that has some is whole.
    if let (Ok(text), Ok(metadata)) = (fs::read_to_string(&facts_path), path.metadata())
        && let Ok(facts) = serde_json::from_str::<Facts>(&text)
        && facts.size_bytes == metadata.len()
    {
        return Ok((path, facts));
    }
    eprintln!("making {}", path.display());
    let text = make(wanted, &path)?;
    fs::write(&facts_path, &text)?;
    Ok((path, serde_json::from_str(&text)?))
}

/// In a process of its own: the memory of this one counts as that of every program that it starts.
fn make(wanted: Wanted, path: &Path) -> Result<String> {
    let output = Command::new(std::env::current_exe()?)
        .arg("database")
        .args(["--profile", &wanted.profile.to_string()])
        .args(["--size", &wanted.size_bytes.to_string()])
        .args(["--seed", &wanted.seed.to_string()])
        .arg("--output")
        .arg(path)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start a process that makes the database")?;
    ensure!(output.status.success(), "cannot make {}", path.display());
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use etcd_snap_testdata::bulk::Bulk;

    use super::*;

    #[test]
    fn a_database_is_made_once_and_again_where_it_is_not_whole() {
        let folder = tempfile::tempdir().unwrap();
        let made = Cell::new(0);
        let wanted = Wanted {
            profile: Profile::Large,
            size_bytes: 500_000,
            seed: 7,
        };
        let get = || {
            get_or(folder.path(), wanted, |wanted, path| {
                made.set(made.get() + 1);
                let bulk = Bulk::new(wanted.profile, wanted.size_bytes).seed(wanted.seed);
                Ok(serde_json::to_string(&bulk.write(path)?)?)
            })
            .unwrap()
        };
        let (path, facts) = get();
        assert_eq!(path.metadata().unwrap().len(), facts.size_bytes);
        assert_eq!((get().1.digest, made.get()), (facts.digest.clone(), 1));
        fs::write(&path, "cut short").unwrap();
        assert_eq!((get().1.digest, made.get()), (facts.digest, 2));
        assert_eq!(path.metadata().unwrap().len(), facts.size_bytes);
    }
}
