//! A body on its way: fetched and decompressed on a thread of its own, handed over in blocks, so that it is parsed meanwhile.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::media;
use crate::error::{Error, Result};
use crate::output::bytes;

/// Of decompressed bytes handed over at once; the last one is shorter.
pub const BLOCK: usize = 1 << 20;
/// Blocks that wait for the parser.
const AHEAD: usize = 4;
/// Looked at to tell what the body is.
pub const BEGIN: usize = 16 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    pub fn as_str(self) -> &'static str {
        match self {
            Encoding::Identity => "identity",
            Encoding::Gzip => "gzip",
            Encoding::Zstd => "zstd",
        }
    }

    /// By the magic number of a file.
    pub fn of(begin: &[u8]) -> Encoding {
        match begin {
            [0x1f, 0x8b, ..] => Encoding::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Encoding::Zstd,
            _ => Encoding::Identity,
        }
    }
}

/// Decompressed bytes in order, to be asked for until there are none.
pub struct Body(Origin);

enum Origin {
    /// Read where it is asked for.
    File(File, String),
    Thread {
        events: Receiver<Event>,
        emptied: Sender<Vec<u8>>,
        traffic: Arc<Traffic>,
        ended: bool,
    },
}

enum Event {
    Block(Vec<u8>),
    End(Result<()>),
}

/// What has come in so far.
#[derive(Default)]
struct Traffic {
    bytes: AtomicU64,
    elapsed_ns: AtomicU64,
}

impl Body {
    pub fn of_file(file: File, shown: String) -> Body {
        Body(Origin::File(file, shown))
    }

    /// The next block, at most [`BLOCK`] long and never empty; `None` at the end.
    ///
    /// Errors, all Io: reading failed, the time was up, the body is too large, cut off, or no valid gzip or zstd. The blocks before
    /// the place of the error have been handed over by then.
    pub fn next_block(&mut self) -> Result<Option<Vec<u8>>> {
        match &mut self.0 {
            Origin::File(file, shown) => {
                let mut block = Vec::with_capacity(BLOCK);
                file.take(BLOCK as u64).read_to_end(&mut block).map_err(|error| cannot_read(shown, error))?;
                Ok(Some(block).filter(|block| !block.is_empty()))
            }
            Origin::Thread { ended: true, .. } => Ok(None),
            Origin::Thread { events, ended, .. } => match events.recv() {
                Ok(Event::Block(block)) => Ok(Some(block)),
                Ok(Event::End(end)) => {
                    *ended = true;
                    end.map(|()| None)
                }
                Err(_) => Err(Error::io(THREAD_FAILED)),
            },
        }
    }

    /// Gives a block back that has been read, so that its memory is used again.
    pub fn recycle(&mut self, block: Vec<u8>) {
        if let Origin::Thread { emptied, .. } = &self.0 {
            let _ = emptied.send(block); // the thread has ended
        }
    }

    /// Bytes that came in so far, compressed; 0 for a plain file.
    pub fn received_bytes(&self) -> u64 {
        self.traffic().map_or(0, |traffic| traffic.bytes.load(Ordering::Relaxed))
    }

    /// From the begin of the request to the last byte received so far; zero for a plain file.
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.traffic().map_or(0, |traffic| traffic.elapsed_ns.load(Ordering::Relaxed)))
    }

    fn traffic(&self) -> Option<&Traffic> {
        match &self.0 {
            Origin::File(..) => None,
            Origin::Thread { traffic, .. } => Some(traffic),
        }
    }
}

/// What passes between who reads a body from the network and who decodes it, besides bytes.
#[derive(Default)]
pub struct Link {
    /// Why bytes could not be had, kept aside from the decoder, which wraps the errors that it sees.
    pub failure: RefCell<Option<Error>>,
    /// When the rest of the body is not waited for any more.
    pub deadline: Cell<Option<Instant>>,
}

/// Bytes as they come, on the thread that decodes them.
pub struct Raw {
    /// What errors are about: the URL or file.
    pub name: String,
    pub reader: Box<dyn BufRead>,
    pub link: Rc<Link>,
    /// When the request began.
    pub begin: Instant,
}

/// As [`Raw`], decompressed.
pub struct Decoded {
    name: String,
    reader: BufReader<Box<dyn Read>>,
    link: Rc<Link>,
    encoding: Encoding,
    traffic: Arc<Traffic>,
}

impl Decoded {
    pub fn new(raw: Raw, encoding: Encoding) -> Decoded {
        let traffic = Arc::new(Traffic::default());
        let input = Counted { inner: raw.reader, begin: raw.begin, traffic: traffic.clone() };
        let reader: Box<dyn Read> = match encoding {
            Encoding::Identity => Box::new(input),
            Encoding::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
            Encoding::Zstd => Box::new(Frames { decoder: FrameDecoder::new(), inside: false, input }),
        };
        Decoded { name: raw.name, reader: BufReader::with_capacity(BEGIN, reader), link: raw.link, encoding, traffic }
    }

    /// The beginning of the body, which stays to be read.
    pub fn begin(&mut self) -> Result<&[u8]> {
        match self.reader.fill_buf() {
            Ok(_) => Ok(self.reader.buffer()),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// From now on, for the rest of the body.
    pub fn wait_for(&self, limit: Duration) {
        self.link.deadline.set(Some(Instant::now() + limit));
    }

    fn failed(&self, error: io::Error) -> Error {
        if let Some(failure) = self.link.failure.borrow_mut().take() {
            return failure;
        }
        let encoding = self.encoding.as_str();
        let failed = match error.kind() {
            _ if self.encoding == Encoding::Identity => Error::io("cannot read the body").because(error),
            io::ErrorKind::UnexpectedEof => Error::io(format!("the {encoding} data is cut off: it ends in the middle")),
            _ => Error::io(format!("the body is no valid {encoding} data")).because(error),
        };
        failed.about(&self.name)
    }

    /// Hands over what is left of the body, up to `limit` bytes.
    fn send(mut self, limit: u64, events: &SyncSender<Event>, emptied: &Receiver<Vec<u8>>) -> Result<()> {
        let mut total = 0;
        loop {
            let mut block = emptied.try_recv().unwrap_or_default();
            block.clear();
            block.reserve_exact(BLOCK);
            let result = self.reader.by_ref().take(BLOCK as u64).read_to_end(&mut block);
            total += block.len() as u64;
            let at_end = block.len() < BLOCK;
            if total >= limit {
                return Err(Error::io(format!("{}: the body has {} or more when decompressed", self.name, bytes(limit)))
                    .hint("raise the limit with --body-limit if it may be that large"));
            }
            if !block.is_empty() && events.send(Event::Block(block)).is_err() {
                return Ok(()); // nobody wants the rest
            }
            result.map_err(|error| self.failed(error))?;
            if at_end {
                return Ok(());
            }
        }
    }
}

/// Runs `open` on a thread of its own, which then decodes what it returned.
///
/// `say` gets what `open` tells meanwhile. Errors: those of `open`.
pub fn start<T: Send + 'static>(
    limit: u64,
    open: impl FnOnce(&dyn Fn(String)) -> Result<(T, Decoded)> + Send + 'static,
    say: &mut dyn FnMut(&str),
) -> Result<(T, Body)> {
    enum Opening<T> {
        Said(String),
        Opened(Result<(T, Arc<Traffic>)>),
    }
    let (opening, opened) = channel();
    let (events, received) = sync_channel(AHEAD);
    let (emptied, returned) = channel();
    let work = move || {
        let result = open(&|text| drop(opening.send(Opening::Said(text))));
        let (opened, decoded) = match result {
            Ok((about, decoded)) => (Ok((about, decoded.traffic.clone())), Some(decoded)),
            Err(error) => (Err(error), None),
        };
        let waits = opening.send(Opening::Opened(opened)).is_ok();
        if let Some(mut decoded) = decoded.filter(|_| waits) {
            // An error is told once: a decoder takes what follows it for the end.
            let html = decoded.begin().map(media::is_html);
            let end =
                html.and_then(|html| if html { Err(web_page().about(&decoded.name)) } else { decoded.send(limit, &events, &returned) });
            let _ = events.send(Event::End(end)); // nobody may want the rest
        }
    };
    let thread = std::thread::Builder::new().name("source".to_owned()).spawn(work);
    thread.map_err(|error| Error::io("cannot start a thread").because(error))?;
    for message in opened {
        match message {
            Opening::Said(text) => say(&text),
            Opening::Opened(Ok((about, traffic))) => {
                return Ok((about, Body(Origin::Thread { events: received, emptied, traffic, ended: false })));
            }
            Opening::Opened(Err(error)) => return Err(error),
        }
    }
    Err(Error::io(THREAD_FAILED))
}

const THREAD_FAILED: &str = "the thread that reads the source has failed";

pub fn web_page() -> Error {
    Error::io("this is a web page (HTML), not metrics").hint("give the whole URL of the metrics, as in http://localhost:9090/metrics")
}

pub fn cannot_read(shown: &str, error: io::Error) -> Error {
    Error::io(format!("cannot read {shown}")).because(error)
}

/// Counts what is read through it.
struct Counted<R> {
    inner: R,
    begin: Instant,
    traffic: Arc<Traffic>,
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }
    fn consume(&mut self, amount: usize) {
        self.inner.consume(amount);
        self.traffic.bytes.fetch_add(amount as u64, Ordering::Relaxed);
        self.traffic.elapsed_ns.store(self.begin.elapsed().as_nanos() as u64, Ordering::Relaxed);
    }
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.fill_buf()?.read(buffer)?;
        self.consume(got);
        Ok(got)
    }
}

/// A zstd body may be several frames, one behind the other (RFC 8878, section 3).
struct Frames<R> {
    decoder: FrameDecoder,
    inside: bool,
    input: R,
}

impl<R: BufRead> Frames<R> {
    fn failed(&mut self, error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
        match self.input.fill_buf() {
            Ok([]) => io::ErrorKind::UnexpectedEof.into(),
            Ok(_) => io::Error::other(error),
            Err(error) => error,
        }
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.inside {
                if self.input.fill_buf()?.is_empty() {
                    return Ok(0);
                }
                self.decoder.init(&mut self.input).map_err(|error| self.failed(error))?;
                self.inside = true;
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let decoded = self.decoder.decode_blocks(&mut self.input, BlockDecodingStrategy::UptoBlocks(1));
                decoded.map_err(|error| self.failed(error))?;
            }
            let got = self.decoder.read(buffer)?;
            if got > 0 || buffer.is_empty() {
                return Ok(got);
            }
            self.inside = false;
            let (told, found) = (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum());
            if told.is_some() && told != found {
                return Err(io::Error::other("its checksum is wrong"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(data: &[u8]) -> Vec<u8> {
        ruzstd::encoding::compress_to_vec(data, ruzstd::encoding::CompressionLevel::Fastest)
    }

    fn read(sent: Vec<u8>, encoding: Encoding, limit: u64) -> (Vec<u8>, Result<()>) {
        let open = move |_: &dyn Fn(String)| {
            let raw =
                Raw { name: String::new(), reader: Box::new(io::Cursor::new(sent)), link: Rc::new(Link::default()), begin: Instant::now() };
            Ok(((), Decoded::new(raw, encoding)))
        };
        let ((), mut body) = start(limit, open, &mut |_| ()).unwrap();
        let mut all = Vec::new();
        loop {
            match body.next_block() {
                Ok(Some(block)) => {
                    assert!(!block.is_empty() && block.len() <= BLOCK);
                    all.extend_from_slice(&block);
                    body.recycle(block);
                }
                Ok(None) => return (all, Ok(())),
                Err(error) => return (all, Err(error)),
            }
        }
    }

    #[test]
    fn what_was_compressed_comes_out() {
        let data: Vec<u8> = (0..400_000u32).flat_map(|n| format!("m{{a=\"{}\"}} {n}\n", n % 977).into_bytes()).collect();
        assert!(data.len() > 6 * BLOCK, "more than the channel holds");
        let (half, other) = data.split_at(data.len() / 3);
        for (sent, encoding) in [
            (data.clone(), Encoding::Identity),
            (gzip(&data), Encoding::Gzip),
            ([gzip(half), gzip(other)].concat(), Encoding::Gzip),
            (zstd(&data), Encoding::Zstd),
            ([zstd(half), zstd(other)].concat(), Encoding::Zstd),
        ] {
            let (all, end) = read(sent, encoding, u64::MAX);
            end.unwrap();
            assert!(all == data, "{encoding:?}: {} of {} bytes", all.len(), data.len());
        }
        assert!(read(Vec::new(), Encoding::Identity, 1).0.is_empty());
    }

    #[test]
    fn data_that_is_cut_off_or_broken_is_an_error_after_what_was_whole() {
        let data = "x 1\n".repeat(700_000).into_bytes();
        for (whole, encoding) in [(gzip(&data), Encoding::Gzip), (zstd(&data), Encoding::Zstd)] {
            for cut in [1, whole.len() / 2, whole.len() - 1] {
                let (all, end) = read(whole[..cut].to_vec(), encoding, u64::MAX);
                let error = end.unwrap_err();
                assert!(error.message.contains("cut off") && error.kind.exit_code() == 5, "{encoding:?} to {cut}: {error}");
                assert!(data.starts_with(&all) && (cut == 1 || !all.is_empty()), "{encoding:?} to {cut}: {} bytes", all.len());
            }
            let mut broken = whole.clone();
            let middle = broken.len() / 2;
            broken[middle..].iter_mut().for_each(|byte| *byte ^= 0x5a);
            assert!(read(broken, encoding, u64::MAX).1.unwrap_err().message.contains("no valid"));
            assert!(read(b"x 1\n".to_vec(), encoding, u64::MAX).1.is_err());
        }
    }

    #[test]
    fn the_limit_is_of_decompressed_bytes_and_refuses_a_body_that_reaches_it() {
        let data = vec![b'x'; 3 * BLOCK];
        for (sent, encoding) in [(data.clone(), Encoding::Identity), (gzip(&data), Encoding::Gzip), (zstd(&data), Encoding::Zstd)] {
            assert!(read(sent.clone(), encoding, data.len() as u64 + 1).1.is_ok());
            let (all, end) = read(sent, encoding, data.len() as u64);
            assert!(all.len() < data.len());
            assert!(end.unwrap_err().message.contains("3.0 MiB"));
        }
    }

    #[test]
    fn who_wants_no_more_is_not_waited_for() {
        let reader = Box::new(BufReader::new(io::repeat(b'x')));
        let open = |_: &dyn Fn(String)| {
            let raw = Raw { name: String::new(), reader, link: Rc::new(Link::default()), begin: Instant::now() };
            Ok(((), Decoded::new(raw, Encoding::Identity)))
        };
        let ((), mut body) = start(u64::MAX, open, &mut |_| ()).unwrap();
        assert_eq!(body.next_block().unwrap().unwrap().len(), BLOCK);
        assert!(body.received_bytes() >= BLOCK as u64);
    }
}
