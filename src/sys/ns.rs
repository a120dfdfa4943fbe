//! Entering another process's namespace: setns(2).

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Moves the calling thread, and no other, into the network namespace of an open /proc/PID/ns/net.
///
/// There is no way back without privileges: call it on a thread of its own that ends afterwards.
/// Errors: EPERM without CAP_SYS_ADMIN over that namespace.
pub fn enter_network(namespace: &File) -> io::Result<()> {
    // SAFETY: no memory is passed; the descriptor is open for the whole call.
    match unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
