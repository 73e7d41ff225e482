//! `ops/fanfold.service`.

use std::process::{Command, Stdio};

use fanfold_testkit::{FakeTarget, Home, Process, programs};

use super::{CONFIG, command, ended, here, read};
use crate::program::{PROGRAM, config, things};

/// Set where an absent `systemd-analyze` must fail the tests instead of skipping them.
const NEED_SYSTEMD: &str = "FANFOLD_TESTS_NEED_SYSTEMD";

/// How much the service may be exposed, in tenths of what `systemd-analyze security` shows, of 100.
const EXPOSURE_MAX: &str = "15";

/// The values of a setting of the unit, in order.
fn values(setting: &str) -> Vec<String> {
    let unit = read("ops/fanfold.service");
    let settings = unit.lines().filter_map(|line| line.split_once('='));
    settings.filter(|(name, _)| *name == setting).map(|(_, value)| value.to_owned()).collect()
}

fn value(setting: &str) -> String {
    let values = values(setting);
    assert_eq!(values.len(), 1, "{setting}");
    values[0].clone()
}

#[tokio::test]
async fn the_service_is_checked_served_reloaded_and_stopped() {
    let tokyo = FakeTarget::start().await;
    let home = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    let checked = ended(&here(&value("ExecStartPre"), &home), &home).await;
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    let process = Process::spawn(command(&here(&value("ExecStart"), &home), &home));
    process.url().await;

    let reloads = values("ExecReload");
    let [check, signal] = &reloads[..] else { panic!("{reloads:?}") };
    assert_eq!(ended(&here(check, &home), &home).await.code, Some(0));
    let signal = signal.replace("$MAINPID", &process.id().to_string());
    // The shell has `kill` built in, so that no program of that name needs to be installed.
    assert!(Command::new("sh").args(["-c", &signal]).status().unwrap().success());
    process.line("the configuration was reloaded").await;

    // systemd does not come to the signal then, and says that the reload has failed.
    home.configure(&config(&[("tokyo", &tokyo)], &things(&["tokio"])));
    assert_eq!(ended(&here(check, &home), &home).await.code, Some(3));

    // The signal by which systemd stops what names none.
    assert!(values("KillSignal").is_empty());
    process.terminate();
    assert_eq!(process.ended().await.0.code(), Some(0));
}

#[test]
fn the_service_has_the_files_and_the_time_that_the_program_wants() {
    let example = read("fanfold.example.toml");
    let default = |key: &str| {
        let (_, rest) = example.split_once(&format!("\n# {key} = ")).unwrap_or_else(|| panic!("no {key}"));
        rest.lines().next().unwrap().trim_matches('"').to_owned()
    };
    let connections: u64 = default("connections_max").parse().unwrap();
    assert!(value("LimitNOFILE").parse::<u64>().unwrap() >= connections + 1_024);
    let grace: u64 = default("shutdown_grace").strip_suffix('s').unwrap().parse().unwrap();
    assert!(value("TimeoutStopSec").strip_suffix("min").unwrap().parse::<u64>().unwrap() * 60 > grace);
}

#[test]
fn the_service_runs_as_the_account_that_is_made_and_in_its_folders() {
    let account = read("ops/sysusers.d/fanfold.conf");
    let line = account.lines().find(|line| !line.starts_with('#')).unwrap();
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!(words[..2], ["u", &value("User")]);
    assert_eq!(value("User"), value("Group"));
    assert!(words.contains(&format!("/var/lib/{}", value("StateDirectory")).as_str()), "{line}");
    assert!(CONFIG.starts_with(&format!("/etc/{}/", value("ConfigurationDirectory"))));
}

#[test]
fn systemd_finds_nothing_wrong_with_the_service_and_little_exposed() {
    let Some(analyze) = programs::found("systemd-analyze", "systemd", NEED_SYSTEMD) else { return };
    let home = Home::new("");
    let unit = home.path().join("fanfold.service");
    // It looks whether programs are there.
    std::fs::write(&unit, read("ops/fanfold.service").replace("=fanfold ", &format!("={PROGRAM} "))).unwrap();
    let say = |arguments: &[&str]| {
        let mut command = Command::new(&analyze);
        let said = command.args(arguments).arg(&unit).stdin(Stdio::null()).env("SYSTEMD_PAGER", "").output().unwrap();
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        (said.status.success(), text(&said.stdout), text(&said.stderr))
    };
    // Pages are there once they are installed.
    let (is_right, told, wrong) = say(&["verify", "--man=no"]);
    assert!(is_right, "{told}{wrong}");
    // Of the other units of this machine it may say anything.
    assert!(!wrong.contains("fanfold"), "{wrong}");
    let (is_little, table, wrong) = say(&["security", "--offline=true", &format!("--threshold={EXPOSURE_MAX}")]);
    assert!(is_little, "{table}{wrong}");
}
