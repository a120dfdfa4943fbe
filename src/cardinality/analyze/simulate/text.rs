//! A series as one writes it.

/// `name{label="value"}` of labels in any order; a metric name that is no plain one stands in quotes among the labels.
pub fn series<'t>(labels: impl Iterator<Item = (&'t str, &'t str)>) -> String {
    let mut labels: Vec<(&str, &str)> = labels.collect();
    labels.sort_unstable();
    let name = labels.iter().find(|(label, _)| *label == "__name__").map(|(_, value)| *value);
    let mut out = name.filter(|name| is_plain(name)).unwrap_or_default().to_owned();
    let quoted = name.filter(|name| !is_plain(name)).map(|name| format!("\"{}\"", escape(name)));
    let pair = |(label, value): &(&str, &str)| match is_plain(label) {
        true => format!("{label}=\"{}\"", escape(value)),
        false => format!("\"{}\"=\"{}\"", escape(label), escape(value)),
    };
    let inner: Vec<String> = quoted.into_iter().chain(labels.iter().filter(|(label, _)| *label != "__name__").map(pair)).collect();
    if !inner.is_empty() || out.is_empty() {
        out.push_str(&format!("{{{}}}", inner.join(",")));
    }
    out
}

fn is_plain(name: &str) -> bool {
    let plain = |c: char| c == '_' || c == ':' || c.is_ascii_alphanumeric();
    !name.is_empty() && name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_written_as_in_an_exposition() {
        assert_eq!(series([("__name__", "up")].into_iter()), "up");
        assert_eq!(series([("b", "x\"\n\\"), ("__name__", "a"), ("a", "")].into_iter()), r#"a{a="",b="x\"\n\\"}"#);
        assert_eq!(series([("__name__", "a.b"), ("c.d", "e")].into_iter()), r#"{"a.b","c.d"="e"}"#);
        assert_eq!(series([].into_iter()), "{}");
    }
}
