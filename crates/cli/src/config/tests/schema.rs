//! The JSON Schema.

use super::*;

#[test]
fn the_schema_uses_only_what_the_check_understands() {
    const KNOWN: [&str; 20] = [
        "$defs",
        "$ref",
        "$schema",
        "additionalProperties",
        "anyOf",
        "const",
        "default",
        "description",
        "enum",
        "examples",
        "format",
        "items",
        "maximum",
        "minItems",
        "minimum",
        "oneOf",
        "properties",
        "required",
        "title",
        "type",
    ];
    fn walk(schema: &Json, known: &[&str]) {
        let Some(object) = schema.as_object() else { return };
        for (keyword, value) in object {
            assert!(known.contains(&keyword.as_str()), "{keyword}");
            match (keyword.as_str(), value) {
                ("properties" | "$defs", Json::Object(named)) => named.values().for_each(|schema| walk(schema, known)),
                ("anyOf" | "oneOf", Json::Array(choices)) => choices.iter().for_each(|schema| walk(schema, known)),
                ("items" | "additionalProperties", schema) => walk(schema, known),
                _ => {}
            }
        }
        if object.get("type").is_some_and(|kind| kind == "integer") && !object.contains_key("x-range") {
            assert!(object.contains_key("minimum"), "{object:?}");
        }
    }
    let mut known = KNOWN.to_vec();
    known.push("x-range");
    walk(&schema(), &known);
    assert!(!schema().to_string().contains("\"null\""));
}
