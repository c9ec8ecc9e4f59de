//! The usual mistakes with certificates and keys are named before anything is connected; what may be right is a note.

use std::path::{Path, PathBuf};

use etcd_snap::{Cluster, ErrorKind, SaveOptions, Tls, TlsBuilder, save};
use etcd_snap_testdata::certificates::{Authority, Identity, KeyForm, Leaf};
use etcd_snap_testdata::fake::Running;

use crate::{Room, failure, said, server};

struct Files {
    folder: tempfile::TempDir,
    ca: Authority,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = Authority::new("ca").unwrap();
        ca.write(folder.path(), "ca").unwrap();
        Self { folder, ca }
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `name.crt` and `name.key`.
    fn write(&self, identity: &Identity, name: &str) {
        identity.write(self.folder.path(), name).unwrap();
    }

    fn issue(&self, leaf: &Leaf, name: &str) -> Identity {
        let identity = self.ca.issue(leaf).unwrap();
        self.write(&identity, name);
        identity
    }
}

fn der(pem: &str) -> Vec<u8> {
    use rustls_pki_types::pem::PemObject as _;
    match pem.contains("PRIVATE KEY") {
        true => {
            let key = rustls_pki_types::PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
            key.secret_der().to_vec()
        }
        false => rustls_pki_types::CertificateDer::from_pem_slice(pem.as_bytes())
            .unwrap()
            .to_vec(),
    }
}

#[test]
fn every_certain_mistake_has_a_sentence_that_names_the_file() {
    let files = Files::new();
    files.write(&files.ca.identity(), "authority");
    let one = files.issue(&Leaf::client("one"), "one");
    files.issue(&Leaf::client("two"), "two");
    files.issue(&Leaf::client("three").with_key(KeyForm::Encrypted), "three");
    files.put("one.crt.der", der(&one.certificate_pem));
    files.put("one.key.der", der(&one.key_pem));
    let behind = files.ca.certificate_pem() + &one.certificate_pem;
    files.put("behind.crt", behind);
    files.put(
        "request.crt",
        "-----BEGIN CERTIFICATE REQUEST-----\nMAAwAA==\n-----END CERTIFICATE REQUEST-----\n",
    );
    files.put(
        "public.key",
        "-----BEGIN PUBLIC KEY-----\nMAAwAA==\n-----END PUBLIC KEY-----\n",
    );
    files.put("empty", "");

    for (certificate, key, culprit, words) in [
        (
            "one.crt",
            "two.key",
            "two.key",
            "is not the one of the certificate in",
        ),
        (
            "one.crt",
            "authority.key",
            "authority.key",
            "is the key of the CA in",
        ),
        ("ca.crt", "one.key", "ca.crt", "is an authority's"),
        (
            "behind.crt",
            "one.key",
            "behind.crt",
            "has the authorities before it",
        ),
        ("one.crt", "three.key", "three.key", "is encrypted"),
        ("one.key", "one.crt", "one.key", "it is a key: were"),
        ("one.crt", "one.crt", "one.crt", "it is a certificate: were"),
        (
            "one.crt.der",
            "one.key",
            "one.crt.der",
            "openssl x509 -inform der",
        ),
        (
            "one.crt",
            "one.key.der",
            "one.key.der",
            "openssl pkey -inform der",
        ),
        (
            "request.crt",
            "one.key",
            "request.crt",
            "an authority has to sign first",
        ),
        ("one.crt", "public.key", "public.key", "the public half"),
        ("empty", "one.key", "empty", "it takes PEM"),
        ("one.crt", "empty", "empty", "it takes PEM"),
    ] {
        let tls = Tls::builder()
            .ca_file(files.path("ca.crt"))
            .identity_files(files.path(certificate), files.path(key));
        refused(tls, &files.path(culprit), words);
    }
    for (ca, words) in [
        ("authority.key", "it is a key"),
        ("one.crt.der", "openssl x509 -inform der"),
        ("empty", "it takes PEM"),
    ] {
        refused(
            Tls::builder().ca_file(files.path(ca)),
            &files.path(ca),
            words,
        );
    }
}

fn refused(tls: TlsBuilder, culprit: &Path, words: &str) {
    let error = tls.build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(error.path(), Some(culprit), "{error}");
    assert!(error.to_string().contains(words), "{words} in {error}");
    assert!(
        error.to_string().contains(culprit.to_str().unwrap()),
        "{error}"
    );
}

fn server_that_asks(files: &Files) -> Running {
    let identity = files.ca.issue(&Leaf::server()).unwrap();
    server()
        .with_tls(&identity, Some(&files.ca))
        .unwrap()
        .start()
        .unwrap()
}

fn server_that_does_not(files: &Files) -> Running {
    let identity = files.ca.issue(&Leaf::server()).unwrap();
    server().with_tls(&identity, None).unwrap().start().unwrap()
}

#[tokio::test]
async fn what_a_server_may_take_is_a_note_and_explains_it_when_it_does_not() {
    let files = Files::new();
    files.issue(&Leaf::client("c").expired(), "expired");
    files.issue(&Leaf::client("c").not_yet_valid(), "early");
    files.issue(&Leaf::server().for_servers_only(), "server");
    files.write(&files.ca.identity(), "authority");
    for (name, words) in [
        ("expired", "expired on 2021-01-01"),
        ("early", "not valid before 2119-01-01"),
        ("server", "lacks the usage clientAuth"),
        ("authority", "is an authority's"),
    ] {
        let tls = Tls::builder()
            .ca_file(files.path("ca.crt"))
            .identity_files(
                files.path(&format!("{name}.crt")),
                files.path(&format!("{name}.key")),
            )
            .build()
            .unwrap();
        let notes: Vec<_> = tls.notes().collect();
        assert!(notes[0].contains(words), "{notes:?}");
        assert!(notes[0].contains(&format!("{name}.crt")), "{notes:?}");

        let room = Room::new();
        let indifferent = server_that_does_not(&files);
        let cluster = Cluster::new([indifferent.endpoint()])
            .unwrap()
            .with_tls(tls.clone());
        save(&cluster, room.target(), &SaveOptions::default())
            .await
            .unwrap();

        let strict = server_that_asks(&files);
        let cluster = Cluster::new([strict.endpoint()]).unwrap().with_tls(tls);
        let error = failure(&cluster, &SaveOptions::default()).await;
        assert_eq!(error.kind(), ErrorKind::Connection);
        assert!(error.to_string().contains(words), "{error}");
    }
    let good = files.issue(&Leaf::client("c"), "good");
    let tls = Tls::builder().identity_pem(good.certificate_pem, good.key_pem);
    let tls = tls.ca_file(files.path("ca.crt")).build().unwrap();
    assert_eq!(tls.notes().count(), 0);
}

#[tokio::test]
async fn an_authority_that_is_none_explains_why_the_server_is_not_believed() {
    let files = Files::new();
    let server_identity = files.issue(&Leaf::server(), "server");
    let running = server_that_does_not(&files);
    let tls = |ca: &str| Tls::builder().ca_file(files.path(ca)).build().unwrap();
    let cluster = Cluster::new([running.endpoint()]).unwrap();
    let error = failure(
        &cluster.clone().with_tls(tls("server.crt")),
        &SaveOptions::default(),
    )
    .await;
    assert!(
        said(&error).contains("server.crt holds no authority"),
        "{error}"
    );

    // The very server whose certificate it is, Go believes.
    let itself = server()
        .with_tls(&server_identity, None)
        .unwrap()
        .start()
        .unwrap();
    let pinned = Cluster::new([itself.endpoint()])
        .unwrap()
        .with_tls(tls("server.crt"));
    let room = Room::new();
    save(&pinned, room.target(), &SaveOptions::default())
        .await
        .unwrap();

    let old = Authority::expired("old").unwrap();
    old.write(files.folder.path(), "old").unwrap();
    let note = tls("old.crt");
    assert!(
        note.notes()
            .next()
            .unwrap()
            .contains("expired on 2021-01-01")
    );
    // In a bundle it is one of several.
    files.put(
        "bundle.crt",
        old.certificate_pem() + &files.ca.certificate_pem(),
    );
    assert_eq!(tls("bundle.crt").notes().count(), 0);
    save(
        &cluster.with_tls(tls("bundle.crt")),
        room.target(),
        &SaveOptions::default(),
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn a_server_that_is_its_own_authority_is_believed_and_no_other_name_of_it() {
    let own = Authority::of_this_machine("own").unwrap();
    let running = server()
        .with_tls(&own.identity(), None)
        .unwrap()
        .start()
        .unwrap();
    let tls = |authority: &Authority| Tls::builder().ca_pem(authority.certificate_pem());
    let port = running.address().port();
    let room = Room::new();
    for host in ["127.0.0.1", "localhost"] {
        let cluster = Cluster::new([format!("https://{host}:{port}")]).unwrap();
        let cluster = cluster.with_tls(tls(&own).build().unwrap());
        save(&cluster, room.target(), &SaveOptions::default())
            .await
            .unwrap();
    }
    let cluster = Cluster::new([running.endpoint()]).unwrap();
    for (builder, words) in [
        (tls(&own).server_name("elsewhere"), "and not for elsewhere"),
        (
            tls(&Authority::of_this_machine("own").unwrap()),
            "cannot be trusted",
        ),
    ] {
        let cluster = cluster.clone().with_tls(builder.build().unwrap());
        let error = failure(&cluster, &SaveOptions::default()).await;
        assert!(error.to_string().contains(words), "{error}");
    }
    // Out of date it is not believed either.
    let old = Authority::expired("old").unwrap();
    let running = server()
        .with_tls(&old.identity(), None)
        .unwrap()
        .start()
        .unwrap();
    let cluster = Cluster::new([running.endpoint()]).unwrap();
    let error = failure(
        &cluster.with_tls(tls(&old).build().unwrap()),
        &SaveOptions::default(),
    )
    .await;
    assert!(
        error.to_string().contains("expired on 2021-01-01"),
        "{error}"
    );
}
