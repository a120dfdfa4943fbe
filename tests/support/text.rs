//! A target's text as it stands in memory: what breakpoints change, and nothing else may.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)] // each test uses a part of it

use std::fs::File;
use std::os::unix::fs::FileExt;

/// How many bytes of the program's text differ in memory from those in its file, as the kernel's own list of mappings pairs them.
pub fn changed_text(pid: u32) -> usize {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let exe = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap();
    let (memory, file) = (File::open(format!("/proc/{pid}/mem")).unwrap(), File::open(&exe).unwrap());
    let mut changed = 0;
    let mut seen = 0;
    for line in maps.lines().filter(|line| line.ends_with(exe.to_str().unwrap())) {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        if !words[1].contains('x') {
            continue;
        }
        let hex = |text: &str| u64::from_str_radix(text, 16).unwrap();
        let (begin, end) = words[0].split_once('-').unwrap();
        let len = (hex(end) - hex(begin)) as usize;
        let (mut here, mut there) = (vec![0; len], vec![0; len]);
        memory.read_exact_at(&mut here, hex(begin)).unwrap();
        let got = file.read_at(&mut there, hex(words[2])).unwrap();
        changed += here[..got].iter().zip(&there[..got]).filter(|(a, b)| a != b).count();
        seen += got;
    }
    assert!(seen > 100_000, "the text was compared");
    changed
}

pub fn assert_untouched(pid: u32) {
    assert_eq!(changed_text(pid), 0, "bytes of the text differ from the file");
}
