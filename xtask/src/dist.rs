//! `cargo xtask dist`: the binary that needs nothing of the machine it runs on, what goes with it, and the proof of that.

mod binary;
mod jail;
mod names;
mod recipe;
mod startup;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};

use binary::Profile;
use jail::Jail;

/// Build the static binary into target/dist, and prove that it needs nothing else
///
/// Beside it go its SHA-256, completions for shells, and the manual. Then it saves, restores and reads back in a root directory
/// that has nothing but it and a real etcd, and its start is measured. Wants Linux, and the right to make namespaces.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Prove a build without optimisations, which takes less time, and put nothing together
    #[arg(long)]
    debug: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.debug {
        return check();
    }
    let built = binary::build(Profile::Release)?;
    let folder = etcd_snap_testdata::target_folder().join("dist");
    let program = collect(&built, &folder)?;
    prove(&program)?;
    let start = startup::measure(&program)?;
    ensure!(
        start <= startup::MOST,
        "--version takes {start:?} of the processor, more than {:?}",
        startup::MOST
    );
    println!(
        "{}: {} bytes, --version takes {:.1} ms of the processor",
        program.display(),
        program.metadata()?.len(),
        start.as_secs_f64() * 1e3
    );
    Ok(())
}

/// The proof alone, of a build that takes less time.
pub(crate) fn check() -> Result<()> {
    prove(&binary::build(Profile::Dev)?)
}

fn prove(program: &Path) -> Result<()> {
    binary::require_static(program)?;
    names::resolve(program)?;
    recipe::follow(program)
}

/// Puts together what is handed out.
fn collect(built: &Path, folder: &Path) -> Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    let completions = folder.join("completions");
    let manual = folder.join("man");
    for directory in [&completions, &manual] {
        fs::create_dir_all(directory)?;
    }
    let program = folder.join("etcd-snap");
    fs::copy(built, &program)?;
    let digest = Sha256::digest(fs::read(&program)?);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    // As `sha256sum -c` reads it.
    fs::write(
        folder.join("etcd-snap.sha256"),
        format!("{digest}  etcd-snap\n"),
    )?;
    for (shell, name) in [
        ("bash", "etcd-snap.bash"),
        ("zsh", "_etcd-snap"),
        ("fish", "etcd-snap.fish"),
        ("powershell", "etcd-snap.ps1"),
    ] {
        let script = said(Command::new(&program).args(["completion", shell]))?;
        fs::write(completions.join(name), script)?;
    }
    said(Command::new(&program).arg("man").arg(&manual))?;
    Ok(program)
}

/// Standard output of a command that succeeds.
fn said(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "{command:?} ended with {}:\n{text}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(text)
}
