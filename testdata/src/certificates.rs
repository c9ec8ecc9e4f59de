//! Certificates for clusters and clients, good ones and every kind of bad one, as PEM files in a folder.
//!
//! ```
//! use etcd_snap_testdata::certificates::{Authority, KeyForm, Leaf};
//!
//! # fn main() -> anyhow::Result<()> {
//! let folder = tempfile::tempdir()?;
//! let authority = Authority::new("test ca")?;
//! let expired = authority.issue(&Leaf::client("root").expired().with_key(KeyForm::RsaPkcs1))?;
//! let files = expired.write(folder.path(), "doctest-client")?;
//! assert!(files.certificate.exists() && files.key.exists());
//! # Ok(())
//! # }
//! ```

mod key;

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};

pub use key::KeyForm;

/// A certificate authority in memory.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// What a certificate shall say; see [`Leaf::server`] and [`Leaf::client`].
#[derive(Debug, Clone)]
pub struct Leaf {
    common_name: String,
    names: Vec<String>,
    usages: Vec<ExtendedKeyUsagePurpose>,
    validity: Validity,
    key: KeyForm,
}

#[derive(Debug, Clone, Copy)]
enum Validity {
    Now,
    Past,
    Future,
}

impl Validity {
    fn set(self, params: &mut CertificateParams) {
        (params.not_before, params.not_after) = match self {
            Validity::Now => (date_time_ymd(2020, 1, 1), date_time_ymd(2120, 1, 1)),
            Validity::Past => (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1)),
            Validity::Future => (date_time_ymd(2119, 1, 1), date_time_ymd(2120, 1, 1)),
        };
    }
}

/// A certificate and its private key as PEM text.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate_pem: String,
    /// The private key, in the form that was asked for.
    pub key_pem: String,
}

/// Where an [`Identity`] was written.
#[derive(Debug, Clone)]
pub struct IdentityFiles {
    /// The certificate's file.
    pub certificate: PathBuf,
    /// The key's file, mode 0600.
    pub key: PathBuf,
}

impl Authority {
    /// A new authority of that name.
    pub fn new(name: &str) -> Result<Self> {
        Self::make(name, Validity::Now, Vec::<String>::new())
    }

    /// One whose own certificate ended years ago.
    pub fn expired(name: &str) -> Result<Self> {
        Self::make(name, Validity::Past, Vec::<String>::new())
    }

    /// One whose own certificate is for this machine, so that a server can show it.
    pub fn of_this_machine(name: &str) -> Result<Self> {
        Self::make(name, Validity::Now, ["127.0.0.1", "localhost"])
    }

    fn make<S: Into<String>>(
        name: &str,
        validity: Validity,
        names: impl IntoIterator<Item = S>,
    ) -> Result<Self> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let mut params = CertificateParams::new(names)?;
        validity.set(&mut params);
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        Ok(Authority {
            issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)?,
        })
    }

    /// Its own certificate: what the other side has to trust.
    pub fn certificate_pem(&self) -> String {
        self.issuer.pem()
    }

    /// Its own certificate and the key that signs.
    pub fn identity(&self) -> Identity {
        Identity {
            certificate_pem: self.certificate_pem(),
            key_pem: self.issuer.key().serialize_pem(),
        }
    }

    /// Writes its certificate to `<folder>/<name>.crt`.
    pub fn write(&self, folder: &Path, name: &str) -> Result<PathBuf> {
        let path = folder.join(name).with_extension("crt");
        fs::write(&path, self.certificate_pem())
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Signs a certificate with a fresh key.
    pub fn issue(&self, leaf: &Leaf) -> Result<Identity> {
        let key = key::generate(leaf.key)?;
        let mut params = CertificateParams::new(leaf.names.clone())?;
        params
            .distinguished_name
            .push(DnType::CommonName, leaf.common_name.as_str());
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.extended_key_usages = leaf.usages.clone();
        leaf.validity.set(&mut params);
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Identity {
            certificate_pem: certificate.pem(),
            key_pem: key::to_pem(&key, leaf.key)?,
        })
    }
}

impl Leaf {
    /// For a server or peer on this machine: 127.0.0.1, ::1 and localhost. Good as a client certificate as well, because
    /// an etcd server is a client of its peers and of itself.
    pub fn server() -> Self {
        Leaf {
            common_name: "etcd server".to_owned(),
            names: ["127.0.0.1", "::1", "localhost"]
                .map(str::to_owned)
                .to_vec(),
            usages: vec![
                ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsagePurpose::ClientAuth,
            ],
            validity: Validity::Now,
            key: KeyForm::EcPkcs8,
        }
    }

    /// For a client. With auth enabled etcd takes the common name as the user's name.
    pub fn client(common_name: &str) -> Self {
        Leaf {
            common_name: common_name.to_owned(),
            names: Vec::new(),
            usages: vec![ExtendedKeyUsagePurpose::ClientAuth],
            validity: Validity::Now,
            key: KeyForm::EcPkcs8,
        }
    }

    /// The names and addresses that it is for, instead of this machine's.
    pub fn with_names<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.names = names.into_iter().map(Into::into).collect();
        self
    }

    /// Another subject.
    pub fn with_common_name(mut self, common_name: &str) -> Self {
        common_name.clone_into(&mut self.common_name);
        self
    }

    /// Without the usage that clients need.
    pub fn for_servers_only(mut self) -> Self {
        self.usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self
    }

    /// In what form its key is written.
    pub fn with_key(mut self, form: KeyForm) -> Self {
        self.key = form;
        self
    }

    /// Ended years ago.
    pub fn expired(mut self) -> Self {
        self.validity = Validity::Past;
        self
    }

    /// Begins in a hundred years.
    pub fn not_yet_valid(mut self) -> Self {
        self.validity = Validity::Future;
        self
    }
}

impl Identity {
    /// Writes `<folder>/<name>.crt` and `<folder>/<name>.key`.
    pub fn write(&self, folder: &Path, name: &str) -> Result<IdentityFiles> {
        let files = IdentityFiles {
            certificate: folder.join(format!("{name}.crt")),
            key: folder.join(format!("{name}.key")),
        };
        fs::write(&files.certificate, &self.certificate_pem)
            .with_context(|| format!("cannot write {}", files.certificate.display()))?;
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&files.key)
            .and_then(|mut file| file.write_all(self.key_pem.as_bytes()))
            .with_context(|| format!("cannot write {}", files.key.display()))?;
        Ok(files)
    }
}
