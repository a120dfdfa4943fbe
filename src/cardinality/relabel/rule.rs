//! One rule of a relabel configuration, and what it does to a value or to the name of a label.

use std::fmt;

use super::case;
use super::regexp::{Regexp, has_variable};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    Replace,
    Keep,
    Drop,
    KeepEqual,
    DropEqual,
    HashMod,
    LabelMap,
    LabelDrop,
    LabelKeep,
    Lowercase,
    Uppercase,
}

impl Action {
    pub const ALL: [Action; 11] = [
        Action::Replace,
        Action::Keep,
        Action::Drop,
        Action::KeepEqual,
        Action::DropEqual,
        Action::HashMod,
        Action::LabelMap,
        Action::LabelDrop,
        Action::LabelKeep,
        Action::Lowercase,
        Action::Uppercase,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Action::Replace => "replace",
            Action::Keep => "keep",
            Action::Drop => "drop",
            Action::KeepEqual => "keepequal",
            Action::DropEqual => "dropequal",
            Action::HashMod => "hashmod",
            Action::LabelMap => "labelmap",
            Action::LabelDrop => "labeldrop",
            Action::LabelKeep => "labelkeep",
            Action::Lowercase => "lowercase",
            Action::Uppercase => "uppercase",
        }
    }

    /// It looks at the names of labels, not at values.
    pub fn is_about_names(self) -> bool {
        matches!(self, Action::LabelMap | Action::LabelDrop | Action::LabelKeep)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `metric_name_validation_scheme`: what names of metrics and labels may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Names {
    #[default]
    Utf8,
    Legacy,
}

impl Names {
    pub fn allow_label(self, name: &str) -> bool {
        let legacy = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
        !name.is_empty() && (self == Names::Utf8 || name.bytes().all(legacy) && !name.as_bytes()[0].is_ascii_digit())
    }

    pub fn allow_metric(self, name: &str) -> bool {
        let legacy = |byte: u8| byte == b'_' || byte == b':' || byte.is_ascii_alphanumeric();
        !name.is_empty() && (self == Names::Utf8 || name.bytes().all(legacy) && !name.as_bytes()[0].is_ascii_digit())
    }

    /// A label name in which variables may stand. With UTF-8 names, `$` and braces are characters like others: a sequence that is no
    /// variable is not noticed (`isValidLabelNameWithRegexVarFn` of `model/relabel/relabel.go`).
    fn allow_template(self, template: &str) -> bool {
        match self {
            Names::Utf8 => !template.is_empty(),
            Names::Legacy => is_legacy_template(template),
        }
    }
}

/// `relabelTargetLegacy`: letters, `_` and variables, digits after the first of them.
fn is_legacy_template(template: &str) -> bool {
    let word = |text: &str| text.bytes().take_while(|byte| *byte == b'_' || byte.is_ascii_alphanumeric()).count();
    let mut rest = template;
    if rest.starts_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    while let Some(first) = rest.bytes().next() {
        let length = match first {
            b'$' if rest[1..].starts_with('{') => match word(&rest[2..]) {
                0 => return false,
                inner if rest.as_bytes().get(2 + inner) == Some(&b'}') => inner + 3,
                _ => return false,
            },
            b'$' => match word(&rest[1..]) {
                0 => return false,
                inner => inner + 1,
            },
            _ => match word(rest) {
                0 => return false,
                length => length,
            },
        };
        rest = &rest[length..];
    }
    !template.is_empty()
}

#[derive(Debug, Clone)]
pub struct Rule {
    /// Where it begins in the file, from 1.
    pub line: u64,
    pub action: Action,
    pub source_labels: Vec<String>,
    pub separator: String,
    pub regex: Regexp,
    pub modulus: u64,
    pub target_label: String,
    pub replacement: String,
}

/// What a rule does with the value of its source labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// `matched`: the condition of a keep or drop rule let it through, or the result is as it was.
    None {
        matched: bool,
    },
    Drop {
        matched: bool,
    },
    /// An empty value removes the label.
    Set {
        target: String,
        value: String,
    },
}

/// What a rule does with a label because of its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NameEffect {
    /// Its name does not match.
    None,
    /// It matches, and stays because of that.
    Stay,
    Remove,
    /// Its value is also set under this name.
    Copy(String),
}

impl Rule {
    /// Of a rule that is about values. `value` are the values of the source labels, joined; `target` is that of the target label, and read
    /// by `keepequal` and `dropequal` only.
    pub fn effect(&self, names: Names, value: &str, target: &str) -> Effect {
        let set = |value: String| Effect::Set { target: self.target_label.clone(), value };
        match self.action {
            Action::Drop if self.regex.is_match(value) => Effect::Drop { matched: true },
            Action::Drop => Effect::None { matched: false },
            Action::Keep if self.regex.is_match(value) => Effect::None { matched: true },
            Action::Keep => Effect::Drop { matched: false },
            Action::DropEqual if value == target => Effect::Drop { matched: true },
            Action::DropEqual => Effect::None { matched: false },
            Action::KeepEqual if value == target => Effect::None { matched: true },
            Action::KeepEqual => Effect::Drop { matched: false },
            Action::Lowercase => set(case::lower(value)),
            Action::Uppercase => set(case::upper(value)),
            Action::HashMod => {
                let digest = md5::compute(value.as_bytes());
                let last = digest[8..].iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
                // A configuration with modulus 0 is not accepted.
                set((last % self.modulus.max(1)).to_string())
            }
            Action::Replace => {
                let Some(found) = self.regex.captures(value) else { return Effect::None { matched: false } };
                let expand = |template: &str| {
                    let mut out = String::new();
                    found.expand(template, &mut out);
                    out
                };
                let target = if has_variable(&self.target_label) { expand(&self.target_label) } else { self.target_label.clone() };
                if !names.allow_label(&target) {
                    return Effect::None { matched: true };
                }
                Effect::Set { target, value: expand(&self.replacement) }
            }
            Action::LabelMap | Action::LabelDrop | Action::LabelKeep => Effect::None { matched: false },
        }
    }

    /// Of a rule that is about names.
    pub fn name_effect(&self, name: &str) -> NameEffect {
        match (self.action, self.regex.is_match(name)) {
            (Action::LabelMap, true) => NameEffect::Copy(self.regex.replace_all(name, &self.replacement)),
            (Action::LabelDrop, true) | (Action::LabelKeep, false) => NameEffect::Remove,
            (Action::LabelKeep, true) => NameEffect::Stay,
            _ => NameEffect::None,
        }
    }

    /// What Prometheus demands of a rule: `Config.Validate`. `given` tells which fields the file has.
    pub(super) fn validate(&self, names: Names, given: Given) -> Result<(), Invalid> {
        use Action::*;
        let action = self.action;
        if action == HashMod && self.modulus == 0 {
            return Err(Invalid::new("hashmod needs a modulus above 0", "add modulus: N, the number of shards"));
        }
        let sets = matches!(action, Replace | HashMod | Lowercase | Uppercase | KeepEqual | DropEqual);
        if sets && self.target_label.is_empty() {
            return Err(Invalid::new(format!("{action} needs a target_label"), "add target_label: NAME"));
        }
        let target_is_valid = match action {
            Replace if has_variable(&self.target_label) => names.allow_template(&self.target_label),
            _ if sets => names.allow_label(&self.target_label),
            _ => true,
        };
        let legacy = "with legacy names a label is letters, digits and _, and does not begin with a digit";
        if !target_is_valid {
            return Err(Invalid::new(format!("target_label: `{}` is no valid label name", self.target_label), legacy));
        }
        if matches!(action, Lowercase | Uppercase | KeepEqual | DropEqual) && self.replacement != DEFAULT_REPLACEMENT {
            return Err(Invalid::new(format!("{action} takes no replacement"), "remove it"));
        }
        if action == LabelMap && !names.allow_template(&self.replacement) {
            let hint = if names == Names::Utf8 { "labelmap needs the new name, such as replacement: $1" } else { legacy };
            return Err(Invalid::new(format!("replacement: `{}` is no valid label name", self.replacement), hint));
        }
        let others = self.modulus != 0 || self.separator != DEFAULT_SEPARATOR || self.replacement != DEFAULT_REPLACEMENT;
        if matches!(action, KeepEqual | DropEqual) && (given.regex || others) {
            return Err(Invalid::new(
                format!("{action} takes source_labels and target_label only"),
                "it compares the two values; remove the other fields",
            ));
        }
        if matches!(action, LabelDrop | LabelKeep) && (given.source_labels || !self.target_label.is_empty() || others) {
            return Err(Invalid::new(
                format!("{action} takes regex only"),
                "regex is matched with the names of labels; to empty one label of some metrics use replace with source_labels: [__name__] and \
                 replacement: ''",
            ));
        }
        Ok(())
    }
}

pub(super) const DEFAULT_SEPARATOR: &str = ";";
pub(super) const DEFAULT_REGEX: &str = "(.*)";
pub(super) const DEFAULT_REPLACEMENT: &str = "$1";

/// Fields that count as set even where they say what the default is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given {
    pub regex: bool,
    pub source_labels: bool,
}

/// What is wrong with a rule, and the way out.
#[derive(Debug)]
pub(super) struct Invalid {
    pub message: String,
    pub hint: &'static str,
}

impl Invalid {
    fn new(message: impl Into<String>, hint: &'static str) -> Self {
        Invalid { message: message.into(), hint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legacy_templates() {
        for good in ["a", "_1", "$1", "${1}", "a_${x}b$c", "${1}2", "$1${2}"] {
            assert!(is_legacy_template(good), "{good}");
        }
        for bad in ["", "1a", "a-b", "$", "${}", "${1", "a$", "${a-b}", "é"] {
            assert!(!is_legacy_template(bad), "{bad}");
        }
    }

    #[test]
    fn names_by_scheme() {
        assert!(Names::Utf8.allow_label("a.b") && !Names::Utf8.allow_label(""));
        assert!(Names::Legacy.allow_label("a_1") && !Names::Legacy.allow_label("1a") && !Names::Legacy.allow_label("a:b"));
        assert!(Names::Legacy.allow_metric("a:b") && !Names::Legacy.allow_metric("a.b"));
    }
}
