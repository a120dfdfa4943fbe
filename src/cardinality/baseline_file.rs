//! The file that `--save-baseline` writes and `--baseline` reads: JSON, without any label value.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::model::{Baseline, MetricSketch, Sketch};
use crate::error::{Error, Result};

const SCHEMA: &str = "goscope.cardinality-baseline";
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Document {
    schema: String,
    schema_version: u32,
    captured_at: String,
    /// 16 hexadecimal digits.
    salt: String,
    metrics: BTreeMap<String, Metric>,
}

#[derive(Serialize, Deserialize)]
struct Metric {
    series: Counted,
    labels: BTreeMap<String, Counted>,
}

#[derive(Serialize, Deserialize)]
struct Counted {
    count: u64,
    /// The smallest hashes, ascending, 16 hexadecimal digits each.
    hashes: String,
}

pub fn to_bytes(baseline: &Baseline) -> Vec<u8> {
    let counted =
        |sketch: &Sketch| Counted { count: sketch.count, hashes: sketch.hashes.iter().map(|hash| format!("{hash:016x}")).collect() };
    let metric = |sketch: &MetricSketch| Metric {
        series: counted(&sketch.series),
        labels: sketch.labels.iter().map(|(name, sketch)| (name.clone(), counted(sketch))).collect(),
    };
    let document = Document {
        schema: SCHEMA.to_owned(),
        schema_version: VERSION,
        captured_at: humantime::format_rfc3339_seconds(baseline.captured_at).to_string(),
        salt: format!("{:016x}", baseline.salt),
        metrics: baseline.metrics.iter().map(|(name, sketch)| (name.clone(), metric(sketch))).collect(),
    };
    // Strings and numbers always can be written.
    let mut bytes = serde_json::to_vec(&document).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Errors: Io when it can't be read, or is not such a file.
pub fn read(path: &Path) -> Result<Baseline> {
    let name = path.display();
    let bytes = std::fs::read(path).map_err(|error| Error::io(format!("cannot read the baseline {name}")).because(error))?;
    parse(&bytes).map_err(|why| {
        Error::io(format!("{name} is not a baseline of goscope: {why}"))
            .hint("write one with: goscope cardinality SOURCE --save-baseline FILE")
    })
}

/// What every version has.
#[derive(Deserialize)]
struct Head {
    schema: String,
    schema_version: u32,
}

fn parse(bytes: &[u8]) -> std::result::Result<Baseline, String> {
    let head: Head = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    match (head.schema.as_str(), head.schema_version) {
        (SCHEMA, VERSION) => {}
        (SCHEMA, version) => return Err(format!("it is of another version of goscope (schema_version {version}, not {VERSION})")),
        (schema, _) => return Err(format!("it is {schema}")),
    }
    let document: Document = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let captured_at: SystemTime = humantime::parse_rfc3339(&document.captured_at).map_err(|error| error.to_string())?;
    let salt = u64::from_str_radix(&document.salt, 16).map_err(|error| format!("salt: {error}"))?;
    let metrics =
        document.metrics.into_iter().map(|(name, metric)| Ok((name, sketch(metric)?))).collect::<std::result::Result<_, String>>()?;
    Ok(Baseline { captured_at, salt, metrics })
}

fn sketch(metric: Metric) -> std::result::Result<MetricSketch, String> {
    let labels = metric.labels.into_iter().map(|(name, counted)| Ok((name, hashes(&counted)?)));
    Ok(MetricSketch { series: hashes(&metric.series)?, labels: labels.collect::<std::result::Result<_, String>>()? })
}

fn hashes(counted: &Counted) -> std::result::Result<Sketch, String> {
    let (digits, rest) = counted.hashes.as_bytes().as_chunks::<16>();
    let number = |digits: &[u8; 16]| std::str::from_utf8(digits).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let hashes: Option<Vec<u64>> = digits.iter().map(number).collect();
    match hashes {
        Some(hashes) if rest.is_empty() && hashes.is_sorted_by(|a, b| a < b) && hashes.len() as u64 <= counted.count => {
            Ok(Sketch { hashes, count: counted.count })
        }
        _ => Err("its hashes are damaged".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let series = Sketch::of((1..3000).map(|n| n * 7_919_000_000).collect());
        let labels = BTreeMap::from([("path".to_owned(), Sketch::of(vec![1, 2, u64::MAX]))]);
        let metrics = BTreeMap::from([("x_total".to_owned(), MetricSketch { series, labels })]);
        let captured_at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_800_000_000);
        let baseline = Baseline { captured_at, salt: 0xdead_beef, metrics };
        assert_eq!(parse(&to_bytes(&baseline)), Ok(baseline));
    }

    #[test]
    fn other_files_are_refused() {
        let good = r#"{"schema":"goscope.cardinality-baseline","schema_version":1,"captured_at":"2026-12-01T00:00:00Z","salt":"01","metrics":{"x":{"series":{"count":2,"hashes":"00000000000000010000000000000002"},"labels":{}}}}"#;
        assert!(parse(good.as_bytes()).is_ok());
        for (from, to) in
            [("version\":1", "version\":2"), ("baseline\"", "other\""), ("count\":2", "count\":1"), ("\"0000000", "\"000000"), ("T00", "x")]
        {
            assert!(parse(good.replacen(from, to, 1).as_bytes()).is_err(), "{to}");
        }
        let newer = parse(format!("{{\"schema\":\"{SCHEMA}\",\"schema_version\":2,\"taken\":1}}").as_bytes()).unwrap_err();
        assert!(newer.contains("another version of goscope"), "{newer}");
        assert!(parse(b"").is_err() && parse(b"[]").is_err());
    }
}
