//! YAML as kubelet reads it: one document, JSON among it, the last of two equal keys, and no numbers where words belong.

use serde::de::DeserializeOwned;

/// Reads the first document of a text.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(_) => first_document(text)?,
    };
    // By way of JSON, as kubelet does: `value: 1` is then refused where a word is asked for.
    serde_json::from_value(value).map_err(|error| error.to_string())
}

fn first_document(text: &str) -> Result<serde_json::Value, String> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins,
    };
    let documents: Vec<serde_json::Value> =
        serde_saphyr::from_multiple_with_options(text, options)
            .map_err(|error| one_line(&error.to_string()))?;
    documents.into_iter().next().ok_or_else(|| "it is empty".to_owned())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubelet_reads_is_read() {
        let read = |text: &str| read::<serde_json::Value>(text).unwrap();
        assert_eq!(read("a: 1\na: 2\n")["a"], 2);
        assert_eq!(read("{\n\t\"a\": \"b\"\n}")["a"], "b");
        assert_eq!(read("---\na: x\n---\na: y\n")["a"], "x");
        assert_eq!(read("a: x # comment\n")["a"], "x");
        assert_eq!(read("- x\n - y\n")[0], "x - y");
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        for text in ["", "a: [", "a: b: c", "\u{0}"] {
            let problem = read::<serde_json::Value>(text).unwrap_err();
            assert!(!problem.contains('\n') && !problem.is_empty(), "{problem}");
        }
        let problem = read::<Vec<String>>("[1]").unwrap_err();
        assert!(problem.contains("string"), "{problem}");
    }
}
