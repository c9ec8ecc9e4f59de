//! Saving from a server that does as it is told.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use etcd_snap::SaveReport;
use etcd_snap_testdata::certificates::{Authority, Leaf};
use etcd_snap_testdata::fake::{Auth, Fault, Health, Server};

use crate::support::{Room, Said, good, said};

fn server() -> Server {
    Server::serving_bytes(good())
}

fn save(room: &Room, endpoint: &str, flags: &str) -> Command {
    room.command(&format!("save new.db --endpoints {endpoint} {flags}"))
}

#[track_caller]
fn fails(server: Server, flags: &str, code: i32, words: &str) -> Said {
    let room = Room::new();
    let server = server.start().unwrap();
    let said = said(&mut save(&room, &server.endpoint(), flags))
        .code(code)
        .complains(words);
    assert_eq!(said.stdout, "");
    assert_eq!(room.names(), ["good.db"]);
    said
}

#[test]
fn the_file_is_what_the_server_sent() {
    let room = Room::new();
    let server = server().start().unwrap();
    let said = said(&mut save(&room, &server.endpoint(), "")).code(0);
    assert!(
        said.stdout.starts_with("Snapshot saved at new.db\n"),
        "{said:?}"
    );
    assert_eq!(fs::read(room.path().join("new.db")).unwrap(), good());
    assert_eq!(room.names(), ["good.db", "new.db"]);
}

#[test]
fn json_is_the_report_and_quiet_is_quiet() {
    let room = Room::new();
    let server = server().start().unwrap();
    let said = said(&mut save(&room, &server.endpoint(), "-w json --quiet")).code(0);
    let report: SaveReport = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(report.size_bytes, good().len() as u64);
    assert_eq!(report.endpoint.as_deref(), Some(server.endpoint().as_str()));
    assert_eq!(said.stderr, "");
}

#[test]
fn an_existing_file_is_replaced_unless_that_is_refused() {
    let room = Room::new();
    let server = server().start().unwrap();
    room.put("new.db", b"old");
    said(&mut save(&room, &server.endpoint(), "--no-clobber"))
        .code(10)
        .complains("hint: without --no-clobber");
    assert_eq!(fs::read(room.path().join("new.db")).unwrap(), b"old");
    said(&mut save(&room, &server.endpoint(), "")).code(0);
    assert_eq!(fs::read(room.path().join("new.db")).unwrap(), good());
}

#[test]
fn a_name_is_filled_in() {
    let room = Room::new();
    let server = server().start().unwrap();
    let endpoint = server.endpoint();
    let save = |name: &str| room.run(&format!("save {name} --no-clobber --endpoints {endpoint}"));
    let said = save("{host}-{member}-{revision}.db").code(0);
    let host = rustix::system::uname();
    let name = format!(
        "{}-8e9e05c52164694d-215.db",
        host.nodename().to_str().unwrap()
    );
    assert!(
        said.stdout
            .starts_with(&format!("Snapshot saved at {name}\n")),
        "{said:?}"
    );
    assert_eq!(fs::read(room.path().join(&name)).unwrap(), good());
    save("{host}-{member}-{revision}.db")
        .code(10)
        .complains(&name);
    save("a{{b}}.db").code(0);
    assert!(room.names().contains(&"a{b}.db".to_owned()));
}

#[test]
fn nobody_listens() {
    let room = Room::new();
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    said(&mut save(&room, &address.to_string(), ""))
        .code(4)
        .complains(&format!("error: {address} refuses connections"));
    said(&mut room.command("save none/new.db"))
        .code(3)
        .complains("the directory none does not exist");
    assert_eq!(room.names(), ["good.db"]);
}

#[test]
fn somebody_listens_and_says_nothing() {
    let room = Room::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for flag in ["--connect-timeout", "--dial-timeout"] {
        said(&mut save(
            &room,
            &address.to_string(),
            &format!("{flag} 50ms"),
        ))
        .code(4);
    }
}

#[test]
fn tls_on_the_wrong_side() {
    let room = Room::new();
    let running = server().start().unwrap();
    said(&mut save(
        &room,
        &format!("https://{}", running.address()),
        "--insecure-skip-tls-verify",
    ))
    .code(4)
    .complains("does not speak TLS");
    // Without a scheme, TLS is used as soon as anything is said about it.
    said(&mut save(
        &room,
        &running.address().to_string(),
        "--insecure-transport=false --insecure-skip-tls-verify=true",
    ))
    .code(4)
    .complains("does not speak TLS");
}

#[test]
fn certificates_come_from_flags_or_variables() {
    let room = Room::new();
    let authority = Authority::new("authority").unwrap();
    let identity = authority.issue(&Leaf::server()).unwrap();
    let running = server()
        .with_tls(&identity, Some(&authority))
        .unwrap()
        .start()
        .unwrap();
    authority.write(room.path(), "ca").unwrap();
    let client = authority.issue(&Leaf::client("client")).unwrap();
    let client = client.write(room.path(), "client").unwrap();
    let (certificate, key) = (client.certificate, client.key);

    let endpoint = running.endpoint();
    said(&mut save(&room, &endpoint, ""))
        .code(4)
        .complains("authority");
    said(&mut save(&room, &endpoint, "--cacert ca.crt"))
        .code(4)
        .complains("client certificate");
    said(&mut save(&room, &endpoint, "--cacert none.crt"))
        .code(3)
        .complains("cannot read none.crt");
    said(&mut save(&room, &endpoint, "--cacert good.db")).code(2);
    let flags = format!(
        "--cacert ca.crt --cert {} --key {}",
        certificate.display(),
        key.display()
    );
    said(&mut save(&room, &endpoint, &flags)).code(0);
    said(
        room.command("save new.db")
            .env("ETCDCTL_ENDPOINTS", running.address().to_string())
            .env("ETCDCTL_CACERT", "ca.crt")
            .env("ETCDCTL_CERT", &certificate)
            .env("ETCDCTL_KEY", &key),
    )
    .code(0);
    said(&mut save(
        &room,
        &endpoint,
        &format!("{flags} --tls-server-name elsewhere"),
    ))
    .code(4)
    .complains("not for elsewhere");
}

#[test]
fn who_may_not_is_told_which_right_is_missing() {
    let auth = |is_root| Auth {
        user: "ann".to_owned(),
        password: "right".to_owned(),
        is_root,
        modern: true,
    };
    fails(
        server().with_auth(auth(true)),
        "",
        5,
        "hint: --user names who logs in",
    );
    fails(
        server().with_auth(auth(true)),
        "--user ann:wrong",
        5,
        "wrong user or password",
    );
    fails(
        server().with_auth(auth(false)),
        "--user ann --password right",
        5,
        "role root",
    );
    let room = Room::new();
    let running = server().with_auth(auth(true)).start().unwrap();
    said(save(&room, &running.endpoint(), "--user ann").env("ETCDCTL_PASSWORD", "right")).code(0);
}

#[test]
fn a_transfer_that_fails_leaves_nothing() {
    fails(server().with_fault(Fault::EndAfter(40_000)), "", 6, "40000");
    fails(
        server().with_fault(Fault::SilentAfter(40_000)),
        "--stall-timeout 50ms",
        6,
        "hint: --stall-timeout waits longer",
    );
    fails(
        server().with_fault(Fault::SilentAfter(40_000)),
        "--command-timeout 50ms",
        6,
        "error: the snapshot was not complete within 50ms\nhint: --command-timeout",
    );
    fails(
        server().with_fault(Fault::EmptyAfter(40_000)),
        "",
        6,
        "40000",
    );
    fails(server().with_fault(Fault::NoDigest), "", 6, "digest");
    fails(
        server().with_fault(Fault::FlipByte(40_000)),
        "",
        7,
        "SHA-256",
    );
}

#[test]
fn without_an_authority_the_systems_are_asked() {
    let ours = Authority::new("the company's").unwrap();
    let identity = ours.issue(&Leaf::server()).unwrap();
    let server = server().with_tls(&identity, None).unwrap().start().unwrap();
    for (trusted, code) in [(ours, 0), (Authority::new("somebody else's").unwrap(), 4)] {
        let room = Room::new();
        let roots = room.put("roots.pem", trusted.certificate_pem().as_bytes());
        let mut command = save(&room, &server.endpoint(), "");
        let said = said(command.env("SSL_CERT_FILE", &roots)).code(code);
        if code != 0 {
            said.complains("signed by no authority of this system");
        }
    }
}

#[test]
fn the_report_says_which_endpoint_gave_it_and_why_the_others_did_not() {
    let room = Room::new();
    let learner = Health {
        is_learner: true,
        ..Health::default()
    };
    let servers = [
        server().with_member_id(4).with_health(learner),
        server().with_member_id(1),
        server()
            .with_member_id(2)
            .with_fault(Fault::EndAfter(40_000)),
        server().with_member_id(3),
    ];
    let servers = servers.map(|server| server.start().unwrap());
    let urls = servers.each_ref().map(|server| server.endpoint());
    let all = format!("[{}]", urls.join(","));
    let simple = said(&mut save(&room, &all, "")).code(0);
    for words in [
        format!("{} is a learner", urls[0]),
        format!("{} is the leader", urls[1]),
        format!("{}: the server ended the stream", urls[2]),
    ] {
        assert!(simple.stdout.contains(&words), "{words}: {simple:?}");
    }
    assert!(
        simple.stdout.contains(&format!("from      {}", urls[3])),
        "{simple:?}"
    );
    assert_eq!(simple.stdout.matches("not used").count(), 3, "{simple:?}");
    assert!(simple.stderr.contains("is a learner"), "{simple:?}");
    let table = said(&mut save(&room, &all, "-w table")).code(0);
    assert_eq!(table.stdout.matches("not used").count(), 3, "{table:?}");
    let json = said(&mut save(&room, &all, "-w json")).code(0);
    let report: SaveReport = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(report.passed_over.len(), 3);

    for (policy, used) in [("first", &urls[0]), ("leader", &urls[1])] {
        let flags = format!("--endpoint-policy {policy}");
        let said = said(&mut save(&room, &all, &flags)).code(0);
        assert!(
            said.stdout.contains(&format!("from      {used}")),
            "{said:?}"
        );
    }
    // Nobody is fit.
    let two = format!("{},{}", urls[0], urls[0]);
    said(&mut save(&room, &two, ""))
        .code(6)
        .complains("hint: --endpoint-policy=first");
}

#[test]
fn a_password_may_come_from_a_file() {
    use std::os::unix::fs::PermissionsExt;

    let room = Room::new();
    let auth = Auth {
        user: "ann".to_owned(),
        password: "right".to_owned(),
        is_root: true,
        modern: true,
    };
    let server = server()
        .with_auth(auth)
        .with_token("a.b.c")
        .start()
        .unwrap();
    let endpoint = server.endpoint();
    let file = room.put("password", b"right\nthis line is for people\n");
    let rights = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    let flags = "--user ann --password-file password";

    rights(0o640);
    let quiet = said(&mut save(&room, &endpoint, flags)).code(0);
    assert!(!quiet.stderr.contains("can read"), "{quiet:?}");
    rights(0o644);
    let loud = said(&mut save(&room, &endpoint, flags)).code(0);
    assert!(
        loud.stderr
            .contains("every user of this machine can read the password in password"),
        "{loud:?}"
    );
    // What was said last and closest counts.
    said(save(&room, &endpoint, flags).env("ETCDCTL_PASSWORD", "wrong")).code(0);

    room.put("password", b"\n");
    said(&mut save(&room, &endpoint, flags))
        .code(2)
        .complains("there is no password in password");
    said(&mut save(
        &room,
        &endpoint,
        "--user ann --password-file none",
    ))
    .code(2)
    .complains("cannot read the password from none");

    said(&mut save(&room, &endpoint, "--auth-jwt-token a.b.c")).code(0);
    let both =
        said(save(&room, &endpoint, "--user ann:wrong").env("ETCDCTL_AUTH_JWT_TOKEN", "a.b.c"));
    let both = both.code(0);
    assert!(
        both.stderr.contains("the token is used, and not the user"),
        "{both:?}"
    );
    said(&mut save(&room, &endpoint, "--auth-jwt-token a.b.d")).code(5);
}
