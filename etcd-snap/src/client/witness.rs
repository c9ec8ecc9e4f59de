//! What the other side really said. Above it HTTP/2 only knows "connection error"; the first bytes and the TLS alert
//! say why.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

/// Bytes of an HTTP/2 frame header (RFC 9113, 4.1).
const FRAME_HEADER: usize = 9;
/// The frame that a server has to send first.
const SETTINGS: u8 = 4;

/// How a connection began.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Beginning {
    Http2,
    Http1,
    /// A TLS record where none was expected.
    Tls,
    Foreign,
    Closed,
    Failed(Failure),
}

/// An [`io::Error`] that can be kept: the original goes on to HTTP/2.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Failure {
    pub(crate) kind: io::ErrorKind,
    pub(crate) tls: Option<rustls::Error>,
    text: String,
}

impl Failure {
    pub(crate) fn of(error: &io::Error) -> Self {
        Self {
            kind: error.kind(),
            tls: error
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<rustls::Error>())
                .cloned(),
            text: error.to_string(),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}

/// Remembers the first bytes that a connection brings, and how it ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Witness(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    seen: Mutex<Seen>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Seen {
    head: Vec<u8>,
    end: Option<Beginning>,
}

impl Witness {
    /// Waits until it is clear what the other side speaks.
    pub(crate) async fn beginning(&self) -> Beginning {
        loop {
            let changed = self.0.changed.notified();
            if let Some(beginning) = self.judge() {
                return beginning;
            }
            changed.await;
        }
    }

    fn judge(&self) -> Option<Beginning> {
        let seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.head.as_slice() {
            [_, _, _, SETTINGS, _, 0, 0, 0, 0, ..] => Some(Beginning::Http2),
            [b'H', b'T', b'T', b'P', b'/', ..] => Some(Beginning::Http1),
            // An alert, or an answer to a handshake, of SSL 3.0 to TLS 1.3.
            [0x15 | 0x16, 3, ..] => Some(Beginning::Tls),
            head if head.len() >= FRAME_HEADER => Some(Beginning::Foreign),
            _ => seen.end.clone(),
        }
    }

    fn saw(&self, bytes: &[u8]) {
        {
            let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let room = FRAME_HEADER.saturating_sub(seen.head.len());
            if room == 0 {
                return;
            }
            seen.head.extend(bytes.iter().take(room));
        }
        self.0.changed.notify_waiters();
    }

    fn ended(&self, how: Beginning) {
        {
            let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.end.get_or_insert(how);
        }
        self.0.changed.notify_waiters();
    }
}

/// A connection with a witness.
pub(crate) struct Watched<S> {
    inner: S,
    witness: Witness,
}

impl<S> Watched<S> {
    pub(crate) fn new(inner: S, witness: Witness) -> Self {
        Self { inner, witness }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = ready!(Pin::new(&mut self.inner).poll_read(cx, buffer));
        match &result {
            Ok(()) => match buffer.filled().get(before..) {
                Some(bytes) if !bytes.is_empty() => self.witness.saw(bytes),
                _ => self.witness.ended(Beginning::Closed),
            },
            Err(e) => self.witness.ended(Beginning::Failed(Failure::of(e))),
        }
        Poll::Ready(result)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.inner).poll_write(cx, bytes));
        if let Err(e) = &result {
            self.witness.ended(Beginning::Failed(Failure::of(e)));
        }
        Poll::Ready(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, slices));
        if let Err(e) = &result {
            self.witness.ended(Beginning::Failed(Failure::of(e)));
        }
        Poll::Ready(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::{Beginning, Witness};

    #[test]
    fn the_first_bytes_tell_the_protocol() {
        for (head, expected) in [
            (
                &b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00"[..],
                Some(Beginning::Http2),
            ),
            (b"HTTP/1.1 400 Bad Request", Some(Beginning::Http1)),
            (b"\x15\x03\x01", Some(Beginning::Tls)),
            (b"220 mail.example ESMTP", Some(Beginning::Foreign)),
            (b"\x00\x00\x12\x04", None),
            (b"", None),
        ] {
            let witness = Witness::default();
            // Byte by byte: packets may be cut anywhere.
            head.iter().for_each(|byte| witness.saw(&[*byte]));
            assert_eq!(witness.judge(), expected, "{head:?}");
        }
    }

    #[test]
    fn an_end_counts_only_where_nothing_was_said() {
        let witness = Witness::default();
        witness.ended(Beginning::Closed);
        assert_eq!(witness.judge(), Some(Beginning::Closed));
        let witness = Witness::default();
        witness.saw(b"HTTP/1.1 ");
        witness.ended(Beginning::Closed);
        assert_eq!(witness.judge(), Some(Beginning::Http1));
    }
}
