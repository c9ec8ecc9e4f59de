//! `etcd-snap recover`: a node is brought back.

mod arguments;
mod page;
mod plan_file;
mod report;

use std::io::{self, IsTerminal};

use etcd_snap_node::{
    DiscoverOptions, Error, ErrorKind, Recovery, RecoveryReport, Root, Severity, apply_recovery,
    discover, is_recovery_kept, is_recovery_under_way, plan_recovery, resume_recovery,
    roll_back_recovery,
};

pub(crate) use arguments::Arguments;

use crate::arguments::Output;
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
        if is_recovery_kept(&root, &arguments.state_dir) {
            require_consent_to_loss(arguments)?;
        }
        return done(&work(Verb::RollBack)?, output);
    }

    let (recovery, is_new) = planned(arguments, output, &interrupt)?;
    let page = page::Plan::new(&recovery, arguments);
    if recovery.is_refused() {
        render::print(&page, output.write_out)?;
        return Err(refused(&recovery));
    }
    if arguments.apply {
        arguments
            .apply_options(root.clone())
            .require_systemctl_for(&recovery.stop)?;
        require_plan_file(&recovery)?;
        require_consent(arguments, &recovery, &page, output)?;
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

/// The plan says it all; this says that it is not applied, to those who read only that.
fn refused(recovery: &Recovery) -> Failure {
    let errors = recovery
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error);
    let codes: Vec<_> = errors.map(|finding| finding.code.as_str()).collect();
    Failure::Refused(format!(
        "the plan cannot be applied ({}): nothing was changed",
        codes.join(", ")
    ))
}

/// Members that are planned one by one would not find together, and each would wait for the others for ever.
fn require_plan_file(recovery: &Recovery) -> Result<()> {
    let mut findings = recovery.findings.iter();
    match findings.find(|finding| finding.code == "plan-file-needed") {
        Some(finding) => Err(Failure::Usage(format!(
            "{}: {}; or --alone makes a cluster of this node only",
            finding.message,
            finding.remedy.as_deref().unwrap_or_default()
        ))),
        None => Ok(()),
    }
}

/// Somebody says yes to what the plan shows, or has said so on the command line: then what was found is told all the same.
fn require_consent(
    arguments: &Arguments,
    recovery: &Recovery,
    page: &page::Plan<'_>,
    output: &Output,
) -> Result<()> {
    if arguments.yes {
        for finding in &recovery.findings {
            let sentence = format!("{} [{}]", finding.message, finding.code);
            match finding.severity {
                Severity::Note => journal::note(&sentence),
                _ => journal::warning(&sentence),
            }
        }
        return Ok(());
    }
    require_terminal("look at the plan, and say --yes with --apply")?;
    render::print_aside(page, output.write_out)?;
    require_yes("Do all this now?")
}

/// What was written since a recovery that is over is kept with the member that it was written to, and served no more.
fn require_consent_to_loss(arguments: &Arguments) -> Result<()> {
    if arguments.yes {
        return Ok(());
    }
    require_terminal(
        "a recovery that is over is rolled back with --yes only, because what was written since is not served any more then",
    )?;
    journal::note(
        "the recovery is over: what was written since is not served any more when it is rolled back, and is only kept with the restored member",
    );
    require_yes("Bring back what was there before it?")
}

fn require_terminal(otherwise: &str) -> Result<()> {
    match io::stdin().is_terminal() {
        true => Ok(()),
        false => Err(Failure::Usage(format!(
            "nobody is at a terminal to agree: {otherwise}"
        ))),
    }
}

fn require_yes(question: &str) -> Result<()> {
    let agreed = prompt::agrees(question).map_err(|error| Failure::System {
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
    let failure = match failure {
        Failure::Node(error) => Failure::Node(to_be_typed(error, arguments)),
        other => other,
    };
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

/// A command in a remedy gets the flags that say which machine is meant.
fn to_be_typed(error: Error, arguments: &Arguments) -> Error {
    let flags = arguments.of_the_machine();
    let Some(remedy) = error.remedy().filter(|_| !flags.is_empty()) else {
        return error;
    };
    let command = "etcd-snap recover";
    let remedy = remedy.replace(command, &format!("{command}{flags}"));
    error.with_remedy(remedy)
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
