//! People: they answer what is asked, see to dead letters, and put an end to all faults.

use std::time::Duration;

use anyhow::Result;
use fanfold_engine::{Engine, Resolution};
use fanfold_store::{Note, NoteFilter, NoticeFilter, NoticeState, Page, Queue as _, ReadNotes as _, ReadNotices as _};
use tokio::time::Instant;

use super::{Stage, Submitted};
use crate::clock::SimClock;
use crate::routes;
use crate::scenario::{Key, TARGETS};

/// How long operations have to come to their end once all is calm; the longest deadline and all backoffs fit in.
const CALM_MAX: Duration = Duration::from_secs(4 * 3_600);

/// How long it is before people look for the first time, and at the most between two looks; each wait is twice the last one.
const LOOK_FIRST: Duration = Duration::from_millis(500);
const LOOK_MAX: Duration = Duration::from_secs(60);

/// Notes and notices that are read at once; no history has as many.
const LISTED_MAX: usize = 100;

impl Stage<'_> {
    /// All faults cease, targets are released, people answer; then everything has to come to its end.
    pub(super) async fn calm_down(&mut self, engine: &Engine, clock: &SimClock) -> Result<()> {
        self.played.store.calm();
        self.played.world.calm();
        self.played.calm_at = self.played.world.now();
        engine.drain(false);
        self.removed.clear();
        engine.targets().replace(self.targets()?)?;
        self.come_to_an_end(engine).await;
        self.ask_anew(engine, clock).await;
        self.come_to_an_end(engine).await;
        Ok(())
    }

    async fn come_to_an_end(&mut self, engine: &Engine) {
        let began = Instant::now();
        let mut wait = LOOK_FIRST;
        while began.elapsed() < CALM_MAX {
            for target in 0..TARGETS {
                drop(engine.release(&routes::target_name(target)).await);
            }
            self.answer(engine).await;
            self.replay(engine).await;
            if self.has_ended().await {
                return;
            }
            self.look_at_memory(engine);
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LOOK_MAX);
        }
    }

    /// Who was told that a request may have been accepted asks again in the end: either it was, and runs, or its key is free.
    async fn ask_anew(&mut self, engine: &Engine, clock: &SimClock) {
        for number in 0..self.scenario.routes.len() {
            let in_doubt = matches!(self.played.submitted[number], Submitted::InDoubt { .. });
            if !in_doubt || self.scenario.routes[number].key == Key::None {
                continue;
            }
            let Ok(id) = self.accept(engine, clock, number, 0).await else { continue };
            let canceled = self.played.store.operations().into_iter().any(|(operation, _)| {
                operation.id == id && operation.end().is_some() && operation.started_at.is_none()
            });
            if canceled {
                self.played.wrong.push(format!("{id} was canceled as doubtful, and its key is not free"));
            }
        }
    }

    async fn has_ended(&self) -> bool {
        let model = &self.played.store.model;
        let open = model.open_operations(None, 1).await.is_ok_and(|open| !open.is_empty());
        !open && self.notices(NoticeState::Pending).await.is_empty()
    }

    async fn notices(&self, state: NoticeState) -> Vec<fanfold_store::Notice> {
        let mut notices = Vec::new();
        for tenant in routes::tenants() {
            let filter = NoticeFilter { state: Some(state), tenant, ..NoticeFilter::default() };
            let page = self.played.store.model.notices(&filter, Page::newest(LISTED_MAX)).await;
            notices.extend(page.unwrap_or_default());
        }
        notices
    }

    async fn open_notes(&self) -> Vec<Note> {
        let mut notes = Vec::new();
        for tenant in routes::tenants() {
            let filter = NoteFilter { open: Some(true), tenant, ..NoteFilter::default() };
            notes.extend(self.played.store.model.notes(&filter, Page::newest(LISTED_MAX)).await.unwrap_or_default());
        }
        notes
    }

    /// People answer what is asked, truthfully, once targets cannot act any more.
    pub(super) async fn answer(&mut self, engine: &Engine) {
        let notes = self.open_notes().await;
        if !notes.is_empty() {
            tokio::time::sleep(routes::SETTLE).await;
        }
        let world = std::sync::Arc::clone(&self.played.world);
        for note in notes {
            let target = note.attention.target.as_ref().and_then(routes::target_number);
            let answer = match target {
                Some(target) if !world.is_settled(target, note.operation) => continue,
                Some(target) if world.truth(target, note.operation).stands => Resolution::Applied,
                Some(_) => Resolution::NotApplied,
                None => self.random.one(&[Resolution::Retry, Resolution::RollBack, Resolution::EndAsItIs]),
            };
            self.told += 1;
            // What takes no answer says so.
            drop(engine.resolve(note.id, answer, "a person".into(), None).await);
        }
    }

    /// Whoever has put things right says so; while an operation runs that is refused.
    pub(super) async fn acknowledge(&self, engine: &Engine) {
        for note in self.open_notes().await {
            drop(engine.acknowledge(note.id, "a person".into(), None).await);
        }
    }

    /// Dead letters are sent again.
    pub(super) async fn replay(&self, engine: &Engine) {
        for notice in self.notices(NoticeState::Dead).await {
            drop(engine.replay_notice(&notice.notice.id).await);
        }
    }
}
