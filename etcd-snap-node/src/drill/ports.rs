//! Free ports on loopback.

use std::net::{Ipv4Addr, TcpListener};

use crate::{Error, ErrorKind, Result};

/// A port that nobody listens at. It is kept from others until it is given away.
#[derive(Debug)]
pub(super) struct Port {
    listener: TcpListener,
    pub(super) number: u16,
}

impl Port {
    pub(super) fn reserve() -> Result<Self> {
        let failed = |e| {
            Error::new(
                ErrorKind::Io,
                "no free port was found on 127.0.0.1".to_owned(),
            )
            .with_source(e)
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let number = listener.local_addr().map_err(failed)?.port();
        Ok(Self { listener, number })
    }

    /// From here on it is anybody's, and so the server's that is started next; whether somebody was faster shows then.
    pub(super) fn give_away(self) {
        drop(self.listener);
    }
}
