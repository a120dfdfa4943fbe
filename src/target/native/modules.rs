//! The ELF files mapped into a process: which one holds an address, opened through the process itself.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use object::elf::{STT_FUNC, Sym64};
use object::endian::LittleEndian;
use object::pod;

use crate::error::Result;
use crate::sys::memfd;
use crate::target::elf::{Elf, Machine};
use crate::target::process::{Mapping, Process};

use super::cfi::{Cfi, ReadMemory};
use super::is_part_of_a_function;

/// One mapped ELF file. `elf` is `None` when it could not be opened or is none.
#[derive(Debug)]
pub struct Module {
    pub elf: Option<Elf>,
    pub cfi: Option<Cfi>,
}

/// An address of the process, as the file knows it.
#[derive(Debug, Clone)]
pub struct Place {
    pub module: Arc<Module>,
    /// The link-time address.
    pub address: u64,
}

impl Module {
    /// The link-time range of the C function around `address` by the symbol table; only symbols with a size count.
    pub fn function_symbol(&self, address: u64) -> Option<(u64, u64)> {
        let elf = self.elf.as_ref()?;
        [(".symtab", ".strtab"), (".dynsym", ".dynstr")].iter().find_map(|(table, names)| {
            let symbols = elf.section_data(elf.section(table)?).ok()?;
            let names = elf.section_data(elf.section(names)?).ok()?;
            let (symbols, _) = pod::slice_from_all_bytes::<Sym64<LittleEndian>>(&symbols).ok().map(|s| (s, ()))?;
            let around = |s: &&Sym64<LittleEndian>| {
                let begin = s.st_value.get(LittleEndian);
                s.st_type() == STT_FUNC && address >= begin && address - begin < s.st_size.get(LittleEndian)
            };
            // Go's linker also has a symbol around all text of a package's C objects: the innermost one is the function.
            let symbol = symbols.iter().filter(around).max_by_key(|s| s.st_value.get(LittleEndian))?;
            let name = names.get(symbol.st_name.get(LittleEndian) as usize..)?.split(|&b| b == 0).next()?;
            let begin = symbol.st_value.get(LittleEndian);
            (!is_part_of_a_function(name)).then(|| (begin, begin.saturating_add(symbol.st_size.get(LittleEndian))))
        })
    }
}

#[derive(Debug, Clone)]
pub struct Modules {
    /// The executable ones, in order of address.
    mappings: Vec<Mapping>,
    /// By index of the mapping; filled when first asked for. Mappings of one file share a module.
    modules: Vec<Option<Arc<Module>>>,
}

const VDSO: &str = "[vdso]";
/// The kernel's image is two to five pages.
const MAX_VDSO: u64 = 1 << 20;

impl Modules {
    /// As they are now.
    pub fn of(process: &Process) -> Result<Self> {
        let mut mappings = process.maps()?;
        mappings.retain(|m| m.executable);
        mappings.sort_unstable_by_key(|m| m.start);
        Ok(Modules { modules: vec![None; mappings.len()], mappings })
    }

    /// True when `pc` lies in executable memory.
    pub fn is_code(&self, pc: u64) -> bool {
        self.index(pc).is_some()
    }

    /// Where `pc` is in its file; `None` when no file or vDSO is mapped there. Opens the file when it is asked for the first time.
    pub fn place(&mut self, process: &Process, pc: u64, read: &mut ReadMemory<'_>) -> Option<Place> {
        let index = self.index(pc)?;
        if self.modules[index].is_none() {
            self.modules[index] = Some(self.load(process, index, read));
        }
        self.known_place(pc)
    }

    /// As [`Modules::place`], without opening anything.
    pub fn known_place(&self, pc: u64) -> Option<Place> {
        let index = self.index(pc)?;
        let mapping = &self.mappings[index];
        let module = self.modules[index].clone()?;
        let offset = (pc - mapping.start).checked_add(mapping.offset)?;
        let elf = module.elf.as_ref()?;
        let segment = elf.segments.iter().find(|s| s.executable && offset >= s.offset && offset - s.offset < s.filesz)?;
        let address = segment.vaddr.checked_add(offset - segment.offset)?;
        Some(Place { module, address })
    }

    fn index(&self, pc: u64) -> Option<usize> {
        let at = self.mappings.partition_point(|m| m.start <= pc).checked_sub(1)?;
        (pc < self.mappings[at].end).then_some(at)
    }

    fn load(&self, process: &Process, index: usize, read: &mut ReadMemory<'_>) -> Arc<Module> {
        let mapping = &self.mappings[index];
        let twin = |m: &Mapping| mapping.inode != 0 && (m.inode, &m.path) == (mapping.inode, &mapping.path);
        let loaded = self.mappings.iter().zip(&self.modules).find_map(|(m, module)| module.clone().filter(|_| twin(m)));
        if let Some(module) = loaded {
            return module;
        }
        let file = if mapping.path == VDSO { vdso_image(mapping, read) } else { open(process, mapping) };
        let elf = file.and_then(|f| Elf::from_file(f).ok()).filter(|elf| elf.machine == Machine::Amd64);
        let cfi = elf.as_ref().and_then(Cfi::of);
        Arc::new(Module { elf, cfi })
    }
}

/// Opens the very file that is mapped; never a path of our own mount namespace, never something else that now has its name.
fn open(process: &Process, mapping: &Mapping) -> Option<File> {
    if mapping.inode == 0 {
        return None;
    }
    // The kernel's own link to the mapped file: right also when it was deleted. Needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE.
    let link = process.path(&format!("map_files/{:x}-{:x}", mapping.start, mapping.end));
    open_regular(&link).or_else(|| {
        // The executable, by the kernel's link to it, which needs less. Both texts are the kernel's name of the same file.
        if process.executable_path().is_some_and(|path| path.as_os_str() == mapping.path.as_str()) {
            return open_regular(&process.path("exe"));
        }
        // By name, inside the process's root. A replaced file has another inode.
        let named = process.path("root").join(mapping.path.trim_start_matches('/'));
        open_regular(&named).filter(|file| file.metadata().is_ok_and(|found| found.ino() == mapping.inode))
    })
}

/// Without blocking on a FIFO or a device that a hostile process put there.
fn open_regular(path: &Path) -> Option<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path).ok()?;
    file.metadata().is_ok_and(|found| found.is_file()).then_some(file)
}

/// The vDSO has no file: a copy of the target's own memory, whose layout is that of the file it was built as.
fn vdso_image(mapping: &Mapping, read: &mut ReadMemory<'_>) -> Option<File> {
    let len = mapping.end - mapping.start;
    if len > MAX_VDSO {
        return None;
    }
    let mut image = vec![0; len as usize];
    if !read(mapping.start, &mut image) {
        return None;
    }
    memfd::with_bytes("vdso", &image).ok()
}
