//! A channel that notes when bytes of an answer come, message or part of one.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use tower_service::Service;

use crate::stream::Arrivals;

#[derive(Clone)]
pub(crate) struct Counted<C> {
    channel: C,
    arrivals: Arrivals,
}

impl<C> Counted<C> {
    pub(crate) fn new(channel: C, arrivals: Arrivals) -> Self {
        Self { channel, arrivals }
    }
}

impl<C, Q, R> Service<http::Request<Q>> for Counted<C>
where
    C: Service<http::Request<Q>, Response = http::Response<R>>,
    C::Future: Send + 'static,
{
    type Response = http::Response<CountedBody<R>>;
    type Error = C::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, C::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.channel.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Q>) -> Self::Future {
        let arrivals = self.arrivals.clone();
        let answer = self.channel.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            Ok(answer.map(|body| CountedBody { body, arrivals }))
        })
    }
}

pub(crate) struct CountedBody<B> {
    body: B,
    arrivals: Arrivals,
}

impl<B: Body + Unpin> Body for CountedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && frame.is_data()
        {
            self.arrivals.bytes_came();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
