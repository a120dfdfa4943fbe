//! The JSON shape; `schemas/info.json` describes it.

use serde::Serialize;

use super::runtime::RuntimeJson;
use crate::info::model::{Answer, Check, Info, Listener, Live, State};
use crate::output::{self, Envelope};
use crate::target::buildinfo::{BuildInfo, Module};

pub fn document(info: &Info) -> Envelope<Target<'_>, Quality<'_>, Body<'_>> {
    let target = Target {
        pid: info.live.as_ref().map(|live| live.pid),
        exe: info.exe.display().to_string(),
        go_version: &info.binary.build.go_version,
        main_module: info.binary.build.main_path(),
        stripped: info.binary.stripped,
        build_mode: info.binary.mode.as_str(),
        architecture: info.binary.machine.as_str(),
        dwarf: info.binary.dwarf,
        file_bytes: info.exe_bytes,
        functions: info.symbols.functions.as_ref().ok().copied(),
    };
    let quality = Quality {
        layout: info.symbols.layout.as_ref().ok().copied(),
        threads_stopped: 0,
        longest_stop_ns: 0,
        warnings: &info.warnings,
        capture_ns: info.capture_ns,
        own_cpu_ns: info.own_cpu_ns,
    };
    let runtime = info.live.as_ref().map(|live| &live.runtime);
    let body = Body {
        process: info.live.as_ref().map(|live| ProcessJson::new(live, info)),
        build: BuildJson::new(&info.binary.build),
        runtime: runtime.and_then(|runtime| runtime.as_ref().ok()).map(RuntimeJson::new),
        runtime_error: runtime.and_then(|runtime| runtime.as_ref().err()).map(String::as_str),
        listening: info.live.as_ref().and_then(|live| live.listening.as_ref().ok()).map(|all| all.iter().map(ListenerJson::new).collect()),
        doctor: info.checks.iter().map(CheckJson::new).collect(),
    };
    Envelope::new("info", info.captured_at, target, quality, body)
}

pub fn summary(info: &Info) -> Summary {
    let count = |state| info.checks.iter().filter(|check| check.state == state).count();
    Summary { kind: "summary", ok: count(State::Ok), limited: count(State::Limited), missing: count(State::Missing) }
}

#[derive(Serialize)]
pub struct Target<'a> {
    pid: Option<u32>,
    exe: String,
    go_version: &'a str,
    main_module: &'a str,
    stripped: bool,
    build_mode: &'static str,
    architecture: &'static str,
    dwarf: bool,
    file_bytes: u64,
    functions: Option<u64>,
}

#[derive(Serialize)]
pub struct Quality<'a> {
    layout: Option<&'static str>,
    /// `info` stops nothing; said in every document as the other commands do.
    threads_stopped: u64,
    longest_stop_ns: u64,
    warnings: &'a [String],
    capture_ns: u64,
    own_cpu_ns: u64,
}

#[derive(Serialize)]
pub struct Body<'a> {
    process: Option<ProcessJson<'a>>,
    build: BuildJson<'a>,
    /// `null` for a file, and where the process's memory cannot be read.
    runtime: Option<RuntimeJson<'a>>,
    runtime_error: Option<&'a str>,
    /// `null` for a file, and where the sockets cannot be told.
    listening: Option<Vec<ListenerJson<'a>>>,
    doctor: Vec<CheckJson<'a>>,
}

#[derive(Serialize)]
pub struct Summary {
    #[serde(rename = "type")]
    kind: &'static str,
    ok: usize,
    limited: usize,
    missing: usize,
}

#[derive(Serialize)]
struct ProcessJson<'a> {
    pid: u32,
    inner_pid: Option<u32>,
    uid: u32,
    user: Option<&'a str>,
    comm: &'a str,
    exe_deleted: bool,
    started_at: Option<String>,
    age_ns: u64,
    rss_bytes: u64,
    swap_bytes: u64,
    threads: u32,
    container: Option<&'a str>,
    other_namespaces: &'a [&'static str],
    cpu_quota: Option<QuotaJson>,
    listening_error: Option<&'a str>,
}

#[derive(Serialize)]
struct QuotaJson {
    cpus: f64,
    source: String,
}

impl<'a> ProcessJson<'a> {
    fn new(live: &'a Live, info: &Info) -> Self {
        ProcessJson {
            pid: live.pid,
            inner_pid: live.inner_pid,
            uid: live.uid,
            user: Some(live.user.as_str()).filter(|user| !user.is_empty()),
            comm: &live.comm,
            exe_deleted: live.exe_deleted,
            started_at: info.captured_at.checked_sub(live.age).map(output::timestamp),
            age_ns: live.age.as_nanos() as u64,
            rss_bytes: live.rss_bytes,
            swap_bytes: live.swap_bytes,
            threads: live.threads,
            container: live.container.as_deref(),
            other_namespaces: &live.other_namespaces,
            cpu_quota: live.cpu_quota.as_ref().map(|quota| QuotaJson { cpus: quota.cpus, source: quota.source.display().to_string() }),
            listening_error: live.listening.as_ref().err().map(String::as_str),
        }
    }
}

#[derive(Serialize)]
struct BuildJson<'a> {
    go_version: &'a str,
    path: &'a str,
    main: Option<ModuleJson<'a>>,
    deps: Vec<ModuleJson<'a>>,
    settings: Vec<SettingJson<'a>>,
    vcs: Option<VcsJson<'a>>,
}

#[derive(Serialize)]
struct ModuleJson<'a> {
    path: &'a str,
    version: &'a str,
    sum: &'a str,
    replace: Option<Box<ModuleJson<'a>>>,
}

#[derive(Serialize)]
struct SettingJson<'a> {
    key: &'a str,
    value: &'a str,
}

#[derive(Serialize)]
struct VcsJson<'a> {
    system: &'a str,
    revision: &'a str,
    time: &'a str,
    modified: bool,
}

impl<'a> BuildJson<'a> {
    fn new(build: &'a BuildInfo) -> Self {
        BuildJson {
            go_version: &build.go_version,
            path: &build.path,
            main: build.main.as_ref().map(ModuleJson::new),
            deps: build.deps.iter().map(ModuleJson::new).collect(),
            settings: build.settings.iter().map(|(key, value)| SettingJson { key, value }).collect(),
            vcs: build.vcs().map(|vcs| VcsJson { system: vcs.system, revision: vcs.revision, time: vcs.time, modified: vcs.modified }),
        }
    }
}

impl<'a> ModuleJson<'a> {
    fn new(module: &'a Module) -> Self {
        let replace = module.replace.as_deref().map(|replace| Box::new(ModuleJson::new(replace)));
        ModuleJson { path: &module.path, version: &module.version, sum: &module.sum, replace }
    }
}

#[derive(Serialize)]
struct ListenerJson<'a> {
    protocol: &'static str,
    address: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    http: Vec<AnswerJson<'a>>,
}

#[derive(Serialize)]
struct AnswerJson<'a> {
    path: &'static str,
    status: Option<u16>,
    error: Option<&'a str>,
    recognised: bool,
}

impl<'a> ListenerJson<'a> {
    fn new(listener: &'a Listener) -> Self {
        let answer = |answer: &'a Answer| AnswerJson {
            path: answer.path,
            status: answer.status.as_ref().ok().copied(),
            error: answer.status.as_ref().err().map(String::as_str),
            recognised: answer.recognised,
        };
        ListenerJson { protocol: listener.protocol, address: &listener.address, http: listener.http.iter().map(answer).collect() }
    }
}

#[derive(Serialize)]
struct CheckJson<'a> {
    subject: &'static str,
    commands: &'static [&'static str],
    state: &'static str,
    detail: &'a str,
    fixes: &'a [String],
}

impl<'a> CheckJson<'a> {
    fn new(check: &'a Check) -> Self {
        CheckJson {
            subject: check.subject,
            commands: check.commands,
            state: check.state.as_str(),
            detail: &check.detail,
            fixes: &check.fixes,
        }
    }
}
