//! What the machine gives a command: standard input and output in the place of a file, and its own name.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use etcd_snap::Target;

use crate::failure::{Failure, Result};

/// Whether this stands for standard input or output. A file of that name is `./-`.
pub(crate) fn is_dash(path: &Path) -> bool {
    path == Path::new("-")
}

/// Standard output as a target.
pub(crate) fn output() -> Result<Target> {
    if io::stdout().is_terminal() {
        return Err(Failure::Usage(
            "standard output is a terminal, and a snapshot is no text: name a file, or send it into a pipe or a file"
                .into(),
        ));
    }
    let descriptor = copy(&io::stdout(), "write to standard output")?;
    Ok(Target::descriptor("standard output", descriptor))
}

/// Standard input as a file to read once.
pub(crate) fn input() -> Result<File> {
    if io::stdin().is_terminal() {
        return Err(Failure::Usage(
            "standard input is a terminal: name a file, or send a snapshot into it".into(),
        ));
    }
    Ok(copy(&io::stdin(), "read standard input")?.into())
}

/// For what needs a file, to read back and forth.
pub(crate) fn refuse_input(path: &Path, command: &str) -> Result<()> {
    if is_dash(path) {
        return Err(Failure::Usage(format!(
            "{command} reads back and forth, which standard input cannot do: write it to a file first, or verify it with \
             `etcd-snap verify -`"
        )));
    }
    Ok(())
}

/// Whether standard output leads to the same pipe or device, so that a report there would get between the data.
pub(crate) fn is_output(path: &Path) -> bool {
    let output = copy(&io::stdout(), "look at standard output").map(File::from);
    match (path.metadata(), output.map(|output| output.metadata())) {
        (Ok(one), Ok(Ok(other))) => {
            !one.is_file() && (one.dev(), one.ino()) == (other.dev(), other.ino())
        }
        _ => false,
    }
}

/// A descriptor of our own: what is written through it is not buffered, and it can be closed.
fn copy(stream: &impl AsFd, doing: &'static str) -> Result<OwnedFd> {
    stream
        .as_fd()
        .try_clone_to_owned()
        .map_err(|error| Failure::System { doing, error })
}

/// What this machine calls itself; `None` where that is no text.
pub(crate) fn host_name() -> Option<String> {
    let name = rustix::system::uname();
    name.nodename().to_str().ok().map(ToOwned::to_owned)
}
