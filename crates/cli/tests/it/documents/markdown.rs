//! What a document consists of: its blocks of code, its links, and the places that links may lead to.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A document.
#[derive(Debug)]
pub(crate) struct Document {
    /// Its path below the root of the workspace.
    pub(crate) name: String,
    /// Its blocks of code, in order.
    pub(crate) blocks: Vec<Block>,
    /// Where it links to, with the lines.
    pub(crate) links: Vec<(usize, String)>,
    /// What can be linked to in it.
    pub(crate) anchors: BTreeSet<String>,
}

/// A fenced block of code.
#[derive(Debug)]
pub(crate) struct Block {
    /// The line of its fence.
    pub(crate) line: usize,
    /// The first word after the fence; empty where there is none.
    pub(crate) kind: String,
    /// Whether the word `wrong` stands behind it: what is in it is meant to be refused.
    pub(crate) is_wrong: bool,
    /// What is in it.
    pub(crate) text: String,
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Every document of the workspace.
pub(crate) fn all() -> Vec<Document> {
    let mut names = Vec::new();
    collect(&root(), "", &mut names);
    names.sort();
    names.iter().map(|name| Document::read(name)).collect()
}

fn collect(folder: &Path, prefix: &str, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        // What is built, installed or hidden is not ours.
        if name.starts_with('.') || ["target", "node_modules"].contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            collect(&path, &format!("{prefix}{name}/"), names);
        } else if name.ends_with(".md") {
            names.push(format!("{prefix}{name}"));
        }
    }
}

impl Document {
    /// Reads the document of this name.
    pub(crate) fn read(name: &str) -> Self {
        let text = std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut document =
            Self { name: name.to_owned(), blocks: Vec::new(), links: Vec::new(), anchors: BTreeSet::new() };
        let line = |at: usize| text[..at].matches('\n').count() + 1;
        let (mut heading, mut block): (Option<String>, Option<Block>) = (None, None);
        for (event, range) in Parser::new_ext(&text, Options::ENABLE_TABLES).into_offset_iter() {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => document.add_anchor(&heading.take().unwrap_or_default()),
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                    let mut words = info.split_whitespace();
                    let kind = words.next().unwrap_or_default().to_owned();
                    let is_wrong = words.any(|word| word == "wrong");
                    block = Some(Block { line: line(range.start), kind, is_wrong, text: String::new() });
                }
                Event::End(TagEnd::CodeBlock) => document.blocks.extend(block.take()),
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    document.links.push((line(range.start), dest_url.to_string()));
                }
                Event::Html(html) | Event::InlineHtml(html) => {
                    let links = addresses(&html).into_iter().map(|link| (line(range.start), link));
                    document.links.extend(links);
                }
                Event::Text(part) | Event::Code(part) => match (&mut heading, &mut block) {
                    (Some(heading), _) => heading.push_str(&part),
                    (None, Some(block)) => block.text.push_str(&part),
                    (None, None) => {}
                },
                _ => {}
            }
        }
        document
    }

    /// As the usual renderers make them: lower case, spaces as hyphens, without other signs; numbered where one comes again.
    fn add_anchor(&mut self, heading: &str) {
        let signs = heading.to_lowercase();
        let kept: String = signs.chars().filter(|sign| sign.is_alphanumeric() || " -_".contains(*sign)).collect();
        let plain = kept.replace(' ', "-");
        let numbered = (1..).map(|number| format!("{plain}-{number}"));
        let free = std::iter::once(plain.clone()).chain(numbered).find(|anchor| !self.anchors.contains(anchor));
        self.anchors.extend(free);
    }
}

/// The addresses in a piece of HTML.
fn addresses(html: &str) -> Vec<String> {
    let attributes = ["src=\"", "srcset=\"", "href=\""].into_iter();
    let values = attributes.flat_map(|attribute| html.split(attribute).skip(1));
    values.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}
