//! What is different between two outcomes, and was not marked.

use std::collections::BTreeMap;

use etcd_snap_testdata::etcd::Version;

use crate::differences::Differences;
use crate::lines::Line;
use crate::normal;
use crate::run::{Left, Outcome};

pub(crate) fn compare(
    line: &Line,
    version: Version,
    differences: &Differences,
    theirs: &Outcome,
    ours: &Outcome,
) -> Vec<String> {
    let aspects = match differences.allowed(line, version) {
        Ok(aspects) => aspects,
        Err(why) => return vec![why],
    };
    let has = |aspect: &str| aspects.iter().any(|one| one == aspect);
    let mut found = Vec::new();
    // How many marks something came of.
    let mut seen = 0;
    let mut marked = |is: bool| {
        seen += usize::from(is);
        is
    };

    if has("panics") {
        let fell = theirs.stderr.contains("goroutine ") || theirs.stderr.contains("panic");
        marked(fell);
        if !fell {
            found.push("theirs does not panic".to_owned());
        }
        let says = ours.code == Some(0) || ours.stderr.contains("Error: ");
        if !says || ours.stderr.contains("panicked") {
            found.push("ours does not end well".to_owned());
        }
        return found;
    }
    if has("hangs") {
        marked(theirs.code.is_none());
        if theirs.code.is_some() {
            found.push("theirs ends".to_owned());
        }
        if ours.code.is_none_or(|code| code == 0) || !ours.stderr.contains("Error: ") {
            found.push("ours does not end with a sentence".to_owned());
        }
        return found;
    }

    let writes = line.writes();
    let code_wanted = aspects
        .iter()
        .find_map(|aspect| aspect.strip_prefix("code="));
    match code_wanted {
        Some(code) => {
            marked(theirs.code != ours.code);
            if ours.code.map(|code| code.to_string()).as_deref() != Some(code) {
                found.push(format!("the code is not {code}"));
            }
        }
        None if has("code") => {
            marked(theirs.code != ours.code);
            if ours.code.is_none_or(|code| code == 0) {
                found.push("ours does not fail".to_owned());
            }
        }
        None if theirs.code != ours.code => found.push("the codes differ".to_owned()),
        None => {}
    }

    let output = |bytes: &[u8]| {
        let text = normal::stdout(bytes, writes);
        if line.any_order() {
            sorted(&text)
        } else {
            text
        }
    };
    let (their_output, our_output) = (output(&theirs.stdout), output(&ours.stdout));
    if their_output != our_output && !(has("stdout") && marked(true)) {
        found.push("standard output differs".to_owned());
    }

    let without = |text: &str, prefix: &str| -> (Vec<String>, bool) {
        let mut all = normal::stderr(text, writes);
        if line.any_order() {
            all.sort();
        }
        let count = all.len();
        let kept: Vec<String> = all
            .into_iter()
            .filter(|line| {
                !aspects.iter().any(|aspect| {
                    let text = aspect.strip_prefix(prefix);
                    text.is_some_and(|text| line.contains(text))
                })
            })
            .collect();
        let dropped = kept.len() < count;
        (kept, dropped)
    };
    let (their_lines, dropped) = without(&theirs.stderr, "their-line:");
    marked(dropped);
    let (our_lines, dropped) = without(&ours.stderr, "our-line:");
    marked(dropped);
    if their_lines != our_lines && !(has("stderr") && marked(true)) {
        found.push(format!(
            "standard error differs:\n  {}\n  --\n  {}",
            their_lines.join("\n  "),
            our_lines.join("\n  ")
        ));
    }

    let plain = |files: &BTreeMap<String, Left>| {
        let mut files = files.clone();
        for left in files.values_mut() {
            if has("modes") {
                left.mode = 0;
            }
            if has("sizes") {
                left.size = 0;
            }
            // Logging in writes too.
            if has("contents") || writes {
                left.hash = None;
            }
        }
        files
    };
    if has("modes") || has("sizes") || has("contents") {
        marked(theirs.files != ours.files);
    }
    if has("clean") {
        marked(!theirs.files.is_empty());
        if !ours.files.is_empty() {
            found.push("ours leaves something".to_owned());
        }
    } else if plain(&theirs.files) != plain(&ours.files) && !(has("files") && marked(true)) {
        found.push("the files left behind differ".to_owned());
    }

    if !aspects.is_empty() && seen == 0 {
        found.push(format!("nothing came of the marks {:?}", line.marks));
    }
    found
}

fn sorted(text: &[u8]) -> Vec<u8> {
    let mut lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    lines.sort_unstable();
    lines.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(stdout: &str, stderr: &str, code: i32, files: &[&str]) -> Outcome {
        let left = Left {
            kind: "file",
            mode: 0o600,
            size: 1,
            hash: None,
            keys: None,
        };
        Outcome {
            stdout: stdout.as_bytes().to_owned(),
            stderr: stderr.to_owned(),
            code: Some(code),
            files: files
                .iter()
                .map(|name| ((*name).to_owned(), left.clone()))
                .collect(),
        }
    }

    fn without_keys(outcome: &Outcome) -> Outcome {
        let mut outcome = outcome.clone();
        for left in outcome.files.values_mut() {
            left.keys = Some(1);
        }
        outcome
    }

    #[test]
    fn everything_that_is_wrong_is_noticed() {
        let lines = crate::lines::read().unwrap();
        let line = lines.iter().find(|line| line.marks.is_empty()).unwrap();
        let right = outcome("a\n", "Error: b\n", 1, &["s.db"]);
        let none = Differences::default();
        assert_eq!(
            compare(line, line.versions[0], &none, &right, &right),
            Vec::<String>::new()
        );
        for wrong in [
            outcome("a \n", "Error: b\n", 1, &["s.db"]),
            outcome("a\n", "Error: c\n", 1, &["s.db"]),
            outcome("a\n", "", 1, &["s.db"]),
            outcome("a\n", "Error: b\n", 2, &["s.db"]),
            outcome("a\n", "Error: b\n", 1, &[]),
            outcome("a\n", "Error: b\n", 1, &["s.db", "s.db.part"]),
            without_keys(&right),
        ] {
            assert_ne!(
                compare(line, line.versions[0], &none, &right, &wrong),
                Vec::<String>::new(),
                "{wrong}"
            );
        }
    }
}
