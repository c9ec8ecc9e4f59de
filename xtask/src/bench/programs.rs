//! Who takes part, and how each is called.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use etcd_snap_testdata::cluster::{Cluster, Security};
use etcd_snap_testdata::etcd::{Binaries, Version};

use super::comparison::{Before, Comparison, Contender, Role};
use crate::test::{cargo, succeed};

pub(super) const RESTORE: &str = "restore";
pub(super) const BUMPED: &str = "restore with bump";
pub(super) const THREE: &str = "restore three members";

/// The executables.
pub(super) struct Programs {
    pub(super) etcd_snap: PathBuf,
    /// Of the newest minor.
    etcdctl: PathBuf,
    /// Of every minor that has one, newest first.
    etcdutl: Vec<(Version, PathBuf)>,
    /// Hashes a file and nothing else.
    sha256: Vec<&'static str>,
}

impl Programs {
    /// Builds our own as users get it, and gets etcd's.
    pub(super) fn get() -> Result<Self> {
        succeed(&mut cargo(&["build", "--release", "-p", "etcd-snap-cli"]))?;
        let versions = [Version::V3_7, Version::V3_6, Version::V3_5];
        let binaries = crate::etcd::get(&versions)?;
        let etcdutl = |binaries: &Binaries| (binaries.version, binaries.offline_tool().to_owned());
        Ok(Self {
            etcd_snap: etcd_snap_testdata::target_folder().join("release/etcd-snap"),
            etcdctl: binaries[0].etcdctl.clone(),
            etcdutl: binaries.iter().map(etcdutl).collect(),
            sha256: fastest_sha256(),
        })
    }

    /// A snapshot of the cluster's first member.
    pub(super) fn save(&self, cluster: &Cluster, work: &'static str) -> Comparison {
        let contender = |name: String, role, program, verb: &[&str], file: &str| {
            let file = cluster.folder().join(file);
            let mut command = clean(program);
            command
                .args(verb)
                .arg(&file)
                .args(["--endpoints", cluster.endpoint(0)]);
            if cluster.security() == Security::MutualTls {
                let files = cluster.tls();
                command.arg("--cacert").arg(&files.authority);
                command.arg("--cert").arg(&files.client.certificate);
                command.arg("--key").arg(&files.client.key);
            }
            Contender {
                name,
                role,
                command,
                makes: Some(file),
                before: Before::Nothing,
            }
        };
        let theirs = format!("etcdctl {}", cluster.version());
        Comparison {
            work,
            contenders: vec![
                contender(
                    own_name(),
                    Role::Ours,
                    &self.etcd_snap,
                    &["save"],
                    "ours.db",
                ),
                contender(
                    theirs,
                    Role::Tool,
                    &self.etcdctl,
                    &["snapshot", "save"],
                    "theirs.db",
                ),
            ],
        }
    }

    /// etcd's numbers of a snapshot. The limit is to read it.
    pub(super) fn status(&self, snapshot: &Path) -> Comparison {
        let mut contenders = self.offline(&["status"], snapshot);
        contenders.push(limit("read it: cat", &["cat"], &[snapshot]));
        Comparison {
            work: "status",
            contenders,
        }
    }

    /// A proof that a snapshot is whole, which etcd has no program for. The limit is its digest.
    pub(super) fn verify(&self, snapshot: &Path) -> Comparison {
        let mut contenders = self.offline(&["verify"], snapshot);
        contenders.retain(|contender| contender.role == Role::Ours);
        contenders.push(self.hash(snapshot));
        Comparison {
            work: "verify",
            contenders,
        }
    }

    /// The digest of a file and nothing else.
    pub(super) fn hash(&self, snapshot: &Path) -> Contender {
        let name = format!("hash it: {}", self.sha256.join(" "));
        limit(&name, &self.sha256, &[snapshot])
    }

    /// The hash of the key-value store. etcd's tool writes to the file, so it gets a copy, and 3.6 cannot do it where keys
    /// hang on leases.
    pub(super) fn hashkv(&self, snapshot: &Path, leases: bool, copy: &Path) -> Comparison {
        let mut command = clean(&self.etcd_snap);
        command.arg("hashkv").arg(snapshot);
        let ours = Contender {
            name: own_name(),
            role: Role::Ours,
            command,
            makes: None,
            before: Before::Nothing,
        };
        let able = self.etcdutl.iter().filter(|(version, _)| match version {
            Version::V3_4 | Version::V3_5 => false,
            Version::V3_6 => !leases,
            Version::V3_7 => true,
        });
        let theirs = able.map(|(version, program)| {
            let mut command = clean(program);
            command.arg("hashkv").arg(copy);
            Contender {
                name: format!("etcdutl {version}"),
                role: Role::Tool,
                command,
                makes: Some(copy.to_owned()),
                before: Before::Copy {
                    from: snapshot.to_owned(),
                    to: copy.to_owned(),
                },
            }
        });
        Comparison {
            work: "hashkv",
            contenders: std::iter::once(ours).chain(theirs).collect(),
        }
    }

    /// Whether etcd-snap has a command.
    pub(super) fn can(&self, command: &str) -> Result<bool> {
        let output = clean(&self.etcd_snap).args([command, "--help"]).output()?;
        Ok(output.status.success())
    }

    /// A data directory. The limit is to copy the database and bring it to the disk.
    pub(super) fn restore(&self, snapshot: &Path, folder: &Path) -> Comparison {
        let data_dir = folder.join("restored.etcd");
        let mut contenders = self.offline(&["restore", "--data-dir"], snapshot);
        for contender in &mut contenders {
            contender.command.arg(&data_dir);
            contender.makes = Some(data_dir.clone());
        }
        let copy = folder.join("copy.db");
        // Larger pieces can be slower by far.
        let dd = ["dd", "bs=64K", "conv=fsync", "status=none"];
        let mut limit = limit("copy and sync it: dd", &dd, &[]);
        limit.command.arg(format!("if={}", snapshot.display()));
        limit.command.arg(format!("of={}", copy.display()));
        limit.makes = Some(copy);
        contenders.push(limit);
        Comparison {
            work: RESTORE,
            contenders,
        }
    }

    /// The same with revisions beyond all that clients may have seen.
    pub(super) fn restore_bumped(&self, snapshot: &Path, folder: &Path) -> Comparison {
        let mut comparison = self.restore(snapshot, folder);
        comparison.work = BUMPED;
        comparison
            .contenders
            .retain(|contender| contender.role != Role::Limit);
        for contender in &mut comparison.contenders {
            let bump = ["--bump-revision", "1000000000", "--mark-compacted"];
            contender.command.args(bump);
        }
        comparison
    }

    /// The members of a whole cluster, in one run of ours and in three of etcdutl.
    pub(super) fn restore_three(&self, snapshot: &Path, folder: &Path) -> Comparison {
        const CLUSTER: &str =
            "m1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380,m3=http://10.0.0.3:2380";
        let out = folder.join("cluster");
        let mut contenders = self.offline(&["restore"], snapshot);
        for contender in &mut contenders {
            if contender.role == Role::Ours {
                contender.command.args(["--initial-cluster", CLUSTER]);
                contender.command.arg("--all-members");
                contender.command.arg("--output-dir").arg(&out);
            } else {
                let mut three = Command::new("sh");
                three.arg("-ec").arg(
                    "for n in 1 2 3; do \
                     \"$0\" snapshot restore \"$1\" --data-dir \"$2/m$n\" --name m$n --initial-cluster \"$3\" \
                     --initial-advertise-peer-urls http://10.0.0.$n:2380; done",
                );
                three.arg(contender.command.get_program());
                three.args([snapshot, &out]).arg(CLUSTER);
                contender.command = three;
            }
            contender.makes = Some(out.clone());
        }
        Comparison {
            work: THREE,
            contenders,
        }
    }

    /// The database of a stopped member without its free pages; each gets a copy.
    pub(super) fn defrag(&self, snapshot: &Path, folder: &Path) -> Result<Comparison> {
        let raw = folder.join("raw.db");
        std::fs::copy(snapshot, &raw)?;
        let file = std::fs::File::options().write(true).open(&raw)?;
        // A member's database has no digest.
        file.set_len(raw.metadata()?.len() / 4096 * 4096)?;
        let data_dir = folder.join("defrag.etcd");
        let database = data_dir.join("member/snap/db");
        std::fs::create_dir_all(database.with_file_name(""))?;
        let contender = |name, role, program: &Path| {
            let mut command = clean(program);
            command.args(["defrag", "--data-dir"]).arg(&data_dir);
            Contender {
                name,
                role,
                command,
                makes: Some(database.clone()),
                before: Before::Copy {
                    from: raw.clone(),
                    to: database.clone(),
                },
            }
        };
        let theirs = self
            .etcdutl
            .iter()
            .map(|(version, program)| contender(format!("etcdutl {version}"), Role::Tool, program));
        let ours = contender(own_name(), Role::Ours, &self.etcd_snap);
        Ok(Comparison {
            work: "defrag",
            contenders: std::iter::once(ours).chain(theirs).collect(),
        })
    }

    /// A snapshot file without its free pages, beside a defragmentation.
    pub(super) fn squeeze(&self, snapshot: &Path, folder: &Path) -> Result<Comparison> {
        let squeezed = folder.join("squeezed.db");
        let mut command = clean(&self.etcd_snap);
        command.arg("squeeze").arg(snapshot).arg(&squeezed);
        let ours = Contender {
            name: own_name(),
            role: Role::Ours,
            command,
            makes: Some(squeezed),
            before: Before::Nothing,
        };
        let mut theirs = self.defrag(snapshot, folder)?.contenders;
        theirs.retain(|contender| contender.role != Role::Ours);
        Ok(Comparison {
            work: "squeeze",
            contenders: std::iter::once(ours).chain(theirs).collect(),
        })
    }

    /// etcd-snap and every etcdutl, with the same verb, which ends in an option that wants its value.
    fn offline(&self, verb: &[&str], snapshot: &Path) -> Vec<Contender> {
        let contender = |name, role, program: &Path, before: &[&str]| {
            let mut command = clean(program);
            command
                .args(before)
                .args(&verb[..1])
                .arg(snapshot)
                .args(&verb[1..]);
            Contender {
                name,
                role,
                command,
                makes: None,
                before: Before::Nothing,
            }
        };
        let theirs = self.etcdutl.iter().map(|(version, program)| {
            contender(
                format!("etcdutl {version}"),
                Role::Tool,
                program,
                &["snapshot"],
            )
        });
        let ours = contender(own_name(), Role::Ours, &self.etcd_snap, &[]);
        std::iter::once(ours).chain(theirs).collect()
    }
}

pub(super) fn own_name() -> String {
    "etcd-snap".to_owned()
}

pub(super) fn limit(name: &str, words: &[&str], files: &[&Path]) -> Contender {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).args(files);
    Contender {
        name: name.to_owned(),
        role: Role::Limit,
        command,
        makes: None,
        before: Before::Nothing,
    }
}

/// Nothing in the environment steers the programs.
pub(super) fn clean(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ETCD") {
            command.env_remove(name);
        }
    }
    command
}

/// `sha256sum` does not use the processor's SHA instructions on every distribution; openssl does.
fn fastest_sha256() -> Vec<&'static str> {
    let openssl = Command::new("openssl").arg("version").output();
    if openssl.is_ok_and(|output| output.status.success()) {
        vec!["openssl", "dgst", "-sha256"]
    } else {
        vec!["sha256sum"]
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use etcd_snap_testdata::bulk::{Bulk, Profile};

    use super::*;

    /// `true` stands for our own program, which takes part with its command line alone.
    #[test]
    fn hashkv_leaves_the_file_alone_and_3_6_out_where_keys_hang_on_leases() {
        let folder = tempfile::tempdir().unwrap();
        let [file, copy] = ["db", "copy"].map(|name| folder.path().join(name));
        Bulk::new(Profile::Small, 1_000_000).write(&file).unwrap();
        let before = fs::read(&file).unwrap();
        let etcdutl = |version| {
            let binaries = Binaries::find(version).unwrap();
            (version, binaries.offline_tool().to_owned())
        };
        let programs = Programs {
            etcd_snap: "true".into(),
            etcdctl: "true".into(),
            etcdutl: [Version::V3_7, Version::V3_6, Version::V3_5]
                .map(etcdutl)
                .to_vec(),
            sha256: vec!["sha256sum"],
        };
        let names = |comparison: &Comparison| -> Vec<String> {
            let contenders = comparison.contenders.iter();
            contenders.map(|contender| contender.name.clone()).collect()
        };
        let all = programs.hashkv(&file, false, &copy);
        assert_eq!(names(&all), ["etcd-snap", "etcdutl 3.7", "etcdutl 3.6"]);
        let leased = programs.hashkv(&file, true, &copy);
        assert_eq!(names(&leased), ["etcd-snap", "etcdutl 3.7"]);
        leased.run(2).unwrap();
        assert!(fs::read(&file).unwrap() == before);
        assert!(!copy.exists());
    }
}
