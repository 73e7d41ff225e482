//! Runs the `curl` lines that documents and the demo offer to people, as a shell would, so that they cannot go stale.
//!
//! It knows just what those lines use, and panics at anything else.

use std::collections::BTreeMap;
use std::path::PathBuf;

use fanfold_testkit::{Http, HttpAnswer};

/// A shell in a folder, with variables and with addresses that stand for others.
#[derive(Debug, Default)]
pub(crate) struct Shell {
    folder: PathBuf,
    variables: BTreeMap<String, String>,
    addresses: Vec<(String, String)>,
}

impl Shell {
    /// A shell in `folder`.
    pub(crate) fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), ..Self::default() }
    }

    /// Uses the server at `to` (`host:port`) where a line says `from`.
    #[must_use]
    pub(crate) fn redirect(mut self, from: &str, to: &str) -> Self {
        self.addresses.push((from.to_owned(), to.to_owned()));
        self
    }

    /// Runs `curl ...`, or `NAME=$(curl -sSf ... | cut -d'"' -f4)`: with these options an error is shown instead of being cut up.
    pub(crate) async fn run(&mut self, line: &str) -> HttpAnswer {
        let line = line.trim();
        let Some((name, command)) = line.split_once("=$(").filter(|(name, _)| !name.contains(' ')) else {
            return self.curl(line).await;
        };
        let command = command.strip_suffix(" | cut -d'\"' -f4)").expect("the fourth field is cut out");
        assert!(command.starts_with("curl -sSf "), "{line}: an error would be taken for an answer");
        let answer = self.curl(command).await;
        assert!((200..300).contains(&answer.status), "{line}: {} {}", answer.status, answer.text());
        let field = answer.text().split('"').nth(3).unwrap_or_else(|| panic!("{line}: {}", answer.text())).to_owned();
        self.variables.insert(name.to_owned(), field);
        answer
    }

    async fn curl(&self, command: &str) -> HttpAnswer {
        let mut words = self.words(command).into_iter();
        assert_eq!(words.next().as_deref(), Some("curl"), "{command}");
        let (mut method, mut url, mut body) = (None, None, Vec::new());
        let mut headers = Vec::new();
        while let Some(word) = words.next() {
            let mut argument = || words.next().expect("an option has its argument");
            match word.as_str() {
                "-s" | "-sSf" => {}
                "-X" => method = Some(argument()),
                "-H" => headers.push(argument()),
                "--json" => {
                    body = self.data(&argument());
                    headers.push("content-type: application/json".to_owned());
                }
                _ => url = Some(word),
            }
        }
        let url = self.addresses.iter().fold(url.expect("a URL"), |url, (from, to)| url.replace(from, to));
        let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("{command}"));
        let (server, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let http = headers.iter().fold(Http::new(server), |http, header| {
            let (name, value) = header.split_once(": ").expect("a header field");
            http.with(name, value)
        });
        let method = method.unwrap_or_else(|| if body.is_empty() { "GET" } else { "POST" }.to_owned());
        http.request(&method, path, &body).await
    }

    fn data(&self, argument: &str) -> Vec<u8> {
        match argument.strip_prefix('@') {
            Some(file) => std::fs::read(self.folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}")),
            None => argument.as_bytes().to_vec(),
        }
    }

    /// The words of a command; what stands in single quotes is taken as it is, and elsewhere variables are put in.
    fn words(&self, command: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        for (index, part) in command.split('\'').enumerate() {
            if index % 2 == 1 {
                words.last_mut().expect("there is always one").push_str(part);
                continue;
            }
            let part = self
                .variables
                .iter()
                .fold(part.to_owned(), |part, (name, value)| part.replace(&format!("${name}"), value));
            let mut pieces = part.split(' ');
            words.last_mut().expect("there is always one").push_str(pieces.next().unwrap_or_default());
            words.extend(pieces.map(str::to_owned));
        }
        words.retain(|word| !word.is_empty());
        words
    }
}

/// Whether the answer to a line is as the text promises: a good one, or the final response of what a target is told to refuse.
pub(crate) fn is_as_promised(command: &str, answer: &HttpAnswer) -> bool {
    let is_refused = command.contains("\"refuse\"") && command.contains("Prefer: wait=");
    if is_refused { answer.status >= 400 } else { (200..300).contains(&answer.status) }
}

/// The lines of a text that a shell can run.
pub(crate) fn commands(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| line.starts_with("curl ") || line.contains("=$(curl "))
}
