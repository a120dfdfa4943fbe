//! What a probe costs on this host, tried on goscope itself: a function to set a breakpoint on, and threads with a goroutine of their own
//! making.

use std::cell::Cell;
use std::time::Instant;

std::arch::global_asm!(
    ".globl goscope_calibration_site",
    ".type goscope_calibration_site, @function",
    "goscope_calibration_site:",
    "push rbp",
    "mov rbp, rsp",
    "pop rbp",
    "ret",
    ".size goscope_calibration_site, . - goscope_calibration_site",
);

unsafe extern "C" {
    fn goscope_calibration_site();
}

thread_local! {
    /// Where a probe looks for the g of this thread.
    static G: Cell<u64> = const { Cell::new(0) };
}

/// The address of the function that [`hit`] calls; it begins with `push rbp`.
pub fn site() -> u64 {
    goscope_calibration_site as *const () as u64
}

/// The calling thread has this g from now on. Returns where: an offset from the thread pointer, the same in each thread of this executable.
pub fn set_g(g: u64) -> i32 {
    let thread_pointer: u64;
    // SAFETY: the first word that FS points at is its own address (System V ABI, amd64, thread-local storage).
    unsafe { std::arch::asm!("mov {}, fs:0", out(reg) thread_pointer, options(nostack, readonly, preserves_flags)) };
    G.with(|slot| {
        slot.set(g);
        (std::ptr::from_ref(slot) as u64).wrapping_sub(thread_pointer) as i32
    })
}

/// Calls the function so many times as Go code would, with `g` in R14 and AX; nanoseconds of one call.
pub fn hit(g: u64, times: u32) -> f64 {
    let begin = Instant::now();
    for _ in 0..times {
        // SAFETY: the function touches nothing but its own frame; the call's return address and frame fit above the stack pointer, which
        // the ABI keeps aligned; all registers that a C function may change are declared.
        unsafe {
            std::arch::asm!(
                "call {site}",
                site = sym goscope_calibration_site,
                in("r14") g,
                inout("rax") g => _,
                inout("rcx") 0u64 => _,
                clobber_abi("C"),
            );
        }
    }
    begin.elapsed().as_nanos() as f64 / f64::from(times.max(1))
}
