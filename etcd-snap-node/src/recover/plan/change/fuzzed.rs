//! What gives etcd another data directory, for the fuzz target `data_dir`.

use super::unit::with_other_data_dir;
use super::yaml::{Step, set_scalar};
use crate::systemd;

const NEW: &str = "/new";

/// A file behind a byte that says which: a manifest, etcd's own configuration, or a unit. What is changed is changed in that one place.
pub(crate) fn data_dir(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(rest) else {
        return;
    };
    match kind % 3 {
        0 => {
            let (volumes, path) = (Step::Key("volumes"), Step::Key("path"));
            let volume = [volumes, Step::Named("etcd-data"), Step::Key("hostPath")];
            yaml(text, &[&[Step::Key("spec")], &volume[..], &[path]].concat());
        }
        1 => yaml(text, &[Step::Key("data-dir")]),
        _ => {
            for command in systemd::written_commands(&[text.to_owned()]) {
                unit(&command);
            }
        }
    }
}

fn yaml(text: &str, path: &[Step<'_>]) {
    if let Ok(changed) = set_scalar(text, path, NEW) {
        assert_eq!(set_scalar(&changed, path, NEW).as_ref(), Ok(&changed));
    }
}

fn unit(command: &str) {
    let Ok(changed) = with_other_data_dir(command, NEW) else {
        return;
    };
    let words = |command| -> Vec<String> {
        let words = systemd::words_of(command).expect("words");
        words.into_iter().map(|it| it.word).collect()
    };
    let (before, after) = (words(command), words(&changed));
    assert_eq!(before.len(), after.len(), "{command}\n{changed}");
    let pairs = before.iter().zip(&after);
    let differ: Vec<_> = pairs.filter(|(before, after)| before != after).collect();
    assert!(differ.len() <= 1, "{differ:?}");
    assert!(differ.iter().all(|(_, after)| after.ends_with(NEW)));
    assert_eq!(
        with_other_data_dir(&changed, NEW).expect("it again"),
        changed
    );
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_the_fuzzer_knows_of_data_directories_ends_well() {
        etcd_snap_testdata::fuzz::replay("data_dir", super::data_dir);
    }
}
