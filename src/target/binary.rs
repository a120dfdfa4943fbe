//! What kind of Go binary a file is, without reading more of it than needed.

use memchr::memmem;

use super::buildinfo::BuildInfo;
use super::elf::{Elf, Machine};
use super::moduledata;
use super::pclntab::{HEADER_SIZE, Header};
use super::process::Process;
use crate::error::{Error, Kind, Result};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    /// A Go binary whose build information was removed has an empty one, of version `unknown`.
    pub build: BuildInfo,
    pub machine: Machine,
    pub mode: BuildMode,
    /// No symbol table; Go functions are named all the same.
    pub stripped: bool,
    pub dwarf: bool,
}

/// How it was linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BuildMode {
    Exe,
    Pie,
    Cgo,
    CgoPie,
}

impl BuildMode {
    pub fn as_str(self) -> &'static str {
        match self {
            BuildMode::Exe => "exe",
            BuildMode::Pie => "pie",
            BuildMode::Cgo => "cgo",
            BuildMode::CgoPie => "cgo-pie",
        }
    }

    pub fn pie(self) -> bool {
        matches!(self, BuildMode::Pie | BuildMode::CgoPie)
    }

    pub fn cgo(self) -> bool {
        matches!(self, BuildMode::Cgo | BuildMode::CgoPie)
    }
}

impl Binary {
    /// Found by build information, else by the Go function table; never by the names of files or sections alone.
    /// `None` when it is not Go.
    ///
    /// Errors: Target when it is older than Go 1.18; Io when the file is cut or corrupt.
    pub fn find(elf: &Elf) -> Result<Option<Binary>> {
        let (build, header) = match BuildInfo::find(elf)? {
            Some(build) => (build, function_table(elf)),
            None => match moduledata::find(elf) {
                Ok(found) => {
                    let build = BuildInfo { go_version: "unknown".to_owned(), ..BuildInfo::default() };
                    (build, Some((found.header, found.header_address)))
                }
                Err(error) if error.kind == Kind::Target => return Ok(None),
                Err(error) => return Err(error),
            },
        };
        let cgo = match build.setting("CGO_ENABLED") {
            Some("0") => false,
            _ => header.is_none_or(|(header, address)| has_cgo(elf, &header, address)),
        };
        let mode = match (elf.position_independent, cgo) {
            (false, false) => BuildMode::Exe,
            (true, false) => BuildMode::Pie,
            (false, true) => BuildMode::Cgo,
            (true, true) => BuildMode::CgoPie,
        };
        Ok(Some(Binary { build, machine: elf.machine, mode, stripped: elf.section(".symtab").is_none(), dwarf: has_dwarf(elf) }))
    }

    /// As `find`; not being Go is a Target error.
    pub fn inspect(elf: &Elf) -> Result<Binary> {
        let not_go = || {
            Error::target("not a Go program (neither Go build information nor a Go function table in it)")
                .hint("`goscope ps` lists the Go processes; a packed executable (UPX) must be unpacked first")
        };
        Binary::find(elf)?.ok_or_else(not_go)
    }

    /// As `inspect`, of a process's executable; a program in C that has loaded a Go library is told apart.
    pub fn of_process(process: &Process, elf: &Elf) -> Result<Binary> {
        if let Some(binary) = Binary::find(elf).ok().flatten() {
            return Ok(binary);
        }
        let about = format!("process {} ({})", process.pid, process.comm);
        match go_library(process) {
            Some(library) => Err(Error::target(format!("{about}: its Go code is in a shared library, {library}"))
                .hint("goscope reads programs whose executable is Go; -buildmode=c-archive makes one, c-shared does not")),
            None => Binary::inspect(elf).map_err(|error| error.about(about)),
        }
    }
}

/// A file other than the executable that is mapped to run code, and is Go (`-buildmode=c-shared`).
fn go_library(process: &Process) -> Option<String> {
    let mut paths: Vec<String> = process.maps().ok()?.into_iter().filter(|m| m.executable && m.inode != 0).map(|m| m.path).collect();
    paths.dedup();
    let is_go = |path: &String| {
        let inside = process.path("root").join(path.trim_start_matches('/'));
        Elf::open(&inside).is_ok_and(|elf| matches!(BuildInfo::find(&elf), Ok(Some(_))))
    };
    paths.into_iter().find(is_go)
}

fn has_dwarf(elf: &Elf) -> bool {
    [".debug_info", ".zdebug_info"].iter().any(|name| elf.section(name).is_some())
}

/// The function table's header and address: at the section that usually holds it, else by a search.
fn function_table(elf: &Elf) -> Option<(Header, u64)> {
    let at = |address: u64| {
        let bytes = elf.read_address_vec(address, HEADER_SIZE as u64).ok()?;
        Header::parse(&bytes).map(|header| (header, address))
    };
    let named = [".gopclntab", ".data.rel.ro.gopclntab"].iter().find_map(|name| at(elf.section(name)?.address));
    named.or_else(|| moduledata::find(elf).ok().map(|found| (found.header, found.header_address)))
}

/// `crosscall2` is how C calls Go: an assembly function of `runtime/cgo`, so linked exactly when that package is.
fn has_cgo(elf: &Elf, header: &Header, address: u64) -> bool {
    let names = elf.read_address_vec(address.wrapping_add(header.funcname), header.cu - header.funcname);
    names.is_ok_and(|names| memmem::find(&names, b"\0crosscall2\0").is_some())
}
