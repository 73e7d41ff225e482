//! The schemas of what the native API answers: made out of the types that are written, so that none can say something else.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::http::{native, system};

/// All of them, by name.
pub(super) fn made() -> Map<String, Value> {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut generator =
        settings.with(|settings| settings.definitions_path = "/components/schemas".into()).into_generator();
    native::describe(&mut generator);
    system::describe(&mut generator);
    let mut made = generator.take_definitions(true);
    made.values_mut().for_each(simplify);
    made
}

/// Says in fewer words what is derived.
fn simplify(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            list_words(members);
            never_null(members);
            members.values_mut().for_each(simplify);
        }
        Value::Array(members) => members.iter_mut().for_each(simplify),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Words with a meaning each, as one list of words.
fn list_words(schema: &mut Map<String, Value>) {
    let Some(cases) = schema.get("oneOf").and_then(Value::as_array) else { return };
    let word = |case: &Value| Some((case.get("const")?.as_str()?.to_owned(), case["description"].as_str()?.to_owned()));
    let Some(words) = cases.iter().map(word).collect::<Option<Vec<_>>>() else { return };
    let meanings = words.iter().map(|(word, meaning)| format!("\n- `{word}`: {meaning}"));
    let before = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let description = format!("{before}\n{}", meanings.collect::<String>());
    let words: Vec<String> = words.into_iter().map(|(word, _)| word).collect();
    schema.remove("oneOf");
    schema.extend([("type".to_owned(), json!("string")), ("enum".to_owned(), json!(words))]);
    schema.insert("description".to_owned(), description.into());
}

/// A member that may be left out is left out where there is nothing to say, and never null.
fn never_null(schema: &mut Map<String, Value>) {
    let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let Some(Value::Object(properties)) = schema.get_mut("properties") else { return };
    for (name, property) in properties {
        let Value::Object(members) = property else { continue };
        if required.iter().any(|one| one == name) {
            continue;
        }
        if let Some(Value::Array(types)) = members.get_mut("type") {
            types.retain(|one| one != "null");
            if let [only] = types.as_slice() {
                let only = only.clone();
                members.insert("type".to_owned(), only);
            }
        }
        if let Some(Value::Array(cases)) = members.get_mut("anyOf") {
            cases.retain(|case| case["type"] != "null");
            if let [Value::Object(only)] = cases.as_slice() {
                let only = only.clone();
                members.remove("anyOf");
                members.extend(only);
            }
        }
    }
}
