//! The disk that remembers: everything that is done to it, so that what a power failure would have left after each step can be laid
//! out again.
//!
//! What is not synced may be on the disk or not, names and bytes each by themselves. A rename is one thing, as filesystems with a
//! journal have it: who syncs one of its two directories has both of its names.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Lock, NewFile, Ownership, ReadAt, Storage};
pub(crate) use model::Unsynced;
use model::{Model, Named, NodeId, Operation, ROOT};

mod model;

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

    fn as_file(&self) -> Option<&fs::File> {
        self.file.as_file()
    }

    fn reflink(&self, _: &dyn NewFile) -> io::Result<bool> {
        Ok(false)
    }

    /// What the kernel copies is a write like another.
    fn copy_range(&self, from: &dyn NewFile, offset: u64, bytes: u64) -> io::Result<u64> {
        let mut copied = vec![0; usize::try_from(bytes).map_err(io::Error::other)?];
        let len = from.read_at(&mut copied, offset)?;
        self.write_at(&copied[..len], offset)?;
        Ok(len as u64)
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
    use crate::io::Disk;

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
