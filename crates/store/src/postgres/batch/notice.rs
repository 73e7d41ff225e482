//! Recording what became of sending a notice.

use super::super::columns::escaped;
use super::Write;
use super::picture::{Picture, Wanted};
use super::rows::NoticeState as Row;
use crate::{Error, NoticeId, NoticeOutcome, NoticeState, time};

pub(in super::super) struct NoticeWrite {
    pub(in super::super) id: NoticeId,
    pub(in super::super) outcome: NoticeOutcome,
}

impl Write for NoticeWrite {
    type Answer = ();

    fn wants(&self, wanted: &mut Wanted) {
        wanted.notices.insert(self.id.0.clone());
    }

    fn decide(&self, picture: &mut Picture<'_>) -> Result<(), Error> {
        let known = picture.loaded.notices.get_mut(&self.id.0);
        let known = known.ok_or_else(|| Error::NotFound { what: format!("notice {}", self.id) })?;
        // One that another node sends by now is that one's to record.
        if known.state != NoticeState::Pending.as_str() || known.epoch != picture.changes.epoch {
            return Err(Error::Conflict);
        }
        let error = |error: &str| Some(escaped(error).into_owned());
        let (next, due_at, last_error, settled_at) = match &self.outcome {
            NoticeOutcome::Delivered { at } => (NoticeState::Delivered, None, None, Some(time::floor(*at))),
            NoticeOutcome::Failed { error: why, again_at } => {
                (NoticeState::Pending, Some(time::ceil(*again_at)), error(why), None)
            }
            NoticeOutcome::Dead { error: why, at } => (NoticeState::Dead, None, error(why), Some(time::floor(*at))),
        };
        next.as_str().clone_into(&mut known.state);
        let rows = &mut picture.changes.notice_states;
        // A batch writes each notice once.
        let before = rows.iter().position(|row| row.number == known.number).map(|place| rows.swap_remove(place));
        let attempts = before.as_ref().map_or(0, |row| row.attempts) + 1;
        let due_at = due_at.or(before.and_then(|row| row.due_at));
        rows.push(Row { number: known.number, state: next.as_str(), attempts, due_at, last_error, settled_at });
        Ok(())
    }
}
