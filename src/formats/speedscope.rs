//! Profiles for speedscope: JSON with frames shared by all profiles of the file (github.com/jlfwong/speedscope, src/lib/file-format-spec.ts).
//!
//! Values are JSON numbers, exact up to 2^53: give times from the start of the window, not of the machine.

use std::io::{self, Write};

use rustc_hash::FxHashMap;
use serde::Serialize;

use super::pprof::Place;

const SCHEMA: &str = "https://www.speedscope.app/file-format-schema.json";

/// What weights and times count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    None,
    Nanoseconds,
}

/// Of a frame, within one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct FrameId(u32);

/// Builds a file; equal frames are stored once, in the order of their first use.
#[derive(Debug, Serialize)]
pub struct Builder {
    #[serde(rename = "$schema")]
    schema: &'static str,
    name: String,
    exporter: &'static str,
    #[serde(rename = "activeProfileIndex")]
    active: u32,
    shared: Shared,
    profiles: Vec<Profile>,
    #[serde(skip)]
    ids: FxHashMap<(String, String, u32), FrameId>,
}

#[derive(Debug, Serialize)]
struct Shared {
    frames: Vec<Frame>,
}

#[derive(Debug, Serialize)]
struct Frame {
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    file: String,
    #[serde(skip_serializing_if = "is_zero")]
    line: u32,
}

fn is_zero(line: &u32) -> bool {
    *line == 0
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Profile {
    Sampled(Sampled),
    Evented(Evented),
}

/// Stacks with a weight each. The viewer also shows them in their order, as if each lasted as long as its weight.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sampled {
    name: String,
    unit: Unit,
    start_value: u64,
    /// The sum of the weights.
    end_value: u64,
    samples: Vec<Vec<FrameId>>,
    weights: Vec<u64>,
}

/// One stack that changes over time.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Evented {
    name: String,
    unit: Unit,
    start_value: u64,
    end_value: u64,
    events: Vec<Event>,
    #[serde(skip)]
    open: Vec<FrameId>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Event {
    #[serde(rename = "type")]
    kind: EventKind,
    frame: FrameId,
    at: u64,
}

#[derive(Debug, Clone, Copy, Serialize)]
enum EventKind {
    #[serde(rename = "O")]
    Open,
    #[serde(rename = "C")]
    Close,
}

impl Builder {
    /// `name` is the title of the file.
    pub fn new(name: &str) -> Self {
        Builder {
            schema: SCHEMA,
            name: name.to_owned(),
            exporter: concat!("goscope ", env!("CARGO_PKG_VERSION")),
            active: 0,
            shared: Shared { frames: Vec::new() },
            profiles: Vec::new(),
            ids: FxHashMap::default(),
        }
    }

    pub fn frame(&mut self, place: &Place<'_>) -> FrameId {
        let next = FrameId(self.shared.frames.len() as u32);
        *self.ids.entry((place.function.to_owned(), place.file.to_owned(), place.line)).or_insert_with(|| {
            self.shared.frames.push(Frame { name: place.function.to_owned(), file: place.file.to_owned(), line: place.line });
            next
        })
    }

    pub fn push_sampled(&mut self, profile: Sampled) {
        self.profiles.push(Profile::Sampled(profile));
    }

    /// `end` is the end of the window: frames that are open until then are closed there.
    pub fn push_evented(&mut self, mut profile: Evented, end: u64) {
        profile.advance(end);
        while !profile.open.is_empty() {
            profile.close(end);
        }
        self.profiles.push(Profile::Evented(profile));
    }

    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        out.write_all(b"\n")
    }
}

impl Sampled {
    pub fn new(name: &str, unit: Unit) -> Self {
        Sampled { name: name.to_owned(), unit, start_value: 0, end_value: 0, samples: Vec::new(), weights: Vec::new() }
    }

    /// Outermost frame first.
    pub fn sample(&mut self, frames: Vec<FrameId>, weight: u64) {
        self.end_value = self.end_value.saturating_add(weight);
        self.samples.push(frames);
        self.weights.push(weight);
    }
}

impl Evented {
    pub fn new(name: &str, unit: Unit, start: u64) -> Self {
        Evented { name: name.to_owned(), unit, start_value: start, end_value: start, events: Vec::new(), open: Vec::new() }
    }

    /// Calls `frame`, at `at` or where the profile is already, whichever is later: the format takes no step back.
    pub fn open(&mut self, frame: FrameId, at: u64) {
        let at = self.advance(at);
        self.events.push(Event { kind: EventKind::Open, frame, at });
        self.open.push(frame);
    }

    /// Returns from the innermost frame, if there is one.
    pub fn close(&mut self, at: u64) {
        let at = self.advance(at);
        if let Some(frame) = self.open.pop() {
            self.events.push(Event { kind: EventKind::Close, frame, at });
        }
    }

    fn advance(&mut self, at: u64) -> u64 {
        self.end_value = self.end_value.max(at);
        self.end_value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde_json::Value;

    /// Outermost frame first, with the weight or time of each.
    type Stacks = Vec<(Vec<String>, u64)>;

    fn written(builder: &Builder) -> Value {
        let mut out = Vec::new();
        builder.write(&mut out).unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    fn place(number: u8) -> (String, String, u32) {
        (
            format!("main.f{}", number % 7),
            if number.is_multiple_of(3) { String::new() } else { format!("f{}.go", number % 2) },
            u32::from(number % 5),
        )
    }

    fn id(builder: &mut Builder, number: u8) -> FrameId {
        let (function, file, line) = place(number);
        builder.frame(&Place { function: &function, file: &file, line })
    }

    /// Every rule of file-format-spec.ts and of what the importer checks; returns profiles as stacks with their weights.
    fn read(file: &Value) -> Result<Vec<Stacks>, String> {
        let keys = |value: &Value, allowed: &[&str]| match value.as_object() {
            None => Err(format!("{value} is no object")),
            Some(object) => match object.keys().find(|key| !allowed.contains(&key.as_str())) {
                Some(key) => Err(format!("unknown key {key}")),
                None => Ok(()),
            },
        };
        keys(file, &["$schema", "name", "exporter", "activeProfileIndex", "shared", "profiles"])?;
        if file["$schema"] != SCHEMA {
            return Err("wrong schema".to_owned());
        }
        let frames = file["shared"]["frames"].as_array().ok_or("no frames")?;
        let mut names = Vec::new();
        for frame in frames {
            keys(frame, &["name", "file", "line", "col"])?;
            let line = frame.get("line").map_or(Ok(1), |line| line.as_u64().ok_or("a line is no number"))?;
            if line == 0 || frame.get("file").is_some_and(|file| !file.is_string()) {
                return Err(format!("bad place {frame}"));
            }
            names.push(frame["name"].as_str().ok_or("a frame without name")?.to_owned());
        }
        let frame = |value: &Value| -> Result<String, String> {
            let index = value.as_u64().ok_or("a frame index is no number")?;
            names.get(index as usize).cloned().ok_or_else(|| format!("frame {index} is not in the table"))
        };
        let mut profiles = Vec::new();
        for profile in file["profiles"].as_array().ok_or("no profiles")? {
            if !["none", "nanoseconds"].contains(&profile["unit"].as_str().unwrap_or_default()) || !profile["name"].is_string() {
                return Err(format!("bad unit or name in {profile}"));
            }
            let (start, end) = (profile["startValue"].as_u64().ok_or("no startValue")?, profile["endValue"].as_u64().ok_or("no endValue")?);
            if start > end {
                return Err("the profile ends before it starts".to_owned());
            }
            let mut stacks = Vec::new();
            match profile["type"].as_str() {
                Some("sampled") => {
                    keys(profile, &["type", "name", "unit", "startValue", "endValue", "samples", "weights"])?;
                    let samples = profile["samples"].as_array().ok_or("no samples")?;
                    let weights = profile["weights"].as_array().ok_or("no weights")?;
                    if samples.len() != weights.len() {
                        return Err("samples and weights differ in number".to_owned());
                    }
                    for (sample, weight) in samples.iter().zip(weights) {
                        let stack = sample.as_array().ok_or("a sample is no list")?.iter().map(frame).collect::<Result<_, _>>()?;
                        stacks.push((stack, weight.as_u64().ok_or("a weight is no number")?));
                    }
                    if start + stacks.iter().map(|(_, weight)| weight).sum::<u64>() != end {
                        return Err("the weights do not sum to the length".to_owned());
                    }
                }
                Some("evented") => {
                    keys(profile, &["type", "name", "unit", "startValue", "endValue", "events"])?;
                    let (mut open, mut last) = (Vec::new(), start);
                    for event in profile["events"].as_array().ok_or("no events")? {
                        keys(event, &["type", "frame", "at"])?;
                        let (name, at) = (frame(&event["frame"])?, event["at"].as_u64().ok_or("no time")?);
                        if at < last || at > end {
                            return Err("events out of order".to_owned());
                        }
                        stacks.push((open.clone(), at - last));
                        last = at;
                        match event["type"].as_str() {
                            Some("O") => open.push(name),
                            Some("C") if open.pop().as_ref() == Some(&name) => {}
                            _ => return Err(format!("{event} does not close what is open")),
                        }
                    }
                    if !open.is_empty() {
                        return Err("frames are left open".to_owned());
                    }
                    stacks.push((open, end - last));
                }
                other => return Err(format!("profile type {other:?}")),
            }
            profiles.push(stacks);
        }
        if !profiles.is_empty() && file["activeProfileIndex"].as_u64().is_none_or(|index| index as usize >= profiles.len()) {
            return Err("the active profile is none of them".to_owned());
        }
        Ok(profiles)
    }

    #[derive(Debug, Clone)]
    enum Made {
        Sampled(Vec<(Vec<u8>, u32)>),
        /// A frame to open, or none to close one, at a time.
        Evented(u32, Vec<(Option<u8>, u32)>, u32),
    }

    fn made() -> impl Strategy<Value = Made> {
        let stack = vec(any::<u8>(), 0..6);
        prop_oneof![
            vec((stack, any::<u32>()), 0..8).prop_map(Made::Sampled),
            (0..100u32, vec((any::<Option<u8>>(), 0..200u32), 0..12), 0..200u32)
                .prop_map(|(start, steps, end)| Made::Evented(start, steps, end)),
        ]
    }

    /// The same profile as plain stacks.
    fn expected(made: &Made) -> Stacks {
        match made {
            Made::Sampled(samples) => {
                samples.iter().map(|(stack, weight)| (stack.iter().map(|&n| place(n).0).collect(), u64::from(*weight))).collect()
            }
            Made::Evented(start, steps, end) => {
                let (mut open, mut last, mut stacks): (Vec<String>, _, _) = (Vec::new(), *start, Vec::new());
                for (step, at) in steps {
                    let at = last.max(*at);
                    stacks.push((open.clone(), u64::from(at - last)));
                    last = at;
                    match step {
                        Some(number) => open.push(place(*number).0),
                        None => drop(open.pop()),
                    }
                }
                stacks.push((open, u64::from(last.max(*end) - last)));
                stacks
            }
        }
    }

    /// Time by stack, without what lasted no time.
    fn totals(stacks: &[(Vec<String>, u64)]) -> std::collections::BTreeMap<&[String], u64> {
        let mut totals = std::collections::BTreeMap::new();
        for (stack, weight) in stacks.iter().filter(|(_, weight)| *weight > 0) {
            *totals.entry(stack.as_slice()).or_default() += weight;
        }
        totals
    }

    proptest! {
        #[test]
        fn any_profiles_make_a_file_that_keeps_all_rules_and_says_the_same(all in vec(made(), 0..4)) {
            let mut builder = Builder::new("app");
            for made in &all {
                match made {
                    Made::Sampled(samples) => {
                        let mut profile = Sampled::new("cpu", Unit::None);
                        for (stack, weight) in samples {
                            let stack = stack.iter().map(|&number| id(&mut builder, number)).collect();
                            profile.sample(stack, u64::from(*weight));
                        }
                        builder.push_sampled(profile);
                    }
                    Made::Evented(start, steps, end) => {
                        let mut profile = Evented::new("goroutine 1", Unit::Nanoseconds, u64::from(*start));
                        for (step, at) in steps {
                            match step {
                                Some(number) => profile.open(id(&mut builder, *number), u64::from(*at)),
                                None => profile.close(u64::from(*at)),
                            }
                        }
                        builder.push_evented(profile, u64::from(*end));
                    }
                }
            }
            let file = written(&builder);
            let profiles = read(&file).map_err(TestCaseError::fail)?;
            prop_assert_eq!(profiles.len(), all.len());
            for (profile, made) in profiles.iter().zip(&all) {
                let expected = expected(made);
                prop_assert_eq!(totals(profile), totals(&expected));
            }
            let frames = file["shared"]["frames"].as_array().unwrap();
            let distinct: std::collections::BTreeSet<String> = frames.iter().map(Value::to_string).collect();
            prop_assert_eq!(distinct.len(), frames.len());
        }
    }

    #[test]
    fn a_file_as_the_viewer_reads_it() {
        let mut builder = Builder::new("payments");
        let root = builder.frame(&Place { function: "main.main", file: "main.go", line: 9 });
        let leaf = builder.frame(&Place { function: "main.work", file: "", line: 0 });
        let mut profile = Sampled::new("on-CPU", Unit::Nanoseconds);
        profile.sample(vec![root, leaf], 30);
        builder.push_sampled(profile);
        let file = written(&builder);
        assert_eq!(
            file["shared"]["frames"],
            serde_json::json!([{"name": "main.main", "file": "main.go", "line": 9}, {"name": "main.work"}])
        );
        assert_eq!(
            file["profiles"][0],
            serde_json::json!({"type": "sampled", "name": "on-CPU", "unit": "nanoseconds", "startValue": 0, "endValue": 30,
                "samples": [[0, 1]], "weights": [30]})
        );
    }
}
