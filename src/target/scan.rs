//! All Go processes that the caller may see.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::binary::Binary;
use super::elf::Elf;
use super::process::{Stat, all_pids};
use crate::error::{Kind, Result};

#[derive(Debug, Clone)]
pub struct Candidate {
    pub pid: u32,
    pub binary: Arc<Binary>,
    /// The executable's path as the target sees it; the kernel adds ` (deleted)` when it is gone.
    pub exe: PathBuf,
}

#[derive(Debug, Default)]
pub struct Scan {
    pub found: Vec<Candidate>,
    /// Processes whose executable the caller may not read: Go or not is unknown.
    pub denied: u64,
    /// /proc hides the processes of other users (hidepid), so that they are not even counted.
    pub hidden: bool,
    /// Go programs of versions that goscope does not read: pid and why.
    pub unsupported: Vec<(u32, String)>,
}

/// Looks at the executable of every process, once for each file, also over many scans.
#[derive(Debug, Default)]
pub struct Scanner {
    known: FxHashMap<FileId, std::result::Result<Arc<Binary>, Option<String>>>,
}

/// Device, inode, and change time: an inode number may be used again.
type FileId = (u64, u64, i64, i64);

impl Candidate {
    /// Base name of the executable.
    pub fn name(&self) -> String {
        let (path, _) = self.exe_path();
        path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Its path without the kernel's mark, and whether the file is gone (`d_path`, fs/d_path.c).
    pub fn exe_path(&self) -> (PathBuf, bool) {
        match self.exe.to_str().and_then(|path| path.strip_suffix(" (deleted)")) {
            Some(path) => (PathBuf::from(path), true),
            None => (self.exe.clone(), false),
        }
    }
}

impl Scanner {
    /// goscope itself is left out.
    pub fn scan(&mut self) -> Result<Scan> {
        let own = std::process::id();
        let mut scan = Scan { hidden: others_are_hidden(), ..Scan::default() };
        for pid in all_pids()? {
            if pid != own {
                self.look_at(pid, &mut scan);
            }
        }
        Ok(scan)
    }

    fn look_at(&mut self, pid: u32, scan: &mut Scan) {
        let link = format!("/proc/{pid}/exe");
        let file = match File::open(&link) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                scan.denied += u64::from(!is_kernel_thread(pid));
                return;
            }
            // Kernel threads and zombies have none; others have just exited.
            Err(_) => return,
        };
        let Ok(metadata) = file.metadata() else { return };
        let id = (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec());
        match self.known.entry(id).or_insert_with(|| inspect(file)) {
            Ok(binary) => {
                let exe = fs::read_link(&link).unwrap_or_default();
                scan.found.push(Candidate { pid, binary: Arc::clone(binary), exe });
            }
            Err(Some(why)) => scan.unsupported.push((pid, why.clone())),
            Err(None) => {}
        }
    }
}

/// proc(5): hidepid; it does not apply to root.
fn others_are_hidden() -> bool {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let proc = mounts.lines().rfind(|line| line.split(' ').nth(4) == Some("/proc"));
    let hides = proc.is_some_and(|line| {
        ["hidepid=1", "hidepid=2", "hidepid=4", "hidepid=noaccess", "hidepid=invisible", "hidepid=ptraceable"]
            .iter()
            .any(|option| line.contains(option))
    });
    hides && fs::metadata("/proc/self").is_ok_and(|own| own.uid() != 0)
}

/// Its missing executable reads as refused to other users.
fn is_kernel_thread(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/stat")).ok().and_then(|text| Stat::parse(&text)).is_some_and(|stat| stat.kernel_thread)
}

/// `Err(None)` is an ordinary program that is not Go, or a file that is no program at all.
fn inspect(file: File) -> std::result::Result<Arc<Binary>, Option<String>> {
    let elf = Elf::from_file(file).map_err(|_| None)?;
    match Binary::find(&elf) {
        Ok(Some(binary)) => Ok(Arc::new(binary)),
        Err(error) if error.kind == Kind::Target => Err(Some(error.message)),
        Ok(None) | Err(_) => Err(None),
    }
}
