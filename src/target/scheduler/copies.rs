//! Many small pieces of memory, copied together.

use crate::error::Result;
use crate::target::globals::Global;
use crate::target::memory::{Request, Unread};
use crate::target::variables::{Addresses, Figure, Span, unread_reason};

/// As `Memory::read_batch`.
pub type ReadBatch<'a> = &'a dyn Fn(&mut [Request], &mut Vec<u8>) -> Result<()>;

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

    pub fn bytes<'c>(&self, copies: &'c Copies) -> Figure<&'c [u8]> {
        copies.get(self.address.clone()?, self.span.len)
    }
}

pub struct Copies {
    /// In ascending order of address.
    requests: Vec<Request>,
    bytes: Vec<u8>,
}

impl Copies {
    /// `ranges` are addresses and lengths.
    pub fn read(ranges: impl Iterator<Item = (u64, usize)>, read: ReadBatch) -> Result<Copies> {
        let mut requests: Vec<Request> = ranges.map(|(address, len)| Request::new(address, len)).collect();
        requests.sort_unstable_by_key(|request| (request.address, request.len));
        let mut bytes = Vec::new();
        read(&mut requests, &mut bytes)?;
        Ok(Copies { requests, bytes })
    }

    pub fn get(&self, address: u64, len: usize) -> Figure<&[u8]> {
        let found = self.requests.binary_search_by_key(&(address, len), |request| (request.address, request.len));
        let outcome = found.map_or(Err(Unread::Fault), |index| self.requests[index].outcome);
        let bytes = outcome.and_then(|at| self.bytes.get(at..at + len).ok_or(Unread::Fault));
        bytes.map_err(|unread| unread_reason(unread).to_owned())
    }
}
