//! Reports in their three forms.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use etcd_snap::{FastStatus, HashKv, RestoreReport, Status, VerifyReport};
use etcd_snap_testdata::database::{DatabaseBuilder, Image};
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::golden as committed;

use crate::support::{Room, flipped, golden, good, raw, said};

#[test]
fn simple_and_table_are_as_they_were() {
    let room = Room::new();
    room.put("raw.db", &raw());
    for (name, arguments) in [
        ("status-simple.txt", "status good.db"),
        ("status-table.txt", "status good.db -w table"),
        ("status-fast.txt", "status good.db --fast"),
        ("status-fast-table.txt", "status good.db --fast -w table"),
        ("hashkv-simple.txt", "hashkv good.db"),
        ("hashkv-table.txt", "hashkv good.db -w table"),
        ("verify-simple.txt", "verify good.db"),
        ("verify-raw.txt", "verify raw.db"),
    ] {
        golden(name, &room.run(arguments).stdout);
    }
}

#[test]
fn a_table_fits_a_narrow_terminal() {
    let room = Room::new();
    room.put("flipped.db", &flipped());
    for arguments in [
        "status good.db -w table",
        "status good.db --fast -w table",
        "hashkv good.db -w table",
        "verify good.db -w table",
        "verify flipped.db -w table",
        "restore good.db -w table",
    ] {
        let said = said(room.command(arguments).env("COLUMNS", "50"));
        assert!(said.stdout.lines().count() > 4, "{said:?}");
        for line in said.stdout.lines() {
            assert!(line.chars().count() <= 50, "{line}");
        }
    }
}

#[test]
fn simple_status_is_what_etcdutl_prints() {
    let room = Room::new();
    for path in committed::snapshots() {
        let expected = committed::status(&path, Version::V3_7).expect("committed numbers");
        let said = said(room.command("status").arg(&path)).code(0);
        let fields: Vec<_> = said.stdout.trim_end_matches('\n').split(", ").collect();
        assert_eq!(
            fields[0],
            format!("{:x}", expected["hash"].as_u64().unwrap())
        );
        assert_eq!(fields[1], expected["revision"].to_string());
        assert_eq!(fields[2], expected["totalKey"].to_string());
        assert_eq!(fields[4], expected["version"].as_str().unwrap());
        assert_eq!(fields.len(), 5);
    }
}

#[test]
fn hashkv_is_what_the_server_said_and_only_reads() {
    let room = Room::new();
    let facts = committed::facts(Version::V3_6).expect("committed numbers");
    for answer in facts["hash_kv"].as_array().expect("a list") {
        if answer["compact_revision"] != facts["compact_revision"] {
            // A hash that the server remembered from before the compaction.
            continue;
        }
        let (hash, revision) = (&answer["hash"], &answer["revision"]);
        let line = format!("{hash}, {revision}, 205\n");
        for more in ["", " --compact-rev 205"] {
            let said = room.run(&format!("hashkv good.db --rev {revision}{more}"));
            assert_eq!(said.code(0).stdout, line);
        }
        let said = room.run("verify good.db -w table").code(0);
        let told = said
            .stdout
            .contains(&format!(" {hash} at revision {revision} "));
        assert_eq!(told, *revision == facts["revision"]);
    }
    assert_eq!(fs::read(room.path().join("good.db")).unwrap(), good());
    assert_eq!(room.names(), ["good.db"]);
}

/// etcd's own tool goes on with the compaction, in the file.
#[test]
fn a_compaction_that_was_interrupted_stays_as_it_is() {
    let room = Room::new();
    let store = (0..300).fold(DatabaseBuilder::new(4096), |store, n| {
        store.put(format!("key-{}", n % 100), "value")
    });
    let half = store.clone().compact_partly(250, 70).build();
    let path = room.put("half.db", &half);
    fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    let hash = room.run("hashkv half.db").code(0).stdout;
    assert!(hash.ends_with(", 301, 250\n"), "{hash}");
    let never = room.put("never.db", &store.build());
    assert!(room.run("hashkv never.db").stdout.ends_with(", 301, -1\n"));
    let table = room.run("hashkv never.db -w table").code(0).stdout;
    assert!(table.contains("never compacted"), "{table}");
    // The same store after the whole of that compaction has the same hash.
    room.put("done.db", &store.clone().compact(250).build());
    for arguments in ["hashkv done.db", "hashkv never.db --compact-rev 250"] {
        assert_eq!(room.run(arguments).code(0).stdout, hash);
    }
    assert_eq!(fs::read(path).unwrap(), half);
    assert_eq!(fs::read(never).unwrap(), store.build());
    assert_eq!(room.names(), ["done.db", "good.db", "half.db", "never.db"]);
}

#[test]
fn json_is_the_report_itself_on_one_line() {
    let room = Room::new();
    room.put("flipped.db", &flipped());
    let json = |arguments: &str, code| {
        let said = room.run(arguments).code(code);
        assert_eq!(said.stdout.lines().count(), 1, "{said:?}");
        said.stdout
    };
    let status: Status = serde_json::from_str(&json("status good.db -w json", 0)).unwrap();
    assert_eq!(status.storage_version.as_deref(), Some("3.6.0"));
    let hash: HashKv = serde_json::from_str(&json("hashkv good.db -w json", 0)).unwrap();
    assert_eq!(hash.revision.get(), 215);
    let report: VerifyReport = serde_json::from_str(&json("verify good.db -w json", 0)).unwrap();
    assert_eq!(report.contents.hash_kv, Some(hash));
    assert!(report.into_proven().is_ok());
    let report: VerifyReport = serde_json::from_str(&json("verify flipped.db -w json", 7)).unwrap();
    assert!(report.into_proven().is_err());
    let report: RestoreReport = serde_json::from_str(&json("restore good.db -w json", 0)).unwrap();
    assert_eq!(report.cluster_id.to_string(), "cdf818194e3a8c32");
}

#[test]
fn the_fast_status_computes_nothing_and_says_so() {
    let room = Room::new();
    let said = room.run("status good.db --fast -w json").code(0);
    let fast: FastStatus = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((fast.revision.get(), fast.leases), (215, Some(40)));
    let fields: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert!(fields.get("hash").is_none() && fields.get("live_keys").is_none());

    let mut image = Image::of_snapshot(good());
    let root = image.page(image.current().root);
    image.set_page_id(root, 77);
    room.put("bad.db", &image.sealed());
    room.run("status bad.db --fast")
        .code(7)
        .complains("bad.db is damaged: page ")
        .complains("hint: `etcd-snap verify` lists everything");
    room.run("status none.db --fast").code(3);
}

#[test]
fn a_reader_that_goes_away_changes_nothing() {
    let room = Room::new();
    room.put("raw.db", &raw());
    for (arguments, code) in [
        ("status good.db", 0),
        ("verify good.db -w table", 0),
        ("verify raw.db", 8),
        ("--help", 0),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let said = said(room.command(arguments).stdout(Stdio::from(writer))).code(code);
        assert_eq!(said.stderr.is_empty(), code == 0, "{said:?}");
        assert!(!said.stderr.contains("pipe"), "{said:?}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_report_that_cannot_be_written_is_a_failure() {
    let room = Room::new();
    let full = File::options().write(true).open("/dev/full").unwrap();
    said(room.command("status good.db").stdout(full))
        .code(3)
        .complains("error: cannot write to standard output: No space left on device\n");
}
