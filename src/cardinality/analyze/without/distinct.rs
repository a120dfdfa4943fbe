//! Counts distinct keys: the inner loop of leave-one-out.
//!
//! Keys are spread over partitions by a hash, so that the table that finds the repeated ones of a partition stays in the cache.

/// Reused from count to count: 8 bytes for each key of the longest input.
#[derive(Debug, Default)]
pub struct Workspace {
    keys: Vec<u64>,
    table: Vec<u64>,
    /// For each partition where its next key goes; after the last one, where it ends.
    ends: Vec<u32>,
}

/// About how many keys a partition gets: their table then fits the first-level cache.
const PARTITION: usize = 2048;
/// Writing to more places at once than this costs more than a bigger table.
const MOST_PARTITION_BITS: u32 = 11;

impl Workspace {
    /// The distinct ones of `key & mask`, in no particular order. None of these may be 0.
    pub fn distinct(&mut self, keys: &[u64], mask: u64) -> &[u64] {
        let bits = (keys.len() / PARTITION).checked_ilog2().map_or(0, |log| (log + 1).min(MOST_PARTITION_BITS));
        let count = if bits == 0 {
            self.keys.clear();
            self.keys.extend(keys.iter().map(|key| key & mask));
            keep_distinct(&mut self.keys, 0, keys.len(), 0, &mut self.table, 0)
        } else {
            self.partition(keys, mask, bits);
            let (mut begin, mut kept) = (0, 0);
            for &end in &self.ends[..1 << bits] {
                kept = keep_distinct(&mut self.keys, begin, end as usize, kept, &mut self.table, bits);
                begin = end as usize;
            }
            kept
        };
        &self.keys[..count]
    }

    fn partition(&mut self, keys: &[u64], mask: u64, bits: u32) {
        self.ends.clear();
        self.ends.resize((1 << bits) + 1, 0);
        let place = |key: u64| (spread(key) >> (64 - bits)) as usize;
        for key in keys {
            self.ends[place(key & mask) + 1] += 1;
        }
        for at in 1..self.ends.len() {
            self.ends[at] += self.ends[at - 1];
        }
        // What was there is overwritten whole.
        self.keys.resize(keys.len(), 0);
        for key in keys {
            let key = key & mask;
            let end = &mut self.ends[place(key)];
            self.keys[*end as usize] = key;
            *end += 1;
        }
    }
}

/// Moves the distinct ones of `keys[begin..end]` to `keys[to..]`, and returns where they end. All have the same top `used` bits of hash.
fn keep_distinct(keys: &mut [u64], begin: usize, end: usize, to: usize, table: &mut Vec<u64>, used: u32) -> usize {
    let mut bits = ((end - begin).clamp(8, PARTITION) * 2).next_power_of_two().ilog2();
    clear(table, bits);
    let mut kept = to;
    for at in begin..end {
        let key = keys[at];
        if insert(table, key, used, bits) {
            keys[kept] = key;
            kept += 1;
            if (kept - to) * 2 > table.len() {
                bits += 1;
                clear(table, bits);
                for key in &keys[to..kept] {
                    insert(table, *key, used, bits);
                }
            }
        }
    }
    kept
}

fn clear(table: &mut Vec<u64>, bits: u32) {
    table.clear();
    table.resize(1 << bits, 0);
}

/// Whether it was not there yet.
#[inline]
fn insert(table: &mut [u64], key: u64, used: u32, bits: u32) -> bool {
    let last = table.len() - 1;
    let mut slot = ((spread(key) << used) >> (64 - bits)) as usize;
    loop {
        match table[slot & last] {
            0 => {
                table[slot & last] = key;
                return true;
            }
            there if there == key => return false,
            _ => slot += 1,
        }
    }
}

/// The top bits depend on all bits of the key. Never makes one of two keys.
#[inline]
fn spread(key: u64) -> u64 {
    (key ^ (key >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn check(keys: &[u64], mask: u64) {
        let expected: BTreeSet<u64> = keys.iter().map(|key| key & mask).collect();
        let mut workspace = Workspace::default();
        let found = workspace.distinct(keys, mask);
        assert_eq!(found.len(), expected.len());
        assert_eq!(found.iter().copied().collect::<BTreeSet<u64>>(), expected);
    }

    const TOP: u64 = 1 << 63;

    #[test]
    fn many_keys_few_of_them_distinct() {
        check(&(0..300_000).map(|n| TOP | (n % 7)).collect::<Vec<u64>>(), u64::MAX);
    }

    #[test]
    fn many_keys_all_distinct() {
        check(&(0..300_000).map(|n| TOP | n).collect::<Vec<u64>>(), u64::MAX);
        check(&(0..300_000).map(|n| TOP | n << 44).collect::<Vec<u64>>(), u64::MAX);
    }

    #[test]
    fn one_partition_with_far_more_keys_than_others() {
        let skewed = (0..100_000u64).filter(|n| spread(TOP | n) >> 60 == 3).flat_map(|n| [TOP | n, TOP | 5]);
        check(&skewed.collect::<Vec<u64>>(), u64::MAX);
    }

    proptest! {
        #[test]
        fn as_a_set_has_it(keys in prop::collection::vec(0..5000u64, 0..20_000), shift in 0..50u32, mask: u64) {
            let keys: Vec<u64> = keys.iter().map(|key| TOP | key << shift).collect();
            check(&keys, mask | TOP);
        }
    }
}
