//! Questions to living members in the words of etcdctl, held against etcdctl itself.

use std::io::Read as _;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, ensure};
use etcd_snap_testdata::cluster::{Cluster, ROOT_PASSWORD, Security};
use etcd_snap_testdata::etcd::{Binaries, Version};
use etcd_snap_testdata::sample;

use crate::support::{Room, etcd_snap};

const FORMS: [&str; 6] = ["simple", "json", "table", "fields", "protobuf", "bogus"];

/// How one of the two ended: code, standard output and standard error, without what differs each time.
type End = (Option<i32>, String, String);

fn end(output: &Output) -> End {
    (
        output.status.code(),
        match str::from_utf8(&output.stdout) {
            // Since 3.7 the blank between the fields of a message is one or two, as each build of the library chooses.
            Ok(text) => text.replace("  alarm:", " alarm:"),
            // Protobuf.
            Err(_) => output.stdout.escape_ascii().to_string(),
        },
        String::from_utf8_lossy(&output.stderr)
            .lines()
            .map(|line| without_chance(line) + "\n")
            .collect(),
    )
}

/// Times, the place of objects in memory, ports of ours, and the version that a line of code is from.
fn without_chance(line: &str) -> String {
    if !line.starts_with('{') {
        return line.to_owned();
    }
    let Ok(mut fields) = serde_json::from_str::<serde_json::Map<_, _>>(line) else {
        return line.to_owned();
    };
    for (name, value) in &mut fields {
        let text = value.as_str().unwrap_or_default();
        *value = match name.as_str() {
            "ts" => "a time".into(),
            "target" => text.rsplit('/').next().into(),
            "peer" => text.split(", LocalAddr").next().into(),
            // Ours have no line number.
            "caller" => text
                .rsplit('/')
                .next()
                .and_then(|file| file.split(':').next())
                .into(),
            _ => continue,
        };
    }
    // The order of the fields is looked at too.
    let order: Vec<&str> = line
        .split("\":")
        .map(|part| part.rsplit('"').next().unwrap_or(""))
        .collect();
    format!("{order:?} {}", serde_json::Value::from(fields))
}

struct Pair<'a> {
    cluster: &'a Cluster,
    dialect: Version,
    room: &'a Room,
}

impl Pair<'_> {
    fn command(&self, mut command: Command, endpoints: &str, words: &[&str]) -> Result<End> {
        command.args(["--endpoints", endpoints]);
        if self.cluster.security() == Security::MutualTls {
            let tls = self.cluster.tls();
            command
                .arg("--cacert")
                .arg(&tls.authority)
                .arg("--cert")
                .arg(&tls.client.certificate)
                .arg("--key")
                .arg(&tls.client.key);
        }
        command.args(words).stdin(Stdio::null());
        Ok(end(&command.output()?))
    }

    fn ours(&self, endpoints: &str, words: &[&str]) -> Result<End> {
        let dialect = self.dialect.to_string();
        let command = etcd_snap(self.room.path(), ["etcdctl", "--compat", &dialect]);
        self.command(command, endpoints, words)
    }

    fn theirs(&self, endpoints: &str, words: &[&str]) -> Result<End> {
        let mut command = Command::new(Binaries::find(self.dialect)?.etcdctl);
        command.env_clear();
        self.command(command, endpoints, words)
    }

    /// Runs both, and expects the same of them.
    fn same(&self, endpoints: &str, words: &[&str]) -> Result<End> {
        let theirs = self.theirs(endpoints, words)?;
        let ours = self.ours(endpoints, words)?;
        ensure!(
            ours == theirs,
            "{} {words:?}:\nours:   {ours:#?}\ntheirs: {theirs:#?}",
            self.dialect
        );
        Ok(ours)
    }
}

#[test]
fn every_form_is_the_originals() -> Result<()> {
    let room = Room::new();
    let server = sample([Version::V3_5, Version::V3_6, Version::V3_7], 1)[0];
    let mut cluster = Cluster::builder(server)
        .argument("--quota-backend-bytes=100000")
        .start()?;
    cluster.etcdctl(["put", "key", "<a> & \u{2028}b"])?;
    cluster.etcdctl(["put", "kez\t\"", "\\"])?;
    cluster.add_learner()?;
    cluster.wait_for_storage_version()?;
    // More than there may be: it is refused, and an alarm raised.
    let refused = cluster.try_etcdctl(["put", "heap", &"x".repeat(100_000)]);
    ensure!(refused.is_err(), "there was space");

    let endpoint = cluster.endpoint(0).to_owned();
    for dialect in sample(Version::ALL, 2) {
        let pair = Pair {
            cluster: &cluster,
            dialect,
            room: &room,
        };
        for form in FORMS {
            for hex in [&[][..], &["--hex"]] {
                for line in [
                    &["endpoint", "status"][..],
                    &["endpoint", "hashkv", "--rev", "2"],
                    &["member", "list"],
                    &["alarm", "list"],
                    &["get", "ke", "--prefix"],
                    &["get", "key", "--print-value-only"],
                    &[
                        "get",
                        "k",
                        "--prefix",
                        "--limit=1",
                        "--order=descend",
                        "--keys-only",
                    ],
                    &["get", "nothing"],
                    &["get", "key", "--rev=1000"],
                ] {
                    pair.same(&endpoint, &[line, &["-w", form], hex].concat())?;
                }
            }
        }
        for line in [
            &["put", "a", "b"][..],
            &["put", "a", "--lease=x", "b"],
            &["get"],
            &["get", "a", "--prefix", "--from-key"],
            &["get", "a", "--sort-by=colour"],
            &["endpoint", "status", "--cluster"],
            &["alarm", "list", "all"],
        ] {
            pair.same(&endpoint, line)?;
        }
    }
    Ok(())
}

#[test]
fn members_that_are_away_are_told_from_those_that_are_there() -> Result<()> {
    let room = Room::new();
    let mut cluster = Cluster::builder(sample(Version::ALL, 1)[0])
        .members(3)
        .security(Security::Plain)
        .start()?;
    cluster.etcdctl(["put", "key", "value"])?;
    cluster.kill(0);
    // The others may have to agree on a leader.
    cluster.wait_until_healthy()?;
    let all = cluster.endpoints().join(",");
    let away = cluster.endpoint(0).to_owned();
    for dialect in sample(Version::ALL, 2) {
        let pair = Pair {
            cluster: &cluster,
            dialect,
            room: &room,
        };
        let (code, value, _) = pair.ours(&all, &["get", "key", "--print-value-only"])?;
        ensure!(code == Some(0) && value == "value\n", "{code:?} {value}");
        let limit = "--command-timeout=500ms";
        let quickly = |words: &[&str]| {
            // Two of them have to answer within it.
            pair.ours(&all, &[&["--command-timeout=3s"], words].concat())
        };
        let (code, status, complaint) = quickly(&["endpoint", "status"])?;
        ensure!(
            code == Some(1) && status.matches('\n').count() == 2,
            "{status}"
        );
        let expected =
            format!("Failed to get the status of endpoint {away} (context deadline exceeded)");
        ensure!(complaint.contains(&expected), "{complaint}");
        let (code, _, complaint) = quickly(&["endpoint", "health"])?;
        ensure!(code == Some(1) && complaint.ends_with("Error: unhealthy cluster\n"));
        let (code, _, complaint) = pair.ours(&away, &[limit, "get", "key"])?;
        ensure!(
            code == Some(1) && complaint.contains("connection refused"),
            "{complaint}"
        );
        ensure!(complaint.ends_with("Error: context deadline exceeded\n"));

        cluster.freeze(1)?;
        let frozen = cluster.endpoint(1);
        let both = format!("{frozen},{}", cluster.endpoint(2));
        let read = pair.ours(
            &both,
            &["get", "key", "--consistency=s", "--print-value-only"],
        );
        let silent = pair.ours(frozen, &[limit, "get", "key"]);
        cluster.thaw(1)?;
        cluster.wait_until_healthy()?;
        let (code, value, _) = read?;
        ensure!(code == Some(0) && value == "value\n", "{code:?} {value}");
        let (code, _, complaint) = silent?;
        ensure!(code == Some(1) && complaint.ends_with("Error: context deadline exceeded\n"));
    }
    Ok(())
}

#[test]
fn a_member_that_comes_late_is_waited_for() -> Result<()> {
    let room = Room::new();
    let mut cluster = Cluster::builder(Version::NEWEST)
        .security(Security::Plain)
        .start()?;
    cluster.etcdctl(["put", "key", "value"])?;
    cluster.stop(0)?;
    let stand_in = TcpListener::bind(cluster.members()[0].client_address())?;
    let mut command = etcd_snap(room.path(), ["etcdctl", "get", "key", "--print-value-only"]);
    command.args(["--command-timeout=60s", "--endpoints", cluster.endpoint(0)]);
    let mut running = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // It has tried, and nothing came of that.
    drop(stand_in.accept()?);
    drop(stand_in);
    cluster.start_member(0)?;
    let code = running.wait()?.code();
    let mut value = String::new();
    let output = running.stdout.as_mut().context("its standard output")?;
    output.read_to_string(&mut value)?;
    ensure!(code == Some(0) && value == "value\n", "{code:?} {value}");
    Ok(())
}

#[test]
fn who_is_not_let_in_hears_what_etcdctl_says() -> Result<()> {
    let room = Room::new();
    let cluster = Cluster::builder(sample(Version::ALL, 1)[0])
        .security(Security::Plain)
        .auth(true)
        .start()?;
    let endpoint = cluster.endpoint(0);
    let root = format!("root:{ROOT_PASSWORD}");
    for dialect in sample(Version::ALL, 2) {
        let pair = Pair {
            cluster: &cluster,
            dialect,
            room: &room,
        };
        for (line, code) in [
            (&["get", "a"][..], Some(1)),
            (&["get", "a", "--user=root:guessed"], Some(2)),
            (&["get", "a", "--user", &root], Some(0)),
            (
                &["get", "a", "--user=root", "--password", ROOT_PASSWORD],
                Some(0),
            ),
            (&["endpoint", "health"], Some(1)),
            (&["endpoint", "health", "--user=root:guessed"], Some(1)),
            (&["endpoint", "hashkv", "--user=root:guessed"], Some(2)),
            // Servers of some minors answer these to everybody.
            (&["endpoint", "status"], None),
            (&["member", "list", "-w", "json"], None),
        ] {
            let (found, ..) = pair.same(endpoint, line)?;
            ensure!(code.is_none() || found == code, "{line:?}: {found:?}");
        }
    }
    Ok(())
}
