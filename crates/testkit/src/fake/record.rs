//! What reached a fake target.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::patience::patiently;
use crate::wire::{Fields, field};

/// One request as it was received.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its number at this target, counted from 0.
    pub number: usize,
    /// The connection it came on, counted from 0.
    pub connection: u64,
    /// The method.
    pub method: String,
    /// Path and query as they stood on the request line.
    pub uri: String,
    /// The fields in order; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// When its last byte was read.
    pub at: Instant,
    /// Whether the target did what was asked: it answered 2xx, or it did it without saying so.
    pub applied: bool,
}

impl Seen {
    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.uri.split('?').next().unwrap_or_default()
    }

    /// The value of a query parameter, as it stands there.
    pub fn query(&self, name: &str) -> Option<&str> {
        let (_, query) = self.uri.split_once('?')?;
        query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name)).map(|(_, value)| value)
    }

    /// The first field of this name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        field(&self.headers, name)
    }

    /// The body as JSON. Panics if it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    /// The body as text, as far as it is.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

#[derive(Debug)]
pub(crate) struct Record {
    seen: Mutex<Vec<Seen>>,
    /// Counts requests.
    count: watch::Sender<usize>,
    /// Counts connections: made, and open now.
    connections: watch::Sender<(u64, u64)>,
}

/// Counts as an open connection until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenConnection<'a> {
    record: &'a Record,
    pub(crate) number: u64,
}

impl Default for Record {
    fn default() -> Self {
        Self { seen: Mutex::default(), count: watch::Sender::new(0), connections: watch::Sender::new((0, 0)) }
    }
}

impl Record {
    pub(crate) fn connected(&self) -> OpenConnection<'_> {
        let mut number = 0;
        self.connections.send_modify(|(made, open)| {
            number = *made;
            *made += 1;
            *open += 1;
        });
        OpenConnection { record: self, number }
    }

    pub(crate) fn add(&self, connection: u64, method: &str, uri: &str, headers: Fields, body: Bytes) -> Seen {
        let mut seen = self.lock();
        let one = Seen {
            number: seen.len(),
            connection,
            method: method.to_owned(),
            uri: uri.to_owned(),
            headers,
            body,
            at: Instant::now(),
            applied: false,
        };
        seen.push(one.clone());
        one
    }

    /// Notes whether the request was applied. Only from here on it counts as received, so that who waits for it sees all of it.
    pub(crate) fn decided(&self, number: usize, applied: bool) {
        self.lock()[number].applied = applied;
        self.count.send_modify(|count| *count += 1);
    }

    pub(crate) fn all(&self) -> Vec<Seen> {
        self.lock().clone()
    }

    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Seen> {
        let mut received = self.count.subscribe();
        let enough = async { received.wait_for(|received| *received >= count).await.map(|_| ()) };
        let enough = patiently(enough, || format!("for {count} requests; there were {:?}", self.all())).await;
        enough.expect("the record outlives those who wait for it");
        self.all()
    }

    pub(crate) fn connections(&self) -> u64 {
        self.connections.borrow().0
    }

    pub(crate) async fn wait_until_left_alone(&self) {
        let mut connections = self.connections.subscribe();
        let alone = async { connections.wait_for(|(_, open)| *open == 0).await.map(|_| ()) };
        let alone = patiently(alone, || "for all connections to be closed".to_owned()).await;
        alone.expect("the record outlives those who wait for it");
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.record.connections.send_modify(|(_, open)| *open -= 1);
    }
}
