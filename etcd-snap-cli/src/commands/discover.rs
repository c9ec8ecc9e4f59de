//! `etcd-snap discover`: every etcd of this machine.

use std::path::{Path, PathBuf};

use clap::Args;
use comfy_table::Table;
use etcd_snap_node::{
    DiscoverOptions, Etcd, Node, Place, Root, RunBy, Severity, Usability, discover,
};

use crate::arguments::Output;
use crate::exit;
use crate::failure::{Failure, Result};
use crate::render::{self, Render, findings, text};

/// Find every etcd of this machine and describe it
#[derive(Debug, Args)]
#[command(after_help = "\
Looked at are kubelet's static pods, the units of systemd with their drop-ins and variables, etcd's configuration files, \
k3s' and RKE2's, and what runs; settings count as etcd counts them. Nothing is changed, and nobody is asked. With --root, \
it all comes from a copy of another machine's tree.

The exit code is 0 if an etcd was found and nothing is wrong with it, 18 if there is an error among the findings, and 3 if \
there is none.

Examples:
  etcd-snap discover
  etcd-snap discover --etcd etcd.service -w json
  etcd-snap discover --root /mnt/rescued")]
pub(crate) struct Arguments {
    /// Look at a machine's tree below this directory
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Of several etcds, only the one with this name, unit or pod
    #[arg(long, value_name = "NAME")]
    etcd: Option<String>,
}

pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let options = DiscoverOptions::default().with_root(Root::new(&arguments.root));
    let mut node = discover(&options)?;
    if let Some(name) = &arguments.etcd {
        node.etcds = vec![node.etcd(Some(name))?.clone()];
    }
    render::print(&node, output.write_out)?;
    if node.etcds.is_empty() {
        return Err(Failure::Reported { code: exit::FILES });
    }
    match node.worst() {
        Some(Severity::Error) => Err(Failure::Reported { code: exit::ERRORS }),
        _ => Ok(()),
    }
}

/// What is said of a machine without an etcd.
const NONE: &str = "No etcd was found";

impl Render for Node {
    fn simple(&self) -> String {
        let mut lines = String::new();
        for etcd in &self.etcds {
            lines.push_str(&format!("{}\n", text::visible(&etcd.title())));
            lines.push_str(&render::lines(&facts(etcd)));
            lines.push_str(&findings::lines(&etcd.findings));
            lines.push('\n');
        }
        if self.etcds.is_empty() {
            lines.push_str(&format!("{NONE}\n"));
        }
        lines.push_str(&findings::lines(&self.findings));
        lines
    }

    fn tables(&self) -> Vec<Table> {
        let mut tables = Vec::new();
        for etcd in &self.etcds {
            let mut rows = facts(etcd);
            rows.extend(certificates(etcd));
            tables.push(render::pairs(rows));
            if !etcd.findings.is_empty() {
                tables.push(findings::table(&etcd.findings));
            }
        }
        if self.etcds.is_empty() {
            let mut none = render::frame();
            none.add_row([NONE]);
            tables.push(none);
        }
        if !self.findings.is_empty() {
            tables.push(findings::table(&self.findings));
        }
        tables
    }
}

fn facts(etcd: &Etcd) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("started by", started_by(etcd)),
        ("name", etcd.name.clone()),
    ];
    if let Some(version) = &etcd.version {
        facts.push((
            "version",
            format!("{}, by its {}", version.text, version.from),
        ));
    }
    facts.push(("data", place(&etcd.data_dir)));
    if let Some(data) = &etcd.data {
        facts.push(("in it", data_in(data)));
    }
    if let Some(wal_dir) = &etcd.wal_dir {
        facts.push(("WAL", place(wal_dir)));
    }
    facts.push(("for clients", etcd.endpoints().join(", ")));
    facts.push(("for peers", etcd.initial_advertise_peer_urls.join(", ")));
    // Nobody knows where a discovery, or a shell, decides about it.
    if !etcd.initial_cluster.is_empty() {
        facts.push(("founded as", etcd.initial_cluster_list()));
    }
    if let Some(identity) = &etcd.client_identity {
        facts.push(("clients trust", shown(&identity.authority)));
        if let Some(certificate) = &identity.certificate {
            facts.push((
                "and show",
                format!("{}, {}", shown(certificate), identity.because),
            ));
        }
    }
    if let Some(process) = &etcd.process {
        facts.push((
            "runs",
            format!("process {} of the user {}", process.pid, process.uid),
        ));
    }
    facts
}

fn started_by(etcd: &Etcd) -> String {
    match &etcd.run_by {
        RunBy::StaticPod { manifest, .. } => format!("kubelet, from {}", shown(manifest)),
        RunBy::Systemd {
            unit_file,
            drop_ins,
            ..
        } => match drop_ins.len() {
            0 => format!("systemd, from {}", shown(unit_file)),
            number => format!(
                "systemd, from {} and {}",
                shown(unit_file),
                text::count(number as u64, "drop-in")
            ),
        },
        RunBy::Embedded { service } => format!("{service}, within itself"),
        _ => "nobody that is known".to_owned(),
    }
}

fn data_in(data: &etcd_snap_node::Data) -> String {
    match (data.exists, data.database_bytes) {
        (false, _) => "nothing: it is not there".to_owned(),
        (true, None) => "no member".to_owned(),
        (true, Some(bytes)) => format!("a member, {}", text::size(bytes)),
    }
}

fn place(place: &Place) -> String {
    match &place.host {
        Some(host) if *host == place.path => shown(host),
        Some(host) => format!("{}, which etcd sees as {}", shown(host), shown(&place.path)),
        None => format!("{}, which is not on this machine", shown(&place.path)),
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn certificates(etcd: &Etcd) -> Vec<(&'static str, String)> {
    etcd.certificates
        .iter()
        .map(|file| {
            let what = match &file.usability {
                None => "cannot be read".to_owned(),
                Some(usability) => usable(usability),
            };
            ("certificate", format!("{}: {what}", shown(&file.path)))
        })
        .collect()
}

fn usable(usability: &Usability) -> String {
    let mut words = vec![usability.common_name.clone().unwrap_or_default()];
    if usability.is_authority {
        words.push("an authority".to_owned());
    } else {
        match (usability.for_servers, usability.for_clients) {
            (true, true) => words.push("for servers and clients".to_owned()),
            (true, false) => words.push("for servers".to_owned()),
            (false, true) => words.push("for clients".to_owned()),
            (false, false) => words.push("for neither servers nor clients".to_owned()),
        }
    }
    words.push(format!("until {}", usability.not_after));
    words.join(", ")
}
