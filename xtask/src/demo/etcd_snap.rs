//! The command `etcd-snap`, shown and run in the demo's folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::narrator::Narrator;
use super::wrap;

/// Verify's exit code for damage.
const DAMAGED: i32 = 7;

pub(super) struct EtcdSnap {
    program: PathBuf,
    folder: PathBuf,
}

/// How a run ended, and what it printed.
pub(super) struct Ran {
    command: String,
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// A shell variable, so that a long value is shown once.
pub(super) struct Variable {
    pub(super) name: &'static str,
    pub(super) value: String,
}

impl EtcdSnap {
    pub(super) fn new(program: &Path, folder: &Path) -> Self {
        EtcdSnap {
            program: program.to_owned(),
            folder: folder.to_owned(),
        }
    }

    /// Shows the command, runs it and shows its report.
    pub(super) fn show(&self, narrator: &Narrator, arguments: &[&str]) -> Result<()> {
        narrator.command(&shown(arguments, None))?;
        narrator.output(&self.run(arguments)?.succeeded()?.stdout)
    }

    /// A save from one endpoint over mutual TLS, with the certificates that lie in the folder.
    pub(super) fn save(&self, narrator: &Narrator, endpoint: &str) -> Result<()> {
        let files = [
            ("--cacert", "authority.crt"),
            ("--cert", "client.crt"),
            ("--key", "client.key"),
        ];
        let mut arguments = vec!["save", "backup.db", "--endpoints", endpoint];
        arguments.extend(files.iter().flat_map(|(flag, file)| [*flag, *file]));
        self.show(narrator, &arguments)
    }

    /// What verify says of a file, for comparing, with the exit code that it shall have.
    pub(super) fn contents(&self, file: &str, code: i32) -> Result<Value> {
        let ran = self
            .run(&["verify", "--write-out", "json", file])?
            .ended_with(code)?;
        let report: Value = serde_json::from_str(&ran.stdout)
            .with_context(|| format!("{} printed no JSON: {}", ran.command, ran.stdout))?;
        Ok(report["contents"].clone())
    }

    /// Flips one bit in a copy of the snapshot, and wants verify to refuse it.
    pub(super) fn refuses_damage(&self, narrator: &Narrator) -> Result<()> {
        let mut bytes =
            std::fs::read(self.folder.join("backup.db")).context("cannot read backup.db")?;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(self.folder.join("damaged.db"), bytes)?;
        narrator.say("The same with one bit flipped in a copy:")?;
        let arguments = ["verify", "damaged.db"];
        narrator.command(&shown(&arguments, None))?;
        let ran = self.run(&arguments)?.ended_with(DAMAGED)?;
        narrator.output(ran.stdout.lines().next().unwrap_or_default())?;
        narrator.proven(&format!("the damage is found: exit code {DAMAGED}"))
    }

    /// Restores the members, each given by its name and peer URL, to `<name>.etcd`.
    pub(super) fn restore(&self, narrator: &Narrator, members: &[(String, String)]) -> Result<()> {
        let peers = Variable {
            name: "PEERS",
            value: members
                .iter()
                .map(|(name, url)| format!("{name}={url}"))
                .collect::<Vec<_>>()
                .join(","),
        };
        peers.show(narrator)?;
        for (place, (name, url)) in members.iter().enumerate() {
            let data_dir = format!("{name}.etcd");
            let arguments = [
                "restore",
                "backup.db",
                "--name",
                name,
                "--initial-cluster",
                &peers.value,
                "--initial-cluster-token",
                "drill",
                "--initial-advertise-peer-urls",
                url,
                "--data-dir",
                &data_dir,
            ];
            narrator.command(&shown(&arguments, Some(&peers)))?;
            let ran = self.run(&arguments)?.succeeded()?;
            let first = ran.stdout.lines().next().unwrap_or_default();
            // The facts are the same for all.
            narrator.output(if place == 0 { &ran.stdout } else { first })?;
        }
        Ok(())
    }

    fn run(&self, arguments: &[&str]) -> Result<Ran> {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .current_dir(&self.folder)
            .stdin(Stdio::null());
        // Variables of the caller must not steer what is shown without them.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ETCD") {
                command.env_remove(name);
            }
        }
        let output = command
            .output()
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        Ok(Ran {
            command: shown(arguments, None).join(" "),
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

impl Ran {
    fn succeeded(self) -> Result<Self> {
        self.ended_with(0)
    }

    fn ended_with(self, code: i32) -> Result<Self> {
        let Some(found) = self.code else {
            bail!("`{}` was killed", self.command);
        };
        ensure!(
            found == code,
            "`{}` ended with exit code {found} instead of {code}:\n{}{}",
            self.command,
            self.stdout,
            self.stderr
        );
        Ok(self)
    }
}

impl Variable {
    /// Shows how it gets its value, a part a line.
    fn show(&self, narrator: &Narrator) -> Result<()> {
        for (place, part) in self.value.split(',').enumerate() {
            let name = self.name;
            let line = if place == 0 {
                format!("{name}={part}")
            } else {
                format!("{name}=${name},{part}")
            };
            narrator.command(&[line])?;
        }
        Ok(())
    }
}

/// The words of a command line, as they are typed.
fn shown(arguments: &[&str], variable: Option<&Variable>) -> Vec<String> {
    let word = |argument: &&str| match variable {
        Some(variable) if variable.value == **argument => format!("${}", variable.name),
        _ => wrap::quoted(argument),
    };
    std::iter::once("etcd-snap".to_owned())
        .chain(arguments.iter().map(word))
        .collect()
}
