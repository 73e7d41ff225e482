//! Every relative link of every document leads somewhere.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::markdown::{all, root};

#[test]
fn every_link_leads_somewhere() {
    let documents = all();
    let anchors: BTreeMap<_, _> =
        documents.iter().map(|document| (document.name.as_str(), &document.anchors)).collect();
    let mut dead = Vec::new();
    for document in &documents {
        for (line, link) in &document.links {
            if ["http://", "https://", "mailto:"].iter().any(|scheme| link.starts_with(scheme)) {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let name = beside(&document.name, path);
            let is_there = root().join(&name).exists();
            let known = anchors.get(name.as_str()).is_some_and(|anchors| anchors.contains(anchor));
            if !is_there || !anchor.is_empty() && !known {
                dead.push(format!("{}:{line}: {link}", document.name));
            }
        }
    }
    assert!(dead.is_empty(), "these links lead nowhere:\n{}", dead.join("\n"));
}

#[test]
fn the_index_leads_to_every_document() {
    let documents = all();
    let index = documents.iter().find(|document| document.name == "docs/README.md").unwrap();
    let linked: Vec<String> = index.links.iter().map(|(_, link)| beside(&index.name, link)).collect();
    for document in
        documents.iter().filter(|document| document.name.starts_with("docs/") && document.name != index.name)
    {
        assert!(linked.contains(&document.name), "docs/README.md does not lead to {}", document.name);
    }
}

/// The name of what a link in `document` leads to.
fn beside(document: &str, path: &str) -> String {
    if path.is_empty() {
        return document.to_owned();
    }
    let joined = Path::new(document).parent().unwrap_or(Path::new("")).join(path);
    let mut plain = PathBuf::new();
    for part in joined.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => plain.push(part),
        }
    }
    plain.to_str().unwrap().to_owned()
}
