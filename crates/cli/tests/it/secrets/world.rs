//! Targets and clients whose messages are full of secrets, and a server between them.

use std::collections::{BTreeSet, VecDeque};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fanfold_testkit::{Answer, FakeTarget, Home, Http, Latch, PATIENCE, Process, Reply, Resources, Seen};
use serde_json::{Value, json};

use super::hunt::{Found, Hunt, Secret};
use crate::program::{Ended, PROGRAM, Server, forget_settings, text};

const fn secret(place: &'static str, text: &'static str) -> Secret {
    Secret { place, text }
}

/// Each stands in one place only.
pub(super) const SECRETS: &[Secret] = &[
    secret("authorization of a client", "aA1q7Zk2Xw9Vt3"),
    secret("x-auth-token of a client", "bB2w8Yl3Cv0Us4"),
    secret("x-subject-token of a client", "cC3e9Xm4Bu1Tr5"),
    secret("cookie of a client", "dD4r0Wn5Ay2Sq6"),
    secret("header named by redact", "eE5t1Vo6Zx3Rp7"),
    secret("query of a request", "fF6y2Up7Yw4Qo8"),
    secret("address in a query", "gG7u3Tq8Xv5Pn9"),
    secret("member of a body", "hH8i4Sr9Wu6Om0"),
    secret("deep member of a body", "iI9o5Rs0Vt7Nl1"),
    secret("member by pointer", "jJ0p6Qt1Us8Mk2"),
    secret("member by key", "kK1a7Pu2Tr9Lj3"),
    secret("address with a password", "lL2s8Ov3Sq0Ki4"),
    secret("words of a text", "mM3d9Nw4Rp1Jh5"),
    secret("JSON in a text", "nN4f0Mx5Qo2Ig6"),
    secret("form", "oO5g1Ly6Pn3Hf7"),
    secret("text body", "pP6h2Kz7Om4Ge8"),
    secret("set-cookie of a target", "qQ7j3Ja8Nl5Fd9"),
    secret("answer of a target", "rR8k4Ib9Mk6Ec0"),
    secret("location of a target", "sS9l5Hc0Lj7Db1"),
    secret("refusal of a target", "tT0z6Gd1Ki8Ca2"),
    secret("answer to an undo", "uU1x7Fe2Jh9Bz3"),
    secret("snapshot", "vV2c8Ef3Ig0Ay4"),
    secret("address of a lower operation", "wW3v9Dg4Hf1Zx5"),
    secret("answer of a lower operation", "xX4b0Ch5Ge2Yw6"),
    secret("credential from the environment", "yY5n1Bi6Fd3Xv7"),
    secret("credential from a file", "zZ6m2Aj7Ec4Wu8"),
    secret("secret of webhooks", "a1Q7s8D9f0G1h2J3k4L5z6X7"),
    secret("callback of a client", "b2W8d9F0g1H2j3"),
    secret("callback of a route", "c3E9f0G1h2J3k4"),
    secret("query that is passed through", "d4R0g1H2j3K4l5"),
    secret("header that is passed through", "e5T1h2J3k4L5z6"),
    secret("answer that is passed through", "f6Y2j3K4l5Z6x7"),
    secret("request that is planned", "g7U3k4L5z6X7c8"),
    secret("request that cannot be read", "h8I4l5Z6x7C8v9"),
];

/// The secret of this place.
pub(super) fn of(place: &str) -> &'static str {
    SECRETS.iter().find(|secret| secret.place == place).unwrap_or_else(|| panic!("no secret for {place}")).text
}

pub(super) struct World {
    tokyo: FakeTarget,
    osaka: FakeTarget,
    kyoto: FakeTarget,
    receiver: FakeTarget,
    collector: FakeTarget,
}

const ROUTES: &str = r#"
[defaults]
redact = { keys = ["pin"], headers = ["X-Customer"], pointers = ["/card/number"] }

[[routes]]
name = "things"
match = "PUT /things/{id}"
targets = ["tokyo", "kyoto"]
order = "sequence"
forward_headers = ["Authorization", "X-Auth-Token", "X-Subject-Token", "X-Customer"]
[routes.undo]
method = "PUT"
path = "/things/{{ path.id }}/undone?token={{ response.json.secret }}"
headers = { x-auth-token = "{{ request.headers['x-auth-token'] }}" }
body = { password = "{{ request.json.password }}", token = "{{ response.json.secret }}" }

[[routes]]
name = "devices"
match = "PUT /devices/{id}"
targets = ["osaka", "kyoto"]
order = "sequence"
undo = "restore"

[[routes]]
name = "jobs"
match = "POST /jobs"
targets = ["lower"]

[[routes]]
name = "forms"
match = "POST /forms"
targets = ["tokyo"]

[[routes]]
name = "passed"
match = "GET /passed/{*rest}"
pass = "tokyo"
"#;

impl World {
    pub(super) async fn new() -> Self {
        let world = Self {
            tokyo: FakeTarget::start().await,
            osaka: FakeTarget::start().await,
            kyoto: FakeTarget::start().await,
            receiver: FakeTarget::start().await,
            collector: FakeTarget::start().await,
        };
        let done = Answer::json(200, &json!({ "id": "t", "secret": of("answer of a target"), "plain": "visible" }))
            .header("set-cookie", format!("sid={}; Path=/", of("set-cookie of a target")))
            .header("location", format!("/things/x?token={}", of("location of a target")));
        world.tokyo.on("PUT", "*", done);
        let passed = Answer::json(200, &json!({ "token": of("answer that is passed through") }));
        world.tokyo.on("GET", "/passed/*", passed);
        for id in 1..9 {
            let undone = Answer::json(200, &json!({ "token": of("answer to an undo") }));
            world.tokyo.on("PUT", &format!("/things/{id}/undone"), undone);
        }
        let refused = json!({ "error": format!("the password: {}", of("refusal of a target")) });
        world.kyoto.on("PUT", "/things/2", Answer::json(409, &refused));
        world.kyoto.on("PUT", "/devices/1", Answer::json(409, &refused));
        let resources = Resources::new();
        resources.put("/devices/1", &json!({ "password": of("snapshot"), "size": 1 }).to_string());
        world.osaka.serve(resources);
        let address = format!("/ops/1?sig_token={}", of("address of a lower operation"));
        world.osaka.on("POST", "/jobs", Answer::empty(202).header("location", address));
        world.osaka.on("GET", "/ops/1", Answer::empty(202));
        world
    }

    /// A folder with the configuration in it.
    pub(super) fn home(&self, store: &str) -> Home {
        let target = |name: &str, at: &FakeTarget, monitor: &str, header: &str| {
            format!(
                "[targets.{name}]\nurl = \"{}\"\nmonitor = \"{monitor}\"\nheaders = {{ {header} }}\n\
                 retry = {{ attempts = 2, backoff = \"10ms\" }}\n",
                at.url()
            )
        };
        let from_env = "x-tokyo = \"Bearer ${env:TOKYO_TOKEN}\"";
        let targets = [
            target("tokyo", &self.tokyo, "none", from_env),
            target("osaka", &self.osaka, "none", "x-osaka = \"${file:osaka.token}\""),
            target("kyoto", &self.kyoto, "none", from_env),
            target("lower", &self.osaka, "location", from_env),
        ];
        let (receiver, collector) = (self.receiver.url(), self.collector.url());
        let webhook = format!("{receiver}/route?token={}", of("callback of a route"));
        let routes = ROUTES.replacen(
            "undo = \"restore\"",
            &format!("undo = \"restore\"\ncallback = {{ url = \"{webhook}\" }}"),
            1,
        );
        let home = Home::new(&format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n{store}\n[telemetry]\notlp = \"{collector}\"\n\
             [notices]\nallow = [\"127.0.0.1\"]\nsecrets = [\"${{env:HOOK_SECRET}}\"]\nbackoff = \"10ms\"\n{}{routes}",
            targets.concat()
        ));
        std::fs::write(home.path().join("osaka.token"), of("credential from a file")).unwrap();
        home
    }

    fn command(&self, home: &Home, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).current_dir(home.path()).stdin(Stdio::null());
        forget_settings(&mut command);
        let hook = format!("whsec_{}", STANDARD.encode(of("secret of webhooks")));
        command.env("TOKYO_TOKEN", of("credential from the environment")).env("HOOK_SECRET", hook);
        command.env("FANFOLD_LOG", "trace");
        command
    }

    /// Runs a command to its end.
    pub(super) async fn run(&self, home: &Home, arguments: &[&str]) -> Ended {
        let mut command = self.command(home, arguments);
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let text = |octets: Vec<u8>| String::from_utf8_lossy(&octets).into_owned();
        Ended { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    pub(super) async fn start(&self, home: &Home) -> Server {
        let process = Process::spawn(self.command(home, &["serve", "--config", "fanfold.toml"]));
        let url = process.url().await;
        let http = Http::new(&url);
        Server { process, url, http }
    }

    fn client(&self, server: &Server) -> Http {
        let callback = format!("{}/client?token={}", self.receiver.url(), of("callback of a client"));
        [
            ("authorization", format!("Bearer {}", of("authorization of a client"))),
            ("x-auth-token", of("x-auth-token of a client").to_owned()),
            ("x-subject-token", of("x-subject-token of a client").to_owned()),
            ("cookie", format!("sid={}", of("cookie of a client"))),
            ("x-customer", of("header named by redact").to_owned()),
            ("fanfold-callback-url", callback),
        ]
        .into_iter()
        .fold(server.http.clone(), |http, (name, value)| http.with(name, &value))
    }

    fn body(&self) -> Value {
        let inner = json!({ "password": of("JSON in a text") }).to_string();
        json!({
            "size": 3,
            "password": of("member of a body"),
            "deep": { "list": [{ "client_secret": of("deep member of a body") }] },
            "card": { "number": of("member by pointer") },
            "pin": of("member by key"),
            "dsn": format!("postgres://me:{}@db.example/x", of("address with a password")),
            "note": format!("log in with password = {}", of("words of a text")),
            "inner": inner,
        })
    }

    fn query(&self) -> String {
        format!("a=1&access_token={}&next=%2Fx%3Fsecret%3D{}", of("query of a request"), of("address in a query"))
    }

    async fn put(&self, server: &Server, path: &str) -> String {
        let answer = self.client(server).put(&format!("{path}?{}", self.query()), &self.body()).await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        text(&answer.json()["id"])
    }

    /// Takes a server through all that it can do with secrets; `look` is called while secrets are needed. Gives a server that
    /// has nothing left to do.
    pub(super) async fn live(&self, home: &Home, mut look: impl FnMut(&str)) -> Server {
        let server = self.start(home).await;
        let done = self.put(&server, "/things/1").await;
        assert_eq!(server.end_of(&done).await["status"], "completed");
        let undone = self.put(&server, "/things/2").await;
        assert_eq!(server.end_of(&undone).await["consistency"], "rolled back");
        let restored = self.put(&server, "/devices/1").await;
        assert_eq!(server.end_of(&restored).await["consistency"], "rolled back");
        self.other_requests(&server).await;
        let (held, followed, latch) = self.begin_two(&server).await;
        look("while operations run");
        let metrics = server.get("/metrics").await.text();
        assert!(metrics.contains("fanfold_"), "{metrics}");
        server.process.kill();
        look("after a kill");

        let server = self.start(home).await;
        latch.open();
        let lower = json!({ "status": "Succeeded", "result": { "token": of("answer of a lower operation") } });
        self.osaka.on("GET", "/ops/1", Answer::json(200, &lower));
        assert_eq!(server.end_of(&held).await["status"], "completed");
        assert_eq!(server.end_of(&followed).await["status"], "completed");
        self.retry(&server, &undone).await;
        self.until_told(&server).await;
        server
    }

    /// One whose target does not answer, and one that is followed at its target.
    async fn begin_two(&self, server: &Server) -> (String, String, Latch) {
        let latch = Latch::new();
        let slow = Reply::from(Answer::json(200, &json!({ "secret": of("answer of a target") }))).after(&latch);
        self.tokyo.once("PUT", "/things/3", slow);
        let held = self.put(server, "/things/3").await;
        let jobs = server.http.post("/jobs", &json!({ "token": of("member of a body") })).await;
        let followed = text(&jobs.json()["id"]);
        wait_for(&self.tokyo, |seen| seen.path() == "/things/3").await;
        wait_for(&self.osaka, |seen| seen.path() == "/ops/1").await;
        (held, followed, latch)
    }

    /// Requests that become no operation of their own, or are no JSON.
    async fn other_requests(&self, server: &Server) {
        let form = format!("a=1&password={}", of("form"));
        let http = server.http.clone().with("content-type", "application/x-www-form-urlencoded");
        let of_form = http.request("POST", "/forms", form.as_bytes()).await;
        assert_eq!(of_form.status, 202, "{}", of_form.text());
        let plain = format!("user me\npassword {}\n", of("text body"));
        let http = server.http.clone().with("content-type", "text/plain");
        let of_text = http.request("POST", "/forms", plain.as_bytes()).await;
        assert_eq!(of_text.status, 202, "{}", of_text.text());
        for accepted in [of_form, of_text] {
            server.end_of(&text(&accepted.json()["id"])).await;
        }
        let path = format!("/passed/x?token={}", of("query that is passed through"));
        let token = of("header that is passed through");
        assert_eq!(server.http.clone().with("x-auth-token", token).get(&path).await.status, 200);
        let broken = format!("{{\"password\": \"{}\"", of("request that cannot be read"));
        let refused = server.http.request("POST", "/api/v1/plan", broken.as_bytes()).await;
        assert_eq!(refused.status, 400, "{}", refused.text());
        assert!(!refused.text().contains(of("request that cannot be read")), "{}", refused.text());
    }

    /// The original request is gone: it has to come again.
    async fn retry(&self, server: &Server, id: &str) {
        self.kyoto.on("PUT", "/things/2", Answer::empty(204));
        let refused = server.http.request("POST", &format!("/api/v1/operations/{id}/retry"), b"").await;
        assert_eq!(refused.status, 409, "{}", refused.text());
        let client = self.client(server).with("fanfold-retry-of", id);
        let again = client.put(&format!("/things/2?{}", self.query()), &self.body()).await;
        assert_eq!(again.status, 202, "{}", again.text());
        assert_eq!(server.end_of(&text(&again.json()["id"])).await["status"], "completed");
    }

    /// Waits until every notice is delivered.
    async fn until_told(&self, server: &Server) {
        let told = async {
            loop {
                let pending = server.get("/api/v1/notices?state=pending").await.json();
                if pending["notices"].as_array().unwrap().is_empty() {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, told).await.expect("every notice is delivered");
    }

    /// All pages of the console, and all answers of the native API that can be reached.
    pub(super) async fn look_at_all_that_is_shown(&self, server: &Server, hunt: &Hunt, found: &mut Found) {
        let mut waiting: VecDeque<String> = ["operations", "notices", "attention", "targets", "routes", "status"]
            .map(|page| format!("/api/v1/{page}"))
            .into_iter()
            .chain(["/ui", "/metrics", "/openapi.json", "/healthz", "/readyz"].map(str::to_owned))
            .collect();
        for operation in server.get("/api/v1/operations").await.json()["operations"].as_array().unwrap() {
            let id = text(&operation["id"]);
            waiting.push_back(format!("/api/v1/operations/{id}"));
            waiting.push_back(format!("/api/v1/operations/{id}/history"));
            waiting.push_back(format!("/ui/operations/{id}"));
        }
        for notice in server.get("/api/v1/notices").await.json()["notices"].as_array().unwrap() {
            waiting.push_back(format!("/api/v1/notices/{}", text(&notice["id"])));
        }
        let mut seen = BTreeSet::new();
        while let Some(path) = waiting.pop_front() {
            if seen.len() > 400 || path.contains("/live") || !seen.insert(path.clone()) {
                continue;
            }
            let answer = server.get(&path).await;
            hunt.look(found, format!("GET {path}"), format!("{:?}", answer.headers).as_bytes());
            hunt.look(found, format!("GET {path}"), &answer.body);
            if path.starts_with("/ui") {
                let page = answer.text().replace("&amp;", "&");
                let links = page.split("href=\"").skip(1).filter_map(|rest| rest.split(['"', '#']).next());
                waiting.extend(links.filter(|link| link.starts_with("/ui")).map(str::to_owned));
            }
        }
        assert!(seen.len() > 40, "{seen:?}");
        let mut stream = server.http.open().await;
        stream.send(b"GET /api/v1/events HTTP/1.0\r\nhost: localhost\r\nlast-event-id: 0\r\n\r\n").await;
        let events = stream.until("response_composed").await;
        hunt.look(found, "the stream of events", events.as_bytes());
        self.look_at_a_plan(server, hunt, found).await;
    }

    async fn look_at_a_plan(&self, server: &Server, hunt: &Hunt, found: &mut Found) {
        let body = json!({ "password": of("request that is planned"), "size": 3 }).to_string();
        let answer = json!({ "secret": of("request that is planned") }).to_string();
        let asked = json!({
            "method": "PUT", "uri": format!("/things/7?token={}", of("request that is planned")), "body": body,
            "headers": [["x-auth-token", of("request that is planned")], ["content-type", "application/json"]],
            "answers": { "tokyo": { "status": 200, "body": answer } },
        });
        let planned = server.http.post("/api/v1/plan", &asked).await;
        assert_eq!(planned.status, 200, "{}", planned.text());
        assert!(planned.text().contains("[redacted]"), "{}", planned.text());
        hunt.look(found, "a plan", &planned.body);
    }

    /// What commands print.
    pub(super) async fn look_at_commands(&self, server: &Server, home: &Home, hunt: &Hunt, found: &mut Found) {
        let id = text(&server.get("/api/v1/operations").await.json()["operations"][0]["id"]);
        for arguments in [
            &["check", "fanfold.toml"][..],
            &["check", "fanfold.toml", "--output", "json"],
            &["routes", "--server", &server.url],
            &["targets", "list", "--server", &server.url],
            &["targets", "show", "tokyo", "--server", &server.url],
            &["status", "--server", &server.url],
            &["ops", "list", "--server", &server.url],
            &["ops", "get", &id, "--server", &server.url],
            &["ops", "get", &id, "--output", "json", "--server", &server.url],
            &["notices", "list", "--server", &server.url],
        ] {
            let ended = self.run(home, arguments).await;
            assert_eq!(ended.code, Some(0), "{arguments:?}: {}{}", ended.stdout, ended.stderr);
            hunt.look(found, format!("fanfold {}", arguments.join(" ")), (ended.stdout + &ended.stderr).as_bytes());
        }
    }

    /// What the receiver of notices and the collector of traces have got. Their own secrets stand in the address.
    pub(super) async fn look_at_what_was_sent_elsewhere(&self, hunt: &Hunt, found: &mut Found) {
        self.collector.wait_for(1).await;
        for (name, seen) in [("a notice", self.receiver.seen()), ("a trace", self.collector.seen())] {
            assert!(!seen.is_empty(), "{name}");
            for request in seen {
                hunt.look(found, name, &request.body);
                hunt.look(found, name, format!("{:?}", request.headers).as_bytes());
            }
        }
        let told: String = self.receiver.seen().iter().map(|seen| seen.uri.clone() + "\n").collect();
        assert!(told.contains(of("callback of a client")) && told.contains(of("callback of a route")), "{told}");
    }

    /// What is theirs has reached the targets.
    pub(super) fn assert_targets_have_got_all(&self) {
        let seen = [&self.tokyo, &self.osaka, &self.kyoto].map(FakeTarget::seen).concat();
        let of_one = |seen: &Seen| format!("{} {:?} {}", seen.uri, seen.headers, seen.text());
        let got: String = seen.iter().map(of_one).collect();
        const NOT_FOR_THEM: [&str; 11] = [
            "cookie of a client",
            "set-cookie of a target",
            "location of a target",
            "refusal of a target",
            "answer to an undo",
            "answer of a lower operation",
            "secret of webhooks",
            "callback of a client",
            "callback of a route",
            "answer that is passed through",
            "request that is planned",
        ];
        for secret in SECRETS.iter().filter(|secret| !NOT_FOR_THEM.contains(&secret.place)) {
            let expected = secret.place != "request that cannot be read";
            assert_eq!(got.contains(secret.text), expected, "{}", secret.place);
        }
    }
}

async fn wait_for(target: &FakeTarget, fits: impl Fn(&Seen) -> bool) {
    let mut count = 1;
    loop {
        let seen = target.wait_for(count).await;
        if seen.iter().any(&fits) {
            return;
        }
        count = seen.len() + 1;
    }
}

/// The places whose secrets are in the memory of a process, as far as that may be read. Nothing is promised of it.
pub(super) fn in_memory(process: u32, hunt: &Hunt) -> Option<Vec<&'static str>> {
    use std::os::unix::fs::FileExt as _;
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).ok()?;
    let memory = std::fs::File::open(format!("/proc/{process}/mem")).ok()?;
    let mut places = BTreeSet::new();
    for line in maps.lines().filter(|line| line.contains(" rw-p ")) {
        let (from, to) = line.split(' ').next()?.split_once('-')?;
        let [from, to] = [from, to].map(|text| u64::from_str_radix(text, 16).ok());
        let mut octets = vec![0; usize::try_from(to? - from?).ok()?];
        // Some of it cannot be read, which tells nothing.
        if memory.read_exact_at(&mut octets, from?).is_ok() {
            places.extend(hunt.in_octets(&octets));
        }
    }
    Some(places.into_iter().collect())
}
