//! What clients and the save have in common: the chunks between them, and the words in which servers refuse to send any.

mod arrivals;
mod choice;
mod chunk;
#[cfg(any(feature = "client", feature = "etcd-client"))]
mod refusal;

pub(crate) use arrivals::Arrivals;
pub use choice::{EndpointPolicy, PassedOver, PassedOverReason};
pub use chunk::Chunk;
#[cfg(any(feature = "client", feature = "etcd-client"))]
pub(crate) use refusal::missing_right;
