//! Operations of a target's own, in the ways in which targets show them.

use std::collections::HashMap;

use fanfold_testkit::Answer;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::plans::Style;

/// An operation of a target.
#[derive(Debug, Clone)]
pub(super) struct Lower {
    polls_left: usize,
    /// When it ends, whatever polls come, where somebody is to be told.
    pub(super) ends_at: Option<Instant>,
    end: End,
}

/// How it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Well,
    /// Badly, and says that nothing has changed.
    RolledBack,
    /// Badly, without a word about the data.
    Silent {
        applied: bool,
    },
    Canceled {
        applied: bool,
    },
    /// It is forgotten.
    Lost {
        applied: bool,
    },
    Never {
        applied: bool,
    },
    /// Its target answers nonsense for good.
    Nonsense {
        applied: bool,
    },
}

/// The operations of one target.
#[derive(Debug, Default)]
pub(super) struct Lowers {
    all: HashMap<String, Lower>,
    count: u64,
}

impl Lower {
    pub(super) fn drawn(faults: bool, undo: bool, mut draw: impl FnMut(usize) -> usize) -> Self {
        let applied = draw(2) == 0;
        let end = match if faults { draw(if undo { 120 } else { 60 }) } else { 59 } {
            0..=3 => End::RolledBack,
            4..=5 => End::Silent { applied },
            6 => End::Canceled { applied },
            7 => End::Lost { applied },
            8 => End::Never { applied },
            9 => End::Nonsense { applied },
            _ => End::Well,
        };
        Self { polls_left: draw(4), ends_at: None, end }
    }

    /// Whether its end leaves nothing open. `plas` has no words for what became of the data.
    pub(super) fn is_clear(&self, style: Style) -> bool {
        matches!(self.end, End::Well) || (self.end == End::RolledBack && style != Style::Plas)
    }

    pub(super) fn applies(&self) -> bool {
        match self.end {
            End::Well => true,
            End::RolledBack => false,
            End::Silent { applied }
            | End::Canceled { applied }
            | End::Lost { applied }
            | End::Never { applied }
            | End::Nonsense { applied } => applied,
        }
    }
}

impl Lower {
    /// What a notification of its end says; nothing where nobody would notify.
    pub(super) fn notification(&self, id: &str) -> Option<Value> {
        let is_silent = matches!(self.end, End::Lost { .. } | End::Never { .. } | End::Nonsense { .. });
        (!is_silent).then(|| Self::body(id, self.end))
    }

    /// What a stranger claims of it: the opposite of what is true.
    pub(super) fn forgery(&self, id: &str) -> Value {
        Self::body(id, if self.end == End::Well { End::RolledBack } else { End::Well })
    }

    fn body(id: &str, end: End) -> Value {
        let shown = shown(Style::Msf, id, Some(end));
        serde_json::from_slice(&shown.body).unwrap_or_default()
    }
}

impl Lowers {
    pub(super) fn add(&mut self, lower: Lower) -> String {
        self.count += 1;
        let id = format!("lower-{}", self.count);
        self.all.insert(id.clone(), lower);
        id
    }

    /// The answer that accepts one.
    pub(super) fn accepted(style: Style, id: &str) -> Answer {
        match style {
            Style::Msf => Answer::json(202, &json!({ "operation_id": id })),
            Style::Plas => Answer::json(202, &json!({ "location": format!("/v1.0/operations/{id}") })),
            Style::Location => Answer::empty(202).header("location", format!("/status/{id}")),
            Style::Poll => Answer::json(202, &json!({ "job": id })),
        }
    }

    /// The answer to a poll.
    pub(super) fn polled(&mut self, style: Style, path: &str) -> Answer {
        let id = path.rsplit('/').next().unwrap_or_default();
        let Some(lower) = self.all.get_mut(id) else { return Answer::empty(404) };
        let runs = match lower.ends_at {
            Some(end) => Instant::now() < end,
            None => lower.polls_left > 0,
        };
        let runs = runs || matches!(lower.end, End::Never { .. });
        lower.polls_left = lower.polls_left.saturating_sub(1);
        match lower.end {
            End::Lost { .. } if !runs => Answer::empty(404),
            End::Nonsense { .. } if !runs => Answer::text(200, "<html>no</html>").header("content-type", "text/html"),
            end => shown(style, id, (!runs).then_some(end)),
        }
    }
}

/// An operation as a client sees it; `None`: it runs.
fn shown(style: Style, id: &str, end: Option<End>) -> Answer {
    let rolled_back = json!({ "error_code": "060002", "error_message": "-", "data_consistency": "rolled back" });
    match style {
        Style::Msf => {
            let (status, response) = match end {
                None => ("executing", None),
                Some(End::Well) => ("completed", Some((201, json!({ "id": id })))),
                Some(End::RolledBack) => ("failed", Some((500, rolled_back))),
                Some(End::Canceled { .. }) => ("canceled", None),
                Some(End::Silent { .. } | End::Lost { .. } | End::Never { .. } | End::Nonsense { .. }) => {
                    ("failed", Some((500, json!({}))))
                }
            };
            let response = response.map(|(code, body)| json!({ "status_code": code, "body": body.to_string() }));
            Answer::json(200, &json!({ "operation_id": id, "status": status, "response": response }))
        }
        Style::Plas => {
            let result = end.map(|end| json!({ "result": if end == End::Well { "success" } else { "failed" } }));
            Answer::json(200, &json!({ "operationId": id, "finished": result.is_some(), "result": result }))
        }
        Style::Location => match end {
            None => Answer::json(202, &json!({ "status": "Running" })),
            Some(End::Well) => Answer::json(200, &json!({ "status": "Succeeded" })),
            Some(End::RolledBack) => {
                Answer::json(200, &json!({ "status": "Failed", "data_consistency": "rolled back" }))
            }
            Some(End::Canceled { .. }) => Answer::json(200, &json!({ "status": "Canceled" })),
            Some(End::Silent { .. } | End::Lost { .. } | End::Never { .. } | End::Nonsense { .. }) => {
                Answer::json(200, &json!({ "status": "Failed" }))
            }
        },
        Style::Poll => match end {
            None => Answer::json(200, &json!({ "done": false })),
            Some(End::Well) => Answer::json(200, &json!({ "done": true, "ok": true })),
            Some(End::RolledBack) => {
                Answer::json(200, &json!({ "done": true, "ok": false, "data_consistency": "rolled back" }))
            }
            Some(
                End::Silent { .. } | End::Canceled { .. } | End::Lost { .. } | End::Never { .. } | End::Nonsense { .. },
            ) => Answer::json(200, &json!({ "done": true, "ok": false })),
        },
    }
}
