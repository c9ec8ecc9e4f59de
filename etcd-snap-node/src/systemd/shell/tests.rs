//! Scripts, and what of them is known.

use super::*;

#[test]
fn a_parenthesis_ends_whatever_a_comment_says() {
    for text in [
        "(a b) c",
        "(a ')' \"(\") c",
        "(\n # the machine's (own\n hostname -i\n) c",
        "(cat <<E\nit's\nE\n) c",
    ] {
        let found = closing(text).unwrap();
        assert_eq!(&text[found..], " c", "{text}: {found}");
    }
    assert_eq!(closing("(a"), None);
}

fn script(text: &str, arguments: &[&str]) -> Script {
    let arguments: Vec<_> = arguments.iter().map(|&it| it.to_owned()).collect();
    let variables = [("NAME", "m1"), ("TWO", "a  b "), ("EMPTY", "")];
    read(
        text,
        &Surroundings {
            arguments: &arguments,
            variables: variables.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            read: &|file| {
                (file == "/etc/etcd.env")
                    .then(|| "ETCD_NAME=\"m2\" # x\nexport ETCD_DATA_DIR=/d\n".to_owned())
            },
        },
    )
}

#[test]
fn words_are_those_of_a_shell() {
    for (text, expected) in [
        (
            "etcd --name=a 'b c' \"d e\"",
            vec!["etcd", "--name=a", "b c", "d e"],
        ),
        (
            "etcd \\\n  --name a\\ b # no",
            vec!["etcd", "--name", "a b"],
        ),
        ("exec etcd --name=$NAME/x", vec!["etcd", "--name=m1/x"]),
        ("etcd \"--name=${NAME}\" ''", vec!["etcd", "--name=m1", ""]),
        (
            "etcd $TWO$NAME \"$TWO\"",
            vec!["etcd", "a", "b", "m1", "a  b "],
        ),
        ("etcd $EMPTY \"$EMPTY\" x", vec!["etcd", "", "x"]),
        (
            "etcd ${NONE:-d} ${EMPTY:-e} ${NAME:-f}x${EMPTY-g}${NONE-h}",
            vec!["etcd", "d", "e", "m1xh"],
        ),
        ("etcd \"$@\"", vec!["etcd", "x y", "z"]),
        (
            "etcd $@ 2>&1 >/dev/null --x",
            vec!["etcd", "x y", "z", "--x"],
        ),
        (
            "etcd '$NAME' \\$NAME \"\\$NAME \\n\"",
            vec!["etcd", "$NAME", "$NAME", "$NAME \\n"],
        ),
        ("etcd a#b", vec!["etcd", "a#b"]),
    ] {
        let script = script(text, &["x y", "z"]);
        assert_eq!(script.commands[0].words, expected, "{text}");
        assert_eq!(script.unknown, Vec::<String>::new(), "{text}");
    }
}

#[test]
fn commands_get_what_is_exported() {
    let script = script(
        "#!/bin/sh\nset -e\nLOCAL=1\nexport OUT=2\ncd /var/lib\nONE=3 first; unset OUT\nNAME=m9\n. /etc/etcd.env && second | third\n",
        &[],
    );
    let [first, second, third] = script.commands.as_slice() else {
        panic!("{:?}", script.commands)
    };
    let get = |command: &Command, name: &str| command.variables.get(name).cloned();
    assert_eq!(get(first, "LOCAL"), None);
    assert_eq!(get(first, "OUT").as_deref(), Some("2"));
    assert_eq!(get(first, "ONE").as_deref(), Some("3"));
    assert_eq!(first.directory.as_deref(), Some("/var/lib"));
    assert_eq!(get(second, "OUT"), None);
    assert_eq!(get(second, "ONE"), None);
    assert_eq!(get(second, "NAME").as_deref(), Some("m9"));
    assert_eq!(get(second, "ETCD_NAME"), None, "it was not exported");
    assert_eq!(get(second, "ETCD_DATA_DIR").as_deref(), Some("/d"));
    assert_eq!(third.words, ["third"]);
    assert_eq!(script.sourced, ["/etc/etcd.env"]);
}

#[test]
fn set_a_exports_what_a_file_sets() {
    let script = script("set -a\n. /etc/etcd.env\nset +a\nX=1\nexec etcd", &[]);
    let variables = &script.commands[0].variables;
    assert_eq!(variables.get("ETCD_NAME").map(String::as_str), Some("m2"));
    assert_eq!(variables.get("X"), None);
}

#[test]
fn what_is_not_understood_is_kept_and_said() {
    for (text, words, unknown) in [
        (
            "GOMAXPROCS=$(nproc) etcd --a",
            vec!["etcd", "--a"],
            "$(nproc)",
        ),
        (
            "etcd --name=`hostname` x",
            vec!["etcd", "--name=`hostname`", "x"],
            "`hostname`",
        ),
        (
            "etcd --name=$(a (b) \")\") x",
            vec!["etcd", "--name=$(a (b) \")\")", "x"],
            "$(a (b) \")\")",
        ),
        (
            "etcd ${HOSTNAME:-none} y",
            vec!["etcd", "${HOSTNAME}", "y"],
            "${HOSTNAME}",
        ),
        (
            "etcd ${NAME%%x} y",
            vec!["etcd", "${NAME%%x}", "y"],
            "${NAME%%x}",
        ),
        ("if true; then etcd x; fi", vec!["true"], "if"),
        (". /etc/none; etcd", vec!["etcd"], ". /etc/none"),
    ] {
        let script = script(text, &[]);
        assert_eq!(
            script.unknown.first().map(String::as_str),
            Some(unknown),
            "{text}"
        );
        assert_eq!(script.commands[0].words, words, "{text}");
    }
    assert_eq!(script("etcd $NONE", &[]).unset, ["NONE"]);
}
