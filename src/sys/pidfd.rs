//! A process that cannot be mistaken for another one: pidfd_open(2).

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Errors: ESRCH when there is no such process, ENOSYS before Linux 5.3, EINVAL for a thread id that leads no process.
pub fn open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed; the result is checked before it is used as a descriptor.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just handed this descriptor to us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}

/// True once the process has exited, be it reaped or not.
pub fn has_exited(pidfd: &OwnedFd) -> bool {
    let mut poll = libc::pollfd { fd: pidfd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one valid pollfd, and a count of one.
    let ready = unsafe { libc::poll(&mut poll, 1, 0) };
    ready > 0 && poll.revents & libc::POLLIN != 0
}
