//! Bodies that were good, with a few changes.

use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Change {
    Put(usize, &'static [u8]),
    Insert(usize, &'static [u8]),
    Flip(usize, u8),
    Remove(usize),
    Truncate(usize),
}

/// `pieces` are put into `good` at any place; bits are flipped, bytes removed, and the end is cut.
pub fn changed(good: &'static str, pieces: &'static [&'static [u8]]) -> impl Strategy<Value = Vec<u8>> {
    let place = 0..good.len();
    let piece = move || proptest::sample::select(pieces);
    let change = prop_oneof![
        3 => (place.clone(), piece()).prop_map(|(at, piece)| Change::Put(at, piece)),
        5 => (place.clone(), piece()).prop_map(|(at, piece)| Change::Insert(at, piece)),
        2 => (place.clone(), 0..8u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        3 => place.clone().prop_map(Change::Remove),
        1 => place.prop_map(Change::Truncate),
    ];
    proptest::collection::vec(change, 1..4).prop_map(move |changes| {
        let mut body = good.as_bytes().to_vec();
        for change in changes {
            match change {
                Change::Put(at, piece) if at < body.len() => drop(body.splice(at..at + 1, piece.iter().copied())),
                Change::Insert(at, piece) if at < body.len() => drop(body.splice(at..at, piece.iter().copied())),
                Change::Flip(at, bit) if at < body.len() => body[at] ^= 1 << bit,
                Change::Remove(at) if at < body.len() => drop(body.remove(at)),
                Change::Truncate(at) => body.truncate(at),
                _ => {}
            }
        }
        body
    })
}
