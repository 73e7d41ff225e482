//! Moving the deadline of an operation.

use std::time::Duration;

use fanfold_core::OperationId;
use fanfold_core::dialect::Refusal;
use fanfold_engine::Extension;
use http::StatusCode;
use jiff::{Span, SpanRelativeTo, Timestamp};
use serde::Deserialize;

use super::operation::detail;
use super::query::Query;
use super::read;
use crate::http::outcome::{self, Response, Stop};
use crate::http::server::Shared;
use crate::http::visit::Visit;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExtendRequest {
    #[serde(default)]
    until: Option<String>,
    #[serde(default)]
    by: Option<String>,
}

/// `POST /operations/{id}/extend`
pub(super) async fn extend(shared: &Shared, visit: Visit, id: OperationId) -> Result<Response, Stop> {
    Query::read(visit.query(), &[])?;
    let ExtendRequest { until, by } = read(visit.body)?;
    let extension = read_extension(until, by)?;
    // Whose it is comes before what can be done with it.
    shared.operation(&visit.caller, id).await?;
    let operation = shared.engine.extend(id, extension, visit.caller.name.clone()).await?;
    let mut response = outcome::reply(detail(shared, &visit.front, StatusCode::OK, operation).await?);
    response.extensions_mut().insert(id);
    Ok(response)
}

/// A new deadline, or how much later it is than the one before.
pub(in crate::http) fn read_extension(until: Option<String>, by: Option<String>) -> Result<Extension, Refusal> {
    let bad = |detail: &str| Refusal::BadValue { detail: detail.to_owned() };
    match (until, by) {
        (Some(until), None) => until.parse::<Timestamp>().map(Extension::Until).map_err(|_| {
            bad("`until` is not a time as in RFC 3339 before the year 9999, for instance 2026-12-01T04:00:00Z")
        }),
        (None, Some(by)) => {
            // A day has 24 hours here, whatever a calendar says.
            let span =
                by.parse::<Span>().ok().and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
            let span = span.and_then(|span| Duration::try_from(span).ok()).filter(|span| !span.is_zero());
            let wrong = "`by` is not a span of time such as 30m, 2h or 7d, more than zero; a deadline is at the most 366 days ahead";
            span.map(Extension::By).ok_or_else(|| bad(wrong))
        }
        (Some(_), Some(_)) | (None, None) => Err(bad("give one of `until` (a time) and `by` (a span such as 30m)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(until: Option<&str>, by: Option<&str>) -> Result<Extension, Refusal> {
        read_extension(until.map(str::to_owned), by.map(str::to_owned))
    }

    #[test]
    fn a_deadline_is_moved_to_a_time_or_by_a_span() {
        let at = "2026-12-01T04:00:00Z";
        assert_eq!(read(Some(at), None), Ok(Extension::Until(at.parse().unwrap())));
        assert_eq!(read(None, Some("1h 30m")), Ok(Extension::By(Duration::from_secs(5400))));
        assert_eq!(read(None, Some("2d 1h")), Ok(Extension::By(Duration::from_secs(49 * 3600))));
        for (until, by) in [
            (None, None),
            (Some(at), Some("1h")),
            (Some("tomorrow"), None),
            (None, Some("-1h")),
            (None, Some("0s")),
            (None, Some("1 month")),
            (None, Some("")),
        ] {
            assert!(matches!(read(until, by), Err(Refusal::BadValue { .. })), "{until:?} {by:?}");
        }
    }
}
