//! What every store has to do, as a suite of tests that any store can be put through, and a comparison of random histories
//! with the reference model ([`random`]). A behaviour of stores exists when it stands here.
//!
//! Beside it stands a store with troubles ([`Lossy`]), for the tests of what is built on stores.
//!
//! A failed expectation panics, as in any test.

#![expect(clippy::unwrap_used, reason = "these are tests, which a feature makes available to other crates")]

mod attention;
mod audit;
mod bodies;
pub mod fixtures;
mod history;
mod list;
mod locks;
mod lossy;
mod nodes;
mod notices;
mod operations;
mod permits;
mod queue;
pub mod random;
mod retention;
mod scope;
mod sealing;
mod sessions;
mod tokens;

use std::fmt;
use std::sync::Arc;

pub use lossy::Lossy;
pub use sealing::Reopen;

use crate::{Limits, Nodes, Store};

/// Makes an empty store with these bounds.
pub type Factory<'a> = &'a (dyn Fn(Limits) -> Arc<dyn Store> + Send + Sync);

/// One process's handle on a store that several share: what it reads and writes, and what it does with the others.
#[derive(Clone)]
pub struct Handle {
    /// What it reads and writes.
    pub store: Arc<dyn Store>,
    /// What it does with the others; of the same handle.
    pub nodes: Arc<dyn Nodes>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// Makes an empty store with these bounds, and so many handles on it, none of which has joined.
pub type HandleFactory<'a> = &'a (dyn Fn(Limits, usize) -> Vec<Handle> + Send + Sync);

/// Puts a store through the suite for nodes, which stores of one process do without.
pub async fn nodes(fresh: HandleFactory<'_>) {
    Box::pin(nodes::run(fresh)).await;
}

/// Puts a store that seals through the suite for changing its key.
pub async fn sealing(reopen: Reopen<'_>) {
    Box::pin(sealing::a_key_is_changed(reopen)).await;
}

/// The same with messages that do not all go into one batch; it needs a database of its own.
pub async fn sealing_of_large(reopen: Reopen<'_>) {
    Box::pin(sealing::large_messages_are_sealed_anew(reopen)).await;
}

/// Puts a store of one process, or one that nobody has joined, through the whole suite.
pub async fn run_all(fresh: Factory<'_>) {
    operations(fresh).await;
    bodies(fresh).await;
    locks(fresh).await;
    queue(fresh).await;
    list(fresh).await;
    history(fresh).await;
    attention(fresh).await;
    notices(fresh).await;
    retention(fresh).await;
    tokens(fresh).await;
    sessions(fresh).await;
    audit(fresh).await;
    scope(fresh).await;
}

macro_rules! suite {
    ($(#[$doc:meta])* $noun:ident: $($case:ident),+ $(,)?) => {
        $(#[$doc])*
        pub async fn $noun(fresh: Factory<'_>) {
            $(Box::pin($noun::$case(fresh)).await;)+
        }
    };
}

suite! {
    /// Accepting, idempotency keys, compare and set.
    operations:
        an_accepted_operation_is_there,
        the_backlog_tells_what_has_not_ended,
        an_id_is_accepted_once,
        an_idempotency_key_gives_the_same_answer,
        what_a_key_was_used_for_can_be_read,
        an_operation_is_retried_once,
        one_of_many_retries_is_accepted,
        a_freed_idempotency_key_can_be_used_again,
        idempotency_keys_are_per_tenant,
        an_operation_is_its_tenants,
        a_refusal_changes_nothing,
        waiting_operations_are_bounded,
        waiting_operations_are_bounded_for_each_tenant,
        the_bound_of_a_tenant_holds_for_many_at_once,
        the_hard_bound_refuses_new_operations_only,
        a_commit_follows_the_recorded_revision,
        one_of_many_commits_of_a_revision_wins,
        an_ended_operation_never_changes,
        contradictions_are_refused,
}

suite! {
    /// Bodies that stand apart, and sealed messages.
    bodies:
        large_bodies_stand_apart,
        a_state_change_leaves_bodies_alone,
        superseded_bodies_go,
        a_body_that_was_never_recorded_is_refused,
        sealed_messages_come_back_until_the_end,
}

suite! {
    /// Locks.
    locks:
        a_held_lock_refuses,
        a_lock_is_queued_for_in_order,
        a_waiting_operation_can_leave,
        a_lock_is_released_without_an_end,
        locks_are_per_tenant,
        one_of_many_gets_the_lock,
        a_granted_lock_is_not_overslept,
        the_queue_of_a_lock_is_bounded,
        a_lock_is_queued_for_from_the_start_time_on,
        a_free_lock_is_taken_at_the_start_time,
        a_lock_wakes_nothing_that_was_restored,
}

suite! {
    /// The dispatcher's queue.
    queue:
        due_operations_come_in_order,
        lanes_are_those_with_due_operations,
        a_short_lane_is_found_beside_a_long_one,
        wake_times_are_never_early,
        open_operations_are_found_page_by_page,
        what_was_restored_is_not_due,
}

suite! {
    /// Lists and counts.
    list:
        pages_follow_each_other,
        filters_are_combined,
        phases_are_followed,
        times_and_texts_are_filtered,
        the_latest_errors_and_what_is_related_are_found,
        a_search_is_done_in_pieces,
        counts_follow_the_statuses,
}

suite! {
    /// Events.
    history:
        events_are_numbered_and_kept,
        events_become_visible_in_their_order,
        large_bodies_are_left_out_of_the_history,
}

suite! {
    /// Attention and holds.
    attention:
        notes_are_opened_closed_and_acknowledged,
        notes_are_listed,
        targets_are_held_and_released,
}

suite! {
    /// Notices.
    notices:
        notices_of_an_operation_go_in_order,
        receivers_take_turns,
        the_outbox_tells_how_it_is,
        a_dead_notice_is_replayed,
        notices_are_listed,
        a_notice_is_recorded_once,
}

suite! {
    /// Retention.
    retention:
        what_has_expired_is_deleted,
        what_is_needed_is_kept,
        a_store_that_is_too_large_deletes_the_oldest,
}

suite! {
    /// Tokens.
    tokens:
        a_token_comes_back_as_it_was_created,
        a_name_stands_for_one_token_that_is_not_revoked,
        an_id_and_a_digest_are_used_once,
        tokens_are_bounded,
        no_tenant_takes_all_tokens_from_the_others,
        a_token_is_revoked_once,
        a_change_shows_in_a_number,
        the_latest_use_is_kept,
        tokens_are_listed,
        a_revoked_token_is_deleted_in_the_end,
}

suite! {
    /// Sessions.
    sessions:
        a_session_comes_back_as_it_was_begun,
        a_session_ends_once_and_its_digest_shows_in_nothing_else,
        of_one_holder_the_oldest_sessions_end,
        the_sessions_of_a_token_end_when_it_is_revoked,
        sessions_are_bounded_and_what_has_expired_does_not_count,
        no_tenant_keeps_others_from_signing_in,
}

suite! {
    /// The audit trail.
    audit:
        an_entry_comes_back_as_it_was_recorded,
        entries_are_filtered_and_paged,
        many_entries_of_a_span_are_paged,
        what_is_too_long_is_cut_off,
        old_entries_are_deleted_and_no_others,
}

suite! {
    /// What is seen of lists by whoever sees not all.
    scope:
        a_list_has_what_a_scope_has,
        notes_notices_and_events_follow_their_operations,
        notes_and_notices_are_read_in_pieces,
}
