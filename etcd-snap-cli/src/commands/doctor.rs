//! `etcd-snap doctor`: everything that would make a backup or a restore fail.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use comfy_table::Table;
use etcd_snap_node::{
    DiscoverOptions, DoctorOptions, DoctorReport, Root, Severity, discover, doctor,
};

use crate::arguments::Output;
use crate::connection::Connection;
use crate::exit;
use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::render::{self, Render, findings};
use crate::steps;
use crate::values;

/// Look for all that would make a backup or a restore fail
#[derive(Debug, Args)]
#[command(after_help = "\
Looked at are every etcd of this machine, its certificates and its disk; the members of its cluster: reach, leader, \
alarms, quota, free pages, lag, versions, and whether all hold the same; and with --backups, whether the newest backup is \
young enough, and one. A machine without any etcd is an error, unless --endpoints name one elsewhere. Nothing is changed.

The exit code is 0 where nothing worse than notes was found, 17 for warnings and 18 for errors.

Examples:
  etcd-snap doctor

  etcd-snap doctor --backups /var/backups/etcd \\
    --max-age 26h

  etcd-snap doctor --offline --root /mnt/rescued

  etcd-snap doctor --endpoints https://10.0.0.1:2379 \\
    --cacert ca.crt \\
    --cert client.crt --key client.key -w json")]
pub(crate) struct Arguments {
    /// Look at a machine's tree below this directory
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/",
        help_heading = "Machine"
    )]
    root: PathBuf,
    /// Of several etcds, only the one with this name, unit or pod
    #[arg(long, value_name = "NAME", help_heading = "Machine")]
    etcd: Option<String>,
    /// Ask no member anything
    #[arg(long, conflicts_with = "endpoints", help_heading = "Members")]
    offline: bool,
    /// Do not compare what members hold, which each of them reads for it
    #[arg(long, help_heading = "Members")]
    no_hash: bool,
    /// Where backups are; may be given several times
    #[arg(long, value_name = "DIR", help_heading = "Backups")]
    backups: Vec<PathBuf>,
    /// How old the newest may be
    #[arg(
        long,
        value_name = "TIME",
        default_value = "26h",
        value_parser = values::waiting_time,
        help_heading = "Backups"
    )]
    max_age: Duration,
    /// Do not read the newest one whole
    #[arg(long, help_heading = "Backups")]
    no_verify: bool,
    /// Ask these members, with commas, instead of those of this machine
    #[arg(
        long,
        value_name = "URLS",
        env = "ETCDCTL_ENDPOINTS",
        hide_env_values = true,
        help_heading = "Connection"
    )]
    endpoints: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let root = Root::new(&arguments.root);
    let mut options = DoctorOptions::default()
        .with_root(root.clone())
        .with_asking(!arguments.offline)
        .with_comparing(!arguments.no_hash)
        .with_max_age(arguments.max_age)
        .with_proving(!arguments.no_verify);
    if let Some(name) = &arguments.etcd {
        options = options.with_etcd(name);
    }
    for directory in &arguments.backups {
        options = options.with_backups(directory);
    }
    let connection = &arguments.connection;
    if let Some(endpoints) = connection.named(arguments.endpoints.as_deref()) {
        options = options.with_cluster(connection.cluster(endpoints)?);
    }
    let interrupt = Interrupt::listen()?;
    let report = steps::watched(&interrupt, output.quiet, |observer| {
        let node = discover(&DiscoverOptions::default().with_root(root))?;
        doctor(&node, &options.with_observer(observer))
    })?;
    render::print(&report, output.write_out)?;
    match report.worst() {
        Some(Severity::Error) => Err(Failure::Reported { code: exit::ERRORS }),
        Some(Severity::Warning) => Err(Failure::Reported {
            code: exit::WARNINGS,
        }),
        _ => Ok(()),
    }
}

impl Render for DoctorReport {
    fn simple(&self) -> String {
        let mut text = findings::lines(&self.findings);
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str("Looked at\n");
        for seen in &self.looked_at {
            text.push_str(&format!("  {}\n", render::text::visible(seen)));
        }
        let found = findings::count(&self.findings);
        text.push_str(&format!("Result: {found}\n"));
        text
    }

    fn tables(&self) -> Vec<Table> {
        let mut seen = render::frame();
        seen.set_header(["looked at"]);
        for what in &self.looked_at {
            seen.add_row([render::text::visible(what)]);
        }
        if self.findings.is_empty() {
            vec![seen]
        } else {
            vec![findings::table(&self.findings), seen]
        }
    }
}
