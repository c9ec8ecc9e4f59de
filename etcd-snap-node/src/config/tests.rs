use std::path::{Path, PathBuf};

use super::*;
use crate::{Error, ErrorKind, Severity, Version};

fn invocation(words: &str, variables: &[(&str, &str)]) -> Invocation {
    Invocation {
        words: std::iter::once("/usr/bin/etcd")
            .chain(words.split_ascii_whitespace())
            .map(str::to_owned)
            .collect(),
        variables: variables
            .iter()
            .map(|(name, value)| Variable {
                name: (*name).to_owned(),
                value: (*value).to_owned(),
                file: Some(PathBuf::from("/etc/etcd.env")),
            })
            .collect(),
        working_directory: Some(PathBuf::from("/")),
        unresolved: Vec::new(),
    }
}

fn configured(words: &str, variables: &[(&str, &str)]) -> Configuration {
    configure(&invocation(words, variables), &|path| {
        Err(Error::io("read", path, std::io::ErrorKind::NotFound.into()))
    })
}

fn with_file(words: &str, variables: &[(&str, &str)], text: &str) -> Configuration {
    configure(&invocation(words, variables), &|path| {
        assert_eq!(path, Path::new("/etc/etcd.yml"));
        Ok(text.to_owned())
    })
}

fn codes(configuration: &Configuration) -> Vec<&str> {
    let findings = configuration.findings.iter();
    findings.map(|finding| finding.code.as_str()).collect()
}

fn cluster(configuration: &Configuration) -> String {
    let entries = configuration.initial_cluster().into_iter();
    let pieces: Vec<_> = entries
        .map(|it| format!("{}={}", it.name, it.peer_url))
        .collect();
    pieces.join(",")
}

/// What every member has, so that only what a test adds is found.
const SOUND: &str = "--name=m1 --data-dir=/var/lib/etcd";

/// As `configured`, with words between bars, of which a shell would put something in the place of `$(...)`.
fn of_shell(words: &str) -> Configuration {
    let invocation = Invocation {
        words: words.split('|').map(str::to_owned).collect(),
        unresolved: ["$(ip, -i)", "$(args)"].map(str::to_owned).to_vec(),
        ..invocation("", &[])
    };
    configure(&invocation, &|path| panic!("{} is read", path.display()))
}

#[test]
fn what_a_shell_puts_in_is_neither_known_nor_wrong() {
    const KNOWN: &str = "etcd|--name=m1|--data-dir=/d|";
    for more in [
        "--listen-client-urls|http://$(ip, -i):2379,http://127.0.0.1:2379|--advertise-client-urls=http://$(ip, -i):2379",
        "--listen-client-urls=$(args)|--advertise-client-urls=$(args)|--cert-file=/c|--key-file=/k",
        "--listen-peer-urls=https://$(ip, -i):2380|--peer-auto-tls|--initial-advertise-peer-urls=https://$(ip, -i):2380",
        "--initial-cluster=m1=http://$(ip, -i):2380",
        "--initial-cluster-state=$(args)",
        "--election-timeout=$(args)",
        "--client-cert-auth=$(args)",
    ] {
        let etcd = of_shell(&format!("{KNOWN}{more}"));
        assert_eq!(
            codes(&etcd),
            ["variable-unknown"],
            "{more}: {:?}",
            etcd.findings
        );
        assert!(etcd.findings.iter().all(|it| it.remedy.is_some()));
        assert_eq!(etcd.data_dir(), Path::new("/d"));
        assert_eq!(etcd.name(), "m1");
    }
    for (more, code) in [
        ("--config-file=$(args)", "config-file-unknown"),
        ("$(args)", "command-line-unknown"),
        ("--$(args)=3", "command-line-unknown"),
        ("--x$(args)", "command-line-unknown"),
    ] {
        let etcd = of_shell(&format!("{KNOWN}{more}"));
        assert_eq!(codes(&etcd), [code], "{more}: {:?}", etcd.findings);
    }
    let etcd =
        of_shell("etcd|--name=$(args)|--data-dir=/d|--initial-cluster=m1=http://10.0.0.1:2380");
    assert_eq!(codes(&etcd), ["variable-unknown"]);
    // Nobody is founded as what is only written so.
    assert_eq!(cluster(&of_shell("etcd|--name=$(args)|--data-dir=/d")), "");
    for more in [
        "--initial-cluster=$(args)",
        "--initial-advertise-peer-urls=$(args)",
    ] {
        assert_eq!(cluster(&of_shell(&format!("{KNOWN}{more}"))), "", "{more}");
    }
    let etcd = of_shell(&format!(
        "{KNOWN}--listen-client-urls=http://$(ip, -i):1,http://a:2|--advertise-client-urls=http://m1:1"
    ));
    assert_eq!(
        etcd.listen_client_urls(),
        ["http://$(ip, -i):1", "http://a:2"]
    );
}

#[test]
fn without_any_setting_all_is_as_etcd_has_it() {
    let etcd = configured("", &[]);
    assert_eq!(etcd.runs, Runs::Member);
    assert!(etcd.settings.is_empty());
    assert_eq!(etcd.name(), "default");
    assert_eq!(etcd.data_dir(), Path::new("/default.etcd"));
    assert_eq!(etcd.wal_dir(), None);
    assert_eq!(etcd.listen_client_urls(), ["http://localhost:2379"]);
    assert_eq!(etcd.advertise_client_urls(), ["http://localhost:2379"]);
    assert_eq!(etcd.listen_peer_urls(), ["http://localhost:2380"]);
    assert_eq!(
        etcd.initial_advertise_peer_urls(),
        ["http://localhost:2380"]
    );
    assert_eq!(cluster(&etcd), "default=http://localhost:2380");
    assert_eq!(etcd.initial_cluster_state(), "new");
    assert_eq!(etcd.initial_cluster_token(), "etcd-cluster");
    assert_eq!(etcd.quota_bytes(), None);
    assert_eq!(etcd.client_tls(), TlsFiles::default());
    assert_eq!(etcd.peer_tls(), TlsFiles::default());
    assert_eq!(codes(&etcd), ["data-dir-not-set"]);
}

#[test]
fn a_flag_a_variable_and_the_default_count_in_this_order() {
    let etcd = configured(
        "--name=m1 --data-dir=/d",
        &[
            ("ETCD_WAL_DIR", "/w"),
            ("ETCD_QUOTA_BACKEND_BYTES", "8589934592"),
            ("OTHER", "x"),
        ],
    );
    assert_eq!(codes(&etcd), Vec::<&str>::new());
    assert_eq!(etcd.settings["name"].from, Origin::Flag);
    assert_eq!(
        etcd.settings["wal-dir"].from,
        Origin::Variable {
            name: "ETCD_WAL_DIR".to_owned(),
            file: Some(PathBuf::from("/etc/etcd.env")),
        }
    );
    assert_eq!(etcd.settings.len(), 4);
    assert_eq!(etcd.wal_dir().as_deref(), Some(Path::new("/w")));
    assert_eq!(etcd.quota_bytes(), Some(8_589_934_592));
    // An empty variable is none, and so is one of etcdctl.
    let etcd = configured(
        SOUND,
        &[
            ("ETCD_WAL_DIR", ""),
            ("ETCDCTL_CACERT", "/ca"),
            ("ETCDCTL_API", "3"),
        ],
    );
    assert_eq!((etcd.settings.len(), codes(&etcd).len()), (2, 0));
}

#[test]
fn a_flag_and_its_variable_are_one_too_many_even_if_it_is_empty() {
    for value in ["m1", "m2", ""] {
        let etcd = configured(SOUND, &[("ETCD_NAME", value)]);
        assert_eq!(codes(&etcd), ["setting-twice"], "{value:?}");
        assert_eq!(etcd.findings[0].severity, Severity::Error);
        assert_eq!(
            etcd.findings[0].path.as_deref(),
            Some(Path::new("/etc/etcd.env"))
        );
        assert_eq!(etcd.name(), "m1");
    }
    // etcd drops this one, and takes that one from the flag.
    for variable in ["ETCD_VERSION", "ETCD_SNAPSHOT"] {
        assert_eq!(
            codes(&configured(SOUND, &[(variable, "3.5")])),
            Vec::<&str>::new()
        );
    }
}

#[test]
fn a_variable_that_etcd_does_not_know_is_only_noted() {
    let etcd = configured(
        SOUND,
        &[
            ("ETCD_DATADIR", "/x"),
            ("ETCD_IMAGE_TAG", "v3"),
            ("ETCD_OPTS", "-x"),
        ],
    );
    assert_eq!(codes(&etcd), ["unknown-variable"]);
    assert_eq!(etcd.findings[0].severity, Severity::Note);
    assert!(etcd.findings[0].message.contains("ETCD_DATADIR"));
    assert!(!etcd.findings[0].message.contains("ETCD_OPTS"));
}

#[test]
fn of_a_configuration_file_and_the_rest_only_the_file_counts() {
    let text = "name: m2\ndata-dir: /d\nlisten-client-urls: https://10.0.0.1:2379\nadvertise-client-urls: https://10.0.0.1:2379\nclient-transport-security:\n  cert-file: /c\n  key-file: /k\n";
    for (words, variables) in [
        (
            "--config-file=/etc/etcd.yml --name=m1 --wal-dir=/w",
            vec![("ETCD_DATA_DIR", "/other")],
        ),
        (
            "--config-file etc/etcd.yml --name=m1",
            vec![("ETCD_CONFIG_FILE", "/no")],
        ),
        (
            "--name=m1",
            vec![("ETCD_CONFIG_FILE", "/etc/etcd.yml"), ("ETCD_NAME", "m3")],
        ),
    ] {
        let etcd = with_file(words, &variables, text);
        assert_eq!(
            etcd.config_file.as_deref(),
            Some(Path::new("/etc/etcd.yml"))
        );
        assert!(etcd.config_file_read);
        assert_eq!(codes(&etcd), ["setting-ignored"], "{words}");
        assert!(
            etcd.findings[0].message.contains("--name"),
            "{:?}",
            etcd.findings
        );
        assert_eq!((etcd.name(), etcd.wal_dir()), ("m2", None));
        assert_eq!(etcd.settings["cert-file"].from, Origin::ConfigFile);
        assert_eq!(
            etcd.client_tls().certificate.as_deref(),
            Some(Path::new("/c"))
        );
    }
    // The words are still read, and etcd ends with an unknown one.
    let etcd = with_file("--config-file=/etc/etcd.yml --nmae=m1", &[], text);
    assert_eq!(codes(&etcd), ["unknown-flag"]);
}

#[test]
fn a_configuration_file_that_cannot_be_read_leaves_nothing_to_say_about_defaults() {
    let etcd = configured("--config-file=/etc/none.yml", &[]);
    assert_eq!(codes(&etcd), ["config-file-absent"]);
    assert!(!etcd.config_file_read);
    let etcd = configure(&invocation("--config-file=/etc/none.yml", &[]), &|_| {
        Err(Error::new(ErrorKind::AccessDenied, "cannot read it"))
    });
    assert_eq!(codes(&etcd), ["config-file-unreadable"]);
    let etcd = with_file("--config-file=/etc/etcd.yml", &[], "name: [");
    assert_eq!(codes(&etcd), ["config-file-invalid"]);
    assert!(!etcd.config_file_read);
}

#[test]
fn gateways_and_proxies_are_no_members() {
    for (words, runs) in [
        ("gateway start --endpoints=10.0.0.1:2379", Runs::Gateway),
        (
            "grpc-proxy start --endpoints=10.0.0.1:2379",
            Runs::GrpcProxy,
        ),
        ("--proxy=on --data-dir=/d", Runs::Proxy),
        ("--proxy=readonly", Runs::Proxy),
    ] {
        let etcd = configured(words, &[]);
        assert_eq!(etcd.runs, runs, "{words}");
        assert_eq!(codes(&etcd), ["no-member"], "{words}");
    }
    assert_eq!(configured("--proxy=off", &[]).runs, Runs::Member);
    // Only as the first word.
    let etcd = configured("--name=m1 gateway", &[]);
    assert_eq!(etcd.runs, Runs::Member);
}

#[test]
fn paths_begin_where_etcd_is_started() {
    let mut invocation = invocation("--name=m1 --cert-file=tls/c.pem", &[]);
    let unread = |path: &Path| Err(Error::io("read", path, std::io::ErrorKind::NotFound.into()));
    invocation.working_directory = Some(PathBuf::from("/var/lib"));
    let etcd = configure(&invocation, &unread);
    assert_eq!(etcd.data_dir(), Path::new("/var/lib/m1.etcd"));
    assert_eq!(
        etcd.client_tls().certificate.as_deref(),
        Some(Path::new("/var/lib/tls/c.pem"))
    );
    invocation.working_directory = None;
    let etcd = configure(&invocation, &unread);
    assert_eq!(etcd.data_dir(), Path::new("m1.etcd"));
    assert!(
        etcd.findings[0].message.contains("started in"),
        "{:?}",
        etcd.findings
    );
}

#[test]
fn the_default_cluster_depends_on_the_name() {
    for (words, expected) in [
        ("--name=m1", "m1=http://localhost:2380"),
        (
            "--name=m1 --initial-advertise-peer-urls=http://b:2380,http://a:2380",
            "m1=http://a:2380,m1=http://b:2380",
        ),
        // Without a name etcd does not look at what it advertises.
        (
            "--initial-advertise-peer-urls=http://a:2380",
            "default=http://localhost:2380",
        ),
        // What reads like the default is taken for it.
        (
            "--name=m1 --initial-cluster=default=http://localhost:2380",
            "m1=http://localhost:2380",
        ),
        ("--name=m1 --discovery=https://d/1", ""),
        (
            "--name=m1 --discovery-srv=example.org --initial-cluster=m1=http://a:2380",
            "m1=http://a:2380",
        ),
        (
            "--name=m1 --initial-cluster=m2=http://b:2380,m1=http://a:2380,",
            "m2=http://b:2380,m1=http://a:2380",
        ),
    ] {
        assert_eq!(cluster(&configured(words, &[])), expected, "{words}");
    }
}

#[test]
fn a_listening_member_advertises_nothing_by_itself() {
    let etcd = configured(
        &format!("{SOUND} --listen-client-urls=http://10.0.0.1:2379"),
        &[],
    );
    assert_eq!(codes(&etcd), ["advertise-client-urls-missing"]);
    assert_eq!(etcd.findings[0].severity, Severity::Error);
    assert_eq!(etcd.advertise_client_urls(), Vec::<String>::new());
    // With a file, the default stays, which helps nobody.
    let text = "name: m1\ndata-dir: /d\nlisten-client-urls: http://10.0.0.1:2379\n";
    let etcd = with_file("--config-file=/etc/etcd.yml", &[], text);
    assert_eq!(codes(&etcd), ["advertise-client-urls-missing"]);
    assert_eq!(etcd.findings[0].severity, Severity::Warning);
    assert_eq!(etcd.advertise_client_urls(), ["http://localhost:2379"]);
}

#[test]
fn certificates_are_asked_for_by_the_flag_or_by_an_authority() {
    for (words, asks) in [
        ("--cert-file=/c --key-file=/k", false),
        ("--trusted-ca-file=/ca", true),
        ("--client-cert-auth", true),
        ("--client-cert-auth=false", false),
        ("--client-cert-auth=T", true),
        ("--peer-trusted-ca-file=/ca", false),
    ] {
        assert_eq!(
            configured(words, &[]).client_tls().client_cert_auth,
            asks,
            "{words}"
        );
    }
    let etcd = configured(
        "--auto-tls --peer-auto-tls --peer-cert-file=/c --peer-key-file=/k",
        &[],
    );
    assert!(etcd.client_tls().auto);
    assert!(
        !etcd.peer_tls().auto,
        "certificates that are given are used instead"
    );
    assert_eq!(
        configured("--quota-backend-bytes=-1", &[]).quota_bytes(),
        None
    );
    assert_eq!(
        configured("--quota-backend-bytes=0", &[]).quota_bytes(),
        None
    );
}

#[test]
fn what_is_odd_is_found() {
    use Severity::{Error, Note, Warning};
    for (words, code, severity) in [
        ("--initial-cluster-state=newest", "setting-invalid", Error),
        ("--heartbeat-interval=500", "setting-invalid", Error),
        ("--heartbeat-interval=0", "setting-invalid", Error),
        ("--election-timeout=60000", "setting-invalid", Error),
        ("--snapshot-count=5k", "setting-invalid", Error),
        ("--pre-vote=yes", "setting-invalid", Error),
        (
            "--listen-metrics-urls=http://10.0.0.1",
            "setting-invalid",
            Error,
        ),
        (
            "--listen-metrics-urls=http://m1.example.org:2381",
            "setting-invalid",
            Error,
        ),
        (
            "--initial-cluster=m1=localhost:2380",
            "setting-invalid",
            Error,
        ),
        (
            "--discovery=https://d/1 --initial-cluster=m1=http://a:1",
            "setting-invalid",
            Error,
        ),
        (
            "--advertise-client-urls=http://:2379",
            "setting-invalid",
            Error,
        ),
        ("--force-new-cluster", "force-new-cluster", Error),
        ("--unsafe-no-fsync", "unsafe-no-fsync", Warning),
        (
            "--advertise-client-urls=http://0.0.0.0:2379",
            "unspecified-address-advertised",
            Warning,
        ),
        (
            "--advertise-client-urls=http://[::]:2379",
            "unspecified-address-advertised",
            Warning,
        ),
        (
            "--listen-peer-urls=http://0.0.0.0:2380",
            "advertised-by-default-route",
            Warning,
        ),
        (
            "--initial-cluster=m2=http://10.0.0.2:2380",
            "name-not-in-initial-cluster",
            Warning,
        ),
        (
            "--initial-advertise-peer-urls=http://a:2380 --initial-cluster=m1=http://b:2380",
            "initial-cluster-differs",
            Warning,
        ),
        (
            "--listen-peer-urls=https://10.0.0.1:2380",
            "https-without-certificate",
            Error,
        ),
        (
            "--listen-peer-urls=https://10.0.0.1:2380 --peer-cert-file=/c",
            "certificate-without-key",
            Error,
        ),
        (
            "--peer-cert-file=/c --peer-key-file=/k",
            "certificate-unused",
            Note,
        ),
    ] {
        let etcd = configured(&format!("{SOUND} {words}"), &[]);
        let found = etcd.findings.iter().find(|finding| finding.code == code);
        let found = found.unwrap_or_else(|| panic!("{words}: {:?}", etcd.findings));
        assert_eq!(found.severity, severity, "{words}");
        assert!(found.remedy.is_some() || severity == Note, "{words}");
    }
    for words in [
        "--force-new-cluster=false",
        "--heartbeat-interval=200",
        "--listen-metrics-urls=http://localhost:2381,http://[fe80::1%eth0]:2381",
        "--auto-tls --listen-client-urls=https://10.0.0.1:2379 --advertise-client-urls=https://m1:2379",
        "--initial-advertise-peer-urls=http://a:2380 --initial-cluster=m1=http://a:2380,m2=http://b:2380",
    ] {
        assert_eq!(
            codes(&configured(&format!("{SOUND} {words}"), &[])),
            Vec::<&str>::new(),
            "{words}"
        );
    }
}

#[test]
fn a_name_with_a_blank_is_shown_as_what_it_is() {
    let etcd = configured(
        SOUND,
        &[("ETCD_INITIAL_CLUSTER", "m0=http://b:2380, m1=http://a:2380")],
    );
    assert_eq!(codes(&etcd), ["name-not-in-initial-cluster"]);
    assert!(
        etcd.findings[0].message.contains("\" m1\""),
        "{:?}",
        etcd.findings
    );
}

#[test]
fn secrets_are_not_kept() {
    let etcd = configured(
        "--discovery-password=secret --discovery-user=me:secret",
        &[],
    );
    assert!(!format!("{etcd:?}").contains("secret"));
}

#[test]
fn a_version_refuses_what_it_no_longer_knows_or_not_yet() {
    use Severity::{Error, Note, Warning};
    let version = |text: &str| Version {
        text: text.to_owned(),
        from: format!("image etcd:{text}"),
    };
    for (words, text, expected) in [
        (
            "--enable-v2",
            "3.5.16-0",
            vec![("setting-deprecated", Note)],
        ),
        ("--enable-v2", "3.6.4-0", vec![("setting-removed", Error)]),
        ("--debug", "v3.5.26-k3s1", vec![("setting-removed", Error)]),
        (
            "--feature-gates=x=true",
            "3.5.35",
            vec![("setting-too-new", Error)],
        ),
        ("--feature-gates=x=true", "3.6.4", vec![]),
        (
            "--socket-reuse-port",
            "3.4.13",
            vec![("setting-too-new", Warning)],
        ),
        (
            "--experimental-memory-mlock",
            "3.7.3",
            vec![("setting-removed", Error)],
        ),
        (
            "--experimental-memory-mlock --memory-mlock",
            "3.6.4",
            vec![("setting-twice", Error), ("setting-deprecated", Note)],
        ),
        ("--experimental-memory-mlock", "3.5.4", vec![]),
        // Of what is newer than the table nothing is known.
        ("--enable-v2", "3.9.0", vec![]),
        ("--enable-v2", "4.0.0", vec![]),
        ("--enable-v2", "latest", vec![]),
    ] {
        let findings = configured(words, &[]).findings_for(&version(text));
        let found: Vec<_> = findings
            .iter()
            .map(|it| (it.code.as_str(), it.severity))
            .collect();
        assert_eq!(found, expected, "{words} {text}");
    }
    let etcd = configured("", &[("ETCD_ENABLE_V2", "true")]);
    let finding = &etcd.findings_for(&version("3.6.4"))[0];
    assert_eq!(finding.severity, Warning, "{finding:?}");
    assert!(finding.message.contains("ETCD_ENABLE_V2"), "{finding:?}");
    let etcd = with_file("--config-file=/etc/etcd.yml", &[], "enable-v2: true");
    assert_eq!(etcd.findings_for(&version("3.6.4"))[0].severity, Note);
}
