//! Secrets of the configuration: they are put in, and shown nowhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

/// Every place where one may stand.
const FILE: &str = r#"
[store]
url = "postgres://fanfold@db.example/fanfold"
key = "${env:KEY}"
password = "${env:PASSWORD}"
[notices]
secrets = ["${env:HOOKS}"]
[telemetry]
otlp = "http://127.0.0.1:4318"
headers = { x-collector = "${env:COLLECTOR}" }
[targets.tokyo]
url = "http://10.0.0.1"
headers = { authorization = "Bearer ${env:TOKYO}", x-two = "${env:TOKYO}/${env:TOKYO}" }
[[routes]]
match = "PUT /things/{id}"
targets = ["tokyo"]
undo = { method = "DELETE" }
callback = { url = "https://hooks.example/x?token=h00ks", secrets = ["${env:HOOKS}"] }
"#;

fn filled(name: &str) -> Option<String> {
    Some(match name {
        "KEY" => STANDARD.encode([7; 32]),
        "PASSWORD" => "hunter2/@:".to_owned(),
        "HOOKS" => format!("whsec_{}", STANDARD.encode([9; 32])),
        "COLLECTOR" => "c0llector".to_owned(),
        "TOKYO" => "t0kyo".to_owned(),
        _ => return None,
    })
}

#[track_caller]
fn assert_nothing_of_them(shown: &str) {
    let (key, hooks) = (STANDARD.encode([7; 32]), STANDARD.encode([9; 32]));
    let octets = [format!("{:?}", [7; 32]), format!("{:?}", [9; 32])];
    let texts = [&*key, &*hooks, "hunter2", "c0llector", "t0kyo", "h00ks", &*octets[0], &*octets[1]];
    for secret in texts {
        assert!(!shown.contains(secret), "{secret} is shown: {shown}");
    }
}

#[test]
fn settings_show_none_of_them() {
    let (settings, warnings) = load_with(FILE, &filled).unwrap();
    assert_nothing_of_them(&format!("{settings:?} {settings:#?} {warnings:?}"));
    let (_, authorization) = &settings.targets[&TargetName::from("tokyo")].config.headers[0];
    assert_eq!(authorization, "Bearer t0kyo");
}

#[test]
fn no_mistake_or_warning_shows_one_of_them() {
    for (good, bad) in [
        ("key = \"${env:KEY}\"", "key = \"${env:PASSWORD}\""),
        ("key = \"${env:KEY}\"", "key = \"hunter2\""),
        ("key = \"${env:KEY}\"", "key = 7"),
        ("password = \"${env:PASSWORD}\"", "password = \"hunter2${env:\""),
        ("password = \"${env:PASSWORD}\"", "password = \"hunter2"),
        ("password = \"${env:PASSWORD}\"", "password = hunter2"),
        ("password = \"${env:PASSWORD}\"", "password = \"hunter2\\q\""),
        ("password = \"${env:PASSWORD}\"", "password = \"hunter2\"\npassword = \"hunter2\""),
        ("password = \"${env:PASSWORD}\"", "pasword = \"hunter2\""),
        ("password = \"${env:PASSWORD}\"", "password = [\"hunter2\"]"),
        ("secrets = [\"${env:HOOKS}\"]", "secrets = [\"${env:COLLECTOR}\"]"),
        ("secrets = [\"${env:HOOKS}\"]", "secrets = [\"whsec_c0llector\"]"),
        ("secrets = [\"${env:HOOKS}\"]", "secrets = \"c0llector\""),
        ("x-collector = \"${env:COLLECTOR}\"", "x-collector = \"c0llector\\n\""),
        ("x-two = \"${env:TOKYO}/${env:TOKYO}\"", "x-two = \"${env:TOKYO}\\u0000\""),
        ("x-two = \"${env:TOKYO}/${env:TOKYO}\"", "x-two = { t0kyo = 1 }"),
        ("x-two = \"${env:TOKYO}/${env:TOKYO}\"", "x-two = \"${vault:x} t0kyo\""),
        ("x-two = \"${env:TOKYO}/${env:TOKYO}\"", "x-two = \"${env:NONE} t0kyo\""),
        ("postgres://fanfold@db", "postgres://fanfold:hunter2@db"),
        ("https://hooks.example/x?token=h00ks", "https://me:h00ks@hooks.example/"),
        ("https://hooks.example/x?token=h00ks", "https://hooks.example:x/?token=h00ks"),
        ("http://10.0.0.1", "http://me:t0kyo@10.0.0.1"),
        ("http://127.0.0.1:4318", "http://me:c0llector@127.0.0.1:4318"),
    ] {
        assert!(FILE.contains(good), "{good}");
        match load_with(&FILE.replace(good, bad), &filled) {
            Ok((settings, warnings)) => assert_nothing_of_them(&format!("{settings:?} {warnings:?}")),
            Err(mistakes) => {
                let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
                assert_nothing_of_them(&format!("{mistakes:?} {told:?}"));
            }
        }
    }
}
