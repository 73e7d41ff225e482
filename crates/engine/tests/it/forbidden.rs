//! Addresses that a client gives and nobody may have called: in every spelling they are refused before a packet leaves, whether
//! they are given anew or stand in the record from when they were allowed. What names stand for is up to the tests, and the
//! network of notices is a made-up one that notes who is connected to.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use fanfold_core::dialect::Refusal;
use fanfold_core::plan::DialectName;
use fanfold_core::{Operation, OperationId, Plan};
use fanfold_engine::{AllowRule, AllowedHost, Config, Connecting, Network, Resolve, Resolved};
use fanfold_store::contract::fixtures;
use fanfold_store::model::Model;
use fanfold_store::{Acceptance, Notice, NoticeFilter, NoticeState, Page, Store};
use fanfold_testkit::fake::{Answer, FakeTarget, Reply};
use fanfold_testkit::{Latch, PATIENCE};

use super::stage::{NAMES, Setting, Stage, config, fakes, spec};
use super::webhooks::{OLD, secret};

/// Notes who is connected to, and refuses everybody.
#[derive(Debug, Default)]
struct Wire(Mutex<Vec<String>>);

impl Wire {
    fn connected_to(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Network for Wire {
    fn connect(&self, to: &str) -> Connecting {
        self.0.lock().unwrap().push(to.to_owned());
        Box::pin(async { Err(io::Error::from(io::ErrorKind::ConnectionRefused)) })
    }
}

/// What names stand for, look-up by look-up; the last answer holds for ever. Notes what it is asked.
#[derive(Debug, Default)]
struct Names {
    answers: Mutex<BTreeMap<&'static str, Vec<Vec<IpAddr>>>>,
    asked: Mutex<Vec<String>>,
}

impl Names {
    fn of(answers: &[(&'static str, &[&[&str]])]) -> Arc<Self> {
        let read = |addresses: &&[&str]| addresses.iter().map(|address| address.parse().unwrap()).collect();
        let answers = answers.iter().map(|(name, answers)| (*name, answers.iter().rev().map(read).collect()));
        Arc::new(Self { answers: Mutex::new(answers.collect()), asked: Mutex::default() })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, name: &'a str, port: u16) -> Resolved<'a> {
        self.asked.lock().unwrap().push(name.to_owned());
        let mut answers = self.answers.lock().unwrap();
        let answer = answers.get_mut(name).and_then(|answers| match answers.len() {
            1 => answers.first().cloned(),
            _ => answers.pop(),
        });
        Box::pin(async move {
            let answer = answer.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
            Ok(answer.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
        })
    }
}

fn network(address: &str, bits: u8) -> AllowRule {
    AllowRule { host: AllowedHost::Network { address: address.parse().unwrap(), bits }, port: None }
}

/// Rules that allow as much as one can without naming what is inside.
fn everything() -> Vec<AllowRule> {
    let rule = |host| AllowRule { host, port: None };
    let names = ["localhost", "metadata.google.internal", "allowed.example"];
    let names = names.map(|name| rule(AllowedHost::Name(name.to_owned())));
    let below = ["example", "internal"].map(|domain| rule(AllowedHost::Below(domain.to_owned())));
    [network("0.0.0.0", 0), network("::", 0)].into_iter().chain(names).chain(below).collect()
}

fn setting<'a>(fakes: &'a [FakeTarget], names: &Arc<Names>, wire: &Arc<Wire>) -> Setting<'a> {
    let mut config: Config = config();
    config.notices.secrets = vec![secret(OLD)];
    config.notices.attempts = 1;
    config.notices.allow = everything();
    config.resolver = Arc::clone(names) as _;
    config.network = Some(Arc::clone(wire) as _);
    Setting { config, ..Setting::new(&fakes[..1], spec(&NAMES[..1])) }
}

async fn stage(fakes: &[FakeTarget], names: &Arc<Names>, wire: &Arc<Wire>) -> Stage {
    Stage::of(setting(fakes, names, wire)).await
}

/// In the dialect that has two parameters for an address.
async fn stage_of_msf(fakes: &[FakeTarget], names: &Arc<Names>, wire: &Arc<Wire>) -> Stage {
    Stage::of(Setting { dialect: DialectName::Msf, ..setting(fakes, names, wire) }).await
}

async fn ask(stage: &Stage, url: &str) -> Result<OperationId, Refusal> {
    let accepted = stage.accept_with("POST", "/things", "{}", &[("fanfold-callback-url", url)]).await?;
    Ok(accepted.operation.id)
}

/// The only notice about an operation, once it is settled.
async fn settled(stage: &Stage, operation: OperationId) -> Notice {
    let ended: Arc<Operation> = stage.ended(operation).await;
    let filter = NoticeFilter { operation: Some(ended.id), ..NoticeFilter::default() };
    let found = async {
        loop {
            let notices = stage.store.notices(&filter, Page::newest(9)).await.unwrap();
            if let [notice] = notices.as_slice()
                && notice.state != NoticeState::Pending
            {
                return notice.clone();
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("it is settled")
}

/// Spellings that are refused without a look at what they stand for: none is the name of a host or a public address.
const REFUSED_AT_SIGHT: &[&str] = &[
    // IPv4 in the forms of old.
    "http://127.0.0.1/",
    "http://127.0.0.1./",
    "http://2130706433/",
    "http://0177.0.0.1/",
    "http://0x7f.1/",
    "http://0x7f000001/",
    "http://0X7F.0.0.0X1/",
    "http://127.1/",
    "http://127.0.1/",
    "http://017700000001/",
    "http://00000177.0.0.1/",
    "http://0/",
    "http://0.0.0.0/",
    "http://256.256.256.256/",
    "http://2852039166/",
    // This machine, the networks around it, and the metadata services of clouds.
    "http://127.255.255.254/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.0.1/",
    "http://100.64.0.1/",
    "http://169.254.1.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://169.254.170.2/v2/credentials/",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
    "http://192.0.0.192/",
    "http://198.18.0.1/",
    "http://192.0.2.1/",
    "http://198.51.100.1/",
    "http://203.0.113.1/",
    "http://224.0.0.1/",
    "http://239.255.255.255/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    // IPv6.
    "http://[::]/",
    "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[0000:0000:0000:0000:0000:0000:0000:0001]/",
    "http://[::1%25lo]/",
    "http://[::1%lo]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fe80::a9fe:a9fe]/",
    "http://[fec0::1]/",
    "http://[fc00::1]/",
    "http://[fd00:ec2::254]/",
    "http://[fd20:ce::254]/",
    "http://[ff02::1]/",
    "http://[2001:db8::1]/",
    "http://[2001:2::1]/",
    "http://[3fff::1]/",
    "http://[100::1]/",
    // IPv4 in IPv6.
    "http://[::ffff:127.0.0.1]/",
    "http://[::FFFF:7F00:1]/",
    "http://[0:0:0:0:0:ffff:7f00:0001]/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:0:127.0.0.1]/",
    "http://[::127.0.0.1]/",
    "http://[::7f00:1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b::127.0.0.1]/",
    "http://[64:ff9b:1::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[2002:a9fe:a9fe::1]/",
    "http://[2001:0:7f00:1::]/",
    "http://[2001::80ff:fffe]/",
    // Tricks with what stands around a host.
    "http://allowed.example@127.0.0.1/",
    "http://allowed.example:80@127.0.0.1/",
    "http://127.0.0.1@allowed.example/",
    "http://allowed.example%40127.0.0.1/",
    "http://allowed.example\\@127.0.0.1/",
    "http:\\\\127.0.0.1\\",
    "http:/\\127.0.0.1/",
    "http:127.0.0.1/",
    "http:///127.0.0.1/",
    "//127.0.0.1/",
    "127.0.0.1:80",
    "http://127.0.0.1#@allowed.example/",
    "http://allowed.example#@127.0.0.1/",
    "http://127.0.0.1\\.allowed.example/",
    "http://127.0.0.1 .allowed.example/",
    "http://127.0.0.1\t.allowed.example/",
    "http://127.0.0.1\r\n.allowed.example/",
    "http://127.0.\n0.1/",
    "ht\ttp://127.0.0.1/",
    "http://%31%32%37.0.0.1/",
    "http://%6cocalhost/",
    "http://allowed.example%00.evil/",
    "http://[allowed.example]/",
    "http://[127.0.0.1]/",
    "http://[::1/",
    "http://::1/",
    "http://127.0.0.1:80:80/",
    // Other scripts: a name has to come in its ASCII form.
    "http://\u{ff11}\u{ff12}\u{ff17}.0.0.1/",
    "http://127\u{3002}0\u{3002}0\u{3002}1/",
    "http://127\u{ff0e}0\u{ff0e}0\u{ff0e}1/",
    "http://\u{2460}\u{2461}\u{2466}.0.0.1/",
    "http://\u{24db}\u{24de}\u{24d2}\u{24d0}\u{24db}\u{24d7}\u{24de}\u{24e2}\u{24e3}/",
    "http://loc\u{ad}alhost/",
    "http://allowed\u{2024}example/",
    // Schemes and ports.
    "HTTP://127.0.0.1/",
    "hTtPs://127.0.0.1/",
    "ftp://allowed.example/",
    "file:///etc/passwd",
    "gopher://allowed.example/",
    "ws://allowed.example/",
    "unix:///run/docker.sock",
    "http+unix://%2Frun%2Fdocker.sock/",
    "jar:http://allowed.example/!/",
    "data:text/plain,x",
    "http://allowed.example:0/",
    "http://allowed.example:65536/",
    "http://allowed.example:4294967376/",
    "http://allowed.example:-1/",
    "http://allowed.example:+80/",
    "http://allowed.example:80a/",
    "http://allowed.example:/",
    "http://allowed.example:%38%30/",
    // Names that there cannot be.
    "",
    "http://",
    "http://./",
    "http://../",
    "http://allowed..example/",
    "http://.allowed.example/",
    "http://allowed.example../",
    "http://*/",
    "http://allowed.example,127.0.0.1/",
    "http://(allowed.example)/",
];

/// Names whose every address is inside, whatever the rules for names say.
const INSIDE: &[(&str, &[&[&str]])] = &[
    ("localhost", &[&["127.0.0.1", "::1"]]),
    ("loop.example", &[&["127.0.0.1"]]),
    ("zero.example", &[&["0.0.0.0"]]),
    ("six.example", &[&["::1"]]),
    ("mapped.example", &[&["::ffff:10.0.0.1"]]),
    ("translated.example", &[&["64:ff9b::a9fe:a9fe"]]),
    ("tunnelled.example", &[&["2002:a00:1::1"]]),
    ("private.example", &[&["10.1.2.3", "192.168.0.1", "fd12::1"]]),
    ("shared.example", &[&["100.64.0.1"]]),
    ("link.example", &[&["fe80::1"]]),
    ("metadata.google.internal", &[&["169.254.169.254"]]),
    ("instance-data.internal", &[&["169.254.169.254", "fd00:ec2::254"]]),
    ("127.0.0.1.nip.example", &[&["127.0.0.1"]]),
    ("nothing.example", &[&[]]),
    ("xn--lcalhost-n4a.example", &[&["127.0.0.1"]]),
];

/// What a public name stands for, and one that turns inwards: look-up by look-up, and what the sending says at the end.
const TURNED: &[(&str, &[&[&str]], &str)] = &[
    ("turning.example", &[&["9.9.9.9"], &["127.0.0.1"]], "not allowed"),
    ("back.example", &[&["9.9.9.9"], &["9.9.9.9"], &["127.0.0.1"]], "cannot connect to 9.9.9.9:80"),
    ("gone.example", &[&["9.9.9.9"], &["::ffff:127.0.0.1", "169.254.169.254"]], "not allowed"),
];

/// Every spelling but those that turn later, as an address.
fn spellings() -> Vec<String> {
    let names = INSIDE.iter().flat_map(|(name, _)| {
        [(*name).to_owned(), format!("{name}."), name.to_uppercase(), format!("{name}:8080")]
            .map(|host| format!("http://{host}/"))
    });
    REFUSED_AT_SIGHT.iter().map(|url| (*url).to_owned()).chain(names).collect()
}

/// What stands for the host, which is all that `msf` has of an address.
fn host_in(url: &str) -> Option<&str> {
    url.strip_prefix("http://").map(|rest| rest.split('/').next().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "how much was tried is worth knowing")]
async fn no_spelling_of_a_forbidden_address_is_taken() {
    let (fakes, names, wire) = (fakes().await, Names::of(INSIDE), Arc::new(Wire::default()));
    let native = stage(&fakes, &names, &wire).await;
    let msf = stage_of_msf(&fakes, &names, &wire).await;
    let (spellings, mut given) = (spellings(), 0);
    for url in &spellings {
        for url in [url.clone(), url.replacen("http:", "https:", 1), format!("  {url} ")] {
            let refused = ask(&native, &url).await;
            let Err(Refusal::BadValue { detail }) = &refused else { panic!("{url:?}: {refused:?}") };
            let tells = |ip: &&str| detail.contains(ip) && !url.contains(ip);
            assert_eq!(
                ["10.1.2.3", "169.254.169.254"].iter().find(|ip| tells(ip)),
                None,
                "it tells what is inside: {detail}"
            );
            given += 1;
        }
        if let Some(host) = host_in(url) {
            let host: String = host.bytes().map(|octet| format!("%{octet:02x}")).collect();
            let query = format!("/v1/things?notification_address={host}&notification_port=80");
            let refused = msf.accept("POST", &query, "{}").await;
            assert!(matches!(refused, Err(Refusal::BadValue { .. })), "{url:?}: {refused:?}");
            given += 1;
        }
    }
    assert_eq!(spellings.len(), 188, "docs/security.md has the number");
    println!("{} spellings of forbidden addresses, given {given} times: all refused", spellings.len());
    // What names stand for is looked at; what is no name, or no name that there can be, is asked of nobody.
    assert_eq!(names.asked().len(), 3 * 4 * INSIDE.len());
    assert_eq!((wire.connected_to(), fakes[0].connections()), (Vec::new(), 0));
}

/// Operations that were accepted with these attributes, whatever is allowed now.
async fn recorded(of: &Operation, attributes: Vec<Vec<(&str, String)>>) -> (Arc<dyn Store>, Vec<OperationId>) {
    let (store, mut ids): (Arc<dyn Store>, _) = (Arc::new(Model::default()), Vec::new());
    for (number, attributes) in attributes.into_iter().enumerate() {
        let mut plan = Plan::clone(&of.plan);
        plan.front.attributes.extend(attributes.into_iter().map(|(name, value)| (name.to_owned(), value)));
        let id = fixtures::id(of.accepted_at, number as u64);
        let operation = Operation::accepted(id, of.tenant.clone(), Arc::new(plan), of.accepted_at);
        let acceptance = Acceptance {
            sealed: Vec::new(),
            idempotency: None,
            lane: String::new(),
            owner: None,
            wake_at: Some(of.accepted_at),
            events: Vec::new(),
            operation,
        };
        store.accept(acceptance).await.unwrap();
        ids.push(id);
    }
    (store, ids)
}

/// Goal: a spelling that got into the record, under other rules or by a mistake of another version, is called no more than one
/// that is given now. Method: each is recorded as both dialects record addresses, and an engine finds them at its start.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "how much was tried is worth knowing")]
async fn no_spelling_of_a_forbidden_address_is_sent_to_though_it_was_recorded() {
    let (fakes, names, wire) = (fakes().await, Names::of(INSIDE), Arc::new(Wire::default()));
    let (spellings, mut sent) = (spellings(), 0);
    let callbacks: Vec<_> = spellings.iter().map(|url| vec![("callback_url", url.clone())]).collect();
    let hosts = spellings
        .iter()
        .filter_map(|url| host_in(url))
        .map(|host| vec![("notification_address", host.to_owned()), ("notification_port", "80".to_owned())]);
    for (dialect, path, rows) in
        [(DialectName::Native, "/things", callbacks), (DialectName::Msf, "/v1/things", hosts.collect())]
    {
        let first = Stage::of(Setting { dialect, ..setting(&fakes, &names, &wire) }).await;
        let template = first.accept("POST", path, "{}").await.unwrap().operation;
        let (store, ids) = recorded(&template, rows.clone()).await;
        let stage = Stage::of(Setting { dialect, store: Some(store), ..setting(&fakes, &names, &wire) }).await;
        for (id, row) in ids.into_iter().zip(&rows) {
            let notice = settled(&stage, id).await;
            let said = notice.last_error.unwrap_or_default();
            assert_eq!(notice.state, NoticeState::Dead, "{row:?}: {said}");
            assert!(
                ["not allowed", "the address", "no address"].iter().any(|why| said.contains(why)),
                "{row:?}: {said}"
            );
            sent += 1;
        }
    }
    println!("{} spellings of forbidden addresses, recorded {sent} times: none was sent to", spellings.len());
    assert_eq!(wire.connected_to(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_addresses_of_a_name_only_those_that_are_allowed_are_connected_to() {
    let both: &[&str] = &["127.0.0.1", "9.9.9.9", "::1", "10.0.0.1", "2606:4700::1111"];
    let (fakes, wire) = (fakes().await, Arc::new(Wire::default()));
    let names = Names::of(&[("both.example", &[both])]);
    let stage = stage(&fakes, &names, &wire).await;
    let id = ask(&stage, "http://both.example:8080/").await.unwrap();
    assert_eq!(settled(&stage, id).await.state, NoticeState::Dead, "nobody is there");
    assert_eq!(wire.connected_to(), ["9.9.9.9:8080", "[2606:4700::1111]:8080"]);
    assert_eq!(names.asked(), ["both.example"; 2], "once at acceptance, and once for the try");
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "how much was tried is worth knowing")]
async fn what_was_checked_is_what_is_connected_to_however_often_a_name_changes() {
    let (fakes, wire) = (fakes().await, Arc::new(Wire::default()));
    let names: Vec<_> = TURNED.iter().map(|(name, answers, _)| (*name, *answers)).collect();
    let stage = stage(&fakes, &Names::of(&names), &wire).await;
    for (name, _, error) in TURNED {
        let id = ask(&stage, &format!("http://{name}/")).await.unwrap();
        let notice = settled(&stage, id).await;
        let said = notice.last_error.unwrap();
        assert!(notice.state == NoticeState::Dead && said.contains(error), "{name}: {said}");
    }
    println!("{} names that turn between check and connection: none led inside", TURNED.len());
    assert_eq!(wire.connected_to(), ["9.9.9.9:80"], "a name is not looked up again between check and connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_recorded_when_it_was_allowed_is_checked_again_before_it_is_sent() {
    let (fakes, names, wire) = (fakes().await, Names::of(INSIDE), Arc::new(Wire::default()));
    let answered = Latch::new();
    fakes[0].on("POST", "/things", Reply::from(Answer::empty(204)).after(&answered));
    let stage = stage(&fakes, &names, &wire).await;
    let mut named = stage.config.notices.clone();
    named.allow = [("127.0.0.0", 8), ("10.0.0.0", 8), ("169.254.169.254", 32), ("::1", 128), ("fc00::", 7)]
        .map(|(address, bits)| network(address, bits))
        .into();
    stage.engine.replace_notice_rules(named);
    let mut accepted = Vec::new();
    for host in
        ["127.0.0.1", "[::ffff:127.0.0.1]", "10.0.0.1:81", "169.254.169.254", "[::1]", "[fd12::1]", "loop.example"]
    {
        accepted.push(ask(&stage, &format!("http://{host}/")).await.unwrap());
    }
    // It is closed before they end.
    stage.engine.replace_notice_rules(stage.config.notices.clone());
    answered.open();
    for id in accepted {
        let notice = settled(&stage, id).await;
        let said = notice.last_error.unwrap();
        assert!(notice.state == NoticeState::Dead && said.contains("not allowed"), "{said}");
    }
    assert_eq!(wire.connected_to(), Vec::<String>::new());
}
