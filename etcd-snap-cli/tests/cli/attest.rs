//! Snapshots against members that do as they are told.

use std::fs;
use std::process::Command;

use etcd_snap::{
    AttestReport, AttestVerdict, CannotTell, HashKvOptions, MemberVerdict, SaveReport, Snapshot,
    Unproven, VerifyReport, hash_kv,
};
use etcd_snap_testdata::certificates::{Authority, Leaf};
use etcd_snap_testdata::fake::{Auth, Hash, HashAnswer, Listed, Running, Server};

use crate::support::{Room, Said, etcd_snap, flipped, golden, good, raw, said};

/// What a member answers that is no better than this.
fn answer(change: impl FnOnce(u32) -> u32) -> HashAnswer {
    let snapshot = Snapshot::from_source("good", std::sync::Arc::new(good())).unwrap();
    let hash = hash_kv(&snapshot, &HashKvOptions::default()).unwrap();
    let compacted = hash.compact_revision.unwrap().get();
    HashAnswer::at(hash.revision.get(), change(hash.hash), compacted)
}

fn right() -> HashAnswer {
    answer(|hash| hash)
}

fn wrong() -> HashAnswer {
    answer(|hash| hash ^ 1)
}

fn running(answer: HashAnswer) -> Running {
    Server::serving_bytes(good())
        .with_hash(answer)
        .start()
        .unwrap()
}

/// Says that everything is in the future.
fn lagging() -> Running {
    running(HashAnswer::at(1, 1, -1))
}

fn save(room: &Room, server: &Running, flags: &str) -> Said {
    let endpoint = server.endpoint();
    room.run(&format!("save new.db --endpoints {endpoint} {flags}"))
}

fn verify(room: &Room, server: &Running, flags: &str) -> Said {
    let endpoint = server.endpoint();
    room.run(&format!("verify good.db --against {endpoint} {flags}"))
}

#[test]
fn a_save_that_is_borne_out_says_so() {
    let room = Room::new();
    let server = running(right());
    for flags in ["--attest", "--attest=required", "--attest=if-possible"] {
        let said = save(&room, &server, flags).code(0);
        assert!(said.stdout.starts_with("Snapshot saved at new.db\n"));
        assert!(said.stdout.contains("1 of 1 member equal, at revision 215"));
        assert!(said.stdout.contains("fake: equal"), "{said:?}");
    }
    let said = save(&room, &server, "--attest -w json --quiet").code(0);
    assert_eq!(said.stderr, "");
    let report: SaveReport = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(report.attest.unwrap().verdict, AttestVerdict::Equal);
    let said = save(&room, &server, "--attest -w table").code(0);
    assert!(said.stdout.contains("| attest "), "{said:?}");
    assert_eq!(room.names(), ["good.db", "new.db"]);
}

#[test]
fn a_save_that_is_not_ends_with_11_and_leaves_nothing() {
    let room = Room::new();
    for (server, flags, words) in [
        (running(wrong()), "--attest", "1 of 1 member differs"),
        (running(wrong()), "--attest=if-possible", "--keep-unproven"),
        (lagging(), "--attest", "hint: --attest=if-possible"),
    ] {
        let said = save(&room, &server, flags).code(11).complains(words);
        let first = said.stdout.lines().next();
        assert_eq!(first, Some("Snapshot not proven, and not kept"));
        assert_eq!(room.names(), ["good.db"], "{said:?}");
    }
    let said = save(&room, &running(wrong()), "--attest -w json").code(11);
    let unproven: Unproven = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(unproven.kept, None);
    assert_eq!(unproven.attest.verdict, AttestVerdict::Differs);
    save(&room, &lagging(), "--attest=if-possible").code(0);
    assert_eq!(room.names(), ["good.db", "new.db"]);
}

#[test]
fn what_is_kept_has_a_name_of_its_own() {
    let room = Room::new();
    let flags = "--attest --keep-unproven";
    let kept = room.put("new.db.unproven", b"older");
    let said = save(&room, &running(wrong()), flags)
        .code(11)
        .complains("it is kept as new.db.unproven")
        .complains("etcdctl endpoint hashkv");
    assert!(
        said.stdout
            .starts_with("Snapshot not proven, kept as new.db.unproven\n"),
        "{said:?}"
    );
    assert_eq!(fs::read(&kept).unwrap(), good());
    let said = save(&room, &lagging(), &format!("{flags} -w json")).code(11);
    let unproven: Unproven = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(unproven.kept.unwrap().to_str(), Some("new.db.unproven"));
    assert_eq!(room.names(), ["good.db", "new.db.unproven"]);
    save(&room, &running(right()), flags).code(0);
    assert_eq!(room.names(), ["good.db", "new.db"]);
}

#[test]
fn a_file_is_compared_with_the_members() {
    let room = Room::new();
    golden(
        "verify-against.txt",
        &verify(&room, &running(right()), "").code(0).stdout,
    );
    let said = verify(&room, &running(wrong()), "")
        .code(11)
        .complains("the snapshot is not proven: 1 of 1 member differs")
        .complains("hint: `etcdctl endpoint hashkv");
    assert!(said.stdout.starts_with("sound: good.db\n"), "{said:?}");
    assert!(said.stdout.contains("fake: differs"), "{said:?}");
    let said = verify(&room, &lagging(), "-w table")
        .code(11)
        .complains("hint: `etcd-snap save --attest`");
    assert!(said.stdout.contains("cannot tell"), "{said:?}");
}

#[test]
fn json_has_both_reports() {
    #[derive(serde::Deserialize)]
    struct Attested {
        attest: AttestReport,
    }
    let room = Room::new();
    for (server, code, verdict) in [
        (running(right()), 0, AttestVerdict::Equal),
        (running(wrong()), 11, AttestVerdict::Differs),
        (lagging(), 11, AttestVerdict::CannotTell),
    ] {
        let said = verify(&room, &server, "-w json").code(code);
        let report: VerifyReport = serde_json::from_str(&said.stdout).unwrap();
        assert!(report.is_sound());
        let report: Attested = serde_json::from_str(&said.stdout).unwrap();
        assert_eq!(report.attest.verdict, verdict);
    }
    let alone = room.run("verify good.db -w json").code(0);
    assert!(!alone.stdout.contains("attest"), "{alone:?}");
}

#[test]
fn damage_counts_more_than_members_and_they_more_than_a_digest() {
    let room = Room::new();
    room.put("raw.db", &raw());
    room.put("flipped.db", &flipped());
    let run = |file: &str, server: &Running| {
        room.run(&format!("verify {file} --against {}", server.endpoint()))
    };
    let said = run("flipped.db", &running(right())).code(7);
    assert!(!said.stdout.contains("attest"), "nobody is asked: {said:?}");
    run("raw.db", &running(wrong())).code(11);
    let said = run("raw.db", &running(right())).code(8);
    assert!(said.stdout.contains("1 of 1 member equal"), "{said:?}");
}

#[test]
fn all_members_are_told_of() {
    let room = Room::new();
    let (one, two) = (running(right()), {
        let server = Server::serving_bytes(good()).with_hash(wrong());
        server.with_member_id(2).start().unwrap()
    });
    let listed = |id, name: &str, urls: Vec<String>| Listed {
        id,
        name: name.to_owned(),
        client_urls: urls,
    };
    one.list(&[
        listed(0x8e9e_05c5_2164_694d, "m1", vec![one.endpoint()]),
        listed(2, "m2", vec![two.endpoint()]),
        listed(3, "", vec![]),
    ]);
    let said = verify(&room, &one, "")
        .code(11)
        .complains("1 of 3 members differs at revision 215: m1: equal; m2: differs");
    for words in [
        "m1: equal",
        "m2: differs",
        "3: cannot tell: it has not told",
    ] {
        assert!(said.stdout.contains(words), "{words}: {said:?}");
    }
}

#[test]
fn the_flags_of_a_save_lead_to_the_members_too() {
    let room = Room::new();
    let authority = Authority::new("authority").unwrap();
    let identity = authority.issue(&Leaf::server()).unwrap();
    let auth = Auth {
        user: "ann".to_owned(),
        password: "right".to_owned(),
        is_root: true,
        modern: true,
    };
    let server = Server::serving_bytes(good())
        .with_hash(right())
        .with_auth(auth)
        .with_tls(&identity, Some(&authority))
        .unwrap()
        .start()
        .unwrap();
    authority.write(room.path(), "ca").unwrap();
    let client = authority.issue(&Leaf::client("client")).unwrap();
    let client = client.write(room.path(), "client").unwrap();
    let command = |flags: &str| -> Command {
        let endpoint = server.endpoint();
        room.command(&format!("verify good.db --against {endpoint} {flags}"))
    };
    let told = said(&mut command("")).code(11);
    assert!(told.stdout.contains("cannot tell"), "{told:?}");
    let tls = format!(
        "--cacert ca.crt --cert {} --key {}",
        client.certificate.display(),
        client.key.display()
    );
    let told = said(&mut command(&tls)).code(11);
    assert!(told.stdout.contains("role root"), "{told:?}");
    said(command(&format!("{tls} --user ann")).env("ETCDCTL_PASSWORD", "right")).code(0);
    said(
        command("")
            .env("ETCDCTL_CACERT", "ca.crt")
            .env("ETCDCTL_CERT", &client.certificate)
            .env("ETCDCTL_KEY", &client.key)
            .env("ETCDCTL_USER", "ann:right"),
    )
    .code(0);
    said(&mut command("--cacert none.crt")).code(3);
    said(&mut command("--user ann"))
        .code(2)
        .complains("ETCDCTL_PASSWORD");
}

#[test]
fn a_time_limit_ends_the_waiting() {
    let room = Room::new();
    let revision = right().revision;
    let silent = running(HashAnswer {
        revision,
        hash: Hash::Silence,
    });
    verify(&room, &silent, "--command-timeout 50ms")
        .code(6)
        .complains("error: the members did not answer within 50ms\nhint: --command-timeout");
    save(&room, &silent, "--attest --command-timeout 500ms").code(6);
    assert_eq!(room.names(), ["good.db"]);
}

/// They belong to a script's other commands.
#[test]
fn a_verification_that_asks_nobody_does_not_mind_the_variables() {
    let room = Room::new();
    let with_variables = |arguments: &str| {
        let mut command = room.command(arguments);
        command
            .env("ETCDCTL_DIAL_TIMEOUT", "soon")
            .env("ETCDCTL_CERT", "without-key.pem");
        said(&mut command)
    };
    with_variables("verify good.db").code(0);
    with_variables("verify good.db --against 127.0.0.1:1")
        .code(2)
        .complains("soon");
}

#[test]
fn a_table_of_members_fits_a_narrow_terminal() {
    let room = Room::new();
    let server = running(wrong());
    for arguments in [
        "verify good.db --against",
        "save new.db --attest --endpoints",
    ] {
        let mut command = etcd_snap(
            room.path(),
            arguments
                .split_whitespace()
                .chain([server.endpoint().as_str(), "-w", "table"]),
        );
        let said = said(command.env("COLUMNS", "50")).code(11);
        for line in said.stdout.lines() {
            assert!(line.chars().count() <= 50, "{line}");
        }
    }
}

#[test]
fn reasons_can_be_matched() {
    let room = Room::new();
    let said = save(&room, &lagging(), "--attest -w json").code(11);
    let unproven: Unproven = serde_json::from_str(&said.stdout).unwrap();
    assert!(matches!(
        unproven.attest.members[0].verdict,
        MemberVerdict::CannotTell {
            reason: CannotTell::Behind,
            ..
        }
    ));
    assert!(said.stdout.contains(r#""reason":"behind""#), "{said:?}");
}
