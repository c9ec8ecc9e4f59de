//! From a description to a plan with ports and folders, from a plan to running servers.

use super::*;
use crate::certificates::Leaf;

/// What a cluster shall be like; see [`Cluster::builder`].
#[derive(Debug, Clone)]
pub struct Builder {
    version: Version,
    members: usize,
    security: Security,
    auth: bool,
    token: String,
    arguments: Vec<String>,
    folder: Option<PathBuf>,
}

impl Builder {
    pub(super) fn new(version: Version) -> Self {
        Builder {
            version,
            members: 1,
            security: Security::default(),
            auth: false,
            token: "etcd-snap-test".to_owned(),
            arguments: Vec::new(),
            folder: None,
        }
    }

    /// How many members, named `m1`, `m2`, ...
    pub fn members(mut self, count: usize) -> Self {
        self.members = count;
        self
    }

    /// How servers and clients talk.
    pub fn security(mut self, security: Security) -> Self {
        self.security = security;
        self
    }

    /// With the user `root` (password [`ROOT_PASSWORD`]) and auth enabled. Not for restored data directories: these bring
    /// their own users.
    pub fn auth(mut self, auth: bool) -> Self {
        self.auth = auth;
        self
    }

    /// The value of `--initial-cluster-token`.
    pub fn token(mut self, token: &str) -> Self {
        token.clone_into(&mut self.token);
        self
    }

    /// One more argument for every server, like `--quota-backend-bytes=16777216`.
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Puts everything into this folder, which exists and stays when the cluster is dropped, instead of into a temporary
    /// one. One cluster a folder.
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Reserves ports and folders and writes the certificates, but starts nothing: the data directories may be filled first.
    pub fn plan(&self) -> Result<Plan> {
        let binaries = Binaries::find(self.version)?;
        let folder = match &self.folder {
            Some(folder) => Folder::Given(folder.clone()),
            None => Folder::Own(
                tempfile::Builder::new()
                    .prefix(&format!("etcd-snap-test-{}-", self.version))
                    .tempdir()?,
            ),
        };
        let authority = Authority::new("etcd-snap test authority")?;
        let tls = TlsFiles {
            authority: authority.write(folder.path(), "authority")?,
            server: authority
                .issue(&Leaf::server())?
                .write(folder.path(), "server")?,
            client: authority
                .issue(&Leaf::client("client"))?
                .write(folder.path(), "client")?,
        };
        let members = (1..=self.members)
            .map(|number| Member::reserve(&format!("m{number}"), self.security, folder.path()))
            .collect::<Result<Vec<_>>>()?;
        let planned = members.iter().map(PlannedMember::of).collect();
        let cluster = Cluster {
            binaries,
            security: self.security,
            authority,
            tls,
            with_auth: false,
            token: self.token.clone(),
            arguments: self.arguments.clone(),
            members,
            folder,
            failed: AtomicBool::new(false),
        };
        Ok(Plan {
            cluster,
            planned,
            auth: self.auth,
        })
    }

    /// Starts the cluster and waits until every member answers.
    pub fn start(&self) -> Result<Cluster> {
        for _ in 0..3 {
            match self.plan()?.start() {
                // Somebody who does not reserve ports was faster.
                Err(error) if error.to_string().contains("address already in use") => {
                    self.forget_data()?;
                }
                result => return result,
            }
        }
        bail!("the free ports of 127.0.0.1 are taken by others as soon as they are found")
    }

    /// Data directories in a given folder know the ports of the attempt that failed.
    fn forget_data(&self) -> Result<()> {
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        for number in 1..=self.members {
            let data = folder.join(format!("m{number}.etcd"));
            if data.exists() {
                std::fs::remove_dir_all(data)?;
            }
        }
        Ok(())
    }
}

/// A cluster with names, ports and folders that is not started yet.
pub struct Plan {
    cluster: Cluster,
    planned: Vec<PlannedMember>,
    auth: bool,
}

/// What a restore has to know of a member.
#[derive(Debug, Clone)]
pub struct PlannedMember {
    /// `--name`
    pub name: String,
    /// `--initial-advertise-peer-urls`
    pub peer_url: String,
    /// `--data-dir`: absent, in a folder that exists.
    pub data_dir: PathBuf,
}

impl PlannedMember {
    fn of(member: &Member) -> Self {
        PlannedMember {
            name: member.name().to_owned(),
            peer_url: member.peer_url().to_owned(),
            data_dir: member.data_dir().to_owned(),
        }
    }
}

impl Plan {
    /// The members.
    pub fn members(&self) -> &[PlannedMember] {
        &self.planned
    }

    /// The value of `--initial-cluster`.
    pub fn initial_cluster(&self) -> String {
        self.cluster.initial_cluster()
    }

    /// The value of `--initial-cluster-token`.
    pub fn token(&self) -> &str {
        &self.cluster.token
    }

    /// The executables, for a restore with etcd's own tool.
    pub fn binaries(&self) -> &Binaries {
        &self.cluster.binaries
    }

    /// Everything of this cluster on disk will be here.
    pub fn folder(&self) -> &Path {
        self.cluster.folder()
    }

    /// Says that the data brings auth with it: the user `root` with [`ROOT_PASSWORD`].
    pub fn with_restored_auth(mut self) -> Self {
        self.cluster.with_auth = true;
        self
    }

    /// Restores every member from a snapshot with etcd's own tool (`etcdutl`, or 3.4's `etcdctl`).
    pub fn restore_with_etcd(&self, snapshot: &Path, more_arguments: &[&str]) -> Result<()> {
        for member in &self.planned {
            let mut command = crate::process::command(self.cluster.binaries.offline_tool());
            command
                .args(["snapshot", "restore"])
                .arg(snapshot)
                .args([
                    "--name",
                    &member.name,
                    "--initial-cluster",
                    &self.initial_cluster(),
                ])
                .args(["--initial-cluster-token", self.token()])
                .args(["--initial-advertise-peer-urls", &member.peer_url])
                .arg("--data-dir")
                .arg(&member.data_dir)
                .args(more_arguments);
            let restored = crate::etcd::stdout(&mut command);
            self.cluster.noted(restored)?;
        }
        Ok(())
    }

    /// The cluster with no member started: for those that will not all get ready.
    pub fn stopped(self) -> Cluster {
        self.cluster
    }

    /// Starts all members on their data directories, whether these are absent or restored, and waits until they answer.
    pub fn start(self) -> Result<Cluster> {
        let mut cluster = self.cluster;
        cluster.start_all()?;
        if self.auth {
            cluster.enable_auth()?;
        }
        Ok(cluster)
    }
}

pub(super) fn initial_cluster<'a>(members: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    members
        .map(|(name, url)| format!("{name}={url}"))
        .collect::<Vec<_>>()
        .join(",")
}
