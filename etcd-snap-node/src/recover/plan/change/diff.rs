//! A change, as `diff -u` shows it.

use std::path::Path;

use similar::TextDiff;

/// The difference; a file that is made is all new lines.
pub(in crate::recover::plan) fn diff(path: &Path, before: Option<&str>, after: &str) -> String {
    let old = match before {
        Some(_) => path.display().to_string(),
        None => "/dev/null".to_owned(),
    };
    TextDiff::from_lines(before.unwrap_or_default(), after)
        .unified_diff()
        .header(&old, &path.display().to_string())
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_can_be_given_to_patch() {
        let (before, after) = ("a\nb\nc\nd\ne", "a\nb\nc\nd\nE");
        assert_eq!(
            diff(Path::new("/f"), Some(before), after),
            "--- /f\n+++ /f\n@@ -2,4 +2,4 @@\n b\n c\n d\n-e\n\\ No newline at end of file\n+E\n\\ No newline at end of file\n"
        );
        assert_eq!(
            diff(Path::new("/f"), None, "a\n"),
            "--- /dev/null\n+++ /f\n@@ -0,0 +1 @@\n+a\n"
        );
    }
}
