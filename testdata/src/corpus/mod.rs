//! Damaged files and sound ones, small enough to be committed: at least one for everything that the checks know.
//!
//! `cargo xtask corpus` writes them into the folders `damaged` and `sound` of this crate. Each has a text file beside it with
//! all that is to be found in it; how etcd's own tools judge them is in `damaged/verdicts.txt`. The test program `corpus` of
//! the command compares both with what is found today, and rewrites them where `ETCD_SNAP_UPDATE_GOLDEN` is set.
//!
//! Everything here is deterministic: a file changes only when its recipe does.

mod bases;
mod elements;
mod files;
mod freelist;
mod history;
mod kinds;
mod metas;
mod order;
mod pages;
mod small_buckets;
mod sound;

use std::path::PathBuf;

use crate::database::Image;

/// One file of the corpus.
#[derive(Debug, Clone)]
pub struct Specimen {
    /// The file's name without `.db`: what it is about, then what is wrong.
    pub name: &'static str,
    /// What is the matter with it, in a sentence.
    pub about: &'static str,
    /// The whole file.
    pub bytes: Vec<u8>,
}

impl Specimen {
    fn new(name: &'static str, about: &'static str, bytes: Vec<u8>) -> Self {
        Self { name, about, bytes }
    }

    /// A database that is damaged and has the right digest all the same: its server was damaged before.
    fn of(
        name: &'static str,
        about: &'static str,
        mut image: Image,
        damage: impl FnOnce(&mut Image),
    ) -> Self {
        damage(&mut image);
        Self::new(name, about, image.sealed())
    }
}

/// Files in which something is wrong, by name.
#[must_use]
pub fn damaged() -> Vec<Specimen> {
    let all = [
        files::specimens(),
        kinds::specimens(),
        metas::specimens(),
        pages::specimens(),
        freelist::specimens(),
        order::specimens(),
        elements::specimens(),
        history::specimens(),
        small_buckets::specimens(),
    ];
    sorted(all.concat())
}

/// Files in which nothing is wrong, although some look unusual, by name.
#[must_use]
pub fn sound() -> Vec<Specimen> {
    sorted(sound::specimens())
}

fn sorted(mut all: Vec<Specimen>) -> Vec<Specimen> {
    all.sort_by_key(|specimen| specimen.name);
    assert!(
        all.is_sorted_by(|one, next| one.name < next.name),
        "two specimens have one name"
    );
    all
}

/// Where the damaged files are committed.
#[must_use]
pub fn damaged_folder() -> PathBuf {
    crate::folder().join("damaged")
}

/// Where the sound files are committed.
#[must_use]
pub fn sound_folder() -> PathBuf {
    crate::folder().join("sound")
}
