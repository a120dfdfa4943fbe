//! pprof labels of a goroutine (`g.labels`): a map until Go 1.23, a sorted slice since 1.24 (`runtime/pprof/label.go`).
//!
//! Other libraries store pointers of their own there, so every length is bounded and anything odd reads as "no labels".

use crate::target::elf::u64_at;
use crate::target::layout::GoVersion;
use crate::target::memory::Memory;

const MAX_LABELS: u64 = 256;
const MAX_TEXT: u64 = 4096;
/// A bucket of `map[string]string` (`runtime/map.go`): 8 tophashes, 8 keys, 8 values, the overflow pointer.
const BUCKET: usize = 8 + 8 * 16 + 8 * 16 + 8;
/// Smallest tophash of a used slot; below are the empty and evacuated marks.
const MIN_TOPHASH: u8 = 5;

/// Keys and values, sorted by key.
pub type Labels = Vec<(String, String)>;

/// `None` if it can't be read or is no label set.
pub fn read(memory: &Memory, address: u64, version: GoVersion) -> Option<Labels> {
    let mut labels = if version < GoVersion::new(24, 0) { read_map(memory, address) } else { read_slice(memory, address) }?;
    labels.sort();
    Some(labels)
}

fn read_slice(memory: &Memory, address: u64) -> Option<Labels> {
    let header = memory.read_vec(address, 24).ok()?;
    let (array, len, capacity) = (u64_at(&header, 0), u64_at(&header, 8), u64_at(&header, 16));
    if len > capacity || len > MAX_LABELS {
        return None;
    }
    if len == 0 {
        return Some(Vec::new());
    }
    let bytes = memory.read_vec(array, len as usize * 32).ok()?;
    bytes.as_chunks::<32>().0.iter().map(|pair| Some((text(memory, pair, 0)?, text(memory, pair, 16)?))).collect()
}

fn read_map(memory: &Memory, address: u64) -> Option<Labels> {
    // `type labelMap map[string]string`: the pointer leads to a word that holds the map.
    let map = memory.word(address).ok()?;
    if map == 0 {
        return Some(Vec::new());
    }
    let header = memory.read_vec(map, 48).ok()?;
    let (count, log_buckets, buckets, old) = (u64_at(&header, 0), header[9], u64_at(&header, 16), u64_at(&header, 24));
    if count > MAX_LABELS || log_buckets > 8 || old != 0 {
        return None;
    }
    let mut labels = Vec::new();
    for bucket in 0..1u64 << log_buckets {
        let mut at = buckets.checked_add(bucket * BUCKET as u64)?;
        let mut chain = 0;
        while at != 0 && count != 0 {
            let bytes = memory.read_vec(at, BUCKET).ok()?;
            for slot in (0..8).filter(|&slot| bytes[slot] >= MIN_TOPHASH) {
                labels.push((text(memory, &bytes, 8 + slot * 16)?, text(memory, &bytes, 8 + 128 + slot * 16)?));
            }
            at = u64_at(&bytes, BUCKET - 8);
            chain += 1;
            if chain > MAX_LABELS || labels.len() as u64 > count {
                return None;
            }
        }
    }
    (labels.len() as u64 == count).then_some(labels)
}

/// The Go string whose header lies at `offset`.
fn text(memory: &Memory, bytes: &[u8], offset: usize) -> Option<String> {
    let (address, len) = (u64_at(bytes, offset), u64_at(bytes, offset + 8));
    if len == 0 {
        return Some(String::new());
    }
    if len > MAX_TEXT {
        return None;
    }
    String::from_utf8(memory.read_vec(address, len as usize).ok()?).ok()
}
