//! What is written as the bytes come: it is all there, or it lacks its end and can be told from a snapshot.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use etcd_snap::{
    Cluster, Error, ErrorKind, Event, Observer, Phase, ProofKind, SaveOptions, SaveReport,
    Snapshot, Target, VerifyOptions, verify_stream,
};
use etcd_snap_testdata::database::{DatabaseBuilder, FreeContent, Image};
use etcd_snap_testdata::fake::{Fault, Running, Server};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::{Room, said, server, snapshot};

/// More than all buffers and pipes on the way hold.
fn large() -> Image {
    let builder = DatabaseBuilder::new(4096)
        .free_pages(6, FreeContent::Zero)
        .scattered(7);
    let builder = (1..=12).fold(builder, |builder, n| {
        builder.put(format!("large-{n}"), vec![n; 1 << 20])
    });
    builder.image()
}

fn cluster(server: &Running) -> Cluster {
    Cluster::new([server.endpoint()]).unwrap()
}

/// Keeps what is written to it.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Saves to a writer: what came of it, and what was written.
async fn to_writer(server: Server) -> (Result<SaveReport, Error>, Vec<u8>) {
    let server = server.start().unwrap();
    let shared = Shared::default();
    let target = Target::writer("the writer", shared.clone());
    let saved = etcd_snap::save(&cluster(&server), target, &SaveOptions::default()).await;
    let written = shared.0.lock().unwrap().clone();
    (saved, written)
}

fn fifo(room: &Room) -> PathBuf {
    let path = room.path().join("fifo");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    path
}

/// Reads all that comes out of it.
fn read(path: &Path) -> thread::JoinHandle<Vec<u8>> {
    let path = path.to_owned();
    thread::spawn(move || std::fs::read(path).unwrap())
}

#[tokio::test]
async fn a_writer_gets_what_the_server_sent() {
    let original = std::fs::read(snapshot()).unwrap();
    for chunk_bytes in [1000, 32 << 10, 1 << 20] {
        let (saved, written) = to_writer(server().with_chunk_bytes(chunk_bytes)).await;
        let saved = saved.unwrap();
        assert!(written == original);
        assert_eq!(saved.proof, ProofKind::Stream);
        assert_eq!((saved.path.as_ref(), saved.contents.as_ref()), (None, None));
        assert_eq!(saved.size_bytes, original.len() as u64);
        assert_eq!(saved.digest.as_bytes()[..], original[original.len() - 32..]);
        let json = serde_json::to_value(&saved).unwrap();
        assert_eq!(json["proof"], "stream");
        assert!(json["contents"].is_null() && json["path"].is_null());
        assert_eq!(serde_json::from_value::<SaveReport>(json).unwrap(), saved);
    }
}

#[tokio::test]
async fn a_pipe_gets_what_the_server_sent() {
    let image = large();
    let server = Server::serving_bytes(image.sealed()).start().unwrap();
    let room = Room::new();
    let path = fifo(&room);
    let reader = read(&path);
    let options = SaveOptions::default().with_no_clobber(true);
    let saved = etcd_snap::save(&cluster(&server), &path, &options)
        .await
        .unwrap();
    assert_eq!(
        (saved.proof, saved.path),
        (ProofKind::Stream, Some(path.clone()))
    );
    assert!(reader.join().unwrap() == image.sealed());
    assert_eq!(room.names(), ["fifo"]);
}

/// Sends every note and phase on.
struct Heard(Mutex<Sender<Event>>);

impl Heard {
    fn new() -> (Arc<Self>, Receiver<Event>) {
        let (sender, events) = channel();
        (Arc::new(Self(Mutex::new(sender))), events)
    }
}

impl Observer for Heard {
    fn event(&self, event: &Event) -> ControlFlow<()> {
        let _ = self.0.lock().unwrap().send(event.clone());
        ControlFlow::Continue(())
    }
}

/// Nothing is asked of the server before: it would have to keep its pages.
#[tokio::test]
async fn a_pipe_without_a_reader_waits_for_one() {
    let room = Room::new();
    let path = fifo(&room);
    let (heard, events) = Heard::new();
    let reader = thread::spawn({
        let path = path.clone();
        move || {
            let first = events.recv().unwrap();
            assert!(
                matches!(&first, Event::Note(note) if note.contains("waiting for somebody to read")),
                "{first:?}"
            );
            std::fs::read(path).unwrap()
        }
    });
    let server = server().start().unwrap();
    let options = SaveOptions::default().with_observer(heard);
    etcd_snap::save(&cluster(&server), &path, &options)
        .await
        .unwrap();
    assert!(reader.join().unwrap() == std::fs::read(snapshot()).unwrap());
}

#[tokio::test]
async fn what_is_not_proven_lacks_its_end() {
    let whole = std::fs::read(snapshot()).unwrap();
    for (fault, kind) in [
        (Fault::WrongDigest, ErrorKind::DigestMismatch),
        (Fault::FlipByte(50_000), ErrorKind::DigestMismatch),
        (Fault::NoDigest, ErrorKind::Stream),
        (Fault::DoubledDigest, ErrorKind::Stream),
        (Fault::ShortDigest(31), ErrorKind::Stream),
        (Fault::EndAfter(64 << 10), ErrorKind::Stream),
    ] {
        let name = format!("{fault:?}");
        let (saved, written) = to_writer(server().with_fault(fault)).await;
        let error = saved.unwrap_err();
        assert_eq!(error.kind(), kind, "{name}: {error}");
        // Whoever takes it for a snapshot all the same hears that it is none.
        assert!(written.len() <= whole.len() - 32 - 512, "{name}");
        let judged = Snapshot::from_source("it", Arc::new(written))
            .and_then(|snapshot| etcd_snap::verify(&snapshot, &VerifyOptions::default()))
            .and_then(etcd_snap::VerifyReport::into_proven);
        let kind = judged.unwrap_err().kind();
        assert!(
            matches!(kind, ErrorKind::Damaged | ErrorKind::NotASnapshot),
            "{name}: {kind:?}"
        );
    }
}

/// A damaged page may be a free one. Who walks the tree knows; who sees a stream must be careful.
#[tokio::test]
async fn a_page_that_may_be_free_decides_about_a_stream_and_not_about_a_file() {
    let mut image = large();
    let size = image.page_size();
    let free = (2..image.current().high_water_mark)
        .find(|id| image.bytes()[*id as usize * size..][..8] == [0; 8])
        .expect("there are free pages");
    let page = image.page(free);
    image.set_page_id(page, free);
    image.set_flags(page, 2);
    image.set_count(page, 1);

    let (saved, written) = to_writer(Server::serving_bytes(image.sealed())).await;
    let error = saved.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
    assert_eq!(error.page().map(|page| page.get()), Some(free), "{error}");
    // It was seen before it was sent.
    assert!(written.len() as u64 <= free * size as u64);

    let server = Server::serving_bytes(image.sealed()).start().unwrap();
    let room = Room::new();
    let saved = etcd_snap::save(&cluster(&server), room.target(), &SaveOptions::default())
        .await
        .unwrap();
    assert_eq!(saved.proof, ProofKind::Full);
    let report = verify_stream("it", &image.sealed()[..], &VerifyOptions::default()).unwrap();
    assert!(!report.is_sound());
}

type Harm = fn(&mut Image);

/// The server goes silent in the middle, and nobody would wait for the hour that it may.
#[tokio::test]
async fn what_the_metas_say_ends_the_transfer_at_once() {
    let harms: [(&str, Harm); 4] = [
        ("a meta page", |image| image.break_meta(0)),
        ("the high-water mark", |image| {
            image.set_metas(|meta| meta.high_water_mark += 1);
        }),
        ("the root page", |image| {
            let root = image.page(image.current().root);
            image.set_page_id(root, 77);
        }),
        ("the kind of the root", |image| {
            let root = image.page(image.current().root);
            image.set_flags(root, 0x10);
            image.set_count(root, 0);
        }),
    ];
    let options = SaveOptions::default().with_stall_timeout(Duration::from_secs(3600));
    for (what, harm) in harms {
        let mut image = large();
        let root = image.current().root as usize;
        assert!(root * image.page_size() < 12 << 20, "it comes in time");
        harm(&mut image);
        let server = Server::serving_bytes(image.sealed())
            .with_fault(Fault::SilentAfter(image.bytes().len() - 40_000))
            .start()
            .unwrap();
        let room = Room::new();
        for target in [
            Target::from(room.target()),
            Target::writer("the writer", io::sink()),
        ] {
            let error = etcd_snap::save(&cluster(&server), target, &options)
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Damaged, "{what}: {error}");
            assert!(error.offset().is_some(), "{what}: {error}");
        }
        assert_eq!(room.names(), [""; 0]);
    }
}

/// Whether it has sent something before it went silent, or nothing at all.
#[tokio::test]
async fn a_reader_that_goes_away_ends_the_save_though_the_server_is_silent() {
    let options = SaveOptions::default().with_stall_timeout(Duration::from_secs(3600));
    for silent_after in [0, 3 << 20] {
        let server = Server::serving_bytes(large().sealed())
            .with_fault(Fault::SilentAfter(silent_after))
            .start()
            .unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        let (heard, events) = Heard::new();
        let leaver = thread::spawn(move || {
            let receiving = |event: &Event| *event == Event::Started(Phase::Receive);
            events.iter().find(receiving).unwrap();
            let mut some = vec![0; silent_after.min(100_000)];
            reader.read_exact(&mut some).unwrap();
        });
        let target = Target::descriptor("the pipe", writer);
        let options = options.clone().with_observer(heard);
        let error = etcd_snap::save(&cluster(&server), target, &options)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        assert!(
            said(&error).contains("whoever read from the pipe went away"),
            "{error}"
        );
        leaver.join().unwrap();
    }
}

/// The thread lets go of the pipe: its reader hears that nothing more comes.
#[tokio::test]
async fn a_dropped_save_lets_go_of_the_pipe() {
    let whole = large().sealed();
    let server = Server::serving_bytes(whole.clone()).start().unwrap();
    let room = Room::new();
    let path = fifo(&room);
    // Opened for reading and not read: the pipe is full soon.
    let reader = thread::spawn({
        let path = path.clone();
        move || File::open(path).unwrap()
    });
    let (heard, events) = Heard::new();
    let options = SaveOptions::default().with_observer(heard);
    {
        let cluster = cluster(&server);
        let mut save = Box::pin(etcd_snap::save(&cluster, &path, &options));
        let full = || {
            events.try_iter().any(
                |event| matches!(event, Event::Progress { done_bytes, .. } if done_bytes >= 4 << 20),
            )
        };
        std::future::poll_fn(|cx| {
            assert!(save.as_mut().poll(cx).is_pending());
            if full() {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;
    }
    let mut read = Vec::new();
    reader.join().unwrap().read_to_end(&mut read).unwrap();
    assert!(read.len() < whole.len() - 32 - 512);
    assert!(whole.starts_with(&read));
}

#[tokio::test]
async fn what_cannot_be_written_to_says_why() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let server = server().start().unwrap();
    for target in [Target::from("/dev/full"), Target::writer("the tape", Full)] {
        let name = format!("{target:?}");
        let error = etcd_snap::save(&cluster(&server), target, &SaveOptions::default())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{name}: {error}");
        assert!(said(&error).contains("cannot write to"), "{name}: {error}");
    }
    let saved = etcd_snap::save(&cluster(&server), "/dev/null", &SaveOptions::default())
        .await
        .unwrap();
    assert_eq!(saved.proof, ProofKind::Stream);
}
