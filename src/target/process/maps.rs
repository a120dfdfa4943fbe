//! /proc/PID/maps.

/// One mapping; addresses are the target's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    pub start: u64,
    pub end: u64,
    pub readable: bool,
    pub writable: bool,
    pub executable: bool,
    pub shared: bool,
    /// Where in the file it begins.
    pub offset: u64,
    pub inode: u64,
    /// As the kernel prints it: a path, `[heap]`, or empty for anonymous memory.
    pub path: String,
}

/// Lines that are not understood are left out.
pub fn parse(text: &[u8]) -> Vec<Mapping> {
    text.split(|byte| *byte == b'\n').filter_map(parse_line).collect()
}

/// `7f0d…-7f0e… r-xp 00001000 fe:01 1234     /usr/lib/libc.so.6`
fn parse_line(line: &[u8]) -> Option<Mapping> {
    let line = String::from_utf8_lossy(line);
    let mut rest = &*line;
    let mut field = || {
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        rest = after;
        word
    };
    let (start, end) = field().split_once('-')?;
    let permissions = field().as_bytes();
    let [read, write, execute, share] = *permissions.first_chunk::<4>()?;
    let offset = u64::from_str_radix(field(), 16).ok()?;
    let _device = field();
    let inode = field().parse().ok()?;
    Some(Mapping {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        readable: read == b'r',
        writable: write == b'w',
        executable: execute == b'x',
        shared: share == b's',
        offset,
        inode,
        path: rest.trim_start().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_parses(text in "([0-9a-f]{0,17}-?[0-9a-f]{0,17} ?[rwxps-]{0,5} ?[0-9a-f:]{0,9} ?[0-9]{0,21} ?\\PC{0,9}\n?){0,4}") {
            let _ = parse(text.as_bytes());
        }
    }

    #[test]
    fn lines() {
        let text = b"00400000-004ef000 r-xp 00001000 fe:01 1311 /opt/a b (deleted)\n\
            c000000000-c004000000 rw-p 00000000 00:00 0 \n\
            7ffc0-7ffe0 rw-p 00000000 00:00 0                          [stack]\n\
            nonsense\n";
        let maps = parse(text);
        assert_eq!(maps.len(), 3);
        assert_eq!((maps[0].start, maps[0].end, maps[0].offset, maps[0].inode), (0x400000, 0x4ef000, 0x1000, 1311));
        assert!(maps[0].readable && maps[0].executable && !maps[0].writable && !maps[0].shared);
        assert_eq!(maps[0].path, "/opt/a b (deleted)");
        assert_eq!(maps[1].path, "");
        assert_eq!(maps[2].path, "[stack]");
    }
}
