//! What schemathesis reached: for each operation of the document the classes of answers that it got.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// What was reached, and whether schemathesis found nothing.
#[derive(Debug)]
pub struct Report {
    reached: BTreeMap<String, Reached>,
    passed: bool,
}

#[derive(Debug, Default)]
struct Reached {
    good: u64,
    refused: u64,
    /// By another method than the operation has: it says that the path was reached, and not the operation.
    wrong_method: u64,
    failed: u64,
}

impl Report {
    /// `seen` has a line for each answer: the operation, the method that was used, the status.
    pub(super) fn read(document: &Value, seen: &str, passed: bool) -> Result<Self> {
        let paths = document["paths"].as_object().context("the document has no paths")?;
        let operations = paths.iter().flat_map(|(path, item)| {
            let methods = item.as_object().into_iter().flat_map(serde_json::Map::keys);
            methods.map(move |method| (format!("{} {path}", method.to_ascii_uppercase()), Reached::default()))
        });
        // Schemathesis reads the document there, and makes no other request; tests of the server do.
        let operations = operations.filter(|(operation, _)| operation != "GET /openapi.json");
        let mut reached: BTreeMap<String, Reached> = operations.collect();
        for line in seen.lines() {
            let (label, method, status): (String, String, u16) = serde_json::from_str(line)?;
            let counts = reached.entry(label.clone()).or_default();
            if !label.starts_with(&format!("{method} ")) {
                counts.wrong_method += 1;
                continue;
            }
            match status {
                ..300 => counts.good += 1,
                300..400 => {}
                400..500 => counts.refused += 1,
                500.. => counts.failed += 1,
            }
        }
        Ok(Self { reached, passed })
    }

    /// Whether schemathesis found nothing, and could have.
    pub fn is_good(&self) -> bool {
        self.passed && self.reached.values().all(Reached::is_enough)
    }
}

impl Reached {
    /// A page without parameters and body refuses nothing but other methods.
    fn is_enough(&self) -> bool {
        self.good > 0 && self.refused + self.wrong_method > 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>6} {:>6} {:>6} {:>12}", "2xx", "4xx", "5xx", "other method")?;
        for (operation, reached) in &self.reached {
            let Reached { good, refused, wrong_method, failed } = reached;
            let verdict = if reached.is_enough() { "" } else { "   NOT REACHED" };
            writeln!(f, "{good:>6} {refused:>6} {failed:>6} {wrong_method:>12}   {operation}{verdict}")?;
        }
        let missed = self.reached.values().filter(|reached| !reached.is_enough()).count();
        let verdict = if self.passed { "found nothing" } else { "FOUND FAILURES" };
        write!(f, "operations={} not_reached={missed}: schemathesis {verdict}", self.reached.len())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_operation_that_was_only_refused_is_not_reached() {
        let document = json!({"paths": {"/a": {"get": {}, "post": {}}}});
        let seen = "[\"GET /a\", \"GET\", 200]\n[\"GET /a\", \"TRACE\", 405]\n[\"POST /a\", \"POST\", 400]\n";
        let report = Report::read(&document, seen, true).unwrap();
        assert!(!report.is_good());
        assert!(report.to_string().ends_with("operations=2 not_reached=1: schemathesis found nothing"), "{report}");
        let seen = format!("{seen}[\"POST /a\", \"POST\", 202]\n");
        assert!(Report::read(&document, &seen, true).unwrap().is_good());
        assert!(!Report::read(&document, &seen, false).unwrap().is_good());
    }
}
