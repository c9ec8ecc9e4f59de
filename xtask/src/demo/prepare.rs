//! What must be there before the curtain rises: etcd-snap, and a real etcd.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use etcd_snap_testdata::etcd::{Version, provide};
use serde_json::Value;

use super::narrator::Narrator;
use super::wrap;
use crate::{test, workspace};

/// The command: the given file, or built by cargo.
pub(super) fn etcd_snap(narrator: &Narrator, given: Option<&Path>) -> Result<PathBuf> {
    if let Some(file) = given {
        let file = file
            .canonicalize()
            .with_context(|| format!("there is no etcd-snap at {}", file.display()))?;
        narrator.say(&format!("etcd-snap is {}", file.display()))?;
        return Ok(file);
    }
    let arguments = ["build", "--quiet", "-p", "etcd-snap-cli"];
    let typed = ["cargo"].into_iter().chain(arguments).map(wrap::quoted);
    narrator.command(&typed.collect::<Vec<_>>())?;
    let busy = narrator.busy("building (minutes the first time)");
    let output = test::cargo(&arguments)
        .arg("--message-format=json-render-diagnostics")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    drop(busy);
    ensure!(output.status.success(), "cargo cannot build etcd-snap");
    executable(&String::from_utf8_lossy(&output.stdout))
        .context("cargo does not say where etcd-snap is")
}

/// Where cargo put the executable, from its messages.
fn executable(messages: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "etcd-snap")
        .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
}

/// A real etcd: found, unpacked or built.
pub(super) fn etcd(narrator: &Narrator, version: Version) -> Result<()> {
    let mut busy = None;
    let mut told = Ok(());
    let found = provide(version, &mut |line| {
        drop(busy.take());
        if told.is_ok() {
            told = narrator.say(line);
        }
        busy = Some(narrator.busy("working"));
    });
    drop(busy);
    told?;
    let binaries = found.with_context(|| {
        format!("there is no etcd {version} to run (cargo xtask demo --offline needs none)")
    })?;
    let answer = Command::new(&binaries.etcd).arg("--version").output()?;
    let answer = String::from_utf8_lossy(&answer.stdout).into_owned();
    let release = answer
        .lines()
        .find_map(|line| line.strip_prefix("etcd Version: "))
        .with_context(|| format!("{} says no version", binaries.etcd.display()))?;
    ensure!(
        release.starts_with(version.minor()),
        "{} is not etcd {version} but {release}",
        binaries.etcd.display()
    );
    narrator.say(&format!("etcd {release} is {}", short(&binaries.etcd)))
}

/// A path in the source tree without the way there.
fn short(path: &Path) -> String {
    let workspace = workspace().canonicalize().unwrap_or_default();
    let inside = path.strip_prefix(&workspace).unwrap_or(path);
    inside.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_found_among_cargos_messages() {
        let messages = r#"
            {"reason":"compiler-artifact","target":{"name":"etcd_snap"},"executable":null}
            not json
            {"reason":"compiler-artifact","target":{"name":"etcd-snap"},"executable":"/t/debug/etcd-snap"}
            {"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages), Some("/t/debug/etcd-snap".into()));
        assert_eq!(executable("{}"), None);
    }
}
