//! Help that reads well on wide and narrow terminals.

use std::path::Path;

use crate::support::{etcd_snap, golden, said};

const COMMANDS: [&str; 14] = [
    "",
    "save",
    "verify",
    "status",
    "hashkv",
    "restore",
    "defrag",
    "squeeze",
    "discover",
    "drill",
    "recover",
    "doctor",
    "completion",
    "man",
];

#[test]
fn help_reads_well_in_80_and_in_50_columns() {
    for command in COMMANDS {
        for columns in [80, 50] {
            let help = said(
                etcd_snap(Path::new("."), command.split_whitespace().chain(["--help"]))
                    .env("COLUMNS", columns.to_string()),
            )
            .code(0);
            assert_eq!(help.stderr, "");
            for line in help.stdout.lines() {
                assert!(line.len() <= columns, "{line:?} is over {columns} columns");
            }
            let name = if command.is_empty() {
                "etcd-snap"
            } else {
                command
            };
            golden(&format!("help-{name}-{columns}.txt"), &help.stdout);
        }
    }
}

#[test]
fn every_command_has_an_example() {
    for command in &COMMANDS[1..] {
        let help = said(&mut etcd_snap(Path::new("."), [command, "-h"])).code(0);
        let (_, examples) = help.stdout.split_once("Examples:").expect("examples");
        assert!(examples.contains(&format!("etcd-snap {command}")));
    }
}

#[test]
fn the_version_is_printed() {
    let version = said(&mut etcd_snap(Path::new("."), ["--version"])).code(0);
    assert_eq!(
        version.stdout,
        concat!("etcd-snap ", env!("CARGO_PKG_VERSION"), "\n")
    );
}
