//! Values held against the schemas of an OpenAPI document, more strictly than clients have to: a member that no schema speaks of is
//! a mismatch. What a keyword means is JSON Schema's; one that is not known here is a mismatch as well. Patterns and formats other
//! than times and UUIDs are not looked at.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Says nothing about a value.
const REMARKS: [&str; 7] = ["default", "description", "example", "examples", "pattern", "title", "x-event-data"];

/// A document, and what of its schemas was seen in values.
#[derive(Debug)]
pub struct Schemas {
    document: Value,
    /// Members, as the name of a schema of the document and the way from there.
    seen: RefCell<BTreeSet<String>>,
}

/// Members that schemas speak of.
type Known = BTreeSet<String>;

impl Schemas {
    /// Those of a document.
    pub fn new(document: Value) -> Self {
        Self { document, seen: RefCell::default() }
    }

    /// The document.
    pub fn document(&self) -> &Value {
        &self.document
    }

    /// Everything in which the value is other than the schema says; empty: nothing.
    pub fn mismatches(&self, schema: &Value, value: &Value) -> Vec<String> {
        let mut found = Vec::new();
        self.whole(schema, value, &Place { schema: String::new(), value: String::new() }, &mut found);
        found
    }

    /// The members of a schema of the document that no value had yet.
    pub fn unseen(&self, name: &str) -> Vec<String> {
        let mut all = BTreeSet::new();
        list(name, &self.document["components"]["schemas"][name], &mut all);
        all.difference(&self.seen.borrow()).cloned().collect()
    }

    /// A value with everything in it.
    fn whole(&self, schema: &Value, value: &Value, place: &Place, found: &mut Vec<String>) {
        let known = self.apply(schema, value, place, found);
        for name in value.as_object().into_iter().flat_map(Map::keys).filter(|name| !known.contains(*name)) {
            found.push(format!("{}: nothing is said about `{name}`", place.value));
        }
    }

    /// One schema of several that may apply to a value; gives the members that it speaks of.
    fn apply(&self, schema: &Value, value: &Value, place: &Place, found: &mut Vec<String>) -> Known {
        let mut known = Known::new();
        let Some(keywords) = schema.as_object() else { return known };
        for (keyword, argument) in keywords {
            match keyword.as_str() {
                "$ref" => known.extend(self.refer(argument, value, place, found)),
                "anyOf" | "oneOf" => known.extend(self.one_of(keyword, argument, value, place, found)),
                "properties" => known.extend(self.members(argument, value, place, found)),
                "items" => self.items(argument, keywords, value, place, found),
                "prefixItems" => {
                    let pairs = argument.as_array().into_iter().flatten().zip(value.as_array().into_iter().flatten());
                    pairs.for_each(|(schema, item)| self.whole(schema, item, &place.item(), found));
                }
                "additionalProperties" => known.extend(self.others(argument, keywords, value, place, found)),
                remark if REMARKS.contains(&remark) => {}
                _ if !holds(keyword, argument, value) => {
                    found.push(format!("{}: {value} is not {keyword} {argument}", place.value));
                }
                _ => {}
            }
        }
        known
    }

    fn refer(&self, reference: &Value, value: &Value, place: &Place, found: &mut Vec<String>) -> Known {
        let pointer = reference.as_str().and_then(|reference| reference.strip_prefix('#')).unwrap_or_default();
        let Some(schema) = self.document.pointer(pointer) else {
            found.push(format!("{reference} leads nowhere"));
            return Known::new();
        };
        let name = pointer.rsplit('/').next().unwrap_or_default();
        self.apply(schema, value, &Place { schema: name.to_owned(), value: place.value.clone() }, found)
    }

    fn one_of(&self, word: &str, cases: &Value, value: &Value, place: &Place, found: &mut Vec<String>) -> Known {
        let tries = cases.as_array().into_iter().flatten().map(|case| {
            let mut wrong = Vec::new();
            (self.apply(case, value, place, &mut wrong), wrong)
        });
        let tries: Vec<_> = tries.collect();
        let fitting = tries.iter().filter(|(_, wrong)| wrong.is_empty()).count();
        if fitting == 0 || word == "oneOf" && fitting > 1 {
            let wrong: Vec<&String> = tries.iter().flat_map(|(_, wrong)| wrong).collect();
            found.push(format!("{}: {fitting} of {word} fit: {wrong:?}", place.value));
        }
        tries.into_iter().filter(|(_, wrong)| wrong.is_empty()).flat_map(|(known, _)| known).collect()
    }

    fn members(&self, schemas: &Value, value: &Value, place: &Place, found: &mut Vec<String>) -> Known {
        let Some(members) = value.as_object() else { return Known::new() };
        let mut known = Known::new();
        for (name, schema) in schemas.as_object().into_iter().flatten() {
            known.insert(name.clone());
            if let Some(member) = members.get(name) {
                let place = place.member(name);
                self.seen.borrow_mut().insert(place.schema.clone());
                self.whole(schema, member, &place, found);
            }
        }
        known
    }

    fn items(
        &self,
        schema: &Value,
        keywords: &Map<String, Value>,
        value: &Value,
        place: &Place,
        found: &mut Vec<String>,
    ) {
        let before = keywords.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len);
        let items = value.as_array().into_iter().flatten().skip(before);
        items.for_each(|item| self.whole(schema, item, &place.item(), found));
    }

    fn others(
        &self,
        schema: &Value,
        keywords: &Map<String, Value>,
        value: &Value,
        place: &Place,
        found: &mut Vec<String>,
    ) -> Known {
        let named = |name: &str| keywords.get("properties").is_some_and(|named| named.get(name).is_some());
        let Some(members) = value.as_object().filter(|_| *schema != false) else { return Known::new() };
        let others = members.iter().filter(|(name, _)| !named(name));
        others
            .map(|(name, member)| {
                self.whole(schema, member, &place.member(name), found);
                name.clone()
            })
            .collect()
    }
}

/// Where a value is, and where its schema is.
struct Place {
    schema: String,
    value: String,
}

impl Place {
    fn member(&self, name: &str) -> Self {
        Self { schema: format!("{}/{name}", self.schema), value: format!("{}/{name}", self.value) }
    }

    fn item(&self) -> Self {
        Self { schema: self.schema.clone(), value: format!("{}/_", self.value) }
    }
}

/// What a keyword that asks for nothing inside says of a value.
fn holds(keyword: &str, argument: &Value, value: &Value) -> bool {
    let count = |text: &str| text.chars().count() as u64;
    let number = |argument: &Value| argument.as_f64().unwrap_or_default();
    match keyword {
        "type" => match argument {
            Value::Array(types) => types.iter().any(|one| is_of(one, value)),
            one => is_of(one, value),
        },
        "enum" => argument.as_array().is_some_and(|words| words.contains(value)),
        "const" => argument == value,
        "required" => value.as_object().is_none_or(|members| {
            argument
                .as_array()
                .into_iter()
                .flatten()
                .all(|name| members.contains_key(name.as_str().unwrap_or_default()))
        }),
        "minimum" => value.as_f64().is_none_or(|value| value >= number(argument)),
        "maximum" => value.as_f64().is_none_or(|value| value <= number(argument)),
        "minLength" => value.as_str().is_none_or(|text| count(text) >= argument.as_u64().unwrap_or(0)),
        "maxLength" => value.as_str().is_none_or(|text| count(text) <= argument.as_u64().unwrap_or(0)),
        "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= argument.as_u64().unwrap_or(0)),
        "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= argument.as_u64().unwrap_or(0)),
        "format" => value.as_str().is_none_or(|text| is_formed(argument.as_str().unwrap_or_default(), text)),
        _ => false,
    }
}

fn is_of(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap_or_default() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

/// As Fanfold writes them: times in UTC.
fn is_formed(format: &str, text: &str) -> bool {
    let shape: String = text.chars().map(|one| if one.is_ascii_hexdigit() { '0' } else { one }).collect();
    match format {
        "date-time" => shape.starts_with("0000-00-00T00:00:00") && shape.ends_with('Z'),
        "uuid" => shape == "00000000-0000-0000-0000-000000000000",
        _ => true,
    }
}

/// The members in a schema, without those of other schemas that it refers to.
fn list(place: &str, schema: &Value, all: &mut BTreeSet<String>) {
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        let place = format!("{place}/{name}");
        list(&place, member, all);
        all.insert(place);
    }
    list_inside(place, &schema["items"], all);
    for word in ["anyOf", "oneOf"] {
        schema[word].as_array().into_iter().flatten().for_each(|case| list(place, case, all));
    }
}

fn list_inside(place: &str, schema: &Value, all: &mut BTreeSet<String>) {
    if schema.is_object() {
        list(place, schema, all);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schemas() -> Schemas {
        Schemas::new(json!({ "components": { "schemas": {
            "Base": { "type": "object", "required": ["id"], "properties": { "id": { "type": "string", "format": "uuid" } } },
            "Waits": { "oneOf": [
                { "$ref": "#/components/schemas/Base", "required": ["for", "until"], "type": "object", "properties": {
                    "for": { "const": "time" }, "until": { "type": "string", "format": "date-time" } } },
                { "type": "object", "required": ["for"], "properties": { "for": { "const": "person" } } },
            ] },
            "Count": { "type": ["integer", "null"], "minimum": 1 },
            "Counts": { "type": "object", "additionalProperties": { "$ref": "#/components/schemas/Count" } },
        } } }))
    }

    fn wrong(name: &str, value: &Value) -> Vec<String> {
        schemas().mismatches(&json!({ "$ref": format!("#/components/schemas/{name}") }), value)
    }

    #[test]
    fn what_fits_has_no_mismatch() {
        let id = "01a20105-0000-7000-8000-000000000001";
        assert_eq!(wrong("Waits", &json!({ "for": "person" })), [""; 0]);
        assert_eq!(wrong("Waits", &json!({ "for": "time", "id": id, "until": "2026-12-01T04:00:00Z" })), [""; 0]);
        assert_eq!(wrong("Counts", &json!({ "a": 1, "b": null })), [""; 0]);
    }

    #[test]
    fn what_does_not_fit_or_is_not_spoken_of_is_a_mismatch() {
        for (name, value) in [
            ("Base", json!({ "id": "7" })),
            ("Base", json!({})),
            ("Base", json!([])),
            ("Base", json!({ "id": "01a20105-0000-7000-8000-000000000001", "more": 1 })),
            ("Waits", json!({ "for": "person", "until": "2026-12-01T04:00:00Z" })),
            ("Waits", json!({ "for": "nobody" })),
            ("Count", json!(0)),
            ("Count", json!(1.5)),
            ("Counts", json!({ "a": "1" })),
            ("Nowhere", json!(1)),
        ] {
            assert_ne!(wrong(name, &value), [""; 0], "{name} {value}");
        }
        assert_ne!(
            schemas().mismatches(&json!({ "multipleOf": 3 }), &json!(3)),
            [""; 0],
            "a keyword that is not known"
        );
    }

    #[test]
    fn members_that_were_not_seen_are_told() {
        let schemas = schemas();
        let waits = json!({ "$ref": "#/components/schemas/Waits" });
        assert_eq!(schemas.unseen("Waits"), ["Waits/for", "Waits/until"]);
        schemas.mismatches(&waits, &json!({ "for": "person" }));
        assert_eq!(schemas.unseen("Waits"), ["Waits/until"]);
    }
}
