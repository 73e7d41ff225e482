//! Addresses that a client gives and nobody may have called: in every spelling they are refused before a packet leaves. What
//! names stand for is up to the tests, and the network of notices is a made-up one that notes who is connected to.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use fanfold_core::dialect::Refusal;
use fanfold_core::{Operation, OperationId};
use fanfold_engine::{AllowRule, AllowedHost, Config, Connecting, Network, Resolve, Resolved};
use fanfold_store::{Notice, NoticeFilter, NoticeState, Page};
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

async fn stage(fakes: &[FakeTarget], names: &Arc<Names>, wire: &Arc<Wire>) -> Stage {
    let mut config: Config = config();
    config.notices.secrets = vec![secret(OLD)];
    config.notices.attempts = 1;
    config.notices.allow = everything();
    config.resolver = Arc::clone(names) as _;
    config.network = Some(Arc::clone(wire) as _);
    Stage::of(Setting { config, ..Setting::new(&fakes[..1], spec(&NAMES[..1])) }).await
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

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_a_forbidden_address_is_taken_or_looked_up() {
    assert!(REFUSED_AT_SIGHT.len() > 100, "it shrinks");
    let (fakes, names, wire) = (fakes().await, Names::of(&[]), Arc::new(Wire::default()));
    let stage = stage(&fakes, &names, &wire).await;
    for url in REFUSED_AT_SIGHT {
        for url in [(*url).to_owned(), url.replacen("http:", "https:", 1), format!("  {url} ")] {
            let refused = ask(&stage, &url).await;
            assert!(matches!(refused, Err(Refusal::BadValue { .. })), "{url:?}: {refused:?}");
        }
    }
    assert_eq!(names.asked(), Vec::<String>::new());
    assert_eq!((wire.connected_to(), fakes[0].connections()), (Vec::new(), 0));
}

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

#[tokio::test(flavor = "multi_thread")]
async fn no_name_leads_to_a_forbidden_address() {
    let (fakes, names, wire) = (fakes().await, Names::of(INSIDE), Arc::new(Wire::default()));
    let stage = stage(&fakes, &names, &wire).await;
    for (name, _) in INSIDE {
        for spelling in [name.to_string(), format!("{name}."), name.to_uppercase(), format!("{name}:8080")] {
            let refused = ask(&stage, &format!("http://{spelling}/")).await;
            let Err(Refusal::BadValue { detail }) = &refused else { panic!("{spelling}: {refused:?}") };
            assert!(!detail.contains("10.1.2.3") && !detail.contains("169.254"), "it tells what is inside: {detail}");
        }
    }
    assert_eq!(names.asked().len(), 4 * INSIDE.len());
    assert_eq!((wire.connected_to(), fakes[0].connections()), (Vec::new(), 0));
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
async fn what_was_checked_is_what_is_connected_to_however_often_a_name_changes() {
    let (fakes, wire) = (fakes().await, Arc::new(Wire::default()));
    let (public, inside): (&[&str], &[&str]) = (&["9.9.9.9"], &["127.0.0.1"]);
    let names = Names::of(&[
        ("turning.example", &[public, inside]),
        ("back.example", &[public, public, inside]),
        ("gone.example", &[public, &["::ffff:127.0.0.1", "169.254.169.254"]]),
    ]);
    let stage = stage(&fakes, &names, &wire).await;
    for (name, error) in [("turning", "not allowed"), ("back", "cannot connect to 9.9.9.9:80"), ("gone", "not allowed")]
    {
        let id = ask(&stage, &format!("http://{name}.example/")).await.unwrap();
        let notice = settled(&stage, id).await;
        let said = notice.last_error.unwrap();
        assert!(notice.state == NoticeState::Dead && said.contains(error), "{name}: {said}");
    }
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
