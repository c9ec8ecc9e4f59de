//! The lines of a unit file.

use super::words::is_blank;

/// `Key=value` below a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assignment {
    pub(super) section: String,
    pub(super) key: String,
    pub(super) value: String,
}

/// The assignments of a unit file or a drop-in, in their order. Lines that are none are skipped, as systemd does with a warning.
pub(super) fn assignments(text: &str) -> Vec<Assignment> {
    let mut assignments = Vec::new();
    let mut section = String::new();
    let mut continued: Option<String> = None;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for line in text.lines() {
        // Also between the lines that a backslash joins.
        if line.trim_start_matches(is_blank).starts_with(['#', ';']) {
            continue;
        }
        let mut whole = continued.take().unwrap_or_default();
        whole.push_str(line);
        if ends_with_backslash(&whole) {
            whole.pop();
            whole.push(' ');
            continued = Some(whole);
            continue;
        }
        take(&whole, &mut section, &mut assignments);
    }
    if let Some(whole) = continued {
        take(&whole, &mut section, &mut assignments);
    }
    assignments
}

fn take(line: &str, section: &mut String, assignments: &mut Vec<Assignment>) {
    let line = line.trim_matches(is_blank);
    if let Some(name) = line.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
        name.clone_into(section);
    } else if let Some((key, value)) = line.split_once('=') {
        assignments.push(Assignment {
            section: section.clone(),
            key: key.trim_end_matches(is_blank).to_owned(),
            value: value.trim_start_matches(is_blank).to_owned(),
        });
    }
}

/// Whether the last backslash is not itself escaped.
fn ends_with_backslash(line: &str) -> bool {
    let backslashes = line.len() - line.trim_end_matches('\\').len();
    backslashes % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_and_comments_skipped() {
        let text = "# a comment\n[Unit]\nDescription = etcd  \n[Service]\n\
                    ExecStart=/usr/bin/etcd \\\n  --name=a \\\n# not this \\\n  --data-dir=/d\n\
                    ; nor this\n User=etcd\nEnvironment=\nnothing\n[Install]\nAlias=x.service\\\\\nWantedBy=y \\\n";
        let found: Vec<_> = assignments(text)
            .into_iter()
            .map(|it| (it.section, it.key, it.value))
            .collect();
        let expected: Vec<_> = [
            ("Unit", "Description", "etcd"),
            (
                "Service",
                "ExecStart",
                "/usr/bin/etcd    --name=a    --data-dir=/d",
            ),
            ("Service", "User", "etcd"),
            ("Service", "Environment", ""),
            ("Install", "Alias", "x.service\\\\"),
            ("Install", "WantedBy", "y"),
        ]
        .map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()))
        .into();
        assert_eq!(found, expected);
    }

    #[test]
    fn an_empty_line_ends_what_a_backslash_joined() {
        let found = assignments("[Service]\nExecStart=/usr/bin/etcd \\\n\n--name=a\n");
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0].value, "/usr/bin/etcd");
        assert_eq!(found[1].key, "--name");
    }
}
