//! Copying from another process's memory: process_vm_readv(2), else /proc/PID/mem.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::LazyLock;

/// One piece to copy: `len` bytes at `address` in the other process, to `offset` in the destination buffer.
#[derive(Debug, Clone, Copy)]
pub struct Piece {
    pub address: u64,
    pub len: usize,
    pub offset: usize,
}

/// The most pieces one call of the kernel takes (UIO_MAXIOV).
pub const MAX_PIECES: usize = 1024;

/// Copies as many whole pieces as it can, from the first on; returns how many arrived whole.
///
/// A piece that cannot be read ends the call: the caller decides what to do with it and goes on behind it.
/// Errors: EPERM, ESRCH, ENOSYS as the kernel gave them; EFAULT never (it is `Ok(n)` with `n` short).
pub fn read_pieces(pid: u32, pieces: &[Piece], buffer: &mut [u8]) -> io::Result<usize> {
    let pieces = &pieces[..pieces.len().min(MAX_PIECES)];
    let mut local = Vec::with_capacity(pieces.len());
    let mut remote = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let target = buffer
            .get_mut(piece.offset..piece.offset.saturating_add(piece.len))
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        local.push(libc::iovec { iov_base: target.as_mut_ptr().cast(), iov_len: piece.len });
        remote.push(libc::iovec { iov_base: piece.address as usize as *mut libc::c_void, iov_len: piece.len });
    }
    // SAFETY: every local iovec lies inside `buffer` (checked above), which is borrowed for the whole call; two pieces that
    // overlap in it are only written by the kernel, one after the other. Remote addresses are not dereferenced here.
    let n = unsafe {
        libc::process_vm_readv(
            pid as libc::pid_t,
            local.as_ptr(),
            local.len() as libc::c_ulong,
            remote.as_ptr(),
            remote.len() as libc::c_ulong,
            0,
        )
    };
    if n < 0 {
        let error = io::Error::last_os_error();
        return if error.raw_os_error() == Some(libc::EFAULT) { Ok(0) } else { Err(error) };
    }
    let mut left = n as usize;
    let mut whole = 0;
    for piece in pieces {
        if left < piece.len {
            break;
        }
        left -= piece.len;
        whole += 1;
    }
    Ok(whole)
}

/// As [`read_pieces`], through an open /proc/PID/mem, for kernels or sandboxes without process_vm_readv.
pub fn read_pieces_from_file(mem: &File, pieces: &[Piece], buffer: &mut [u8]) -> io::Result<usize> {
    for (whole, piece) in pieces.iter().enumerate() {
        let target = buffer
            .get_mut(piece.offset..piece.offset.saturating_add(piece.len))
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        match mem.read_exact_at(target, piece.address) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(libc::EIO) || error.kind() == io::ErrorKind::UnexpectedEof => {
                return Ok(whole);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(pieces.len())
}

/// CLOCK_MONOTONIC of the first time namespace, in nanoseconds: what BPF programs tell.
pub fn monotonic_ns() -> i64 {
    static OWN_OFFSET_NS: LazyLock<i64> = LazyLock::new(|| {
        let text = std::fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
        parse_monotonic_offset(&text).unwrap_or(0)
    });
    clock_ns(libc::CLOCK_MONOTONIC) - *OWN_OFFSET_NS
}

/// What a time namespace adds to CLOCK_MONOTONIC, in nanoseconds, from `/proc/PID/timens_offsets` (time_namespaces(7)).
pub fn parse_monotonic_offset(text: &str) -> Option<i64> {
    let line = text.lines().find(|line| line.starts_with("monotonic"))?;
    let mut words = line.split_whitespace().skip(1).map(|word| word.parse::<i64>());
    words.next()?.ok()?.checked_mul(1_000_000_000)?.checked_add(words.next()?.ok()?)
}

/// CPU time that a process has used so far, threads that have ended included, in nanoseconds. `None` when it has gone.
pub fn cpu_ns_of(pid: u32) -> Option<u64> {
    let mut clock = 0;
    // SAFETY: `clock` is valid for the call to fill.
    if unsafe { libc::clock_getcpuclockid(pid as libc::pid_t, &mut clock) } != 0 {
        return None;
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec for the kernel to fill; of a clock that is no more it says so.
    let read = unsafe { libc::clock_gettime(clock, &mut time) } == 0;
    read.then(|| u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap_or(0))
}

/// Time since 1970, in nanoseconds.
pub fn realtime_ns() -> i64 {
    clock_ns(libc::CLOCK_REALTIME)
}

/// CPU time that goscope itself has used so far, in nanoseconds.
pub fn own_cpu_ns() -> u64 {
    clock_ns(libc::CLOCK_PROCESS_CPUTIME_ID).max(0) as u64
}

fn clock_ns(clock: libc::clockid_t) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec for the kernel to fill; the clocks used here always exist.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
