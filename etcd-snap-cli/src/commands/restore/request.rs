//! Who is to be made, and where: what flags, plan and snapshot come to.

use std::path::{Component, Path, PathBuf};

use etcd_snap::{
    Bump, MemberTarget, NewCluster, NewMember, Owner, PeerUrls, RestoreOptions, RestorePlan,
    Snapshot, SnapshotMember, snapshot_members,
};

use super::arguments::{self, Arguments};
use super::plan;
use crate::failure::{Failure, Result};
use crate::journal;
use crate::render::text;

const DEFAULT_CLUSTER: &str = "default=http://localhost:2380";
const DEFAULT_TOKEN: &str = "etcd-cluster";

/// What is to be made.
pub(super) struct Request {
    pub(super) cluster: NewCluster,
    pub(super) targets: Vec<MemberTarget>,
    pub(super) options: RestoreOptions,
    /// Flags that would say the same again, for what nobody said.
    pub(super) again: Vec<String>,
}

impl Request {
    pub(super) fn of(
        arguments: &Arguments,
        snapshot: &Snapshot,
        planned: Option<&RestorePlan>,
    ) -> Result<Self> {
        if arguments.initial_cluster_token.as_deref() == Some("") {
            return Err(usage(
                "--initial-cluster-token is empty: give a word that no cluster had before, or auto",
            ));
        }
        if arguments.output_dir.is_some() && !arguments.several() {
            return Err(usage(
                "--output-dir is for several members: say which with --all-members or --members, or use --data-dir",
            ));
        }
        let mut again = Vec::new();
        let cluster = cluster(arguments, snapshot, planned, &mut again)?;
        let targets = targets(arguments, &cluster, planned)?;
        require_parents(arguments, &targets)?;
        require_decided(arguments, &cluster, &targets)?;
        let mut options = match planned {
            Some(plan) => plan.options()?,
            None => arguments.options(),
        };
        options = options
            .with_replace(arguments.replace)
            .with_dry_run(arguments.dry_run)
            .with_force_damaged(arguments.force_damaged);
        if let Some(quota) = arguments.quota_bytes {
            options = options.with_quota_bytes(quota);
        }
        if let Some(owner) = &arguments.owner {
            options = options.with_owner(Owner::parse(owner)?);
        }
        Ok(Self {
            cluster,
            targets,
            options,
            again,
        })
    }
}

impl Arguments {
    fn options(&self) -> RestoreOptions {
        let bump = match self.bump() {
            None | Some(arguments::Bump::By(0)) => Bump::None,
            Some(arguments::Bump::By(revisions)) => Bump::By(revisions),
            Some(arguments::Bump::Auto) => Bump::Automatic,
        };
        self.contents
            .options()
            .with_bump(bump)
            .with_mark_compacted(self.mark_compacted || self.kubernetes)
    }

    /// The name of the one member.
    fn name(&self) -> &str {
        let name = self.name.as_deref().or(self.from_member.as_deref());
        name.unwrap_or("default")
    }
}

/// The plan's cluster, or that of the flags with its token decided.
fn cluster(
    arguments: &Arguments,
    snapshot: &Snapshot,
    planned: Option<&RestorePlan>,
    again: &mut Vec<String>,
) -> Result<NewCluster> {
    let initial = match &arguments.from_member {
        Some(name) => Some(of_snapshot(arguments, snapshot, name)?),
        None => arguments.initial_cluster.clone(),
    };
    if let Some(plan) = planned {
        let given = initial.map(|initial| NewCluster::parse(&initial, &plan.initial_cluster_token));
        plan::agree(plan, arguments, given.transpose()?.as_ref())?;
        return Ok(plan.cluster()?);
    }
    let token = match arguments.initial_cluster_token.as_deref() {
        None => DEFAULT_TOKEN.to_owned(),
        Some("auto") => {
            let token = NewCluster::fresh_token();
            again.push(format!("--initial-cluster-token {token}"));
            token
        }
        Some(token) => token.to_owned(),
    };
    let cluster = NewCluster::parse(initial.as_deref().unwrap_or(DEFAULT_CLUSTER), &token)?;
    if arguments.from_member.is_some() {
        again.push(format!("--initial-cluster {cluster}"));
        if !arguments.several() {
            again.push(format!("--name {}", arguments.name()));
        }
    }
    Ok(cluster)
}

/// The initial cluster of members that the snapshot names.
fn of_snapshot(arguments: &Arguments, snapshot: &Snapshot, name: &str) -> Result<String> {
    let known = snapshot_members(snapshot)?;
    let named: Vec<&SnapshotMember> = known.iter().filter(|it| !it.name.is_empty()).collect();
    if !named.iter().any(|member| member.name == name) {
        let names: Vec<_> = named.iter().map(|it| text::visible(&it.name)).collect();
        return Err(Failure::Usage(match names.is_empty() {
            true => "--from-member: the snapshot names no member; say who they are with --initial-cluster".to_owned(),
            false => format!(
                "--from-member: the snapshot has no member {name:?}, only {}",
                names.join(", ")
            ),
        }));
    }
    if arguments.several() && named.len() < known.len() {
        journal::warning(
            "a member in the snapshot has no name, as it was added and never started: it is left out",
        );
    }
    let wanted = named
        .into_iter()
        .filter(|member| arguments.several() || member.name == name);
    let pieces: Vec<_> = wanted
        .flat_map(|member| {
            let urls = member.peer_urls.iter();
            urls.map(move |url| format!("{}={url}", member.name))
        })
        .collect();
    Ok(pieces.join(","))
}

fn targets(
    arguments: &Arguments,
    cluster: &NewCluster,
    planned: Option<&RestorePlan>,
) -> Result<Vec<MemberTarget>> {
    if !arguments.several() {
        return Ok(vec![single(arguments, cluster, planned)?]);
    }
    let mut names: Vec<&str> = match arguments.all_members {
        true => cluster.members().iter().map(NewMember::name).collect(),
        false => arguments.members.iter().map(String::as_str).collect(),
    };
    if arguments.all_members {
        names.sort_unstable();
    }
    names
        .into_iter()
        .map(|name| {
            cluster.member(name)?;
            one_of_several(arguments.output_dir.as_deref(), name, planned)
        })
        .collect()
}

fn single(
    arguments: &Arguments,
    cluster: &NewCluster,
    planned: Option<&RestorePlan>,
) -> Result<MemberTarget> {
    let name = arguments.name();
    cluster.member(name)?;
    let planned = planned.map(|plan| plan.member(name)).transpose()?;
    let place = |flag, given: &Option<PathBuf>, planned: Option<&PathBuf>| {
        if let (Some(given), Some(planned)) = (given, planned) {
            plan::differ(flag, &given.display(), &planned.display())?;
        }
        Ok::<_, Failure>(given.clone().or_else(|| planned.cloned()))
    };
    let data_dir = place(
        "--data-dir",
        &arguments.data_dir,
        planned.and_then(|it| it.data_dir.as_ref()),
    )?;
    let wal_dir = place(
        "--wal-dir",
        &arguments.wal_dir,
        planned.and_then(|it| it.wal_dir.as_ref()),
    )?;
    let data_dir = data_dir.unwrap_or_else(|| format!("{name}.etcd").into());
    let mut target = MemberTarget::new(name, data_dir);
    if let Some(wal_dir) = wal_dir {
        target = target.with_wal_dir(wal_dir);
    }
    if let Some(urls) = &arguments.initial_advertise_peer_urls {
        target = target.with_advertised_peer_urls(PeerUrls::parse(urls)?);
    }
    Ok(target)
}

fn one_of_several(
    output_dir: Option<&Path>,
    name: &str,
    planned: Option<&RestorePlan>,
) -> Result<MemberTarget> {
    let planned = match planned {
        Some(plan) => plan.member(name)?.target(),
        None => None,
    };
    let given = match output_dir {
        None => None,
        Some(_) if output_dir == Some(Path::new("")) => {
            return Err(usage("--output-dir is empty: name a directory"));
        }
        Some(output_dir) => Some(output_dir.join(directory_name(name)?)),
    };
    match (given, planned) {
        (Some(given), Some(planned)) => {
            plan::differ(
                "--output-dir",
                &given.display(),
                &planned.data_dir().display(),
            )?;
            Ok(planned)
        }
        (Some(given), None) => Ok(MemberTarget::new(name, given)),
        (None, Some(planned)) => Ok(planned),
        (None, None) => Err(Failure::Usage(format!(
            "nothing says where the member {name:?} goes: --output-dir does, or data-dir in a plan"
        ))),
    }
}

/// A mistyped path shall not become a new place. What lies in the new directories is made with them.
fn require_parents(arguments: &Arguments, targets: &[MemberTarget]) -> Result<()> {
    let output_dir = arguments
        .output_dir
        .as_deref()
        .filter(|_| arguments.several());
    let places = targets
        .iter()
        .flat_map(|target| [Some(target.data_dir()), target.wal_dir()])
        .flatten();
    for place in output_dir.into_iter().chain(places) {
        let is_made = |directory: &Path| {
            let mut made = targets.iter().map(MemberTarget::data_dir).chain(output_dir);
            made.any(|made| directory.starts_with(made))
        };
        let parent = place
            .parent()
            .filter(|parent| *parent != Path::new("") && !is_made(parent));
        if let Some(parent) = parent {
            parent.metadata().map_err(|error| Failure::File {
                doing: "make the new data in",
                path: parent.to_owned(),
                error,
            })?;
        }
    }
    Ok(())
}

/// A name becomes a part of a path.
fn directory_name(name: &str) -> Result<&str> {
    let mut parts = Path::new(name).components();
    match (parts.next(), parts.next()) {
        (Some(Component::Normal(part)), None) if part == name && !name.ends_with('/') => Ok(name),
        _ => Err(Failure::Usage(format!(
            "the member {name:?} cannot have a directory of its name in --output-dir: make it on its own, with --name and --data-dir"
        ))),
    }
}

/// What is decided in one run would be decided differently in the next, and members must not differ.
fn require_decided(
    arguments: &Arguments,
    cluster: &NewCluster,
    targets: &[MemberTarget],
) -> Result<()> {
    if arguments.plan.is_some() || targets.len() >= cluster.members().len() {
        return Ok(());
    }
    let flag = if arguments.initial_cluster_token.as_deref() == Some("auto") {
        "--initial-cluster-token=auto"
    } else if arguments.bump() == Some(arguments::Bump::Auto) {
        match arguments.kubernetes {
            true => "--kubernetes without --bump-revision",
            false => "--bump-revision=auto",
        }
    } else {
        return Ok(());
    };
    Err(Failure::Usage(format!(
        "{flag} would be decided again in the run for each other member, and members must not differ: use --all-members, keep what \
         is decided in a --plan, or give the value itself"
    )))
}

fn usage(sentence: &str) -> Failure {
    Failure::Usage(sentence.to_owned())
}
