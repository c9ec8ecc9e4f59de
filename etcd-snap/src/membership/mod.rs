//! Who is in a cluster: the `initial-cluster` grammar, peer URLs, and the ids that follow from them.

mod id;

pub use id::{ClusterId, MemberId};
