//! `fanfold send`: a change request, sent as any client would send it, and followed to its end.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use fanfold_core::OperationId;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LINK};
use http::{Method, StatusCode};
use serde_json::Value;

use super::ops::print_operation;
use super::{ServerOption, whoami};
use crate::client::api::{Api, status_words};
use crate::client::follow::{self, Teller};
use crate::client::{Answer, Call, PATIENCE};
use crate::failure::Failure;
use crate::output::{Format, Paint, print_line, print_octets, printable, say};

/// The longest time that a server waits which is asked to (`Prefer: wait=N`).
const PREFER_WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(300);

/// The largest request body that is read, in octets; the server's own limit is configured, and never larger.
const BODY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// `fanfold send`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The answer may be of any wire format: the operation is found in it, and followed by the native API. The exit code is 0 if it
completed, and 5 if it failed or was canceled. An answer that needs no following, such as that of a route which passes
requests through, is printed as it is.")]
pub(crate) struct Send {
    /// The method, such as POST
    #[arg(value_parser = method)]
    method: Method,
    /// Path and query, such as /things/1
    #[arg(value_name = "PATH", value_parser = path)]
    path: String,
    /// The body: text, or @FILE for the content of a file, or @- for standard input
    #[arg(long, short, value_name = "TEXT|@FILE")]
    data: Option<String>,
    /// A header field; may be given several times. A body is sent as application/json unless one says otherwise
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Print the answer and do not follow the operation
    #[arg(long)]
    no_follow: bool,

    #[command(flatten)]
    server: ServerOption,
}

pub(super) async fn run(send: Send) -> Result<(), Failure> {
    let api = send.server.api()?;
    let answer = api.client().send(send.call()?).await?;
    if let Some(id) = ended_operation_of(&answer) {
        match api.operation(id).await {
            // It passed through: the operation is one of the target's own.
            Err(Failure::NotFound(_)) => {}
            shown => {
                say(&format!("operation {id} has ended, and was answered {}", answer.status));
                print_octets(&answer.body)?;
                return follow::verdict(&shown?.detail);
            }
        }
    }
    if !answer.status.is_success() {
        return refused(&answer);
    }
    let operation = (answer.status == StatusCode::ACCEPTED).then(|| operation_of(&answer)).flatten();
    let Some(id) = operation.filter(|_| !send.no_follow) else {
        say(&format!("answered {}", answer.status));
        return Ok(print_octets(&answer.body)?);
    };
    follow(&api, id, &answer, send.server.output).await
}

impl Send {
    fn call(&self) -> Result<Call, Failure> {
        let body = self.data.as_deref().map(read_data).transpose()?;
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(name.clone(), value.clone());
        }
        if body.is_some() {
            headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        }
        // Who asks for the final answer itself (`Prefer: wait=N`) has to be able to wait for it.
        let patience = if headers.contains_key("prefer") { PREFER_WAIT_MAX + PATIENCE } else { PATIENCE };
        let body = body.unwrap_or_default();
        Ok(Call { method: self.method.clone(), path: self.path.clone(), headers, body, patience })
    }
}

async fn follow(api: &Api, id: OperationId, answer: &Answer, format: Format) -> Result<(), Failure> {
    say(&format!("accepted as operation {id}"));
    let mut teller = Teller::new(Paint::stderr(), |line: &str| {
        say(line);
        Ok(())
    });
    let followed = follow::to_the_end(api, id, |seen| teller.tell(seen));
    let shown = match followed.await {
        Err(Failure::NotFound(_)) if !whoami::may_read(api).await? => return Err(Failure::NotSeen(id)),
        Err(Failure::NotFound(_)) => {
            // It passed through: the operation is one of the target's own.
            say("the server knows no such operation, so it cannot be followed; this was answered:");
            return Ok(print_octets(&answer.body)?);
        }
        followed => followed?,
    };
    match format {
        Format::Table => print_operation(&shown.detail)?,
        Format::Json => print_line(shown.json.get())?,
    }
    follow::verdict(&shown.detail)
}

fn refused(answer: &Answer) -> Result<(), Failure> {
    print_octets(&answer.body)?;
    let detail = problem_of(answer);
    Err(match answer.status {
        StatusCode::NOT_FOUND => Failure::NotFound(format!("the server answered 404: {detail}")),
        status => Failure::refused(status, detail),
    })
}

/// What was wrong, in the words of the answer (`detail` of the native API, `error_message` of `msf`, `error_msg` of `plas`), else
/// in those of its status code.
fn problem_of(answer: &Answer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    let told = ["detail", "error_message", "error_msg"].into_iter().find_map(|name| body.get(name)?.as_str());
    told.filter(|told| !told.is_empty()).map_or_else(|| status_words(answer.status), printable)
}

/// The operation that an answer names: in the body (`operation_id` of `msf`, `location` of `plas`, `id` of the native API), or
/// at the end of `Location`.
fn operation_of(answer: &Answer) -> Option<OperationId> {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    let named = ["operation_id", "location", "id"].into_iter().filter_map(|name| body.get(name)?.as_str());
    named.chain(answer.header("location")).find_map(|text| text.rsplit('/').next()?.parse().ok())
}

/// The operation whose final response this is (`Prefer: wait=N`): the server says that it waited, and links to it.
fn ended_operation_of(answer: &Answer) -> Option<OperationId> {
    if !answer.header("preference-applied")?.starts_with("wait") {
        return None;
    }
    // The target may have sent links of its own, before that of the server.
    let links = answer.headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    let status = links.filter_map(|link| link.strip_suffix(">; rel=\"status\"")).next_back()?;
    status.rsplit('/').next()?.parse().ok()
}

pub(super) fn read_data(data: &str) -> Result<Bytes, Failure> {
    let Some(file) = data.strip_prefix('@') else {
        return Ok(Bytes::copy_from_slice(data.as_bytes()));
    };
    let path = PathBuf::from(if file == "-" { "/dev/stdin" } else { file });
    read_file(&path).map_err(|error| Failure::Body { path, error })
}

fn read_file(path: &Path) -> std::io::Result<Bytes> {
    let mut octets = Vec::new();
    std::fs::File::open(path)?.take(BODY_BYTES_MAX + 1).read_to_end(&mut octets)?;
    if octets.len() as u64 > BODY_BYTES_MAX {
        return Err(std::io::Error::other(format!("it is longer than {BODY_BYTES_MAX} bytes")));
    }
    Ok(octets.into())
}

pub(super) fn method(text: &str) -> Result<Method, String> {
    Method::from_bytes(text.to_ascii_uppercase().as_bytes()).map_err(|error| error.to_string())
}

pub(super) fn path(text: &str) -> Result<String, String> {
    if text.starts_with('/') {
        return Ok(text.to_owned());
    }
    Err("begin it with \"/\"; the server is named by --server".to_owned())
}

pub(super) fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write it as in \"Idempotency-Key: abc\"")?;
    let name = name.trim().parse::<HeaderName>().map_err(|error| printable(&error.to_string()))?;
    let value = value.trim().parse::<HeaderValue>().map_err(|error| error.to_string())?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01900000-0000-7000-8000-000000000001";

    fn answer(location: Option<&str>, body: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.extend(location.map(|location| (http::header::LOCATION, location.parse().unwrap())));
        Answer { status: StatusCode::ACCEPTED, headers, body: Bytes::copy_from_slice(body.as_bytes()) }
    }

    #[test]
    fn the_operation_is_found_in_the_answer_of_every_dialect() {
        for answer in [
            answer(None, &format!("{{\"operation_id\":\"{ID}\"}}")),
            answer(None, &format!("{{\"location\":\"/v1.0/plasconnector/connectors/c/operations/{ID}\"}}")),
            answer(Some(&format!("/api/v1/operations/{ID}")), "{}"),
            answer(Some(&format!("http://h/api/v1/operations/{ID}")), "no JSON"),
        ] {
            assert_eq!(operation_of(&answer).map(|id| id.to_string()).as_deref(), Some(ID), "{answer:?}");
        }
        assert_eq!(operation_of(&answer(Some("/elsewhere/17"), "{\"id\": 17}")), None);
    }

    #[test]
    fn a_final_response_names_its_operation_in_a_link() {
        let answer = |applied: &str, links: &[&str]| {
            let mut headers = HeaderMap::new();
            headers.insert("preference-applied", applied.parse().unwrap());
            headers.extend(links.iter().map(|link| (LINK, link.parse().unwrap())));
            Answer { status: StatusCode::INTERNAL_SERVER_ERROR, headers, body: Bytes::new() }
        };
        let own = format!("</api/v1/operations/{ID}>; rel=\"status\"");
        let theirs = "</jobs/7>; rel=\"status\"";
        let found = |answer| ended_operation_of(&answer).map(|id| id.to_string());
        assert_eq!(found(answer("wait=10", &[theirs, &own])).as_deref(), Some(ID));
        assert_eq!(found(answer("return=minimal", &[&own])), None);
        assert_eq!(found(answer("wait=10", &[theirs])), None);
        assert_eq!(ended_operation_of(&super::tests::answer(None, "{}")), None);
    }

    #[test]
    fn the_problem_is_told_in_the_words_of_every_dialect() {
        for (body, told) in [
            ("{\"detail\":\"no such path\"}", "no such path"),
            ("{\"error_message\":\"locked\"}", "locked"),
            ("{\"error_msg\":\"bad\\u001bname\"}", "bad name"),
            ("{\"detail\":\"\"}", "Accepted"),
            ("<html>", "Accepted"),
        ] {
            assert_eq!(problem_of(&answer(None, body)), told, "{body}");
        }
    }

    #[test]
    fn headers_are_read_as_curl_reads_them() {
        let (name, value) = header("X-Request-Id: a:b").unwrap();
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("x-request-id", "a:b"));
        assert!(header("nonsense").is_err());
        assert!(header("a b: c").is_err());
    }
}
