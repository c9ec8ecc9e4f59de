//! Many questions at the same time.

use std::collections::BTreeMap;

use tokio::task::JoinSet;

use crate::{Error, ErrorKind, Result};

/// Does it all at the same time, and gives the results in the order of the works.
pub(crate) async fn together<T: Send + 'static>(
    works: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Result<Vec<T>> {
    let mut tasks = JoinSet::new();
    for (place, work) in works.into_iter().enumerate() {
        tasks.spawn(async move { (place, work.await) });
    }
    let mut done = BTreeMap::new();
    while let Some(joined) = tasks.join_next().await {
        let (place, result) = joined.map_err(|e| {
            Error::new(
                ErrorKind::Io,
                "the task that asks a member died; this is a fault of etcd-snap",
            )
            .with_source(e)
        })?;
        done.insert(place, result);
    }
    Ok(done.into_values().collect())
}
