//! Checks JSON against `schemas/`, in both directions: it is valid, and it has no key that the schema does not mention.

use std::collections::BTreeSet;

use serde_json::Value;

pub fn document(name: &str) -> Value {
    let path = format!("{}/schemas/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The schema of one line of jsonl.
pub fn line(name: &str) -> Value {
    let all = document(name);
    serde_json::json!({"$schema": all["$schema"], "$defs": all["$defs"], "$ref": "#/$defs/line"})
}

/// Keys below `free` are data, not part of the contract.
pub fn check(schema: &Value, value: &Value, free: &[&str]) {
    let validator = jsonschema::validator_for(schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let mut known = BTreeSet::new();
    properties(schema, &mut known);
    let mut seen = BTreeSet::new();
    keys(value, free, &mut seen);
    let unknown: Vec<&String> = seen.difference(&known).collect();
    assert!(unknown.is_empty(), "not in the schema: {unknown:?}");
}

fn properties(schema: &Value, into: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::Object(properties)) = map.get("properties") {
                into.extend(properties.keys().cloned());
            }
            map.values().for_each(|value| properties(value, into));
        }
        Value::Array(list) => list.iter().for_each(|value| properties(value, into)),
        _ => {}
    }
}

fn keys(value: &Value, free: &[&str], into: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                into.insert(key.clone());
                if !free.contains(&key.as_str()) {
                    keys(value, free, into);
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| keys(value, free, into)),
        _ => {}
    }
}
