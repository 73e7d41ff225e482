//! One try to deliver a notice.

use std::net::SocketAddr;

use fanfold_store::NewNotice;
use http::{HeaderName, HeaderValue, Request, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::config::NoticeRules;

/// How much of an answer's body is read before the connection is closed, in octets.
const ANSWER_BODY_MAX: usize = 64 * 1024;

/// Sends a notice once, over a connection of its own: receivers are many, and each hears from us rarely. `Err` says in words
/// why it was not confirmed.
pub(super) async fn deliver(notice: &NewNotice, rules: &NoticeRules) -> Result<(), String> {
    let try_once = async {
        let uri: Uri = notice.url.parse().map_err(|error| format!("the address cannot be used: {error}"))?;
        let to = address(&uri)?;
        if !rules.permit(to) {
            return Err(format!("{to} is not allowed by `[notices] allow`"));
        }
        exchange(notice, &uri, to).await
    };
    tokio::time::timeout(rules.timeout, try_once)
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {:?}", rules.timeout)))
}

fn address(uri: &Uri) -> Result<SocketAddr, String> {
    if uri.scheme_str() != Some("http") {
        return Err("only http:// addresses are notified".to_owned());
    }
    let host = uri.host().ok_or("the address has no host")?;
    let ip = host.trim_matches(['[', ']']).parse().map_err(|_| format!("{host} is not an IP address"))?;
    Ok(SocketAddr::new(ip, uri.port_u16().unwrap_or(80)))
}

async fn exchange(notice: &NewNotice, uri: &Uri, to: SocketAddr) -> Result<(), String> {
    let stream = TcpStream::connect(to).await.map_err(|error| format!("cannot connect to {to}: {error}"))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| format!("no HTTP connection to {to}: {error}"))?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::builder().method(notice.method.as_str()).uri(path).header("host", to.to_string());
    for (name, value) in &notice.headers {
        let name = HeaderName::try_from(name.as_str()).map_err(|error| error.to_string())?;
        let value = HeaderValue::try_from(value.as_str()).map_err(|error| error.to_string())?;
        request = request.header(name, value);
    }
    let request = request.body(Full::new(notice.body.clone())).map_err(|error| error.to_string())?;
    let answered = async {
        let response = sender.send_request(request).await.map_err(|error| format!("no answer: {error}"))?;
        let status = response.status();
        // The answer's body tells nothing; reading it to its end lets the receiver finish its write.
        drop(Limited::new(response.into_body(), ANSWER_BODY_MAX).collect().await);
        if status.is_success() { Ok(()) } else { Err(format!("answered {status}")) }
    };
    tokio::pin!(answered);
    tokio::select! {
        result = &mut answered => result,
        ended = connection => match ended {
            // The connection may end just when its answer has come in.
            Ok(()) => answered.await,
            Err(error) => Err(format!("the connection broke: {error}")),
        },
    }
}
