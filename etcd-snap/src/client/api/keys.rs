//! Keys and values.

use prost::Message;
use tonic::Streaming;

use super::messages::{PutRequest, PutResponse, RangeRequest, RangeResponse, RangeStreamResponse};
use super::{Answer, Client};
use crate::Result;

const READING: &str = "read the keys";

impl Client {
    /// Reads a key, or a range of them, in one answer.
    ///
    /// # Errors
    /// Those of every question, see [`Client`].
    pub async fn range(&self, request: RangeRequest) -> Result<Answer<RangeResponse>> {
        self.ask(READING, "/etcdserverpb.KV/Range", request).await
    }

    /// Reads the same in parts, which servers from etcd 3.7 on can give: none of them has to hold the whole answer.
    ///
    /// # Errors
    /// Those of every question, see [`Client`]. Older servers answer with the `code` `Unimplemented`.
    pub async fn range_stream(&self, request: RangeRequest) -> Result<RangeStream<'_>> {
        self.fits(READING, &request)?;
        let path = "/etcdserverpb.KV/RangeStream";
        let stream = self
            .member
            .ask_for_stream(READING, path, request, self.timeout, self.sizes)
            .await?
            .map_err(|status| self.member.refused(READING, &status))?;
        Ok(RangeStream {
            client: self,
            stream,
        })
    }

    /// Writes one key.
    ///
    /// # Errors
    /// Those of every question, see [`Client`], and [`InvalidInput`](crate::ErrorKind::InvalidInput) for a value beyond
    /// [the limit](Self::with_max_request_bytes), with the details `size_bytes` and `limit_bytes`.
    pub async fn put(&self, request: PutRequest) -> Result<Answer<PutResponse>> {
        self.ask("write the key", "/etcdserverpb.KV/Put", request)
            .await
    }
}

/// The parts of an answer, as they come.
pub struct RangeStream<'a> {
    client: &'a Client,
    stream: Streaming<Answer<RangeStreamResponse>>,
}

impl RangeStream<'_> {
    /// The next part; `None` when that was all.
    ///
    /// # Errors
    /// Those of every question, see [`Client`]. The stream has ended then.
    pub async fn next(&mut self) -> Result<Option<Answer<RangeStreamResponse>>> {
        let member = &self.client.member;
        let next = async {
            let part = self.stream.message().await;
            part.map(tonic::Response::new)
        };
        let part = member.within(self.client.timeout, READING, next).await?;
        part.map(tonic::Response::into_inner)
            .map_err(|status| member.refused(READING, &status))
    }

    /// Waits for all parts, and puts them together to the one answer that they make.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn whole(mut self) -> Result<Answer<RangeResponse>> {
        let mut whole = RangeResponse::default();
        while let Some(part) = self.next().await? {
            let Some(part) = part.message.range_response else {
                continue;
            };
            whole.kvs.extend(part.kvs);
            whole.header = part.header.or(whole.header);
            whole.more |= part.more;
            if part.count != 0 {
                whole.count = part.count;
            }
        }
        let bytes = whole.encode_to_vec();
        Ok(Answer::new(whole, bytes))
    }
}
