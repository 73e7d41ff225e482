//! Streams of events of the server, read event by event, and gone on with where they broke off.

use std::collections::VecDeque;
use std::time::Duration;

use fanfold_core::OperationId;
use fanfold_core::dialect::native::{LiveEntry, operation_path};
use http::header::{ACCEPT, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout};

use super::Call;
use super::api::Api;
use crate::failure::Failure;
use crate::output::say;

/// How long a server that is not there any more is looked for: it may be restarting.
const RECONNECT_FOR: Duration = Duration::from_secs(60);

/// The pause between two looks.
const RECONNECT_EVERY: Duration = Duration::from_secs(1);

/// The server sends something every 15 s; one that is silent for longer than this is taken for gone.
const SILENCE: Duration = Duration::from_secs(45);

/// How often it does. A stream that has lasted for as long has not only begun.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The longest line of a stream, in octets: a request or an answer with all its fields fits in.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A stream of events, of one operation or of all.
#[derive(Debug)]
pub(crate) struct Events<'a> {
    api: &'a Api,
    path: String,
    /// With what the stream is gone on with.
    last_id: Option<HeaderValue>,
    body: Option<Incoming>,
    reader: Reader,
    begun_at: Instant,
    lost_at: Option<Instant>,
}

/// An event as it came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Message {
    event: String,
    data: String,
}

/// Something from a stream.
#[derive(Debug)]
pub(crate) enum Told {
    /// An event of an operation, and the same as it came.
    Event(Box<LiveEntry>, String),
    /// Events may be missing here: their operations were deleted.
    Gap,
}

/// Takes a stream apart (HTML standard, section 9.2.6).
#[derive(Debug, Default)]
struct Reader {
    line: Vec<u8>,
    /// Whether the last octet was a CR, whose LF belongs to it.
    after_cr: bool,
    message: Message,
    has_data: bool,
    /// What the event that is being read sets, once all of it is there.
    next_id: Option<String>,
    id: Option<String>,
    messages: VecDeque<Message>,
}

impl<'a> Events<'a> {
    /// What happened to one operation, and happens until it has ended.
    pub(crate) fn of(api: &'a Api, id: OperationId) -> Self {
        Self::at(api, format!("{}/events", operation_path(id)))
    }

    /// What happens to all operations from now on.
    pub(crate) fn of_all(api: &'a Api) -> Self {
        Self::at(api, "/api/v1/events".to_owned())
    }

    fn at(api: &'a Api, path: String) -> Self {
        Self {
            api,
            path,
            last_id: None,
            body: None,
            reader: Reader::default(),
            begun_at: Instant::now(),
            lost_at: None,
        }
    }

    /// The next event; `None` once the operation has ended. A server that is gone is looked for.
    pub(crate) async fn next(&mut self) -> Result<Option<Told>, Failure> {
        loop {
            if let Some(message) = self.reader.messages.pop_front() {
                match message.event.as_str() {
                    "end" => return Ok(None),
                    "gap" => return Ok(Some(Told::Gap)),
                    _ => {
                        let entry = self.api.parse_text(&message.data)?;
                        return Ok(Some(Told::Event(entry, message.data)));
                    }
                }
            }
            match self.read_on().await {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(failure) => {
                    self.body = None;
                    wait_for_server(failure, &mut self.lost_at).await?;
                }
            }
        }
    }

    /// Reads a piece of the stream. `false`: there is nothing more to come.
    async fn read_on(&mut self) -> Result<bool, Failure> {
        let body = match &mut self.body {
            Some(body) => body,
            None => match self.connect().await? {
                Some(body) => self.body.insert(body),
                None => return Ok(false),
            },
        };
        let broken = |cause: String| self.api.client().no_answer(cause);
        let frame = timeout(SILENCE, body.frame()).await;
        let frame = frame.map_err(|_| broken(format!("the stream is silent for {} s", SILENCE.as_secs())))?;
        // A server that stops ends its streams, and comes back.
        let frame = frame.ok_or_else(|| broken("the stream ended".to_owned()))?;
        let frame = frame.map_err(|error| broken(format!("the stream broke off: {error}")))?;
        let Ok(octets) = frame.into_data() else { return Ok(true) };
        self.reader.read(&octets).map_err(|()| broken(format!("a line is longer than {LINE_BYTES_MAX} bytes")))?;
        let known = self.last_id.clone();
        if let Some(id) = self.reader.id.take() {
            self.last_id = HeaderValue::try_from(id).ok();
        }
        if is_back(known.as_ref(), self.last_id.as_ref(), self.begun_at.elapsed()) {
            self.lost_at = None;
        }
        Ok(true)
    }

    async fn connect(&mut self) -> Result<Option<Incoming>, Failure> {
        self.reader = Reader::default();
        let mut call = Call::new(Method::GET, self.path.clone());
        call.headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        if let Some(id) = &self.last_id {
            call.headers.insert(HeaderName::from_static("last-event-id"), id.clone());
        }
        let (status, body) = self.api.open(call).await?;
        self.begun_at = Instant::now();
        Ok((status != StatusCode::NO_CONTENT).then_some(body))
    }
}

/// Whether a server that was lost is there again: its stream got on, or lasts. That it begins is not enough, because one that
/// breaks off each time would be looked for for ever.
fn is_back(known: Option<&HeaderValue>, latest: Option<&HeaderValue>, lasted: Duration) -> bool {
    (known.is_some() && known != latest) || lasted >= HEARTBEAT
}

/// Waits a moment if the server may be restarting; else the failure stays one.
pub(super) async fn wait_for_server(failure: Failure, lost_at: &mut Option<Instant>) -> Result<(), Failure> {
    let may_come_back = matches!(
        failure,
        Failure::Unreachable { .. } | Failure::NoAnswer { .. } | Failure::Refused { status: 500.., .. }
    );
    let since = *lost_at.get_or_insert_with(|| {
        if may_come_back {
            say(&format!("{failure} (trying again for {} s)", RECONNECT_FOR.as_secs()));
        }
        Instant::now()
    });
    if !may_come_back || since.elapsed() >= RECONNECT_FOR {
        return Err(failure);
    }
    tokio::time::sleep(RECONNECT_EVERY).await;
    Ok(())
}

impl Reader {
    /// Takes in a piece of the stream. The error: a line is too long.
    fn read(&mut self, octets: &[u8]) -> Result<(), ()> {
        for octet in octets {
            let is_second_half = std::mem::replace(&mut self.after_cr, *octet == b'\r') && *octet == b'\n';
            match octet {
                b'\n' if is_second_half => {}
                b'\r' | b'\n' => self.end_line(),
                _ if self.line.len() >= LINE_BYTES_MAX => return Err(()),
                octet => self.line.push(*octet),
            }
        }
        Ok(())
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        if line.is_empty() {
            self.end_message();
            return;
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.message.event),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.message.data.push('\n');
                }
                self.message.data.push_str(value);
            }
            "id" if !value.contains('\0') => self.next_id = Some(value.to_owned()),
            // Comments, the pause before coming again, and what later versions may add.
            _ => {}
        }
    }

    fn end_message(&mut self) {
        let message = std::mem::take(&mut self.message);
        self.id = self.next_id.take().or(self.id.take());
        if std::mem::take(&mut self.has_data) {
            self.messages.push_back(message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_only_begins_is_not_there_again() {
        let id = |text| HeaderValue::from_static(text);
        for (known, latest, lasted, back) in [
            (None, None, 0, false),
            (None, Some("7"), 0, false),
            (Some("7"), Some("7"), 0, false),
            (Some("7"), Some("8"), 0, true),
            (Some("7"), Some("7"), 14, false),
            (Some("7"), Some("7"), 15, true),
            (None, Some("7"), 15, true),
        ] {
            let (known, latest) = (known.map(id), latest.map(id));
            assert_eq!(
                is_back(known.as_ref(), latest.as_ref(), Duration::from_secs(lasted)),
                back,
                "{known:?} {latest:?}"
            );
        }
    }

    #[test]
    fn a_stream_is_taken_apart_wherever_it_is_cut() {
        let text = "retry: 2000\r\nid: 6\r\n\r\n:\n\nid: 7\rdata: a\rdata:b\revent: x\r\rid: 8\nevent:y\ndata\n\nid: 9\ndata: cut off";
        let message = |event: &str, data: &str| Message { event: event.to_owned(), data: data.to_owned() };
        for size in 1..text.len() {
            let mut reader = Reader::default();
            text.as_bytes().chunks(size).for_each(|piece| reader.read(piece).unwrap());
            assert_eq!(reader.messages, [message("x", "a\nb"), message("y", "")], "in pieces of {size}");
            assert_eq!(reader.id.as_deref(), Some("8"));
        }
    }
}
