//! Reads a relabel configuration: a list of rules, alone or where a `prometheus.yml` or a ServiceMonitor has it.

use std::fmt;

use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::regexp::Regexp;
use super::rule::{Action, DEFAULT_REGEX, DEFAULT_REPLACEMENT, DEFAULT_SEPARATOR, Given, Names, Rule};
use crate::error::{Error, Result};

/// Rules that run in this order, each over what the one before it left.
#[derive(Debug, Clone)]
pub struct Config {
    pub rules: Vec<Rule>,
    pub names: Names,
    pub applies: Applies,
    /// The job of a `prometheus.yml`, or the port of a ServiceMonitor, that they were taken from.
    pub job: Option<String>,
}

/// What the file says that the rules are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applies {
    /// `metric_relabel_configs`, `metricRelabelings`, or a bare list.
    Samples,
    /// `relabel_configs`: the labels of a target, before it is scraped. On samples they do nothing.
    Targets,
    /// `write_relabel_configs`: what is sent to a remote endpoint.
    RemoteWrite,
}

impl Config {
    /// Takes a bare list of rules; `metric_relabel_configs:`, `write_relabel_configs:` or `relabel_configs:` at the top; a whole
    /// `prometheus.yml`; a ServiceMonitor, PodMonitor, Probe or ScrapeConfig of the Prometheus operator, among other documents too. `job`
    /// chooses by `job_name`, or by the port of a ServiceMonitor.
    ///
    /// Fails with the line where something is that Prometheus or goscope does not take, and with the names of the jobs where `job` has to
    /// be given.
    pub fn parse(text: &str, job: Option<&str>) -> Result<Config> {
        // `010` is 8 in a file that Prometheus reads. Lists of rules are long in practice, but not as long as the default budget.
        let options = serde_saphyr::options! { legacy_octal_numbers: true, with_snippet: false };
        let documents: Vec<Document> = serde_saphyr::from_multiple_with_options(text, options).map_err(|error| unreadable(&error))?;
        let mut lists: Vec<List> = documents.into_iter().flat_map(Document::lists).collect();
        if let Some(job) = job {
            let names: Vec<String> = lists.iter().filter_map(|list| list.job.clone()).collect();
            lists.retain(|list| list.job.as_deref() == Some(job));
            if lists.is_empty() {
                return Err(Error::usage(format!("no job `{job}` in the configuration")).hint(match names.len() {
                    0 => "it has no jobs: its rules apply without choosing one".to_owned(),
                    _ => format!("it has: {}", names.join(", ")),
                }));
            }
        }
        let jobs = lists.len();
        lists.retain(|list| !list.rules.is_empty());
        match lists.as_slice() {
            [] if jobs > 0 => Err(Error::io("the configuration has no relabel rules for samples").hint("those are metric_relabel_configs")),
            [] => Err(Error::io("no relabel rules in the configuration").hint(
                "give a list of rules, metric_relabel_configs: with such a list, a prometheus.yml, or a ServiceMonitor with metricRelabelings",
            )),
            [_] => lists.remove(0).check(),
            several => {
                let names: Vec<&str> = several.iter().map(|list| list.job.as_deref().unwrap_or("(unnamed)")).collect();
                Err(Error::usage(format!("{} jobs have relabel rules", several.len())).hint(format!("choose one of: {}", names.join(", "))))
            }
        }
    }
}

fn unreadable(error: &serde_saphyr::Error) -> Error {
    let message = error.to_string();
    // It ends with the place, in words of its own.
    let what = message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what).trim_end_matches([':', ',', ' ']);
    let what = what.lines().next().unwrap_or_default();
    let line = error.location().map_or(0, |location| location.line());
    let hint = if what.contains("unknown field") && what.contains("_labels") {
        "the keys are those of Prometheus' relabel_config; camelCase ones stand below metricRelabelings:"
    } else if what.contains("source_labels") || what.contains("sequence") {
        "lists are written source_labels: [__name__, code]"
    } else {
        "the file has to be YAML as prometheus.yml is: promtool check config says more"
    };
    let error = if line == 0 { Error::io(what) } else { at(line, what) };
    error.hint(hint)
}

fn at(line: u64, message: impl fmt::Display) -> Error {
    Error::io(format!("line {line}: {message}"))
}

/// The rules of one job, as they are written.
struct List {
    job: Option<String>,
    names: Names,
    applies: Applies,
    rules: Vec<Spanned<Option<Raw>>>,
}

impl List {
    fn new(applies: Applies, rules: Option<Rules>) -> Self {
        List { job: None, names: Names::Utf8, applies, rules: rules.unwrap_or_default() }
    }

    fn of_operator(job: Option<String>, rules: Option<CamelRules>) -> Self {
        let to_raw = |rule: Spanned<Option<Camel>>| Spanned {
            value: rule.value.map(Camel::into_raw),
            referenced: rule.referenced,
            defined: rule.defined,
        };
        List { job, ..List::new(Applies::Samples, rules.map(|rules| rules.into_iter().map(to_raw).collect())) }
    }

    fn check(self) -> Result<Config> {
        let names = self.names;
        let rules = self.rules.into_iter().map(|rule| {
            let line = rule.defined.line();
            let raw = rule.value.ok_or_else(|| at(line, "an empty relabel rule").hint("remove the dash, or write a rule behind it"))?;
            raw.check(line, names)
        });
        Ok(Config { rules: rules.collect::<Result<_>>()?, names, applies: self.applies, job: self.job })
    }
}

type Rules = Vec<Spanned<Option<Raw>>>;
type CamelRules = Vec<Spanned<Option<Camel>>>;
/// Not there at all, or there and null, or there with a value: null is the zero value in Go, and not the default.
type Field<T> = Option<Option<T>>;

fn field<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Field<T>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// The two spellings of the same fields.
macro_rules! raw {
    ($name:ident, $case:literal) => {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, rename_all = $case)]
        struct $name {
            #[serde(default, deserialize_with = "field")]
            source_labels: Field<Vec<Option<String>>>,
            #[serde(default, deserialize_with = "field")]
            separator: Field<String>,
            #[serde(default, deserialize_with = "field")]
            regex: Field<String>,
            #[serde(default, deserialize_with = "field")]
            modulus: Field<u64>,
            #[serde(default, deserialize_with = "field")]
            target_label: Field<String>,
            #[serde(default, deserialize_with = "field")]
            replacement: Field<String>,
            #[serde(default, deserialize_with = "field")]
            action: Field<String>,
        }
    };
}
raw!(Raw, "snake_case");
raw!(Camel, "camelCase");

impl Camel {
    /// The operator leaves out what is empty when it writes the configuration of the server, but for the separator and the replacement.
    fn into_raw(self) -> Raw {
        let some = |field: Field<String>| field.flatten().filter(|text| !text.is_empty()).map(Some);
        Raw {
            source_labels: self.source_labels.flatten().filter(|labels| !labels.is_empty()).map(Some),
            separator: self.separator.flatten().map(Some),
            regex: some(self.regex),
            modulus: self.modulus,
            target_label: some(self.target_label),
            replacement: self.replacement.flatten().map(Some),
            action: some(self.action),
        }
    }
}

impl Raw {
    fn check(self, line: u64, names: Names) -> Result<Rule> {
        let text = |field: Field<String>, default: &str| field.map_or_else(|| default.to_owned(), Option::unwrap_or_default);
        let action = text(self.action, Action::Replace.as_str());
        let Some(action) = Action::ALL.into_iter().find(|known| known.as_str() == action.to_lowercase()) else {
            let known: Vec<&str> = Action::ALL.iter().map(|action| action.as_str()).collect();
            return Err(at(line, format!("unknown relabel action `{action}`")).hint(format!("there are: {}", known.join(", "))));
        };
        let given = Given { regex: self.regex.is_some(), source_labels: matches!(self.source_labels, Some(Some(_))) };
        let mut source_labels = Vec::new();
        for label in self.source_labels.flatten().unwrap_or_default() {
            if label.as_deref() == Some("") {
                return Err(at(line, "source_labels: a label without a name").hint("remove the empty entry"));
            }
            source_labels.push(label.unwrap_or_default());
        }
        let regex = Regexp::new(&text(self.regex, DEFAULT_REGEX)).map_err(|refused| {
            at(line, format!("regex: {}", refused.message)).hint(match refused.by_goscope {
                true => "write it in a simpler way, so that it can be simulated",
                false => "the syntax is RE2: https://github.com/google/re2/wiki/Syntax",
            })
        })?;
        let rule = Rule {
            line,
            action,
            source_labels,
            separator: text(self.separator, DEFAULT_SEPARATOR),
            regex,
            modulus: self.modulus.map_or(0, Option::unwrap_or_default),
            target_label: text(self.target_label, ""),
            replacement: text(self.replacement, DEFAULT_REPLACEMENT),
        };
        match rule.validate(names, given) {
            Ok(()) => Ok(rule),
            Err(invalid) => Err(at(line, invalid.message).hint(invalid.hint)),
        }
    }
}

enum Document {
    List(Rules),
    Map(Box<Top>),
    Empty,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Top {
    metric_relabel_configs: Option<Rules>,
    write_relabel_configs: Option<Rules>,
    relabel_configs: Option<Rules>,
    job_name: Option<String>,
    metric_name_validation_scheme: Option<String>,
    global: Option<Global>,
    scrape_configs: Option<Vec<Scrape>>,
    /// Of the operator's objects.
    spec: Option<Spec>,
    #[serde(rename = "metricRelabelings")]
    metric_relabelings: Option<CamelRules>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Global {
    metric_name_validation_scheme: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Scrape {
    job_name: Option<String>,
    metric_name_validation_scheme: Option<String>,
    metric_relabel_configs: Option<Rules>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    endpoints: Option<Vec<Endpoint>>,
    pod_metrics_endpoints: Option<Vec<Endpoint>>,
    metric_relabelings: Option<CamelRules>,
    job_name: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Endpoint {
    port: Option<String>,
    target_port: Option<String>,
    metric_relabelings: Option<CamelRules>,
}

fn names(scheme: Option<&str>) -> Names {
    if scheme == Some("legacy") { Names::Legacy } else { Names::Utf8 }
}

impl Document {
    fn lists(self) -> Vec<List> {
        let top = match self {
            Document::List(rules) => return vec![List::new(Applies::Samples, Some(rules))],
            Document::Empty => return Vec::new(),
            Document::Map(top) => *top,
        };
        let global = top.global.and_then(|global| global.metric_name_validation_scheme);
        let mut lists = Vec::new();
        // Part of a scrape configuration: what is done to samples counts.
        let own = [
            (Applies::Samples, top.metric_relabel_configs),
            (Applies::RemoteWrite, top.write_relabel_configs),
            (Applies::Targets, top.relabel_configs),
        ];
        if let Some((applies, rules)) = own.into_iter().find(|(_, rules)| rules.is_some()) {
            let names = names(top.metric_name_validation_scheme.as_deref());
            lists.push(List { job: top.job_name, names, ..List::new(applies, rules) });
        }
        for scrape in top.scrape_configs.unwrap_or_default() {
            let names = names(scrape.metric_name_validation_scheme.as_deref().or(global.as_deref()));
            lists.push(List { job: scrape.job_name, names, ..List::new(Applies::Samples, scrape.metric_relabel_configs) });
        }
        if top.metric_relabelings.is_some() {
            lists.push(List::of_operator(None, top.metric_relabelings));
        }
        if let Some(spec) = top.spec {
            let endpoints = spec.endpoints.into_iter().chain(spec.pod_metrics_endpoints).flatten();
            lists.extend(endpoints.map(|endpoint| List::of_operator(endpoint.port.or(endpoint.target_port), endpoint.metric_relabelings)));
            if spec.metric_relabelings.is_some() {
                lists.push(List::of_operator(spec.job_name, spec.metric_relabelings));
            }
        }
        lists
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Document;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of relabel rules, or a mapping that has one")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> std::result::Result<Document, A::Error> {
                Deserialize::deserialize(SeqAccessDeserializer::new(list)).map(Document::List)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<Document, A::Error> {
                Deserialize::deserialize(MapAccessDeserializer::new(map)).map(Document::Map)
            }
            fn visit_unit<E>(self) -> std::result::Result<Document, E> {
                Ok(Document::Empty)
            }
            fn visit_none<E>(self) -> std::result::Result<Document, E> {
                Ok(Document::Empty)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn failure(text: &str) -> String {
        let error = Config::parse(text, None).unwrap_err();
        format!("{error} | {}", error.hints.join("; "))
    }

    fn lines(text: &str, job: Option<&str>) -> Vec<u64> {
        Config::parse(text, job).unwrap().rules.iter().map(|rule| rule.line).collect()
    }

    #[test]
    fn a_bare_list_with_its_lines_and_defaults() {
        let config = Config::parse("# mine\n- target_label: a\n\n- source_labels: [x, y]\n  regex: 1.0\n  action: DROP\n", None).unwrap();
        assert_eq!((config.applies, config.names, config.job), (Applies::Samples, Names::Utf8, None));
        let [first, second] = config.rules.as_slice() else { panic!("{:?}", config.rules) };
        assert_eq!((first.line, first.action, first.regex.as_str(), &*first.replacement), (2, Action::Replace, "(.*)", "$1"));
        assert_eq!((second.line, second.action, second.regex.as_str(), &*second.separator), (4, Action::Drop, "1.0", ";"));
        assert_eq!(second.source_labels, ["x", "y"]);
    }

    #[test]
    fn null_is_not_the_default() {
        let config = Config::parse("[{source_labels: [a], regex: , separator: ~, replacement: null, target_label: b}]", None).unwrap();
        let rule = &config.rules[0];
        assert_eq!((rule.regex.as_str(), &*rule.separator, &*rule.replacement), ("", "", ""));
    }

    #[test]
    fn lists_below_a_key() {
        let metric = "metric_relabel_configs:\n  - {action: labeldrop, regex: a}\nrelabel_configs:\n  - {target_label: x}\n";
        assert_eq!(lines(metric, None), [2]);
        let write = Config::parse("write_relabel_configs: [{action: labeldrop, regex: a}]", None).unwrap();
        assert_eq!(write.applies, Applies::RemoteWrite);
        let target = Config::parse("relabel_configs: [{action: labeldrop, regex: a}]", None).unwrap();
        assert_eq!(target.applies, Applies::Targets);
    }

    const SERVER: &str = "
global: {scrape_interval: 15s, metric_name_validation_scheme: legacy}
rule_files: [a.yml]
scrape_configs:
  - job_name: plain
    static_configs: [{targets: ['localhost:9090']}]
  - job_name: api
    relabel_configs: [{target_label: x}]
    metric_relabel_configs:
      - regex: id
        action: labeldrop
  - job_name: web
    metric_name_validation_scheme: utf8
    metric_relabel_configs:
      - {regex: path, action: labeldrop}
";

    #[test]
    fn a_job_of_a_whole_server_configuration() {
        assert_eq!(lines(SERVER, Some("api")), [10]);
        let web = Config::parse(SERVER, Some("web")).unwrap();
        assert_eq!((web.names, web.job.as_deref()), (Names::Utf8, Some("web")));
        assert_eq!(Config::parse(SERVER, Some("api")).unwrap().names, Names::Legacy);

        let ambiguous = Config::parse(SERVER, None).unwrap_err();
        assert_eq!((ambiguous.kind, ambiguous.hints[0].as_str()), (Kind::Usage, "choose one of: api, web"));
        let unknown = Config::parse(SERVER, Some("db")).unwrap_err();
        assert_eq!((unknown.kind, unknown.hints[0].as_str()), (Kind::Usage, "it has: plain, api, web"));
        assert!(Config::parse(SERVER, Some("plain")).is_err());
    }

    const MONITOR: &str = "
apiVersion: v1
kind: Service
spec: {ports: [{name: web, port: 80}]}
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: {name: api}
spec:
  endpoints:
    - port: metrics
      metricRelabelings:
        - sourceLabels: [__name__]
          regex: ''
          targetLabel: x
        - {action: LabelDrop, regex: id}
    - port: admin
";

    #[test]
    fn a_service_monitor() {
        let config = Config::parse(MONITOR, None).unwrap();
        assert_eq!(config.job.as_deref(), Some("metrics"));
        // The operator leaves an empty expression out, so that the server takes the default.
        assert_eq!((config.rules[0].line, config.rules[0].regex.as_str()), (13, "(.*)"));
        assert_eq!(config.rules[1].action, Action::LabelDrop);
        assert!(failure("spec: {endpoints: [{metricRelabelings: [{source_labels: [a]}]}]}").contains("source_labels"));
    }

    #[test]
    fn errors_have_the_line_what_is_wrong_and_a_way_out() {
        let cases = [
            ("- target_label: a\n- action: dorp\n", "line 2: unknown relabel action `dorp` | there are: replace, keep"),
            ("- {target_label: a, regex: 'a['}", "line 1: regex: `[)$`: missing closing ]"),
            ("- {target_label: a, regex: '\\C'}", "RE2"),
            ("- {target_label: a, regex: '\\p{C}'}", "goscope does not know the character class"),
            ("- source_labels: [a]\n", "line 1: replace needs a target_label"),
            ("- {action: hashmod, target_label: a}", "hashmod needs a modulus"),
            ("-\n", "line 1: an empty relabel rule"),
            ("- {action: labeldrop, source_labels: [a], regex: b}", "labeldrop takes regex only"),
            (
                "- {action: dropequal, source_labels: [a], target_label: b, regex: (.*)}",
                "dropequal takes source_labels and target_label only",
            ),
            ("- {target_label: a}\n- {target_label: a, sourceLabels: [b]}", "line 2: "),
            ("- {target_label: a, sourceLabels: [b]}", "camelCase"),
            ("- {target_label: a, source_labels: b}", "source_labels: [__name__, code]"),
            ("- {target_label: a, target_label: b}", "line 1: "),
            ("- {target_label: a, source_labels: ['']}", "a label without a name"),
            ("a: b", "no relabel rules in the configuration | give a list of rules"),
            ("", "no relabel rules"),
            ("- a: [", "line 1"),
            ("text", "list of relabel rules"),
        ];
        for (text, expected) in cases {
            let found = failure(text);
            assert!(found.contains(expected), "{text}\n{found}");
            assert!(!found.contains('\n'), "{found}");
        }
    }
}
