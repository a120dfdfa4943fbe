//! Runs `goscope cardinality` on files of a test's own.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // each test uses a part of it

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }
}

/// As a shell would, from inside `folder`.
pub fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_goscope"));
    std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GOSCOPE_")).for_each(|(name, _)| {
        command.env_remove(name);
    });
    command.env_remove("CLICOLOR_FORCE").arg("cardinality").args(args).current_dir(folder).stdin(Stdio::null());
    command
}

pub fn cardinality(folder: &Path, args: &[&str]) -> Run {
    let output = command(folder, args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A folder with files in it.
pub fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// Scrapes of real services.
pub fn scrapes() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/data/scrapes")
}

/// A counter with `users` values of a label, and a gauge.
pub fn shop(users: usize) -> String {
    let mut text = "# HELP logins_total Logins.\n# TYPE logins_total counter\n".to_owned();
    for user in 0..users {
        text += &format!("logins_total{{shop=\"eu\",user=\"user-{user}@example.com\"}} {}\n", user % 7 + 1);
    }
    text + "# TYPE open gauge\nopen 1\n"
}
