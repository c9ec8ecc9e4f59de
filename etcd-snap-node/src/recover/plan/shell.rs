//! What a person would type: words as a shell takes them.

use std::path::Path;

/// A word that means itself.
pub(super) fn word(text: &str) -> String {
    let plain = |it: char| it.is_ascii_alphanumeric() || "_-./:=,@%+".contains(it);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

pub(super) fn path(path: &Path) -> String {
    word(&path.display().to_string())
}

/// Words joined by blanks; each has to be a word already.
pub(super) fn line(words: &[String]) -> String {
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_themselves() {
        for (text, shown) in [
            ("/var/lib/etcd", "/var/lib/etcd"),
            (
                "m1=https://a:2380,m2=https://b:2380",
                "m1=https://a:2380,m2=https://b:2380",
            ),
            ("a b", "'a b'"),
            ("it's $HOME", r"'it'\''s $HOME'"),
            ("", "''"),
        ] {
            assert_eq!(word(text), shown);
        }
    }
}
