//! A body that lets its bytes out slowly.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::time::Sleep;

use super::Pace;

pub(super) struct Paced<B> {
    body: B,
    pace: Option<Pace>,
    waiting: Bytes,
    sleep: Option<Pin<Box<Sleep>>>,
    sent: usize,
}

impl<B> Paced<B> {
    pub(super) fn new(body: B, pace: Option<Pace>) -> Self {
        Self {
            body,
            pace,
            waiting: Bytes::new(),
            sleep: None,
            sent: 0,
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Paced<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.waiting.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.waiting = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end),
            }
        }
        let Some(pace) = self.pace.filter(|pace| self.sent < pace.for_bytes) else {
            let all = std::mem::take(&mut self.waiting);
            return Poll::Ready(Some(Ok(Frame::data(all))));
        };
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(pace.every)));
        ready!(sleep.as_mut().poll(cx));
        self.sleep = None;
        let length = pace.piece_bytes.max(1).min(self.waiting.len());
        self.sent += length.max(1);
        let piece = self.waiting.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}
