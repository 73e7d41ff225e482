//! Which values a template or an expression may name where it stands, so that a misspelt name is found when configuration is
//! loaded and not when a target waits to be undone. The values themselves are [`super::scope`]'s.

use super::problem::{Place, Problems};
use super::template::{Expression, Mode, Template, TemplateError};

/// Names that belong to the engine.
const FUNCTIONS: [&str; 3] = ["dict", "namespace", "range"];

/// The values that can be named in one place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sees<'a> {
    roots: &'static [&'static str],
    captures: Option<&'a [String]>,
}

/// What the values of a whole request see before a target is chosen: locks, idempotency keys, the choice itself.
pub(crate) const ACCEPTED: Sees<'static> = sees(&["path", "query", "request", "operation", "resource"]);

/// What a forward request sees.
pub(crate) const FORWARD: Sees<'static> = sees(&["path", "query", "request", "operation", "resource", "target"]);

/// What an undo request sees: `response` is the answer of its step.
pub(crate) const UNDO: Sees<'static> =
    sees(&["path", "query", "request", "operation", "resource", "target", "response"]);

/// What a probe sees beside that where the step is undone by a restore.
pub(crate) const PROBE_OF_RESTORE: Sees<'static> =
    sees(&["path", "query", "request", "operation", "resource", "target", "response", "snapshot"]);

/// What is judged by an answer alone.
pub(crate) const ANSWER: Sees<'static> = sees(&["response"]);

/// What a result sees.
pub(crate) const RESULT: Sees<'static> = sees(&["path", "query", "request", "operation", "resource", "targets"]);

const fn sees(roots: &'static [&'static str]) -> Sees<'static> {
    Sees { roots, captures: None }
}

impl<'a> Sees<'a> {
    /// The same, where also the names of captures are known.
    pub(crate) fn with_captures(self, captures: &'a [String]) -> Self {
        Self { captures: Some(captures), ..self }
    }

    fn check(&self, name: &str) -> Result<(), String> {
        let mut parts = name.split('.');
        let root = parts.next().unwrap_or_default();
        if FUNCTIONS.contains(&root) {
            return Ok(());
        }
        if !self.roots.contains(&root) {
            return Err(format!("there is no `{root}` here, only {}", listed(self.roots.iter().copied())));
        }
        let Some(member) = parts.next() else {
            return Ok(());
        };
        let members: Vec<&str> = match root {
            "path" => match self.captures {
                Some(captures) => captures.iter().map(String::as_str).collect(),
                None => return Ok(()),
            },
            "request" => vec!["method", "path", "headers", "text", "json"],
            "response" => vec!["status", "headers", "text", "json"],
            "snapshot" => vec!["headers", "text", "json"],
            "operation" | "resource" => vec!["id"],
            "target" => vec!["name", "id"],
            _ => return Ok(()),
        };
        if members.contains(&member) {
            return Ok(());
        }
        Err(format!(
            "there is no `{root}.{member}`, only {}",
            listed(members.into_iter().map(|name| [root, name].join(".")))
        ))
    }
}

impl Problems {
    /// Compiles a template; what is wrong with it is a mistake at `place`.
    pub(crate) fn template(&mut self, place: &[Place], mode: Mode, source: &str, sees: &Sees<'_>) -> Option<Template> {
        let compiled = Template::compile(mode, source);
        self.compiled(place, compiled, Template::names, sees)
    }

    /// Compiles an expression; what is wrong with it is a mistake at `place`.
    pub(crate) fn expression(&mut self, place: &[Place], source: &str, sees: &Sees<'_>) -> Option<Expression> {
        let compiled = Expression::compile(source);
        if compiled.is_err() && source.contains("{{") {
            self.mistake_with_hint(place, "this is an expression, not a template", "leave out `{{` and `}}`");
            return None;
        }
        self.compiled(place, compiled, Expression::names, sees)
    }

    fn compiled<T>(
        &mut self,
        place: &[Place],
        compiled: Result<T, TemplateError>,
        names: impl Fn(&T) -> Vec<String>,
        sees: &Sees<'_>,
    ) -> Option<T> {
        let compiled = match compiled {
            Ok(compiled) => compiled,
            Err(error) => {
                self.mistake(place, error.to_string());
                return None;
            }
        };
        let unknown: Vec<String> = names(&compiled).iter().filter_map(|name| sees.check(name).err()).collect();
        for message in &unknown {
            if message.contains("`snapshot`") {
                self.mistake_with_hint(
                    place,
                    message,
                    "the resource is read before the change only with `undo = \"restore\"`",
                );
            } else {
                self.mistake(place, message);
            }
        }
        unknown.is_empty().then_some(compiled)
    }
}

fn listed(names: impl Iterator<Item = impl AsRef<str>>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{}`", name.as_ref())).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(source: &str, sees: &Sees<'_>) -> Vec<String> {
        let mut problems = Problems::default();
        problems.template(&["x".into()], Mode::Text, source, sees);
        problems.into_found().into_iter().map(|problem| problem.message).collect()
    }

    #[test]
    fn names_that_cannot_be_there_are_mistakes() {
        let captures = ["id".to_owned()];
        let sees = FORWARD.with_captures(&captures);
        for source in
            ["{{ path.id }}", "{% for x in range(3) %}{{ loop.index }}{{ x }}{% endfor %}", "{{ request['json'].a }}"]
        {
            assert!(messages(source, &sees).is_empty(), "{source}");
        }
        assert_eq!(messages("{{ path.ip }}", &sees), ["there is no `path.ip`, only `path.id`"]);
        assert_eq!(messages("{{ request.body }}", &sees).len(), 1);
        assert!(messages("{{ response.json }}", &sees)[0].starts_with("there is no `response` here, only `path`"));
        assert_eq!(messages("{{ a }}{{ b }}", &sees).len(), 2);
    }

    #[test]
    fn a_template_in_place_of_an_expression_gets_advice() {
        let mut problems = Problems::default();
        assert!(problems.expression(&[], "{{ request.json.a }}", &ACCEPTED).is_none());
        assert_eq!(problems.into_found()[0].hint.as_deref(), Some("leave out `{{` and `}}`"));
    }
}
