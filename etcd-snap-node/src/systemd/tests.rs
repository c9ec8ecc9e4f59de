use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::*;
use crate::Severity;

/// A tree of a machine, modelled on those that packages and tools leave.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new(files: &[(&str, &str)]) -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        for (file, text) in files {
            let path = tree.0.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        tree
    }

    /// With one unit, `etcd.service`, whose `[Service]` has these lines.
    fn unit(lines: &str, others: &[(&str, &str)]) -> Self {
        let text = format!("[Service]\n{lines}\n");
        let mut files = vec![("etc/systemd/system/etcd.service", text.as_str())];
        files.extend(others);
        Self::new(&files)
    }

    fn services(&self) -> Vec<Service> {
        services(&Root::new(self.0.path()))
    }

    fn only(&self) -> Service {
        let mut services = self.services();
        assert_eq!(services.len(), 1, "{services:?}");
        services.remove(0)
    }
}

fn words(service: &Service) -> Vec<&str> {
    let invocation = service.invocation.as_ref().expect("etcd is in it");
    invocation.words.iter().map(String::as_str).collect()
}

fn variable<'a>(service: &'a Service, name: &str) -> Option<&'a str> {
    let mut variables = service
        .invocation
        .as_ref()
        .expect("etcd is in it")
        .variables
        .iter();
    variables
        .find(|it| it.name == name)
        .map(|it| it.value.as_str())
}

fn codes(service: &Service) -> Vec<(&str, Severity)> {
    let findings = service.findings.iter();
    findings.map(|it| (it.code.as_str(), it.severity)).collect()
}

#[test]
fn a_packaged_unit_is_read_with_its_file_of_variables() {
    let tree = Tree::new(&[
        (
            "usr/lib/systemd/system/etcd.service",
            "[Unit]\nDescription=etcd\n[Service]\nType=notify\nUser=etcd\nEnvironment=DAEMON_ARGS=\nEnvironment=ETCD_NAME=%H ETCD_DATA_DIR=/var/lib/etcd/default\nEnvironmentFile=-/etc/default/%p\nExecStart=/usr/bin/etcd $DAEMON_ARGS\n",
        ),
        (
            "etc/default/etcd",
            "# ETCD_NAME=no\nETCD_DATA_DIR=\"/srv/etcd\"\nDAEMON_ARGS='--wal-dir=/w --metrics=basic'\n",
        ),
        ("etc/hostname", "node1\n"),
    ]);
    let service = tree.only();
    assert_eq!(
        service.unit_file.as_deref(),
        Some(Path::new("/usr/lib/systemd/system/etcd.service"))
    );
    assert_eq!(service.user.as_deref(), Some("etcd"));
    assert_eq!(service.working_directory.as_deref(), Some(Path::new("/")));
    assert_eq!(service.environment_files, [Path::new("/etc/default/etcd")]);
    assert_eq!(
        words(&service),
        ["/usr/bin/etcd", "--wal-dir=/w", "--metrics=basic"]
    );
    assert_eq!(variable(&service, "ETCD_NAME"), Some("node1"));
    assert_eq!(variable(&service, "ETCD_DATA_DIR"), Some("/srv/etcd"));
    assert_eq!(codes(&service), []);
    assert_eq!(service.wrapper, None);
}

#[test]
fn a_drop_in_takes_back_what_the_unit_says() {
    let tree = Tree::unit(
        "User=root\nEnvironment=A=1\nEnvironmentFile=/etc/none\nExecStart=/usr/bin/etcd --name=a",
        &[
            (
                "etc/systemd/system/etcd.service.d/50-override.conf",
                " [Service]\n ExecStart=\n ExecStart=-/opt/etcd $ARGS\n EnvironmentFile=\n EnvironmentFile=-/etc/etcd.env\n Environment=B=2\nUser=500\n",
            ),
            (
                "etc/systemd/system/etcd.service.d/10-early.conf",
                "[Service]\nEnvironment=\nUser=me\n",
            ),
            ("etc/etcd.env", "ARGS= --name b --data-dir=/d\n"),
        ],
    );
    let service = tree.only();
    assert_eq!(
        words(&service),
        ["/opt/etcd", "--name", "b", "--data-dir=/d"]
    );
    assert_eq!(
        (variable(&service, "A"), variable(&service, "B")),
        (None, Some("2"))
    );
    assert_eq!(service.user.as_deref(), Some("500"));
    assert_eq!(service.drop_ins.len(), 2);
    assert_eq!(codes(&service), []);
}

#[test]
fn files_of_variables_beat_the_unit_and_the_later_one_wins() {
    let tree = Tree::unit(
        "EnvironmentFile=/etc/etcd/*.env\nEnvironment=\"ETCD_NAME=unit\" \"X=a b\"\nUnsetEnvironment=GONE\nExecStart=/usr/bin/etcd ${X}",
        &[
            ("etc/etcd/a.env", "ETCD_NAME=a\nONLY=a\nGONE=1\n"),
            ("etc/etcd/b.env", "ETCD_NAME=b\nETCD_NAME=c\n"),
            ("etc/etcd/c.conf", "ETCD_NAME=no\n"),
        ],
    );
    let service = tree.only();
    assert_eq!(variable(&service, "ETCD_NAME"), Some("c"));
    assert_eq!(
        (variable(&service, "ONLY"), variable(&service, "GONE")),
        (Some("a"), None)
    );
    assert_eq!(words(&service), ["/usr/bin/etcd", "a b"]);
    assert_eq!(
        service.environment_files,
        [Path::new("/etc/etcd/a.env"), Path::new("/etc/etcd/b.env")]
    );
    let invocation = service.invocation.unwrap();
    let name = invocation
        .variables
        .iter()
        .find(|it| it.name == "ETCD_NAME")
        .unwrap();
    assert_eq!(name.file.as_deref(), Some(Path::new("/etc/etcd/b.env")));
}

#[test]
fn what_keeps_a_unit_from_starting_is_found() {
    use Severity::{Error, Note, Warning};
    for (lines, expected) in [
        ("Type=notify", ("exec-start-absent", Error)),
        (
            "ExecStart=/usr/bin/etcd\nExecStart=",
            ("exec-start-absent", Error),
        ),
        (
            "ExecStart=/usr/bin/etcd\nExecStart=/usr/bin/etcd --name=b",
            ("exec-start-several", Error),
        ),
        (
            "ExecStart=/usr/bin/etcd\nEnvironmentFile=/etc/none",
            ("environment-file-absent", Error),
        ),
        (
            "ExecStart=/usr/bin/etcd\nEnvironmentFile=-/etc/none",
            ("environment-file-absent", Note),
        ),
        (
            "ExecStart=/usr/bin/etcd\nEnvironmentFile=/etc/none/*",
            ("environment-file-absent", Error),
        ),
        (
            "ExecStart=/usr/bin/etcd\nEnvironmentFile=etc/none",
            ("unit-line-ignored", Warning),
        ),
        (
            "ExecStart=/usr/bin/etcd --name=${NONE}",
            ("variable-not-set", Warning),
        ),
        ("ExecStart=/usr/bin/etcd $NONE", ("variable-not-set", Note)),
        (
            "ExecStart=/usr/bin/etcd --name=$NAME",
            ("variable-not-expanded", Warning),
        ),
        (
            "ExecStart=/usr/bin/etcd --name='a",
            ("unit-line-ignored", Error),
        ),
        (
            "ExecStart=/usr/bin/etcd\nEnvironment='A=b",
            ("unit-line-ignored", Warning),
        ),
        (
            "ExecStart=/usr/bin/etcd\nEnvironment=A-B=c",
            ("unit-line-ignored", Warning),
        ),
        (
            "ExecStart=/usr/bin/etcd --name=%H",
            ("specifier-not-known", Warning),
        ),
        (
            "ExecStart=/usr/bin/etcd\nRootDirectory=/srv",
            ("wrapper", Warning),
        ),
        (
            "ExecStart=/usr/bin/etcd\nPassEnvironment=HOME ETCD_NAME ETCD_DEBUG\nEnvironment=ETCD_DEBUG=1",
            ("variable-passed-on", Warning),
        ),
        ("ExecStart=/usr/bin/true", ("not-etcd", Note)),
    ] {
        let service = Tree::unit(lines, &[]).only();
        assert_eq!(codes(&service), [expected], "{lines}");
        let finding = &service.findings[0];
        assert!(finding.path.is_some(), "{finding:?}");
        assert!(
            finding.remedy.is_some() || finding.severity == Note,
            "{finding:?}"
        );
    }
    // Several are right where the unit ends by itself, and nothing is put into words after a colon.
    for lines in [
        "Type=oneshot\nExecStart=/usr/bin/true\nExecStart=/usr/bin/etcd --name=b",
        "Type=oneshot\nExecStart=/usr/bin/true ; /usr/bin/etcd --name=b",
        "ExecStart=:/usr/bin/etcd --name=b",
        "ExecStart=@/usr/bin/etcd member --name=b",
        "ExecStart=+/usr/bin/etcd --name=b",
    ] {
        let service = Tree::unit(lines, &[]).only();
        assert_eq!(codes(&service), [], "{lines}");
        assert_eq!(words(&service), ["/usr/bin/etcd", "--name=b"], "{lines}");
    }
    assert_eq!(
        words(&Tree::unit("ExecStart=:/usr/bin/etcd ${X}", &[]).only()),
        ["/usr/bin/etcd", "${X}"]
    );
}

#[test]
fn a_line_with_export_sets_nothing() {
    let service = Tree::unit(
        "EnvironmentFile=/etc/etcd.env\nExecStart=/usr/bin/etcd",
        &[("etc/etcd.env", "export ETCD_NAME=a\nETCD_DATA_DIR=/d\n")],
    )
    .only();
    assert_eq!(
        codes(&service),
        [("environment-line-ignored", Severity::Warning)]
    );
    assert_eq!(
        (
            variable(&service, "ETCD_NAME"),
            variable(&service, "ETCD_DATA_DIR")
        ),
        (None, Some("/d"))
    );
}

#[test]
fn a_masked_unit_and_one_of_drop_ins_only_are_found() {
    let tree = Tree::new(&[(
        "etc/systemd/system/etcd2.service.d/x.conf",
        "[Service]\nExecStart=/usr/bin/etcd\n",
    )]);
    symlink(
        "/dev/null",
        tree.0.path().join("etc/systemd/system/etcd.service"),
    )
    .unwrap();
    let services = tree.services();
    assert_eq!(services.len(), 2, "{services:?}");
    assert!(services[0].masked && services[0].invocation.is_none());
    assert_eq!(codes(&services[0]), [("unit-masked", Severity::Warning)]);
    assert_eq!(services[1].unit_file, None);
    assert_eq!(codes(&services[1]), [("unit-file-absent", Severity::Error)]);
    assert_eq!(words(&services[1]), ["/usr/bin/etcd"]);
}

#[test]
fn a_file_that_may_not_be_read_is_left_out_and_said() {
    let tree = Tree::unit("ExecStart=/usr/bin/etcd", &[]);
    let binary = tree
        .0
        .path()
        .join("etc/systemd/system/etcd.service.d/x.conf");
    fs::create_dir_all(binary.parent().unwrap()).unwrap();
    fs::write(&binary, [0xff, 0xfe]).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o600)).unwrap();
    let service = tree.only();
    assert_eq!(codes(&service), [("unit-file-unreadable", Severity::Error)]);
    assert_eq!(words(&service), ["/usr/bin/etcd"]);
}

#[test]
fn only_services_that_run_etcd_or_say_so_count() {
    let tree = Tree::new(&[
        (
            "usr/lib/systemd/system/patroni.service",
            "[Service]\nExecStart=/usr/bin/patroni /etc/patroni/etcd.yml\n",
        ),
        (
            "usr/lib/systemd/system/backup.service",
            "[Service]\nExecStart=/usr/bin/etcdctl snapshot save /b\n",
        ),
        (
            "usr/lib/systemd/system/store.service",
            "[Service]\nExecStart=/opt/etcd-v3.5/etcd --name=a\n",
        ),
        (
            "usr/lib/systemd/system/etcd-backup.service",
            "[Service]\nExecStart=/usr/bin/etcd-backup\n",
        ),
        (
            "usr/lib/systemd/system/k3s.service",
            "[Service]\nExecStart=/usr/local/bin/k3s server\n",
        ),
    ]);
    let services = tree.services();
    let units: Vec<_> = services.iter().map(|it| it.unit.as_str()).collect();
    assert_eq!(units, ["etcd-backup.service", "store.service"]);
    assert_eq!(services[0].invocation, None);
    assert_eq!(
        kubernetes(&Root::new(tree.0.path())),
        [Kubernetes {
            unit: "k3s.service"
        }]
    );
}

#[test]
fn instances_know_their_names() {
    let tree = Tree::new(&[
        (
            "etc/systemd/system/etcd@.service",
            "[Service]\nWorkingDirectory=~\nUser=etcd\nEnvironmentFile=/etc/etcd/%i.env\nExecStart=/usr/bin/etcd --name=%i\n",
        ),
        ("etc/etcd/m1.env", "ETCD_DATA_DIR=/var/lib/m1\n"),
        (
            "etc/passwd",
            "root:x:0:0::/root:/bin/sh\netcd:x:9:9::/var/lib/etcd:/bin/false\n",
        ),
    ]);
    let wants = tree
        .0
        .path()
        .join("etc/systemd/system/multi-user.target.wants");
    fs::create_dir(&wants).unwrap();
    symlink(
        "/etc/systemd/system/etcd@.service",
        wants.join("etcd@m1.service"),
    )
    .unwrap();
    let service = tree.only();
    assert_eq!(words(&service), ["/usr/bin/etcd", "--name=m1"]);
    assert_eq!(variable(&service, "ETCD_DATA_DIR"), Some("/var/lib/m1"));
    assert_eq!(
        service.working_directory.as_deref(),
        Some(Path::new("/var/lib/etcd"))
    );
}

#[test]
fn a_shell_between_systemd_and_etcd_is_understood() {
    for (command, others) in [
        (
            r#"/bin/bash -c "GOMAXPROCS=$(nproc) /usr/bin/etcd --name=\"${ETCD_NAME}\" --data-dir=/d""#,
            vec![],
        ),
        (
            r#"/bin/sh -ec 'test -d /d && exec /usr/bin/etcd --name="$$ETCD_NAME" --data-dir=/d'"#,
            vec![],
        ),
        (
            "/usr/bin/env X=1 /usr/bin/etcd --name=${ETCD_NAME} --data-dir=/d",
            vec![],
        ),
        (
            "/usr/bin/nice -n -5 /usr/bin/etcd --name=${ETCD_NAME} --data-dir=/d",
            vec![],
        ),
        (
            "/usr/local/bin/etcd-start --data-dir=/d",
            vec![(
                "usr/local/bin/etcd-start",
                "#!/bin/sh\nset -e\nmkdir -p /d\nexec /usr/bin/etcd --name=\"$ETCD_NAME\" \"$@\"\n",
            )],
        ),
        (
            "/bin/sh /opt/start.sh /d etcd",
            vec![(
                "opt/start.sh",
                "exec /usr/bin/etcd --name=${ETCD_NAME:-none} --data-dir=/d\n",
            )],
        ),
    ] {
        let lines = format!("Environment=ETCD_NAME=m1\nExecStart={command}");
        let service = Tree::unit(&lines, &others).only();
        assert_eq!(
            words(&service),
            ["/usr/bin/etcd", "--name=m1", "--data-dir=/d"],
            "{command}"
        );
        let wrapper = service.wrapper.as_ref().unwrap();
        assert!(
            wrapper.understood && !wrapper.is_container(),
            "{command}: {service:?}"
        );
        assert_eq!(codes(&service), [], "{command}");
    }
    let service = Tree::unit("ExecStart=/bin/sh -c 'exec etcd --name=$(hostname)'", &[]).only();
    assert_eq!(words(&service), ["etcd", "--name=$(hostname)"]);
    assert_eq!(codes(&service), [("wrapper", Severity::Warning)]);
}

#[test]
fn what_a_shell_substitutes_is_one_part_of_a_word_and_not_known() {
    for (script, expected, unresolved) in [
        (
            "IP=$(hostname -i); exec /usr/bin/etcd --name m1 --listen-client-urls http://$IP:2379",
            vec![
                "--name",
                "m1",
                "--listen-client-urls",
                "http://$(hostname -i):2379",
            ],
            "$(hostname -i)",
        ),
        (
            "exec /usr/bin/etcd --listen-client-urls http://$(hostname -i):2379",
            vec!["--listen-client-urls", "http://$(hostname -i):2379"],
            "$(hostname -i)",
        ),
        (
            "IP=`hostname -i`; exec /usr/bin/etcd --listen-client-urls \"http://`hostname -i`:2379,http://$IP:1\"",
            vec![
                "--listen-client-urls",
                "http://`hostname -i`:2379,http://`hostname -i`:1",
            ],
            "`hostname -i`",
        ),
        (
            "exec /usr/bin/etcd --name $(echo \")\" | tr -d x ) --data-dir /d",
            vec!["--name", "$(echo \")\" | tr -d x )", "--data-dir", "/d"],
            "$(echo \")\" | tr -d x )",
        ),
        (
            "eval `cat /run/ip`; exec /usr/bin/etcd --name $NODE",
            vec!["--name", "${NODE}"],
            "${NODE}",
        ),
        (
            "for i in 1 2; do NODE=m$i; done; exec /usr/bin/etcd --name $NODE",
            vec!["--name", "m${i}"],
            "${i}",
        ),
        (
            "read -r IP < /run/ip; exec /usr/bin/etcd --name $IP-$HOSTNAME",
            vec!["--name", "${IP}-${HOSTNAME}"],
            "${HOSTNAME}",
        ),
    ] {
        let service = Tree::unit(&format!("ExecStart=/bin/bash -c '{script}'"), &[]).only();
        assert_eq!(
            words(&service).get(1..),
            Some(expected.as_slice()),
            "{script}"
        );
        let invocation = service.invocation.as_ref().unwrap();
        assert!(
            invocation.unresolved.iter().any(|it| it == unresolved),
            "{script}: {:?}",
            invocation.unresolved
        );
        // The hint to write `${NAME}` would have systemd empty what the shell sets.
        assert_eq!(
            codes(&service),
            [("wrapper", Severity::Warning)],
            "{script}"
        );
    }
    // What no shell reads stays as it is written.
    let service = Tree::unit("ExecStart=/usr/bin/etcd --name=$NAME-$(hostname)", &[]).only();
    assert_eq!(
        codes(&service),
        [("variable-not-expanded", Severity::Warning)]
    );
    assert!(service.invocation.unwrap().unresolved.is_empty());
}

#[test]
fn what_a_shell_substitutes_in_a_variable_of_etcd_is_said() {
    let service = Tree::unit(
        "ExecStart=/bin/sh -c 'export ETCD_NAME=$(hostname); exec etcd --data-dir=/d'",
        &[],
    )
    .only();
    assert_eq!(variable(&service, "ETCD_NAME"), Some("$(hostname)"));
    assert_eq!(codes(&service), [("wrapper", Severity::Warning)]);
    assert_eq!(service.invocation.unwrap().unresolved, ["$(hostname)"]);
}

const DOCKER: &str = "docker run --rm --net=host -it --env-file=/etc/etcd.env -e ETCD_NAME=m2 -e FROM_UNIT -v /srv/etcd:/var/lib/etcd:rw --mount type=bind,source=/etc/ssl,target=/certs,readonly -v named:/named --memory 512M --name=etcd1 quay.io/coreos/etcd:v3.5.7 /usr/local/bin/etcd";

#[test]
fn a_container_has_variables_and_mounts_of_its_own() {
    let script = format!("#!/bin/bash\n/usr/bin/docker rm -f etcd1\n/usr/bin/{DOCKER} \"$@\"\n");
    let env = (
        "etc/etcd.env",
        "# of etcd\nETCD_DATA_DIR=\"/var/lib/etcd\"\nETCD_NAME=m1\n",
    );
    for (command, script) in [
        (format!("/usr/bin/{DOCKER} --metrics=basic"), ""),
        (
            format!("/bin/sh -c '/usr/bin/{DOCKER} --metrics=basic'"),
            "",
        ),
        (
            "/usr/local/bin/etcd --metrics=basic".to_owned(),
            script.as_str(),
        ),
    ] {
        let mut others = vec![env];
        if !script.is_empty() {
            others.push(("usr/local/bin/etcd", script));
        }
        let lines = format!("Environment=FROM_UNIT=1 ETCD_WAL_DIR=/not\nExecStart={command}");
        let service = Tree::unit(&lines, &others).only();
        assert_eq!(
            words(&service),
            ["/usr/local/bin/etcd", "--metrics=basic"],
            "{command}"
        );
        // Quotes are not taken off.
        assert_eq!(
            variable(&service, "ETCD_DATA_DIR"),
            Some("\"/var/lib/etcd\"")
        );
        assert_eq!(variable(&service, "ETCD_NAME"), Some("m2"));
        assert_eq!(variable(&service, "FROM_UNIT"), Some("1"));
        assert_eq!(variable(&service, "ETCD_WAL_DIR"), None);
        assert_eq!(service.environment_files, [Path::new("/etc/etcd.env")]);
        let wrapper = service.wrapper.as_ref().unwrap();
        assert!(wrapper.understood && wrapper.is_container(), "{service:?}");
        assert_eq!(wrapper.container.as_deref(), Some("etcd1"));
        assert_eq!(wrapper.image.as_deref(), Some("quay.io/coreos/etcd:v3.5.7"));
        let mounts: Vec<_> = wrapper
            .mounts
            .iter()
            .map(|it| {
                (
                    it.mount_path.to_str().unwrap(),
                    it.host_path.as_deref().and_then(Path::to_str),
                    it.read_only,
                )
            })
            .collect();
        assert_eq!(
            mounts,
            [
                ("/var/lib/etcd", Some("/srv/etcd"), false),
                ("/certs", Some("/etc/ssl"), true),
                ("/named", None, false)
            ]
        );
        assert_eq!(service.invocation.as_ref().unwrap().working_directory, None);
        assert_eq!(codes(&service), [("wrapper", Severity::Note)]);
    }
}

#[test]
fn the_image_may_decide_about_the_program() {
    for (command, expected) in [
        (
            "/usr/bin/podman run quay.io/coreos/etcd:v3.5.7 --name=a",
            Some(vec!["etcd", "--name=a"]),
        ),
        (
            "/usr/bin/podman run --entrypoint=/bin/etcd image --name=a",
            Some(vec!["/bin/etcd", "--name=a"]),
        ),
        ("/usr/bin/docker run bitnami/etcd etcdctl version", None),
        ("/usr/bin/docker run nginx --name=a", None),
        ("/usr/bin/docker start -a etcd1", None),
    ] {
        let service = Tree::unit(&format!("ExecStart={command}"), &[]).only();
        let found = service.invocation.as_ref().map(|it| it.words.clone());
        let expected =
            expected.map(|words| words.into_iter().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(found, expected, "{command}");
    }
    let service = Tree::unit("ExecStart=/usr/bin/docker start -a etcd1", &[]).only();
    let wrapper = service.wrapper.unwrap();
    assert_eq!(
        (wrapper.container.as_deref(), wrapper.understood),
        (Some("etcd1"), false)
    );
    let service = Tree::unit(
        "ExecStart=/usr/bin/rkt run quay.io/coreos/etcd:v3.3 --exec=/bin/etcd -- --name=a --- x",
        &[],
    )
    .only();
    assert_eq!(words(&service), ["etcd", "--name=a"]);
    assert!(!service.wrapper.unwrap().understood);
}

#[test]
fn a_script_that_is_not_in_the_tree_is_given_away_by_how_it_is_stopped() {
    let service = Tree::unit(
        "EnvironmentFile=-/etc/etcd.env\nExecStart=/usr/local/bin/etcd\nExecStartPre=-/usr/bin/docker rm -f etcd1\nExecStop=/usr/bin/docker stop etcd1",
        &[("etc/etcd.env", "ETCD_NAME=m1\n")],
    )
    .only();
    let wrapper = service.wrapper.as_ref().unwrap();
    assert!(wrapper.is_container() && !wrapper.understood);
    assert_eq!(wrapper.container.as_deref(), Some("etcd1"));
    assert_eq!(variable(&service, "ETCD_NAME"), Some("m1"));
    assert_eq!(codes(&service), [("wrapper", Severity::Warning)]);
}

#[test]
fn the_wrapper_of_flatcar_keeps_the_data_where_the_image_has_it() {
    let unit = |words: &str| {
        Tree::unit(
            &format!(
                "Environment=ETCD_NAME=m0 ETCD_DATA_DIR=/srv/etcd ETCD_SSL_DIR=/etc/tls ETCD_IMAGE_URL=quay.io/coreos/etcd ETCD_IMAGE_TAG=v3.5.16\nExecStart=/usr/lib/flatcar/etcd-wrapper {words}"
            ),
            &[],
        )
        .only()
    };
    let service = unit("--name=m1");
    assert_eq!(words(&service), ["etcd", "--name=m1"]);
    assert_eq!(variable(&service, "ETCD_NAME"), None);
    assert_eq!(variable(&service, "ETCD_DATA_DIR"), Some("/var/lib/etcd"));
    let wrapper = service.wrapper.unwrap();
    assert_eq!(
        wrapper.image.as_deref(),
        Some("quay.io/coreos/etcd:v3.5.16")
    );
    assert_eq!(
        wrapper.mounts[0].host_path.as_deref(),
        Some(Path::new("/srv/etcd"))
    );
    assert_eq!(wrapper.mounts[0].mount_path, Path::new("/var/lib/etcd"));
    assert_eq!(variable(&unit("--metrics=basic"), "ETCD_NAME"), Some("m0"));
}
