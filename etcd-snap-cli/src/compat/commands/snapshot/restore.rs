//! `snapshot restore`: a data directory from a file.

use std::fs;
use std::path::{Path, PathBuf};

use etcd_snap::{
    Bump, Error, ErrorKind, MemberTarget, NewCluster, RestoreOptions, RestoreReport, Snapshot,
};
use serde_json::{Value, json};

use super::cluster;
use super::status::deprecated;
use crate::commands::watched;
use crate::compat::call::Call;
use crate::compat::dialect::Dialect::{self, V3_4, V3_5};
use crate::compat::dialect::Tool;
use crate::compat::ended::{self, Ended, Result};
use crate::compat::flags::{Flag, Kind};
use crate::compat::log::Log;
use crate::compat::tree::Command;
use crate::compat::{failure, go};

const CALLER: &str = "snapshot/v3_snapshot.go";

pub(crate) const RESTORE: Command = Command::new(
    "restore",
    "<filename> [options]",
    "make the data directory of a member from a snapshot",
    run,
)
.flags(&FLAGS);

/// The same, where one flag was not free for a time.
pub(crate) const RESTORE_UTILITY: Command = RESTORE
    .required(&[("data-dir", V3_5, V3_5)])
    .flags(&UTILITY_FLAGS);

const FLAGS: [Flag; 10] = flags("0");
const UTILITY_FLAGS: [Flag; 10] = flags("10737418240");

const fn flags(map_size: &'static str) -> [Flag; 10] {
    [
        Flag::text("data-dir", "where its data goes"),
        Flag::text(
            "wal-dir",
            "where its WAL goes, if not into the data directory",
        ),
        Flag::text("initial-cluster", "all members and their peer URLs")
            .default("default=http://localhost:2380"),
        Flag::text(
            "initial-cluster-token",
            "a word that the new ids are made with",
        )
        .default("etcd-cluster"),
        Flag::text(
            "initial-advertise-peer-urls",
            "the peer URLs that it will have",
        )
        .default("http://localhost:2380"),
        Flag::text("name", "its name").default("default"),
        Flag::switch(
            "skip-hash-check",
            "take a file without digest, or with a wrong one",
        ),
        // Debian's 3.4 is older than the two; scripts for later ones are not turned away.
        Flag::uint("bump-revision", "move the revision so far ahead"),
        Flag::switch("mark-compacted", "mark what is before that as compacted"),
        Flag::new(
            "initial-memory-map-size",
            Kind::Uint,
            map_size,
            "taken, and of no use here",
        )
        .since(V3_5),
    ]
}

fn run(call: &Call) -> Result<()> {
    deprecated(call, "snapshot restore");
    let flags = &call.flags;
    let path = call.only_argument("snapshot restore requires exactly one argument")?;
    let bump = flags.uint("bump-revision");
    let mark = flags.switch("mark-compacted");
    if (bump > 0) != mark {
        return Err(Ended::arguments(
            "--mark-compacted required if --revision-bump > 0",
        ));
    }
    let advertised = cluster::peer_urls(flags.text("initial-advertise-peer-urls"))?;
    let name = flags.text("name");
    let new = cluster::new_cluster(
        flags.text("initial-cluster"),
        flags.text("initial-cluster-token"),
        name,
    )?;
    let log = call.offline_log();
    // 3.4 is silent about it.
    let resolving = call.is_at_least(V3_5).then_some(&log);
    cluster::check_advertised(resolving, &new, name, &advertised)?;
    let places = Places::of(call, path)?;
    log.info(CALLER, "restoring snapshot", &places.fields(call));
    let report = restore(path, &new, &places, call)
        .map_err(|failed| failure::stopped(failed, ended::ERROR, |error| why(call, path, error)))?;
    tell(&log, call, &new, &report, bump);
    log.info(CALLER, "restored snapshot", &places.fields(call));
    Ok(())
}

fn restore(
    path: &Path,
    new: &NewCluster,
    places: &Places,
    call: &Call,
) -> crate::failure::Result<RestoreReport> {
    let bump = match call.flags.uint("bump-revision") {
        0 => Bump::None,
        revisions => Bump::By(revisions),
    };
    let name = call.flags.text("name");
    // The URLs that it will advertise were compared, by their addresses too.
    let mut target = MemberTarget::new(name, &places.data_dir);
    if let Some(wal_dir) = &places.own_wal_dir {
        target = target.with_wal_dir(wal_dir);
    }
    watched(true, |progress| {
        let options = RestoreOptions::default()
            .with_skip_hash_check(call.flags.switch("skip-hash-check"))
            .with_bump(bump)
            .with_mark_compacted(call.flags.switch("mark-compacted"))
            .with_observer(progress);
        etcd_snap::restore(&Snapshot::open(path)?, new, &[target], &options)
    })
}

/// Where everything goes.
struct Places {
    snapshot: PathBuf,
    data_dir: PathBuf,
    own_wal_dir: Option<PathBuf>,
}

impl Places {
    fn of(call: &Call, snapshot: &Path) -> Result<Self> {
        let given = |flag: &str| Some(call.path(flag)).filter(|path| path != Path::new(""));
        let data_dir =
            given("data-dir").unwrap_or_else(|| format!("{}.etcd", call.flags.text("name")).into());
        let own_wal_dir = given("wal-dir");
        let shown = |path: &Path| go::quote(&path.display().to_string());
        if call.dialect == V3_4 {
            if data_dir.exists() {
                return Err(Ended::error(format!(
                    "data-dir {} exists",
                    shown(&data_dir)
                )));
            }
        } else if data_dir.exists()
            && !fs::read_dir(&data_dir).is_ok_and(|mut entries| entries.next().is_none())
        {
            return Err(Ended::error(format!(
                "data-dir {} not empty or could not be read",
                shown(&data_dir)
            )));
        }
        if let Some(wal_dir) = own_wal_dir.as_ref().filter(|wal_dir| wal_dir.exists()) {
            return Err(Ended::error(format!("wal-dir {} exists", shown(wal_dir))));
        }
        Ok(Self {
            snapshot: snapshot.to_owned(),
            data_dir,
            own_wal_dir,
        })
    }

    fn fields(&self, call: &Call) -> Vec<(&'static str, Value)> {
        let text = |path: &Path| Value::from(path.display().to_string());
        let wal_dir = self
            .own_wal_dir
            .clone()
            .unwrap_or_else(|| self.data_dir.join("member/wal"));
        let mut fields = vec![
            ("path", text(&self.snapshot)),
            ("wal-dir", text(&wal_dir)),
            ("data-dir", text(&self.data_dir)),
            ("snap-dir", text(&self.data_dir.join("member/snap"))),
        ];
        if call.is_at_least(Dialect::V3_5) {
            let size = call.flags.uint("initial-memory-map-size");
            fields.push(("initial-memory-map-size", size.into()));
        }
        fields
    }
}

/// What was done, in the original's lines.
fn tell(log: &Log, call: &Call, new: &NewCluster, report: &RestoreReport, bump: u64) {
    if call.dialect == V3_5 && call.tool == Tool::Etcdctl || call.is_at_least(V3_5) {
        let message = "Trimming membership information from the backend...";
        log.info("membership/store.go", message, &[]);
    }
    if bump > 0 {
        let before = report.snapshot_revision.get();
        let after = report.contents.revision.get();
        log.info(
            CALLER,
            "bumping latest revision",
            &[
                ("latest-revision", before.into()),
                ("bump-amount", bump.into()),
                ("new-latest-revision", after.into()),
            ],
        );
        let fields = [("revision", after.into())];
        log.info(CALLER, "marking revision compacted", &fields);
    }
    for member in new.members() {
        let urls: Vec<&str> = member.peer_urls().iter().map(|url| url.as_str()).collect();
        let mut fields = vec![
            ("cluster-id", new.id().to_string().into()),
            ("local-member-id", "0".into()),
            ("added-peer-id", member.id().to_string().into()),
            ("added-peer-peer-urls", json!(urls)),
        ];
        if call.is_at_least(V3_5) {
            fields.push(("added-peer-is-learner", false.into()));
        }
        log.info("membership/cluster.go", "added member", &fields);
    }
}

fn why(call: &Call, path: &Path, error: &Error) -> String {
    const DIGEST_BYTES: u64 = 32;
    let size = fs::metadata(path).map_or(0, |file| file.len());
    let lacks_digest = size % 512 != 32 && !call.flags.switch("skip-hash-check");
    let decimal = |name: &str| {
        let hex = failure::detail(error, name)?;
        let bytes: Option<Vec<String>> = (0..hex.len() / 2)
            .map(|n| {
                let byte = u8::from_str_radix(hex.get(2 * n..2 * n + 2)?, 16).ok()?;
                Some(byte.to_string())
            })
            .collect();
        Some(format!("[{}]", bytes?.join(" ")))
    };
    match error.kind() {
        ErrorKind::NoDigest => "snapshot missing hash but --skip-hash-check=false".to_owned(),
        ErrorKind::DigestMismatch => match (decimal("expected"), decimal("found")) {
            (Some(expected), Some(found)) => format!("expected sha256 {expected}, got {found}"),
            _ => failure::sentence(error),
        },
        ErrorKind::NotFound | ErrorKind::AccessDenied
            if error.path() == Some(path) && failure::system(error).is_some() =>
        {
            let system = failure::system(error);
            system.map_or_else(String::new, |system| go::path_error("open", path, system))
        }
        _ if path.is_dir() => format!("read {}: is a directory", path.display()),
        ErrorKind::NotASnapshot if size < DIGEST_BYTES => {
            format!("seek {}: invalid argument", path.display())
        }
        // The original looks for the digest first.
        ErrorKind::NotASnapshot if lacks_digest => {
            "snapshot missing hash but --skip-hash-check=false".to_owned()
        }
        _ => failure::sentence(error),
    }
}
