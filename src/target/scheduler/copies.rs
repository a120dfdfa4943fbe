//! Many small pieces of memory, copied together.

use crate::error::Result;
use crate::target::globals::Global;
use crate::target::memory::{Request, Unread};
use crate::target::variables::{Addresses, Figure, Span, unread_reason};

/// As `Memory::read_batch`.
pub type ReadBatch<'a> = &'a dyn Fn(&mut [Request], &mut Vec<u8>) -> Result<()>;

const PAGE: u64 = 4096;

/// A part of one of the runtime's variables.
pub struct Part {
    pub span: Span,
    address: Figure<u64>,
}

impl Part {
    pub fn new(addresses: &Addresses, global: Global, span: Span) -> Part {
        Part { span, address: addresses.of(global).map(|address| address.wrapping_add(span.start)) }
    }

    /// Address and length; `None` when it can't be read.
    pub fn range(&self) -> Option<(u64, usize)> {
        self.address.as_ref().ok().map(|&address| (address, self.span.len)).filter(|(_, len)| *len > 0)
    }

    pub fn bytes(&self, copies: &Copies) -> Figure<Vec<u8>> {
        copies.get(self.address.clone()?, self.span.len)
    }
}

pub struct Copies {
    /// In ascending order of address; none crosses a page, for one page may be readable and the next one not.
    requests: Vec<Request>,
    bytes: Vec<u8>,
}

impl Copies {
    /// `ranges` are addresses and lengths.
    pub fn read(ranges: impl Iterator<Item = (u64, usize)>, read: ReadBatch) -> Result<Copies> {
        let mut requests: Vec<Request> =
            ranges.flat_map(|(address, len)| pieces(address, len)).map(|(at, len)| Request::new(at, len)).collect();
        requests.sort_unstable_by_key(|request| (request.address, request.len));
        let mut bytes = Vec::new();
        read(&mut requests, &mut bytes)?;
        Ok(Copies { requests, bytes })
    }

    pub fn get(&self, address: u64, len: usize) -> Figure<Vec<u8>> {
        let mut all = Vec::with_capacity(len);
        for (at, len) in pieces(address, len) {
            let found = self.requests.binary_search_by_key(&(at, len), |request| (request.address, request.len));
            let outcome = found.map_or(Err(Unread::Fault), |index| self.requests[index].outcome);
            let bytes = outcome.and_then(|at| self.bytes.get(at..at + len).ok_or(Unread::Fault));
            all.extend_from_slice(bytes.map_err(|unread| unread_reason(unread).to_owned())?);
        }
        Ok(all)
    }
}

/// A range, cut at the borders of pages.
fn pieces(address: u64, len: usize) -> impl Iterator<Item = (u64, usize)> {
    let end = address.saturating_add(len as u64);
    let next = move |at: u64| (at / PAGE + 1).saturating_mul(PAGE).min(end);
    std::iter::successors((address < end).then_some(address), move |&at| Some(next(at)).filter(|&at| at < end))
        .map(move |at| (at, (next(at) - at) as usize))
}

#[cfg(test)]
mod tests {
    use super::pieces;

    #[test]
    fn a_range_is_cut_at_the_borders_of_pages() {
        let all = |address, len| pieces(address, len).collect::<Vec<_>>();
        assert_eq!(all(4000, 0), []);
        assert_eq!(all(4000, 96), [(4000, 96)]);
        assert_eq!(all(4000, 97), [(4000, 96), (4096, 1)]);
        assert_eq!(all(4096, 8200), [(4096, 4096), (8192, 4096), (12288, 8)]);
        assert_eq!(all(u64::MAX, 4), []);
    }
}
