//! Reading a live process without touching it: only pages that are already in memory are read, unless told otherwise.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

use rustc_hash::FxHashMap;

use crate::error::{Error, Result};
use crate::sys::memory::{self, MAX_PIECES, Piece};

const PAGE: u64 = 4096;
/// Pages looked up in pagemap at a time: 2 MiB of addresses, 4 KiB of pagemap.
const CHUNK_PAGES: u64 = 512;
/// Two wanted ranges nearer than this are read as one: copying the gap is cheaper than another iovec (~0.4 us).
const MERGE_GAP: u64 = 1024;
/// Where one read gets too large to be merged further.
const MERGE_MAX: u64 = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// A page is swapped out or was never touched.
    NotResident,
    /// Not mapped.
    Fault,
    /// The process is gone or access was refused.
    Gone,
}

/// The right to read a process's memory, and the way to.
pub struct Access {
    pid: u32,
    /// Set when process_vm_readv does not work here.
    mem_file: Option<File>,
    pagemap: Option<File>,
    /// Set once pagemap could not be read.
    pagemap_broken: AtomicBool,
    /// Read pages that are not resident too, which brings them in.
    swap_in: bool,
}

/// One process's memory, with what is known of its residency. Each thread has its own.
pub struct Memory<'a> {
    access: &'a Access,
    /// Residency by 2 MiB chunk.
    resident: RefCell<FxHashMap<u64, Chunk>>,
    /// Counts reads: that a page was absent at an earlier one says nothing, the target may have touched it since.
    turn: Cell<u64>,
}

struct Chunk {
    /// One bit a page.
    resident: Box<[u64; (CHUNK_PAGES / 64) as usize]>,
    /// When it was looked up.
    turn: u64,
}

/// A range to read; afterwards `outcome` says where its bytes are in the batch's buffer.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    pub address: u64,
    pub len: usize,
    pub outcome: std::result::Result<usize, Unread>,
}

impl Request {
    pub fn new(address: u64, len: usize) -> Self {
        Request { address, len, outcome: Err(Unread::Fault) }
    }
}

impl Access {
    /// Checks access by reading `probe`, an address that is certainly mapped.
    ///
    /// Errors: the raw OS error; the caller knows how to explain a refusal.
    pub fn open(pid: u32, probe: u64, swap_in: bool) -> io::Result<Access> {
        let mut access = Access {
            pid,
            mem_file: None,
            pagemap: File::open(format!("/proc/{pid}/pagemap")).ok(),
            pagemap_broken: AtomicBool::new(false),
            swap_in,
        };
        let piece = Piece { address: probe, len: 8, offset: 0 };
        match memory::read_pieces(pid, &[piece], &mut [0; 8]) {
            Ok(_) => Ok(access),
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {
                let file = File::open(format!("/proc/{pid}/mem")).map_err(|_| error)?;
                file.read_at(&mut [0; 8], probe)?;
                access.mem_file = Some(file);
                Ok(access)
            }
            Err(error) => Err(error),
        }
    }

    /// False when residency can't be looked up, so that pages may have been brought in.
    pub fn residency_known(&self) -> bool {
        self.pagemap.is_some() && !self.pagemap_broken.load(Ordering::Relaxed)
    }

    pub fn memory(&self) -> Memory<'_> {
        Memory { access: self, resident: RefCell::default(), turn: Cell::new(0) }
    }
}

impl Memory<'_> {
    pub fn pid(&self) -> u32 {
        self.access.pid
    }

    /// Forgets which pages are resident: stacks grow and pages come and go.
    pub fn forget_residency(&self) {
        self.resident.borrow_mut().clear();
    }

    pub fn read(&self, address: u64, buffer: &mut [u8]) -> std::result::Result<(), Unread> {
        self.next_turn();
        let Some(end) = address.checked_add(buffer.len() as u64) else { return Err(Unread::Fault) };
        if buffer.is_empty() {
            return Ok(());
        }
        if !self.is_resident(address, end) {
            return Err(Unread::NotResident);
        }
        match self.copy(&[Piece { address, len: buffer.len(), offset: 0 }], buffer) {
            Ok(1) => Ok(()),
            Ok(_) => Err(Unread::Fault),
            Err(_) => Err(Unread::Gone),
        }
    }

    pub fn read_vec(&self, address: u64, len: usize) -> std::result::Result<Vec<u8>, Unread> {
        let mut buffer = vec![0; len];
        self.read(address, &mut buffer)?;
        Ok(buffer)
    }

    pub fn word(&self, address: u64) -> std::result::Result<u64, Unread> {
        let mut buffer = [0; 8];
        self.read(address, &mut buffer)?;
        Ok(u64::from_le_bytes(buffer))
    }

    /// Reads many ranges, given in ascending order of address, with as few system calls as possible.
    ///
    /// `buffer` is emptied and filled; each request learns where its bytes are.
    /// Errors: Target when the process is gone.
    pub fn read_batch(&self, requests: &mut [Request], buffer: &mut Vec<u8>) -> Result<()> {
        self.next_turn();
        buffer.clear();
        let runs = self.merge(requests);
        let total = runs.iter().map(|r| r.piece.len).sum();
        buffer.resize(total, 0);
        let pieces: Vec<Piece> = runs.iter().map(|r| r.piece).collect();
        let mut done = 0;
        while done < pieces.len() {
            let batch = &pieces[done..pieces.len().min(done + MAX_PIECES)];
            let whole = self.copy(batch, buffer).map_err(|error| unreadable(self.pid(), error))?;
            for run in &runs[done..done + whole] {
                run.fill_in(requests);
            }
            done += whole;
            if whole < batch.len() {
                self.read_singly(&runs[done], requests, buffer);
                done += 1;
            }
        }
        Ok(())
    }

    /// Ranges that are resident, joined where they are near each other. Not resident ones get their outcome here.
    fn merge(&self, requests: &mut [Request]) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::with_capacity(requests.len() / 4 + 1);
        let mut offset = 0;
        for (index, request) in requests.iter_mut().enumerate() {
            let Some(end) = request.address.checked_add(request.len as u64) else { continue };
            if request.len == 0 {
                request.outcome = Ok(0);
                continue;
            }
            if !self.is_resident(request.address, end) {
                request.outcome = Err(Unread::NotResident);
                continue;
            }
            if let Some(last) = runs.last_mut() {
                let last_end = last.piece.address + last.piece.len as u64;
                let joined = end.max(last_end) - last.piece.address;
                let near = request.address >= last.piece.address && request.address <= last_end.saturating_add(MERGE_GAP);
                if near && joined <= MERGE_MAX && self.is_resident(last_end.min(request.address), request.address) {
                    offset += joined as usize - last.piece.len;
                    last.piece.len = joined as usize;
                    last.last_request = index;
                    continue;
                }
            }
            let piece = Piece { address: request.address, len: request.len, offset };
            offset += request.len;
            runs.push(Run { piece, first_request: index, last_request: index });
        }
        runs
    }

    /// After a run failed as a whole: its requests one by one.
    fn read_singly(&self, run: &Run, requests: &mut [Request], buffer: &mut [u8]) {
        for request in &mut requests[run.first_request..=run.last_request] {
            if request.outcome == Err(Unread::NotResident) {
                continue;
            }
            let offset = run.piece.offset + (request.address - run.piece.address) as usize;
            let Some(target) = buffer.get_mut(offset..offset + request.len) else { continue };
            request.outcome = self.read(request.address, target).map(|()| offset);
        }
    }

    fn copy(&self, pieces: &[Piece], buffer: &mut [u8]) -> io::Result<usize> {
        match &self.access.mem_file {
            None => memory::read_pieces(self.access.pid, pieces, buffer),
            Some(file) => memory::read_pieces_from_file(file, pieces, buffer),
        }
    }

    fn is_resident(&self, start: u64, end: u64) -> bool {
        if self.access.swap_in || start >= end {
            return true;
        }
        (start / PAGE..=(end - 1) / PAGE).all(|page| self.page_is_resident(page))
    }

    /// Presence by /proc/PID/pagemap (bit 63); swapped (bit 62) and never touched pages are both absent.
    fn page_is_resident(&self, page: u64) -> bool {
        let Some(pagemap) = &self.access.pagemap else { return true };
        if self.access.pagemap_broken.load(Ordering::Relaxed) {
            return true;
        }
        let (number, index) = (page / CHUNK_PAGES, (page % CHUNK_PAGES) as usize);
        let mut chunks = self.resident.borrow_mut();
        let chunk = chunks.entry(number).or_insert_with(|| self.look_up(pagemap, number));
        if !chunk.has(index) && chunk.turn != self.turn.get() {
            *chunk = self.look_up(pagemap, number);
        }
        self.access.pagemap_broken.load(Ordering::Relaxed) || chunk.has(index)
    }

    /// True if the pages of this range are neither in memory nor swapped out (bits 63 and 62 of pagemap). Of anonymous memory, such a page was
    /// never written and reads as zeros. False when it is not known.
    pub fn is_untouched(&self, address: u64, len: usize) -> bool {
        let Some(pagemap) = &self.access.pagemap else { return false };
        let Some(end) = address.checked_add(len as u64).filter(|_| len > 0) else { return false };
        (address / PAGE..=(end - 1) / PAGE).all(|page| {
            let mut entry = [0; 8];
            pagemap.read_exact_at(&mut entry, page * 8).is_ok() && u64::from_le_bytes(entry) >> 62 == 0
        })
    }

    fn look_up(&self, pagemap: &File, number: u64) -> Chunk {
        let mut bytes = [0; CHUNK_PAGES as usize * 8];
        let mut chunk = Chunk { resident: Box::new([0; (CHUNK_PAGES / 64) as usize]), turn: self.turn.get() };
        match pagemap.read_at(&mut bytes, number * CHUNK_PAGES * 8) {
            Ok(n) => {
                for (i, entry) in bytes[..n].as_chunks::<8>().0.iter().enumerate() {
                    chunk.resident[i / 64] |= (u64::from_le_bytes(*entry) >> 63) << (i % 64);
                }
            }
            Err(_) => self.access.pagemap_broken.store(true, Ordering::Relaxed),
        }
        chunk
    }

    fn next_turn(&self) {
        self.turn.set(self.turn.get() + 1);
    }
}

impl Chunk {
    fn has(&self, index: usize) -> bool {
        self.resident[index / 64] >> (index % 64) & 1 == 1
    }
}

fn unreadable(pid: u32, error: io::Error) -> Error {
    match error.raw_os_error() {
        // Without an address space: on its way out, or its first thread is, in an execve(2) of another one.
        Some(libc::ESRCH) => Error::target(format!("process {pid} is exiting or executing another program")).hint("run goscope again"),
        _ => Error::target(format!("process {pid} can't be read any more")).because(error),
    }
}

struct Run {
    piece: Piece,
    first_request: usize,
    last_request: usize,
}

impl Run {
    fn fill_in(&self, requests: &mut [Request]) {
        for request in &mut requests[self.first_request..=self.last_request] {
            if request.len != 0 && request.outcome != Err(Unread::NotResident) {
                request.outcome = Ok(self.piece.offset + (request.address - self.piece.address) as usize);
            }
        }
    }
}
