//! `etcd-snap recover`: a node is brought back.

mod arguments;
mod page;
mod plan_file;
mod watching;

use etcd_snap_node::{DiscoverOptions, Recovery, Root, discover, plan_recovery};

pub(crate) use arguments::Arguments;

use crate::arguments::Output;
use crate::exit;
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::journal;
use crate::render;
use crate::standard;

pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    if arguments.apply || arguments.resume || arguments.rollback {
        return Err(Failure::Usage("not built yet".into()));
    }
    let interrupt = Interrupt::listen()?;
    let (recovery, is_new) = planned(arguments, output, &interrupt)?;
    if let Some(path) = &arguments.plan_file
        && is_new
        && !recovery.is_refused()
    {
        plan_file::write(path, &recovery.restore)?.keep();
    }
    render::print(&page::Plan::new(&recovery, arguments), output.write_out)?;
    if recovery.is_refused() {
        return Err(Failure::Reported {
            code: exit::REFUSED,
        });
    }
    if !arguments.plan {
        journal::note("nothing is changed yet: --apply does it");
    }
    Ok(())
}

/// The plan for this node, and whether it is the first one of its cluster.
fn planned(
    arguments: &Arguments,
    output: &Output,
    interrupt: &Interrupt,
) -> Result<(Recovery, bool)> {
    let snapshot = arguments.snapshot.as_deref().ok_or_else(|| {
        Failure::Usage("name the snapshot that this node is brought back from".into())
    })?;
    standard::refuse_input(snapshot, "recover")?;
    let root = arguments.root.as_ref().map(Root::new).unwrap_or_default();
    let given = match &arguments.plan_file {
        Some(path) => plan_file::read(path)?,
        None => None,
    };
    let is_new = given.is_none();
    let node = discover(&DiscoverOptions::default().with_root(root.clone()))?;
    let recovery = watching::watched(interrupt, output.quiet, |observer| {
        let mut options = arguments.plan_options(root).with_observer(observer);
        if let Some(plan) = given {
            options = options.with_plan(plan);
        }
        plan_recovery(&node, snapshot, &options)
    })?;
    Ok((recovery, is_new))
}
