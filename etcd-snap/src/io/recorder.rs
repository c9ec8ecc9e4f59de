//! The disk that remembers: everything that is done to it, so that what a power failure would have left after each step can be laid
//! out again.
//!
//! What is not synced may be on the disk or not, names and bytes each by themselves. A rename is one thing, as filesystems with a
//! journal have it: who syncs one of its two directories has both of its names.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Disk, Lock, NewFile, Ownership, ReadAt, Storage};

/// What is left of that which was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsynced {
    Kept,
    Lost,
    /// Half of every write, and some of the names, chosen by the number.
    Torn(u64),
}

type NodeId = usize;

#[derive(Debug, Clone)]
enum Node {
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
struct Content {
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
type Named = (NodeId, OsString, Option<NodeId>);

#[derive(Debug, Clone)]
enum Operation {
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
struct Model {
    nodes: BTreeMap<NodeId, Node>,
    /// Changes of names that are not synced, in order.
    pending: Vec<Vec<Named>>,
}

const ROOT: NodeId = 0;

impl Model {
    fn of(root: &Path) -> Self {
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

    fn names(&mut self, id: NodeId) -> &mut BTreeMap<OsString, NodeId> {
        match self.nodes.get_mut(&id) {
            Some(Node::Directory { live, .. }) => live,
            other => panic!("no directory: {other:?}"),
        }
    }

    fn apply(&mut self, operation: &Operation) {
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
        let mut n = 0;
        let all = std::mem::take(&mut self.pending);
        for names in all {
            if chosen.contains(&n) {
                self.make_durable(&names);
            } else {
                self.pending.push(names);
            }
            n += 1;
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

    fn lay_out(mut self, root: &Path, unsynced: Unsynced) {
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

#[derive(Debug)]
struct Record {
    root: PathBuf,
    begin: Model,
    now: Model,
    operations: Vec<Operation>,
    next: NodeId,
}

impl Record {
    fn push(&mut self, operation: Operation) {
        self.now.apply(&operation);
        self.operations.push(operation);
    }

    fn fresh(&mut self) -> NodeId {
        self.next += 1;
        self.next
    }

    /// What has this path, without following links.
    fn node(&mut self, path: &Path) -> Option<NodeId> {
        let relative = path.strip_prefix(&self.root).unwrap().to_owned();
        let mut id = ROOT;
        for part in relative.components() {
            id = *self.now.names(id).get(part.as_os_str())?;
        }
        Some(id)
    }

    fn place(&mut self, path: &Path) -> (NodeId, OsString) {
        let directory = self.node(path.parent().unwrap()).unwrap();
        (directory, path.file_name().unwrap().to_owned())
    }

    fn name(&mut self, path: &Path, to: Option<NodeId>) -> Named {
        let (directory, name) = self.place(path);
        (directory, name, to)
    }

    fn moved(&mut self, from: &Path, to: &Path) {
        let node = self.node(from);
        let names = vec![self.name(from, None), self.name(to, node)];
        self.push(Operation::Names(names));
    }
}

/// Works on the real disk below `root`, and records.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    disk: Arc<dyn Storage>,
    record: Arc<Mutex<Record>>,
}

impl Recorder {
    pub(crate) fn new(root: &Path, disk: Arc<dyn Storage>) -> Self {
        let begin = Model::of(root);
        let record = Record {
            root: root.to_owned(),
            now: begin.clone(),
            next: begin.nodes.len(),
            begin,
            operations: Vec::new(),
        };
        Self {
            disk,
            record: Arc::new(Mutex::new(record)),
        }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap()
    }

    pub(crate) fn operations(&self) -> usize {
        self.record().operations.len()
    }

    /// Fills the empty directory `root` with what a power failure behind the first operations leaves.
    pub(crate) fn lay_out(&self, operations: usize, unsynced: Unsynced) {
        let record = self.record();
        let mut model = record.begin.clone();
        for operation in &record.operations[..operations] {
            model.apply(operation);
        }
        model.lay_out(&record.root, unsynced);
    }

    /// For messages.
    pub(crate) fn describe(&self, operations: usize) -> String {
        let record = self.record();
        let text = format!("{:?}", record.operations[operations.saturating_sub(1)]);
        text.chars().take(200).collect()
    }

    fn file(&self, file: Arc<dyn NewFile>, node: NodeId) -> Arc<dyn NewFile> {
        Arc::new(RecordedFile {
            file,
            node,
            recorder: self.clone(),
        })
    }
}

impl Storage for Recorder {
    fn create_file(&self, path: &Path) -> io::Result<Arc<dyn NewFile>> {
        let file = self.disk.create_file(path)?;
        let mut record = self.record();
        let id = record.fresh();
        record.push(Operation::File(id));
        let named = record.name(path, Some(id));
        record.push(Operation::Names(vec![named]));
        drop(record);
        Ok(self.file(file, id))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)?;
        let mut record = self.record();
        let id = record.fresh();
        record.push(Operation::Directory(id));
        let named = record.name(path, Some(id));
        record.push(Operation::Names(vec![named]));
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)?;
        let mut record = self.record();
        // Above the root nothing is recorded.
        if path.starts_with(&record.root) {
            let id = record.node(path).unwrap();
            record.push(Operation::SyncDirectory(id));
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)?;
        self.record().moved(from, to);
        Ok(())
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename_new(from, to)?;
        self.record().moved(from, to);
        Ok(())
    }

    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        self.disk.exchange(one, other)?;
        let mut record = self.record();
        let (first, second) = (record.node(one), record.node(other));
        let names = vec![record.name(one, second), record.name(other, first)];
        record.push(Operation::Names(names));
        Ok(())
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.hard_link(from, to)?;
        let mut record = self.record();
        let node = record.node(from);
        let named = record.name(to, node);
        record.push(Operation::Names(vec![named]));
        Ok(())
    }

    fn set_ownership(&self, path: &Path, ownership: &Ownership) -> io::Result<()> {
        self.disk.set_ownership(path, ownership)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_file(path)?;
        let mut record = self.record();
        let named = record.name(path, None);
        record.push(Operation::Names(vec![named]));
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir(path)?;
        let mut record = self.record();
        let named = record.name(path, None);
        record.push(Operation::Names(vec![named]));
        Ok(())
    }

    /// Each name is removed by itself.
    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        let mut todo = Vec::new();
        let mut found = vec![path.to_owned()];
        fs::symlink_metadata(path)?;
        while let Some(path) = found.pop() {
            if fs::symlink_metadata(&path)?.is_dir() {
                for entry in fs::read_dir(&path)? {
                    found.push(entry?.path());
                }
            }
            todo.push(path);
        }
        for path in todo.iter().rev() {
            if fs::symlink_metadata(path)?.is_dir() {
                self.remove_dir(path)?;
            } else {
                self.remove_file(path)?;
            }
        }
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        self.disk.list(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        let lock = self.disk.lock(path)?;
        let node = self.record().node(path);
        let recorded = |file| match node {
            Some(node) => self.file(file, node),
            None => file,
        };
        Ok(match lock {
            Lock::Held(file) => Lock::Held(recorded(file)),
            Lock::HeldHere(file) => Lock::HeldHere(recorded(file)),
            Lock::Busy => Lock::Busy,
            Lock::Unsupported(file) => Lock::Unsupported(recorded(file)),
        })
    }

    fn is_mount_point(&self, path: &Path) -> bool {
        self.disk.is_mount_point(path)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.disk.free_bytes(path)
    }
}

#[derive(Debug)]
struct RecordedFile {
    file: Arc<dyn NewFile>,
    node: NodeId,
    recorder: Recorder,
}

impl ReadAt for RecordedFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
}

impl NewFile for RecordedFile {
    fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    fn take_after(&self, other: &Metadata) -> io::Result<()> {
        self.file.take_after(other)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)?;
        let write = Operation::Write(self.node, offset, bytes.to_vec());
        self.recorder.record().push(write);
        Ok(())
    }

    #[cfg(feature = "client")]
    fn room_for(&self, size_bytes: u64) -> io::Result<Option<u64>> {
        self.file.room_for(size_bytes)
    }

    fn reserve(&self, size_bytes: u64) -> io::Result<()> {
        self.file.reserve(size_bytes)?;
        self.recorder
            .record()
            .push(Operation::Size(self.node, size_bytes));
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()?;
        self.recorder.record().push(Operation::SyncFile(self.node));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with a first half that was synced, renamed without the directory having been.
    #[test]
    fn what_was_not_synced_is_kept_lost_or_torn() {
        let root = tempfile::tempdir().unwrap();
        let (one, two) = (root.path().join("one"), root.path().join("two"));
        let disk = Recorder::new(root.path(), Arc::new(Disk));
        let file = disk.create_file(&one).unwrap();
        file.write_at(b"sure", 0).unwrap();
        file.sync().unwrap();
        disk.sync_dir(root.path()).unwrap();
        file.write_at(b"vain", 4).unwrap();
        disk.rename(&one, &two).unwrap();
        let laid_out = |unsynced| {
            for path in [&one, &two] {
                let _ = fs::remove_file(path);
            }
            disk.lay_out(disk.operations(), unsynced);
            [&one, &two].map(|path| fs::read_to_string(path).ok())
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(laid_out(Unsynced::Kept), [None, text("surevain")]);
        assert_eq!(laid_out(Unsynced::Lost), [text("sure"), None]);
        let torn = [laid_out(Unsynced::Torn(1)), laid_out(Unsynced::Torn(2))];
        assert!(torn.contains(&[None, text("sureva")]), "{torn:?}");
        assert!(
            torn.iter().all(|[one, two]| one.is_some() != two.is_some()),
            "{torn:?}"
        );
    }
}
