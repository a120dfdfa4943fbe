//! Ctrl-C, SIGTERM, SIGHUP, SIGQUIT: end a window and report what was seen, or end at once and leave nothing behind.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals as Incoming;

/// The first signal ends a window if one is open; any other removes what is half written and ends goscope.
#[derive(Clone)]
pub struct Signals {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    window: bool,
    stopped: bool,
    /// Removed when the run is aborted.
    temporary: Vec<PathBuf>,
}

/// A shell reports a program that a signal ended as this and the signal's number: 130 after Ctrl-C.
const ABORTED: i32 = 128;

impl Signals {
    /// Signals that were ignored when goscope was started (nohup, a background job) stay so.
    pub fn listen() -> Signals {
        let signals = Signals { shared: Arc::default() };
        let ignored = ignored();
        let wanted = [SIGINT, SIGTERM, SIGHUP, SIGQUIT].into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
        // Without a handler the default action is taken, and only a temporary file is left behind.
        if let Ok(mut incoming) = Incoming::new(wanted) {
            let shared = Arc::clone(&signals.shared);
            std::thread::spawn(move || incoming.forever().for_each(|signal| shared.on_signal(signal)));
        }
        signals
    }

    /// A file that is to be removed when the run is aborted.
    pub fn remove_on_abort(&self, path: Option<PathBuf>) {
        self.shared.lock().temporary.extend(path);
    }

    /// From now on the first signal only makes `wait` return.
    pub fn open_window(&self) {
        self.shared.lock().window = true;
    }

    /// Sleeps; true when the window was ended meanwhile or before.
    pub fn wait(&self, period: Duration) -> bool {
        let deadline = Instant::now() + period;
        let mut state = self.shared.lock();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if state.stopped || left.is_zero() {
                return state.stopped;
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn on_signal(&self, signal: i32) {
        let mut state = self.lock();
        if state.window && !state.stopped {
            state.stopped = true;
            self.changed.notify_all();
            return;
        }
        for path in &state.temporary {
            let _ = std::fs::remove_file(path);
        }
        // Threads that are stopped by ptrace go on: the kernel lets go of them when their tracer ends.
        std::process::exit(ABORTED + signal);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One bit a signal, from 1 on (proc(5)).
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
