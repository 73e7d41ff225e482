//! A list that is written while it is read: its memory is one chunk, whatever its length.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use fanfold_core::dialect::{ListFormat, ListFrame, Mount};
use fanfold_core::{Operation, OperationId};
use fanfold_store::{Error, Filter, Read};
use futures_util::stream;
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};

use super::outcome::{BoxError, Stop};
use super::own::entry;
use super::page::{self, CHUNK};

/// Which operations are written, and how.
pub(super) struct Stream {
    pub(super) store: Arc<dyn Read>,
    pub(super) mount: Arc<Mount>,
    pub(super) format: ListFormat,
    pub(super) filter: Filter,
    pub(super) frame: ListFrame,
}

/// How far it is.
struct Progress {
    stream: Stream,
    /// What was read and is not yet written; `None` once the tail is written.
    chunk: Option<Vec<Operation>>,
    is_first: bool,
}

impl Stream {
    /// Reads the first chunk, and gives a body that goes on from there.
    ///
    /// # Errors
    /// If the store cannot be read. If that happens later, the body breaks off, so that nobody takes a part for the whole.
    pub(super) async fn start(self, after: Option<OperationId>) -> Result<UnsyncBoxBody<Bytes, BoxError>, Stop> {
        let chunk = self.read(after).await?;
        let progress = Progress { stream: self, chunk: Some(chunk), is_first: true };
        let pieces = stream::try_unfold(progress, |progress| async move {
            let piece = progress.next().await.inspect_err(|error| tracing::error!(%error, "a list breaks off"));
            Ok::<_, BoxError>(piece?.map(|(octets, progress)| (Frame::data(octets), progress)))
        });
        Ok(StreamBody::new(pieces).boxed_unsync())
    }

    async fn read(&self, after: Option<OperationId>) -> Result<Vec<Operation>, Error> {
        page::chunk(&*self.store, &self.filter, after, CHUNK).await
    }
}

impl Progress {
    /// Writes what was read, and reads on.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, BoxError> {
        let Some(chunk) = self.chunk.take() else { return Ok(None) };
        let mut octets = BytesMut::new();
        if self.is_first {
            octets.extend_from_slice(self.stream.frame.head.as_bytes());
        }
        for (at, operation) in chunk.iter().enumerate() {
            if at > 0 || !self.is_first {
                octets.extend_from_slice(self.stream.frame.separator.as_bytes());
            }
            octets.extend_from_slice(&entry(&self.stream.mount, self.stream.format, operation)?);
        }
        let rest = match chunk.last() {
            Some(last) if chunk.len() == CHUNK => self.stream.read(Some(last.id)).await?,
            _ => Vec::new(),
        };
        if rest.is_empty() {
            octets.extend_from_slice(self.stream.frame.tail.as_bytes());
        } else {
            self.chunk = Some(rest);
        }
        self.is_first = false;
        Ok(Some((octets.freeze(), self)))
    }
}
