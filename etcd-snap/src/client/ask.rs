//! One question and its answer, with the answer's own bytes.

use std::marker::PhantomData;
use std::time::Duration;

use http::uri::PathAndQuery;
use prost::Message;
use prost::bytes::Buf;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Response, Status, Streaming};

use super::maintenance::Member;
use crate::Result;

/// What a server answered: the message, and the bytes that it came in.
///
/// The bytes are protobuf. They hold what this version of the library does not know, too.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Answer<T> {
    /// The fields that we know.
    pub message: T,
    /// All of it, as it came.
    pub bytes: Vec<u8>,
}

impl<T> Answer<T> {
    pub(super) fn new(message: T, bytes: Vec<u8>) -> Self {
        Self { message, bytes }
    }
}

/// How large messages may be, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) request: usize,
    pub(super) answer: usize,
}

impl Sizes {
    /// As etcd's own clients have them: as much as servers take by default, with some room, and as much as gRPC can name.
    pub(super) const USUAL: Self = Self {
        request: 2 << 20,
        answer: i32::MAX as usize,
    };
}

impl Member {
    /// Asks what has one answer. `path` is the method's on the wire; `doing` reads like "report its status".
    pub(super) async fn ask<Q, A>(
        &self,
        doing: &str,
        path: &'static str,
        question: Q,
        limit: Duration,
        sizes: Sizes,
    ) -> Result<Result<Answer<A>, Status>>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let request = self.request(question);
        let mut grpc = self.grpc(sizes);
        let call = async move {
            ready(&mut grpc).await?;
            let path = PathAndQuery::from_static(path);
            grpc.unary(request, path, Kept::default()).await
        };
        Ok(self
            .within(limit, doing, call)
            .await?
            .map(Response::into_inner))
    }

    /// Asks what is answered in parts, and waits until the server takes the question.
    pub(super) async fn ask_for_stream<Q, A>(
        &self,
        doing: &str,
        path: &'static str,
        question: Q,
        limit: Duration,
        sizes: Sizes,
    ) -> Result<Result<Streaming<Answer<A>>, Status>>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let request = self.request(question);
        let mut grpc = self.grpc(sizes);
        let call = async move {
            ready(&mut grpc).await?;
            let path = PathAndQuery::from_static(path);
            grpc.server_streaming(request, path, Kept::default()).await
        };
        Ok(self
            .within(limit, doing, call)
            .await?
            .map(Response::into_inner))
    }

    fn grpc(&self, sizes: Sizes) -> Grpc<Channel> {
        Grpc::new(self.channel()).max_decoding_message_size(sizes.answer)
    }
}

/// An error here is that of a connection which is lost.
async fn ready(grpc: &mut Grpc<Channel>) -> Result<(), Status> {
    grpc.ready().await.map_err(|e| Status::from_error(e.into()))
}

/// Protobuf that keeps the bytes of what it reads.
struct Kept<Q, A>(PhantomData<(Q, A)>);

impl<Q, A> Default for Kept<Q, A> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<Q, A> Codec for Kept<Q, A>
where
    Q: Message + 'static,
    A: Message + Default + 'static,
{
    type Encode = Q;
    type Decode = Answer<A>;
    type Encoder = Writing<Q>;
    type Decoder = Reading<A>;

    fn encoder(&mut self) -> Self::Encoder {
        Writing(PhantomData)
    }

    fn decoder(&mut self) -> Self::Decoder {
        Reading(PhantomData)
    }
}

struct Writing<Q>(PhantomData<Q>);

impl<Q: Message> Encoder for Writing<Q> {
    type Item = Q;
    type Error = Status;

    fn encode(&mut self, question: Q, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        question
            .encode(to)
            .map_err(|e| Status::internal(e.to_string()))
    }
}

struct Reading<A>(PhantomData<A>);

impl<A: Message + Default> Decoder for Reading<A> {
    type Item = Answer<A>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Answer<A>>, Status> {
        let mut bytes = vec![0; from.remaining()];
        from.copy_to_slice(&mut bytes);
        match A::decode(bytes.as_slice()) {
            Ok(message) => Ok(Some(Answer::new(message, bytes))),
            Err(e) => Err(Status::internal(format!("the answer is no protobuf: {e}"))),
        }
    }
}
