//! What the demo prints: what is there, and lines to copy into a shell.

use std::path::Path;

use super::site::Site;

/// The guide to a server at `url` with these targets.
pub(super) fn guide<'a>(url: &str, folder: &Path, sites: impl Iterator<Item = &'a Site>) -> String {
    let sites: Vec<&Site> = sites.collect();
    let tokyo = sites.first().map(|site| site.url()).unwrap_or_default();
    let list: String = sites.iter().map(|site| format!("  {:<11} {}\n", site.name(), site.url())).collect();
    format!("{}{list}{}", head(url, folder), body(url, &tokyo))
}

fn head(url: &str, folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "\
Fanfold is listening on {url} (Ctrl-C ends it). For a browser: {url}/ui
Its configuration and store are in {folder}, and are removed at the end.

Sample targets behind it. Ask one what it holds: curl -s ADDRESS
"
    )
}

fn body(url: &str, tokyo: &str) -> String {
    format!(
        "
A change at three sites, in the words of \"msf\". \"Prefer: wait=10\" asks for the final response; without it, 202 comes at once
  curl -s {url}/v1/slices/blue/cps -H 'Prefer: wait=10' --json '{{\"vlan\": 100, \"password\": \"hunter2\"}}'
  ID=$(curl -sSf {url}/v1/operations | cut -d'\"' -f4)
  curl -s {url}/v1/operations/$ID

One of the three refuses: the others are rolled back, and the answer says so
  curl -s {url}/v1/slices/green/cps -H 'Prefer: wait=10' --json '{{\"sample\": {{\"osaka\": \"refuse\"}}}}'
  curl -s {tokyo}

A slow one, accepted at once, and second thoughts: what is on the wire is awaited, then everything is undone
  ID=$(curl -sSf {url}/v1/slices/red/cps --json '{{\"sample\": {{\"osaka\": 20}}}}' | cut -d'\"' -f4)
  curl -s {url}/v1/operations/$ID
  curl -s -X POST {url}/api/v1/operations/$ID/cancel
  fanfold ops watch $ID --server {url}

What was there before is written back
  curl -s -X PUT {url}/profiles/gold -H 'Prefer: wait=10' --json '{{\"mbit\": 100}}'
  curl -s -X PUT {url}/profiles/gold -H 'Prefer: wait=10' --json '{{\"sample\": {{\"sapporo\": \"refuse\"}}}}'
  curl -s {url}/profiles/gold

Waves: tokyo is the canary, two sites come next, two last
  curl -s {url}/firmware -H 'Prefer: wait=10' --json '{{\"version\": \"2.1\", \"sample\": {{\"tokyo\": 2}}}}'
  curl -s {url}/firmware -H 'Prefer: wait=10' --json '{{\"version\": \"2.2\", \"sample\": {{\"tokyo\": \"refuse\"}}}}'

A connector, in the words of \"plas\": accepted, then asked about where the answer says, until it is \"finished\"
  AT=$(curl -sSf {url}/v1.0/plasconnector/connectors --json '{{\"name\": \"billing\"}}' | cut -d'\"' -f4)
  curl -s {url}$AT

Targets do as \"sample\" says: \"refuse\", \"busy\" at first, \"hang_up\" unanswered, \"keep\" (no undo), or take so many seconds.
See it all: fanfold ops list --server {url}, and the story of each: fanfold ops history ID --server {url}
"
    )
}
