//! Trees whose files were damaged: whatever is in them, there is an answer, and nobody panics.

use etcd_snap_testdata::sample;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;

#[allow(
    unreachable_pub,
    reason = "what the targets do is public in their own crate"
)]
#[path = "../../../fuzz/src/node.rs"]
mod fuzzed;

/// What the fuzz target `node` starts from.
#[test]
fn what_the_fuzzer_knows_of_machines_ends_well() -> Result<()> {
    for (name, files) in etcd_snap_testdata::fuzz::machines()? {
        let node = fuzzed::run(&files);
        let expected = found_in(&nodes().join(&name).join("root"))?;
        let names = |node: &Node| -> Vec<_> {
            node.etcds
                .iter()
                .map(|it| (it.name.clone(), it.title()))
                .collect()
        };
        ensure!(
            names(&node) == names(&expected),
            "{name}: {:?} {:?}",
            names(&node),
            names(&expected)
        );
    }
    etcd_snap_testdata::fuzz::replay("node", |bytes| drop(fuzzed::run(bytes)));
    Ok(())
}

/// A file of a tree, as a path below its root.
fn files(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files(&path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

/// What happens to files: lines that go, come twice, change places or are cut, and bytes that change.
#[derive(Debug, Clone)]
enum Damage {
    DropLine(prop::sample::Index),
    DoubleLine(prop::sample::Index),
    SwapLines(prop::sample::Index, prop::sample::Index),
    Indent(prop::sample::Index, u8),
    CutAt(prop::sample::Index),
    Byte(prop::sample::Index, u8),
}

fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        index().prop_map(Damage::DropLine),
        index().prop_map(Damage::DoubleLine),
        (index(), index()).prop_map(|(one, other)| Damage::SwapLines(one, other)),
        (index(), 0..9_u8).prop_map(|(line, blanks)| Damage::Indent(line, blanks)),
        index().prop_map(Damage::CutAt),
        (
            index(),
            prop_oneof![
                Just(b'"'),
                Just(b'\\'),
                Just(b'$'),
                Just(b'%'),
                Just(b'\n'),
                any::<u8>()
            ]
        )
            .prop_map(|(at, byte)| Damage::Byte(at, byte)),
    ]
}

fn damaged(content: &[u8], damages: &[Damage]) -> Vec<u8> {
    let mut content = content.to_vec();
    for damage in damages {
        if content.is_empty() {
            break;
        }
        let mut lines: Vec<Vec<u8>> = content
            .split_inclusive(|it| *it == b'\n')
            .map(<[u8]>::to_vec)
            .collect();
        let count = lines.len();
        match damage {
            Damage::DropLine(at) => drop(lines.remove(at.index(count))),
            Damage::DoubleLine(at) => lines.insert(at.index(count), lines[at.index(count)].clone()),
            Damage::SwapLines(one, other) => lines.swap(one.index(count), other.index(count)),
            Damage::Indent(at, blanks) => {
                let line = &mut lines[at.index(count)];
                line.splice(0..0, std::iter::repeat_n(b' ', usize::from(*blanks)));
            }
            Damage::CutAt(at) => {
                let at = at.index(content.len());
                lines = vec![content[..at].to_vec()];
            }
            Damage::Byte(at, byte) => {
                let at = at.index(content.len());
                content[at] = *byte;
                lines = vec![content.clone()];
            }
        }
        content = lines.concat();
    }
    content
}

#[test]
fn whatever_the_files_say_there_is_an_answer() -> Result<()> {
    for (name, folder) in sample(trees()?, 12) {
        let root = folder.join("root");
        let mut all = Vec::new();
        files(&root, &mut all)?;
        let copy = tempfile::tempdir()?;
        for path in &all {
            let to = copy.path().join(path.strip_prefix(&root)?);
            fs::create_dir_all(to.parent().context("a parent")?)?;
            fs::copy(path, to)?;
        }
        let cases = (
            any::<prop::sample::Index>(),
            prop::collection::vec(damage(), 1..4),
        );
        let mut runner = TestRunner::new(Config {
            cases: 40,
            failure_persistence: None,
            ..Config::default()
        });
        let ran = runner.run(&cases, |(which, damages)| {
            let path = &all[which.index(all.len())];
            let to = copy.path().join(path.strip_prefix(&root).unwrap());
            let before = fs::read(path).unwrap();
            fs::write(&to, damaged(&before, &damages)).unwrap();
            fuzzed::ask_all(&found_in(copy.path()).unwrap());
            fs::write(&to, before).unwrap();
            Ok(())
        });
        ran.map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
    }
    Ok(())
}
