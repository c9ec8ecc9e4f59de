//! The tables in docs/performance.md.

use std::fs;

use anyhow::{Context as _, Result};

use super::summary::Summary;
use crate::workspace;

const DOCUMENT: &str = "docs/performance.md";
const END: &str = "<!-- end of the measurement -->";

/// Puts every section where the document has a place for it, and says where it has none.
pub(super) fn write(summary: &Summary) -> Result<()> {
    let path = workspace().join(DOCUMENT);
    let mut text = fs::read_to_string(&path).with_context(|| format!("cannot read {DOCUMENT}"))?;
    let sections = summary
        .databases
        .iter()
        .map(|database| (database.name(), summary.section(database)));
    let growth = summary.growth().map(|table| ("growth".to_owned(), table));
    for (name, section) in sections.chain(growth) {
        match replace(&text, &name, &section) {
            Some(with_section) => text = with_section,
            None => eprintln!(
                "{DOCUMENT} has no place for this: lines with {} and {END} would make one",
                begin(&name)
            ),
        }
    }
    fs::write(&path, text).with_context(|| format!("cannot write {DOCUMENT}"))
}

fn begin(name: &str) -> String {
    format!("<!-- cargo xtask bench verify: {name} -->")
}

/// The text with another section between the two marks.
fn replace(text: &str, name: &str, section: &str) -> Option<String> {
    let begin = begin(name);
    let (before, rest) = text.split_once(&begin)?;
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
            begin("small 2GB"),
            begin("large 2GB")
        );
        let replaced = replace(&text, "small 2GB", "| new |").unwrap();
        assert_eq!(replaced, text.replace("old", "| new |"));
        assert_eq!(replace(&text, "small 8GB", "| new |"), None);
    }
}
