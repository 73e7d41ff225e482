//! The forms of all bodies that the native API answers with, for the document that describes them.

use fanfold_core::dialect::native::{
    AcceptedForm, HistoryEntry, LiveEntry, OperationDetail, OperationSummary, PlanForm, Problem,
};
use schemars::{JsonSchema, SchemaGenerator};

use super::{attention, audit, bulk, caller, drain, notices, release, routes, status, targets, tokens};

/// Makes their schemas, and those of what stands in them.
pub(in crate::http) fn describe(generator: &mut SchemaGenerator) {
    add::<Problem>(generator);
    add::<AcceptedForm>(generator);
    add::<OperationSummary>(generator);
    add::<OperationDetail>(generator);
    add::<HistoryEntry>(generator);
    add::<LiveEntry>(generator);
    add::<PlanForm>(generator);
    add::<attention::NoteForm>(generator);
    add::<notices::NoticeForm>(generator);
    add::<audit::AuditForm>(generator);
    add::<bulk::BulkForm>(generator);
    add::<caller::CallerForm<'_>>(generator);
    add::<drain::DrainForm>(generator);
    add::<release::ReleasedForm>(generator);
    add::<routes::RouteForm<'_>>(generator);
    add::<status::StatusForm>(generator);
    add::<targets::TargetForm>(generator);
    add::<tokens::TokenForm>(generator);
    add::<tokens::NewTokenForm>(generator);
}

fn add<T: JsonSchema>(generator: &mut SchemaGenerator) {
    generator.subschema_for::<T>();
}
