//! Names of hosts in the static binary: glibc finds them by itself only with what it has inside.

use std::net::UdpSocket;
use std::path::Path;
use std::thread;

use anyhow::{Context as _, Result, ensure};
use etcd_snap_testdata::etcd::Version;
use etcd_snap_testdata::fake::Server;
use etcd_snap_testdata::golden;

use super::Jail;

const NAME: &str = "etcd-1.example.internal";
/// Nobody else's.
const NAME_SERVER: &str = "127.5.3.53";

/// Saves from a server that is known by name: to a file with names, to a name server, and to nobody.
pub(super) fn resolve(program: &Path) -> Result<()> {
    eprintln!("resolving names in an otherwise empty root directory");
    let server = Server::serving(golden::snapshot(Version::V3_6))?.start()?;
    let port = server.address().port();
    let save = |jail: &Jail| -> Result<_> {
        jail.put(program, "/usr/local/bin/etcd-snap")?;
        let line = format!("etcd-snap save /data/a.db --endpoints http://{NAME}:{port}");
        Ok(jail.command(&line).output()?)
    };

    let jail = Jail::new()?;
    jail.write(&format!("127.0.0.1 localhost {NAME}\n"), "/etc/hosts")?;
    // What is not inside cannot be loaded, and is passed over.
    let services = "hosts: mymachines resolve [!UNAVAIL=return] files myhostname dns\n";
    jail.write(services, "/etc/nsswitch.conf")?;
    let output = save(&jail)?;
    ensure!(output.status.success(), "/etc/hosts: {output:?}");

    let jail = Jail::new()?;
    jail.write(&format!("nameserver {NAME_SERVER}\n"), "/etc/resolv.conf")?;
    match UdpSocket::bind((NAME_SERVER, 53)) {
        Ok(socket) => {
            thread::spawn(move || answer(&socket));
            let output = save(&jail)?;
            ensure!(output.status.success(), "a name server: {output:?}");
        }
        Err(error) => eprintln!("not asking a name server, since none can be started: {error}"),
    }

    let output = save(&Jail::new()?)?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(4) && said.contains(NAME),
        "without /etc: {output:?}"
    );
    Ok(())
}

/// A name server that knows one name, and of it one address.
fn answer(socket: &UdpSocket) -> Result<()> {
    let mut packet = [0; 512];
    loop {
        let (size, from) = socket.recv_from(&mut packet)?;
        let reply = reply(&packet[..size]).context("no question")?;
        socket.send_to(&reply, from)?;
    }
}

/// RFC 1035, 4: the question again, and for one of type A the address 127.0.0.1.
fn reply(question: &[u8]) -> Option<Vec<u8>> {
    const HEADER: usize = 12;
    const A: &[u8] = &[0, 1];
    let name_end = HEADER + question.get(HEADER..)?.iter().position(|byte| *byte == 0)?;
    let asked = question.get(HEADER..name_end + 5)?;
    let wanted: Vec<u8> = NAME
        .split('.')
        .flat_map(|label| std::iter::once(label.len() as u8).chain(label.bytes()))
        .chain([0])
        .collect();
    let is_known = asked[..asked.len() - 4].eq_ignore_ascii_case(&wanted);
    let has_answer = is_known && &asked[asked.len() - 4..asked.len() - 2] == A;

    let mut reply = question.get(..2)?.to_vec();
    reply.extend([0x85, if is_known { 0x80 } else { 0x83 }]);
    reply.extend([0, 1, 0, u8::from(has_answer), 0, 0, 0, 0]);
    reply.extend(asked);
    if has_answer {
        reply.extend([
            0xc0,
            HEADER as u8,
            0,
            1,
            0,
            1,
            0,
            0,
            0,
            60,
            0,
            4,
            127,
            0,
            0,
            1,
        ]);
    }
    Some(reply)
}
