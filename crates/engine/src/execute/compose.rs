//! The end of an operation: the final response is composed, and whoever asked to be told gets a notice.

use fanfold_core::dialect::{Bodies, Mount, View};
use fanfold_core::operation::{Outcome, Stage, Status, Trouble};
use fanfold_core::route::{Answered, OperationValues, TargetResult};
use fanfold_core::{Answer, Event, OperationId, Slot};
use fanfold_store::{Error as StoreError, NewNotice, NoticeId};

use super::Actor;
use crate::Error;
use crate::notify::{receiver_of, webhooks};

impl Actor {
    /// Composes the final response of an operation whose end is decided, and the notices of it.
    pub(super) async fn compose(&mut self) -> Result<(), Error> {
        let Stage::Finishing(end) = &self.op.stage else { return Ok(()) };
        let (end, id) = (end.clone(), self.op.id);
        let bodies = self.bodies_apart().await?;
        let mount = self.mount();
        let by_route = if end.status == Status::Completed { self.by_route(&bodies)? } else { None };
        if let Some(Err(trouble)) = &by_route {
            tracing::warn!(operation.id = %id, trouble = %trouble.detail, "the result template failed; the default is used");
        }
        let by_dialect = || mount.wire().final_response(View { operation: &self.op, bodies: &bodies }, &end);
        let response = by_route.and_then(Result::ok).unwrap_or_else(by_dialect);
        // An ended operation keeps no originals, so there is nothing to seal.
        let response = self.public(&response).unwrap_or(response);
        self.take(Event::ResponseComposed { response });
        let rules = self.shared.notices.load_full();
        let webhooks = webhooks(&rules, View { operation: &self.op, bodies: &bodies }, &end, || self.new_notice_id());
        self.draft.notices.extend(self.notice(&mount, &bodies).into_iter().chain(webhooks));
        Ok(())
    }

    /// The response as the route's `result` gives it, over public forms: it is shown to everybody who may see the operation.
    fn by_route(&self, bodies: &Bodies) -> Result<Option<Result<Answer, Trouble>>, Error> {
        if self.op.plan.policy.result.is_none() {
            return Ok(None);
        }
        let policy = match self.shared.policies.compiled(&self.op.plan.policy) {
            Ok(policy) => policy,
            Err(trouble) => return Ok(Some(Err(trouble))),
        };
        let view = View { operation: &self.op, bodies };
        let request_body = bytes::Bytes::copy_from_slice(view.octets(Slot::Request));
        let values = OperationValues {
            operation: self.op.id,
            plan: &self.op.plan,
            request: &self.op.plan.request,
            request_body: &request_body,
        };
        let answers: Vec<_> = self
            .op
            .indexed_steps()
            .map(|(index, _, _)| bytes::Bytes::copy_from_slice(view.octets(Slot::StepAnswer(index))))
            .collect();
        let targets: Vec<TargetResult<'_>> = self
            .op
            .indexed_steps()
            .zip(&answers)
            .map(|((_, planned, step), body)| TargetResult {
                target: &planned.target,
                // Every step has an outcome by the time that the response is composed.
                outcome: step.outcome().unwrap_or(Outcome::Unknown),
                response: step.course.answer.as_ref().map(|answer| Answered {
                    status: answer.status,
                    headers: &answer.headers,
                    body,
                    complete: answer.complete,
                }),
            })
            .collect();
        Ok(policy.compose(&values, &targets))
    }

    fn mount(&self) -> Mount {
        let front = &self.op.plan.front;
        let mounts = self.shared.mounts.load();
        let ours = mounts.iter().find(|mount| mount.dialect == front.dialect && mount.prefix == front.mount);
        // The mount may be gone from the configuration; its operations still end in its words, with default settings.
        ours.cloned().unwrap_or_else(|| Mount::new(front.dialect, front.mount.clone()))
    }

    /// What the dialect itself provides for.
    fn notice(&self, mount: &Mount, bodies: &Bodies) -> Option<NewNotice> {
        let request = mount.wire().notice(mount, View { operation: &self.op, bodies })?;
        Some(NewNotice {
            id: NoticeId(self.new_notice_id().to_string()),
            kind: mount.dialect.to_string(),
            method: request.method.to_string(),
            receiver: receiver_of(&request.url),
            url: request.url,
            headers: request.headers,
            body: request.body,
            due_at: self.shared.clock.now(),
        })
    }

    fn new_notice_id(&self) -> OperationId {
        let mut random = [0; 10];
        self.shared.clock.fill(&mut random);
        OperationId::new(self.shared.clock.now(), random)
    }

    /// The bodies that stand apart from the record, if there are any.
    async fn bodies_apart(&self) -> Result<Bodies, Error> {
        if self.op.bodies_apart().next().is_none() {
            return Ok(Bodies::new());
        }
        match self.shared.store.bodies(self.op.id).await {
            // What is damaged stays damaged: the operation ends all the same, without those bodies.
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::error!(operation.id = %self.op.id, %error, "the response is composed without bodies that cannot be read");
                Ok(Bodies::new())
            }
            bodies => Ok(bodies?),
        }
    }
}
