//! The `msf` dialect: controllers of a multi-service fabric.
//!
//! The same interface is spoken upwards (a host system asks us) and downwards (we ask controllers of single clusters). Here is
//! only the upward side; following a lower controller is a monitor, and the engine's.

mod code;
mod detail;
mod error;
mod own;

use std::net::{Ipv4Addr, SocketAddr};

pub use code::Code;
use http::{Method, StatusCode};

use super::accept::attribute;
use super::completed::completed;
use super::query;
use super::reply::{JSON, to_json};
use super::{
    Acceptance, Accepting, Dialect, Head, ListEntry, ListFormat, ListFrame, Listing, Mount, NextPage, NoticeRequest,
    OwnRequest, PassFailure, Refusal, Reply, View,
};
use crate::operation::{End, Status};
use crate::plan::Verb;
use crate::{Answer, Operation};

/// The query parameter, and the attribute, that holds the address to notify.
const ADDRESS: &str = "notification_address";

/// The query parameter, and the attribute, that holds the port to notify.
const PORT: &str = "notification_port";

/// The dialect.
#[derive(Debug)]
pub struct Msf;

impl Dialect for Msf {
    fn own(&self, head: Head<'_>) -> Option<Result<OwnRequest, Refusal>> {
        own::read(head)
    }

    fn allows(&self, verb: Verb) -> bool {
        match verb {
            Verb::Create | Verb::Update | Verb::Delete | Verb::Action => true,
        }
    }

    fn accept(&self, request: &Accepting<'_>) -> Result<Acceptance, Refusal> {
        let notify = notification(request.query)?;
        let attributes = notify.map(|to| [(ADDRESS, to.ip().to_string()), (PORT, to.port().to_string())]);
        Ok(Acceptance {
            attributes: attributes.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)).collect(),
            query: query::without(request.query, &[ADDRESS, PORT]),
            issues_resource_id: false,
            notify,
        })
    }

    fn accepted(&self, _mount: &Mount, operation: &Operation) -> Reply {
        Reply::json(StatusCode::ACCEPTED, &serde_json::json!({ "operation_id": operation.id }))
    }

    fn listing(&self) -> Option<&dyn Listing> {
        Some(self)
    }

    fn detail(&self, mount: &Mount, view: View<'_>) -> Reply {
        Reply::json(StatusCode::OK, &detail::full(mount, view))
    }

    fn refuse(&self, refusal: &Refusal) -> Reply {
        error::of_refusal(refusal).with_fields(refusal.fields())
    }

    fn final_response(&self, view: View<'_>, end: &End) -> Answer {
        match end.status {
            Status::Completed => completed(view.operation),
            Status::Failed | Status::Canceled | Status::Unexecuted | Status::Executing => {
                error::of_operation(view, end).into()
            }
        }
    }

    fn pass_failed(&self, failure: &PassFailure) -> Reply {
        error::of_pass(failure)
    }

    fn notice(&self, mount: &Mount, view: View<'_>) -> Option<NoticeRequest> {
        let address = attribute(view.operation, ADDRESS)?;
        let port = attribute(view.operation, PORT)?;
        Some(NoticeRequest {
            method: Method::PUT,
            url: format!("http://{address}:{port}{}/operations/{}", mount.prefix, view.operation.id),
            headers: vec![("content-type".to_owned(), JSON.to_owned())],
            body: to_json(&detail::full(mount, view)).into(),
        })
    }
}

impl Listing for Msf {
    fn frame(&self, mount: &Mount, format: ListFormat, next: Option<NextPage<'_>>) -> ListFrame {
        let mut headers = vec![("content-type".to_owned(), JSON.to_owned())];
        headers.extend(next.map(|next| ("link".to_owned(), own::next_link(mount, format, next))));
        let head = match format {
            ListFormat::Ids => "{\"operation_ids\":[",
            ListFormat::Details => "{\"operations\":[",
        };
        ListFrame { headers, head, separator: ",", tail: "]}" }
    }

    fn entry(&self, mount: &Mount, entry: ListEntry<'_>) -> Vec<u8> {
        match entry {
            ListEntry::Id(id) => to_json(&id),
            ListEntry::Operation(operation) => to_json(&detail::brief(mount, operation)),
        }
    }
}

/// Where the caller wants to be told: both parameters, or neither.
fn notification(query: Option<&str>) -> Result<Option<SocketAddr>, Refusal> {
    let bad = |detail: &str| Err(Refusal::BadValue { detail: detail.to_owned() });
    let (address, port) = match (query::value(query, ADDRESS)?, query::value(query, PORT)?) {
        (None, None) => return Ok(None),
        (Some(address), Some(port)) => (address, port),
        (Some(_), None) => return bad("`notification_address` needs a `notification_port`"),
        (None, Some(_)) => return bad("`notification_port` needs a `notification_address`"),
    };
    let Ok(address) = address.parse::<Ipv4Addr>() else {
        return bad("`notification_address` is not an IPv4 address");
    };
    // `parse` would take a leading `+`.
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse::<u16>() {
        Ok(port) if digits && port > 0 => Ok(Some(SocketAddr::from((address, port)))),
        Ok(_) | Err(_) => bad("`notification_port` is not a port from 1 to 65535"),
    }
}
