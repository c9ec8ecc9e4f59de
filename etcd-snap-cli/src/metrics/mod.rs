//! `--metrics-textfile`: what Prometheus is to know of the last saves, in a file that node_exporter's textfile collector reads.
//!
//! A job that has ended cannot be asked, so the file keeps what earlier runs wrote: a failure leaves the numbers of the last
//! success alone, and a success the count of failures.

mod sheet;

use std::fs::{File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use etcd_snap::{AttestVerdict, ProofKind, SaveReport};

use crate::failure::{Failure, Result};
use crate::journal;
use sheet::{Failed, Saved, Sheet};

/// Far above what we write.
const LARGEST_BYTES: u64 = 64 << 10;

/// A file of metrics.
#[derive(Debug)]
pub(crate) struct Textfile(PathBuf);

impl Textfile {
    /// Refuses what the collector would not read.
    pub(crate) fn new(path: &Path) -> Result<Self> {
        if path.extension().is_none_or(|extension| extension != "prom") {
            return Err(Failure::Usage(format!(
                "--metrics-textfile {}: node_exporter reads only files that end in .prom",
                path.display()
            )));
        }
        Ok(Self(path.to_owned()))
    }

    /// What came of a save that began so long ago: its report, or the kind of failure and the code that the command ends
    /// with. The snapshot is what it is: a file that cannot be written is a warning.
    pub(crate) fn record(&self, saved: Result<&SaveReport, (&str, u8)>, took: Duration) {
        let mut sheet = match self.read() {
            Ok(sheet) => sheet,
            Err(why) => {
                let file = self.0.display();
                journal::note(&format!("{file} is written anew: {why}"));
                Sheet::default()
            }
        };
        let now = SystemTime::now();
        let timestamp = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        match saved {
            Ok(report) => sheet.saved = Some(success(report, timestamp, took)),
            Err((kind, exit_code)) => {
                sheet.failures = sheet.failures.saturating_add(1);
                sheet.failed = Some(Failed {
                    timestamp,
                    kind: kind.to_owned(),
                    exit_code,
                });
            }
        }
        if let Err(error) = self.write(&sheet.to_string()) {
            let file = self.0.display();
            journal::warning(&format!(
                "the metrics in {file} are not up to date: {error}"
            ));
        }
    }

    fn read(&self) -> std::result::Result<Sheet, String> {
        let file = match File::open(&self.0) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Sheet::default()),
            Err(e) => return Err(e.to_string()),
        };
        if !file.metadata().is_ok_and(|file| file.is_file()) {
            return Err("it is no file".to_owned());
        }
        let mut text = String::new();
        file.take(LARGEST_BYTES)
            .read_to_string(&mut text)
            .map_err(|e| e.to_string())?;
        text.parse()
    }

    /// As a whole: the collector may read at any time.
    fn write(&self, text: &str) -> io::Result<()> {
        let directory = match self.0.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let mut file = tempfile::Builder::new()
            .prefix(".etcd-snap.")
            .suffix(".part")
            .tempfile_in(directory)?;
        file.write_all(text.as_bytes())?;
        // The collector is another user.
        file.as_file()
            .set_permissions(Permissions::from_mode(0o644))?;
        file.as_file().sync_all()?;
        file.persist(&self.0)?;
        Ok(())
    }
}

fn success(report: &SaveReport, timestamp: Duration, took: Duration) -> Saved {
    let attested = report
        .attest
        .as_ref()
        .is_some_and(|attest| attest.verdict == AttestVerdict::Equal);
    let proof = match report.proof {
        _ if attested => "attested",
        ProofKind::Full => "full",
        _ => "stream",
    };
    Saved {
        timestamp,
        took,
        size_bytes: report.size_bytes,
        revision: report.contents.as_ref().map(|it| it.revision.get()),
        proof: proof.to_owned(),
        endpoint: report.endpoint.clone().unwrap_or_default(),
    }
}
