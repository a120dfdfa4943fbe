//! Breakpoints at many sites by one link, which the loader library cannot make: the program is relocated once more and loaded for it.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use aya::maps::Map;
use aya::programs::UProbe;
use aya::programs::uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeScope};
use aya::{Btf, Ebpf};
use aya_obj::Object;
use aya_obj::btf::BtfKind;

use super::load::cannot;
use super::sites::Found;
use crate::error::{Error, Result};
use crate::sys::bpf;

/// The descriptors that hold program and link; closing them takes every breakpoint away.
#[derive(Debug)]
pub struct Uprobes {
    _link: OwnedFd,
    _program: OwnedFd,
}

/// Catches each of `sites` in process `pid`. `ebpf` is what `object` was loaded into: its maps are shared.
///
/// Errors, Permission: the kernel has no uprobe_multi (before 6.6), or refuses.
pub fn attach(object: &[u8], ebpf: &Ebpf, btf: &Btf, pid: u32, executable: &Path, sites: &[Found]) -> Result<Uprobes> {
    let instructions = relocated(object, ebpf, btf, "on_site")?;
    let mut log = String::new();
    let program = bpf::load_uprobe_multi(&instructions, &mut log).map_err(|e| {
        let last = log.lines().rev().find(|line| !line.starts_with("processed") && !line.is_empty()).unwrap_or_default();
        cannot(&format!("load the probe of the runtime's transitions ({last})"), &e)
    })?;
    let offsets: Vec<u64> = sites.iter().map(|found| found.file_offset).collect();
    let cookies: Vec<u64> = sites.iter().map(|found| found.site as u64).collect();
    let link =
        bpf::link_uprobes(program.as_fd(), executable, &offsets, &cookies, pid).map_err(|e| cannot("set the probes of transitions", &e))?;
    Ok(Uprobes { _link: link, _program: program })
}

/// Catches each site by a link of its own, with the loader library's program. Errors: Permission, as the kernel says.
pub fn attach_singly(program: &mut UProbe, pid: u32, executable: &Path, sites: &[Found]) -> Result<()> {
    let scope = NonZeroU32::new(pid).map_or(UProbeScope::CallingProcess, UProbeScope::OneProcess);
    program.load().map_err(|e| cannot("load the probe of the runtime's transitions", &e))?;
    for found in sites {
        let location = UProbeAttachLocation::AbsoluteOffset(found.file_offset);
        let point = UProbeAttachPoint { location, cookie: Some(found.site as u64) };
        program.attach(point, executable, scope).map_err(|e| cannot(&format!("set a probe at {}", found.function), &e))?;
    }
    Ok(())
}

/// The kernel knows links of many uprobes (Linux 6.6), by its own list of types of programs' attachments.
pub fn has_multi() -> bool {
    Btf::from_sys_fs().is_ok_and(|btf| btf.id_by_type_name_kind("bpf_uprobe_multi_link", BtfKind::Struct).is_ok())
}

/// The program's instructions with kernel types, maps and calls filled in.
fn relocated(object: &[u8], ebpf: &Ebpf, btf: &Btf, name: &str) -> Result<Vec<u8>> {
    let broken = |e: &dyn std::error::Error| cannot("relocate the probe of transitions", e);
    let mut object = Object::parse(object).map_err(|e| broken(&e))?;
    object.relocate_btf(btf).map_err(|e| broken(&e))?;
    let maps = std::mem::take(&mut object.maps);
    let with_fd: Vec<(&str, i32, &aya_obj::Map)> =
        maps.iter().filter_map(|(name, map)| Some((name.as_str(), fd_of(ebpf.map(name)?)?, map))).collect();
    let text: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
    object.relocate_maps(with_fd.into_iter(), &text).map_err(|e| broken(&e))?;
    object.relocate_calls(&text).map_err(|e| broken(&e))?;
    let program = object.programs.get(name).ok_or_else(|| lacks(name))?;
    let function = object.functions.get(&program.function_key()).ok_or_else(|| lacks(name))?;
    Ok(function.instructions.iter().flat_map(instruction_bytes).collect())
}

/// `struct bpf_insn`: code, two registers in a byte, offset, immediate.
fn instruction_bytes(instruction: &aya_obj::generated::bpf_insn) -> [u8; 8] {
    let [off0, off1] = instruction.off.to_le_bytes();
    let [i0, i1, i2, i3] = instruction.imm.to_le_bytes();
    [instruction.code, instruction.dst_reg() | instruction.src_reg() << 4, off0, off1, i0, i1, i2, i3]
}

fn fd_of(map: &Map) -> Option<i32> {
    let data = match map {
        Map::Array(data) | Map::HashMap(data) | Map::PerCpuArray(data) | Map::PerfEventArray(data) | Map::LruHashMap(data) => data,
        _ => return None,
    };
    Some(data.fd().as_fd().as_raw_fd())
}

fn lacks(name: &str) -> Error {
    Error::permission(format!("the compiled probes lack `{name}`"))
}
