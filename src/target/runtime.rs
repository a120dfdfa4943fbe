//! A live Go process: where its runtime's globals are, and how to read them.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

use super::binary::Binary;
use super::elf::{Elf, Machine, u64_at};
use super::layout::{self, Field, GoVersion, Layout, NEWEST, OLDEST};
use super::memory::{Access, Memory, Unread};
use super::moduledata::{self, Module};
use super::pclntab::Func;
use super::process::{Process, Program};
use super::wait_reasons;
use crate::error::{Error, Result};

pub struct GoProcess {
    pub pid: u32,
    pub process: Process,
    program: Program,
    pub elf: Elf,
    pub binary: Binary,
    pub module: Module,
    pub version: GoVersion,
    pub layout: Layout,
    pub layout_source: layout::Source,
    /// Live address minus link-time address.
    pub bias: u64,
    access: Access,
    pub runtime: Runtime,
    pub warnings: Vec<String>,
}

/// What is known of the runtime's own variables. Addresses are live ones.
#[derive(Debug, Clone)]
pub struct Runtime {
    /// `runtime.allglen` and `runtime.allgptr`: the lock-free view of all g's (`runtime/proc.go`).
    pub allglen: u64,
    pub allgptr: u64,
    /// Texts by `waitReason` number.
    pub wait_reasons: Vec<Arc<str>>,
    /// Offset of `m.vdsoPC` and `m.vdsoSP`, which move inside a minor release.
    pub vdso_pc_sp: Option<(u64, u64)>,
    /// Functions that call into the vDSO on a stack of their choice, and keep their own stack pointer in R12 meanwhile.
    pub vdso_callers: Vec<SpInR12>,
    /// Functions that do the same to call a sanitizer's C code, in builds with `-race`, `-msan` or `-asan`.
    pub sanitizer_callers: Vec<SpInR12>,
    /// Live addresses of the vDSO.
    pub vdso: Range<u64>,
}

/// An assembly function that switches stacks by itself: `runtime.nanotime1`, `runtime.walltime`, `time.now`
/// (`runtime/sys_linux_amd64.s`, `runtime/time_linux_amd64.s`), `racecall` (`runtime/race_amd64.s`) and its like.
#[derive(Debug, Clone, Copy)]
pub struct SpInR12 {
    /// Live addresses from behind `MOVQ SP, R12` to the function's end.
    pub start: u64,
    pub end: u64,
    /// From the value in R12 up to the caller's stack pointer.
    pub frame: u64,
}

impl GoProcess {
    /// Opens a running process to read its memory.
    ///
    /// Errors: Target when it is gone or not a Go program that goscope can read, Permission when the kernel refuses.
    pub fn attach(process: Process, swap_in: bool) -> Result<GoProcess> {
        let program = process.program();
        let opened = Self::open(&process, swap_in);
        if let Ok(program) = &program {
            process.check(program)?;
        }
        let finish = opened?;
        Ok(finish(process, program?))
    }

    fn open(process: &Process, swap_in: bool) -> Result<impl FnOnce(Process, Program) -> GoProcess + use<>> {
        let elf = process.executable()?;
        let binary = Binary::of_process(process, &elf)?;
        if elf.machine != Machine::Amd64 {
            return Err(Error::target(format!(
                "process {} is a {} program; goscope attaches to amd64 ones",
                process.pid,
                elf.machine.as_str()
            ))
            .hint("`goscope info PATH` looks at executables of other machines"));
        }
        let bias = process.load_bias(&elf)?;
        let probe = bias.wrapping_add(elf.segments.first().map_or(0, |s| s.vaddr));
        let access = Access::open(process.pid, probe, swap_in).map_err(|e| process.explain("mem", e))?;
        let found = moduledata::find(&elf).map_err(|e| {
            e.hint("an obfuscated (garble) or packed (UPX) executable hides it; goscope needs one as the Go linker wrote it")
        })?;
        let text = binary.build.go_version.as_str();
        let version = GoVersion::parse(text);
        // What the last row tried led to; the row that `choose` returns is the one tried last.
        let tried = RefCell::new(None);
        let plausible = |layout: &Layout| {
            let opened = open_with(&elf, &found, version, layout, &access, process, bias);
            let fits = opened.is_ok();
            tried.replace(Some(opened));
            fits
        };
        let choice = layout::choose(Some(text).filter(|t| *t != "unknown"), &elf, &plausible);
        let (choice, (module, runtime)) = match (choice, tried.into_inner()) {
            (Ok(choice), Some(Ok(opened))) => (choice, opened),
            // Why the row of this version did not fit says more than that none did.
            (Err(_), Some(Err(reason))) if version.is_some_and(|v| v >= OLDEST) => return Err(reason),
            (Err(error), _) => return Err(error),
            (Ok(_), _) => return Err(not_understood()),
        };
        let mut warnings = choice.warnings;
        // `moduledata.next` (runtime/symtab.go): plugins and shared libraries link themselves in behind the executable.
        let next = choice.layout.get(Field::ModNext).map(|offset| module.address.wrapping_add(bias).wrapping_add(offset));
        if next.is_some_and(|address| access.memory().word(address).is_ok_and(|next| next != 0)) {
            warnings.push("the program has loaded plugins: stacks are cut where they enter plugin code".to_owned());
        }
        Ok(move |process: Process, program| GoProcess {
            pid: process.pid,
            process,
            program,
            elf,
            binary,
            module,
            version: version.unwrap_or(NEWEST),
            layout: choice.layout,
            layout_source: choice.source,
            bias,
            access,
            runtime,
            warnings,
        })
    }

    /// Errors, all Target: it has exited or become another program since `attach`, so that what was read may be anything.
    pub fn check(&self) -> Result<()> {
        self.process.check(&self.program)
    }

    /// False when it can't be told which pages are in memory.
    pub fn residency_known(&self) -> bool {
        self.access.residency_known()
    }

    /// A view of its memory; each thread needs its own.
    pub fn memory(&self) -> Memory<'_> {
        self.access.memory()
    }

    /// The offset of a field that every supported version has.
    pub fn offset(&self, field: Field) -> Result<usize> {
        let offset = self.layout.get(field);
        offset.map(|o| o as usize).ok_or_else(|| Error::target(format!("no offset of runtime.{} for this Go version", field.path())))
    }

    /// How many g records there are, dead ones included: they only become more.
    pub fn count_of_g(&self) -> Result<u64> {
        self.memory().word(self.runtime.allglen).map_err(|e| unreadable("runtime.allglen", e))
    }

    /// Addresses of all g records, dead ones included (`runtime/proc.go`: allgs never shrinks, its entries are never freed).
    pub fn all_g(&self) -> Result<Vec<u64>> {
        // The length first: a longer array may be published between the two reads, a shorter one never.
        let lost = |what| move |e: Unread| unreadable(what, e);
        let memory = self.memory();
        let len = memory.word(self.runtime.allglen).map_err(lost("runtime.allglen"))?;
        let array = memory.word(self.runtime.allgptr).map_err(lost("runtime.allgptr"))?;
        if len == 0 || len > 1 << 28 || array == 0 {
            return Err(Error::target(format!(
                "the runtime's goroutine list is not plausible (length {len}); is the process still starting?"
            )));
        }
        let bytes = memory.read_vec(array, len as usize * 8).map_err(lost("the runtime's goroutine list"))?;
        Ok(bytes.as_chunks::<8>().0.iter().map(|w| u64::from_le_bytes(*w)).filter(|&g| g != 0).collect())
    }
}

impl Runtime {
    fn locate(elf: &Elf, module: &Module, version: GoVersion, memory: &Memory, process: &Process, bias: u64) -> Result<Runtime> {
        let names = [
            "runtime.forEachGRace",
            "runtime.waitReason.String",
            "runtime.nanotime1",
            "runtime.walltime",
            "time.now",
            "runtime.atomicAllG",
            "racecall",
            "msancall",
            "asancall",
        ];
        let found = module.pclntab.find_names(&names);
        let code = |index: usize| -> Option<Code> { Code::of(elf, module, found[index].as_ref()?) };
        // `runtime/proc.go`: forEachGRace begins with atomicAllG, which is a function of its own in a build without inlining.
        let globals = [0, 5].into_iter().filter_map(|i| Some(code(i)?.loads())).find(|loads| loads.len() >= 2).unwrap_or_default();
        let [allglen, allgptr, ..] = globals[..] else {
            return Err(Error::target("can't find the runtime's goroutine list: runtime.forEachGRace is missing or unknown")
                .hint("obfuscated builds (garble -tiny) remove it; build without -tiny"));
        };
        let wait_reasons = code(1).and_then(|c| read_wait_reasons(&c, elf, memory, bias));
        let by_version = || wait_reasons::list(version).map(Arc::from).collect();
        let sp_in_r12 =
            |indices: Range<usize>| indices.filter_map(|i| code(i)?.sp_in_r12(module, found[i].as_ref()?, bias)).collect::<Vec<_>>();
        Ok(Runtime {
            allglen: allglen.wrapping_add(bias),
            allgptr: allgptr.wrapping_add(bias),
            wait_reasons: wait_reasons.unwrap_or_else(by_version),
            vdso_pc_sp: code(2).and_then(|c| c.vdso_fields()),
            vdso_callers: sp_in_r12(2..5),
            sanitizer_callers: sp_in_r12(6..9),
            vdso: vdso_range(process),
        })
    }
}

fn open_with(
    elf: &Elf,
    found: &moduledata::Found,
    version: Option<GoVersion>,
    layout: &Layout,
    access: &Access,
    process: &Process,
    bias: u64,
) -> Result<(Module, Runtime)> {
    let version = version.unwrap_or(NEWEST);
    let module = Module::load(elf, found, version, layout)?;
    let runtime = Runtime::locate(elf, &module, version, &access.memory(), process, bias)?;
    runtime.check(&access.memory(), layout)?;
    Ok((module, runtime))
}

impl Runtime {
    /// Looks at some g records by a layout: a wrong row shows impossible ones.
    fn check(&self, memory: &Memory, layout: &Layout) -> Result<()> {
        let wrong = |_| not_understood();
        let offset = |field| layout.get(field).map(|o| o as usize).ok_or_else(not_understood);
        let (lo, hi) = (offset(Field::GStackLo)?, offset(Field::GStackHi)?);
        let (status, goid) = (offset(Field::GAtomicStatus)?, offset(Field::GGoid)?);
        let len = memory.word(self.allglen).map_err(wrong)?.min(64);
        let array = memory.word(self.allgptr).map_err(wrong)?;
        for index in 0..len {
            let address = memory.word(array + index * 8).map_err(wrong)?;
            let Ok(record) = memory.read_vec(address, goid.max(status) + 8) else { continue };
            let status = u64_at(&record, status) as u32 & !0x1000;
            let free = matches!(status, 0 | 6 | 11);
            let stack = u64_at(&record, lo) < u64_at(&record, hi);
            let id = u64_at(&record, goid);
            if status > 11 || id >= 1 << 48 || !free && (!stack || id == 0) {
                return Err(not_understood());
            }
        }
        if len == 0 { Err(not_understood()) } else { Ok(()) }
    }
}

/// One function's instructions, at link-time addresses.
struct Code {
    instructions: Vec<Instruction>,
}

impl Code {
    fn of(elf: &Elf, module: &Module, func: &Func) -> Option<Code> {
        let start = module.text + u64::from(func.start);
        let len = u64::from(func.end.checked_sub(func.start)?).min(16 << 10);
        let bytes = elf.read_address_vec(start, len).ok()?;
        let decoder = Decoder::with_ip(64, &bytes, start, DecoderOptions::NONE);
        Some(Code { instructions: decoder.into_iter().take_while(|i| !i.is_invalid()).collect() })
    }

    /// Addresses of `mov r64, [rip+…]`, in order.
    fn loads(&self) -> Vec<u64> {
        let load = |i: &&Instruction| i.mnemonic() == Mnemonic::Mov && i.op0_kind() == OpKind::Register && i.op0_register().is_gpr64();
        self.instructions.iter().filter(load).filter(|i| i.is_ip_rel_memory_operand()).map(Instruction::ip_rel_memory_address).collect()
    }

    /// Addresses of `lea r64, [rip+…]`, in order.
    fn addresses(&self) -> Vec<u64> {
        let lea = |i: &&Instruction| i.mnemonic() == Mnemonic::Lea && i.is_ip_rel_memory_operand();
        self.instructions.iter().filter(lea).map(Instruction::ip_rel_memory_address).collect()
    }

    /// `runtime/sys_linux_amd64.s`, nanotime1: loads m.vdsoPC and m.vdsoSP, neighbours in m, through BX before it overwrites them.
    fn vdso_fields(&self) -> Option<(u64, u64)> {
        let load = |i: &&Instruction| {
            i.mnemonic() == Mnemonic::Mov
                && i.op0_kind() == OpKind::Register
                && i.memory_base() == Register::RBX
                && i.op1_kind() == OpKind::Memory
        };
        let offsets: Vec<u64> = self.instructions.iter().filter(load).map(Instruction::memory_displacement64).collect();
        offsets.windows(2).find(|w| w[0].abs_diff(w[1]) == 8 && w[0] > 256).map(|w| (w[0].max(w[1]), w[0].min(w[1])))
    }
}

impl Code {
    fn sp_in_r12(&self, module: &Module, func: &Func, bias: u64) -> Option<SpInR12> {
        let save = self
            .instructions
            .iter()
            .find(|i| i.mnemonic() == Mnemonic::Mov && i.op0_register() == Register::R12 && i.op1_register() == Register::RSP)?;
        let delta = module.pclntab.sp_delta(func, u32::try_from(save.ip() - module.text).ok()?)?;
        let end = module.text + u64::from(func.end);
        Some(SpInR12 { start: save.next_ip().wrapping_add(bias), end: end.wrapping_add(bias), frame: u64::try_from(delta).ok()? + 8 })
    }
}

/// `waitReason.String` (`runtime/runtime2.go`) indexes `waitReasonStrings` after a bounds check; the first LEA is the text for unknown ones.
fn read_wait_reasons(code: &Code, elf: &Elf, memory: &Memory, bias: u64) -> Option<Vec<Arc<str>>> {
    let table = *code.addresses().get(1)?;
    let compare = code.instructions.iter().find(|i| i.mnemonic() == Mnemonic::Cmp && i.op1_kind() == OpKind::Immediate8)?;
    let count = usize::from(compare.immediate8()).min(128);
    let live = memory.read_vec(table.wrapping_add(bias), count * 16);
    let headers = match live {
        Ok(bytes) => bytes,
        // Untouched pages of an executable that is not relocated are as in the file.
        Err(_) if bias == 0 => elf.read_address_vec(table, count as u64 * 16).ok()?,
        Err(_) => return None,
    };
    let text = |i: usize| {
        let (address, len) = (u64_at(&headers, i * 16), u64_at(&headers, i * 16 + 8));
        let bytes = elf.read_address_vec(address.wrapping_sub(bias), len.min(64)).ok()?;
        Some(Arc::from(String::from_utf8_lossy(&bytes).as_ref()))
    };
    // An index without a text is printed as its number, never as a neighbour's text.
    Some(
        (0..count).map(|i| text(i).filter(|t: &Arc<str>| !t.is_empty()).unwrap_or_else(|| Arc::from(format!("wait reason {i}")))).collect(),
    )
}

fn vdso_range(process: &Process) -> Range<u64> {
    let maps = process.maps().unwrap_or_default();
    maps.iter().find(|m| m.path == "[vdso]").map_or(0..0, |m| m.start..m.end)
}

fn not_understood() -> Error {
    Error::target("the runtime's goroutine records do not look as this Go version's do")
        .hint("a program that is just starting or exiting? try again; an executable with DWARF is read whatever its Go version")
}

fn unreadable(what: &str, error: Unread) -> Error {
    match error {
        Unread::NotResident => {
            Error::target(format!("{what} is swapped out")).hint("--swap-in reads it all the same, and brings the pages back")
        }
        Unread::Fault => Error::target(format!("{what} is not where this Go version keeps it")),
        Unread::Gone => Error::target("the process is gone"),
    }
}
