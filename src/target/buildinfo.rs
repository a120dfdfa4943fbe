//! What the go command wrote into a binary: version, modules, settings, version control.
//!
//! Layout of `debug/buildinfo`, its text of `runtime/debug/mod.go`.

use memchr::memmem;

use super::elf::Elf;
use super::layout::GoVersion;
use crate::error::{Error, Result};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildInfo {
    /// As `go version` prints it: `go1.26.8`, `devel go1.28-…`; `unknown` when it was wiped (garble).
    pub go_version: String,
    /// Import path of the main package; empty when unknown.
    pub path: String,
    pub main: Option<Module>,
    /// In the order of the file: by path.
    pub deps: Vec<Module>,
    /// `-ldflags`, `CGO_ENABLED`, `vcs.revision` …
    pub settings: Vec<(String, String)>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Module {
    pub path: String,
    /// `(devel)`, `v1.2.3`, a pseudo-version; may be empty.
    pub version: String,
    /// `h1:…`; empty when there is none.
    pub sum: String,
    /// What was built in its place.
    pub replace: Option<Box<Module>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vcs<'a> {
    /// `git`.
    pub system: &'a str,
    pub revision: &'a str,
    /// RFC 3339.
    pub time: &'a str,
    /// The working tree had changes.
    pub modified: bool,
}

const MAGIC: &[u8] = b"\xff Go buildinf:";
const HEADER: u64 = 32;
const ALIGN: u64 = 16;
/// Strings follow the header inline; before Go 1.18 it held pointers to them.
const FLAG_INLINE: u8 = 2;
/// `modinfo` is framed by these many bytes on both sides (`cmd/go/internal/modload`: infoStart, infoEnd).
const FRAME: usize = 16;
/// Far above what real programs have (thousands of modules make some hundred KiB).
const LONGEST: u64 = 16 << 20;
const WINDOW: u64 = 1 << 20;

impl BuildInfo {
    /// `None` when the file has none.
    ///
    /// Errors: Target when it was built by Go before 1.18; Io when it is cut or corrupt.
    pub fn find(elf: &Elf) -> Result<Option<BuildInfo>> {
        if let Some(section) = elf.section(".go.buildinfo")
            && let Some(found) = find_between(elf, section.offset, section.size.min(WINDOW))?
        {
            return Ok(Some(found));
        }
        // By content, as section headers may be missing: in data that is not code, most likely in the writable part.
        let mut segments: Vec<_> = elf.segments.iter().filter(|segment| !segment.executable || segment.writable).collect();
        segments.sort_by_key(|segment| !segment.writable);
        for segment in segments {
            if let Some(found) = find_between(elf, segment.offset, segment.filesz)?.filter(|found| names_a_go(&found.go_version)) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// From the text that the go command writes (without its frame). Lines that are not understood are left out.
    pub fn parse(go_version: &str, text: &str) -> BuildInfo {
        let mut info = BuildInfo { go_version: go_version.to_owned(), ..BuildInfo::default() };
        // Which module a `=>` line replaces.
        let mut last_is_main = false;
        for line in text.lines() {
            let Some((word, rest)) = line.split_once('\t') else { continue };
            match word {
                "path" => info.path = rest.to_owned(),
                "mod" => {
                    info.main = Module::parse(rest);
                    last_is_main = true;
                }
                "dep" => {
                    info.deps.extend(Module::parse(rest));
                    last_is_main = false;
                }
                "=>" => {
                    let last = if last_is_main { info.main.as_mut() } else { info.deps.last_mut() };
                    if let Some(last) = last {
                        last.replace = Module::parse(rest).map(Box::new);
                    }
                }
                "build" => info.settings.extend(parse_setting(rest)),
                _ => {}
            }
        }
        info
    }

    /// `None` for versions that are not understood.
    pub fn version(&self) -> Option<GoVersion> {
        GoVersion::parse(&self.go_version)
    }

    pub fn setting(&self, key: &str) -> Option<&str> {
        self.settings.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    pub fn vcs(&self) -> Option<Vcs<'_>> {
        let text = |key| self.setting(key).unwrap_or_default();
        let vcs =
            Vcs { system: text("vcs"), revision: text("vcs.revision"), time: text("vcs.time"), modified: text("vcs.modified") == "true" };
        (!vcs.system.is_empty() || !vcs.revision.is_empty()).then_some(vcs)
    }

    /// Path of the main module, else of the main package.
    pub fn main_path(&self) -> &str {
        self.main.as_ref().map_or(self.path.as_str(), |main| main.path.as_str())
    }

    /// What people call the program: the last element of the main module's path that is not a `/vN` suffix.
    pub fn short_name(&self) -> &str {
        let major = |part: &str| part.strip_prefix('v').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        let path = self.main_path();
        path.rsplit('/').find(|part| !major(part)).unwrap_or(path)
    }
}

impl Module {
    /// `path`, `path\tversion` or `path\tversion\tsum`.
    fn parse(text: &str) -> Option<Module> {
        let mut parts = text.split('\t');
        let path = parts.next().filter(|path| !path.is_empty())?;
        let mut part = || parts.next().unwrap_or_default().to_owned();
        Some(Module { path: path.to_owned(), version: part(), sum: part(), replace: None })
    }
}

/// `key=value`, either one quoted as a Go string where it holds blanks, quotes or `=`.
fn parse_setting(text: &str) -> Option<(String, String)> {
    let (key, rest) = if text.starts_with(['"', '`']) {
        let end = quoted_len(text)?;
        (unquote(&text[..end])?, text[end..].strip_prefix('=')?)
    } else {
        let (key, rest) = text.split_once('=')?;
        (key.to_owned(), rest)
    };
    let value = if rest.starts_with(['"', '`']) { unquote(rest)? } else { rest.to_owned() };
    (!key.is_empty()).then_some((key, value))
}

/// Bytes of the quoted Go string that `text` begins with.
fn quoted_len(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let quote = *bytes.first()?;
    let mut at = 1;
    loop {
        match *bytes.get(at)? {
            b if b == quote => return Some(at + 1),
            b'\\' if quote == b'"' => at += 2,
            _ => at += 1,
        }
    }
}

/// As Go's strconv.Unquote, for "…" and `…`.
fn unquote(text: &str) -> Option<String> {
    if quoted_len(text)? != text.len() {
        return None;
    }
    let inner = &text[1..text.len() - 1];
    if text.starts_with('`') {
        return Some(inner.to_owned());
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let escape = chars.next()?;
        let mut number = |digits: usize, first: &str, radix: u32| -> Option<u32> {
            let mut word = first.to_owned();
            while word.len() < digits {
                word.push(chars.next()?);
            }
            u32::from_str_radix(&word, radix).ok()
        };
        match escape {
            'a' => bytes.push(7),
            'b' => bytes.push(8),
            'f' => bytes.push(12),
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            'v' => bytes.push(11),
            '\\' | '"' => bytes.push(escape as u8),
            'x' => bytes.push(number(2, "", 16)? as u8),
            '0'..='7' => bytes.push(u8::try_from(number(3, escape.encode_utf8(&mut [0; 4]), 8)?).ok()?),
            'u' | 'U' => {
                let c = char::from_u32(number(if escape == 'u' { 4 } else { 8 }, "", 16)?)?;
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            _ => return None,
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// A program that only knows the magic, such as a reader of build information, has something else behind it.
fn names_a_go(version: &str) -> bool {
    ["go1", "devel", "unknown"].iter().any(|start| version.starts_with(start))
}

/// Looks at every aligned place between two offsets of the file.
fn find_between(elf: &Elf, start: u64, len: u64) -> Result<Option<BuildInfo>> {
    let end = start.saturating_add(len).min(elf.file_len());
    let mut at = start;
    while at < end {
        let size = (end - at).min(WINDOW + HEADER);
        let bytes = elf.read_offset(at, size)?;
        for hit in memmem::find_iter(&bytes, MAGIC) {
            let offset = at + hit as u64;
            if offset.is_multiple_of(ALIGN)
                && let Some(found) = read(elf, offset)?
            {
                return Ok(Some(found));
            }
        }
        at += WINDOW;
    }
    Ok(None)
}

/// `None` when something else happens to begin with the magic.
fn read(elf: &Elf, offset: u64) -> Result<Option<BuildInfo>> {
    let Ok(header) = elf.read_offset(offset, HEADER) else { return Ok(None) };
    let (pointer_size, flags) = (header[14], header[15]);
    if flags & FLAG_INLINE == 0 {
        // Pointer era: 4 or 8 byte pointers, either byte order.
        return match (pointer_size, flags) {
            (4 | 8, 0 | 1) => Err(Error::target("built by a Go older than 1.18")
                .hint("goscope reads Go 1.18 and later; rebuild the program with a current Go")),
            _ => Ok(None),
        };
    }
    let rest = elf.file_len().saturating_sub(offset + HEADER);
    let mut bytes = Blob { elf, at: offset + HEADER, left: rest };
    let Some(version) = bytes.string() else { return Ok(None) };
    let Ok(version) = String::from_utf8(version) else { return Ok(None) };
    if version.is_empty() || version.len() > 256 || version.contains(|c: char| c.is_control()) {
        return Ok(None);
    }
    let modinfo = bytes.string().unwrap_or_default();
    Ok(Some(BuildInfo::parse(&version, &unframed(&modinfo))))
}

/// The text between the two marks; empty when it is not framed as expected (`debug/buildinfo.readRawBuildInfo`).
fn unframed(modinfo: &[u8]) -> String {
    match modinfo.len().checked_sub(FRAME + 1).and_then(|at| modinfo.get(at)) {
        Some(b'\n') if modinfo.len() > 2 * FRAME => String::from_utf8_lossy(&modinfo[FRAME..modinfo.len() - FRAME]).into_owned(),
        _ => String::new(),
    }
}

struct Blob<'a> {
    elf: &'a Elf,
    at: u64,
    left: u64,
}

impl Blob<'_> {
    /// A uvarint length and that many bytes.
    fn string(&mut self) -> Option<Vec<u8>> {
        let head = self.elf.read_offset(self.at, self.left.min(10)).ok()?;
        let (len, used) = uvarint(&head)?;
        if len > LONGEST || len > self.left.checked_sub(used)? {
            return None;
        }
        let text = self.elf.read_offset(self.at + used, len).ok()?;
        self.at += used + len;
        self.left -= used + len;
        Some(text)
    }
}

/// The value and how many bytes it took.
fn uvarint(bytes: &[u8]) -> Option<(u64, u64)> {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        let part = u64::from(byte & 0x7f);
        if index == 9 && part > 1 {
            return None;
        }
        value |= part << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, index as u64 + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "path\texample.com/shop/v2/cmd/api\nmod\texample.com/shop/v2\tv2.3.4\th1:abc=\n\
        dep\tgithub.com/a/b\tv1.0.0\th1:one=\ndep\tgithub.com/c/d\tv0.1.0\n=>\t../d\t(devel)\t\n\
        build\t-ldflags=\"-X main.v=\\\"a b\\\" -s\"\nbuild\tCGO_ENABLED=0\nbuild\tvcs=git\nbuild\tvcs.revision=0123abcd\n\
        build\tvcs.time=2026-01-02T03:04:05Z\nbuild\tvcs.modified=true\nnonsense\nnew\tkind of line\n";

    #[test]
    fn text() {
        let info = BuildInfo::parse("go1.26.8", TEXT);
        assert_eq!(info.path, "example.com/shop/v2/cmd/api");
        let main = info.main.as_ref().unwrap();
        assert_eq!((main.path.as_str(), main.version.as_str(), main.sum.as_str()), ("example.com/shop/v2", "v2.3.4", "h1:abc="));
        assert_eq!(info.deps.len(), 2);
        assert_eq!(info.deps[0].replace, None);
        let replace = info.deps[1].replace.as_ref().unwrap();
        assert_eq!((replace.path.as_str(), replace.version.as_str()), ("../d", "(devel)"));
        assert_eq!(info.setting("-ldflags"), Some("-X main.v=\"a b\" -s"));
        assert_eq!(info.setting("CGO_ENABLED"), Some("0"));
        let vcs = info.vcs().unwrap();
        assert_eq!((vcs.system, vcs.revision, vcs.time, vcs.modified), ("git", "0123abcd", "2026-01-02T03:04:05Z", true));
        assert_eq!(info.short_name(), "shop");
        assert_eq!(info.version(), Some(GoVersion::new(26, 8)));
    }

    #[test]
    fn names() {
        let name = |path: &str| BuildInfo { path: path.into(), ..BuildInfo::default() }.short_name().to_owned();
        assert_eq!(name("github.com/caddyserver/caddy/v2"), "caddy");
        assert_eq!(name("command-line-arguments"), "command-line-arguments");
        assert_eq!(name("example.com/v2ray"), "v2ray");
        assert_eq!(name("v2"), "v2");
        assert_eq!(name(""), "");
    }

    #[test]
    fn go_strings() {
        assert_eq!(unquote(r#""a\tb\x41\101\u00e9\U0001F600\\\"""#).as_deref(), Some("a\tbAA\u{e9}\u{1f600}\\\""));
        assert_eq!(unquote(r"`raw\n`").as_deref(), Some(r"raw\n"));
        for bad in [r#"""#, r#""a"#, r#""a"b"#, r#""\"#, r#""\q""#, r#""\x4""#, r#""\ud800""#, r#""\777""#, ""] {
            assert_eq!(unquote(bad), None, "{bad}");
        }
        assert_eq!(parse_setting(r#""a=b"="c d""#), Some(("a=b".into(), "c d".into())));
        assert_eq!(parse_setting("=x"), None);
        assert_eq!(parse_setting("a="), Some(("a".into(), String::new())));
    }

    fn encode(version: &str, text: &str) -> Vec<u8> {
        let mut blob = MAGIC.to_vec();
        blob.extend([8, FLAG_INLINE]);
        blob.resize(HEADER as usize, 0);
        let framed = [&[b'<'; FRAME], text.as_bytes(), &[b'>'; FRAME]].concat();
        for string in [version.as_bytes(), if text.is_empty() { &[] } else { &framed }] {
            let mut len = string.len();
            while len >= 0x80 {
                blob.push(len as u8 | 0x80);
                len >>= 7;
            }
            blob.push(len as u8);
            blob.extend(string);
        }
        blob
    }

    /// An ELF file with one segment that holds `data` at an aligned place, and no section headers.
    fn executable(data: &[u8], padding: usize) -> Elf {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(16, 0);
        let half = |bytes: &mut Vec<u8>, value: u16| bytes.extend(value.to_le_bytes());
        let word = |bytes: &mut Vec<u8>, value: u32| bytes.extend(value.to_le_bytes());
        let long = |bytes: &mut Vec<u8>, value: u64| bytes.extend(value.to_le_bytes());
        half(&mut bytes, 2);
        half(&mut bytes, 62);
        word(&mut bytes, 1);
        long(&mut bytes, 0x40_1000);
        long(&mut bytes, 64);
        long(&mut bytes, 0);
        word(&mut bytes, 0);
        for value in [64, 56, 1, 0, 0, 0] {
            half(&mut bytes, value);
        }
        let size = (padding + data.len()) as u64;
        word(&mut bytes, 1);
        word(&mut bytes, 6);
        long(&mut bytes, 128);
        long(&mut bytes, 0x40_0080);
        long(&mut bytes, 0);
        long(&mut bytes, size);
        long(&mut bytes, size);
        long(&mut bytes, 4096);
        bytes.resize(128 + padding, 0);
        bytes.extend(data);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        Elf::from_file(file).unwrap()
    }

    #[test]
    fn found_by_content_alone() {
        let expected = BuildInfo::parse("go1.22.12", TEXT);
        for padding in [0, 16, 4096, WINDOW as usize - 16, WINDOW as usize, 2 * WINDOW as usize + 48] {
            let elf = executable(&encode("go1.22.12", TEXT), padding);
            assert_eq!(BuildInfo::find(&elf).unwrap().as_ref(), Some(&expected), "{padding}");
        }
        assert_eq!(BuildInfo::find(&executable(&encode("go1.22.12", TEXT), 8)).unwrap(), None, "not aligned");
        assert_eq!(BuildInfo::find(&executable(b"nothing", 0)).unwrap(), None);
        let wiped = BuildInfo::find(&executable(&encode("unknown", ""), 0)).unwrap().unwrap();
        assert_eq!((wiped.go_version.as_str(), wiped.main), ("unknown", None));
    }

    #[test]
    fn a_program_that_knows_the_magic_is_not_go() {
        assert_eq!(BuildInfo::find(&executable(&encode("in/go1.18.101.19.13", ""), 0)).unwrap(), None);
        assert!(BuildInfo::find(&executable(&encode("devel go1.28-0123abc", ""), 0)).unwrap().is_some());
    }

    #[test]
    fn the_pointer_era_is_named() {
        let mut old = encode("go1.17", "");
        old[15] = 0;
        let error = BuildInfo::find(&executable(&old, 0)).unwrap_err();
        assert!(error.message.contains("older than 1.18"));
        assert_eq!(error.kind.exit_code(), 3);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn foreign_bytes_never_panic(mut blob in proptest::collection::vec(any::<u8>(), 0..400), inline: bool) {
            let mut bytes = MAGIC.to_vec();
            bytes.extend([8, if inline { 2 } else { 0 }]);
            bytes.append(&mut blob);
            let _ = BuildInfo::find(&executable(&bytes, 0));
        }

        #[test]
        fn a_damaged_blob_never_panics(at in 0usize..600, byte: u8, cut in 0usize..600) {
            let mut blob = encode("go1.25.1", TEXT);
            let len = blob.len();
            blob[at % len] = byte;
            blob.truncate(len - cut % len);
            let _ = BuildInfo::find(&executable(&blob, 0));
        }

        #[test]
        fn any_text_parses(text in "\\PC*|([a-z=>]{0,5}\t[\\PC\"`\\\\]{0,20}\n){0,8}") {
            let _ = BuildInfo::parse("go1.26.8", &text);
        }

        #[test]
        fn settings_round_trip(key in "[a-zA-Z.=\\- ]{1,12}", value in "[ -~é\t]{0,24}") {
            // As `cmd/go` quotes: `quoteKey`, `quoteValue` of runtime/debug.
            let quote = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\t', "\\t"));
            let line = format!("{}={}", quote(&key), quote(&value));
            prop_assert_eq!(parse_setting(&line), Some((key, value)));
        }

        #[test]
        fn varints_round_trip(value: u64) {
            let mut bytes = Vec::new();
            let mut rest = value;
            while rest >= 0x80 { bytes.push(rest as u8 | 0x80); rest >>= 7; }
            bytes.push(rest as u8);
            prop_assert_eq!(uvarint(&bytes), Some((value, bytes.len() as u64)));
        }
    }
}
