//! Stopping one thread of another process for microseconds: seize, interrupt, look, detach.
//!
//! Never PTRACE_O_EXITKILL and never a signal: if goscope dies, the kernel detaches its tracees and they run on.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The registers that a stack walk starts from (amd64).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Registers {
    pub pc: u64,
    pub sp: u64,
    pub bp: u64,
    pub bx: u64,
    pub r12: u64,
    pub r13: u64,
    pub r14: u64,
    pub r15: u64,
}

/// A seized thread that is stopped now. Dropping it lets it run on.
///
/// Belongs to the thread that made it: ptrace requests of any other are refused by the kernel.
#[derive(Debug)]
pub struct Stopped {
    tid: i32,
    /// When we learned that it is stopped. The kernel wakes us as it stops the thread; a thread that waits for a CPU in order to
    /// stop is not held up by us.
    since: Instant,
    /// The signal that was about to be delivered when the thread stopped; passed on at detach.
    signal: i32,
    not_send: std::marker::PhantomData<*const ()>,
}

#[derive(Debug)]
pub enum StopError {
    /// Another tracer, or no permission.
    Refused(io::Error),
    /// The thread has ended.
    Gone,
    /// It did not stop in time (uninterruptible sleep, frozen). It stays seized until the calling thread ends, which detaches it.
    Timeout,
}

/// A thread that stops others. Real-time scheduled while a stop lasts, where that is granted.
#[derive(Debug)]
pub struct Stopper {
    alarm: Alarm,
}

impl Stopper {
    /// For use by the calling thread only.
    pub fn new() -> io::Result<Stopper> {
        Ok(Stopper { alarm: Alarm::new()? })
    }

    /// Stops thread `tid` and waits until it is stopped. `timeout`, not zero: when one that does not stop is left alone.
    pub fn stop(&self, tid: u32, timeout: Duration) -> Result<Stopped, StopError> {
        let tid = tid as i32;
        request(libc::PTRACE_SEIZE, tid, 0, 0).map_err(refused)?;
        request(libc::PTRACE_INTERRUPT, tid, 0, 0).map_err(refused)?;
        self.alarm.every(timeout.max(Duration::from_micros(1)));
        let mut status = 0;
        // Blocks, so that a thread that waits for our CPU gets it; the alarm ends the wait.
        // SAFETY: `status` is a valid int; waiting for our own tracee does not touch other memory.
        let waited = unsafe { libc::waitpid(tid, &mut status, libc::__WALL) };
        let interrupted = waited < 0 && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted;
        self.alarm.every(Duration::ZERO);
        match waited {
            _ if waited == tid => Self::stopped(tid, status),
            _ if interrupted => Err(StopError::Timeout),
            _ => Err(StopError::Gone),
        }
    }

    fn stopped(tid: i32, status: i32) -> Result<Stopped, StopError> {
        if !libc::WIFSTOPPED(status) {
            return Err(StopError::Gone);
        }
        // Our own interrupt is reported as PTRACE_EVENT_STOP. Anything else is a signal on its way to the thread: it must arrive.
        let event = status >> 16;
        let signal = if event == libc::PTRACE_EVENT_STOP { 0 } else { libc::WSTOPSIG(status) };
        Ok(Stopped { tid, since: Instant::now(), signal, not_send: std::marker::PhantomData })
    }
}

impl Stopped {
    pub fn registers(&self) -> io::Result<Registers> {
        let mut regs = std::mem::MaybeUninit::<libc::user_regs_struct>::zeroed();
        request(libc::PTRACE_GETREGS, self.tid, 0, regs.as_mut_ptr() as usize)?;
        // SAFETY: the kernel filled the whole structure, and all bit patterns of it are valid (it was zeroed before, too).
        let regs = unsafe { regs.assume_init() };
        Ok(Registers { pc: regs.rip, sp: regs.rsp, bp: regs.rbp, bx: regs.rbx, r12: regs.r12, r13: regs.r13, r14: regs.r14, r15: regs.r15 })
    }

    /// Lets the thread run on; returns for how long it was stopped.
    pub fn release(self) -> Duration {
        let since = self.since;
        drop(self);
        since.elapsed()
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // Fails only when the thread has been killed meanwhile: then there is nothing to let go.
        let _ = request(libc::PTRACE_DETACH, self.tid, 0, self.signal as usize);
    }
}

/// While it lives a stopped thread never waits for goscope: the calling thread is scheduled in real time, and Ctrl-Z takes effect
/// only at its end.
///
/// Where real-time scheduling is not granted everything works the same, with longer stops on a busy machine.
#[derive(Debug)]
pub struct RealTime {
    granted: bool,
    _awake: Option<Awake>,
}

impl RealTime {
    pub fn begin() -> RealTime {
        RealTime { _awake: Awake::begin(), granted: schedule(libc::SCHED_FIFO, 1) }
    }
}

impl Drop for RealTime {
    fn drop(&mut self) {
        if self.granted {
            schedule(libc::SCHED_OTHER, 0);
        }
    }
}

/// Puts off SIGTSTP, which would suspend goscope, and with it whatever it has stopped, for as long as its user likes.
struct Awake {
    before: libc::sigaction,
}

static SUSPEND_LATER: AtomicBool = AtomicBool::new(false);

extern "C" fn suspend_later(_: libc::c_int) {
    SUSPEND_LATER.store(true, Ordering::Relaxed);
}

impl Awake {
    fn begin() -> Option<Awake> {
        // SAFETY: all-zero is a valid sigaction; the handler only stores to an atomic, which is safe at any moment. The old action
        // is restored as the kernel gave it.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = suspend_later as *const () as usize;
            action.sa_flags = libc::SA_RESTART;
            let mut before: libc::sigaction = std::mem::zeroed();
            let done = libc::sigaction(libc::SIGTSTP, &action, &mut before) == 0;
            done.then_some(Awake { before })
        }
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        // SAFETY: `before` is what the kernel gave us.
        unsafe { libc::sigaction(libc::SIGTSTP, &self.before, std::ptr::null_mut()) };
        if SUSPEND_LATER.swap(false, Ordering::Relaxed) && self.before.sa_sigaction != libc::SIG_IGN {
            // SAFETY: no memory is passed.
            unsafe { libc::raise(libc::SIGTSTP) };
        }
    }
}

impl std::fmt::Debug for Awake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Awake")
    }
}

fn schedule(policy: libc::c_int, priority: libc::c_int) -> bool {
    let param = libc::sched_param { sched_priority: priority };
    // SAFETY: `param` is valid; 0 means the calling thread.
    unsafe { libc::sched_setscheduler(0, policy, &param) == 0 }
}

/// A timer that interrupts a blocking call of the thread that made it.
#[derive(Debug)]
struct Alarm {
    timer: libc::timer_t,
}

extern "C" fn interrupt(_: libc::c_int) {}

impl Alarm {
    fn new() -> io::Result<Alarm> {
        let signal = libc::SIGRTMIN() + 4;
        // SAFETY: all-zero is a valid sigaction and sigevent; the handler does nothing, so it is safe at any moment; without
        // SA_RESTART it makes a blocking call return EINTR.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = interrupt as *const () as usize;
            if libc::sigaction(signal, &action, std::ptr::null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
            let mut event: libc::sigevent = std::mem::zeroed();
            event.sigev_notify = libc::SIGEV_THREAD_ID;
            event.sigev_signo = signal;
            event.sigev_notify_thread_id = libc::gettid();
            let mut timer: libc::timer_t = std::ptr::null_mut();
            if libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut timer) != 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(Alarm { timer })
        }
    }

    /// Repeats, so that an alarm just before the blocking call does no harm; zero turns it off.
    fn every(&self, period: Duration) {
        let time = libc::timespec { tv_sec: period.as_secs() as libc::time_t, tv_nsec: libc::c_long::from(period.subsec_nanos() as i32) };
        let spec = libc::itimerspec { it_interval: time, it_value: time };
        // SAFETY: the timer exists until `self` is dropped; `spec` is valid.
        unsafe { libc::timer_settime(self.timer, 0, &spec, std::ptr::null_mut()) };
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        // SAFETY: deleted once, here.
        unsafe { libc::timer_delete(self.timer) };
    }
}

fn refused(error: io::Error) -> StopError {
    match error.raw_os_error() {
        Some(libc::ESRCH) => StopError::Gone,
        _ => StopError::Refused(error),
    }
}

fn request(what: libc::c_uint, tid: i32, address: usize, data: usize) -> io::Result<()> {
    // SAFETY: the requests used here (SEIZE, INTERRUPT, GETREGS, DETACH) write at most to `data`, which GETREGS's caller points at a
    // user_regs_struct; the others take `data` by value.
    let result = unsafe { libc::ptrace(what, tid, address, data) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
