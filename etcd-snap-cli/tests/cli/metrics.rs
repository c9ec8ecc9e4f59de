//! `save --metrics-textfile`: what Prometheus gets to know.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use etcd_snap_testdata::fake::{Fault, Server};

use crate::support::{Room, Said, good, said};

fn save(room: &Room, endpoint: &str, flags: &str) -> Said {
    said(&mut room.command(&format!(
        "save new.db --metrics-textfile m.prom --endpoints {endpoint} {flags}"
    )))
}

fn server() -> Server {
    Server::serving_bytes(good())
}

/// Reads the text as Prometheus' own checker does: help and type before each metric, once; names with units; counters that
/// end in `_total`. Series are the keys.
fn read(room: &Room) -> BTreeMap<String, f64> {
    let path = room.path().join("m.prom");
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    let text = fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'));
    let mut series = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(help) = lines.next() {
        let help = help.strip_prefix("# HELP ").expect("help");
        let (name, sentence) = help.split_once(' ').expect("a sentence");
        assert!(sentence.ends_with('.'), "{sentence}");
        let kind = lines.next().unwrap().strip_prefix("# TYPE ").unwrap();
        let (typed, kind) = kind.split_once(' ').unwrap();
        assert_eq!(typed, name);
        assert!(name.starts_with("etcd_snap_save_"), "{name}");
        assert!(
            name.bytes()
                .all(|byte| byte == b'_' || byte.is_ascii_lowercase()),
            "{name}"
        );
        match kind {
            "counter" => assert!(name.ends_with("_total"), "{name}"),
            "gauge" => assert!(
                ["_seconds", "_bytes", "_info", "_revision"]
                    .iter()
                    .any(|unit| name.ends_with(unit)),
                "{name}"
            ),
            other => panic!("{other}"),
        }
        let sample = lines.next().unwrap();
        let (key, value) = sample.rsplit_once(' ').unwrap();
        let (bare, labels) = key.split_once('{').unwrap_or((key, "}"));
        assert_eq!(bare, name);
        assert!(labels.ends_with('}'), "{key}");
        let twice = series.insert(key.to_owned(), value.parse().unwrap());
        assert_eq!(twice, None, "{key}");
    }
    series
}

fn without_failures(series: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let of_success = |(key, _): &(&String, &f64)| key.contains("success");
    series
        .iter()
        .filter(of_success)
        .map(|(key, value)| (key.clone(), *value))
        .collect()
}

#[test]
fn a_success_and_then_failures() {
    let room = Room::new();
    let running = server().start().unwrap();
    let endpoint = running.endpoint();
    save(&room, &endpoint, "").code(0);
    let first = read(&room);
    let value = |name: &str| first[&format!("etcd_snap_save_{name}")];
    assert_eq!(value("last_success_size_bytes"), good().len() as f64);
    assert_eq!(value("last_success_revision"), 215.0);
    assert_eq!(value("failures_total"), 0.0);
    assert!(value("last_success_timestamp_seconds") > 1.7e9);
    assert!(value("last_success_duration_seconds") < 600.0);
    let info = format!("last_success_info{{endpoint=\"{endpoint}\",proof=\"full\"}}");
    assert_eq!(value(&info), 1.0);
    assert!(first.keys().all(|key| !key.contains("last_failure")));

    let cut = server()
        .with_fault(Fault::EndAfter(40_000))
        .start()
        .unwrap();
    save(&room, &cut.endpoint(), "").code(6);
    save(&room, "127.0.0.1:1", "").code(4);
    let after = read(&room);
    assert_eq!(without_failures(&after), without_failures(&first));
    assert_eq!(after["etcd_snap_save_failures_total"], 2.0);
    let info = "etcd_snap_save_last_failure_info{exit_code=\"4\",kind=\"connection\"}";
    assert_eq!(after[info], 1.0);
    assert!(after["etcd_snap_save_last_failure_timestamp_seconds"] > 1.7e9);
    assert_eq!(room.names(), ["good.db", "m.prom", "new.db"]);

    save(&room, &endpoint, "").code(0);
    let last = read(&room);
    assert_eq!(last["etcd_snap_save_failures_total"], 2.0);
    assert_eq!(last[info], 1.0);
}

#[test]
fn a_failure_comes_first_and_a_wrong_name_counts() {
    let room = Room::new();
    said(&mut room.command("save {date} --metrics-textfile m.prom")).code(2);
    let first = read(&room);
    assert!(without_failures(&first).is_empty());
    assert_eq!(first["etcd_snap_save_failures_total"], 1.0);
}

#[test]
fn what_passes_has_no_revision() {
    let room = Room::new();
    let running = server().start().unwrap();
    said(&mut room.command(&format!(
        "save /dev/null --metrics-textfile m.prom --endpoints {}",
        running.endpoint()
    )))
    .code(0);
    let series = read(&room);
    assert!(series.keys().all(|key| !key.contains("revision")));
    assert!(series.keys().any(|key| key.contains("proof=\"stream\"")));
}

#[test]
fn a_damaged_file_is_written_anew_and_that_is_said() {
    let room = Room::new();
    let running = server().start().unwrap();
    for old in [
        &b"etcd_snap_save_failures_total lots\n"[..],
        b"\xff",
        b"node_x 1\n",
    ] {
        room.put("m.prom", old);
        save(&room, &running.endpoint(), "")
            .code(0)
            .complains("m.prom is written anew");
        assert_eq!(read(&room)["etcd_snap_save_failures_total"], 0.0);
    }
}

#[test]
fn a_file_that_cannot_be_written_takes_nothing_from_the_snapshot() {
    let room = Room::new();
    let running = server().start().unwrap();
    fs::create_dir(room.path().join("d.prom")).unwrap();
    for file in ["d.prom", "none/m.prom"] {
        let said = said(&mut room.command(&format!(
            "save new.db --quiet --metrics-textfile {file} --endpoints {}",
            running.endpoint()
        )))
        .code(0)
        .complains("warning: the metrics in");
        assert!(said.stdout.starts_with("Snapshot saved at new.db\n"));
        assert_eq!(room.names(), ["d.prom", "good.db", "new.db"]);
    }
    said(&mut room.command("save new.db --metrics-textfile m.txt --endpoints 127.0.0.1:1"))
        .code(2)
        .complains("end in .prom");
}

#[test]
fn the_drop_in_counts_what_never_reached_a_server_too() {
    let room = Room::new();
    let drop_in = |words: &str| {
        let line = format!("etcdctl snapshot save new.db --metrics-textfile m.prom {words}");
        room.run(&line)
    };
    drop_in("--cacert missing.pem").code(128);
    let first = read(&room);
    assert_eq!(first["etcd_snap_save_failures_total"], 1.0);
    let info = "etcd_snap_save_last_failure_info{exit_code=\"128\",kind=\"usage\"}";
    assert_eq!(first[info], 1.0);
    drop_in("--endpoints 127.0.0.1:1 --command-timeout 1s").code(5);
    let then = read(&room);
    let info = "etcd_snap_save_last_failure_info{exit_code=\"5\",kind=\"connection\"}";
    assert_eq!(then[info], 1.0);
    let server = server().start().unwrap();
    drop_in(&format!("--endpoints {}", server.endpoint())).code(0);
    assert_eq!(read(&room)["etcd_snap_save_failures_total"], 2.0);
}
