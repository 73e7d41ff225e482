//! The network: connections as state machines, without a task of their own.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fanfold_engine::{Connecting, Network, Socket};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::scenario::Manner;
use crate::world::{Out, Place, Request, World};

/// A connection that was idle for longer may have been closed by the other side without our knowing yet.
const STALE_AFTER: Duration = Duration::from_secs(1);

/// All connections lead into one world.
#[derive(Debug)]
pub(crate) struct Net(pub(crate) Arc<World>);

struct Connection {
    world: Arc<World>,
    place: Place,
    input: Vec<u8>,
    /// How the request that is coming in is dealt with.
    manner: Option<Manner>,
    output: VecDeque<(Instant, Out)>,
    sleep: Option<Pin<Box<Sleep>>>,
    reader: Option<Waker>,
    /// Closed, for good or by force.
    over: Option<io::ErrorKind>,
    ended: bool,
    /// Whether it is closed while it is idle, without a word.
    closes_idle: bool,
    idle_since: Instant,
}

impl Network for Net {
    fn connect(&self, to: &str) -> Connecting {
        let place = match to.split(':').next().unwrap_or_default().strip_prefix('t') {
            Some(number) => Place::Target(number.parse().unwrap_or(0)),
            None => Place::Receiver,
        };
        let world = Arc::clone(&self.0);
        Box::pin(async move {
            let manner = world.manner(place, |next| matches!(next, Manner::RefuseConnection | Manner::NeverConnect));
            if manner == Manner::RefuseConnection {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            if manner == Manner::NeverConnect {
                return std::future::pending().await;
            }
            Ok(Box::new(Connection::new(world, place)) as Box<dyn Socket>)
        })
    }
}

impl Connection {
    fn new(world: Arc<World>, place: Place) -> Self {
        Self {
            world,
            place,
            input: Vec::new(),
            manner: None,
            output: VecDeque::new(),
            sleep: None,
            reader: None,
            over: None,
            ended: false,
            closes_idle: false,
            idle_since: Instant::now(),
        }
    }

    /// Takes octets in; tells how many.
    fn take(&mut self, octets: &[u8]) -> io::Result<usize> {
        if let Some(kind) = self.over {
            return Err(kind.into());
        }
        if self.ended {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let manner = match self.manner {
            Some(manner) => manner,
            None => {
                // These concern a connection that is yet to be made.
                let fits = |next| !matches!(next, Manner::RefuseConnection | Manner::NeverConnect);
                let manner = self.world.manner(self.place, fits);
                self.manner = Some(manner);
                if manner == Manner::ResetBefore {
                    self.over = Some(io::ErrorKind::ConnectionReset);
                    return Err(io::ErrorKind::ConnectionReset.into());
                }
                manner
            }
        };
        if manner == Manner::ResetDuring {
            self.over = Some(io::ErrorKind::ConnectionReset);
            return Ok((octets.len() / 2).max(1));
        }
        self.input.extend_from_slice(octets);
        if let Some(request) = parse(&mut self.input) {
            self.manner = None;
            self.answer(&request, manner);
        }
        Ok(octets.len())
    }

    fn answer(&mut self, request: &Request, manner: Manner) {
        let now = Instant::now();
        let stale = self.closes_idle && now.duration_since(self.idle_since) >= STALE_AFTER;
        let outs =
            if stale { vec![(Duration::ZERO, Out::Reset)] } else { self.world.answer(self.place, request, manner) };
        self.closes_idle = manner == Manner::ClosesIdle;
        self.output.extend(outs.into_iter().map(|(wait, out)| (now + wait, out)));
        self.idle_since = now;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if let Some(kind) = this.over {
                return Poll::Ready(Err(kind.into()));
            }
            if this.ended {
                return Poll::Ready(Ok(()));
            }
            let Some((due, _)) = this.output.front() else {
                this.reader = Some(cx.waker().clone());
                return Poll::Pending;
            };
            if *due > Instant::now() {
                let sleep = this.sleep.insert(Box::pin(tokio::time::sleep_until(*due)));
                if sleep.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                continue;
            }
            match this.output.pop_front() {
                Some((_, Out::Octets(octets))) => {
                    let count = octets.len().min(buf.remaining());
                    buf.put_slice(&octets[..count]);
                    if count < octets.len() {
                        this.output.push_front((Instant::now(), Out::Octets(octets[count..].to_vec())));
                    }
                    this.idle_since = Instant::now();
                    return Poll::Ready(Ok(()));
                }
                Some((_, Out::Close)) => this.ended = true,
                Some((_, Out::Reset)) => this.over = Some(io::ErrorKind::ConnectionReset),
                None => {}
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, _cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(self.get_mut().take(octets))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Socket for Connection {
    fn other_side_closed(&self) -> bool {
        self.ended || self.over.is_some()
    }
}

/// Takes a whole request out of what came in.
fn parse(input: &mut Vec<u8>) -> Option<Request> {
    let head_end = input.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&input[..head_end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (path, query) = (path.to_owned(), query.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
    let end = head_end + length.unwrap_or(0);
    if input.len() < end {
        return None;
    }
    let body = input[head_end..end].to_vec();
    input.drain(..end);
    Some(Request { method, path, query, headers, body })
}
