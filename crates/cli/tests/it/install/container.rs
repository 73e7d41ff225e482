//! `ops/Containerfile`.

use fanfold_testkit::{FakeTarget, Home, Process};

use super::{CONFIG, command, here, read};
use crate::program::{Server, config, run, things};

/// The instructions, each with what it says.
fn instructions() -> Vec<(String, String)> {
    let file = read("ops/Containerfile").replace("\\\n", " ");
    let lines = file.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_once(' ').unwrap()).map(|(name, rest)| (name.to_owned(), rest.to_owned())).collect()
}

/// What the last instruction of this name says.
fn said(name: &str) -> String {
    instructions().into_iter().rfind(|(other, _)| other == name).unwrap_or_else(|| panic!("no {name}")).1
}

/// The words of a command in the form of JSON, as a line.
fn line(words: &str) -> String {
    let words: Vec<String> = serde_json::from_str(words).unwrap();
    words.join(" ")
}

#[tokio::test]
async fn what_a_container_runs_is_served_and_found_healthy() {
    let tokyo = FakeTarget::start().await;
    let home = Home::new(&config(&[("tokyo", &tokyo)], &things(&["tokyo"])));
    let (_, check) = said("HEALTHCHECK").split_once("CMD ").map(|(a, b)| (a.to_owned(), line(b))).unwrap();
    let check = here(&check, &home);
    let check: Vec<&str> = check[1..].iter().map(String::as_str).collect();

    // The port of a server that has just ended: nobody listens there.
    let server = Server::start(&home).await;
    let url = server.url.clone();
    server.stop().await;
    let unhealthy = run(home.path(), &[&check[..], &["--server", &url]].concat()).await;
    assert_eq!(unhealthy.code, Some(4), "{}", unhealthy.stderr);

    let words = here(&format!("{} {}", line(&said("ENTRYPOINT")), line(&said("CMD"))), &home);
    let mut command = command(&words, &home);
    // It is found by the variable, wherever the program is started.
    command.env("FANFOLD_CONFIG", home.config()).current_dir("/");
    let process = Process::spawn(command);
    let url = process.url().await;
    let healthy = run(home.path(), &[&check[..], &["--server", &url]].concat()).await;
    assert_eq!(healthy.code, Some(0), "{}", healthy.stderr);

    assert_eq!(said("STOPSIGNAL"), "SIGTERM");
    process.terminate();
    assert_eq!(process.ended().await.0.code(), Some(0));
}

#[test]
fn a_container_is_not_root_and_keeps_what_was_accepted() {
    let user = said("USER");
    let numbers: Vec<u32> = user.split(':').map(|number| number.parse().unwrap()).collect();
    assert!(numbers.len() == 2 && !numbers.contains(&0), "{user}");
    let copied = read("ops/Containerfile");
    let volume = said("VOLUME");
    assert!(copied.contains(&format!("-o {} -g {} /image{volume}\n", numbers[0], numbers[1])), "{user}, {volume}");
    assert_eq!(said("ENV"), format!("FANFOLD_CONFIG={CONFIG}"));
    // The configuration of the package has its database there too, and so serves for both.
    assert!(read("ops/fanfold.toml").contains(&format!("url = \"sqlite:{volume}/fanfold.db\"")));
}
