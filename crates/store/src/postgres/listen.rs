//! Hearing what other nodes say (`LISTEN`). Words are only wake-ups: what is lost while the connection is away costs time.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use std::future::poll_fn;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_postgres::{AsyncMessage, Client, Connection, NoTls};

use super::connect::{Connector, first_to_answer};
use crate::failure::DatabaseError as _;
use crate::{Epoch, Error, Word};

/// The channel of all nodes of a database.
pub(super) const CHANNEL: &str = "fanfold";

/// Words that wait to be heard at the most. More of them would only say again that there are news.
const WORDS_MAX: usize = 1_024;

/// The pauses between two tries to listen.
const RETRY: Duration = Duration::from_secs(1);

/// What was said, and by whom.
pub(super) type Said = (Epoch, Word);

/// Listens as long as it lives.
pub(super) struct Listener {
    /// The one task that listens; it ends with this.
    task: Mutex<JoinSet<()>>,
    words: tokio::sync::Mutex<mpsc::Receiver<Said>>,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").finish_non_exhaustive()
    }
}

impl Listener {
    pub(super) fn start(connector: Connector) -> Self {
        let (sender, words) = mpsc::channel(WORDS_MAX);
        let mut task = JoinSet::new();
        task.spawn(listen(connector, sender));
        Self { task: Mutex::new(task), words: tokio::sync::Mutex::new(words) }
    }

    /// The next word of another node than this one; waits for ever once nobody listens any more.
    pub(super) async fn word(&self, own: impl Fn() -> Epoch) -> Word {
        let mut words = self.words.lock().await;
        loop {
            match words.recv().await {
                Some((by, word)) if by != own() => return word,
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }

    pub(super) fn stop(&self) {
        self.task.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

async fn listen(connector: Connector, sender: mpsc::Sender<Said>) {
    loop {
        if let Err(error) = listen_once(&connector, &sender).await {
            tracing::debug!(%error, "cannot hear other nodes; the database is asked by itself meanwhile");
        }
        if sender.is_closed() {
            return;
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn listen_once(connector: &Connector, sender: &mpsc::Sender<Said>) -> Result<(), Error> {
    let hosts = connector.session();
    match &connector.tls {
        None => {
            let (client, connection) = connector.bounded(first_to_answer(&hosts, NoTls)).await?;
            hear(client, connection, sender).await
        }
        Some(tls) => {
            let (client, connection) = connector.bounded(first_to_answer(&hosts, tls.clone())).await?;
            hear(client, connection, sender).await
        }
    }
}

async fn hear<S, T>(client: Client, mut connection: Connection<S, T>, sender: &mpsc::Sender<Said>) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut hearing = std::pin::pin!(async {
        while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
            if let AsyncMessage::Notification(said) = message.map_err(|error| error.translate(false))?
                && let Some(said) = read(said.payload())
            {
                tell(sender, said);
            }
        }
        Ok(())
    });
    let listen = format!("LISTEN {CHANNEL}");
    tokio::select! {
        ended = &mut hearing => return ended,
        listening = client.batch_execute(&listen) => listening.map_err(|error| error.translate(false))?,
    }
    // Whatever was said before that is to be found now.
    tell(sender, (Epoch(0), Word::News));
    hearing.await
}

fn tell(sender: &mpsc::Sender<Said>, said: Said) {
    // Whoever does not keep up looks by itself.
    drop(sender.try_send(said));
}

/// A word as it is sent.
pub(super) fn written(by: Epoch, word: &Word) -> String {
    match word {
        Word::News => format!("{} news", by.0),
        Word::Lower(reference) => format!("{} lower {reference}", by.0),
    }
}

fn read(text: &str) -> Option<Said> {
    let (by, rest) = text.split_once(' ')?;
    let by = Epoch(by.parse().ok()?);
    match rest.split_once(' ') {
        None if rest == "news" => Some((by, Word::News)),
        Some(("lower", reference)) => Some((by, Word::Lower(reference.to_owned()))),
        None | Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_as_they_were_said() {
        for word in [Word::News, Word::Lower("a b\u{1}".to_owned()), Word::Lower(String::new())] {
            assert_eq!(read(&written(Epoch(7), &word)), Some((Epoch(7), word)));
        }
        for nonsense in ["", "7", "x news", "7 olds", "news 7"] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
    }
}
