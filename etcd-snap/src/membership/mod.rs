//! Who is in a cluster: the `initial-cluster` grammar, peer URLs, and the ids that follow from them.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

mod go_json;
mod go_url;
mod id;
mod new_cluster;
mod peer_url;
mod record;

pub(crate) use go_json::to_go_json;
pub use id::{ClusterId, MemberId};
pub use new_cluster::{NewCluster, NewMember};
pub use peer_url::{PeerUrl, PeerUrls};
pub(crate) use record::{ConfState, Member};
