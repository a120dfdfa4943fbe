//! A window in a file: what `--record` writes, and `report` and `sched diff` read.
//!
//! A magic number, a byte with the version of the format, and a zlib stream of messages (`proto`), each after its length. The stream's own
//! end and checksum tell a whole file from a part of one.

mod proto;
mod read;
mod write;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

pub use read::{Unreadable, read as parse, read_pieces as parse_pieces};
pub use write::write;

use super::model::{Cut, FrameKind, Payer, Source, StopKind, Window};
use crate::error::{Error, Result};

/// The control character keeps it from being taken for text.
const MAGIC: &[u8; 13] = b"goscope\x1aSCHED";
/// Raised when a reader of the version before would misread a file. Fields that such a reader may skip raise nothing.
const VERSION: u8 = 1;
/// No message is longer.
const LARGEST_PIECE: usize = 16 << 20;
/// What a recording may take up in memory, in bytes: room for the longest timeline that is kept, and as much again for the rest.
const LARGEST_WINDOW: u64 = 3 << 29;

// Numbers in the file are places in these lists: new ones go to the end.
const SOURCES: [Source; 4] = [Source::Walk, Source::Sample, Source::Switch, Source::Uprobe];
const FRAME_KINDS: [FrameKind; 5] = [FrameKind::Go, FrameKind::Inlined, FrameKind::C, FrameKind::Kernel, FrameKind::Unresolved];
const CUTS: [Cut; 8] = [Cut::NotRead, Cut::Moving, Cut::NotResident, Cut::UnknownPc, Cut::SpWrite, Cut::Corrupt, Cut::NoCfi, Cut::Depth];
const STOP_KINDS: [StopKind; 2] = [StopKind::World, StopKind::Collection];
const PAYERS: [Payer; 2] = [Payer::Target, Payer::Host];

/// What a moment was.
mod what {
    pub const SAMPLE: u32 = 0;
    pub const OUT: u32 = 1;
    pub const OUT_PREEMPTED: u32 = 2;
    pub const IN: u32 = 3;
    pub const RUNNABLE: u32 = 4;
    pub const NETWORK_READY: u32 = 5;
    pub const YIELD: u32 = 6;
    pub const RUN: u32 = 7;
    pub const PARK: u32 = 8;
    pub const DEAD: u32 = 9;
    pub const STW_BEGIN: u32 = 10;
    pub const STW_END: u32 = 11;
    pub const GC_BEGIN: u32 = 12;
    pub const GC_END: u32 = 13;
    pub const ASSIST_BEGIN: u32 = 14;
    pub const GAP: u32 = 15;
}

/// Errors: Io when the file cannot be read, is none, or is not whole.
pub fn open(path: &Path) -> Result<Window> {
    const RECORD: &str = "record one with `goscope sched TARGET --record FILE`";
    let file = File::open(path).map_err(|error| Error::io(format!("cannot read {}", path.display())).because(error).hint(RECORD))?;
    parse(BufReader::new(file)).map_err(|why| {
        let error = Error::io(format!("{} {why}", path.display()));
        match why {
            Unreadable::Foreign => error.hint(RECORD),
            Unreadable::Newer(_) => error.hint("read it with the goscope that recorded it, or a newer one"),
            Unreadable::Truncated | Unreadable::Corrupt(_) => error.hint("copy it again from where it was recorded"),
            Unreadable::File(_) => error,
        }
    })
}
