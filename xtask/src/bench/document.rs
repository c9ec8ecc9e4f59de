//! The tables in docs/performance.md.

use std::fs;

use anyhow::{Context as _, Result};

use crate::workspace;

const DOCUMENT: &str = "docs/performance.md";
const END: &str = "<!-- end of the measurement -->";

/// Puts what `cargo xtask bench COMMAND` measured where the document has a place for it, by the names of the sections, and says
/// where it has none.
pub(super) fn write(
    command: &str,
    sections: impl IntoIterator<Item = (String, String)>,
) -> Result<()> {
    let path = workspace().join(DOCUMENT);
    let mut text = fs::read_to_string(&path).with_context(|| format!("cannot read {DOCUMENT}"))?;
    for (name, section) in sections {
        let begin = begin(command, &name);
        match replace(&text, &begin, &section) {
            Some(with_section) => text = with_section,
            None => eprintln!(
                "{DOCUMENT} has no place for this: lines with {begin} and {END} would make one"
            ),
        }
    }
    fs::write(&path, text).with_context(|| format!("cannot write {DOCUMENT}"))
}

fn begin(command: &str, name: &str) -> String {
    format!("<!-- cargo xtask bench {command}: {name} -->")
}

/// The text with another section between the two marks.
fn replace(text: &str, begin: &str, section: &str) -> Option<String> {
    let (before, rest) = text.split_once(begin)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{begin}\n\n{section}\n\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_nothing_else() {
        let text = format!(
            "before\n{}\n\nold\n\n{END}\nbetween\n{}\nother\n{END}\nafter\n",
            begin("verify", "small 2GB"),
            begin("save", "small 2GB")
        );
        let at = |command, name| replace(&text, &begin(command, name), "| new |");
        let replaced = at("verify", "small 2GB").unwrap();
        assert_eq!(replaced, text.replace("old", "| new |"));
        assert_eq!(at("verify", "small 8GB"), None);
    }
}
