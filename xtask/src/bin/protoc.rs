//! As much of `protoc` as build scripts ask for, on top of protox: `PROTOC` may name this program. The crate etcd-client
//! wants one, and nobody should have to install a C++ compiler's worth of package for it.

use std::path::PathBuf;
use std::{env, fs};

use anyhow::{Context, Result, bail};
use protox::Compiler;

fn main() -> Result<()> {
    let mut includes = Vec::new();
    let mut files = Vec::new();
    let mut output = None;
    let mut arguments = env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        let text = argument.to_string_lossy();
        match &*text {
            "-I" => includes.push(PathBuf::from(
                arguments.next().context("-I names no folder")?,
            )),
            "-o" => output = Some(PathBuf::from(arguments.next().context("-o names no file")?)),
            // Both are what is always done.
            "--include_imports" | "--include_source_info" => {}
            unknown if unknown.starts_with('-') => bail!("unknown option {unknown}"),
            _ => files.push(PathBuf::from(argument)),
        }
    }
    let output = output.context("nothing to do: -o is missing")?;
    let mut compiler = Compiler::new(includes)?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(files)?;
    fs::write(&output, compiler.encode_file_descriptor_set())
        .with_context(|| format!("cannot write {}", output.display()))
}
