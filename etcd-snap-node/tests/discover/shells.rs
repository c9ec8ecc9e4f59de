//! Units in which a shell decides about settings when it starts etcd.

use etcd_snap_node::Severity;

use super::*;

fn machine(script: &str) -> Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    let units = folder.path().join("etc/systemd/system");
    fs::create_dir_all(&units)?;
    fs::write(
        units.join("etcd.service"),
        format!("[Service]\nExecStart=/bin/bash -c '{script}'\n"),
    )?;
    fs::create_dir_all(folder.path().join("var/lib/etcd"))?;
    Ok(folder)
}

#[test]
fn what_only_the_shell_knows_is_no_mistake_and_the_rest_stays_known() -> Result<()> {
    const URLS: &str = "--listen-client-urls http://IP:2378 --advertise-client-urls http://IP:2378";
    const FILES: &str = "--cert-file /pki/NAME.crt --key-file /pki/NAME.key";
    for (before, ip, name) in [
        ("IP=$(hostname -i); ", "$IP", "$(hostname -s)"),
        ("", "$(hostname -i)", "$(hostname -s)"),
        ("", "`hostname -i`", "`hostname -s`"),
    ] {
        let rest = format!("{URLS} {FILES}")
            .replace("IP", ip)
            .replace("NAME", name);
        let script =
            format!("{before}exec /usr/bin/etcd --name m1 --data-dir /var/lib/etcd {rest}");
        let folder = machine(&script)?;
        let node = found_in(folder.path())?;
        let etcd = node.etcd(None)?;
        ensure!(
            etcd.findings.iter().all(|it| it.severity < Severity::Error),
            "{script}: {:?}",
            etcd.findings
        );
        let codes: Vec<_> = etcd.findings.iter().map(|it| it.code.as_str()).collect();
        ensure!(
            codes.starts_with(&["wrapper", "variable-unknown"]),
            "{script}: {codes:?}"
        );
        ensure!(etcd.name == "m1", "{script}: {}", etcd.name);
        ensure!(etcd.host_data_dir()? == Path::new("/var/lib/etcd"));
        ensure!(
            etcd.endpoints() == ["http://127.0.0.1:2378"],
            "{:?}",
            etcd.endpoints()
        );
        let certificate = etcd
            .client_tls
            .certificate
            .as_ref()
            .context("a certificate")?;
        ensure!(certificate.host.is_none(), "{certificate:?}");
    }
    Ok(())
}

#[test]
fn a_directory_that_only_the_shell_mounts_is_not_guessed() -> Result<()> {
    let folder = machine(
        "docker run -v /data/$(hostname):/var/lib/etcd -v /etc/ssl:/ssl quay.io/coreos/etcd:v3.5.7 etcd --name=m1 --data-dir=/var/lib/etcd --cert-file=/ssl/m1.crt",
    )?;
    let node = found_in(folder.path())?;
    let etcd = node.etcd(None)?;
    ensure!(etcd.data_dir.host.is_none(), "{:?}", etcd.data_dir);
    let certificate = etcd.client_tls.certificate.as_ref();
    let certificate = certificate.and_then(|it| it.host.as_deref());
    ensure!(
        certificate == Some(Path::new("/etc/ssl/m1.crt")),
        "{certificate:?}"
    );
    Ok(())
}

/// What it was given is in its words.
#[test]
fn what_the_running_etcd_was_given_is_known() -> Result<()> {
    let folder = machine(
        "exec /usr/bin/etcd --name $(hostname) --data-dir /var/lib/$(hostname) --listen-client-urls http://$(hostname -i):2379 --advertise-client-urls http://$(hostname -i):2379",
    )?;
    let process = folder.path().join("proc/4711");
    fs::create_dir_all(&process)?;
    let words = "/usr/bin/etcd --name m1 --data-dir /var/lib/etcd --listen-client-urls http://10.0.0.7:2379 --advertise-client-urls http://10.0.0.7:2379 ";
    fs::write(process.join("cmdline"), words.replace(' ', "\0"))?;
    fs::write(process.join("environ"), "PATH=/bin\0")?;
    fs::write(process.join("cgroup"), "0::/system.slice/etcd.service\n")?;
    fs::write(process.join("status"), "Name:\tetcd\nUid:\t0\t0\t0\t0\n")?;
    std::os::unix::fs::symlink("/usr/bin/etcd", process.join("exe"))?;
    std::os::unix::fs::symlink("/", process.join("cwd"))?;
    let node = found_in(folder.path())?;
    let etcd = node.etcd(None)?;
    ensure!(etcd.name == "m1", "{}", etcd.name);
    ensure!(etcd.host_data_dir()? == Path::new("/var/lib/etcd"));
    ensure!(
        etcd.data.as_ref().is_some_and(|it| it.exists),
        "{:?}",
        etcd.data
    );
    ensure!(
        etcd.endpoints() == ["http://10.0.0.7:2379"],
        "{:?}",
        etcd.endpoints()
    );
    let codes: Vec<_> = etcd
        .findings
        .iter()
        .map(|it| (it.code.as_str(), it.severity))
        .collect();
    ensure!(
        codes
            == [
                ("wrapper", Severity::Warning),
                ("variable-unknown", Severity::Note)
            ],
        "{:?}",
        etcd.findings
    );
    Ok(())
}

#[test]
fn data_that_only_the_shell_knows_is_not_guessed() -> Result<()> {
    for words in ["--data-dir /var/lib/$(hostname)", "--name $(hostname)"] {
        let folder = machine(&format!("exec /usr/bin/etcd {words}"))?;
        let node = found_in(folder.path())?;
        let etcd = node.etcd(None)?;
        ensure!(etcd.data.is_none(), "{words}: {:?}", etcd.data);
        let error = etcd.host_data_dir().err().context("not known")?;
        ensure!(error.to_string().contains("a shell decides"), "{error}");
    }
    Ok(())
}

/// Flags that nobody has written down may be any, and defaults are then no more than guesses.
#[test]
fn what_may_be_anything_is_pointed_out() -> Result<()> {
    for (script, code) in [
        (
            "exec /usr/bin/etcd $(cat /etc/etcd/args)",
            "command-line-unknown",
        ),
        (
            "exec /usr/bin/etcd --name m1 --data-dir /d $(cat /etc/etcd/args)",
            "command-line-unknown",
        ),
        (
            "exec /usr/bin/etcd --config-file /etc/etcd/$(hostname).yml",
            "config-file-unknown",
        ),
    ] {
        let folder = machine(script)?;
        let node = found_in(folder.path())?;
        let etcd = node.etcd(None)?;
        ensure!(etcd.is_guessed(), "{script}: {:?}", etcd.findings);
        ensure!(etcd.findings.iter().any(|it| it.code == code));
        ensure!(
            etcd.findings.iter().all(|it| it.severity < Severity::Error),
            "{:?}",
            etcd.findings
        );
    }
    Ok(())
}

/// Another etcd may have the usual port.
#[test]
fn a_port_that_only_the_shell_knows_is_not_guessed() -> Result<()> {
    let urls = "http://10.0.0.1:$(cat /etc/port)";
    let folder = machine(&format!(
        "exec /usr/bin/etcd --name m1 --data-dir /d --listen-client-urls {urls} --advertise-client-urls {urls}"
    ))?;
    let node = found_in(folder.path())?;
    let etcd = node.etcd(None)?;
    ensure!(etcd.endpoints().is_empty(), "{:?}", etcd.endpoints());
    let error = etcd.cluster(&Root::new(folder.path())).unwrap_err();
    ensure!(error.to_string().contains("a shell decides"), "{error}");
    Ok(())
}

#[test]
fn an_etcd_behind_a_comment_with_an_apostrophe_is_found() -> Result<()> {
    let folder = machine("exit 1")?;
    let unit = folder.path().join("etc/systemd/system/etcd.service");
    fs::write(unit, "[Service]\nExecStart=/usr/local/bin/etcd-start\n")?;
    let bin = folder.path().join("usr/local/bin");
    fs::create_dir_all(&bin)?;
    let script = "#!/bin/sh\nIP=$(\n  # the machine's address\n  hostname -i\n)\nexec /usr/bin/etcd --name m1 --data-dir /d \
                  --listen-client-urls http://$IP:2379 --advertise-client-urls http://$IP:2379\n";
    fs::write(bin.join("etcd-start"), script)?;
    let node = found_in(folder.path())?;
    ensure!(node.etcd(None)?.name == "m1", "{node:#?}");
    Ok(())
}
