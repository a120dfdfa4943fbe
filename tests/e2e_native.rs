//! C frames of live cgo programs: the fixture prints each thread's chain of C functions, known by construction.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use goscope::sys::ptrace::Stopper;
use goscope::target::elf::Elf;
use goscope::target::layout::{self, Field, GoVersion};
use goscope::target::moduledata::{self, Module};
use goscope::target::native::{Callbacks, End, NativeSymbols, NativeUnwinder, NativeWalk, Registers, Text};
use goscope::target::process::Process;
use goscope::target::runtime::GoProcess;
use goscope::target::stack::{Cut, Frame, FrameKind};

/// A running fixture; ends with its standard input.
struct Fixture {
    child: Child,
    process: Process,
    chains: Vec<Chain>,
}

struct Chain {
    name: String,
    /// `syscall`, `cpu` or `go`.
    place: String,
    tid: u32,
    functions: Vec<String>,
}

fn build(name: &str, flags: &[&str]) -> PathBuf {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/go/native");
    let exe = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let status = Command::new("go")
        .arg("build")
        .args(flags)
        .arg("-o")
        .arg(&exe)
        .arg(".")
        .current_dir(fixture)
        .env("GOTOOLCHAIN", go_version())
        .status();
    assert!(status.expect("go must be installed").success(), "the fixture must build");
    exe
}

/// What is left of it after `strip`, and without section headers.
fn strip(exe: &Path) -> PathBuf {
    let stripped = exe.with_extension("stripped");
    let status = Command::new("strip").arg("-o").args([&stripped, exe]).status();
    assert!(status.unwrap().success());
    let mut bytes = fs::read(&stripped).unwrap();
    bytes[0x28..0x30].fill(0); // e_shoff
    bytes[0x3c..0x40].fill(0); // e_shnum, e_shstrndx
    fs::write(&stripped, bytes).unwrap();
    stripped
}

impl Fixture {
    fn start(exe: PathBuf) -> Fixture {
        let mut child = Command::new(&exe).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut chains = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["chain", name, place, tid, functions] => chains.push(Chain {
                    name: name.into(),
                    place: place.into(),
                    tid: tid.parse().unwrap(),
                    functions: functions.split(',').map(String::from).collect(),
                }),
                ["ready"] => break,
                _ => panic!("unexpected line {line:?}"),
            }
        }
        assert!(!chains.is_empty(), "the fixture ended before it was ready");
        Fixture { process: Process::open(child.id()).unwrap(), child, chains }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A chain's thread publishes itself just before it blocks: waits for the kernel to say that it did, in C.
    fn blocked_registers(&self, chain: &Chain, text: &dyn Fn(u64) -> Text) -> Registers {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            // In a system call: its number, six arguments, sp, pc.
            let state = fs::read_to_string(format!("/proc/{}/task/{}/syscall", self.pid(), chain.tid)).unwrap();
            let words: Vec<_> = state.split_whitespace().map(|w| u64::from_str_radix(w.trim_start_matches("0x"), 16)).collect();
            if let [_, _, _, _, _, _, _, Ok(sp), Ok(pc)] = words[..]
                && text(pc) != Text::Go
            {
                return Registers::at(pc, sp);
            }
            assert!(Instant::now() < deadline, "{} never blocked in C", chain.name);
            std::thread::yield_now();
        }
    }

    fn reader(&self) -> impl FnMut(u64, &mut [u8]) -> bool + use<> {
        let memory = File::open(format!("/proc/{}/mem", self.pid())).unwrap();
        move |address, buffer: &mut [u8]| memory.read_exact_at(buffer, address).is_ok()
    }

    /// What the program's own pclntab says, stripped or not.
    fn text(&self) -> impl Fn(u64) -> Text + use<> {
        let elf = self.process.executable().unwrap();
        let go = GoVersion::parse(&go_version()).unwrap();
        let module = Module::load(&elf, &moduledata::find(&elf).unwrap(), go, &layout::from_table(go).unwrap()).unwrap();
        let bias = self.process.load_bias(&elf).unwrap();
        move |pc| Text::at(&module, bias, pc)
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The toolchain that builds the fixture; another one by `GOSCOPE_TEST_GO`.
fn go_version() -> String {
    std::env::var("GOSCOPE_TEST_GO").unwrap_or_else(|_| "go1.26.11".into())
}

/// How the fixture's functions begin.
const OWN: [&str; 15] = [
    "sleep_",
    "pause_",
    "poll_",
    "variable_array_",
    "realigned_",
    "never_returns_",
    "sort_",
    "handler_",
    "unoptimized_",
    "busy_",
    "clock_inner",
    "clock_outer",
    "work_",
    "callback_",
    "nested_",
];

/// Their frames are found from rbp, which a blocked thread does not show and nothing further in has saved.
const NEED_REGISTERS: [&str; 2] = ["variable-array", "realigned"];

/// The physical C functions of the program itself: libc's part of a chain is libc's affair, but nothing may be unresolved.
fn own_functions(named: &[Vec<Frame>], chain: &Chain) -> Vec<String> {
    assert!(named.iter().flatten().all(|f| f.kind != FrameKind::Unresolved), "{}: {named:#?}", chain.name);
    let physical = named.iter().filter_map(|functions| functions.last());
    physical.map(|f| f.function.to_string()).filter(|f| OWN.iter().any(|own| f.starts_with(own))).collect()
}

/// The blocked chains, walked without a stop, and their names.
fn walk_blocked(fixture: &Fixture) -> Vec<(&Chain, NativeWalk, Vec<Vec<Frame>>)> {
    let mut text = fixture.text();
    let mut unwinder = NativeUnwinder::new(&fixture.process).unwrap();
    let blocked: Vec<_> = fixture.chains.iter().filter(|c| c.place == "syscall").collect();
    assert_eq!(blocked.len(), 9);
    let mut walk = |chain| {
        let registers = fixture.blocked_registers(chain, &text);
        unwinder.walk(registers, false, &mut fixture.reader(), &mut |pc| text(pc))
    };
    let walks: Vec<_> = blocked.into_iter().map(|chain| (chain, walk(chain))).collect();
    let mut symbols = NativeSymbols::new(&unwinder);
    walks.into_iter().map(|(chain, walk)| (chain, symbols.symbolize(&walk.frames, &mut text), walk)).map(|(c, n, w)| (c, w, n)).collect()
}

/// Walks while the thread is stopped, so all registers are known and nothing moves.
fn walk_stopped(fixture: &Fixture, chain: &Chain, unwinder: &mut NativeUnwinder, text: &mut dyn FnMut(u64) -> Text) -> NativeWalk {
    let stopped = Stopper::new().unwrap().stop(chain.tid, Duration::from_secs(10)).unwrap();
    let registers = Registers::stopped(&stopped.registers().unwrap());
    let walk = unwinder.walk(registers, false, &mut fixture.reader(), text);
    stopped.release();
    walk
}

/// Every chain whole, or cut where it must be.
fn check_blocked(fixture: &Fixture) {
    for (chain, walk, named) in walk_blocked(fixture) {
        if NEED_REGISTERS.contains(&chain.name.as_str()) {
            assert_eq!(walk.end, End::Cut(Cut::NoCfi), "{}", chain.name);
        } else {
            assert!(matches!(walk.end, End::Go { interrupted: false, .. }), "{}: {:?} {named:#?}", chain.name, walk.end);
        }
        // Those that are cut are cut behind the function whose frame is not known, the last of C.
        assert_eq!(own_functions(&named, chain), chain.functions, "{}", chain.name);
    }
}

#[test]
fn blocked_threads_of_an_executable() {
    let fixture = Fixture::start(build("native-exe", &[]));
    check_blocked(&fixture);
    // With DWARF: lines too, of every own function.
    for (chain, _, named) in walk_blocked(&fixture) {
        for function in named.iter().flatten().filter(|f| chain.functions.contains(&f.function.to_string())) {
            assert!(function.line > 0 && function.file.contains("/native/"), "{}: {function:?}", chain.name);
            assert!(function.entry <= function.address && function.address - function.entry < 4096, "{}: {function:?}", chain.name);
        }
    }
}

/// The walk goes through it, but no symbol is known to reach that far.
#[test]
fn a_symbol_without_size_names_nothing() {
    let fixture = Fixture::start(build("native-sizeless", &[]));
    let chain = fixture.chains.iter().find(|c| c.name == "sizeless").unwrap();
    let mut text = fixture.text();
    let registers = fixture.blocked_registers(chain, &text);
    let mut unwinder = NativeUnwinder::new(&fixture.process).unwrap();
    let walk = unwinder.walk(registers, false, &mut fixture.reader(), &mut text);
    assert!(matches!(walk.end, End::Go { .. }), "{:?}", walk.end);
    let named = NativeSymbols::new(&unwinder).symbolize(&walk.frames, &mut text);
    let [.., inner, nameless] = &named[..] else { panic!("{named:#?}") };
    assert_eq!(&*inner[0].function, "sizeless_inner");
    assert_eq!((nameless[0].kind, &*nameless[0].function), (FrameKind::Unresolved, ""));
}

/// Another program under its name, and later none: the files are those that are mapped.
#[test]
fn replaced_and_deleted_executables() {
    let exe = build("native-replaced", &[]);
    let fixture = Fixture::start(exe.clone());
    fs::remove_file(&exe).unwrap();
    fs::copy("/bin/true", &exe).unwrap();
    check_blocked(&fixture);
    fs::remove_file(&exe).unwrap();
    check_blocked(&fixture);
}

#[test]
fn blocked_threads_of_a_position_independent_executable() {
    check_blocked(&Fixture::start(build("native-pie", &["-buildmode=pie"])));
}

/// Go's own linker drops `.eh_frame` from C objects: their frames are followed by their code. Stripped, pclntab still names them.
#[test]
fn blocked_threads_without_unwind_tables() {
    let exe = build("native-internal", &["-ldflags=-linkmode=internal"]);
    assert!(Elf::open(&exe).unwrap().section(".eh_frame").is_none());
    check_blocked(&Fixture::start(exe.clone()));
    check_blocked(&Fixture::start(strip(&exe)));
}

/// No symbol, no section header: the frames are all there, those of the program as unresolved, never under a neighbour's name.
#[test]
fn blocked_threads_of_a_stripped_executable() {
    let exe = build("native-strip", &[]);
    let full = Fixture::start(exe.clone());
    let stripped = Fixture::start(strip(&exe));
    for ((with, expected, names), (_, walk, named)) in walk_blocked(&full).into_iter().zip(walk_blocked(&stripped)) {
        assert_eq!(walk.frames.len(), expected.frames.len(), "{}", with.name);
        assert_eq!(std::mem::discriminant(&walk.end), std::mem::discriminant(&expected.end), "{}", with.name);
        for (names, named) in names.iter().zip(&named) {
            let (expected, seen) = (names.last().unwrap(), named.last().unwrap());
            if OWN.iter().any(|own| expected.function.starts_with(own)) {
                assert_eq!((seen.kind, &*seen.function), (FrameKind::Unresolved, ""), "{}: {expected:?}", with.name);
            }
        }
    }
}

#[test]
fn stopped_threads_need_no_cut() {
    let fixture = Fixture::start(build("native-stop", &[]));
    let mut text = fixture.text();
    let mut unwinder = NativeUnwinder::new(&fixture.process).unwrap();
    let blocked: Vec<_> = fixture.chains.iter().filter(|c| c.place == "syscall").collect();
    let walks: Vec<_> = blocked
        .iter()
        .map(|chain| {
            fixture.blocked_registers(chain, &text);
            walk_stopped(&fixture, chain, &mut unwinder, &mut text)
        })
        .collect();
    let mut symbols = NativeSymbols::new(&unwinder);
    for (chain, walk) in blocked.into_iter().zip(walks) {
        assert!(matches!(walk.end, End::Go { interrupted: false, .. }), "{}: {:?}", chain.name, walk.end);
        assert_eq!(own_functions(&symbols.symbolize(&walk.frames, &mut text), chain), chain.functions, "{}", chain.name);
    }
}

/// Stopped anywhere: in prologues and epilogues, in libc's assembly, in the dynamic linker's stubs, in the vDSO.
#[test]
fn threads_on_cpu_are_whole_wherever_they_stop() {
    let fixture = Fixture::start(build("native-cpu", &[]));
    let mut text = fixture.text();
    let mut unwinder = NativeUnwinder::new(&fixture.process).unwrap();
    let on_cpu: Vec<_> = fixture.chains.iter().filter(|c| c.place == "cpu").collect();
    assert_eq!(on_cpu.len(), 3);
    let mut walks = Vec::new();
    for _ in 0..300 {
        walks.extend(on_cpu.iter().map(|chain| (*chain, walk_stopped(&fixture, chain, &mut unwinder, &mut text))));
    }
    let mut symbols = NativeSymbols::new(&unwinder);
    let vdso = fixture.process.maps().unwrap().into_iter().find(|m| m.path == "[vdso]").unwrap();
    let mut in_vdso = Vec::new();
    for (chain, walk) in walks {
        let named = symbols.symbolize(&walk.frames, &mut text);
        assert!(matches!(walk.end, End::Go { interrupted: false, .. }), "{}: {:?} {named:#?}", chain.name, walk.end);
        let names: Vec<_> = named.iter().filter_map(|f| f.last()).map(|f| f.function.to_string()).collect();
        if (vdso.start..vdso.end).contains(&walk.frames[0].pc) {
            in_vdso.push(names[0].clone());
        }
        // Only where it stands may be nameless: a stub of the dynamic linker.
        assert!(names[1..].iter().all(|name| !name.is_empty()), "{}: {named:#?}", chain.name);
        let own: Vec<_> = names.into_iter().filter(|f| OWN.iter().any(|own| f.starts_with(own)) && f != "work_compare").collect();
        assert_eq!(own, chain.functions, "{}: {named:#?}", chain.name);
    }
    assert!(in_vdso.iter().any(|name| name.ends_with("clock_gettime")), "{in_vdso:?}");
}

/// Go's own calls into the vDSO: its frames, then Go.
#[test]
fn from_the_vdso_back_to_go() {
    let fixture = Fixture::start(build("native-vdso", &[]));
    let chain = fixture.chains.iter().find(|c| c.place == "vdso").unwrap();
    let mut text = fixture.text();
    let mut unwinder = NativeUnwinder::new(&fixture.process).unwrap();
    let walks: Vec<_> = (0..300).map(|_| walk_stopped(&fixture, chain, &mut unwinder, &mut text)).collect();
    let in_vdso: Vec<_> = walks.iter().filter(|walk| !walk.frames.is_empty()).collect();
    assert!(in_vdso.len() > 10, "{} of {}", in_vdso.len(), walks.len());
    let mut symbols = NativeSymbols::new(&unwinder);
    for walk in in_vdso {
        assert!(matches!(walk.end, End::Go { interrupted: false, .. }), "{walk:?}");
        let named = symbols.symbolize(&walk.frames, &mut text);
        // Inner functions have no symbols; the one that is called has, under two names.
        let called = &named[named.len() - 1][0];
        assert!(called.kind == FrameKind::C && called.function.ends_with("clock_gettime"), "{named:?}");
    }
}

/// Walks the C frames around each call from C into Go, from the thread's `g0.sched.sp` on.
fn walk_callbacks(fixture: &Fixture, chain: &Chain, unwinder: &mut NativeUnwinder) -> Vec<NativeWalk> {
    let go = GoProcess::attach(Process::open(fixture.pid()).unwrap(), false).unwrap();
    let memory = go.memory();
    let offset = |field| go.offset(field).unwrap() as u64;
    let word = |address| memory.word(address).unwrap();
    // The goroutine of the thread, blocked.
    let deadline = Instant::now() + Duration::from_secs(30);
    let m = loop {
        let of_thread = |g: &u64| {
            let m = word(g + offset(Field::GM)).max(word(g + offset(Field::GLockedM)));
            let status = word(g + offset(Field::GAtomicStatus)) as u32;
            (m != 0 && word(m + offset(Field::MProcid)) == u64::from(chain.tid) && matches!(status, 3 | 4)).then_some(m)
        };
        if let Some(m) = go.all_g().unwrap().iter().find_map(of_thread) {
            break m;
        }
        assert!(Instant::now() < deadline, "{}: its goroutine never blocked", chain.name);
    };
    let callbacks = Callbacks::new(&go.module, go.bias).unwrap();
    let mut read = |address: u64, buffer: &mut [u8]| memory.read(address, buffer).is_ok();
    let mut next = Some(word(word(m + offset(Field::MG0)) + offset(Field::GSchedSp)));
    let mut walks = Vec::new();
    while let Some(callback) = next.and_then(|sp| callbacks.caller(sp, &mut read)) {
        walks.push(unwinder.walk(callback.caller, true, &mut read, &mut |pc| Text::at(&go.module, go.bias, pc)));
        next = callback.outer_sp;
    }
    walks
}

#[test]
fn callbacks_from_c_into_go() {
    for (name, flags) in [("native-back", &[][..]), ("native-back-internal", &["-ldflags=-linkmode=internal"])] {
        let fixture = Fixture::start(build(name, flags));
        let mut text = fixture.text();
        let mut unwinder = NativeUnwinder::new(&fixture.process).unwrap();
        let find = |name: &str| fixture.chains.iter().find(|c| c.name == name).unwrap();

        // A thread of C's own: everything from the callback out to the thread's start.
        let walks = walk_callbacks(&fixture, find("callback"), &mut unwinder);
        let [walk] = &walks[..] else { panic!("{walks:?}") };
        let named = NativeSymbols::new(&unwinder).symbolize(&walk.frames, &mut text);
        assert_eq!(walk.end, End::Outermost, "{named:#?}");
        assert_eq!(own_functions(&named, find("callback")), find("callback").functions);
        assert_eq!(&*named[0][0].function, "goBlocks", "C's stub for the exported function");

        // From Go to C to Go to C: the innermost stretch as for any blocked thread, then the one around the callback.
        let nested = find("nested");
        let registers = fixture.blocked_registers(nested, &text);
        let inner = unwinder.walk(registers, false, &mut fixture.reader(), &mut text);
        let walks = walk_callbacks(&fixture, nested, &mut unwinder);
        let [outer] = &walks[..] else { panic!("{walks:?}") };
        let mut symbols = NativeSymbols::new(&unwinder);
        let mut functions = Vec::new();
        for walk in [&inner, outer] {
            assert!(matches!(walk.end, End::Go { interrupted: false, .. }), "{:?}", walk.end);
            functions.extend(own_functions(&symbols.symbolize(&walk.frames, &mut text), nested));
        }
        assert_eq!(functions, nested.functions);
    }
}
