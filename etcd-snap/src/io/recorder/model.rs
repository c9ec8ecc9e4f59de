//! A disk in memory that knows what is synced.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What is left of that which was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsynced {
    Kept,
    Lost,
    /// Half of every write, and some of the names, chosen by the number.
    Torn(u64),
}

pub(super) type NodeId = usize;

#[derive(Debug, Clone)]
pub(super) enum Node {
    File {
        live: Content,
        synced: Content,
        /// Since the last sync.
        writes: Vec<(u64, Vec<u8>)>,
    },
    Directory {
        live: BTreeMap<OsString, NodeId>,
        synced: BTreeMap<OsString, NodeId>,
    },
}

/// Zeros follow the bytes up to the size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Content {
    bytes: Vec<u8>,
    size: u64,
}

impl Content {
    fn write(&mut self, offset: u64, bytes: &[u8]) {
        let offset = usize::try_from(offset).unwrap();
        let end = offset + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[offset..end].copy_from_slice(bytes);
        self.size = self.size.max(end as u64);
    }
}

/// A name in a directory that now leads to something, or to nothing.
pub(super) type Named = (NodeId, OsString, Option<NodeId>);

#[derive(Debug, Clone)]
pub(super) enum Operation {
    File(NodeId),
    Directory(NodeId),
    Write(NodeId, u64, Vec<u8>),
    Size(NodeId, u64),
    SyncFile(NodeId),
    SyncDirectory(NodeId),
    /// Names that change together.
    Names(Vec<Named>),
}

#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) nodes: BTreeMap<NodeId, Node>,
    /// Changes of names that are not synced, in order.
    pending: Vec<Vec<Named>>,
}

pub(super) const ROOT: NodeId = 0;

impl Model {
    pub(super) fn of(root: &Path) -> Self {
        let mut model = Self {
            nodes: BTreeMap::new(),
            pending: Vec::new(),
        };
        let mut known = BTreeMap::new();
        model.add(root, &mut known);
        model
    }

    fn add(&mut self, path: &Path, known: &mut BTreeMap<u64, NodeId>) -> NodeId {
        let there = fs::symlink_metadata(path).unwrap();
        if let Some(id) = known.get(&there.ino()) {
            return *id;
        }
        let id = self.nodes.len();
        known.insert(there.ino(), id);
        if there.is_dir() {
            let empty = Node::Directory {
                live: BTreeMap::new(),
                synced: BTreeMap::new(),
            };
            self.nodes.insert(id, empty);
            let mut names = BTreeMap::new();
            for entry in fs::read_dir(path).unwrap() {
                let entry = entry.unwrap();
                names.insert(entry.file_name(), self.add(&entry.path(), known));
            }
            let directory = Node::Directory {
                live: names.clone(),
                synced: names,
            };
            self.nodes.insert(id, directory);
        } else {
            // A segment of a WAL is zeros for the most part.
            let mut bytes = fs::read(path).unwrap();
            let end = bytes.iter().rposition(|byte| *byte != 0);
            bytes.truncate(end.map_or(0, |end| end + 1));
            bytes.shrink_to_fit();
            let content = Content {
                bytes,
                size: there.len(),
            };
            let file = Node::File {
                live: content.clone(),
                synced: content,
                writes: Vec::new(),
            };
            self.nodes.insert(id, file);
        }
        id
    }

    pub(super) fn names(&mut self, id: NodeId) -> &mut BTreeMap<OsString, NodeId> {
        match self.nodes.get_mut(&id) {
            Some(Node::Directory { live, .. }) => live,
            other => panic!("no directory: {other:?}"),
        }
    }

    pub(super) fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::File(id) => {
                let file = Node::File {
                    live: Content::default(),
                    synced: Content::default(),
                    writes: Vec::new(),
                };
                self.nodes.insert(*id, file);
            }
            Operation::Directory(id) => {
                let directory = Node::Directory {
                    live: BTreeMap::new(),
                    synced: BTreeMap::new(),
                };
                self.nodes.insert(*id, directory);
            }
            Operation::Write(id, offset, bytes) => {
                if let Some(Node::File { live, writes, .. }) = self.nodes.get_mut(id) {
                    live.write(*offset, bytes);
                    writes.push((*offset, bytes.clone()));
                }
            }
            Operation::Size(id, size) => {
                if let Some(Node::File { live, .. }) = self.nodes.get_mut(id) {
                    live.size = live.size.max(*size);
                }
            }
            Operation::SyncFile(id) => {
                if let Some(Node::File {
                    live,
                    synced,
                    writes,
                }) = self.nodes.get_mut(id)
                {
                    synced.clone_from(live);
                    writes.clear();
                }
            }
            Operation::SyncDirectory(id) => self.sync(*id),
            Operation::Names(names) => {
                for (directory, name, to) in names {
                    let live = self.names(*directory);
                    match to {
                        Some(node) => live.insert(name.clone(), *node),
                        None => live.remove(name),
                    };
                }
                self.pending.push(names.clone());
            }
        }
    }

    /// With all earlier changes of the directories that its own changes touch.
    fn sync(&mut self, directory: NodeId) {
        let mut touched = vec![directory];
        let mut chosen = Vec::new();
        loop {
            let before = touched.len();
            for (n, names) in self.pending.iter().enumerate().rev() {
                if !chosen.contains(&n) && names.iter().any(|(id, ..)| touched.contains(id)) {
                    chosen.push(n);
                    for (id, ..) in names {
                        if !touched.contains(id) {
                            touched.push(*id);
                        }
                    }
                }
            }
            if touched.len() == before {
                break;
            }
        }
        let all = std::mem::take(&mut self.pending);
        for (n, names) in all.into_iter().enumerate() {
            if chosen.contains(&n) {
                self.make_durable(&names);
            } else {
                self.pending.push(names);
            }
        }
    }

    fn make_durable(&mut self, names: &[Named]) {
        for (directory, name, to) in names {
            if let Some(Node::Directory { synced, .. }) = self.nodes.get_mut(directory) {
                match to {
                    Some(node) => synced.insert(name.clone(), *node),
                    None => synced.remove(name),
                };
            }
        }
    }

    pub(super) fn lay_out(mut self, root: &Path, unsynced: Unsynced) {
        if let Unsynced::Torn(seed) = unsynced {
            for (n, names) in std::mem::take(&mut self.pending).iter().enumerate() {
                let random = seed
                    .wrapping_add(n as u64)
                    .wrapping_mul(0x9E37_79B9_7F4A_7C15);
                if random >> 63 == 1 {
                    self.make_durable(names);
                }
            }
        }
        let mut made = BTreeMap::new();
        self.lay_out_node(ROOT, root, unsynced, &mut made);
    }

    fn lay_out_node(
        &self,
        id: NodeId,
        path: &Path,
        unsynced: Unsynced,
        made: &mut BTreeMap<NodeId, PathBuf>,
    ) {
        match &self.nodes[&id] {
            Node::Directory { live, synced } => {
                if id != ROOT {
                    fs::create_dir(path).unwrap();
                }
                let names = if unsynced == Unsynced::Kept {
                    live
                } else {
                    synced
                };
                for (name, node) in names {
                    self.lay_out_node(*node, &path.join(name), unsynced, made);
                }
            }
            Node::File {
                live,
                synced,
                writes,
            } => {
                if let Some(other) = made.get(&id) {
                    fs::hard_link(other, path).unwrap();
                    return;
                }
                let mut content = synced.clone();
                match unsynced {
                    Unsynced::Kept => content.clone_from(live),
                    Unsynced::Lost => {}
                    Unsynced::Torn(_) => {
                        for (offset, bytes) in writes {
                            content.write(*offset, &bytes[..bytes.len() / 2]);
                        }
                    }
                }
                fs::write(path, &content.bytes).unwrap();
                let file = fs::OpenOptions::new().write(true).open(path).unwrap();
                file.set_len(content.size).unwrap();
                made.insert(id, path.to_owned());
            }
        }
    }
}
