//! Commands about the configuration file.

use fanfold_testkit::Home;
use serde_json::Value;

use crate::program::run;

const MISTAKES: &str = "[server]\nlisten = \"nowhere\"\n\n[targets.tokyo]\nurl = \"http://a\"\ntimeout = \"3s\"\n\n\
                        [[routes]]\nmatch = \"POST /a\"\ntargets = [\"tokio\"]\n";

#[tokio::test]
async fn every_mistake_is_named_with_its_place() {
    let home = Home::new(MISTAKES);
    let checked = run(home.path(), &["check"]).await;
    assert_eq!(checked.code, Some(3));
    let lines: Vec<&str> = checked.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{}", checked.stdout);
    for (line, place) in lines.iter().zip(["fanfold.toml:2:10: ", "fanfold.toml:6:1: ", "fanfold.toml:10:12: "]) {
        assert!(line.starts_with(place), "{line}");
    }
    assert!(lines[2].ends_with("there is no target \"tokio\"; did you mean \"tokyo\"?"), "{}", lines[2]);
    assert_eq!(checked.stderr, "fanfold: fanfold.toml: 3 mistakes\n");
}

#[tokio::test]
async fn programs_get_the_mistakes_as_json() {
    let home = Home::new(MISTAKES);
    let checked = run(home.path(), &["check", "fanfold.toml", "--output", "json"]).await;
    assert_eq!(checked.code, Some(3));
    let report: Value = serde_json::from_str(&checked.stdout).unwrap();
    let mistakes = report["mistakes"].as_array().unwrap();
    assert_eq!(
        (report["file"].as_str(), mistakes.len(), report["warnings"][0].is_null()),
        (Some("fanfold.toml"), 3, true)
    );
    assert_eq!((mistakes[2]["line"].as_u64(), mistakes[2]["column"].as_u64()), (Some(10), Some(12)));
    assert_eq!(mistakes[2]["hint"], "did you mean \"tokyo\"?");
}

#[tokio::test]
async fn warnings_are_shown_and_are_no_failure() {
    let home = Home::new(
        "[server]\nshutdown_grace = \"10s\"\n[targets.tokyo]\nurl = \"http://a\"\n\
         [[routes]]\nmatch = \"GET /a\"\npass = \"tokyo\"\n",
    );
    let checked = run(home.path(), &["check"]).await;
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
    assert!(checked.stdout.contains("warning: shutdown_grace is shorter"), "{}", checked.stdout);
    assert!(checked.stderr.contains("fanfold.toml: no mistakes, 1 warning"), "{}", checked.stderr);
}

#[tokio::test]
async fn an_empty_file_is_neither_good_nor_served() {
    let home = Home::new("");
    for command in [&["check"][..], &["serve", "fanfold.toml"], &["serve", "--config", "fanfold.toml"]] {
        let ended = run(home.path(), command).await;
        assert_eq!(ended.code, Some(3), "{command:?}: {}", ended.stderr);
        let shown = ended.stdout + &ended.stderr;
        assert!(shown.contains("there are no routes") && shown.contains("\"fanfold init\""), "{shown}");
    }
}

#[tokio::test]
async fn the_file_is_named_in_either_way() {
    let home = Home::new(MISTAKES);
    std::fs::rename(home.config(), home.path().join("other.toml")).unwrap();
    for file in [&["check", "other.toml"][..], &["check", "--config", "other.toml"], &["check", "-c", "other.toml"]] {
        let checked = run(home.path(), file).await;
        assert_eq!(checked.stderr, "fanfold: other.toml: 3 mistakes\n", "{file:?}");
    }
    let served = run(home.path(), &["serve", "other.toml"]).await;
    assert!(served.stderr.ends_with("fanfold: other.toml: 3 mistakes\n"), "{}", served.stderr);
}

#[tokio::test]
async fn a_first_configuration_is_without_mistakes_and_not_overwritten() {
    let home = Home::new("");
    std::fs::remove_file(home.config()).unwrap();
    let made = run(home.path(), &["init"]).await;
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let checked = run(home.path(), &["check"]).await;
    assert_eq!((checked.code, checked.stdout.as_str()), (Some(0), ""), "{}", checked.stderr);

    home.configure("# mine\n");
    let again = run(home.path(), &["init"]).await;
    assert_eq!(again.code, Some(1));
    assert_eq!(again.stderr, "fanfold: fanfold.toml is there already; --force overwrites it\n");
    assert_eq!(std::fs::read_to_string(home.config()).unwrap(), "# mine\n");
    let forced = run(home.path(), &["init", "--force"]).await;
    assert_eq!(forced.code, Some(0), "{}", forced.stderr);
    assert!(std::fs::read_to_string(home.config()).unwrap().contains("[targets.first]"));
}

#[tokio::test]
async fn the_schema_is_printed_as_json() {
    let home = Home::new("");
    let printed = run(home.path(), &["schema"]).await;
    let schema: Value = serde_json::from_str(&printed.stdout).unwrap();
    assert_eq!(schema["title"], "Fanfold configuration");
    assert!(schema["properties"]["routes"].is_object());
}
