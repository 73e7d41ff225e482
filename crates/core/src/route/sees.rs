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
    targets: Option<&'a [&'a str]>,
}

/// What is wrong with a name, and what to do about it.
struct Unknown {
    message: String,
    hint: String,
}

/// The most names that a message lists.
const LISTED_MAX: usize = 8;

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
    Sees { roots, captures: None, targets: None }
}

impl<'a> Sees<'a> {
    /// The same, where also the names of captures are known, if they are.
    pub(crate) fn with_captures(self, captures: Option<&'a [String]>) -> Self {
        Self { captures, ..self }
    }

    /// The same, where also the targets are known that the route may call.
    pub(crate) fn with_targets(self, targets: &'a [&'a str]) -> Self {
        Self { targets: Some(targets), ..self }
    }

    fn check(&self, name: &str) -> Result<(), Unknown> {
        let mut parts = name.split('.');
        let root = parts.next().unwrap_or_default();
        if FUNCTIONS.contains(&root) {
            return Ok(());
        }
        if !self.roots.contains(&root) {
            let message = format!("there is no `{root}` here, only {}", listed(self.roots.iter().copied()));
            return Err(Unknown { message, hint: self.advice(root) });
        }
        let Some(member) = parts.next() else {
            return Ok(());
        };
        let members: Vec<&str> = match root {
            "path" => match self.captures {
                Some(captures) => captures.iter().map(String::as_str).collect(),
                None => return Ok(()),
            },
            "targets" => match self.targets {
                Some(targets) => targets.to_vec(),
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
        let known = listed(members.into_iter().map(|name| [root, name].join(".")));
        let hint = match root {
            "path" => "these are the captures of `match`, as in `/things/{id}`",
            "targets" => "these are the targets that the route calls",
            _ if member == "body" => "the body is there as `text`, and parsed as `json`",
            _ => "use one of these",
        };
        Err(Unknown { message: format!("there is no `{root}.{member}`, only {known}"), hint: hint.to_owned() })
    }

    /// What to do about a value that is not there.
    fn advice(&self, root: &str) -> String {
        let advice = match root {
            "snapshot" => "the resource is read before the change only with `undo = \"restore\"`",
            "response" => "the answer of a target is there only in its `undo` and in `success`",
            "targets" => "the answers of all targets are there only in `result`",
            "target" => "which target it is is known only in the requests to it",
            _ if self.roots == ANSWER.roots => {
                "name a part of the answer, as in `response.json.status`; a text stands in quotes"
            }
            _ => "name a part of one of these, as in `request.json.name`; a text stands in quotes",
        };
        advice.to_owned()
    }
}

impl Problems {
    /// Compiles a template; what is wrong with it is a mistake at `place`.
    pub(crate) fn template(&mut self, place: &[Place], mode: Mode, source: &str, sees: &Sees<'_>) -> Option<Template> {
        let compiled = Template::compile(mode, source);
        let hint = "values stand in `{{ ... }}`, conditions and loops in `{% ... %}`; each is closed as it was opened";
        self.compiled(place, compiled, ("template", hint), Template::names, sees)
    }

    /// Compiles an expression; what is wrong with it is a mistake at `place`.
    pub(crate) fn expression(&mut self, place: &[Place], source: &str, sees: &Sees<'_>) -> Option<Expression> {
        let compiled = Expression::compile(source);
        if compiled.is_err() && source.contains("{{") {
            self.mistake_with_hint(place, "this is an expression, not a template", "leave out `{{` and `}}`");
            return None;
        }
        let hint = if has_lone_equals(source) {
            "write `==` to compare: `=` means nothing here"
        } else {
            "compare with `==`, `!=`, `<`, `>`; join with `and`, `or`, `not`; put texts in quotes"
        };
        self.compiled(place, compiled, ("expression", hint), Expression::names, sees)
    }

    fn compiled<T>(
        &mut self,
        place: &[Place],
        compiled: Result<T, TemplateError>,
        (what, hint): (&str, &str),
        names: impl Fn(&T) -> Vec<String>,
        sees: &Sees<'_>,
    ) -> Option<T> {
        let compiled = match compiled {
            Ok(compiled) => compiled,
            Err(TemplateError::Syntax { line, detail }) => {
                // Most templates have one line only, and a line within a line confuses.
                let line = if line > 1 { format!(", in its line {line}") } else { String::new() };
                self.mistake_with_hint(place, format!("the {what} cannot be read{line}: {detail}"), hint);
                return None;
            }
            Err(error) => {
                self.mistake(place, error.to_string());
                return None;
            }
        };
        let unknown: Vec<Unknown> = names(&compiled).iter().filter_map(|name| sees.check(name).err()).collect();
        for Unknown { message, hint } in &unknown {
            self.mistake_with_hint(place, message, hint);
        }
        unknown.is_empty().then_some(compiled)
    }
}

/// Whether an equals sign stands alone, where two are needed to compare.
fn has_lone_equals(source: &str) -> bool {
    let octets = source.as_bytes();
    let is = |at: usize, any: &[u8]| octets.get(at).is_some_and(|octet| any.contains(octet));
    (0..octets.len()).any(|at| is(at, b"=") && !is(at + 1, b"=") && !(at > 0 && is(at - 1, b"=!<>")))
}

fn listed(names: impl Iterator<Item = impl AsRef<str>>) -> String {
    let mut names: Vec<String> = names.map(|name| format!("`{}`", name.as_ref())).collect();
    if names.len() > LISTED_MAX {
        let more = names.split_off(LISTED_MAX).len();
        return format!("{} and {more} more", names.join(", "));
    }
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
        let sees = FORWARD.with_captures(Some(&captures));
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
    fn a_result_names_only_targets_that_are_called() {
        let sees = RESULT.with_targets(&["tokyo"]);
        assert!(messages("{{ targets.tokyo.response.status }} {{ targets | length }}", &sees).is_empty());
        assert_eq!(
            messages("{{ targets.osaka.outcome }}", &sees),
            ["there is no `targets.osaka`, only `targets.tokyo`"]
        );
        assert!(messages("{{ targets.osaka.outcome }}", &RESULT).is_empty());
    }

    #[test]
    fn one_equals_sign_gets_advice() {
        let hint = |source: &str| {
            let mut problems = Problems::default();
            problems.expression(&[], source, &ANSWER);
            problems.into_found().remove(0).hint.unwrap()
        };
        assert_eq!(hint("response.status = 200"), "write `==` to compare: `=` means nothing here");
        assert!(hint("response.status >= 200 200").starts_with("compare with"));
    }

    #[test]
    fn a_template_in_place_of_an_expression_gets_advice() {
        let mut problems = Problems::default();
        assert!(problems.expression(&[], "{{ request.json.a }}", &ACCEPTED).is_none());
        assert_eq!(problems.into_found()[0].hint.as_deref(), Some("leave out `{{` and `}}`"));
    }
}
