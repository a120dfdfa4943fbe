//! bpf(2), where the loader library lacks something: own perf rings in a map, programs and links for many uprobes at once.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

const BPF_MAP_UPDATE_ELEM: libc::c_long = 2;
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_LINK_CREATE: libc::c_long = 28;
const BPF_PROG_TYPE_KPROBE: u32 = 2;
const BPF_TRACE_UPROBE_MULTI: u32 = 48;

/// Puts a descriptor into a map of descriptors. Errors: as the kernel gave them.
pub fn set_fd(map: BorrowedFd<'_>, key: u32, fd: BorrowedFd<'_>) -> io::Result<()> {
    #[repr(C)]
    struct Update {
        map_fd: u32,
        unused: u32,
        key: u64,
        value: u64,
        flags: u64,
    }
    let value = fd.as_raw_fd();
    let update =
        Update { map_fd: map.as_raw_fd() as u32, unused: 0, key: (&raw const key) as u64, value: (&raw const value) as u64, flags: 0 };
    call(BPF_MAP_UPDATE_ELEM, &update).map(drop)
}

/// Loads a program for [`link_uprobes`]. `instructions` are of 8 bytes each, relocated; `log` gets the verifier's words if it refuses.
pub fn load_uprobe_multi(instructions: &[u8], log: &mut String) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Load {
        prog_type: u32,
        insn_cnt: u32,
        insns: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log_buf: u64,
        kern_version: u32,
        prog_flags: u32,
        prog_name: [u8; 16],
        prog_ifindex: u32,
        expected_attach_type: u32,
    }
    let mut buffer = vec![0u8; 64 << 10];
    let load = |log_level: u32, buffer: &mut Vec<u8>| Load {
        prog_type: BPF_PROG_TYPE_KPROBE,
        insn_cnt: (instructions.len() / 8) as u32,
        insns: instructions.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        log_level,
        log_size: if log_level == 0 { 0 } else { buffer.len() as u32 },
        log_buf: if log_level == 0 { 0 } else { buffer.as_mut_ptr() as u64 },
        kern_version: 0,
        prog_flags: 0,
        prog_name: *b"goscope_uprobe\0\0",
        prog_ifindex: 0,
        expected_attach_type: BPF_TRACE_UPROBE_MULTI,
    };
    let quiet = call(BPF_PROG_LOAD, &load(0, &mut buffer));
    let loaded = quiet.or_else(|_| call(BPF_PROG_LOAD, &load(1, &mut buffer)));
    // SAFETY: the kernel has just given us this descriptor, which nobody else owns.
    loaded.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).inspect_err(|_| {
        let end = buffer.iter().position(|&b| b == 0).unwrap_or(0);
        *log = String::from_utf8_lossy(&buffer[..end]).into_owned();
    })
}

/// Puts a breakpoint on each file offset of `path`, in process `pid` (of the caller's namespace) only. They are gone when the
/// descriptor is closed, also by the end of this process. The kernel does not check that an offset is where an instruction begins.
///
/// Errors: EINVAL from a kernel without uprobe_multi (before 6.6), ESRCH without the process.
pub fn link_uprobes(program: BorrowedFd<'_>, path: &Path, offsets: &[u64], cookies: &[u64], pid: u32) -> io::Result<OwnedFd> {
    #[repr(C)]
    struct Link {
        prog_fd: u32,
        target_fd: u32,
        attach_type: u32,
        flags: u32,
        path: u64,
        offsets: u64,
        ref_ctr_offsets: u64,
        cookies: u64,
        cnt: u32,
        multi_flags: u32,
        pid: u32,
        unused: u32,
    }
    if offsets.len() != cookies.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let path = CString::new(path.as_os_str().as_encoded_bytes())?;
    let link = Link {
        prog_fd: program.as_raw_fd() as u32,
        target_fd: 0,
        attach_type: BPF_TRACE_UPROBE_MULTI,
        flags: 0,
        path: path.as_ptr() as u64,
        offsets: offsets.as_ptr() as u64,
        ref_ctr_offsets: 0,
        cookies: cookies.as_ptr() as u64,
        cnt: offsets.len() as u32,
        multi_flags: 0,
        pid,
        unused: 0,
    };
    let fd = call(BPF_LINK_CREATE, &link)?;
    // SAFETY: the kernel has just given us this descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn call<T>(command: libc::c_long, attributes: &T) -> io::Result<i32> {
    // SAFETY: the attributes are valid for their size, and every pointer in them outlives the call; the kernel takes a shorter
    // structure than its own as one whose rest is zero.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}
