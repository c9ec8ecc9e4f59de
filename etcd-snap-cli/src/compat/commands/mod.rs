//! The commands: what they are called, what they take, and one file for what each does.

mod alarm;
mod completion;
mod defragment;
mod endpoint;
mod get;
mod hashkv;
mod member;
mod migrate;
mod offline_defrag;
mod options;
mod put;
mod snapshot;
mod version;

use super::dialect::{Dialect, Tool};
use super::flags::{Flag, Kind};
use super::tree::Command;

use Dialect::{V3_5, V3_6, V3_7};

pub(crate) fn root(tool: Tool) -> &'static Command {
    match tool {
        Tool::Etcdctl => &ETCDCTL,
        Tool::Etcdutl => &ETCDUTL,
    }
}

static ETCDCTL: Command = Command::group(
    "etcdctl",
    "what backups need of etcdctl",
    &[
        Command::group(
            "snapshot",
            "take, look at and restore snapshots",
            &[snapshot::SAVE, snapshot::STATUS, snapshot::RESTORE],
        ),
        Command::group(
            "endpoint",
            "ask endpoints one by one",
            &[endpoint::HASHKV, endpoint::HEALTH, endpoint::STATUS],
        )
        .flags(&[CLUSTER]),
        Command::group(
            "member",
            "the members of the cluster",
            &[
                member::LIST,
                Command::elsewhere("add"),
                Command::elsewhere("promote"),
                Command::elsewhere("remove"),
                Command::elsewhere("update"),
            ],
        ),
        Command::group(
            "alarm",
            "the alarms of the members",
            &[alarm::DISARM, alarm::LIST],
        ),
        defragment::DEFRAG,
        get::GET,
        put::PUT,
        version::VERSION,
        completion::COMPLETION,
        options::OPTIONS,
        Command::elsewhere("auth"),
        Command::elsewhere("check"),
        Command::elsewhere("compaction"),
        Command::elsewhere("del"),
        Command::elsewhere("downgrade").since(V3_6),
        Command::elsewhere("elect"),
        Command::elsewhere("lease"),
        Command::elsewhere("lock"),
        Command::elsewhere("make-mirror"),
        Command::elsewhere("move-leader"),
        Command::elsewhere("role"),
        Command::elsewhere("txn"),
        Command::elsewhere("user"),
        Command::elsewhere("watch"),
    ],
)
.flags(&GLOBAL);

static ETCDUTL: Command = Command::group(
    "etcdutl",
    "snapshots and data directories, offline",
    &[
        Command::group(
            "snapshot",
            "look at and restore snapshots",
            &[snapshot::STATUS, snapshot::RESTORE_UTILITY, snapshot::STUB],
        ),
        offline_defrag::DEFRAG,
        hashkv::HASHKV,
        migrate::MIGRATE,
        version::VERSION,
        completion::COMPLETION,
        Command::elsewhere("backup").until(V3_5),
        Command::elsewhere("check").until(V3_5),
    ],
)
.flags(&[
    Flag::text(
        "write-out",
        "form of the answer: fields, json, protobuf, simple, table",
    )
    .short('w')
    .default("simple"),
    Flag::new(
        "timeout",
        Kind::Time,
        "10s",
        "how long to wait for the lock on a database",
    )
    .since(V3_7),
    LOG_FILE,
]);

const LOG_FILE: Flag =
    Flag::text("log-file", "a file that keeps what goes to standard error").ours();

const CLUSTER: Flag = Flag::switch("cluster", "ask all members that the endpoints know of");

/// The flags that all commands of etcdctl take.
const GLOBAL: [Flag; 24] = [
    Flag::new("endpoints", Kind::List, "127.0.0.1:2379", "members to ask"),
    Flag::switch("debug", "show what the variables have set"),
    Flag::text(
        "write-out",
        "form of the answer: fields, json, protobuf, simple, table",
    )
    .short('w')
    .default("simple"),
    Flag::switch("hex", "print bytes in hexadecimal digits"),
    Flag::new(
        "dial-timeout",
        Kind::Time,
        "2s",
        "the longest that connecting may take",
    ),
    Flag::new(
        "command-timeout",
        Kind::Time,
        "5s",
        "the longest that a short command may take",
    ),
    Flag::new(
        "keepalive-time",
        Kind::Time,
        "2s",
        "how often an idle connection is tried",
    ),
    Flag::new(
        "keepalive-timeout",
        Kind::Time,
        "6s",
        "how long the answer to that may take",
    ),
    Flag::int("max-request-bytes", "the longest request").since(V3_6),
    Flag::int("max-recv-bytes", "the longest answer").since(V3_6),
    Flag::switch(
        "insecure-transport",
        "no TLS where nothing else asks for it",
    )
    .default("true"),
    Flag::switch(
        "insecure-discovery",
        "take SRV records that lead to plain endpoints",
    )
    .default("true"),
    Flag::switch(
        "insecure-skip-tls-verify",
        "take any certificate: no protection from eavesdroppers",
    ),
    Flag::text("cert", "show this certificate to the server"),
    Flag::text("key", "the key of the certificate"),
    Flag::text("cacert", "trust the authorities in this file"),
    Flag::text(
        "auth-jwt-token",
        "a token to log in with, in place of user and password",
    )
    .since(V3_7),
    Flag::text(
        "user",
        "log in as NAME[:PASSWORD]; without a password, asks for it",
    ),
    Flag::text("password", "the password of the user"),
    Flag::text("password-file", "a file that holds the password").ours(),
    Flag::text(
        "discovery-srv",
        "find the endpoints in the SRV records of this domain",
    )
    .short('d'),
    Flag::text(
        "discovery-srv-name",
        "the service behind the name in the records",
    ),
    Flag::text("compat", "whose words to speak: 3.4, 3.5, 3.6 or 3.7").ours(),
    LOG_FILE,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(command: &Command, depth: usize) {
        assert!(depth < 5);
        let mut names: Vec<&str> = command.below().iter().map(|below| below.name).collect();
        names.sort_unstable();
        for pair in names.windows(2) {
            assert_ne!(pair[0], pair[1], "twice below {}", command.name);
        }
        for below in command.below() {
            check(below, depth + 1);
        }
    }

    #[test]
    fn every_name_is_given_once() {
        check(root(Tool::Etcdctl), 0);
        check(root(Tool::Etcdutl), 0);
    }
}
