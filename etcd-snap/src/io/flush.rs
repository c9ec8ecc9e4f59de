//! Brings a large file to the disk while it is still being written, so that little is left to wait for at the end.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::NewFile;

/// Bytes between two times that the disk is asked: a copy of some gigabytes became a quarter faster.
const EVERY: u64 = 64 << 20;

/// Syncs a file now and then, on a thread that a small file never gets.
pub(crate) struct Flusher {
    file: Arc<dyn NewFile>,
    every: u64,
    since_last: u64,
    thread: Option<(SyncSender<()>, JoinHandle<io::Result<()>>)>,
}

impl Flusher {
    pub(crate) fn new(file: &Arc<dyn NewFile>) -> Self {
        Self::with_distance(file, EVERY)
    }

    fn with_distance(file: &Arc<dyn NewFile>, every: u64) -> Self {
        Self {
            file: Arc::clone(file),
            every,
            since_last: 0,
            thread: None,
        }
    }

    /// So many bytes more were written.
    pub(crate) fn wrote(&mut self, bytes: u64) {
        self.since_last = self.since_last.saturating_add(bytes);
        if self.since_last < self.every {
            return;
        }
        self.since_last = 0;
        if self.thread.is_none() {
            self.thread = self.start();
        }
        if let Some((orders, _)) = &self.thread {
            // A thread that is still busy takes the rest with its next order.
            let _ = orders.try_send(());
        }
    }

    /// Nothing more is written, but not everything is done yet: what is left goes to the disk meanwhile.
    pub(crate) fn wrote_last(&mut self) {
        if self.thread.is_some() {
            self.since_last = self.every;
            self.wrote(0);
        }
    }

    /// Without a thread all is done at the end.
    fn start(&self) -> Option<(SyncSender<()>, JoinHandle<io::Result<()>>)> {
        let (orders, inbox) = sync_channel(1);
        let file = Arc::clone(&self.file);
        let work = move || inbox.iter().try_for_each(|()| file.flush());
        let thread = std::thread::Builder::new()
            .name("etcd-snap-flush".to_owned())
            .spawn(work);
        thread.ok().map(|thread| (orders, thread))
    }

    /// Everything is on the disk then.
    ///
    /// # Errors
    /// What any of the syncs said: a failure is told once, and a later sync knows nothing of it.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.stop()?;
        self.file.sync()
    }

    fn stop(&mut self) -> io::Result<()> {
        let Some((orders, thread)) = self.thread.take() else {
            return Ok(());
        };
        drop(orders);
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Flusher {
    /// The file may be removed next: nobody should be writing to it then.
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::faulty::{Fault, FaultyDisk};
    use crate::io::{ReadAt as _, Storage as _};

    /// The first step makes the file.
    fn write_with_fault(failing: u64) -> (io::Result<()>, u64) {
        let folder = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::new(failing, Fault::Once);
        let file = disk.create_file(&folder.path().join("file")).unwrap();
        let mut flusher = Flusher::with_distance(&file, 10);
        for n in 0..3_u64 {
            flusher.wrote(5);
            flusher.wrote(n);
        }
        flusher.wrote(10);
        let finished = flusher.finish();
        assert_eq!(file.size().unwrap(), 0);
        (finished, disk.steps())
    }

    #[test]
    fn a_failure_on_the_way_is_the_failure_of_the_whole() {
        let (finished, steps) = write_with_fault(u64::MAX);
        finished.unwrap();
        assert!(steps >= 3, "{steps}");
        // Made, then flushed for the first time.
        let (failed, _) = write_with_fault(1);
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn a_small_file_is_synced_once() {
        let folder = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::new(u64::MAX, Fault::Once);
        let file = disk.create_file(&folder.path().join("file")).unwrap();
        let mut flusher = Flusher::new(&file);
        flusher.wrote(1 << 20);
        flusher.finish().unwrap();
        assert_eq!(disk.steps(), 2);
    }
}
