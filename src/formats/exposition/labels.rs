//! What a server does with the labels of a sample after its parser: `mutateSampleLabels` and `append` in `scrape/scrape.go` of Prometheus.

use rustc_hash::FxHashMap;

use super::Label;

/// Leaves the labels that are stored: one with an empty value is none, and takes others of its name with it. An error says why the server
/// refuses them, and with them the scrape. `labels` is without the name of the metric.
pub fn stored(labels: &mut Vec<Label<'_>>) -> Result<(), String> {
    let plain = |(index, label): (usize, &Label<'_>)| {
        let odd = label.value.is_empty() || label.name.is_empty() || label.name == "__name__";
        !odd && labels[..index].iter().all(|other| other.name != label.name)
    };
    if labels.len() <= 16 && labels.iter().enumerate().all(plain) {
        return Ok(());
    }
    // How often a name is there, and whether with an empty value.
    let mut seen: FxHashMap<&str, (u32, bool)> = FxHashMap::default();
    for label in labels.iter() {
        let (times, empty) = seen.entry(label.name).or_default();
        *times += 1;
        *empty |= label.value.is_empty();
    }
    match seen.get("__name__") {
        Some((_, true)) => return Err("the label __name__ is empty".to_owned()),
        Some((_, false)) => return Err("the name of the metric is given as the label __name__ too".to_owned()),
        None => {}
    }
    labels.retain(|label| seen.get(label.name).is_some_and(|(_, empty)| !empty));
    for label in labels.iter() {
        if label.name.is_empty() {
            return Err("a label has no name".to_owned());
        }
        if seen.get(label.name).is_some_and(|(times, _)| *times > 1) {
            return Err(format!("the label {} is there twice", label.name));
        }
    }
    Ok(())
}
