//! Completions, the manual, and answers to typing errors.

use std::fs;
use std::process::{Command, Stdio};

use crate::support::{Room, golden, said};

#[test]
fn every_shell_gets_a_script_that_knows_commands_and_flags() {
    let room = Room::new();
    for (shell, words) in [
        (
            "bash",
            &["complete -F", "--endpoints", "save", "--metrics-textfile"][..],
        ),
        ("zsh", &["#compdef etcd-snap", "--endpoints", "save"]),
        ("fish", &["complete -c etcd-snap", "endpoints", "save"]),
        (
            "powershell",
            &["Register-ArgumentCompleter", "--endpoints", "save"],
        ),
    ] {
        let said = room.run(&format!("completion {shell}")).code(0);
        for word in words {
            assert!(said.stdout.contains(word), "{shell}: {word}");
        }
        assert_eq!(said.stderr, "");
    }
    room.run("completion tcsh")
        .code(2)
        .complains("possible values: bash, zsh, fish, powershell");
    assert_eq!(room.names(), ["good.db"]);
}

/// Bash itself completes with it.
#[test]
fn bash_completes() {
    let room = Room::new();
    let script = room.run("completion bash").code(0).stdout;
    room.put("script", script.as_bytes());
    let complete = |line: &str| {
        let ask = format!(
            "source ./script; completes=$(complete -p etcd-snap); completes=${{completes#*-F }}; COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             ${{completes%% *}} etcd-snap \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; echo \"${{COMPREPLY[*]}}\""
        );
        said(
            Command::new("bash")
                .args(["--norc", "-c", &ask])
                .current_dir(room.path())
                .stdin(Stdio::null()),
        )
        .code(0)
        .stdout
    };
    assert_eq!(complete("etcd-snap sav"), "save\n");
    assert_eq!(complete("etcd-snap save --no-c"), "--no-clobber\n");
    assert_eq!(complete("etcd-snap save x -w js"), "json\n");
}

#[test]
fn the_manual_is_printed_or_written_a_page_for_each_command() {
    let room = Room::new();
    let page = room.run("man").code(0).stdout;
    for words in [".TH etcd", "Exit codes", "etcd\\-snap\\-save(1)"] {
        assert!(page.contains(words), "no {words} in {page}");
    }
    fs::create_dir(room.path().join("man1")).unwrap();
    room.run("man man1").code(0);
    let save = fs::read_to_string(room.path().join("man1/etcd-snap-save.1")).unwrap();
    for words in [
        "\\-\\-endpoints",
        "\\-\\-quiet",
        "Examples:",
        "\\-\\-metrics\\-textfile",
    ] {
        assert!(save.contains(words), "no {words} in {save}");
    }
    let mut names: Vec<_> = fs::read_dir(room.path().join("man1"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let commands = [
        "completion",
        "defrag",
        "discover",
        "doctor",
        "drill",
        "hashkv",
        "man",
        "recover",
        "restore",
        "save",
        "squeeze",
        "status",
        "verify",
    ];
    let mut expected: Vec<_> = commands.map(|name| format!("etcd-snap-{name}.1")).to_vec();
    expected.push("etcd-snap.1".to_owned());
    expected.sort();
    assert_eq!(names, expected);
    room.run("man none")
        .code(3)
        .complains("cannot write the manual into none: No such file");
}

#[test]
fn a_typing_error_is_answered_with_what_was_meant() {
    let room = Room::new();
    let mut answers = String::new();
    for arguments in [
        "sav backup.db",
        "snapshot save backup.db",
        "save backup.db --endpoint 10.0.0.1:2379",
        "save backup.db --ca-cert ca.crt",
        "verify good.db --max-problem 5",
        "restore good.db --datadir x",
        "status good.db -w jsn",
        "completion bsh",
        "save",
    ] {
        let said = room.run(arguments).code(2);
        assert_eq!(said.stdout, "");
        answers.push_str(&format!("$ etcd-snap {arguments}\n{}\n", said.stderr));
    }
    golden("typing-errors.txt", &answers);
}
