//! Letting the others hear of what this node has recorded: in words that may be lost, so that nothing waits for them.

use std::sync::Arc;
use std::time::Duration;

use fanfold_store::Word;

use crate::members::Members;

/// The pause after a word: what comes meanwhile is said together.
const PAUSE: Duration = Duration::from_millis(20);

/// How long a word may take; then it is lost.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs until the engine has stopped.
pub(super) async fn run(members: Arc<Members>) {
    let mut lowers = members.lowers_to_say.lock().await;
    loop {
        let word = tokio::select! {
            () = members.news.notified() => Word::News,
            Some(reference) = lowers.recv() => Word::Lower(reference),
        };
        match tokio::time::timeout(PATIENCE, members.nodes.say(word)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the other nodes could not be told; they look by themselves"),
            Err(_) => tracing::debug!("the other nodes could not be told in time; they look by themselves"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
