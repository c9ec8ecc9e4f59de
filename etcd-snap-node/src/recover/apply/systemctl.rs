//! The one command that is run: `systemctl`.

use std::io::{Read, Seek, SeekFrom};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use super::run::Run;
use crate::{Error, ErrorKind, Result};

impl Run<'_> {
    /// Runs `systemctl` with these words, as long as a stop of etcd may take.
    pub(super) fn systemctl(&self, words: &[&str]) -> Result<()> {
        /// What is worth repeating of what it said.
        const LONGEST: u64 = 2000;
        let program = self.options.systemctl()?;
        let line = format!("{} {}", program.display(), words.join(" "));
        let failed = |e: std::io::Error| {
            Error::new(ErrorKind::Command, format!("cannot run `{line}`")).with_source(e)
        };
        let mut said = tempfile::tempfile().map_err(failed)?;
        let mut child = Command::new(&program)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said.try_clone().map_err(failed)?)
            .spawn()
            .map_err(failed)?;
        let status = self.ended(&mut child, &line).inspect_err(|_| {
            let _ = child.kill();
            let _ = child.wait();
        })?;
        if status.success() {
            return Ok(());
        }
        let mut text = Vec::new();
        said.seek(SeekFrom::Start(0)).map_err(failed)?;
        said.take(LONGEST).read_to_end(&mut text).map_err(failed)?;
        let text = String::from_utf8_lossy(&text);
        Err(Error::new(
            ErrorKind::Command,
            match text.trim() {
                "" => format!("`{line}` failed: {status}"),
                text => format!("`{line}` failed: {text}"),
            },
        ))
    }

    fn ended(&self, child: &mut Child, line: &str) -> Result<ExitStatus> {
        let until = Instant::now() + self.options.stop_timeout;
        loop {
            let status = child.try_wait().map_err(|e| {
                Error::new(ErrorKind::Command, format!("cannot wait for `{line}`")).with_source(e)
            })?;
            if let Some(status) = status {
                return Ok(status);
            }
            if Instant::now() > until {
                return Err(Error::new(
                    ErrorKind::Late,
                    format!(
                        "`{line}` has not ended in {}",
                        humantime::format_duration(self.options.stop_timeout)
                    ),
                )
                .with_remedy("look with `systemctl status` and `systemctl list-jobs`"));
            }
            self.pause(&format!("`{line}`"))?;
        }
    }
}
