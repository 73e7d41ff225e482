//! Clients: they ask for operations, again and again or once.

use std::time::Duration;

use bytes::Bytes;
use fanfold_core::dialect::{Mount, Refusal};
use fanfold_core::plan::DialectName;
use fanfold_core::route::{Found, Handling, Incoming};
use fanfold_core::{Headers, OperationId};
use fanfold_engine::{AcceptRequest, Engine, RetryRequest};

use super::{Stage, Submitted};
use crate::clock::SimClock;
use crate::routes;
use crate::scenario::{Key, Start, Webhook};

/// How long a client waits before it asks again.
const ASK_AGAIN: Duration = Duration::from_millis(300);

/// How often it asks at the most.
const ASKS_MAX: usize = 100;

impl Stage<'_> {
    /// Asks, until there is an answer, with the same key each time; or once.
    pub(super) async fn submit(&mut self, engine: &Engine, clock: &SimClock, number: usize) {
        let route = &self.scenario.routes[number];
        // One whose answer was lost with the power runs, whatever is said to who asks once more.
        let is_first = self.asked.insert(number);
        let asks = if route.asks_once || route.key == Key::None { 1 } else { ASKS_MAX };
        for ask in 0..asks {
            match self.accept(engine, clock, number, 0).await {
                Ok(id) => {
                    self.played.submitted[number] = Submitted::Accepted(id);
                    return;
                }
                Err(Refusal::Locked { .. }) => {
                    self.played.submitted[number] = Submitted::Refused;
                    return;
                }
                Err(Refusal::StoreUnreachable { detail } | Refusal::StoreFailing { detail })
                    if asks == 1 && is_first && detail.contains("may have been accepted") =>
                {
                    let (at, life) = (self.played.world.now(), self.played.lives.len());
                    self.played.submitted[number] = Submitted::InDoubt { at, life };
                }
                Err(Refusal::Unavailable { .. } | Refusal::StoreUnreachable { .. } | Refusal::StoreFailing { .. }) => {}
                Err(other) => {
                    self.played.wrong.push(format!("refused: {other}"));
                    return;
                }
            }
            if ask + 1 < asks {
                tokio::time::sleep(ASK_AGAIN).await;
            }
        }
    }

    /// The same request with the same key once more.
    pub(super) async fn repeat(&mut self, engine: &Engine, clock: &SimClock, number: usize) {
        if self.scenario.routes[number].key == Key::None {
            return;
        }
        let Submitted::Accepted(first) = self.played.submitted[number].clone() else { return };
        let again = self.accept(engine, clock, number, 0).await;
        if self.played.store.is_purged(first) {
            return;
        }
        match again {
            Ok(again) if again == first => {}
            Ok(again) => self.played.wrong.push(format!("the same request became {first} and {again}")),
            Err(Refusal::Unavailable { .. } | Refusal::StoreUnreachable { .. } | Refusal::StoreFailing { .. }) => {}
            Err(other) => {
                self.played.wrong.push(format!("the same request became {first}, then it was refused: {other}"))
            }
        }
    }

    /// Another request with the same key.
    pub(super) async fn abuse(&mut self, engine: &Engine, clock: &SimClock, number: usize) {
        if self.scenario.routes[number].key == Key::None {
            return;
        }
        let Submitted::Accepted(first) = self.played.submitted[number].clone() else { return };
        if let Ok(id) = self.accept(engine, clock, number, 1).await
            && !self.played.store.is_purged(first)
        {
            self.played.wrong.push(format!("another request with the same key became {id}"));
        }
    }

    /// Retries the latest one of a chain of retries. That there is nothing to retry, or not now, are answers.
    pub(super) async fn retry(&mut self, engine: &Engine, number: usize, force: bool) {
        let Submitted::Accepted(first) = self.played.submitted[number] else { return };
        let mut id = first;
        let mut operations = self.played.store.operations();
        operations.sort_unstable_by_key(|(operation, _)| operation.id);
        for (operation, _) in operations {
            if operation.plan.retry_of == Some(id) {
                id = operation.id;
            }
        }
        let access = &self.scenario.routes[number].access();
        let request = RetryRequest { access, id, force, by: "a person", headers: Headers::new() };
        if let Ok(accepted) = engine.retry(request).await {
            self.played.retries.push((accepted.operation.id, force));
        }
    }

    fn mount(&self, number: usize) -> Mount {
        match self.scenario.routes[number].noticed {
            true => Mount::new(DialectName::Msf, "/v1"),
            false => Mount::new(DialectName::Native, ""),
        }
    }

    pub(super) async fn accept(
        &self,
        engine: &Engine,
        clock: &SimClock,
        number: usize,
        variant: u32,
    ) -> Result<OperationId, Refusal> {
        let route = &self.scenario.routes[number];
        let path = routes::path_of(self.scenario, number);
        let internal = || Refusal::Internal;
        let Found::Route { route: found, captures } = self.routes.find(&route.http_method(), &path) else {
            return Err(internal());
        };
        let Handling::Operation(operation) = &found.handling else { return Err(internal()) };
        let mount = self.mount(number);
        let query = route.noticed.then(|| "notification_address=10.0.0.9&notification_port=80".to_owned());
        let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        if route.key == Key::Header {
            headers.push(("idempotency-key".to_owned(), format!("key-{number}")));
        }
        if let Start::Scheduled(millis) = route.start {
            let at = fanfold_engine::Clock::now(clock) + Duration::from_millis(millis);
            headers.push(("fanfold-start-at".to_owned(), at.to_string()));
        }
        if route.webhook == Webhook::OfCaller {
            headers.push(("fanfold-callback-url".to_owned(), "http://10.0.0.9/hook/caller".to_owned()));
        }
        let incoming = Incoming {
            method: route.http_method(),
            path,
            query,
            target_query: None,
            headers,
            // Restores compare contents, so each operation writes another one.
            body: Bytes::from(format!("{{\"route\":{number},\"variant\":{variant}}}")),
            captures,
        };
        let callback = self.callback(number).map_err(|_| internal())?;
        let (access, callback) = (&route.access(), callback.as_ref());
        let request = AcceptRequest { access, mount: &mount, route: operation, callback, incoming, by: "a client" };
        engine.accept(request).await.map(|outcome| outcome.operation.id)
    }
}
