//! Which program the words of a container run.

/// What the words of a container run, as far as etcd is concerned.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Program<'a> {
    /// etcd: these are its words.
    Etcd(Vec<String>),
    /// A shell with this script.
    Script(&'a str),
    /// kOps' etcd-manager, which starts etcd as its child.
    EtcdManager,
    /// kube-apiserver, with these words.
    ApiServer,
    /// Something else.
    Other,
}

/// Finds out.
pub(super) fn of(words: &[String]) -> Program<'_> {
    if let Some(words) = etcd(words) {
        return Program::Etcd(words);
    }
    let words = unwrapped(words);
    let Some((first, rest)) = words.split_first() else {
        return Program::Other;
    };
    match base(first) {
        "sh" | "bash" | "dash" | "ash" => {
            // `-c`, `-ec`, `-e -c`: the script is the first word after the switches.
            let switches = rest.iter().take_while(|word| word.starts_with('-')).count();
            let is_script = rest
                .iter()
                .take(switches)
                .any(|word| !word.starts_with("--") && word.contains('c'));
            match rest.get(switches) {
                Some(script) if is_script => Program::Script(script),
                _ => Program::Other,
            }
        }
        "etcd-manager" => Program::EtcdManager,
        "kube-apiserver" => Program::ApiServer,
        _ => Program::Other,
    }
}

/// The words of etcd, if that is what they run: without what is put before it.
pub(super) fn etcd(words: &[String]) -> Option<Vec<String>> {
    let words = unwrapped(words);
    let (first, rest) = words.split_first()?;
    // The two that have no data of their own are no members.
    let is_member = rest
        .first()
        .is_none_or(|word| word != "grpc-proxy" && word != "gateway");
    (base(first) == "etcd" && is_member).then(|| words.to_vec())
}

/// Without those programs whose own words are followed by the program that they start.
fn unwrapped(mut words: &[String]) -> &[String] {
    const WRAPPERS: &[&str] = &[
        "exec", "nice", "ionice", "env", "nohup", "time", "tini", "dumb-init", "go-runner", "then",
        "do", "else", "{", "!",
    ];
    while let Some((first, rest)) = words.split_first() {
        if !WRAPPERS.contains(&base(first)) {
            break;
        }
        // Their switches, the numbers after those (`nice -n -19`), and what `env` sets.
        let own = rest
            .iter()
            .take_while(|word| {
                word.starts_with('-')
                    || word.parse::<i32>().is_ok()
                    || (base(first) == "env" && word.contains('='))
            })
            .count();
        words = rest.get(own..).unwrap_or_default();
    }
    words
}

fn base(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// Whether an image is one of etcd, by the last part of its name.
pub(super) fn is_image_of_etcd(image: &str) -> bool {
    let name = image.split('@').next().unwrap_or(image);
    let last = base(name);
    let repository = last.split(':').next().unwrap_or(last);
    ["etcd", "hardened-etcd", "etcd-amd64", "etcd-arm64"].contains(&repository)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn etcd_is_known_by_its_program_whatever_is_before_it() {
        for text in [
            "etcd --name a",
            "/usr/local/bin/etcd --name a",
            "nice -n -19 ionice -c2 -n0 etcd --name a",
            "/sbin/tini -- etcd --name a",
            "/go-runner --log-file=/x --also-stdout etcd --name a",
            "env A=b etcd --name a",
        ] {
            let Program::Etcd(found) = of(&words(text)) else {
                panic!("{text}");
            };
            assert_eq!(found[1..], ["--name", "a"], "{text}");
        }
    }

    #[test]
    fn what_is_no_member_is_none() {
        for (text, expected) in [
            ("etcd grpc-proxy start", Program::Other),
            ("etcd gateway start", Program::Other),
            ("etcdctl member list", Program::Other),
            ("/go-runner --x /ko-app/etcd-manager --y", Program::EtcdManager),
            ("kube-apiserver --a", Program::ApiServer),
            ("sh script etcd", Program::Other),
            ("", Program::Other),
        ] {
            assert_eq!(of(&words(text)), expected, "{text}");
        }
        let script = ["/bin/sh", "-ec", "exec etcd"].map(str::to_owned);
        assert_eq!(of(&script), Program::Script("exec etcd"));
        assert!(is_image_of_etcd("registry.k8s.io/etcd:3.5.1-0"));
        assert!(is_image_of_etcd("host:5000/rancher/hardened-etcd:v3@sha256:0"));
        assert!(!is_image_of_etcd("registry.k8s.io/etcd-manager/etcd-manager-slim:v3"));
    }
}
