//! Whoever reads a code finds it on its page.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};

/// The words in quotes behind what makes a finding.
fn codes(folder: &Path, found: &mut BTreeSet<String>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "tests") {
                codes(&path, found)?;
            }
            continue;
        }
        let text = fs::read_to_string(&path)?;
        for kind in ["note", "warning", "error"] {
            for piece in text.split(&format!("Finding::{kind}(")).skip(1) {
                let Some(rest) = piece.trim_start().strip_prefix('"') else {
                    continue;
                };
                found.extend(rest.split('"').next().map(str::to_owned));
            }
        }
    }
    Ok(())
}

#[test]
fn every_code_is_on_the_page() -> Result<()> {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(crate_folder.join("../docs/findings.md"))?;
    let mut found = BTreeSet::new();
    codes(&crate_folder.join("src"), &mut found)?;
    ensure!(found.len() > 90, "only {} codes were found", found.len());
    let missing: Vec<_> = found
        .iter()
        .filter(|code| !page.contains(&format!("`{code}`")))
        .collect();
    ensure!(
        missing.is_empty(),
        "docs/findings.md does not have {missing:?}"
    );
    Ok(())
}
