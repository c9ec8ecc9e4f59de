//! Questions to servers, which the observer can stop.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::process::waiting;
use crate::observe::tell;
use crate::{Observer, Result, network};

/// How long a wish to stop may go unheard.
const TICK: Duration = Duration::from_millis(100);

/// Runs the library's questions in this thread.
pub(super) struct Asking {
    runtime: Runtime,
    observer: Arc<dyn Observer>,
}

impl Asking {
    pub(super) fn new(observer: Arc<dyn Observer>) -> Result<Self> {
        let runtime = network::runtime()?;
        Ok(Self { runtime, observer })
    }

    /// Waits for an answer; `what` continues "waiting ...".
    pub(super) fn ask<T>(&self, what: &str, question: impl Future<Output = T>) -> Result<T> {
        self.runtime.block_on(async {
            let mut question = pin!(question);
            loop {
                match tokio::time::timeout(TICK, question.as_mut()).await {
                    Ok(answer) => return Ok(answer),
                    Err(_) => tell(self.observer.as_ref(), &waiting(what))?,
                }
            }
        })
    }
}
