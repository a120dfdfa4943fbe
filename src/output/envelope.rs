//! The frame around every JSON document.

use std::io::{BufWriter, Write};
use std::time::SystemTime;

use serde::Serialize;

use super::Output;
use super::sink::BUFFER;
use crate::error::{Error, Result};

/// `body` adds its own keys beside these. In `jsonl` the first line is an envelope with `type` set to `header`.
#[derive(Debug, Serialize)]
pub struct Envelope<T, Q, B> {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    /// `goscope.<command>`.
    schema: String,
    schema_version: u32,
    /// Version of the tool that wrote this.
    goscope: &'static str,
    /// RFC 3339, UTC.
    captured_at: String,
    target: T,
    quality: Q,
    #[serde(flatten)]
    body: B,
}

impl<T: Serialize, Q: Serialize, B: Serialize> Envelope<T, Q, B> {
    pub fn new(command: &str, captured_at: SystemTime, target: T, quality: Q, body: B) -> Self {
        Envelope {
            kind: None,
            schema: format!("goscope.{command}"),
            schema_version: 1,
            goscope: env!("CARGO_PKG_VERSION"),
            captured_at: timestamp(captured_at),
            target,
            quality,
            body,
        }
    }

    /// The first line of a `jsonl` stream.
    pub fn header(mut self) -> Self {
        self.kind = Some("header");
        self
    }
}

/// `2026-11-30T21:05:09.123456Z`
pub fn timestamp(time: SystemTime) -> String {
    humantime::format_rfc3339_micros(time).to_string()
}

/// One document: indented for a terminal, on one line otherwise.
pub fn write_json(out: &mut Output, document: &impl Serialize) -> Result<()> {
    let pretty = out.style().width.is_some();
    // serde_json writes a few bytes at a time, which a buffer whose type it knows takes without a call.
    let mut buffer = BufWriter::with_capacity(BUFFER, out);
    let written = match pretty {
        true => serde_json::to_writer_pretty(&mut buffer, document),
        false => serde_json::to_writer(&mut buffer, document),
    };
    written.map_err(json_error)?;
    buffer.write_all(b"\n").and_then(|()| buffer.flush()).map_err(Error::write)
}

/// One line of a `jsonl` stream.
pub fn write_line(out: &mut impl Write, line: &impl Serialize) -> Result<()> {
    serde_json::to_writer(&mut *out, line).map_err(json_error)?;
    out.write_all(b"\n").map_err(Error::write)
}

fn json_error(error: serde_json::Error) -> Error {
    Error::write(std::io::Error::from(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract() {
        let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_micros(1_500_000);
        let document = Envelope::new("ps", time, (), (), serde_json::json!({"processes": []}));
        let json = serde_json::to_value(&document).unwrap();
        assert_eq!(json["schema"], "goscope.ps");
        assert_eq!(json["schema_version"], 1);
        assert_eq!(json["goscope"], env!("CARGO_PKG_VERSION"));
        assert_eq!(json["captured_at"], "1970-01-01T00:00:01.500000Z");
        assert_eq!(json["processes"], serde_json::json!([]));
        assert!(json.get("type").is_none());
        assert_eq!(serde_json::to_value(document.header()).unwrap()["type"], "header");
    }
}
