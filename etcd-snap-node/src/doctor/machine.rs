//! What the machine's files say.

use std::path::Path;

use super::{Chart, DoctorOptions};
use crate::recover::under_way;
use crate::{Etcd, Finding, Node};

/// Below it etcd is about to fail at its next WAL segment, which takes 64 MB.
const ALMOST_FULL_BYTES: u64 = 256 << 20;

pub(super) fn look(node: &Node, etcds: &[&Etcd], options: &DoctorOptions, chart: &mut Chart) {
    for finding in &node.findings {
        chart.add(finding.clone());
    }
    let under_way = under_way(&options.root, &options.state_directory);
    if etcds.is_empty() {
        chart.saw("no etcd is configured on this machine, and none runs");
        // A recovery puts aside what starts etcd, and brings it back itself.
        if under_way.is_none() {
            no_etcd(options, chart);
        }
    }
    for etcd in etcds {
        chart.saw(format!(
            "configuration and certificates of {}",
            etcd.title()
        ));
        for finding in &etcd.findings {
            let mut finding = finding.clone();
            if etcds.len() > 1 {
                finding.message = format!("{}: {}", etcd.title(), finding.message);
            }
            chart.add(finding);
        }
        data(etcd, options, under_way.is_some(), chart);
    }
    if let Some(finding) = under_way {
        chart.add(finding);
    }
}

/// Whoever watches a machine by this has to hear of a manifest or a unit that is gone, which leaves nothing else to be found.
fn no_etcd(options: &DoctorOptions, chart: &mut Chart) {
    let is_elsewhere = options.asks && options.cluster.is_some();
    if is_elsewhere {
        return;
    }
    // Who asks nobody, and has backups looked at, may well be where only those are.
    let is_for_backups = !options.asks && !options.backups.is_empty();
    let told = match is_for_backups {
        true => Finding::note,
        false => Finding::error,
    };
    chart.add(
        told(
            "no-etcd",
            "there is no etcd on this machine to look at: nothing that was looked at starts one, and none runs",
        )
        .with_remedy("if etcd belongs here, bring back the manifest or the unit that starts it; if it is on other machines, name them with --endpoints; where only backups are, say --offline"),
    );
}

/// Whether a restore would find room beside the old member. While a recovery is under way nobody is told to remove an old one: the way
/// back leads over it.
fn data(etcd: &Etcd, options: &DoctorOptions, is_under_way: bool, chart: &mut Chart) {
    let (Some(host), Some(data)) = (&etcd.data_dir.host, &etcd.data) else {
        return;
    };
    let Some(free) = free_bytes(&options.root.open_as(host)) else {
        return;
    };
    chart.saw(format!("room in {}", host.display()));
    let database = data.database_bytes.unwrap_or_default();
    if free < ALMOST_FULL_BYTES {
        chart.add(
            Finding::error(
                "disk-almost-full",
                format!(
                    "only {} are free where etcd keeps its data: its next WAL segment may not fit, and it stops then",
                    size(free)
                ),
            )
            .with_remedy(match is_under_way {
                false => "make room: old members that were kept, logs, images",
                true => "make room: logs, images; no old member, while a recovery is under way",
            })
            .at(host),
        );
    } else if free < database + database / 8 + ALMOST_FULL_BYTES {
        chart.add(
            Finding::warning(
                "no-space-for-restore",
                format!(
                    "{} are free, and a restore that keeps the old member beside the new one needs about {}",
                    size(free),
                    size(database + database / 8 + ALMOST_FULL_BYTES)
                ),
            )
            .with_remedy("make room before it is needed")
            .at(host),
        );
    }
    let old: Vec<_> = data
        .others
        .iter()
        .filter(|name| name.starts_with("member.old-") || name.starts_with("member.undone-"))
        .map(String::as_str)
        .collect();
    if !old.is_empty() && !is_under_way {
        chart.add(
            Finding::note(
                "old-members-kept",
                format!(
                    "members that a restore replaced are still here: {}",
                    old.join(", ")
                ),
            )
            .with_remedy(
                "remove them when nobody needs them any more: each has the size of a database",
            )
            .at(host),
        );
    }
}

/// What an ordinary user may still write there.
pub(super) fn free_bytes(directory: &Path) -> Option<u64> {
    let room = rustix::fs::statvfs(directory).ok()?;
    Some(room.f_bavail.saturating_mul(room.f_frsize))
}

/// `1.2 GB`, for sentences.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    for (unit, name) in UNITS {
        if bytes >= unit {
            let tenths = bytes / (unit / 10);
            return if tenths < 100 {
                format!("{}.{} {name}", tenths / 10, tenths % 10)
            } else {
                format!("{} {name}", tenths / 10)
            };
        }
    }
    format!("{bytes} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (bytes, shown) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1_000, "1.0 kB"),
            (15_900_000, "15 MB"),
            (2_147_483_648, "2.1 GB"),
        ] {
            assert_eq!(size(bytes), shown);
        }
    }
}
