//! `cargo xtask codegen`: the gRPC code, made from our `.proto` files and checked in, so that nobody who builds the
//! crates needs `protoc` or any other generator.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::workspace;

/// The packages, as on the wire; each is one `.proto` file and becomes one Rust file.
const PACKAGES: [&str; 2] = ["etcdserverpb", "mvccpb"];

#[derive(Args)]
pub(crate) struct Arguments {
    /// Change nothing; fail if the code that is checked in is not what the .proto files give.
    #[arg(long)]
    check: bool,
}

/// Who calls and who answers: the library has the clients, the fake server of the tests has the servers.
#[derive(Clone, Copy)]
enum Side {
    Client,
    Server,
}

impl Side {
    fn directory(self) -> PathBuf {
        workspace().join(match self {
            Self::Client => "etcd-snap/src/client/generated",
            Self::Server => "testdata/src/generated",
        })
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    for side in [Side::Client, Side::Server] {
        let files = generate(side)?;
        if arguments.check {
            check(side, &files)?;
        } else {
            write(side, &files)?;
        }
    }
    Ok(())
}

/// The files of one side, formatted, by name.
fn generate(side: Side) -> Result<BTreeMap<String, String>> {
    let protos = workspace().join("etcd-snap/proto");
    let descriptors = protox::compile(
        PACKAGES.map(|package| protos.join(format!("{package}.proto"))),
        [&protos],
    )
    .context("the .proto files do not compile")?;

    let out = tempfile::tempdir()?;
    tonic_prost_build::configure()
        .build_client(matches!(side, Side::Client))
        .build_server(matches!(side, Side::Server))
        // The channel is connected by the library's own connector, and the server by the test's own listener.
        .build_transport(false)
        // They carry a password and a token, so their `Debug` is written by hand.
        .skip_debug([
            ".etcdserverpb.AuthenticateRequest",
            ".etcdserverpb.AuthenticateResponse",
        ])
        .out_dir(out.path())
        .compile_fds(descriptors)
        .context("cannot generate code from the .proto files")?;

    let mut files = BTreeMap::from([("mod.rs".to_owned(), module())]);
    for package in PACKAGES {
        let name = format!("{package}.rs");
        let path = out.path().join(&name);
        format(&path)?;
        files.insert(name, fs::read_to_string(path)?);
    }
    Ok(files)
}

fn module() -> String {
    let mut text = String::from(
        "//! The messages and stubs of etcd's API that we use.\n\
         //!\n\
         //! Made by `cargo xtask codegen` from the files in `etcd-snap/proto`; change those instead.\n\
         // Not every message and method has a use on each side.\n\
         #![allow(dead_code, missing_docs, unreachable_pub, clippy::all)]\n\n",
    );
    for package in PACKAGES {
        text.push_str(&format!("pub mod {package};\n"));
    }
    text
}

/// The generator's layout is not quite rustfmt's, and `cargo fmt --check` looks at these files as well.
fn format(path: &Path) -> Result<()> {
    let done = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(workspace())
        .arg(path)
        .output()
        .context("cannot run rustfmt: `rustup component add rustfmt` brings it")?;
    ensure!(
        done.status.success(),
        "rustfmt refuses the generated {}: {}",
        path.display(),
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(())
}

fn write(side: Side, files: &BTreeMap<String, String>) -> Result<()> {
    let directory = side.directory();
    fs::create_dir_all(&directory)?;
    for name in stale(&directory, files)? {
        fs::remove_file(directory.join(name))?;
    }
    for (name, code) in files {
        let path = directory.join(name);
        if fs::read_to_string(&path).ok().as_ref() != Some(code) {
            fs::write(&path, code).with_context(|| format!("cannot write {}", path.display()))?;
            println!("wrote {}", path.display());
        }
    }
    Ok(())
}

fn check(side: Side, files: &BTreeMap<String, String>) -> Result<()> {
    let directory = side.directory();
    let mut wrong = stale(&directory, files)?;
    wrong.extend(
        files
            .iter()
            .filter(|(name, code)| {
                fs::read_to_string(directory.join(name)).ok().as_ref() != Some(code)
            })
            .map(|(name, _)| name.clone()),
    );
    if !wrong.is_empty() {
        bail!(
            "{} in {} not what the .proto files give: run `cargo xtask codegen` and commit the result",
            wrong.join(", "),
            directory.display()
        );
    }
    Ok(())
}

/// What lies in the directory and is not generated any more.
fn stale(directory: &Path, files: &BTreeMap<String, String>) -> Result<Vec<String>> {
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !files.contains_key(&name) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::{Arguments, run};

    #[test]
    fn the_generated_code_that_is_checked_in_is_up_to_date() {
        run(&Arguments { check: true }).unwrap();
    }
}
