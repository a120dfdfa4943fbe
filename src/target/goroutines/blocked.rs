//! What a goroutine blocks on: the first argument of the blocking call, where the compiler kept it in its stack slot.

use rustc_hash::FxHashMap;

use super::model::BlockedOn;
use crate::target::elf::Elf;
use crate::target::moduledata::Module;
use crate::target::pclntab::{FUNCDATA_ARG_INFO, FUNCDATA_ARG_LIVE, Func, PCDATA_ARG_LIVE};
use crate::target::unwind::{StackBytes, WalkFrame, lookup};

/// Blocking calls whose first argument is the thing waited for. The innermost hit wins.
const BLOCKING: &[(&str, &str)] = &[
    ("runtime.chanrecv", "channel"),
    ("runtime.chanrecv1", "channel"),
    ("runtime.chanrecv2", "channel"),
    ("runtime.chansend", "channel"),
    ("runtime.chansend1", "channel"),
    ("sync.(*Mutex).lockSlow", "mutex"),
    ("internal/sync.(*Mutex).lockSlow", "mutex"),
    ("sync.(*RWMutex).RLock", "rwmutex"),
    ("sync.(*RWMutex).Lock", "rwmutex"),
    ("sync.(*WaitGroup).Wait", "waitgroup"),
    ("sync.(*Cond).Wait", "cond"),
    ("internal/poll.(*FD).Accept", "fd"),
    ("internal/poll.(*FD).Read", "fd"),
    ("internal/poll.(*FD).ReadFrom", "fd"),
    ("internal/poll.(*FD).ReadMsg", "fd"),
    ("internal/poll.(*FD).Write", "fd"),
    ("internal/poll.(*FD).WriteTo", "fd"),
    ("internal/poll.(*FD).WriteMsg", "fd"),
    ("sync.runtime_SemacquireMutex", "semaphore"),
    ("internal/sync.runtime_SemacquireMutex", "semaphore"),
    ("sync.runtime_Semacquire", "semaphore"),
    ("sync.runtime_SemacquireRWMutexR", "semaphore"),
    ("sync.runtime_SemacquireRWMutex", "semaphore"),
    ("sync.runtime_SemacquireWaitGroup", "semaphore"),
];

/// How far out the blocking call can be: gopark and a few of the runtime's own frames are inside it.
const FRAMES: usize = 8;

/// Facts about one position in a blocking call.
#[derive(Clone, Copy)]
struct Site {
    what: &'static str,
    /// Offset of the argument's slot from the argument area.
    slot: u64,
}

pub struct Blocking<'a> {
    elf: &'a Elf,
    module: &'a Module,
    bias: u64,
    functions: Vec<(Func, &'static str)>,
    cache: FxHashMap<u64, Option<Site>>,
}

impl<'a> Blocking<'a> {
    pub fn new(elf: &'a Elf, module: &'a Module, bias: u64) -> Self {
        let names: Vec<&str> = BLOCKING.iter().map(|(name, _)| *name).collect();
        let found = module.pclntab.find_names(&names).into_iter().zip(BLOCKING);
        let functions = found.filter_map(|(func, (_, what))| Some((func?, *what))).collect();
        Blocking { elf, module, bias, functions, cache: FxHashMap::default() }
    }

    pub fn of(&mut self, frames: &[WalkFrame], stack: &StackBytes) -> Option<BlockedOn> {
        let mut semaphore = None;
        for frame in frames.iter().take(FRAMES) {
            let Some(site) = self.site(frame.pc.address()) else { continue };
            let address = frame.args.checked_add(site.slot).and_then(|slot| stack.word(slot)).filter(|&a| a != 0);
            let Some(address) = address else { continue };
            let hit = BlockedOn { what: site.what, address };
            if site.what != "semaphore" {
                return Some(hit);
            }
            semaphore = semaphore.or(Some(hit));
        }
        semaphore
    }

    fn site(&mut self, pc: u64) -> Option<Site> {
        if let Some(known) = self.cache.get(&pc) {
            return *known;
        }
        let site = self.find_site(pc);
        self.cache.insert(pc, site);
        site
    }

    fn find_site(&self, pc: u64) -> Option<Site> {
        let (func, offset) = lookup(self.module, self.bias, pc)?;
        let (_, what) = self.functions.iter().find(|(f, _)| f.start == func.start)?;
        let info = self.func_data(&func, FUNCDATA_ARG_INFO)?;
        // The first entry must be a plain {offset, size} of a pointer (`internal/abi/type.go`, TraceArgs…: special bytes are 0xf0 and up).
        let (slot, size) = (info[0], info[1]);
        if slot >= 0xf0 || size != 8 {
            return None;
        }
        self.slot_is_live(&func, offset.checked_sub(1)?, slot).then_some(Site { what, slot: u64::from(slot) })
    }

    /// `printArgs` (`runtime/traceback.go`): a slot from `startOffset` on counts only where its bit says so.
    fn slot_is_live(&self, func: &Func, at: u32, slot: u8) -> bool {
        let Some(live) = self.func_data(func, FUNCDATA_ARG_LIVE) else { return true };
        let index = self.module.pclntab.pc_data(func, PCDATA_ARG_LIVE, at).unwrap_or(-1);
        if index <= 0 || slot < live[0] {
            return true;
        }
        let Some(address) = self.func_data_address(func, FUNCDATA_ARG_LIVE) else { return false };
        let bits = self.elf.read_address_vec(address.wrapping_add(index as u64), 1);
        bits.is_ok_and(|bits| bits[0] & 1 != 0)
    }

    fn func_data_address(&self, func: &Func, table: u8) -> Option<u64> {
        self.module.gofunc.checked_add(u64::from(self.module.pclntab.func_data(func, table)?))
    }

    /// The first two bytes.
    fn func_data(&self, func: &Func, table: u8) -> Option<[u8; 2]> {
        let mut bytes = [0; 2];
        self.elf.read_address(self.func_data_address(func, table)?, &mut bytes).ok()?;
        Some(bytes)
    }
}
