//! Plans as text: read, held against the flags, and written.

use std::fmt::Display;
use std::fs;
use std::io;
use std::path::Path;

use etcd_snap::{NewCluster, PlanFile, RestorePlan};

use super::arguments::{Arguments, Bump};
use crate::failure::{Failure, Result};
use crate::render::text;

const HEAD: &str = "\
# The plan of an etcd-snap restore: with it, every node makes its member of the same cluster.
# `etcd-snap restore BACKUP --plan THIS --name MEMBER --data-dir DIR`
";

/// The plan in a file; `None` where there is no file yet.
pub(in crate::commands) fn read(path: &Path) -> Result<Option<RestorePlan>> {
    const MOST_BYTES: u64 = 1 << 20;
    let shown = text::visible(&path.display().to_string());
    let unreadable = |error| Failure::File {
        doing: "read the plan",
        path: path.to_owned(),
        error,
    };
    match fs::metadata(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(unreadable(e)),
        Ok(there) if there.len() > MOST_BYTES => {
            return Err(Failure::Usage(format!("{shown} is too large for a plan")));
        }
        Ok(_) => {}
    }
    let content = fs::read_to_string(path).map_err(unreadable)?;
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(&content, options)
        .map(Some)
        .map_err(|error| Failure::Usage(format!("{shown} is not a plan: {error}")))
}

/// Writes a plan where there is none yet.
pub(super) fn write(path: &Path, plan: &RestorePlan) -> Result<PlanFile> {
    write_headed(path, HEAD, plan)
}

/// The same with another explanation at its head.
pub(in crate::commands) fn write_headed(
    path: &Path,
    head: &str,
    plan: &RestorePlan,
) -> Result<PlanFile> {
    let body = serde_saphyr::to_string(plan).map_err(|error| Failure::System {
        doing: "write the plan as YAML",
        error: io::Error::other(error.to_string()),
    })?;
    Ok(PlanFile::create(path, &format!("{head}{body}"))?)
}

/// Refuses flags that say something else than the plan. Automatic ones are decided in it.
pub(super) fn agree(
    plan: &RestorePlan,
    arguments: &Arguments,
    given: Option<&NewCluster>,
) -> Result<()> {
    if let Some(given) = given {
        let planned = plan.cluster()?;
        differ("--initial-cluster", given, &planned)?;
    }
    if let Some(token) = arguments.initial_cluster_token.as_ref()
        && token != "auto"
    {
        differ(
            "--initial-cluster-token",
            token,
            &plan.initial_cluster_token,
        )?;
    }
    if let Some(Bump::By(by)) = arguments.bump() {
        differ("--bump-revision", &by, &plan.bump_revision)?;
    }
    if arguments.bump() == Some(Bump::Auto) && plan.bump_revision == 0 {
        differ("--bump-revision", &"auto", &"0")?;
    }
    if arguments.mark_compacted {
        differ("--mark-compacted", &true, &plan.mark_compacted)?;
    }
    arguments.contents.agree(plan)
}

/// Refuses a flag that says something else than the plan.
pub(super) fn differ(flag: &str, given: &impl Display, planned: &impl Display) -> Result<()> {
    let (given, planned) = (given.to_string(), planned.to_string());
    if given == planned {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "{flag} is {given}, and the plan says {planned}: leave the flag out, or take another plan"
    )))
}
