//! Plays a document from its first command to its last.

use super::configurations::{environment, joined};
use super::markdown::{Block, Document, all, root};
use super::session::{Ran, SERVER, Session};
use super::shown::difference;
use super::{BASE, EXITS, SAMPLES, STAGES, Stage, why_not};

/// The words that stand for an operation, a note, a target and a route.
const PLACES: [&str; 4] = ["ID", "NOTE", "TARGET", "NAME"];

#[tokio::test(flavor = "multi_thread")]
async fn the_readme_is_true() {
    play("README.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_minutes_are_spent_as_described() {
    play("docs/start.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_do_what_their_examples_say() {
    play("docs/routes.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dialects_are_as_documented() {
    play("docs/dialects.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_native_api_is_as_documented() {
    play("docs/api.md").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_operators_type_is_there() {
    play("docs/operating.md").await;
}

/// Whatever is written later is here as long as it has no test of its own. (The READMEs of examples are with the other tests
/// of these.)
#[tokio::test(flavor = "multi_thread")]
async fn every_other_document_is_true() {
    let mut count = 0;
    for document in all() {
        let has_own = STAGES.iter().any(|(name, _)| *name == document.name) || document.name == "docs/operating.md";
        let mut commands = document.blocks.iter().flat_map(Block::commands);
        if !has_own && commands.any(|(command, _)| why_not(&document, &command).is_none()) {
            play(&document.name).await;
            count += 1;
        }
    }
    assert!(count > 3, "{count}");
}

/// Plays a document, and gives what each command printed. Panics where anything is not as it says.
pub(crate) async fn play(name: &str) -> Vec<String> {
    let document = Document::read(name);
    let stage = STAGES.iter().find(|(staged, _)| *staged == name).map_or(Stage::Base, |(_, stage)| *stage);
    let mut session = set(stage, &document).await;
    let (mut printed, mut wrong) = (Vec::new(), Vec::new());
    for block in &document.blocks {
        if let Some(file) = block.file() {
            session.write(file, &block.text);
        }
        let commands = block.commands();
        for (at, (command, shown)) in commands.iter().enumerate() {
            if why_not(&document, command).is_some() {
                continue;
            }
            let (command, has_places) = with_places(command, &mut session).await;
            let ran = session.run(&command).await;
            let difference = match shown.trim().is_empty() {
                true => wrong_end(&document, &command, &ran, has_places),
                false => difference(shown, &ran.told(), &mut session.ids),
            };
            if let Some(difference) = difference {
                wrong.push(format!("{name}:{}: {command}: {difference}\n{}\n", block.line, ran.told()));
            }
            let next = commands.get(at + 1).map_or("", |(command, _)| command);
            // What was only accepted is asked about once it has ended, unless the next command follows or cancels it.
            if !["cancel", "watch", "wait="].iter().any(|word| next.contains(word)) {
                session.idle().await;
            }
            if !ran.stdout.is_empty() {
                printed.push(ran.stdout);
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} commands differ:\n{}", wrong.len(), printed.len(), wrong.join("\n"));
    printed
}

async fn set(stage: Stage, document: &Document) -> Session {
    let texts: String = document.blocks.iter().map(|block| block.text.as_str()).collect();
    let mut session = Session::new(environment(&texts));
    let configuration = match stage {
        Stage::Nothing => {
            if let Some((folder, _)) = document.name.strip_prefix("examples/").and_then(|name| name.split_once('/')) {
                session.copy(&root().join("examples").join(folder));
            }
            return session;
        }
        Stage::Demo => {
            session.run("fanfold demo").await;
            return session;
        }
        Stage::Base => BASE.to_owned(),
        Stage::Own => joined(document, BASE),
    };
    session.write("fanfold.toml", &configuration);
    session.run(SAMPLES).await;
    session.run("fanfold serve").await;
    session
}

/// What is wrong with how a command of which nothing is shown ended.
fn wrong_end(document: &Document, command: &str, ran: &Ran, has_places: bool) -> Option<String> {
    let exit = EXITS.iter().find(|(name, begin, ..)| *name == document.name && command.starts_with(begin));
    let unexpected = match exit {
        Some((_, _, code, _)) => (ran.code != *code).then_some(ran.code),
        None => ran.unexpected(command),
    };
    // There may be nothing to be answered, extended or canceled; but the command line is right, and the server answers.
    let is_there = has_places && [6, 7].contains(&ran.code);
    unexpected.filter(|_| !is_there).map(|code| format!("it ended with {code}"))
}

/// A command with something that is there in its [`PLACES`], and whether there were any.
async fn with_places(command: &str, session: &mut Session) -> (String, bool) {
    let has_places = PLACES.iter().any(|place| command.split_whitespace().any(|word| word == *place));
    if !has_places {
        return (command.to_owned(), false);
    }
    let list = session.http(SERVER).get("/api/v1/operations?limit=1").await.json();
    let id = match list["operations"][0]["id"].as_str() {
        Some(id) => id.to_owned(),
        None => {
            let accepted = session.http(SERVER).put("/things/1", &serde_json::json!({})).await;
            assert_eq!(accepted.status, 202, "{}", accepted.text());
            session.idle().await;
            accepted.json()["id"].as_str().unwrap().to_owned()
        }
    };
    let words = command.split(' ').map(|word| match word {
        "ID" => id.as_str(),
        "NOTE" => "1",
        "TARGET" => "tokyo",
        "NAME" => "put-thing",
        word => word,
    });
    (words.collect::<Vec<_>>().join(" "), true)
}

impl Block {
    /// The file that this configuration is to be written to, if it says so in its first line.
    fn file(&self) -> Option<&str> {
        let first = self.text.lines().next()?.strip_prefix("# ")?;
        (self.kind == "toml" && first.ends_with(".toml") && !first.contains(' ')).then_some(first)
    }
}

impl Ran {
    /// What was printed: data, or, where there is none, what was said beside it.
    fn told(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}
