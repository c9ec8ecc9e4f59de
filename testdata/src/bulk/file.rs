//! The steps from options to a file.

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use super::buckets::Small;
use super::history::{Change, Timeline};
use super::kinds::Kinds;
use super::space::{PAGE, Role, Space};
use super::tree::{Fill, Tree};
use super::values::Objects;
use super::{Bulk, Facts, History, Sample, SamplePut, seeded};
use crate::database::{
    HEADER, META, MetaFields, header, lease_record, number_field, revision_key, tombstone_key,
};
use crate::database::{bytes_field, length_delimited};

/// Of 1000 pages, how many are for changes after the compaction.
const RECENT: u64 = 45;
/// Of 1000 pages, how many are for leases, branches and what was not foreseen.
const RESERVE: u64 = 6;
const RESERVE_PAGES: u64 = 24;

pub(super) fn write(bulk: &Bulk, path: &Path) -> Result<Facts> {
    let mut name = path.file_name().context("no file name")?.to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    let facts = write_to(bulk, &part);
    if facts.is_ok() {
        fs::rename(&part, path)?;
    } else {
        // What happened is the better error.
        let _ = fs::remove_file(&part);
    }
    facts
}

fn write_to(bulk: &Bulk, path: &Path) -> Result<Facts> {
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)
        .with_context(|| format!("cannot create {}", path.display()))?;
    let pages = bulk.size_bytes / PAGE as u64;
    let hole = bulk.hole_bytes / PAGE as u64;
    let mut space = Space::new(file, pages, hole, seeded(bulk.seed, 11, 0));
    let kinds = Kinds::new(bulk.profile);
    let mut writer = Writer {
        keys: Tree::new(Role::Leaf, Fill::LivedIn, seeded(bulk.seed, 12, 0)),
        objects: Objects::new(bulk.seed, kinds),
        user_key: Vec::new(),
        value: Vec::new(),
        record: Vec::new(),
        bulk,
    };
    let mut timeline = Timeline::new(bulk.seed, bulk.history, kinds);
    writer.write_keys(&mut timeline, &mut space, pages)?;
    let samples = writer.samples(&timeline);
    let keys = writer.keys.finish(&mut space)?;
    let leases = {
        let mut tree = Tree::new(Role::Other, Fill::LivedIn, seeded(bulk.seed, 13, 0));
        for lease in 0..timeline.leases() {
            let id = lease_id(lease);
            tree.push(&id.to_be_bytes(), &lease_record(id, 3660, 0), &mut space)?;
        }
        tree.finish(&mut space)?
    };

    let small = Small::new(bulk.profile, timeline.revision(), timeline.compactions());
    let root = space.place_last(&mut small.root(&[("key", keys.root), ("lease", leases.root)]))?;
    let hole = space.hole();
    let hole = hole.start * PAGE as u64..hole.end * PAGE as u64;
    let (file, high_water_mark, free_pages, order) = space.finish()?;
    write_metas(&file, root, high_water_mark, timeline.revision() as u64)?;
    let digest = seal(&file, high_water_mark * PAGE as u64, hole)?;

    let share = |part: u64| part as f64 / order.leaves.max(1) as f64;
    Ok(Facts {
        size_bytes: high_water_mark * PAGE as u64 + 32,
        digest,
        status_hash: small.status_hash(&[
            ("key", keys.crc, keys.bytes),
            ("lease", leases.crc, leases.bytes),
        ]),
        revision: timeline.revision(),
        compact_revision: timeline.compactions().map(|(_, scheduled)| scheduled),
        total_records: keys.records + leases.records + small.records(),
        live_keys: timeline.live_keys(),
        leases: leases.records,
        pages: high_water_mark,
        free_pages,
        leaves: order.leaves,
        next_share: share(order.next),
        behind_share: share(order.behind),
        leaf_fill: (keys.bytes + 16 * (keys.records + order.leaves)) as f64
            / (keys.leaf_pages * PAGE as u64) as f64,
        samples,
    })
}

struct Writer<'a> {
    bulk: &'a Bulk,
    keys: Tree,
    objects: Objects,
    user_key: Vec<u8>,
    value: Vec<u8>,
    record: Vec<u8>,
}

impl Writer<'_> {
    fn write_keys(&mut self, timeline: &mut Timeline, space: &mut Space, pages: u64) -> Result<()> {
        let reserve = RESERVE_PAGES + pages * RESERVE / 1000;
        let recent = reserve + pages * RECENT / 1000;
        while space.left() > recent {
            if space.left() < pages / 2 {
                timeline.interrupt_compaction();
            }
            self.write_change(&timeline.next_old(), space)?;
        }
        while let Some(change) = timeline.end_old() {
            self.write_change(&change, space)?;
        }
        if self.bulk.history == History::Compacted {
            self.keys.set_fill(Fill::Fresh);
        }
        while space.left() > reserve {
            self.write_change(&timeline.next_recent(), space)?;
        }
        Ok(())
    }

    fn write_change(&mut self, change: &Change, space: &mut Space) -> Result<()> {
        self.objects.key(change.number, &mut self.user_key);
        self.record.clear();
        bytes_field(&mut self.record, 1, &self.user_key);
        let key = if let Some(put) = &change.put {
            self.objects
                .value(change.number, change.main, &mut self.value);
            number_field(&mut self.record, 2, put.create_revision as u64);
            number_field(&mut self.record, 3, change.main as u64);
            number_field(&mut self.record, 4, put.version as u64);
            length_delimited(&mut self.record, 5, &self.value);
            number_field(&mut self.record, 6, put.lease.map_or(0, lease_id) as u64);
            revision_key(change.main, change.sub)
        } else {
            tombstone_key(change.main, change.sub)
        };
        self.keys.push(&key, &self.record, space)
    }

    fn samples(&mut self, timeline: &Timeline) -> Vec<Sample> {
        let numbers = timeline.some_keys();
        let mut samples = Vec::new();
        for number in numbers {
            let Some(state) = timeline.state(number) else {
                continue;
            };
            self.objects.key(number, &mut self.user_key);
            self.objects.value(number, state.main, &mut self.value);
            samples.push(Sample {
                key: String::from_utf8_lossy(&self.user_key).into_owned(),
                put: state.put.map(|put| SamplePut {
                    value_bytes: self.value.len(),
                    value_sha256: hex(&Sha256::digest(&self.value)),
                    create_revision: put.create_revision,
                    mod_revision: state.main,
                    version: put.version,
                    lease: put.lease.map_or(0, lease_id),
                }),
            });
        }
        samples
    }
}

/// As servers make them: a part for the member, then the time.
fn lease_id(number: u64) -> i64 {
    0x694D_0000_0000_0000 + (number as i64) * 0x1003 + 0x51
}

/// Both the same state, as servers stream it.
fn write_metas(file: &File, root: u64, high_water_mark: u64, transaction: u64) -> Result<()> {
    for id in 0..2 {
        let mut page = vec![0; PAGE];
        let meta = MetaFields {
            root,
            high_water_mark,
            transaction_id: transaction - id,
            ..MetaFields::default()
        };
        page[..HEADER].copy_from_slice(&header(id, META, 0, 1));
        page[HEADER..][..MetaFields::LEN].copy_from_slice(&meta.encode());
        file.write_all_at(&page, id * PAGE as u64)?;
    }
    Ok(())
}

/// Writes the digest of everything behind it; returns it in hexadecimal digits. What was never written need not be read.
fn seal(file: &File, bytes: u64, hole: Range<u64>) -> Result<String> {
    file.set_len(bytes)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let zeros = vec![0; buffer.len()];
    let mut at = 0;
    while at < bytes {
        let in_hole = hole.contains(&at);
        let end = match at {
            _ if in_hole => hole.end,
            _ if at < hole.start => hole.start,
            _ => bytes,
        };
        let count = (end - at).min(buffer.len() as u64);
        let piece = &mut buffer[..count as usize];
        if in_hole {
            hasher.update(&zeros[..piece.len()]);
        } else {
            file.read_exact_at(piece, at)?;
            hasher.update(piece);
        }
        at += count;
    }
    let digest = hasher.finalize();
    file.write_all_at(&digest, bytes)?;
    Ok(hex(&digest))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
