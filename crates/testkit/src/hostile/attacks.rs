//! Requests that a server must not take as they look.

/// One of them, and how it has to be answered.
#[derive(Debug, Clone)]
pub struct Attack {
    /// What it tries.
    pub name: String,
    /// What is sent.
    pub octets: Vec<u8>,
    /// The status codes that its answer may have. There is one answer, whatever stands behind the request; or none, and the
    /// connection is closed, where there are none here.
    pub statuses: &'static [u16],
}

/// What is hidden behind a request whose end is in doubt.
const HIDDEN: &str = "GET /api/v1/status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// All of them, for a server with the routes `PUT /things/{id}` and `POST /typed`, whose template reads the body as JSON.
pub fn attacks() -> Vec<Attack> {
    [smuggled(), odd_heads(), floods(), numbers(), bodies(), paths()].concat()
}

fn attack(name: &str, octets: impl Into<Vec<u8>>, statuses: &'static [u16]) -> Attack {
    Attack { name: name.to_owned(), octets: octets.into(), statuses }
}

/// Where a request ends in one way for one server, and in another way for another.
fn smuggled() -> Vec<Attack> {
    let framings = [
        ("length and chunks", "content-length: 5\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"),
        ("chunks and length", "transfer-encoding: chunked\r\ncontent-length: 5\r\n", "0\r\n\r\n"),
        ("two lengths", "content-length: 2\r\ncontent-length: 5\r\n", "{}"),
        ("one length twice", "content-length: 2\r\ncontent-length: 2\r\n", "{}"),
        ("two lengths in one field", "content-length: 2, 2\r\n", "{}"),
        ("a signed length", "content-length: +2\r\n", "{}"),
        ("a negative length", "content-length: -1\r\n", "{}"),
        ("a hexadecimal length", "content-length: 0x2\r\n", "{}"),
        ("another coding", "transfer-encoding: gzip, chunked\r\n", "0\r\n\r\n"),
        ("no coding", "transfer-encoding: identity\r\n", "{}"),
        ("a coding that looks like one", "transfer-encoding: xchunked\r\n", "0\r\n\r\n"),
        ("a coding in quotes", "transfer-encoding: \"chunked\"\r\n", "0\r\n\r\n"),
        ("two codings", "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n", "0\r\n\r\n"),
        ("a space before the colon", "transfer-encoding : chunked\r\n", "0\r\n\r\n"),
        ("a folded field", "x-a: b\r\n transfer-encoding: chunked\r\ncontent-length: 2\r\n", "{}"),
        ("a folded coding", "transfer-encoding:\r\n chunked\r\n", "0\r\n\r\n"),
        ("a line without CR", "x-a: b\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"),
        ("a CR within a line", "x-a: b\rtransfer-encoding: chunked\r\ncontent-length: 2\r\n", "{}"),
        ("a NUL in a name", "transfer-encoding\0: chunked\r\n", "0\r\n\r\n"),
        ("a vertical tab before a coding", "transfer-encoding: \x0bchunked\r\n", "0\r\n\r\n"),
        ("a trailer without CR", "transfer-encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\n"),
        ("a huge chunk", "transfer-encoding: chunked\r\n", "fffffffffffffffff\r\nab\r\n0\r\n\r\n"),
        ("a signed chunk", "transfer-encoding: chunked\r\n", "-2\r\n{}\r\n0\r\n\r\n"),
        ("a chunk without CR", "transfer-encoding: chunked\r\n", "2\n{}\n0\n\n"),
        ("an extension with a LF", "transfer-encoding: chunked\r\n", "2;a\nb\r\n{}\r\n0\r\n\r\n"),
        ("a chunk that is longer than it says", "transfer-encoding: chunked\r\n", "2\r\n{}xx\r\n0\r\n\r\n"),
    ];
    let with_fields = framings.map(|(name, fields, body)| {
        attack(name, format!("PUT /things/1 HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n{body}{HIDDEN}"), &[400])
    });
    let bare = attack("lines without CR", "GET /api/v1/status HTTP/1.1\nhost: localhost\n\n", &[400]);
    [&with_fields[..], &[bare]].concat()
}

fn odd_heads() -> Vec<Attack> {
    let get = |fields: &[u8]| [b"GET /api/v1/operations HTTP/1.1\r\nhost: localhost\r\n", fields, b"\r\n\r\n"].concat();
    vec![
        attack("no HTTP at all", &b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n"[..], &[400]),
        attack("another protocol", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[]),
        attack("no host", "GET /api/v1/status HTTP/1.1\r\nconnection: close\r\n\r\n", &[400]),
        attack("two hosts", get(b"host: evil.example\r\nconnection: close"), &[400]),
        attack("a foreign host", "GET / HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n", &[400]),
        attack("a foreign address", "GET http://evil.example/ HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", &[400]),
        attack("a tunnel", "CONNECT evil.example:443 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", &[400, 404, 405]),
        attack("a NUL in a value", get(b"x-a: a\0b"), &[400]),
        attack("a name that is none", get(b"x a: b"), &[400]),
        attack(
            "a value that is not UTF-8",
            &b"PUT /things/1 HTTP/1.1\r\nhost: localhost\r\nx-a: \xff\xfe\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"[..],
            &[400],
        ),
    ]
}

fn floods() -> Vec<Attack> {
    let with = |fields: String| {
        format!("GET /api/v1/operations HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{fields}\r\n")
    };
    let many = |count: usize| (0..count).map(|number| format!("x-{number}: y\r\n")).collect::<String>();
    vec![
        attack("150 fields", with(many(150)), &[431]),
        attack("5,000 fields", with(many(5_000)), &[431]),
        attack("a field of 60 KB", with(format!("x-a: {}\r\n", "y".repeat(60_000))), &[431]),
        attack("a field of 4 MB", with(format!("x-a: {}\r\n", "y".repeat(4_000_000))), &[431]),
        attack("a name of 60 KB", with(format!("x{}: y\r\n", "a".repeat(60_000))), &[400, 431]),
        attack(
            "an address of 60 KB",
            format!("GET /{} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n", "a".repeat(60_000)),
            &[431],
        ),
        attack("an address of 4 MB", format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(4_000_000)), &[414, 431]),
        attack("a first line without an end", "G".repeat(4_000_000), &[400, 431]),
        attack(
            "extensions of chunks without an end",
            format!(
                "PUT /things/1 HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n2;{}\r\n{{}}\r\n0\r\n\r\n",
                "x".repeat(400_000)
            ),
            &[400],
        ),
        attack(
            "trailers without an end",
            format!(
                "PUT /things/1 HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n{}\r\n",
                many(40_000)
            ),
            &[400],
        ),
        attack(
            "chunks without an end",
            [
                b"PUT /things/1 HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n".to_vec(),
                [b"10000\r\n", &[b' '; 0x10000][..], b"\r\n"].concat().repeat(64),
            ]
            .concat(),
            &[413],
        ),
        attack(
            "chunks of one octet",
            [
                b"PUT /things/1 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
                    .to_vec(),
                b"1\r\n \r\n".repeat(100_000),
                b"0\r\n\r\n".to_vec(),
            ]
            .concat(),
            &[202],
        ),
    ]
}

fn numbers() -> Vec<Attack> {
    let get = |path: &str, fields: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{fields}\r\n")
    };
    let nines = "9".repeat(200);
    let typed = |number: &str| request("POST /typed", &format!("{{\"n\":{number}}}"));
    vec![
        attack(
            "a length that is no number of 64 bits",
            format!("PUT /things/1 HTTP/1.1\r\nhost: localhost\r\ncontent-length: {nines}\r\n\r\n"),
            &[400],
        ),
        attack(
            "a length of 8 EB",
            "PUT /things/1 HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9223372036854775807\r\n\r\n",
            &[400, 413],
        ),
        attack("a page of so many", get(&format!("/api/v1/operations?limit={nines}"), ""), &[400]),
        attack("a page behind so many", get(&format!("/api/v1/attention?page_token=n.{nines}"), ""), &[400]),
        attack("a time beyond all times", get("/api/v1/operations?since=%2B999999-12-31T23:59:59Z", ""), &[400]),
        attack(
            "the last of all times",
            get("/api/v1/operations?since=9998-12-31T23:59:59Z&until=-009999-01-02T00:00:00Z", ""),
            &[200, 400],
        ),
        attack("an event that was not", get("/api/v1/events", &format!("last-event-id: {nines}\r\n")), &[400, 409]),
        attack("a number of 100,000 digits", typed(&"7".repeat(100_000)), &[202, 400]),
        attack("a number beyond all doubles", typed("1e999999999"), &[400]),
        attack("a number near nothing", typed("1e-999999999"), &[202, 400]),
        attack("a fraction of 100,000 digits", typed(&format!("0.{}", "3".repeat(100_000))), &[202, 400]),
    ]
}

fn bodies() -> Vec<Attack> {
    vec![
        attack("JSON of 100,000 levels that is read", request("POST /typed", &"[".repeat(100_000)), &[400]),
        attack(
            "JSON of 100,000 levels that is passed on",
            request("PUT /things/1", &format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))),
            &[202],
        ),
        attack(
            "secrets below 10,000 levels",
            request("PUT /things/1", &format!("{}\"password\":1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000))),
            &[202],
        ),
        attack(
            "50,000 members of one name",
            request("POST /typed", &format!("{{{}\"n\":1}}", "\"n\":1,".repeat(50_000))),
            &[202, 400],
        ),
        attack("a body that is not UTF-8", not_utf8(), &[400]),
        attack("a NUL in a body", request("POST /typed", "{\"n\":\"\0\"}"), &[400]),
        attack("half a pair of surrogates", request("POST /typed", "{\"n\":\"\\ud800\"}"), &[400]),
    ]
}

fn paths() -> Vec<Attack> {
    let plain = [
        "/things/../../etc/passwd",
        "/things/%2e%2e/%2e%2e/etc/passwd",
        "/things/..%2f..%2fetc%2fpasswd",
        "/things/..%5c..%5cwindows",
        "/things/..;/x",
        "/things/.",
        "//evil.example/things/1",
        "/things/%00",
        "/things/a%0",
        "/things/%zz",
        "/things/%ff",
        "/ui/assets/../../../etc/passwd",
        "/api/v1/../../etc/passwd",
    ];
    let mut attacks: Vec<Attack> =
        plain.iter().map(|path| attack(path, request(&format!("PUT {path}"), "{}"), &[400])).collect();
    for (name, path) in [
        ("a path that is not UTF-8", &b"/things/\xff\xfe"[..]),
        ("a NUL in a path", b"/things/a\0b"),
        ("a backslash in a path", b"/things\\..\\x"),
        ("a tab in a path", b"/things/a\tb"),
        ("a path without a slash", b"things/1"),
    ] {
        let tail = b" HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}";
        attacks.push(attack(name, [b"PUT ", path, &tail[..]].concat(), &[400]));
    }
    attacks
}

fn not_utf8() -> Vec<u8> {
    let mut octets = request("POST /typed", "{\"n\":\"??\"}");
    let marks = octets.len() - 4..octets.len() - 2;
    octets[marks].copy_from_slice(b"\xff\xfe");
    octets
}

/// A request of good form with this body, after which the connection is closed.
fn request(line: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let fields = format!(
        "host: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n"
    );
    format!("{line} HTTP/1.1\r\n{fields}\r\n{body}").into_bytes()
}
