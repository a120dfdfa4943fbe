//! Addresses in documents.

use serde::{Serialize, Serializer};

/// An address: `"0x47f3a1"`, or null when it is not known.
#[derive(Clone, Copy)]
pub struct Address(pub u64);

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 == 0 {
            return serializer.serialize_none();
        }
        let digits = (64 - self.0.leading_zeros()).div_ceil(4) as usize;
        let mut text = [0u8; 18];
        text[..2].copy_from_slice(b"0x");
        for (i, byte) in text[2..2 + digits].iter_mut().enumerate() {
            let digit = (self.0 >> (4 * (digits - 1 - i)) & 0xf) as usize;
            *byte = b"0123456789abcdef"[digit];
        }
        serializer.serialize_str(std::str::from_utf8(&text[..2 + digits]).unwrap_or_default())
    }
}
