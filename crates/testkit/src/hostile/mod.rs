//! Clients and targets that mean harm: octets that a server must refuse without taking harm, and [`Rude`], a target that answers
//! without an end.

mod attacks;
mod rude;

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub use attacks::{Attack, attacks};
pub use rude::Rude;

/// What came back of an attack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// These answers, by their status codes, and then the end of the connection.
    Answered(Vec<u16>),
    /// Neither an answer nor the end of the connection, for as long as that may take.
    Hangs,
}

impl Attack {
    /// Sends it to this address, on a connection of its own, and waits for the end of that.
    ///
    /// # Errors
    /// If there is no connection to be had.
    pub async fn send(&self, address: &str, patience: Duration) -> io::Result<Outcome> {
        let exchange = async {
            let mut stream = TcpStream::connect(address).await?;
            let mut octets = self.octets.as_slice();
            let mut answer = Vec::new();
            let mut piece = vec![0; 16 * 1024];
            let (mut from, mut to) = stream.split();
            loop {
                // It goes on sending whatever is answered, as long as that is taken.
                tokio::select! {
                    sent = to.write(octets), if !octets.is_empty() => match sent {
                        Ok(sent) => octets = &octets[sent..],
                        Err(_) => octets = &[],
                    },
                    read = from.read(&mut piece) => match read {
                        Ok(read @ 1..) => answer.extend_from_slice(&piece[..read]),
                        // A connection that is reset has ended as well.
                        Ok(_) | Err(_) => return Ok(Outcome::Answered(statuses(&answer))),
                    },
                }
            }
        };
        timeout(patience, exchange).await.unwrap_or(Ok(Outcome::Hangs))
    }

    /// Whether that is what has to come of it: one answer, of the statuses that it may have.
    pub fn is_met_by(&self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Answered(statuses) if self.statuses.is_empty() => statuses.is_empty(),
            Outcome::Answered(statuses) => matches!(statuses[..], [status] if self.statuses.contains(&status)),
            Outcome::Hangs => false,
        }
    }
}

/// The status codes of the answers in these octets. No body that is answered here has a line that looks like the first one of
/// an answer.
fn statuses(octets: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(octets);
    let parts = text.split("HTTP/1.1 ").skip(1);
    parts.filter_map(|part| part.get(..3)?.parse().ok()).filter(|status| *status >= 200).collect()
}
