//! Checks a file against the JSON Schema of the configuration, and finds everything that is wrong at once.
//!
//! The schema comes from the structures of [`super::file`], so keys and types are declared in one place. What is right is
//! handed on as JSON, for those structures to be read from; what is wrong is left out of it. Whether values fit each other is
//! not looked at here.

use serde_json::{Map, Value as Json};

use super::document::{Node, Place, Value};
use super::finding::{Findings, Wrong};
use super::spelling;
use super::value::{check_text, magnitude};

/// Checks the whole file against `schema`, and gives the part that is right.
pub(crate) fn check(schema: &Json, findings: &mut Findings<'_>) -> Json {
    let root = findings.document().root();
    let mut check = Check { schema, findings, around: Vec::new() };
    check.value(schema, root, &Place::default()).unwrap_or_else(|| Json::Object(Map::new()))
}

struct Check<'s, 'f, 'd> {
    schema: &'s Json,
    findings: &'f mut Findings<'d>,
    /// The tables that the one at hand lies in, from the outermost on.
    around: Vec<(Place, &'s Map<String, Json>)>,
}

/// One of the things that a value may be.
#[derive(Clone, Copy)]
struct Alternative<'s> {
    schema: &'s Map<String, Json>,
    /// The bounds of `x-range`, which may stand around several alternatives.
    range: Option<&'s Json>,
}

impl<'s> Alternative<'s> {
    fn text(&self, keyword: &str) -> Option<&'s str> {
        self.schema.get(keyword).and_then(Json::as_str)
    }

    fn integer(&self, keyword: &str) -> Option<i64> {
        self.schema.get(keyword).and_then(Json::as_i64)
    }

    /// The texts that are possible, where not every text is.
    fn words(&self) -> Vec<&'s str> {
        let listed = self.schema.get("enum").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
        self.text("const").into_iter().chain(listed).collect()
    }
}

impl<'s> Check<'s, '_, '_> {
    /// The part of the value at `place` that is right; `None` if nothing of it is.
    fn value(&mut self, schema: &'s Json, node: &Node, place: &Place) -> Option<Json> {
        let mut alternatives = Vec::new();
        self.alternatives(schema, None, &mut alternatives);
        if alternatives.is_empty() {
            return self.anything(node, place);
        }
        let kind = kind(&node.value);
        // A whole number is a fraction as well.
        let fits = |one: &&Alternative<'_>| {
            one.text("type").is_some_and(|wanted| wanted == kind || (wanted, kind) == ("number", "integer"))
        };
        let fitting: Vec<_> = alternatives.iter().filter(fits).copied().collect();
        let Some(first) = fitting.first() else {
            return self.wrong(place, wrong_kind(&alternatives, &node.value));
        };
        match &node.value {
            Value::Text(text) => match check_words(&fitting, text) {
                Ok(()) => Some(Json::from(text.as_str())),
                Err(wrong) => self.wrong(place, wrong),
            },
            Value::Integer(Some(number)) if first.text("type") == Some("number") => {
                #[expect(clippy::cast_precision_loss, reason = "no fraction of the configuration is that large")]
                let number = *number as f64;
                match check_fraction(first, number) {
                    Ok(number) => Some(number),
                    Err(wrong) => self.wrong(place, wrong),
                }
            }
            Value::Float(number) => match check_fraction(first, *number) {
                Ok(number) => Some(number),
                Err(wrong) => self.wrong(place, wrong),
            },
            Value::Integer(number) => match check_integer(first, *number) {
                Ok(number) => Some(Json::from(number)),
                Err(wrong) => self.wrong(place, wrong),
            },
            Value::Boolean(truth) => Some(Json::from(*truth)),
            Value::Array(elements) => self.array(first.schema, elements, place),
            Value::Table(_) => Some(self.table(first.schema, node, place)),
            // The configuration has no dates, so that there is no alternative for them.
            Value::Date => self.wrong(place, wrong_kind(&alternatives, &node.value)),
        }
    }

    /// Follows references and takes apart what offers a choice. A schema that says nothing has no alternatives.
    fn alternatives(&self, schema: &'s Json, range: Option<&'s Json>, found: &mut Vec<Alternative<'s>>) {
        let Some(object) = schema.as_object() else { return };
        let range = object.get("x-range").or(range);
        let choices = ["anyOf", "oneOf"].iter().filter_map(|keyword| object.get(*keyword)?.as_array()).flatten();
        for choice in choices {
            self.alternatives(choice, range, found);
        }
        if let Some(reference) = object.get("$ref").and_then(Json::as_str) {
            let target = self.schema.pointer(reference.trim_start_matches('#'));
            self.alternatives(target.expect("the generator defines what it refers to"), range, found);
        }
        if object.contains_key("type") {
            found.push(Alternative { schema: object, range });
        }
    }

    fn array(&mut self, schema: &'s Map<String, Json>, elements: &[Node], place: &Place) -> Option<Json> {
        if schema.get("minItems").and_then(Json::as_u64).is_some_and(|least| (elements.len() as u64) < least) {
            let hint = format!("write at least one, as in {} = [...]", place.last_key());
            return self.wrong(place, Wrong::new("the list is empty").hint(hint));
        }
        let Some(each) = schema.get("items") else { return self.wrong(place, Wrong::new("no list is possible here")) };
        let checked: Vec<Option<Json>> = elements
            .iter()
            .enumerate()
            .map(|(index, element)| self.value(each, element, &place.index(index)))
            .collect();
        // All or nothing: positions must stay what they are in the file.
        checked.into_iter().collect::<Option<Vec<Json>>>().map(Json::Array)
    }

    fn table(&mut self, schema: &'s Map<String, Json>, node: &Node, place: &Place) -> Json {
        let Value::Table(members) = &node.value else { return Json::Null };
        let declared = schema.get("properties").and_then(Json::as_object);
        let others = schema.get("additionalProperties").filter(|others| others.is_object());
        let mut right = Map::new();
        let mut meant = Vec::new();
        self.around.push((place.clone(), schema));
        for member in members {
            let here = place.key(&member.key);
            match declared.and_then(|declared| declared.get(&member.key)).or(others) {
                Some(expected) => {
                    if let Some(json) = self.value(expected, &member.node, &here) {
                        right.insert(member.key.clone(), json);
                    }
                }
                None => meant.extend(self.unknown_key(&member.key, place)),
            }
        }
        self.around.pop();
        for required in schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str) {
            if node.get(required).is_none() && !meant.contains(&required) {
                let declared = declared.and_then(|declared| declared.get(required));
                self.missing_key(required, declared, place);
            }
        }
        Json::Object(right)
    }

    /// Reports the key, and gives the one that was most likely meant.
    fn unknown_key(&mut self, key: &str, place: &Place) -> Option<&'s str> {
        let keys = |schema: &'s Map<String, Json>| {
            schema.get("properties").and_then(Json::as_object).into_iter().flatten().map(|(key, _)| key.as_str())
        };
        let (_, here) = self.around.last()?;
        let meant = spelling::nearest(key, keys(here));
        let wrong = match place.parts().is_empty() {
            true => Wrong::new(format!("unknown key {key:?} at the top of the file")),
            false => Wrong::new(format!("unknown key {key:?} in {place}")),
        };
        let outer = self.around.iter().rev().skip(1).find(|(_, schema)| keys(schema).any(|known| known == key));
        let inner = keys(here).find(|table| self.has_key(here, table, key));
        let wrong = match (meant, outer, inner) {
            (Some(meant), _, _) => wrong.hint(format!("did you mean {meant:?}?")),
            (None, Some((outer, _)), _) => wrong.hint(format!("{key:?} belongs to {outer}: write it above {place}")),
            (None, None, Some(inner)) => wrong.hint(format!("it belongs to {}", place.key(inner))),
            (None, None, None) => wrong.hint("\"fanfold schema\" prints every key that there is"),
        };
        self.findings.unknown_key(place, key, wrong);
        meant
    }

    /// Whether `table`, a member of what `schema` describes, is a table that has `key`.
    fn has_key(&self, schema: &'s Map<String, Json>, table: &str, key: &str) -> bool {
        let Some(member) = schema.get("properties").and_then(|properties| properties.get(table)) else { return false };
        let mut alternatives = Vec::new();
        self.alternatives(member, None, &mut alternatives);
        alternatives.iter().any(|one| one.schema.get("properties").is_some_and(|keys| keys.get(key).is_some()))
    }

    fn missing_key(&mut self, key: &str, declared: Option<&'s Json>, place: &Place) {
        let wrong = Wrong::new(format!("{place} has no {key:?}"));
        let example = declared.and_then(|declared| declared.pointer("/examples/0")).and_then(Json::as_str);
        let wrong = match example {
            Some(example) => wrong.hint(format!("write it as in {key} = {example:?}")),
            None => wrong.hint("it is needed"),
        };
        self.findings.bad_key(place, wrong);
    }

    /// Takes any value that JSON can carry; what it cannot carry is null inside of it, so that the rest can be looked at.
    fn anything(&mut self, node: &Node, place: &Place) -> Option<Json> {
        match &node.value {
            Value::Text(text) => Some(Json::from(text.as_str())),
            Value::Integer(Some(number)) => Some(Json::from(*number)),
            Value::Integer(None) => self.wrong(place, Wrong::new("the number does not fit into 64 bits")),
            Value::Float(number) => match serde_json::Number::from_f64(*number) {
                Some(number) => Some(Json::Number(number)),
                None => self.wrong(place, Wrong::new("JSON has no such number")),
            },
            Value::Boolean(truth) => Some(Json::from(*truth)),
            Value::Date => self.wrong(place, Wrong::new("JSON has no dates").hint("write it in quotes")),
            Value::Array(elements) => {
                let each = elements.iter().enumerate();
                Some(each.map(|(index, node)| self.anything(node, &place.index(index)).unwrap_or_default()).collect())
            }
            Value::Table(members) => {
                let each = members.iter().map(|member| {
                    let value = self.anything(&member.node, &place.key(&member.key));
                    (member.key.clone(), value.unwrap_or_default())
                });
                Some(Json::Object(each.collect()))
            }
        }
    }

    fn wrong(&mut self, place: &Place, wrong: Wrong) -> Option<Json> {
        self.findings.bad_value(place, wrong);
        None
    }
}

/// The schema's name of what a value is.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Text(_) => "string",
        Value::Integer(_) => "integer",
        Value::Float(_) => "number",
        Value::Boolean(_) => "boolean",
        Value::Date => "date",
        Value::Array(_) => "array",
        Value::Table(_) => "object",
    }
}

/// The name of a kind in messages.
fn kind_in_words(kind: &str) -> &'static str {
    match kind {
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a table",
        _ => "a date",
    }
}

fn wrong_kind(alternatives: &[Alternative<'_>], value: &Value) -> Wrong {
    let mut expected: Vec<&str> = Vec::new();
    for kind in alternatives.iter().filter_map(|one| one.text("type")).map(kind_in_words) {
        if !expected.contains(&kind) {
            expected.push(kind);
        }
    }
    let found = kind_in_words(kind(value));
    let wrong = Wrong::new(format!("expected {}, found {found}", expected.join(" or ")));
    let example = alternatives.iter().find_map(|one| one.schema.get("examples")?.get(0)?.as_str());
    match (expected.as_slice(), value, example) {
        (_, Value::Integer(_), Some(example)) => wrong.hint(format!("write it in quotes, such as {example:?}")),
        (["a list"], Value::Text(_), _) => wrong.hint("put it in brackets: [\"...\"]"),
        (["a whole number" | "true or false"], Value::Text(_), _) => wrong.hint("leave out the quotes"),
        _ => wrong,
    }
}

/// Whether one of the alternatives takes the text.
fn check_words(alternatives: &[Alternative<'_>], text: &str) -> Result<(), Wrong> {
    let words: Vec<&str> = alternatives.iter().flat_map(Alternative::words).collect();
    if words.contains(&text) {
        return Ok(());
    }
    let Some(free) = alternatives.iter().find(|one| one.words().is_empty()) else {
        let listed: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
        let wrong = Wrong::new(format!("{text:?} is not one of {}", listed.join(", ")));
        return Err(match spelling::did_you_mean(text, words) {
            Some(hint) => wrong.hint(hint),
            None => wrong,
        });
    };
    if text.is_empty() {
        return Err(Wrong::new("the text is empty").hint("leave the key out if it is not needed"));
    }
    let Some(format) = free.text("format") else { return Ok(()) };
    check_text(format, text).expect("every form of text in the schema has its reader")?;
    match free.range.and_then(Json::as_array).map(Vec::as_slice) {
        Some([Json::String(least), Json::String(most)]) => {
            let size = magnitude(format, text);
            match size < magnitude(format, least) || size > magnitude(format, most) {
                true => {
                    Err(Wrong::new(format!("{text:?} is out of range")).hint(format!("{least} to {most} is possible")))
                }
                false => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// Whether the alternative takes the number, which may have a fraction.
fn check_fraction(alternative: &Alternative<'_>, number: f64) -> Result<Json, Wrong> {
    let bound = |key: &str| alternative.schema.get(key).and_then(Json::as_f64);
    let (least, most) = (bound("minimum").unwrap_or(f64::MIN), bound("maximum").unwrap_or(f64::MAX));
    match serde_json::Number::from_f64(number) {
        Some(json) if (least..=most).contains(&number) => Ok(Json::Number(json)),
        _ => Err(Wrong::new(format!("{number} is out of range")).hint(format!("{least} to {most} is possible"))),
    }
}

/// Whether the alternative takes the number.
fn check_integer(alternative: &Alternative<'_>, number: Option<i64>) -> Result<i64, Wrong> {
    let number = number.ok_or_else(|| Wrong::new("the number does not fit into 64 bits"))?;
    if let Some([Json::String(least), Json::String(most)]) =
        alternative.range.and_then(Json::as_array).map(Vec::as_slice)
    {
        // A size as a plain number of bytes.
        let text = format!("{}B", number.max(0));
        let octets = magnitude("fanfold-size", &text);
        if number < 0 || octets < magnitude("fanfold-size", least) || octets > magnitude("fanfold-size", most) {
            return Err(
                Wrong::new(format!("{number} bytes is out of range")).hint(format!("{least} to {most} is possible"))
            );
        }
        return Ok(number);
    }
    let least = alternative.integer("minimum").unwrap_or(i64::MIN);
    let most = alternative.integer("maximum").unwrap_or(i64::MAX);
    if (least..=most).contains(&number) {
        return Ok(number);
    }
    let possible = if most == i64::MAX {
        format!("{least} or more is possible")
    } else {
        format!("{least} to {most} is possible")
    };
    Err(Wrong::new(format!("{number} is out of range")).hint(possible))
}
