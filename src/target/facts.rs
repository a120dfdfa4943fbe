//! What a reader needs to know of the process that a result is about.

use serde::{Deserialize, Serialize};

use super::runtime::GoProcess;

/// As JSON, it is `target` in the documents of `goroutines`, `sched` and `profile`. Keys are added here, never renamed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetFacts {
    pub pid: u32,
    /// Start time in clock ticks since boot (`/proc/PID/stat`): with `pid`, tells whether two results are of the same
    /// process. 0 if unknown.
    #[serde(default)]
    pub start_ticks: u64,
    pub exe: String,
    pub go_version: String,
    pub main_module: String,
    pub stripped: bool,
    /// `exe`, `pie`, `cgo`, `cgo-pie`.
    pub build_mode: String,
}

impl TargetFacts {
    pub fn of(process: &GoProcess) -> TargetFacts {
        let exe = process.process.executable_path();
        TargetFacts {
            pid: process.pid,
            start_ticks: process.process.start_ticks,
            exe: exe.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default(),
            go_version: process.binary.build.go_version.clone(),
            main_module: process.binary.build.main_path().to_owned(),
            stripped: process.binary.stripped,
            build_mode: process.binary.mode.as_str().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_json_it_has_the_keys_that_scripts_rely_on() {
        let facts = TargetFacts {
            pid: 7,
            start_ticks: 9,
            exe: "/bin/app".into(),
            go_version: "go1.26.11".into(),
            main_module: "example.com/app".into(),
            stripped: true,
            build_mode: "pie".into(),
        };
        let mut json = serde_json::json!({"pid": 7, "start_ticks": 9, "exe": "/bin/app", "go_version": "go1.26.11",
            "main_module": "example.com/app", "stripped": true, "build_mode": "pie"});
        assert_eq!(serde_json::to_value(&facts).unwrap(), json);
        assert_eq!(serde_json::from_value::<TargetFacts>(json.clone()).unwrap(), facts);
        json.as_object_mut().unwrap().remove("start_ticks");
        assert_eq!(serde_json::from_value::<TargetFacts>(json).unwrap(), TargetFacts { start_ticks: 0, ..facts });
    }
}
