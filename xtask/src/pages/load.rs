//! Acceptances in the background, as many each second as are asked for, or as many as go.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use fanfold_testkit::{Http, RawConnection};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

/// Connections that submit.
const CLIENTS: u64 = 16;

/// How long the calibration submits as fast as it goes.
const CALIBRATION: Duration = Duration::from_secs(5);

/// How often it is asked what has not ended.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// How long the work of the calibration may take.
const ALL_ENDED: Duration = Duration::from_secs(300);

/// Clients that submit until this is dropped.
pub(super) struct Load {
    clients: JoinSet<Result<()>>,
    accepted: Arc<AtomicU64>,
    since: Instant,
}

impl Load {
    /// `rate`: operations each second, of all clients together; `None`: as many as go. `run` tells one load's operations from
    /// those of others.
    pub(super) async fn start(http: &Http, rate: Option<u64>, run: &'static str) -> Self {
        let accepted = Arc::new(AtomicU64::new(0));
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let connection = http.open().await;
            let accepted = Arc::clone(&accepted);
            let every = rate.map(|rate| Duration::from_micros(1_000_000 * CLIENTS / rate.max(1)));
            clients.spawn(submit(connection, every, accepted, format!("{run}-{client}")));
        }
        Self { clients, accepted, since: Instant::now() }
    }

    /// Operations accepted each second so far. Fails if a client has.
    pub(super) fn rate(&mut self) -> Result<f64> {
        if let Some(ended) = self.clients.try_join_next() {
            ended??;
            bail!("a client of the background load has stopped");
        }
        Ok(self.accepted.load(Ordering::Relaxed) as f64 / self.since.elapsed().as_secs_f64())
    }
}

async fn submit(
    mut connection: RawConnection,
    every: Option<Duration>,
    accepted: Arc<AtomicU64>,
    run: String,
) -> Result<()> {
    let mut pace = tokio::time::interval(every.unwrap_or(Duration::from_nanos(1)));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0_u64.. {
        if every.is_some() {
            pace.tick().await;
        }
        let request = format!(
            "PUT /load/{run}/{number} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n{{\"size\": 1}}"
        );
        connection.send(request.as_bytes()).await;
        let answer = connection.answer().await;
        if answer.status != 202 {
            bail!("not accepted: {} {}", answer.status, answer.text());
        }
        accepted.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Operations each second that the server accepts and brings to their end.
pub(super) async fn top_rate(http: &Http) -> Result<f64> {
    let before = open(http).await?;
    let mut load = Load::start(http, None, "calibration").await;
    tokio::time::sleep(CALIBRATION).await;
    load.rate()?;
    let (accepted, since) = (load.accepted.load(Ordering::Relaxed), load.since);
    drop(load);
    let ended = async {
        // One that was on its way when the load stopped may have come in all the same.
        while open(http).await? > before {
            tokio::time::sleep(ASK_EVERY).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(ALL_ENDED, ended).await.context("the work of the calibration does not end")??;
    Ok(accepted as f64 / since.elapsed().as_secs_f64())
}

/// Operations that have not ended.
async fn open(http: &Http) -> Result<u64> {
    let answer = http.get("/api/v1/status").await;
    let status = answer.json();
    let of = |name: &str| status["operations"][name].as_u64().unwrap_or(0);
    Ok(of("unexecuted") + of("executing"))
}
