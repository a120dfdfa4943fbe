//! /proc/PID/stat and /proc/PID/status, of a process or of one thread.

/// What `stat` alone tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    pub comm: String,
    /// R S D T t Z X I, as in proc(5).
    pub state: char,
    pub parent: u32,
    pub kernel_thread: bool,
    pub threads: u32,
    /// Clock ticks from boot to its start.
    pub start_ticks: u64,
    pub rss_pages: u64,
}

impl Stat {
    pub fn parse(text: &[u8]) -> Option<Stat> {
        // comm is in parentheses and may itself hold some, so the last one counts.
        let open = text.iter().position(|byte| *byte == b'(')?;
        let close = text.iter().rposition(|byte| *byte == b')')?;
        let comm = String::from_utf8_lossy(text.get(open + 1..close)?).into_owned();
        let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
        // Index 0 is the third field of proc(5).
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        const PF_KTHREAD: u64 = 0x0020_0000;
        Some(Stat {
            comm,
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            kernel_thread: fields.get(6)?.parse::<u64>().ok()? & PF_KTHREAD != 0,
            threads: fields.get(17)?.parse().ok()?,
            start_ticks: fields.get(19)?.parse().ok()?,
            rss_pages: fields.get(21)?.parse().unwrap_or(0),
        })
    }
}

/// What goscope needs of `status`. Ids are in goscope's namespaces where not said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    pub tgid: u32,
    pub state: char,
    /// The process that traces it; 0 is none.
    pub tracer: u32,
    /// Real, effective, saved, file system.
    pub uids: [u32; 4],
    pub gids: [u32; 4],
    /// Its number in each pid namespace, from goscope's own to its innermost.
    pub ns_pids: Vec<u32>,
    pub threads: u32,
    pub rss_bytes: u64,
    pub swap_bytes: u64,
    pub caps_permitted: u64,
    pub caps_effective: u64,
    /// 0 none, 1 strict, 2 filter.
    pub seccomp: u32,
}

impl Status {
    pub fn parse(text: &[u8]) -> Option<Status> {
        let text = String::from_utf8_lossy(text);
        let mut status = Status::default();
        for line in text.lines() {
            let Some((key, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            let number = || value.split_ascii_whitespace().next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
            match key {
                "Tgid" => status.tgid = value.parse().ok()?,
                "State" => status.state = value.chars().next()?,
                "TracerPid" => status.tracer = number() as u32,
                "Uid" => status.uids = four(value)?,
                "Gid" => status.gids = four(value)?,
                "NSpid" => status.ns_pids = value.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect(),
                "Threads" => status.threads = number() as u32,
                "VmRSS" => status.rss_bytes = number().saturating_mul(1024),
                "VmSwap" => status.swap_bytes = number().saturating_mul(1024),
                "CapPrm" => status.caps_permitted = u64::from_str_radix(value, 16).ok()?,
                "CapEff" => status.caps_effective = u64::from_str_radix(value, 16).ok()?,
                "Seccomp" => status.seccomp = number() as u32,
                _ => {}
            }
        }
        (status.tgid != 0).then_some(status)
    }

    /// Its number in its own, innermost pid namespace.
    pub fn innermost_pid(&self) -> Option<u32> {
        self.ns_pids.last().copied()
    }
}

fn four(text: &str) -> Option<[u32; 4]> {
    let mut ids = text.split_ascii_whitespace().map(|word| word.parse().ok());
    Some([ids.next()??, ids.next()??, ids.next()??, ids.next()??])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_parses_or_does_not(text in "([ -~]|\\PC|\n|\t){0,300}", bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for text in [text.as_bytes(), &bytes] {
                let _ = (Stat::parse(text), Status::parse(text));
            }
        }
    }

    #[test]
    fn a_comm_may_hold_anything() {
        let stat = b"42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 1 2 0 0 20 0 7 0 12345 1000 250 18446744073709551615 1 1 0";
        let stat = Stat::parse(stat).unwrap();
        assert_eq!(stat.comm, "a) b (c");
        assert_eq!((stat.state, stat.parent, stat.threads, stat.start_ticks, stat.rss_pages), ('S', 1, 7, 12345, 250));
        assert!(!stat.kernel_thread);
        assert!(Stat::parse(b"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0 0").unwrap().kernel_thread);
        assert_eq!(Stat::parse(b"42 (x"), None);
        assert_eq!(Stat::parse(b"42 (x) S 1"), None);
    }

    #[test]
    fn status_fields() {
        let text = b"Name:\tx\nState:\tS (sleeping)\nTgid:\t42\nPid:\t43\nTracerPid:\t9\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n\
            NSpid:\t43\t7\t1\nVmRSS:\t    1024 kB\nThreads:\t3\nCapPrm:\t00000000000000ff\nCapEff:\t0000000000080000\nSeccomp:\t2\n";
        let status = Status::parse(text).unwrap();
        assert_eq!(status.uids, [1, 2, 3, 4]);
        assert_eq!(status.gids, [5, 6, 7, 8]);
        assert_eq!((status.tgid, status.state, status.tracer, status.threads), (42, 'S', 9, 3));
        assert_eq!(status.innermost_pid(), Some(1));
        assert_eq!((status.rss_bytes, status.caps_effective, status.caps_permitted, status.seccomp), (1 << 20, 1 << 19, 255, 2));
        assert_eq!(Status::parse(b"garbage"), None);
    }
}
