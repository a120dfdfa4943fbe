//! From facts to the doctor's list: what works, what does not, what to do. Pure.

use super::model::{Binary, Check, Host, Reach, State, Symbols};

const MEMORY: &[&str] = &["info", "goroutines", "top"];
const GOROUTINES: &[&str] = &["goroutines"];
const BPF: &[&str] = &["sched", "profile", "latency", "top"];
const LATENCY: &[&str] = &["latency"];
const KERNEL_FRAMES: &[&str] = &["profile"];

const CAP_SYS_ADMIN: u64 = 1 << 21;
const CAP_SYS_NICE: u64 = 1 << 23;
const CAP_PERFMON: u64 = 1 << 38;
const CAP_BPF: u64 = 1 << 39;

/// `reach` is absent for a file.
pub fn checks(binary: &Binary, symbols: &Symbols, reach: Option<&Reach>, host: &Host) -> Vec<Check> {
    let mut checks = vec![functions(symbols), layout(symbols), native_symbols(binary)];
    if let Some(reach) = reach {
        checks.push(memory(reach));
        checks.extend(stops(reach, host));
        checks.push(residency(reach));
    }
    checks.push(bpf_rights(host));
    checks.push(bpf_kernel(host));
    checks.push(uprobes(host));
    checks.push(kernel_names(host));
    checks
}

/// What to say where the program runs Go code on more CPUs than its control group may use.
///
/// Since Go 1.25 the runtime looks at the quota itself: rounded up, and not less than 2 (`runtime/cgroup_linux.go`, internal/runtime/cgroup).
pub fn quota_advice(gomaxprocs: u32, quota_cpus: f64) -> Option<String> {
    let fitting = (quota_cpus.ceil() as u32).max(2);
    (gomaxprocs > fitting).then(|| {
        format!("more than the CPU quota of {quota_cpus} CPUs, so the kernel throttles it: set GOMAXPROCS={fitting}, or build with Go 1.25 or later")
    })
}

fn check(subject: &'static str, commands: &'static [&'static str], state: State, detail: impl Into<String>) -> Check {
    Check { subject, commands, state, detail: detail.into(), fixes: Vec::new() }
}

impl Check {
    fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fixes.push(fix.into());
        self
    }
}

fn functions(symbols: &Symbols) -> Check {
    match &symbols.functions {
        Ok(count) => check("Go symbols", GOROUTINES, State::Ok, format!("{count} functions in the Go function table (pclntab)")),
        Err(why) => check("Go symbols", GOROUTINES, State::Missing, why.clone())
            .fix("use a binary as the Go linker wrote it: not packed, not obfuscated"),
    }
}

fn layout(symbols: &Symbols) -> Check {
    match &symbols.layout {
        Ok("table") => check("runtime layout", MEMORY, State::Ok, "offsets of this Go version are known"),
        Ok("dwarf") => check("runtime layout", MEMORY, State::Ok, "offsets from the binary's own DWARF"),
        Ok(_) => check(
            "runtime layout",
            MEMORY,
            State::Limited,
            "this Go version is not known; offsets of the nearest one are assumed and checked",
        )
        .fix("use a newer goscope, or a binary with DWARF (without -w)"),
        Err(why) => check("runtime layout", MEMORY, State::Missing, why.clone()),
    }
}

fn native_symbols(binary: &Binary) -> Check {
    match (binary.mode.cgo(), binary.stripped) {
        (false, _) => check("C symbols", GOROUTINES, State::Ok, "no C code is linked in"),
        (true, false) => check("C symbols", GOROUTINES, State::Ok, "from the symbol table"),
        (true, true) => {
            check("C symbols", GOROUTINES, State::Limited, "stripped: C functions that are not exported have no name; Go functions do")
                .fix("link without -s to have the names of C functions")
        }
    }
}

fn memory(reach: &Reach) -> Check {
    if reach.obstacles.is_empty() {
        return check("read memory", MEMORY, State::Ok, format!("allowed ({})", reach.granted_by));
    }
    let refused = check("read memory", MEMORY, State::Missing, reach.reasons.join("; "));
    reach.ways_out.iter().fold(refused, |check, way| check.fix(way.clone()))
}

fn stops(reach: &Reach, host: &Host) -> Option<Check> {
    let stop = |state, detail: String| check("stop threads", GOROUTINES, state, detail);
    if let Some(tracer) = reach.tracer {
        let told = format!("process {tracer} traces it: running goroutines cannot be read");
        return Some(stop(State::Limited, told).fix("detach the other debugger"));
    }
    if reach.frozen {
        return Some(stop(State::Limited, "its control group is frozen; its goroutines can be read as they stand".to_owned()));
    }
    if matches!(reach.state, 'T' | 't') {
        return Some(stop(State::Limited, "it is stopped by a signal; its goroutines can be read as they stand".to_owned()));
    }
    if !reach.obstacles.is_empty() {
        return None;
    }
    Some(match host.caps_effective & CAP_SYS_NICE {
        0 => stop(State::Ok, "allowed; without CAP_SYS_NICE a busy machine may make a stop longer".to_owned()),
        _ => stop(State::Ok, "allowed, with a real-time ptrace thread".to_owned()),
    })
}

fn residency(reach: &Reach) -> Check {
    match reach.pagemap {
        true => check("page residency", GOROUTINES, State::Ok, "pages that are swapped out are left alone (pagemap)"),
        false => {
            check("page residency", GOROUTINES, State::Limited, "/proc/PID/pagemap cannot be read: reading may bring swapped pages in")
        }
    }
}

fn bpf_rights(host: &Host) -> Check {
    let has = |cap: u64| host.caps_effective & cap != 0;
    let allowed = has(CAP_SYS_ADMIN) || (has(CAP_BPF) && has(CAP_PERFMON));
    if host.lockdown.as_deref() == Some("confidentiality") {
        return check("BPF rights", BPF, State::Missing, "kernel lockdown is in confidentiality mode, where BPF may not read memory")
            .fix("boot without lockdown=confidentiality");
    }
    if allowed {
        return check("BPF rights", BPF, State::Ok, if has(CAP_SYS_ADMIN) { "CAP_SYS_ADMIN" } else { "CAP_BPF and CAP_PERFMON" });
    }
    let missing = check("BPF rights", BPF, State::Missing, "CAP_BPF and CAP_PERFMON are not held");
    if host.root {
        missing.fix("give the container the capabilities: docker run --cap-add=BPF --cap-add=PERFMON")
    } else {
        missing.fix("run goscope as root")
    }
}

fn bpf_kernel(host: &Host) -> Check {
    let version = host.kernel.map_or_else(|| "of unknown version".to_owned(), |(major, minor)| format!("{major}.{minor}"));
    match (host.kernel, host.btf) {
        // BPF_MAP_TYPE_RINGBUF and CAP_BPF came with 5.8.
        (Some(kernel), _) if kernel < (5, 8) => {
            check("BPF kernel", BPF, State::Missing, format!("kernel {version} is older than 5.8")).fix("use a newer kernel")
        }
        (_, false) => {
            check("BPF kernel", BPF, State::Missing, format!("kernel {version} without type information (/sys/kernel/btf/vmlinux)"))
                .fix("use a kernel built with CONFIG_DEBUG_INFO_BTF=y")
        }
        (_, true) => check("BPF kernel", BPF, State::Ok, format!("kernel {version} with type information (BTF)")),
    }
}

fn uprobes(host: &Host) -> Check {
    match (host.uprobes, host.kernel) {
        (false, _) => {
            check("uprobes", LATENCY, State::Missing, "the kernel has none").fix("use a kernel built with CONFIG_UPROBE_EVENTS=y")
        }
        // bpf_link of type uprobe_multi: 6.6.
        (true, Some(kernel)) if kernel >= (6, 6) => check("uprobes", LATENCY, State::Ok, "many at once (uprobe_multi)"),
        (true, _) => {
            check("uprobes", LATENCY, State::Limited, "only one by one (uprobe_multi came with 6.6): attaching and detaching takes seconds")
        }
    }
}

fn kernel_names(host: &Host) -> Check {
    let privileged = host.caps_effective & (1 << 34 | CAP_SYS_ADMIN) != 0;
    match host.kptr_restrict {
        Some(2..) => check("kernel symbols", KERNEL_FRAMES, State::Limited, "kernel.kptr_restrict is 2: kernel frames have no names")
            .fix("sysctl kernel.kptr_restrict=1"),
        Some(1) if !privileged => {
            check("kernel symbols", KERNEL_FRAMES, State::Limited, "kernel.kptr_restrict is 1 and CAP_SYSLOG is not held")
        }
        _ if !privileged && host.perf_event_paranoid.is_some_and(|level| level > 1) => check(
            "kernel symbols",
            KERNEL_FRAMES,
            State::Limited,
            "kernel addresses are hidden from this user (kernel.perf_event_paranoid)",
        ),
        _ => check("kernel symbols", KERNEL_FRAMES, State::Ok, "readable (/proc/kallsyms)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root_host() -> Host {
        Host {
            kernel: Some((6, 18)),
            caps_effective: u64::MAX,
            root: true,
            btf: true,
            uprobes: true,
            lockdown: None,
            perf_event_paranoid: Some(2),
            kptr_restrict: Some(0),
        }
    }

    #[test]
    fn bpf() {
        let state = |host: &Host| (bpf_rights(host).state, bpf_kernel(host).state, uprobes(host).state);
        assert_eq!(state(&root_host()), (State::Ok, State::Ok, State::Ok));
        let old = Host { kernel: Some((5, 4)), ..root_host() };
        assert_eq!(state(&old), (State::Ok, State::Missing, State::Limited));
        let bare = Host { btf: false, uprobes: false, ..root_host() };
        assert_eq!(state(&bare), (State::Ok, State::Missing, State::Missing));
        let locked = Host { lockdown: Some("confidentiality".into()), ..root_host() };
        assert_eq!(bpf_rights(&locked).state, State::Missing);
    }

    #[test]
    fn whoever_misses_something_is_told_a_way_that_is_open() {
        let user = bpf_rights(&Host { caps_effective: 0, root: false, ..root_host() });
        assert!(user.fixes[0].contains("as root"));
        let container = bpf_rights(&Host { caps_effective: 0, root: true, ..root_host() });
        assert!(container.fixes[0].contains("--cap-add") && !container.fixes[0].contains("as root"));
    }

    #[test]
    fn quotas() {
        assert!(quota_advice(8, 1.5).unwrap().contains("GOMAXPROCS=2"));
        assert!(quota_advice(8, 3.2).unwrap().contains("GOMAXPROCS=4"));
        assert_eq!(quota_advice(2, 0.5), None);
        assert_eq!(quota_advice(4, 4.0), None);
    }

    #[test]
    fn a_traced_or_stopped_target() {
        let reach = Reach { state: 'S', pagemap: true, granted_by: "same user", ..Reach::default() };
        assert_eq!(stops(&reach, &root_host()).unwrap().state, State::Ok);
        assert_eq!(stops(&Reach { tracer: Some(7), ..reach.clone() }, &root_host()).unwrap().state, State::Limited);
        assert_eq!(stops(&Reach { state: 'T', ..reach.clone() }, &root_host()).unwrap().state, State::Limited);
        assert_eq!(stops(&Reach { frozen: true, ..reach.clone() }, &root_host()).unwrap().state, State::Limited);
        assert_eq!(memory(&reach).state, State::Ok);
    }
}
