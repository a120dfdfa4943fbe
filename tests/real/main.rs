//! Programs that nobody here wrote, under load: caddy and prometheus, built by `tests/real/build.sh`. What goscope says of a goroutine
//! that did not move is compared, frame by frame, with the program's own /debug/pprof/goroutine?debug=2. Not part of `cargo test`
//! (building them takes minutes); `make test-real` runs it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
mod http;

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::rules::Rules;
use common::snapshot::{Goroutine, Snapshot};
use common::{compare, dump, snapshot};
use http::Load;
use serde_json::json;

/// Each round is a snapshot, the program's own dump, and a snapshot.
const LOADED_ROUNDS: usize = 20;
const IDLE_ROUNDS: usize = 5;
const CLIENTS: usize = 4;

#[test]
fn caddy() {
    let (site, admin) = (free_port(), free_port());
    let handlers = json!([{"handler": "encode", "encodings": {"gzip": {}}}, {"handler": "templates"},
        {"handler": "static_response", "headers": {"Content-Type": ["text/html"]}, "body": "hello {{now}}"}]);
    let server = json!({"listen": [format!("127.0.0.1:{site}")], "automatic_https": {"disable": true}, "routes": [{"handle": handlers}]});
    let config = json!({"admin": {"listen": format!("127.0.0.1:{admin}")}, "apps": {"http": {"servers": {"s": server}}}}).to_string();
    let program = Program::start("caddy", site, admin, |dir| {
        fs::write(dir.join("caddy.json"), config).unwrap();
        ["run", "--config", "caddy.json"].map(str::to_owned).to_vec()
    });
    examine(program, &["/", "/a", "/b?c=d"]);
}

#[test]
fn prometheus() {
    let port = free_port();
    let config = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nscrape_configs:\n- job_name: self\n  static_configs:\n  - targets: ['127.0.0.1:{port}']\n"
    );
    let program = Program::start("prometheus", port, port, |dir| {
        fs::write(dir.join("prometheus.yml"), config).unwrap();
        let listen = format!("--web.listen-address=127.0.0.1:{port}");
        ["--config.file=prometheus.yml", "--storage.tsdb.path=data", &listen].map(str::to_owned).to_vec()
    });
    examine(program, &["/metrics", "/api/v1/query?query=sum(rate(prometheus_http_requests_total[1m]))", "/-/healthy"]);
}

struct Program {
    name: &'static str,
    child: Child,
    dir: PathBuf,
    /// Of its service, and of its own pprof.
    service: String,
    pprof: String,
}

impl Program {
    fn start(name: &'static str, service: u16, pprof: u16, prepare: impl FnOnce(&Path) -> Vec<String>) -> Program {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/real");
        let exe = root.join("bin").join(name);
        assert!(exe.exists(), "{} is not built: `make test-real` does it", exe.display());
        let dir = root.join("run").join(name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        let arguments = prepare(&dir);
        let log = fs::File::create(dir.join("log")).unwrap();
        let mut command = Command::new(exe);
        command.args(arguments).current_dir(&dir).env("XDG_DATA_HOME", &dir).env("XDG_CONFIG_HOME", &dir).env("HOME", &dir);
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let address = |port| format!("127.0.0.1:{port}");
        let mut program = Program { name, child, dir, service: address(service), pprof: address(pprof) };
        program.wait_until_it_answers();
        program
    }

    /// Such programs print no ready line, so they are asked until they answer.
    fn wait_until_it_answers(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let answers = |address: &str, path: &str| http::get(address, path).is_ok_and(|answer| answer.status == 200);
        while !(answers(&self.service, "/metrics") && answers(&self.pprof, "/debug/pprof/goroutine?debug=2")) {
            assert!(self.child.try_wait().unwrap().is_none(), "{} ended: see {}", self.name, self.dir.join("log").display());
            assert!(Instant::now() < deadline, "{} does not answer", self.name);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn dump(&self) -> Vec<dump::Goroutine> {
        let answer = http::get(&self.pprof, "/debug/pprof/goroutine?debug=2").unwrap();
        assert_eq!(answer.status, 200);
        dump::parse(&String::from_utf8(answer.body).unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What came of comparing one goroutine, over all rounds.
#[derive(Default)]
struct Compared {
    equal: usize,
    different: usize,
    last_difference: String,
}

fn examine(mut program: Program, paths: &'static [&'static str]) {
    let mut clients = Load::start(&program.service, paths, CLIENTS);
    let mut compared: BTreeMap<u64, Compared> = BTreeMap::new();
    let mut most = 0;
    for _ in 0..LOADED_ROUNDS {
        most = most.max(round(&program, &mut compared));
    }
    let unresolved = other_formats(&program);
    let load = clients.stop();
    for _ in 0..IDLE_ROUNDS {
        most = most.max(round(&program, &mut compared));
    }

    let comparisons: usize = compared.values().map(|c| c.equal).sum();
    let moved: usize = compared.values().map(|c| c.different).sum();
    // One that moved between the two looks at it is equal at another time; one that goscope gets wrong never is.
    let wrong: Vec<_> = compared.iter().filter(|(_, c)| c.equal == 0 && c.different >= 2).collect();
    println!(
        "test-real: {}: up to {most} goroutines, {} compared, {comparisons} comparisons equal, {moved} moved meanwhile, {} wrong, {unresolved} frames \
         unresolved; {} requests under load, {} failed, longest {} ms",
        program.name,
        compared.len(),
        wrong.len(),
        load.answered,
        load.failed,
        load.longest.as_millis()
    );
    for (id, compared) in &wrong {
        println!("goroutine {id}: {} times: {}", compared.different, compared.last_difference);
    }
    assert!(program.child.try_wait().unwrap().is_none(), "{} must live on", program.name);
    assert_eq!(http::get(&program.service, paths[0]).unwrap().status, 200);
    assert_eq!(load.failed, 0, "{} must answer all the time: {}", program.name, load.first_failure);
    assert!(load.answered > 1000, "{} requests are no load", load.answered);
    assert!(comparisons > 100, "{comparisons} comparisons prove nothing");
    assert!(wrong.is_empty());
}

/// Compares what stood still. Returns how many goroutines there were.
fn round(program: &Program, compared: &mut BTreeMap<u64, Compared>) -> usize {
    let before = snapshot::take(program.pid(), &[]);
    let dump = program.dump();
    let after = snapshot::take(program.pid(), &[]);
    let version = after.document["target"]["go_version"].as_str().unwrap().trim_start_matches("go").to_owned();
    let rules = Rules::of(&version, false);
    let count = after.goroutines.len();
    let after: BTreeMap<u64, Goroutine> = after.goroutines.into_iter().map(|g| (g.id, g)).collect();
    let dump: BTreeMap<u64, dump::Goroutine> = dump.into_iter().map(|g| (g.id, g)).collect();
    for ours in before.goroutines {
        let id = ours.id;
        let (Some(later), Some(theirs)) = (after.get(&id), dump.get(&id)) else { continue };
        if ours.status != "waiting" || !same(&ours, later) {
            continue;
        }
        let one = Snapshot { goroutines: vec![ours], document: serde_json::Value::Null };
        let differences = compare::differences(std::slice::from_ref(theirs), &one, rules, None);
        let entry = compared.entry(id).or_default();
        match differences.is_empty() {
            true => entry.equal += 1,
            false => {
                entry.different += 1;
                entry.last_difference = differences.join("\n");
            }
        }
    }
    count
}

fn same(a: &Goroutine, b: &Goroutine) -> bool {
    let place = |g: &Goroutine| g.frames.iter().map(|f| (f.address, f.inlined)).collect::<Vec<_>>();
    (&a.status, &a.wait_reason, place(a)) == (&b.status, &b.wait_reason, place(b))
}

/// Text that reads as the runtime's own, a profile that Go's tool opens. Returns the frames without a name.
fn other_formats(program: &Program) -> u64 {
    let run = |format: &str, file: &Path| {
        let pid = program.pid().to_string();
        let command = ["goroutines", &pid, "--format", format, "--output", &file.to_string_lossy()].map(str::to_owned);
        let output = Command::new(env!("CARGO_BIN_EXE_goscope")).args(command).output().unwrap();
        assert!(output.status.success(), "{format}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let text = program.dir.join("goroutines.txt");
    run("text", &text);
    assert!(dump::parse(&fs::read_to_string(text).unwrap()).len() > 10);
    let profile = program.dir.join("goroutines.pb.gz");
    run("pprof", &profile);
    let top = Command::new("go").args(["tool", "pprof", "-top"]).arg(&profile).output().unwrap();
    assert!(top.status.success(), "{}", String::from_utf8_lossy(&top.stderr));
    assert!(String::from_utf8_lossy(&top.stdout).contains("runtime.gopark"));
    let json = program.dir.join("goroutines.json");
    run("json", &json);
    let document: serde_json::Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    document["quality"]["unresolved_frames"].as_u64().unwrap()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
