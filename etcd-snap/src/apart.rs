//! Blocking work beside a future, which ends soon after the future is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::oneshot;

use crate::observe::{Observer, UnlessCancelled};
use crate::{Error, ErrorKind, Result};

/// Does the work in a thread of its own. The observer that it is given says "stop" once the future is gone.
pub(crate) async fn apart<T: Send + 'static>(
    observer: Arc<dyn Observer>,
    work: impl FnOnce(Arc<dyn Observer>) -> Result<T> + Send + 'static,
) -> Result<T> {
    let cancelled = Arc::new(AtomicBool::new(false));
    let _guard = CancelOnDrop(Arc::clone(&cancelled));
    let (result, outcome) = oneshot::channel();
    std::thread::Builder::new()
        .name("etcd-snap".to_owned())
        .spawn(move || {
            let observer = Arc::new(UnlessCancelled::new(observer, cancelled));
            // Nobody listens any more when the future was dropped.
            let _ = result.send(work(observer));
        })
        .map_err(|e| Error::new(ErrorKind::Io, "cannot start a thread").with_source(e))?;
    outcome.await.unwrap_or_else(|_| {
        Err(Error::new(
            ErrorKind::Io,
            "the thread that reads the snapshot died; this is a fault of etcd-snap",
        ))
    })
}

struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::observe::{Event, Phase, Silent, tell};

    #[test]
    fn work_hears_that_its_future_is_gone() {
        let (told, stopped) = mpsc::channel();
        let work = apart(Arc::new(Silent), move |observer| {
            loop {
                if let Err(error) = tell(observer.as_ref(), &Event::Started(Phase::Check)) {
                    told.send(error.kind()).unwrap();
                    return Err::<(), _>(error);
                }
                std::thread::yield_now();
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let late =
            runtime.block_on(async { tokio::time::timeout(Duration::from_millis(1), work).await });
        assert!(late.is_err());
        assert_eq!(stopped.recv().unwrap(), ErrorKind::Cancelled);
    }
}
