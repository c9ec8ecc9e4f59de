//! The servers and files that the lines are about, the same for both tools.
//!
//! `{ep}` is the endpoint of the state's server, `{eps}` those of all its members, `{ep2}` that of the second; `{addr}` the first without a
//! scheme; `{port}` its port; `{closed}` an endpoint where nothing listens; `{silent}` one that accepts and says nothing; `{ca}`, `{cert}`,
//! `{key}` the client's files; `{otherca}`, `{othercert}`, `{otherkey}` those of somebody else; `{dir}` the working directory;
//! `{corpus:NAME}` a copy of a damaged file.

use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use etcd_snap::{MemberTarget, NewCluster, RestoreOptions, Snapshot};
use etcd_snap_testdata::certificates::{Authority, Leaf};
use etcd_snap_testdata::cluster::{Cluster, Security};
use etcd_snap_testdata::corpus;
use etcd_snap_testdata::etcd::{Binaries, Version};
use etcd_snap_testdata::golden;
use tempfile::TempDir;

use crate::lines::State;

/// So many of one size in a row.
const SAME_SNAPSHOTS: usize = 3;
const MOST_SNAPSHOTS: usize = 20;
const LOG: &str = "0000000000000000-0000000000000000.wal";

pub(crate) struct World {
    pub(crate) version: Version,
    binaries: Binaries,
    servers: Vec<(State, Cluster)>,
    closed: u16,
    /// Its queue takes connections that nobody answers.
    silent: TcpListener,
    folder: TempDir,
    snapshot: Vec<u8>,
    /// The log of a restored member, without the zeros behind it.
    log: Vec<u8>,
}

impl World {
    pub(crate) fn new(version: Version) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let other = Authority::new("somebody else's authority")?;
        other.write(folder.path(), "other-ca")?;
        other
            .issue(&Leaf::client("root"))?
            .write(folder.path(), "other")?;
        let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let restored = folder.path().join("restored");
        etcd_snap::restore(
            &Snapshot::open(golden::snapshot(version))?,
            &NewCluster::parse("m1=http://localhost:2380", "token")?,
            &[MemberTarget::new("m1", &restored)],
            &RestoreOptions::default(),
        )?;
        let mut log = Vec::new();
        fs::File::open(restored.join("member/wal").join(LOG))?
            .take(64 << 10)
            .read_to_end(&mut log)?;
        Ok(Self {
            version,
            binaries: Binaries::find(version)?,
            servers: Vec::new(),
            closed,
            silent: TcpListener::bind("127.0.0.1:0")?,
            folder,
            snapshot: fs::read(golden::snapshot(version))?,
            log,
        })
    }

    pub(crate) fn tool(&self, name: &str) -> Result<PathBuf> {
        match (name, &self.binaries.etcdutl) {
            ("etcdctl", _) => Ok(self.binaries.etcdctl.clone()),
            (_, Some(etcdutl)) => Ok(etcdutl.clone()),
            _ => bail!("etcd {} has no etcdutl", self.version),
        }
    }

    pub(crate) fn start(&mut self, state: State) -> Result<()> {
        if self.servers.iter().any(|(one, _)| *one == state) {
            return Ok(());
        }
        let builder = Cluster::builder(self.version);
        let mut cluster = match state {
            State::Tls => builder.security(Security::MutualTls),
            State::Auth => builder.security(Security::Plain).auth(true),
            State::Three => builder.security(Security::Plain).members(3),
            _ => builder.security(Security::Plain),
        }
        .start()?;
        for (key, value) in [
            ("k1", "v1"),
            ("k2", "v2"),
            ("k3", "<v&3>"),
            ("nothing", ""),
            ("k1", "v1b"),
            ("key with \"quotes\"", "ü\n"),
            ("gone", "x"),
        ] {
            cluster.etcdctl(["put", "--", key, value])?;
        }
        cluster.etcdctl(["del", "gone"])?;
        if state == State::Auth {
            cluster.etcdctl(["user", "add", "reader:pw"])?;
            cluster.etcdctl(["role", "add", "readers"])?;
            cluster.etcdctl(["role", "grant-permission", "readers", "read", "k", "l"])?;
            cluster.etcdctl(["user", "grant-role", "reader", "readers"])?;
        }
        if matches!(self.version, Version::V3_6 | Version::V3_7) {
            cluster.wait_for_storage_version()?;
        }
        if state == State::Three {
            cluster.agreed_hash_kv()?;
            cluster.stop(2)?;
            cluster.wait_until_healthy()?;
        }
        self.servers.push((state, cluster));
        Ok(())
    }

    /// Has everything written that waits for it, which is done for a snapshot. That may take pages anew, so that the next one is larger:
    /// it is settled when some have had the same size.
    pub(crate) fn settle(&self, state: State) -> Result<()> {
        let server = self.servers.iter().find(|(one, _)| *one == state);
        let Some((_, cluster)) = server else {
            return Ok(());
        };
        let file = self.folder.path().join("settled.db");
        for (place, member) in cluster.members().iter().enumerate() {
            if !member.is_running() {
                continue;
            }
            let (mut last, mut same) = (0, 0);
            for _ in 0..MOST_SNAPSHOTS {
                cluster.save_with_etcdctl(place, &file)?;
                let size = file.metadata()?.len();
                same = if size == last { same + 1 } else { 0 };
                last = size;
                if same == SAME_SNAPSHOTS {
                    break;
                }
            }
            ensure!(
                same == SAME_SNAPSHOTS,
                "the snapshots of {place} do not settle"
            );
        }
        Ok(())
    }

    /// The files that every line finds.
    pub(crate) fn fill(&self, work: &Path) -> Result<()> {
        let digest = self.snapshot.len() - 32;
        let write = |name: &str, bytes: &[u8]| fs::write(work.join(name), bytes);
        write("good.db", &self.snapshot)?;
        write("raw.db", &self.snapshot[..digest])?;
        write("empty.db", b"")?;
        write("junk.db", &[7; 5000])?;
        write("longjunk.db", &[7; 50_000])?;
        write("cut.db", &self.snapshot[..digest / 2])?;
        let mut flipped = self.snapshot.clone();
        if let Some(last) = flipped.last_mut() {
            *last ^= 1;
        }
        write("flipped.db", &flipped)?;
        write("password", b"pw\n")?;
        fs::create_dir(work.join("emptydir"))?;
        fs::create_dir(work.join("fulldir"))?;
        write("fulldir/something", b"here")?;
        // The data directory of a member that does not run.
        for folder in ["snap", "wal"] {
            fs::create_dir_all(work.join("stopped/member").join(folder))?;
        }
        write("stopped/member/snap/db", &self.snapshot[..digest])?;
        write(&format!("stopped/member/wal/{LOG}"), &self.log)?;
        write("text.pem", b"no certificate\n")?;
        std::os::unix::fs::symlink("old.db", work.join("link.db"))?;
        write("old.db", b"old")?;
        Ok(())
    }

    pub(crate) fn replace(&self, text: &str, state: State, work: &Path) -> Result<String> {
        let mut text = text.to_owned();
        let server = self.servers.iter().find(|(one, _)| *one == state);
        if let Some((_, cluster)) = server {
            let endpoint = cluster.endpoint(0);
            let address = cluster.members()[0].client_address();
            let tls = cluster.tls();
            for (name, value) in [
                ("{ep}", endpoint.to_owned()),
                ("{eps}", cluster.endpoints().join(",")),
                (
                    "{ep2}",
                    cluster.endpoints().get(1).cloned().unwrap_or_default(),
                ),
                ("{addr}", address.to_string()),
                ("{port}", address.port().to_string()),
                ("{ca}", tls.authority.display().to_string()),
                ("{cert}", tls.client.certificate.display().to_string()),
                ("{key}", tls.client.key.display().to_string()),
            ] {
                text = text.replace(name, &value);
            }
        }
        let own = self.folder.path();
        let silent = self.silent.local_addr()?.port();
        for (name, value) in [
            ("{closed}", format!("http://127.0.0.1:{}", self.closed)),
            ("{silent}", format!("http://127.0.0.1:{silent}")),
            ("{otherca}", own.join("other-ca.crt").display().to_string()),
            ("{otherkey}", own.join("other.key").display().to_string()),
            ("{othercert}", own.join("other.crt").display().to_string()),
            ("{dir}", work.display().to_string()),
        ] {
            text = text.replace(name, &value);
        }
        if let Some((before, rest)) = text.split_once("{corpus:") {
            let (name, after) = rest.split_once('}').context("a brace is open")?;
            let file = format!("{name}.db");
            fs::copy(corpus::damaged_folder().join(&file), work.join(&file))?;
            text = format!("{before}{file}{after}");
        }
        let left = ["{ep}", "{addr}", "{ca}", "{cert}", "{key}", "{port}"];
        if let Some(name) = left.iter().find(|name| text.contains(**name)) {
            bail!("{name} has no meaning without a server");
        }
        Ok(text)
    }
}
