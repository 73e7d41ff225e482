//! Which operations a command is about: those that fit everything that is given.

use fanfold_core::OperationId;
use fanfold_core::operation::{Phase, Status};
use fanfold_core::plan::{DialectName, Verb};
use fanfold_engine::{Clock as _, SystemClock};
use fanfold_store::Filter;
use jiff::{Span, SpanRelativeTo, Timestamp};

/// What chooses operations.
#[derive(Debug, Clone, Default, clap::Args)]
pub(in crate::commands) struct Which {
    /// Only those of this status; may be given several times
    #[arg(long, value_name = "STATUS", value_parser = status)]
    status: Vec<Status>,
    /// Only those that are doing this ("needs attention", canceling, "rolling back", probing, held, waiting, "backing off",
    /// calling); may be given several times
    #[arg(long, value_name = "PHASE", value_parser = phase)]
    phase: Vec<Phase>,
    /// Only those that this route accepted
    #[arg(long)]
    route: Option<String>,
    /// Only those that were accepted in this wire format (native, msf, plas)
    #[arg(long, value_parser = dialect)]
    dialect: Option<DialectName>,
    /// Only those that were accepted through the mount at this prefix
    #[arg(long, value_name = "PREFIX")]
    mount: Option<String>,
    /// Only those that call this target
    #[arg(long)]
    target: Option<String>,
    /// Only those that change the resource at this path
    #[arg(long, value_name = "PATH")]
    resource: Option<String>,
    /// Only changes of this kind (create, update, delete, action)
    #[arg(long, value_parser = verb)]
    verb: Option<Verb>,
    /// Only those accepted at this time or later: 2026-11-21T10:00:00Z, or a time ago, as in 90s, 2h or 7d
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Only those accepted before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
    /// Only the one that retries this operation
    #[arg(long, value_name = "ID")]
    retry_of: Option<OperationId>,
    /// Only those in whose address, route, resource, latest errors or ids this text occurs
    #[arg(long)]
    text: Option<String>,
    /// Only those that need a person
    #[arg(long)]
    attention: bool,
}

impl Which {
    /// As the query of a list.
    pub(in crate::commands) fn query(&self) -> Vec<(String, String)> {
        let mut query = Vec::new();
        let mut add = |name: &str, value: Option<String>| query.extend(value.map(|value| (name.to_owned(), value)));
        for status in &self.status {
            add("status", Some(status.to_string()));
        }
        for phase in &self.phase {
            add("phase", Some(phase.to_string()));
        }
        add("route", self.route.clone());
        add("dialect", self.dialect.map(|dialect| dialect.to_string()));
        add("mount", self.mount.clone());
        add("target", self.target.clone());
        add("resource", self.resource.clone());
        add("verb", self.verb.map(|verb| verb.as_str().to_owned()));
        add("since", self.since.map(|at| at.to_string()));
        add("until", self.until.map(|at| at.to_string()));
        add("retry_of", self.retry_of.map(|id| id.to_string()));
        add("text", self.text.clone());
        add("attention", self.attention.then(|| "true".to_owned()));
        query
    }

    /// As the filter of a store.
    pub(in crate::commands) fn filter(&self) -> Filter {
        Filter {
            statuses: self.status.iter().copied().collect(),
            phases: self.phase.iter().copied().collect(),
            route: self.route.clone(),
            dialect: self.dialect,
            mount: self.mount.clone(),
            verb: self.verb,
            resource: self.resource.clone(),
            target: self.target.as_deref().map(Into::into),
            attention: self.attention.then_some(true),
            since: self.since,
            until: self.until,
            text: self.text.clone(),
            retry_of: self.retry_of,
            ..Filter::default()
        }
    }
}

fn status(text: &str) -> Result<Status, String> {
    one_of(Status::ALL, Status::as_str, text)
}

fn phase(text: &str) -> Result<Phase, String> {
    one_of(Phase::ALL, Phase::as_str, text)
}

fn dialect(text: &str) -> Result<DialectName, String> {
    one_of(DialectName::ALL, DialectName::as_str, text)
}

fn verb(text: &str) -> Result<Verb, String> {
    one_of(Verb::ALL, Verb::as_str, text)
}

/// The value whose word this is.
fn one_of<T: Copy, const N: usize>(all: [T; N], word: fn(T) -> &'static str, text: &str) -> Result<T, String> {
    let found = all.into_iter().find(|value| word(*value) == text);
    found.ok_or_else(|| format!("not one of {}", all.map(word).join(", ")))
}

fn moment(text: &str) -> Result<Timestamp, String> {
    moment_before(text, SystemClock.now())
}

/// The time that is meant: itself, or so long before `now`.
fn moment_before(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let ago = text.parse::<Span>().and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()));
    let ago = ago.map_err(|_| "write it as in 2026-11-21T10:00:00Z, or as a time ago: 90s, 2h, 7d".to_owned())?;
    now.checked_sub(ago).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_given_as_such_or_as_ages() {
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let read = |text: &str| moment_before(text, now).map(|at| at.to_string());
        assert_eq!(read("2026-01-02T03:04:05Z").unwrap(), "2026-01-02T03:04:05Z");
        assert_eq!(read("2026-01-02T03:04:05+09:00").unwrap(), "2026-01-01T18:04:05Z");
        assert_eq!(read("90s").unwrap(), "2026-11-21T09:58:30Z");
        assert_eq!(read("2h").unwrap(), "2026-11-21T08:00:00Z");
        assert_eq!(read("7d").unwrap(), "2026-11-14T10:00:00Z");
        assert!(read("yesterday").unwrap_err().contains("2h"));
    }

    #[test]
    fn what_is_not_one_of_the_known_words_is_refused_with_all_of_them() {
        assert_eq!(status("failed"), Ok(Status::Failed));
        assert!(status("done").unwrap_err().contains("unexecuted, executing, completed, failed, canceled"));
        assert_eq!(phase("backing off"), Ok(Phase::BackingOff));
        assert!(phase("done").unwrap_err().contains("needs attention, canceling"));
        assert!(dialect("foo").unwrap_err().contains("native, msf, plas"));
        assert!(verb("foo").unwrap_err().contains("create, update, delete, action"));
    }
}
