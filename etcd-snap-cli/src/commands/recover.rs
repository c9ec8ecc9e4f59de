//! `etcd-snap recover`: a node is brought back.

mod arguments;
mod page;
mod plan_file;
mod report;

use std::io::{self, IsTerminal};

use etcd_snap_node::{
    DiscoverOptions, ErrorKind, Recovery, RecoveryReport, Root, apply_recovery, discover,
    is_recovery_under_way, plan_recovery, resume_recovery, roll_back_recovery,
};

pub(crate) use arguments::Arguments;

use crate::arguments::Output;
use crate::exit;
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::journal;
use crate::prompt;
use crate::render;
use crate::standard;
use crate::steps;

pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    let root = arguments.root.as_ref().map(Root::new).unwrap_or_default();
    let work = |verb: Verb<'_>| {
        let options = arguments.apply_options(root.clone());
        steps::watched(&interrupt, output.quiet, |observer| {
            let options = options.with_observer(observer);
            match verb {
                Verb::Apply(recovery) => apply_recovery(recovery, &options),
                Verb::Resume => resume_recovery(&options),
                Verb::RollBack => roll_back_recovery(&options),
            }
        })
        .map_err(|failure| half_way(failure, arguments, &root))
    };
    if arguments.resume {
        return done(&work(Verb::Resume)?, output);
    }
    if arguments.rollback {
        return done(&work(Verb::RollBack)?, output);
    }

    let (recovery, is_new) = planned(arguments, output, &interrupt)?;
    let page = page::Plan::new(&recovery, arguments);
    if recovery.is_refused() {
        render::print(&page, output.write_out)?;
        return Err(Failure::Reported {
            code: exit::REFUSED,
        });
    }
    if arguments.apply {
        arguments
            .apply_options(root.clone())
            .require_systemctl_for(&recovery.stop)?;
        require_consent(arguments, &page, output)?;
    }
    let plan_file = match &arguments.plan_file {
        Some(path) if is_new => Some(plan_file::write(path, &recovery.restore)?),
        _ => None,
    };
    // From here on other nodes may have read it.
    if let Some(file) = plan_file {
        file.keep();
    }
    if arguments.apply {
        return done(&work(Verb::Apply(&recovery))?, output);
    }
    render::print(&page, output.write_out)?;
    if !arguments.plan {
        journal::note("nothing is changed yet: --apply does it");
    }
    Ok(())
}

/// What is done with a recovery.
enum Verb<'a> {
    Apply(&'a Recovery),
    Resume,
    RollBack,
}

fn done(report: &RecoveryReport, output: &Output) -> Result<()> {
    render::print(report, output.write_out)
}

/// Somebody says yes to what the plan shows, or has said so on the command line.
fn require_consent(arguments: &Arguments, page: &page::Plan<'_>, output: &Output) -> Result<()> {
    if arguments.yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(
            "nobody is at a terminal to agree: look at the plan, and say --yes with --apply".into(),
        ));
    }
    render::print_aside(page, output.write_out)?;
    let agreed = prompt::agrees("Do all this now?").map_err(|error| Failure::System {
        doing: "ask at the terminal",
        error,
    })?;
    match agreed {
        true => Ok(()),
        false => Err(Failure::Usage("nothing was changed".into())),
    }
}

/// What fails when the journal is there leaves something to go on with.
fn half_way(failure: Failure, arguments: &Arguments, root: &Root) -> Failure {
    let has_journal = is_recovery_under_way(root, &arguments.state_dir);
    match failure {
        Failure::Node(error)
            if has_journal && !matches!(error.kind(), ErrorKind::Waiting | ErrorKind::Busy) =>
        {
            Failure::HalfWay(error)
        }
        other => other,
    }
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
    if let Some(plan) = &given {
        arguments.contents.agree(plan)?;
    }
    let is_new = given.is_none();
    let node = discover(&DiscoverOptions::default().with_root(root.clone()))?;
    let recovery = steps::watched(interrupt, output.quiet, |observer| {
        let mut options = arguments.plan_options(root).with_observer(observer);
        if let Some(plan) = given {
            options = options.with_plan(plan);
        }
        plan_recovery(&node, snapshot, &options)
    })?;
    Ok((recovery, is_new))
}
