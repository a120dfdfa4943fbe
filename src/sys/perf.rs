//! Perf event rings that BPF programs write to: perf_event_open(2), mmap(2), poll(2).
//!
//! Woken by a number of bytes, not by each event: a wake-up costs the producer, which is the target, several microseconds.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// One CPU's ring. Dropping it unmaps and closes it.
#[derive(Debug)]
pub struct Ring {
    fd: OwnedFd,
    map: NonNull<u8>,
    page: usize,
    /// Bytes of data, a power of two.
    size: u64,
    /// A record that wraps around the ring's end, put together.
    whole: Vec<u8>,
}

// SAFETY: the mapping belongs to this value alone, and nothing in it is tied to a thread.
unsafe impl Send for Ring {}

/// One record of a ring.
#[derive(Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// What a program passed to bpf_perf_event_output, and up to 7 bytes of padding.
    Sample(&'a [u8]),
    /// This many did not fit.
    Lost(u64),
}

const PERF_TYPE_SOFTWARE: u32 = 1;
const PERF_COUNT_SW_BPF_OUTPUT: u64 = 10;
const PERF_SAMPLE_RAW: u64 = 1 << 10;
/// `struct perf_event_attr`: bit 14 of its flags.
const WATERMARK: u64 = 1 << 14;
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 8;
const PERF_EVENT_IOC_ENABLE: libc::c_ulong = 0x2400;
const PERF_RECORD_LOST: u32 = 2;
const PERF_RECORD_SAMPLE: u32 = 9;
/// Offsets in `struct perf_event_mmap_page` (include/uapi/linux/perf_event.h).
const DATA_HEAD: usize = 1024;
const DATA_TAIL: usize = 1032;

/// The first 64 bytes of `struct perf_event_attr` (PERF_ATTR_SIZE_VER0).
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_watermark: u32,
    bp_type: u32,
    config1: u64,
}

impl Ring {
    /// `pages`, a power of two, of data; wakes up `wait` when `watermark` bytes are there.
    ///
    /// Errors: EPERM or EACCES without CAP_PERFMON, EMFILE, ENOMEM or EPERM over the limit of locked memory, ENODEV for a CPU that
    /// is off.
    pub fn open(cpu: u32, pages: usize, watermark: u32) -> io::Result<Ring> {
        let attributes = Attributes {
            kind: PERF_TYPE_SOFTWARE,
            size: size_of::<Attributes>() as u32,
            config: PERF_COUNT_SW_BPF_OUTPUT,
            sample_period: 1,
            sample_type: PERF_SAMPLE_RAW,
            flags: WATERMARK,
            wakeup_watermark: watermark,
            ..Attributes::default()
        };
        // SAFETY: the attributes are valid for their stated size, and live during the call.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                &raw const attributes,
                -1 as libc::pid_t,
                cpu as libc::c_int,
                -1 as libc::c_int,
                PERF_FLAG_FD_CLOEXEC,
            )
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just given us this descriptor, which nobody else owns.
        let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
        // SAFETY: asks a number only.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let pages = pages.next_power_of_two();
        // SAFETY: a new shared mapping of a descriptor that we own; the kernel chooses the address.
        let map = unsafe {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            libc::mmap(std::ptr::null_mut(), (pages + 1) * page, access, libc::MAP_SHARED, fd.as_raw_fd(), 0)
        };
        let map = NonNull::new(map.cast::<u8>()).filter(|_| map != libc::MAP_FAILED).ok_or_else(io::Error::last_os_error)?;
        Ok(Ring { fd, map, page, size: (pages * page) as u64, whole: Vec::new() })
    }

    /// From now on events are taken. The descriptor must be in its BPF map by then.
    pub fn enable(&self) -> io::Result<()> {
        // SAFETY: no memory is passed.
        match unsafe { libc::ioctl(self.fd.as_raw_fd(), PERF_EVENT_IOC_ENABLE, 0) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Hands over all that is there.
    pub fn drain(&mut self, mut each: impl FnMut(Record<'_>)) {
        // SAFETY: both counters lie in the mapped first page, 8-byte aligned, and are shared with the kernel as atomics.
        let (head, tail) = unsafe {
            let counter = |offset| &*self.map.as_ptr().add(offset).cast::<AtomicU64>();
            (counter(DATA_HEAD), counter(DATA_TAIL))
        };
        let end = head.load(Ordering::Acquire);
        let mut at = tail.load(Ordering::Relaxed);
        while at < end {
            let mut header = [0; 8];
            self.copy(at, &mut header);
            let kind = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
            let size = u64::from(u16::from_le_bytes([header[6], header[7]]));
            // Never written by the kernel; leaves rather than looping for ever.
            if size < 8 {
                break;
            }
            self.whole.resize(size as usize - 8, 0);
            let mut whole = std::mem::take(&mut self.whole);
            self.copy(at + 8, &mut whole);
            match kind {
                PERF_RECORD_SAMPLE if whole.len() >= 4 => {
                    let len = u32::from_le_bytes([whole[0], whole[1], whole[2], whole[3]]) as usize;
                    each(Record::Sample(whole.get(4..4 + len).unwrap_or(&whole[4..])));
                }
                // id, lost
                PERF_RECORD_LOST => {
                    each(Record::Lost(whole.get(8..16).and_then(|b| b.first_chunk()).map_or(0, |b| u64::from_le_bytes(*b))))
                }
                _ => {}
            }
            self.whole = whole;
            at += size;
        }
        tail.store(end.max(at), Ordering::Release);
    }

    /// Copies out of the ring, around its end.
    fn copy(&self, at: u64, to: &mut [u8]) {
        let offset = (at % self.size) as usize;
        let first = to.len().min(self.size as usize - offset);
        // SAFETY: both pieces lie inside the data pages, which are mapped as long as `self` lives; the kernel does not write to what
        // lies between tail and head.
        unsafe {
            let data = self.map.as_ptr().add(self.page);
            std::ptr::copy_nonoverlapping(data.add(offset), to.as_mut_ptr(), first);
            std::ptr::copy_nonoverlapping(data, to.as_mut_ptr().add(first), to.len() - first);
        }
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `open`, which nothing refers to any more.
        unsafe { libc::munmap(self.map.as_ptr().cast(), self.size as usize + self.page) };
    }
}

/// Waits until one of them is readable; a signal or the time-out ends it too.
pub fn wait(fds: &[BorrowedFd<'_>], timeout: Duration) {
    let mut polled: Vec<libc::pollfd> =
        fds.iter().map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 }).collect();
    let timeout = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the array is valid for its length and lives during the call.
    unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, timeout) };
}
