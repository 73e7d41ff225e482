//! Who may do what: every call, made by every role, of the tenant that the operation belongs to and of another one.

use std::collections::{BTreeMap, BTreeSet};

use fanfold_core::access::Secret;
use fanfold_core::{Access, Role, Scope};
use fanfold_engine::{RouteCallback, TokenOutcome, TokenRequest};
use fanfold_server::FixedToken;
use fanfold_testkit::{Answer, FakeTarget, Http, HttpAnswer};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::rig::{PLAS, Rig, front, routes};

/// Which roles each call is for, by the name that the document of the API gives it; a call that is not here fails the test.
/// `known`: for everybody who is known; `public`: for everybody; `house`: for nobody but the house's own people.
const RULES: [(&str, &str); 52] = [
    ("acknowledgeNote", "operate"),
    ("cancelOperation", "operate"),
    ("cancelOperations", "operate"),
    ("createToken", "admin"),
    ("drain", "house admin"),
    ("extendOperation", "operate"),
    ("followAll", "read"),
    ("followOperation", "read"),
    ("getCaller", "known"),
    ("getDocument", "known"),
    ("getHealth", "public"),
    ("getMetrics", "house monitor"),
    ("getNote", "read"),
    ("getNotice", "read"),
    ("getOperation", "read"),
    ("getReadiness", "public"),
    ("getStatus", "read"),
    ("getTarget", "read"),
    ("getToken", "admin"),
    ("holdTarget", "operate"),
    ("listAudit", "admin"),
    ("listHistory", "read"),
    ("listNotes", "read"),
    ("listNotices", "read"),
    ("listOperations", "read"),
    ("listRoutes", "read"),
    ("listTargets", "read"),
    ("listTokens", "admin"),
    ("mount /v1 get", "read"),
    ("mount /v1 list", "read"),
    ("mount /v1 notify", "public"),
    ("mount /v1.0/plasconnector get", "read"),
    ("planRequest", "read"),
    ("releaseOperation", "operate"),
    ("releaseOperations", "operate"),
    ("releaseTarget", "operate"),
    ("replayNotice", "operate"),
    ("resolveNote", "operate"),
    ("resume", "house admin"),
    ("retryOperation", "operate"),
    ("retryOperations", "operate"),
    ("revokeToken", "admin"),
    ("route both-msf", "submit"),
    ("route cps", "submit"),
    ("route create", "submit"),
    ("route locked", "submit"),
    ("route locked-msf", "submit"),
    ("route locked-plas", "submit"),
    ("route pass-get", "read"),
    ("route pass-msf", "read"),
    ("route pass-plas", "read"),
    ("route pass-post", "submit"),
];

/// The rest of the routes: all of them accept.
const ACCEPTING: [&str; 7] = ["queue", "thing", "things", "typed", "typed-msf", "typed-plas", "update"];

/// The pages of the console, with the role that each needs. What is asked first with `GET` is done with `POST`.
const PAGES: [(&str, &str); 16] = [
    ("GET /ui", "read"),
    ("GET /ui/operations", "read"),
    ("GET /ui/operations/{id}", "read"),
    ("GET /ui/operations/{id}/cancel", "operate"),
    ("POST /ui/operations/{id}/cancel", "operate"),
    ("POST /ui/operations/{id}/retry", "operate"),
    ("POST /ui/operations/{id}/extend", "operate"),
    ("GET /ui/targets", "read"),
    ("POST /ui/targets/tokyo/release", "operate"),
    ("GET /ui/attention", "read"),
    ("GET /ui/notices", "read"),
    ("GET /ui/routes/plan", "read"),
    ("POST /ui/resume", "house admin"),
    ("GET /ui/sign-in", "public"),
    ("POST /ui/sign-in", "public"),
    ("POST /ui/sign-out", "known"),
];

fn secret(number: u8) -> Secret {
    Secret::from_random([number; 32])
}

/// Tenant, role, and what is shown.
type Owner = (String, Option<Role>, Secret);

/// A token for each role of each of two tenants, and one without any role.
fn tokens() -> (Vec<FixedToken>, Vec<Owner>) {
    let mut tokens = Vec::new();
    let mut callers = Vec::new();
    for tenant in ["default", "acme"] {
        for role in [None].into_iter().chain(Role::ALL.map(Some)) {
            let secret = secret(u8::try_from(tokens.len()).unwrap());
            let access = Access { tenant: tenant.into(), roles: role.into_iter().collect(), scope: Scope::default() };
            let name = format!("{tenant} {role:?}");
            tokens.push(FixedToken { name, digest: secret.digest(), access, expires_at: None });
            callers.push((tenant.to_owned(), role, secret));
        }
    }
    (tokens, callers)
}

/// A call that can be made.
#[derive(Debug)]
struct Call {
    name: String,
    rule: String,
    method: String,
    path: String,
    body: Value,
    /// Whether the path names something that belongs to a tenant.
    is_of_a_tenant: bool,
}

/// What the path of a call names: all of it of an operation of the house.
struct Named {
    operation: String,
    of_msf: String,
    of_plas: String,
    note: String,
    notice: String,
    token: String,
}

fn calls(document: &Value, named: &Named) -> Vec<Call> {
    let mut rules: BTreeMap<String, &str> = RULES.iter().map(|(name, rule)| ((*name).to_owned(), *rule)).collect();
    rules.extend(ACCEPTING.iter().map(|name| (format!("route {name}"), "submit")));
    let mut calls = Vec::new();
    for (template, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap().to_owned();
            let rule = rules.remove(&name).unwrap_or_else(|| panic!("there is no rule for {name}"));
            let (path, is_of_a_tenant) = filled(template, named);
            let body = body(&name);
            calls.push(Call { name, rule: rule.to_owned(), method: method.to_uppercase(), path, body, is_of_a_tenant });
        }
    }
    assert!(rules.is_empty(), "rules for nothing: {rules:?}");
    for (page, rule) in PAGES {
        let (method, path) = page.split_once(' ').unwrap();
        let is_of_a_tenant = path.contains('{');
        let path = path.replace("{id}", &named.operation);
        calls.push(Call {
            name: page.to_owned(),
            rule: rule.to_owned(),
            method: method.to_owned(),
            path,
            body: Value::Null,
            is_of_a_tenant,
        });
    }
    calls
}

fn filled(template: &str, named: &Named) -> (String, bool) {
    let id = match template {
        _ if template.starts_with("/api/v1/attention/{") => &named.note,
        _ if template.starts_with("/api/v1/notices/{") => &named.notice,
        _ if template.starts_with("/api/v1/tokens/{") => &named.token,
        _ if template.starts_with("/api/v1/operations/{") => &named.operation,
        "/v1/operations/{operation_id}" => &named.of_msf,
        _ if template.ends_with("/operations/{operation_id}") => &named.of_plas,
        _ => "",
    };
    let path = template.replace("{id}", id).replace("{operation_id}", id).replace("{name}", "tokyo");
    let path = path.replace("{connector_id}", "c").replace("{slice_id}", "s").replace("{rest}", "x");
    // A route has an `{id}` of its own.
    let path = if path.ends_with('/') { format!("{path}1") } else { path };
    (path, !id.is_empty())
}

fn body(name: &str) -> Value {
    match name {
        "extendOperation" => json!({ "by": "30m" }),
        "resolveNote" => json!({ "answer": "applied" }),
        "planRequest" => json!({ "method": "PUT", "uri": "/things/1", "body": "{}" }),
        "createToken" => json!({ "name": "portal", "roles": ["read"] }),
        "cancelOperations" | "retryOperations" => json!({ "dry_run": true, "all": true }),
        _ if name.starts_with("route ") => json!({ "n": 1 }),
        _ => json!({}),
    }
}

/// Whether a rule lets a caller through.
fn lets_through(rule: &str, tenant: &str, role: Option<Role>) -> bool {
    let (is_house, needed) = rule.strip_prefix("house ").map_or((false, rule), |needed| (true, needed));
    let has = |role: Role| match needed {
        "public" | "known" => true,
        needed => role.includes(needed.parse().unwrap()),
    };
    matches!(needed, "public" | "known") || (role.is_some_and(has) && (!is_house || tenant == "default"))
}

async fn make(http: &Http, call: &Call) -> HttpAnswer {
    // A stream of events would not end; its head says whether it begins.
    let method = if call.name.starts_with("follow") { "HEAD" } else { &call.method };
    let body = match method {
        "GET" | "HEAD" => String::new(),
        _ if call.path.starts_with("/ui") => "by=30m".to_owned(),
        _ => call.body.to_string(),
    };
    http.request(method, &call.path, body.as_bytes()).await
}

/// Whether an answer says that there is nothing, in the dialect of its path.
fn is_nothing(path: &str, answer: &HttpAnswer) -> bool {
    match path {
        _ if path.starts_with(PLAS) => answer.status == 400 && answer.json()["error_code"] == "PLAS.0404",
        _ if path.starts_with("/v1/") => answer.status == 404 && answer.json()["error_code"] == "030001",
        _ => answer.status == 404,
    }
}

/// An operation of the house in each dialect, one with a note and a notice.
async fn named(rig: &Rig) -> Named {
    let receiver = FakeTarget::start().await;
    receiver.on("POST", "/*", Answer::empty(204));
    let callback = RouteCallback { url: receiver.url().parse().unwrap(), secrets: Vec::new() };
    rig.server.replace_front(front(routes()).with_callbacks([("things".to_owned(), callback)].into()));
    rig.tokyo.on("POST", "/things", Answer::json(201, &json!({ "id": "t" })));
    let operation = rig.accept("POST", "/things", &json!({})).await;
    let of_msf = rig.accept("POST", "/v1/slices/s/cps", &json!({})).await;
    let created = rig.http.put(&format!("{PLAS}/connectors/c"), &json!({})).await;
    let of_plas = created.json()["location"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    for id in [&operation, &of_msf, &of_plas] {
        rig.ended(id).await;
    }
    rig.osaka.on("POST", "/things", Answer::json(409, &json!({})));
    rig.tokyo.on("DELETE", "/things/*", Answer::empty(409));
    let failed = rig.accept("POST", "/things", &json!({})).await;
    rig.ended(&failed).await;
    let notes = rig.http.get(&format!("/api/v1/attention?operation={failed}")).await.json();
    let note = notes["attention"][0]["id"].to_string();
    let notices = rig.http.get("/api/v1/notices").await.json();
    let notice = notices["notices"][0]["id"].as_str().unwrap().to_owned();
    rig.tokyo.on("DELETE", "/things/*", Answer::empty(204));
    rig.osaka.on("POST", "/things", Answer::json(201, &json!({ "id": "o" })));
    let wanted =
        TokenRequest { name: "pager".to_owned(), access: Access::full(), expires_at: None, by: "me".to_owned() };
    let TokenOutcome::Created { token, .. } = rig.engine.create_token(wanted).await.unwrap() else {
        panic!("it is the first")
    };
    Named { operation: failed, of_msf, of_plas, note, notice, token: token.id.to_string() }
}

/// Goal: nobody gets further than the table says. Method: every call of the document and the pages of the console, made by every
/// role of two tenants, and by nobody; what is denied is answered as what does not exist.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "how much was tried is worth knowing")]
async fn every_call_is_for_whom_the_table_says() {
    let rig = Rig::start().await;
    let named = named(&rig).await;
    let (tokens, callers) = tokens();
    rig.ask_for(tokens);
    let admin = callers.iter().find(|(tenant, role, _)| tenant == "default" && *role == Some(Role::Admin)).unwrap();
    let admin = rig.showing(admin.2.expose());
    let document = admin.get("/openapi.json").await.json();
    let calls = calls(&document, &named);
    let (mut made, mut allowed) = (0, 0);
    for call in &calls {
        let answer = make(&rig.http, call).await;
        let is_console = call.path.starts_with("/ui");
        if call.rule == "public" {
            assert_ne!(answer.status, 401, "{call:?}");
        } else if is_console {
            let to = answer.header("location").unwrap_or_default();
            assert!(answer.status == 303 && to.starts_with("/ui/sign-in"), "{call:?}: {} {to}", answer.status);
        } else {
            // After a while whoever fails is told to wait.
            assert!(matches!(answer.status, 401 | 429), "{call:?}: {}", answer.text());
            assert_eq!(answer.header("www-authenticate").is_some(), answer.status == 401, "{call:?}");
        }
        for (tenant, role, secret) in &callers {
            let answer = make(&rig.showing(secret.expose()), call).await;
            let who = format!("{call:?} by {role:?} of {tenant}: {} {}", answer.status, answer.text());
            assert_ne!(answer.status, 401, "{who}");
            let is_let = lets_through(&call.rule, tenant, *role) && (tenant == "default" || !call.is_of_a_tenant);
            // Targets are everybody's: whoever is not of the house holds only what was given to them by name.
            let is_let = is_let
                && (tenant == "default" || !matches!(&*call.name, "holdTarget" | "releaseTarget"))
                && (tenant == "default" || call.name != "POST /ui/targets/tokyo/release");
            if call.rule != "public" {
                assert_eq!(is_nothing(&call.path, &answer), !is_let, "{who}");
            }
            made += 1;
            allowed += usize::from(is_let);
            if matches!(&*call.name, "drain" | "holdTarget") {
                admin.post("/api/v1/resume", &json!({})).await;
                admin.post("/api/v1/targets/tokyo/release", &json!({})).await;
            }
        }
    }
    println!(
        "{} calls, {} roles with none, 2 tenants: {made} made, {allowed} allowed",
        calls.len(),
        Role::ALL.len() + 1
    );
    let tried: BTreeSet<&str> = calls.iter().map(|call| call.rule.as_str()).collect();
    assert_eq!(tried.len(), 8, "{tried:?}");
}

/// Makes a token as an admin does, and gives its id and its secret.
async fn made(admin: &Http, wanted: &Value) -> (String, String) {
    let answer = admin.post("/api/v1/tokens/create", wanted).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let made = answer.json();
    let id = made["token"]["id"].as_str().unwrap().to_owned();
    (id, made["secret"].as_str().unwrap().to_owned())
}

/// A server that asks for tokens, and a client of an admin of the house.
async fn guarded() -> (Rig, Http) {
    let rig = Rig::start().await;
    let secret = secret(1);
    let token =
        FixedToken { name: "root".to_owned(), digest: secret.digest(), access: Access::full(), expires_at: None };
    rig.ask_for(vec![token]);
    let admin = rig.showing(secret.expose());
    (rig, admin)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_made_used_and_taken_back() {
    let (rig, admin) = guarded().await;
    let (id, secret) = made(&admin, &json!({ "name": "portal", "roles": ["submit", "read"], "tenant": "acme" })).await;
    let portal = rig.showing(&secret);
    let who = portal.get("/api/v1/caller").await.json();
    assert_eq!((&who["name"], &who["tenant"], &who["credential"]), (&json!("portal"), &json!("acme"), &json!("token")));
    let accepted = portal.post("/things", &json!({})).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text());
    let again =
        admin.post("/api/v1/tokens/create", &json!({ "name": "portal", "roles": ["read"], "tenant": "acme" })).await;
    assert_eq!((again.status, &again.json()["code"]), (409, &json!("not_possible")));
    let shown = admin.get(&format!("/api/v1/tokens/{id}")).await;
    assert!(!shown.text().contains(&secret), "{}", shown.text());
    // A stream that is open ends with the token.
    let mut stream = portal.open().await;
    let head = format!("GET /api/v1/events HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {secret}\r\n\r\n");
    stream.send(head.as_bytes()).await;
    stream.until("retry: ").await;
    let revoked = admin.post(&format!("/api/v1/tokens/{id}/revoke"), &json!({})).await;
    assert_eq!((revoked.status, &revoked.json()["revoked_by"]), (200, &json!("root")));
    assert_eq!(portal.get("/api/v1/caller").await.status, 401);
    stream.until("0\r\n\r\n").await;
    let trail = admin.get("/api/v1/audit?action=token_revoke").await.json();
    let words: Vec<&Value> = trail["audit"].as_array().unwrap().iter().map(|entry| &entry["outcome"]).collect();
    assert_eq!(words, ["done", "asked"], "{trail}");
    assert_eq!((&trail["audit"][0]["by"], &trail["audit"][0]["subject"]), (&json!("root"), &json!(id)));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gives_more_than_they_have() {
    let (rig, admin) = guarded().await;
    let (_, secret) =
        made(&admin, &json!({ "name": "boss", "roles": ["admin"], "tenant": "acme", "targets": ["tokyo"] })).await;
    let boss = rig.showing(&secret);
    for (wanted, status) in [
        (json!({ "name": "a", "roles": ["operate"], "targets": ["tokyo"] }), 201),
        (json!({ "name": "b", "roles": ["operate"] }), 409),
        (json!({ "name": "c", "roles": ["operate"], "targets": ["tokyo", "osaka"] }), 409),
        (json!({ "name": "d", "roles": ["operate"], "targets": ["tokyo"], "tenant": "default" }), 409),
        (json!({ "name": "e", "roles": ["monitor"], "targets": ["tokyo"] }), 409),
        (json!({ "name": "f", "roles": [], "targets": ["tokyo"] }), 400),
        (json!({ "name": "with space", "roles": ["read"], "targets": ["tokyo"] }), 400),
        (json!({ "name": "g", "roles": ["read"], "targets": ["nowhere"] }), 409),
        (json!({ "name": "h", "roles": ["read"], "targets": ["tokyo"], "expires_in": "-1d" }), 400),
    ] {
        let answer = boss.post("/api/v1/tokens/create", &wanted).await;
        assert_eq!(answer.status, status, "{wanted}: {}", answer.text());
    }
    let seen = boss.get("/api/v1/tokens").await.json();
    assert_eq!(seen["tokens"].as_array().unwrap().len(), 2, "{seen}");
}

/// Goal: a tenant that has made all the tokens it can is told so, and takes none from the house.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_has_all_its_tokens_takes_none_from_the_house() {
    let (rig, admin) = guarded().await;
    let (_, boss) = made(&admin, &json!({ "name": "boss", "roles": ["admin"], "tenant": "acme" })).await;
    let making = (1..1_000).map(|number| {
        let access = Access { tenant: "acme".into(), ..Access::full() };
        let (name, by) = (format!("t{number}"), "boss".to_owned());
        rig.engine.create_token(TokenRequest { name, access, expires_at: None, by })
    });
    for made in join_all(making).await {
        assert!(matches!(made, Ok(TokenOutcome::Created { .. })), "{made:?}");
    }
    let more = json!({ "name": "more", "roles": ["read"] });
    let full = rig.showing(&boss).post("/api/v1/tokens/create", &more).await;
    assert_eq!((full.status, &full.json()["code"]), (409, &json!("not_possible")));
    let detail = full.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("the tenant has as many tokens as a tenant may have"), "{detail}");
    made(&admin, &more).await;
}

/// Goal: what is narrowed to some targets is so everywhere. Method: one operation for tokyo alone, one for both, seen by whoever is
/// for tokyo.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_some_targets_sees_no_operation_that_goes_to_another() {
    let (rig, admin) = guarded().await;
    let of_one = admin.put("/things/1", &json!({})).await.json()["id"].as_str().unwrap().to_owned();
    let of_both = admin.post("/things", &json!({})).await.json()["id"].as_str().unwrap().to_owned();
    let wanted = json!({ "name": "n", "roles": ["submit", "operate"], "targets": ["tokyo"] });
    let narrow = rig.showing(&made(&admin, &wanted).await.1);
    assert_eq!(narrow.get(&format!("/api/v1/operations/{of_one}")).await.status, 200);
    for path in ["", "/history", "/events"] {
        let answer = narrow.get(&format!("/api/v1/operations/{of_both}{path}")).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
    }
    let refused = narrow.post("/things", &json!({})).await;
    assert_eq!((refused.status, &refused.json()["code"]), (404, &json!("not_found")));
    assert_eq!(narrow.put("/things/2", &json!({})).await.status, 202);
    let status = narrow.get("/api/v1/status").await.json();
    assert!(status["operations"].is_null(), "how many there are in all is not told: {status}");
    let targets = narrow.get("/api/v1/targets").await.json();
    assert_eq!(targets["targets"].as_array().unwrap().len(), 1, "{targets}");
    assert_eq!(narrow.post("/api/v1/targets/osaka/hold", &json!({})).await.status, 404);
    assert_eq!(narrow.post("/api/v1/targets/tokyo/hold", &json!({})).await.status, 200);
}
