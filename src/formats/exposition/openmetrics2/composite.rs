//! Composite values, `{count:2,sum:1.5,bucket:[1:1,+Inf:2]}`: their fields have one order and no blanks.

use super::line::{Cursor, Fault, Result, push};
use crate::formats::exposition::NativeHistogram;

#[derive(Debug)]
pub struct Composite {
    /// Its count and sum are called `gcount` and `gsum`.
    pub gauge: bool,
    pub count: f64,
    pub sum: f64,
    pub content: Content,
}

#[derive(Debug)]
pub enum Content {
    /// Quantile and value.
    Summary(Vec<(f64, f64)>),
    /// One of both at least. Classic are upper bound and cumulative count, the last one infinite.
    Histogram { native: Option<NativeHistogram>, classic: Option<Vec<(f64, f64)>> },
}

pub fn read(cursor: &mut Cursor<'_>) -> Result<Composite> {
    cursor.expect("{", "a composite value")?;
    let gauge = cursor.eat("g");
    cursor.expect("count:", "count")?;
    let count = cursor.number("the count")?;
    cursor.expect(if gauge { ",gsum:" } else { ",sum:" }, if gauge { "gsum after gcount" } else { "sum after count" })?;
    let sum = cursor.number("the sum")?;
    let content = if !gauge && cursor.eat(",quantile:[") {
        Content::Summary(pairs(cursor, "a quantile")?)
    } else {
        let native = if cursor.eat(",schema:") { Some(native(cursor, count, sum)?) } else { None };
        let classic = if cursor.eat(",bucket:[") { Some(classic(cursor)?) } else { None };
        if native.is_none() && classic.is_none() {
            return cursor.fault(if gauge { "expected schema or bucket" } else { "expected quantile, schema or bucket" });
        }
        Content::Histogram { native, classic }
    };
    cursor.expect("}", "the closing brace of the value, or its next field")?;
    Ok(Composite { gauge, count, sum, content })
}

/// `0.5:1,0.9:2]`, sorted by the first of each.
fn pairs(cursor: &mut Cursor<'_>, what: &str) -> Result<Vec<(f64, f64)>> {
    let mut pairs: Vec<(f64, f64)> = Vec::new();
    if cursor.eat("]") {
        return Ok(pairs);
    }
    loop {
        let at = cursor.at;
        let key = cursor.number(what)?;
        if key.is_nan() || pairs.last().is_some_and(|(before, _)| *before >= key) {
            return Err(Fault { at, message: format!("expected {what} that is higher than the one before") });
        }
        cursor.expect(":", "a colon")?;
        let value = cursor.number("a number")?;
        push(&mut pairs, (key, value), at)?;
        if cursor.eat("]") {
            return Ok(pairs);
        }
        cursor.expect(",", "a comma or a closing bracket")?;
    }
}

fn classic(cursor: &mut Cursor<'_>) -> Result<Vec<(f64, f64)>> {
    let buckets = pairs(cursor, "a bucket")?;
    if buckets.last().is_none_or(|(upper, _)| *upper != f64::INFINITY) {
        return cursor.fault("the bucket +Inf is missing");
    }
    Ok(buckets)
}

/// What follows `schema:`.
fn native(cursor: &mut Cursor<'_>, count: f64, sum: f64) -> Result<NativeHistogram> {
    let at = cursor.at;
    let schema = cursor.integer("a schema")?;
    if !(-4..=8).contains(&schema) {
        return Err(Fault { at, message: format!("the schema {schema} is not one from -4 to 8") });
    }
    cursor.expect(",zero_threshold:", "zero_threshold after schema")?;
    let at = cursor.at;
    let zero_threshold = cursor.real("a threshold")?;
    if zero_threshold < 0.0 {
        return Err(Fault { at, message: "the zero threshold is negative".to_owned() });
    }
    cursor.expect(",zero_count:", "zero_count after zero_threshold")?;
    let zero_count = cursor.number("a count")?;
    let negative = side(cursor, ",negative_spans:[", ",negative_buckets:[")?;
    let positive = side(cursor, ",positive_spans:[", ",positive_buckets:[")?;
    Ok(NativeHistogram { schema, zero_threshold, zero_count, count, sum, negative, positive })
}

/// Index and count of each bucket that is not empty.
fn side(cursor: &mut Cursor<'_>, spans_key: &str, buckets_key: &str) -> Result<Vec<(i32, f64)>> {
    if !cursor.eat(spans_key) {
        return Ok(Vec::new());
    }
    let mut spans: Vec<(i32, u32)> = Vec::new();
    while !cursor.eat("]") {
        if !spans.is_empty() {
            cursor.expect(",", "a comma or a closing bracket")?;
        }
        let at = cursor.at;
        let offset = cursor.integer("the offset of a span")?;
        if offset < 0 && !spans.is_empty() {
            return Err(Fault { at, message: "only the first span may have a negative offset".to_owned() });
        }
        cursor.expect(":", "a colon")?;
        push(&mut spans, (offset, cursor.integer("the length of a span")?), at)?;
    }
    cursor.expect(buckets_key, "the buckets of these spans")?;
    let start = cursor.at;
    let mut counts: Vec<f64> = Vec::new();
    while !cursor.eat("]") {
        if !counts.is_empty() {
            cursor.expect(",", "a comma or a closing bracket")?;
        }
        let at = cursor.at;
        let count = cursor.number("the count of a bucket")?;
        push(&mut counts, count, at)?;
    }
    let expected: u64 = spans.iter().map(|(_, length)| u64::from(*length)).sum();
    if expected != counts.len() as u64 {
        let message = format!("the spans have {expected} buckets, but {} counts follow", counts.len());
        return Err(Fault { at: start, message });
    }
    let mut buckets = Vec::with_capacity(counts.len());
    let (mut index, mut counts) = (0i32, counts.into_iter());
    for (offset, length) in spans {
        index = index.wrapping_add(offset);
        for count in counts.by_ref().take(length as usize) {
            buckets.push((index, count));
            index = index.wrapping_add(1);
        }
    }
    buckets.retain(|(_, count)| *count != 0.0);
    Ok(buckets)
}
