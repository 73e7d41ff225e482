//! Notes.

use async_trait::async_trait;
use fanfold_core::{OperationId, Scope};

use super::list::cut_page;
use super::{Model, State, cut};
use crate::{AttentionId, Change, Closed, Error, Note, NoteFilter, Notes, Page, ReadNotes};

#[async_trait]
impl Notes for Model {
    async fn acknowledge(&self, id: AttentionId, closed: Closed) -> Result<Change, Error> {
        let (mut state, _) = self.to_write()?;
        let note = state.notes.get_mut(&id.0).ok_or_else(|| Error::NotFound { what: format!("attention {id}") })?;
        if note.closed.is_some() {
            return Ok(Change::AlreadySo);
        }
        note.closed = Some(Closed { at: cut(closed.at), ..closed });
        Ok(Change::Made)
    }
}

#[async_trait]
impl ReadNotes for Model {
    async fn notes(&self, filter: &NoteFilter, page: Page<AttentionId>) -> Result<Vec<Note>, Error> {
        let page = Page { order: page.order, after: page.after.map(|id| id.0), limit: page.limit };
        let state = self.state();
        let lets_through = |note: &Note| {
            note.tenant == filter.tenant
                && state.is_meant(&filter.scope, note.operation)
                && filter.open.is_none_or(|open| open == note.closed.is_none())
                && filter.first.is_none_or(|first| note.id >= first)
                && filter.operation.is_none_or(|operation| operation == note.operation)
                && filter.target.as_ref().is_none_or(|target| note.attention.target.as_ref() == Some(target))
        };
        let found = cut_page(state.notes.iter().filter(|(_, note)| lets_through(note)), page);
        Ok(found.into_iter().map(|note| state.as_read(note)).collect())
    }

    async fn note(&self, id: AttentionId) -> Result<Option<Note>, Error> {
        let state = self.state();
        Ok(state.notes.get(&id.0).map(|note| state.as_read(note)))
    }
}

impl State {
    /// Whether an operation is one that this has.
    pub(super) fn is_meant(&self, scope: &Scope, operation: OperationId) -> bool {
        self.operations.get(&operation).is_some_and(|row| scope.has(&row.operation.plan))
    }

    fn as_read(&self, note: &Note) -> Note {
        let operation = self.operations.get(&note.operation);
        Note { ended: operation.is_some_and(|row| row.operation.end().is_some()), ..note.clone() }
    }
}
