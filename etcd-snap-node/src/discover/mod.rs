//! Every etcd of a machine.

use std::time::SystemTime;

use crate::{Node, Result, Root};

/// Where to look.
#[derive(Debug, Clone)]
pub struct DiscoverOptions {
    pub(crate) root: Root,
    pub(crate) now: SystemTime,
}

impl Default for DiscoverOptions {
    fn default() -> Self {
        Self {
            root: Root::default(),
            now: SystemTime::now(),
        }
    }
}

impl DiscoverOptions {
    /// Looks at a machine's tree below this directory instead of this machine. Nothing is asked of this machine then: neither its
    /// processes nor its user database.
    #[must_use]
    pub fn with_root(mut self, root: Root) -> Self {
        self.root = root;
        self
    }

    /// The time by which certificates are judged. Now, unless set.
    #[must_use]
    pub fn with_now(mut self, now: SystemTime) -> Self {
        self.now = now;
        self
    }
}

/// Finds every etcd of a machine.
///
/// # Errors
/// `NotFound` where the root is none. What cannot be read or understood of a machine is a finding, not an error.
pub fn discover(options: &DiscoverOptions) -> Result<Node> {
    Ok(Node {
        schema: 1,
        root: options.root.directory().to_owned(),
        host: None,
        etcds: Vec::new(),
        findings: Vec::new(),
    })
}
