//! Certificates in kubeadm's places, right ones and every mix-up.

use etcd_snap_node::{Etcd, Finding};
use etcd_snap_testdata::certificates::{Authority, Identity, KeyForm, Leaf};

use super::*;

const PKI: &str = "etc/kubernetes/pki/etcd";

/// A copy of a tree, with certificates.
struct Machine {
    folder: tempfile::TempDir,
    authority: Authority,
}

impl Machine {
    fn new() -> Result<Self> {
        Self::with_keys(KeyForm::EcPkcs8)
    }

    fn with_keys(form: KeyForm) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let manifest = "etc/kubernetes/manifests/etcd.yaml";
        let from = nodes().join("kubeadm-1.32/root").join(manifest);
        fs::create_dir_all(folder.path().join("etc/kubernetes/manifests"))?;
        fs::copy(from, folder.path().join(manifest))?;
        fs::create_dir_all(folder.path().join(PKI))?;
        fs::create_dir_all(folder.path().join("var/lib/etcd"))?;
        let authority = Authority::new("etcd-ca")?;
        authority.write(&folder.path().join(PKI), "ca")?;
        let machine = Self { folder, authority };
        for name in ["server", "peer"] {
            machine.put(name, &machine.own(form)?)?;
        }
        let client = Leaf::client("kube-etcd-healthcheck-client").with_key(form);
        machine.put("healthcheck-client", &machine.authority.issue(&client)?)?;
        let client = Leaf::client("kube-apiserver-etcd-client");
        machine.put(
            "../apiserver-etcd-client",
            &machine.authority.issue(&client)?,
        )?;
        Ok(machine)
    }

    fn own(&self, form: KeyForm) -> Result<Identity> {
        let names = ["node-control-plane", "localhost", "127.0.0.1", "172.20.0.2"];
        self.authority
            .issue(&Leaf::server().with_names(names).with_key(form))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(PKI).join(name)
    }

    fn put(&self, name: &str, identity: &Identity) -> Result<()> {
        fs::write(self.path(&format!("{name}.crt")), &identity.certificate_pem)?;
        Ok(fs::write(
            self.path(&format!("{name}.key")),
            &identity.key_pem,
        )?)
    }

    fn etcd(&self) -> Result<Etcd> {
        Ok(found_in(self.folder.path())?.etcd(None)?.clone())
    }
}

fn codes(findings: &[Finding]) -> Vec<&str> {
    findings
        .iter()
        .map(|finding| finding.code.as_str())
        .collect()
}

fn client(etcd: &Etcd) -> Option<&str> {
    let identity = etcd.client_identity.as_ref()?;
    identity.certificate.as_ref()?.file_name()?.to_str()
}

#[test]
fn the_pair_that_is_made_for_clients_fits() -> Result<()> {
    for form in [KeyForm::EcPkcs8, KeyForm::RsaPkcs1] {
        let machine = Machine::with_keys(form)?;
        let etcd = machine.etcd()?;
        ensure!(etcd.findings.is_empty(), "{:?}", etcd.findings);
        ensure!(
            client(&etcd) == Some("healthcheck-client.crt"),
            "{:?}",
            etcd.client_identity
        );
        let identity = etcd.client_identity.as_ref().context("an identity")?;
        ensure!(identity.authority == Path::new("/etc/kubernetes/pki/etcd/ca.crt"));
        ensure!(etcd.certificates.len() == 5, "{:#?}", etcd.certificates);
        for file in &etcd.certificates {
            let usability = file.usability.as_ref().context("it is readable")?;
            ensure!(
                usability.key_fits != Some(false) && usability.is_trusted != Some(false),
                "{file:?}"
            );
        }
        // It is one that connects.
        etcd.cluster(&Root::new(machine.folder.path()))?;
    }
    Ok(())
}

/// D7: it even works now and then, so guides teach it.
#[test]
fn every_mix_up_has_its_name() -> Result<()> {
    type Change = fn(&Machine) -> Result<()>;
    let table: [(&str, Change, &str); 13] = [
        (
            "the authority as the server's",
            |it| Ok(fs::copy(it.path("ca.crt"), it.path("server.crt")).map(drop)?),
            "certificate-is-authority",
        ),
        (
            "the server's as the authority",
            |it| Ok(fs::copy(it.path("server.crt"), it.path("ca.crt")).map(drop)?),
            "authority-is-no-authority",
        ),
        (
            "the server's key as its certificate",
            |it| Ok(fs::copy(it.path("server.key"), it.path("server.crt")).map(drop)?),
            "certificate-is-key",
        ),
        (
            "the server's certificate as its key",
            |it| Ok(fs::copy(it.path("server.crt"), it.path("server.key")).map(drop)?),
            "key-is-certificate",
        ),
        (
            "the key as the authority",
            |it| Ok(fs::copy(it.path("server.key"), it.path("ca.crt")).map(drop)?),
            "certificate-is-key",
        ),
        (
            "the peer's key",
            |it| Ok(fs::copy(it.path("peer.key"), it.path("server.key")).map(drop)?),
            "certificate-key-mismatch",
        ),
        (
            "a client's as the server's",
            |it| it.put("server", &it.authority.issue(&Leaf::client("somebody"))?),
            "certificate-not-for-servers",
        ),
        (
            "only for servers",
            |it| {
                it.put(
                    "server",
                    &it.authority.issue(&Leaf::server().for_servers_only())?,
                )
            },
            "certificate-not-for-clients",
        ),
        (
            "a peer of another authority",
            |it| it.put("peer", &Authority::new("another")?.issue(&Leaf::server())?),
            "certificate-not-trusted",
        ),
        (
            "expired",
            |it| it.put("server", &it.authority.issue(&Leaf::server().expired())?),
            "certificate-expired",
        ),
        (
            "not yet valid",
            |it| {
                it.put(
                    "peer",
                    &it.authority.issue(&Leaf::server().not_yet_valid())?,
                )
            },
            "certificate-not-yet-valid",
        ),
        (
            "gone",
            |it| Ok(fs::remove_file(it.path("server.crt"))?),
            "certificate-absent",
        ),
        (
            "no PEM",
            |it| Ok(fs::write(it.path("server.key"), "no key")?),
            "key-invalid",
        ),
    ];
    for (what, change, code) in table {
        let machine = Machine::new()?;
        change(&machine)?;
        let etcd = machine.etcd()?;
        let found = codes(&etcd.findings);
        ensure!(
            found.contains(&code),
            "{what}: {code} is not among {:?}",
            etcd.findings
        );
        let finding = etcd
            .findings
            .iter()
            .find(|it| it.code == code)
            .context("found")?;
        ensure!(finding.remedy.is_some(), "{what}: {finding:?}");
    }
    Ok(())
}

#[test]
fn the_next_pair_is_taken_where_one_does_not_fit() -> Result<()> {
    let machine = Machine::new()?;
    let expired = Leaf::client("kube-etcd-healthcheck-client").expired();
    machine.put("healthcheck-client", &machine.authority.issue(&expired)?)?;
    ensure!(client(&machine.etcd()?) == Some("apiserver-etcd-client.crt"));
    let foreign = Authority::new("another")?;
    machine.put(
        "../apiserver-etcd-client",
        &foreign.issue(&Leaf::client("stranger"))?,
    )?;
    ensure!(client(&machine.etcd()?) == Some("peer.crt"));
    fs::copy(
        machine.path("healthcheck-client.key"),
        machine.path("peer.key"),
    )?;
    ensure!(client(&machine.etcd()?) == Some("server.crt"));
    fs::remove_file(machine.path("server.key"))?;
    let etcd = machine.etcd()?;
    ensure!(client(&etcd).is_none() && etcd.client_identity.is_none());
    ensure!(
        codes(&etcd.findings).contains(&"client-certificate-missing"),
        "{:?}",
        etcd.findings
    );
    let error = etcd.cluster(&Root::new(machine.folder.path())).unwrap_err();
    ensure!(
        error.to_string().contains("no certificate was found"),
        "{error}"
    );
    Ok(())
}

#[test]
fn a_certificate_that_is_about_to_expire_is_a_warning() -> Result<()> {
    let machine = Machine::new()?;
    // The test's certificates end with the year 2119.
    let shortly = SystemTime::UNIX_EPOCH + Duration::from_secs(4_733_510_400 - 10 * 24 * 60 * 60);
    let options = DiscoverOptions::default()
        .with_root(Root::new(machine.folder.path()))
        .with_now(shortly);
    let node = discover(&options)?;
    let found = codes(&node.etcd(None)?.findings);
    ensure!(found.contains(&"certificate-expires-soon"), "{found:?}");
    ensure!(!found.contains(&"certificate-expired"), "{found:?}");
    Ok(())
}

/// D7 in full: the server's three files in its three flags, in every order but the right one.
#[test]
fn every_order_of_the_three_files_names_those_that_are_wrong() -> Result<()> {
    const CA: &str = "ca.crt";
    const CERTIFICATE: &str = "server.crt";
    const KEY: &str = "server.key";
    type Named = (&'static str, &'static str);
    let table: [([&str; 3], &[Named]); 5] = [
        (
            [CERTIFICATE, CA, KEY],
            &[
                ("authority-is-no-authority", CERTIFICATE),
                ("certificate-is-authority", CA),
                ("certificate-key-mismatch", KEY),
            ],
        ),
        ([CA, KEY, CERTIFICATE], &[("certificate-is-key", KEY)]),
        (
            [KEY, CERTIFICATE, CA],
            &[("certificate-is-key", KEY), ("key-is-certificate", CA)],
        ),
        (
            [CERTIFICATE, KEY, CA],
            &[
                ("authority-is-no-authority", CERTIFICATE),
                ("certificate-is-key", KEY),
            ],
        ),
        (
            [KEY, CA, CERTIFICATE],
            &[
                ("certificate-is-key", KEY),
                ("certificate-is-authority", CA),
                ("key-is-certificate", CERTIFICATE),
            ],
        ),
    ];
    for form in [KeyForm::EcPkcs8, KeyForm::RsaPkcs1] {
        for (order, expected) in &table {
            let machine = Machine::with_keys(form)?;
            let manifest = machine
                .folder
                .path()
                .join("etc/kubernetes/manifests/etcd.yaml");
            let mut text = fs::read_to_string(&manifest)?;
            let flags = ["trusted-ca-file", "cert-file", "key-file"];
            for ((flag, right), given) in flags.iter().zip([CA, CERTIFICATE, KEY]).zip(order) {
                // With its dash: the flags of peers end alike.
                let line = |name: &str| format!("- --{flag}=/etc/kubernetes/pki/etcd/{name}\n");
                ensure!(text.contains(&line(right)), "no --{flag} in the manifest");
                text = text.replace(&line(right), &line(given));
            }
            fs::write(&manifest, text)?;
            let etcd = machine.etcd()?;
            for (code, name) in *expected {
                let is_named = etcd.findings.iter().any(|finding| {
                    finding.code == *code
                        && finding
                            .path
                            .as_ref()
                            .is_some_and(|path| path.ends_with(name))
                });
                ensure!(
                    is_named,
                    "{order:?}: no {code} of {name} in {:#?}",
                    etcd.findings
                );
            }
            // Of a server that trusts no authority, nobody is a client.
            if order[0] == CERTIFICATE {
                ensure!(
                    etcd.client_identity.is_none(),
                    "{order:?}: {:?}",
                    etcd.client_identity
                );
            }
        }
    }
    Ok(())
}

#[test]
fn whatever_spoils_a_pair_the_next_one_is_taken() -> Result<()> {
    type Change = fn(&Machine, KeyForm) -> Result<()>;
    const HEALTH: &str = "healthcheck-client";
    let table: [(&str, Change); 7] = [
        ("of another authority", |it, form| {
            let stranger = Leaf::client("stranger").with_key(form);
            it.put(HEALTH, &Authority::new("another")?.issue(&stranger)?)
        }),
        ("expired", |it, form| {
            let leaf = Leaf::client("late").with_key(form).expired();
            it.put(HEALTH, &it.authority.issue(&leaf)?)
        }),
        ("not yet valid", |it, form| {
            let leaf = Leaf::client("early").with_key(form).not_yet_valid();
            it.put(HEALTH, &it.authority.issue(&leaf)?)
        }),
        ("only for servers", |it, form| {
            let leaf = Leaf::server().with_key(form).for_servers_only();
            it.put(HEALTH, &it.authority.issue(&leaf)?)
        }),
        ("with the key of another", |it, _| {
            Ok(fs::copy(it.path("peer.key"), it.path("healthcheck-client.key")).map(drop)?)
        }),
        ("absent", |it, _| {
            Ok(fs::remove_file(it.path("healthcheck-client.crt"))?)
        }),
        ("no PEM", |it, _| {
            Ok(fs::write(
                it.path("healthcheck-client.crt"),
                [0, 0x9f, 0x92],
            )?)
        }),
    ];
    for form in [KeyForm::EcPkcs8, KeyForm::RsaPkcs1] {
        for (what, change) in table {
            let machine = Machine::with_keys(form)?;
            change(&machine, form)?;
            let etcd = machine.etcd()?;
            ensure!(
                client(&etcd) == Some("apiserver-etcd-client.crt"),
                "{what}, {form:?}: {:?}",
                etcd.client_identity
            );
        }
    }
    Ok(())
}
