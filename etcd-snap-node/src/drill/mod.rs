//! A restore that is tried out before it is needed.
//!
//! ```text
//! offline.rs       digest, pages, records; where it is from; the caller's conditions (conditions.rs)
//! scratch.rs       the directory that all of it is in, and that goes with it
//! certificates.rs  a throw-away authority
//! executable.rs    the etcd to boot · process.rs, ports.rs, server.rs  restored members as servers on loopback
//! asking.rs        questions that can be stopped · proofs.rs  what members answer, against the file
//! steps.rs         times and outcomes · report.rs, page.rs  what came of it
//! ```

mod asking;
mod certificates;
mod conditions;
mod executable;
mod offline;
mod options;
mod page;
mod ports;
mod process;
mod proofs;
mod report;
mod scratch;
mod server;
mod steps;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use etcd_snap::keys::KeyAnswers;
use etcd_snap::{
    AttestOptions, AttestVerdict, Cluster, ErrorKind as LibraryKind, MemberTarget, NewCluster,
    RestoreOptions, SaveOptions, Snapshot, SnapshotMember, attest, restore, save,
};

pub use conditions::{ExpectedCount, parse_key};
pub use options::DrillOptions;
pub use report::{
    AgeFrom, DrillCondition, DrillEtcd, DrillFacts, DrillHash, DrillMember, DrillOutcome,
    DrillReport, DrillStep, DrillVerdict,
};

use crate::observe::{OfLibrary, tell};
use crate::{Error, ErrorKind, Event, Result, disk, time};
use asking::Asking;
use certificates::Certificates;
use executable::Executable;
use offline::Proven;
use proofs::Proofs;
use scratch::Scratch;
use server::{NotServing, Planned, Server, Servers};
use steps::{Check, Steps};

/// Restores a snapshot aside, boots a real etcd on it, and proves that it holds what the file holds.
///
/// The members live on loopback in a scratch directory, as a cluster of their own with a fresh token and certificates that are made
/// for them, and are gone when this returns, also after a failure. The snapshot is only read. Blocks as long as that takes.
///
/// # Errors
/// Only where the drill could not be done: a file that cannot be read, an etcd that is not there, no room, a wish to stop. What does not hold is in the report, a
/// damaged snapshot and an etcd that does not start among it.
pub fn drill(snapshot: &Path, options: &DrillOptions) -> Result<DrillReport> {
    let mut run = Run::begin(snapshot, options)?;
    run.drill(snapshot, None)?;
    Ok(run.finish())
}

/// The same with a snapshot that is taken for it, into the file that is named (with its manifest beside it) or into the scratch directory. Then
/// the living members are asked what they hold, too. A file that was named stays, with its manifest, whatever the drill finds.
///
/// # Errors
/// As [`drill`], and those of [`etcd_snap::save()`].
pub fn drill_cluster(
    cluster: &Cluster,
    file: Option<&Path>,
    options: &DrillOptions,
) -> Result<DrillReport> {
    let options = options.clone().with_living_cluster(cluster.clone());
    let scratch = match file {
        Some(_) => None,
        None => Some(Scratch::make(&options.scratch)?),
    };
    let kept = scratch
        .as_ref()
        .map(|(scratch, _)| scratch.path().join("snapshot.db"));
    let path = file.or(kept.as_deref()).unwrap_or(Path::new(""));
    let mut run = Run::begin(path, &options)?;
    run.save(cluster, path)?;
    run.drill(path, scratch)?;
    Ok(run.finish())
}

/// A drill under way.
struct Run<'a> {
    options: &'a DrillOptions,
    asking: Asking,
    steps: Steps,
    report: DrillReport,
    began: Instant,
    total_ms: Option<u64>,
}

/// A scratch directory, and what was said of its making.
type Scratched = (Scratch, Vec<String>);

impl<'a> Run<'a> {
    fn begin(snapshot: &Path, options: &'a DrillOptions) -> Result<Self> {
        if options
            .members
            .is_some_and(|members| !(1..=DrillOptions::MOST_MEMBERS).contains(&members))
        {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!(
                    "a drill boots 1 to {} members on one machine",
                    DrillOptions::MOST_MEMBERS
                ),
            ));
        }
        if let Some(etcd) = &options.etcd {
            executable::require(etcd)?;
        }
        let mut report = DrillReport::begin(snapshot, time::now());
        report.host.clone_from(&options.host);
        let offline_steps = 3 + usize::from(options.living.is_some()) * 2;
        let booted_steps = if options.etcd.is_some() { 10 } else { 0 };
        Ok(Self {
            options,
            asking: Asking::new(options.observer.clone())?,
            steps: Steps::new(options.observer.clone(), offline_steps + booted_steps),
            report,
            began: Instant::now(),
            total_ms: None,
        })
    }

    fn library_observer(&self) -> Arc<OfLibrary> {
        Arc::new(OfLibrary(self.options.observer.clone()))
    }

    /// Takes a snapshot, before the clock of the recovery begins.
    fn save(&mut self, cluster: &Cluster, path: &Path) -> Result<()> {
        let options = SaveOptions::default()
            .with_manifest(true)
            .with_observer(self.library_observer());
        let asking = &self.asking;
        self.steps.check("save", "take a snapshot", || {
            let saved = asking.ask("for the snapshot", save(cluster, path, &options))??;
            let from = saved.endpoint.map(|endpoint| format!(" from {endpoint}"));
            Ok(Check::Holds(format!(
                "{} bytes{}",
                saved.size_bytes,
                from.unwrap_or_default()
            )))
        })?;
        self.began = Instant::now();
        Ok(())
    }

    /// All of it, as far as it goes. What does not hold is among the steps.
    fn drill(&mut self, path: &Path, scratch: Option<Scratched>) -> Result<()> {
        let snapshot = match Snapshot::open(path) {
            Ok(snapshot) => snapshot,
            Err(error) if speaks_of_content(&error) => {
                offline::age(path, &mut self.report.snapshot);
                self.steps
                    .check("verify", VERIFY, || Ok(Check::Fails(error.to_string())))?;
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let (options, report) = (self.options, &mut self.report);
        let (_, proven) = self.steps.run("verify", VERIFY, || {
            offline::prove(&snapshot, options, &mut report.snapshot, &mut report.notes)
        })?;
        let Some(proven) = proven else {
            offline::age(path, &mut report.snapshot);
            return Ok(());
        };
        self.steps.check("origin", "see where it is from", || {
            offline::origin(&snapshot, &proven, options, &mut report.snapshot)
        })?;
        offline::age(path, &mut report.snapshot);
        let (_, (answers, conditions)) =
            self.steps
                .run("conditions", "read keys, check conditions", || {
                    offline::look(&snapshot, options, &report.snapshot)
                })?;
        report.conditions = conditions;

        if let Some(etcd) = &options.etcd {
            self.boot(etcd, &snapshot, &proven, &answers, scratch)?;
        }
        self.total_ms = Some(time::since(self.began));
        self.compare_with_living(&snapshot, &proven)
    }

    /// Restores, starts, proves, starts again.
    fn boot(
        &mut self,
        etcd: &Path,
        snapshot: &Snapshot,
        proven: &Proven,
        answers: &KeyAnswers,
        scratch: Option<Scratched>,
    ) -> Result<()> {
        let options = self.options;
        let (fits, executable) = self.steps.run("etcd", "ask etcd for its version", || {
            let executable = Executable::ask(etcd, options.timeout, &options.observer)?;
            let contents = &proven.contents;
            let versions = [
                contents.cluster_version.as_deref(),
                contents.storage_version.as_deref(),
            ];
            let check = match (executable.too_old_for(&versions), &executable.version) {
                (Some(why), _) => Check::Fails(why),
                (None, Some(version)) => Check::Holds(format!("{version}, {}", etcd.display())),
                (None, None) => {
                    Check::Holds(format!("{} does not say its version", etcd.display()))
                }
            };
            Ok((check, executable))
        })?;
        self.report.etcd = Some(DrillEtcd {
            path: etcd.to_owned(),
            version: executable.version.clone(),
        });
        if !fits {
            return Ok(());
        }
        let names = member_names(&proven.members, options.members);
        scratch::require_room(&options.scratch, names.len(), snapshot.database_bytes())?;
        let (scratch, removed) = match scratch {
            Some(scratch) => scratch,
            None => Scratch::make(&options.scratch)?,
        };
        for note in removed {
            tell(options.observer.as_ref(), &Event::Note(note))?;
        }
        let certificates = Certificates::make(scratch.path())?;

        // Declared behind the directory that they live in, and so gone before it.
        let Some((mut servers, cluster)) =
            self.serve(&names, &executable, &certificates, snapshot, &scratch)?
        else {
            return scratch.remove();
        };
        self.report.serving_ms = Some(time::since(self.began));
        let observer = options.observer.clone();
        let mut proofs = Proofs::new(
            &self.asking,
            snapshot,
            proven,
            answers,
            cluster.id(),
            observer,
        );
        let members = &mut self.report.members;
        let (steps, asking) = (&mut self.steps, &self.asking);
        let endpoint = members
            .first()
            .map(|member| member.client_url.clone())
            .unwrap_or_default();
        steps.check("hash-kv", "compare HashKV of every member", || {
            proofs.hash_kv(&servers, members)
        })?;
        steps.check("members", "compare the list of members", || {
            proofs.members(&servers, members)
        })?;
        steps.check("alarms", "compare alarms", || {
            proofs.alarms(&servers, &endpoint)
        })?;
        steps.check("keys", "compare revision and number of keys", || {
            proofs.counts(&servers, members)
        })?;
        steps.check("sample", "compare keys byte for byte", || {
            proofs.sample(&servers, members)
        })?;
        let (_, probe) = steps.run("probe", "write a key and read it", || {
            proofs.probe(&servers, members)
        })?;
        steps.check("restart", "restart all members, compare again", || {
            servers.stop();
            match servers.start_again(asking)? {
                Ok(()) => proofs.restarted(&servers, members, probe.as_ref()),
                Err(NotServing::PortTaken(why) | NotServing::Failed(why)) => Ok(Check::Fails(
                    format!("the members do not come back after a restart: {why}"),
                )),
            }
        })?;
        drop(servers);
        scratch.remove()
    }

    /// Restores the members and starts them, on other ports where somebody was faster. `None` where they do not serve.
    fn serve<'s>(
        &mut self,
        names: &[String],
        executable: &'s Executable,
        certificates: &'s Certificates,
        snapshot: &Snapshot,
        scratch: &Scratch,
    ) -> Result<Option<(Servers<'s>, NewCluster)>> {
        const ATTEMPTS: usize = 5;
        let options = self.options;
        let steps_before = self.steps.done.len();
        for attempt in 1..=ATTEMPTS {
            self.steps.done.truncate(steps_before);
            let planned = names
                .iter()
                .map(|name| Planned::reserve(name))
                .collect::<Result<Vec<_>>>()?;
            let pieces: Vec<_> = planned
                .iter()
                .map(|member| format!("{}={}", member.name, member.peer_url()))
                .collect();
            let cluster = NewCluster::parse(&pieces.join(","), &NewCluster::fresh_token())?;
            let title = match names.len() {
                1 => "restore 1 member".to_owned(),
                many => format!("restore {many} members"),
            };
            let library_observer = self.library_observer();
            let (restored, members) = self.steps.run("restore", &title, || {
                disk::remove_tree(&scratch.members())?;
                disk::make_directory(&scratch.members(), 0o700)?;
                let targets: Vec<_> = names
                    .iter()
                    .map(|name| MemberTarget::new(name, scratch.members().join(name)))
                    .collect();
                let how = RestoreOptions::default()
                    .with_skip_hash_check(options.skip_hash_check && snapshot.digest().is_none())
                    .with_observer(library_observer);
                match restore(snapshot, &cluster, &targets, &how) {
                    Ok(made) => Ok((
                        Check::Holds(format!("{} bytes each", made.database_bytes)),
                        made.members,
                    )),
                    Err(error) if speaks_of_content(&error) => {
                        Ok((Check::Fails(error.to_string()), Vec::new()))
                    }
                    Err(error) => Err(error.into()),
                }
            })?;
            if !restored {
                return Ok(None);
            }
            let members = planned
                .iter()
                .map(|planned| {
                    let id = cluster.member(&planned.name)?.id();
                    let made = members.iter().find(|member| member.name == planned.name);
                    let data_dir = made.map(|member| member.data_dir.clone());
                    let data_dir =
                        data_dir.unwrap_or_else(|| scratch.members().join(&planned.name));
                    Ok(Server::new(planned, id, data_dir, scratch.path()))
                })
                .collect::<Result<Vec<_>>>()?;
            self.report.members = members.iter().map(described).collect();
            let mut servers = Servers {
                executable,
                certificates,
                observer: options.observer.clone(),
                token: cluster.token().to_owned(),
                initial_cluster: cluster.to_string(),
                quota_bytes: quota(snapshot),
                timeout: options.timeout,
                members,
            };
            planned.into_iter().for_each(Planned::give_away);
            let asking = &self.asking;
            let mut taken = false;
            let (serves, ()) =
                self.steps
                    .run("start", "start etcd, wait until it serves", || {
                        let check = match servers.start(asking)? {
                            Ok(()) => Check::Holds(match names.len() {
                                1 => "the member serves".to_owned(),
                                many => format!("{many} members serve"),
                            }),
                            Err(NotServing::Failed(why)) => Check::Fails(why),
                            Err(NotServing::PortTaken(why)) => {
                                taken = attempt < ATTEMPTS;
                                Check::Fails(why)
                            }
                        };
                        Ok((check, ()))
                    })?;
            if serves {
                return Ok(Some((servers, cluster)));
            }
            if !taken {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Asks those who still have what was saved.
    fn compare_with_living(&mut self, snapshot: &Snapshot, proven: &Proven) -> Result<()> {
        let Some(living) = &self.options.living else {
            return Ok(());
        };
        let mut how = AttestOptions::default()
            .with_contents(proven.contents.clone())
            .with_observer(self.library_observer());
        if let Some(id) = self.report.snapshot.cluster_id {
            how = how.with_cluster_id(id);
        }
        let asking = &self.asking;
        let (_, attested) = self.steps.run("attest", "ask the living members", || {
            let attested =
                asking.ask("for the living members", attest(snapshot, living, &how))??;
            let summary = attested.summary();
            let check = match attested.verdict {
                AttestVerdict::Equal => Check::Holds(summary),
                _ => {
                    let odd: Vec<_> = attested.members.iter().map(ToString::to_string).collect();
                    Check::Fails(format!("{summary}: {}", odd.join("; ")))
                }
            };
            Ok((check, attested))
        })?;
        self.report.attest = Some(attested);
        Ok(())
    }

    fn finish(mut self) -> DrillReport {
        let failure = self.steps.first_failure();
        let (verdict, reason) = match (failure, self.report.serving_ms) {
            (Some(step), _) => (DrillVerdict::Failed, Some(step.detail.clone())),
            (None, Some(_)) => (DrillVerdict::Passed, None),
            (None, None) => (
                DrillVerdict::NotBooted,
                Some(
                    "there is no etcd to boot: only what can be proven without one was".to_owned(),
                ),
            ),
        };
        self.report.remedy = failure.map(|step| step.code.as_str()).and_then(remedy);
        if verdict == DrillVerdict::NotBooted {
            self.report.remedy = Some("--etcd names an etcd, or it is in PATH".to_owned());
        }
        self.report.verdict = verdict;
        self.report.reason = reason;
        self.report.total_ms = self.total_ms.unwrap_or_else(|| time::since(self.began));
        self.report.steps = self.steps.done;
        self.report
    }
}

const VERIFY: &str = "verify digest, pages and records";

/// What to do where a step fails, if there is one thing.
fn remedy(code: &str) -> Option<String> {
    let remedy = match code {
        "verify" => {
            "`etcd-snap verify` lists everything that is wrong; another snapshot may be whole"
        }
        "etcd" => "name an etcd of the cluster's minor or a newer one with --etcd",
        "start" => "--timeout waits longer, where it was only slow",
        _ => return None,
    };
    Some(remedy.to_owned())
}

/// Whether it says what the file is, and not that it could not be read.
fn speaks_of_content(error: &etcd_snap::Error) -> bool {
    matches!(
        error.kind(),
        LibraryKind::Damaged
            | LibraryKind::DigestMismatch
            | LibraryKind::NoDigest
            | LibraryKind::NotASnapshot
            | LibraryKind::Unsupported
    )
}

/// Those of the snapshot, where etcd takes them and each is there once; else m1, m2, and so on.
fn member_names(members: &[SnapshotMember], wanted: Option<usize>) -> Vec<String> {
    let voting = members.iter().filter(|member| !member.is_learner);
    let mut names: Vec<_> = voting.map(|member| member.name.clone()).collect();
    names.sort_unstable();
    let number = wanted.unwrap_or(names.len().clamp(1, DrillOptions::MOST_MEMBERS));
    let is_plain = |name: &String| {
        let of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.len() <= 100
            && name.chars().all(of_name)
    };
    let mut each: Vec<_> = names.iter().collect();
    each.dedup();
    if number == names.len() && each.len() == number && names.iter().all(is_plain) {
        return names;
    }
    (1..=number).map(|number| format!("m{number}")).collect()
}

/// Far more than the database: a quota is the business of those who run it.
fn quota(snapshot: &Snapshot) -> u64 {
    const LEAST: u64 = 8 << 30;
    snapshot.database_bytes().saturating_mul(2).max(LEAST)
}

fn described(server: &Server) -> DrillMember {
    DrillMember {
        name: server.name.clone(),
        member_id: server.member_id,
        peer_url: server.peer_url.clone(),
        client_url: server.client_url.clone(),
        hash_kv: None,
    }
}

#[cfg(test)]
mod tests;
