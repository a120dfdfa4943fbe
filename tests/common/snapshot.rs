//! What goscope says: the JSON document of `goroutines`, by the keys that scripts rely on.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

#[derive(Debug)]
pub struct Snapshot {
    pub goroutines: Vec<Goroutine>,
    pub document: Value,
}

#[derive(Debug)]
pub struct Goroutine {
    pub id: u64,
    pub status: String,
    pub wait_reason: Option<String>,
    pub locked: bool,
    pub system: bool,
    pub labels: BTreeMap<String, String>,
    pub created_by: Option<CreatedBy>,
    pub frames: Vec<Frame>,
    /// Why the stack is not whole.
    pub cut: Option<String>,
}

#[derive(Debug)]
pub struct CreatedBy {
    pub function: String,
    pub file: String,
    pub line: u32,
    pub goroutine: Option<u64>,
}

#[derive(Debug, Clone)]
pub struct Frame {
    pub function: String,
    pub file: String,
    pub line: u32,
    pub address: u64,
    pub inlined: bool,
    pub kind: String,
    pub wrapper: bool,
}

/// Runs goscope and reads its document; fails unless it exits with 0.
pub fn take(pid: u32, arguments: &[&str]) -> Snapshot {
    let output = Command::new(env!("CARGO_BIN_EXE_goscope"))
        .args(["goroutines", &pid.to_string(), "--format", "json"])
        .args(arguments)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "goscope goroutines: {}\n{errors}", output.status);
    parse(serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("not JSON: {error}\n{errors}")))
}

pub fn parse(document: Value) -> Snapshot {
    let stacks = document["stacks"].as_array().expect("stacks");
    let goroutines = document["goroutines"].as_array().expect("goroutines").iter().map(|g| goroutine(g, stacks)).collect();
    Snapshot { goroutines, document }
}

fn goroutine(g: &Value, stacks: &[Value]) -> Goroutine {
    let stack = g["stack"].as_u64().map(|at| &stacks[at as usize]);
    Goroutine {
        id: g["id"].as_u64().expect("id"),
        status: text(&g["status"]),
        wait_reason: g["wait_reason"].as_str().map(str::to_owned),
        locked: g["locked"].as_bool().expect("locked"),
        system: g["system"].as_bool().expect("system"),
        labels: g["labels"].as_object().expect("labels").iter().map(|(key, value)| (key.clone(), text(value))).collect(),
        created_by: g["created_by"].as_object().map(|by| CreatedBy {
            function: text(&by["function"]),
            file: text(&by["file"]),
            line: by["line"].as_u64().unwrap_or(0) as u32,
            goroutine: by["goroutine"].as_u64(),
        }),
        frames: stack.map(|stack| stack["frames"].as_array().expect("frames").iter().map(frame).collect()).unwrap_or_default(),
        cut: stack.and_then(|stack| stack["cut"].as_str()).map(str::to_owned),
    }
}

fn frame(f: &Value) -> Frame {
    let address = f["address"].as_str().and_then(|text| text.strip_prefix("0x"));
    Frame {
        function: text(&f["function"]),
        file: text(&f["file"]),
        line: f["line"].as_u64().unwrap_or(0) as u32,
        address: address.map_or(0, |hex| u64::from_str_radix(hex, 16).unwrap()),
        inlined: f["inlined"].as_bool().expect("inlined"),
        kind: text(&f["kind"]),
        wrapper: f["wrapper"].as_bool().unwrap_or(false),
    }
}

/// Empty for null.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
