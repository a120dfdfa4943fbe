//! Where the result goes: stdout, or a file that appears only when it is complete.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::{Color, Style};
use crate::error::{Error, Result};

/// The result of a run. Dropped without `finish`, a file that was to be written stays as it was.
pub struct Output {
    writer: Writer,
    style: Style,
}

enum Writer {
    Stdout(BufWriter<io::Stdout>),
    /// A device or pipe: nothing to rename over.
    Special {
        file: BufWriter<File>,
        path: PathBuf,
    },
    Temporary {
        file: BufWriter<NamedTempFile>,
        path: PathBuf,
    },
}

pub(super) const BUFFER: usize = 64 * 1024;

impl Output {
    /// `None` and `-` are stdout. A temporary file is made beside `path` at once, so that a bad path fails before the work.
    pub fn open(path: Option<&Path>, color: Color) -> Result<Self> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else {
            let writer = Writer::Stdout(BufWriter::with_capacity(BUFFER, io::stdout()));
            return Ok(Output { writer, style: Style::of_stdout(color) });
        };
        let cannot = |error: io::Error| {
            Error::io(format!("cannot write {}", path.display()))
                // By its kind alone: tempfile's errors name the temporary file.
                .because(match error.kind() {
                    io::ErrorKind::NotFound => io::Error::other("its directory does not exist"),
                    kind => kind.into(),
                })
                .hint("give --output a path in a directory that exists and that you may write to")
        };
        let writer = match fs::metadata(path) {
            Ok(found) if found.is_dir() => return Err(cannot(io::ErrorKind::IsADirectory.into())),
            Ok(found) if !found.is_file() => {
                let file = OpenOptions::new().write(true).open(path).map_err(cannot)?;
                Writer::Special { file: BufWriter::with_capacity(BUFFER, file), path: path.to_owned() }
            }
            found => {
                // A symbolic link keeps pointing at the file that is replaced.
                let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
                let mode = found.map(|found| found.permissions().mode() & 0o777).unwrap_or_else(|_| 0o666 & !umask());
                let file = temporary_beside(&path, mode).map_err(cannot)?;
                Writer::Temporary { file: BufWriter::with_capacity(BUFFER, file), path }
            }
        };
        Ok(Output { writer, style: Style::of_file(color) })
    }

    /// As it is now: terminals change their size.
    pub fn style(&self) -> Style {
        self.style.resized()
    }

    /// The unfinished file, while there is one.
    pub fn temporary(&self) -> Option<PathBuf> {
        match &self.writer {
            Writer::Temporary { file, .. } => Some(file.get_ref().path().to_owned()),
            Writer::Stdout(_) | Writer::Special { .. } => None,
        }
    }

    /// Fails when the result is binary and would land on a terminal.
    pub fn refuse_terminal(&self, format: &str) -> Result<()> {
        if let Writer::Special { file, .. } = &self.writer
            && file.get_ref().is_terminal()
        {
            return Err(Error::usage(format!("{format} is binary, and the file is a terminal")).hint("write it to a regular file"));
        }
        if self.style.width.is_none() {
            return Ok(());
        }
        Err(Error::usage(format!("{format} output is binary and stdout is a terminal"))
            .hint("write it to a file with --output FILE, or pipe it on"))
    }

    /// Flushes, and puts a file in its place.
    pub fn finish(self) -> Result<()> {
        match self.writer {
            Writer::Stdout(mut stdout) => stdout.flush().map_err(Error::write),
            Writer::Special { mut file, path } => file.flush().map_err(|error| Error::write_to(&path, error)),
            Writer::Temporary { file, path } => {
                let cannot = |error| Error::write_to(&path, error);
                let file = file.into_inner().map_err(|error| cannot(error.into_error()))?;
                file.as_file().sync_all().map_err(cannot)?;
                file.persist(&path).map(drop).map_err(|error| cannot(error.error))
            }
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.writer {
            Writer::Stdout(stdout) => stdout.write(bytes),
            Writer::Special { file, .. } => file.write(bytes),
            Writer::Temporary { file, .. } => file.write(bytes),
        }
    }

    /// Passed on as it is, for the buffer below takes small pieces at once.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.writer {
            Writer::Stdout(stdout) => stdout.write_all(bytes),
            Writer::Special { file, .. } => file.write_all(bytes),
            Writer::Temporary { file, .. } => file.write_all(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.writer {
            Writer::Stdout(stdout) => stdout.flush(),
            Writer::Special { file, .. } => file.flush(),
            Writer::Temporary { file, .. } => file.flush(),
        }
    }
}

fn temporary_beside(path: &Path, mode: u32) -> io::Result<NamedTempFile> {
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    tempfile::Builder::new().prefix(&name).suffix(".tmp").permissions(Permissions::from_mode(mode)).tempfile_in(dir)
}

/// The kernel tells it without changing it (`umask(2)` can only read it by setting it).
fn umask() -> u32 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    mask.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok()).unwrap_or(0o077)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_only_when_finished() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.json");
        let mut output = Output::open(Some(&path), Color::Auto).unwrap();
        output.write_all(b"{}").unwrap();
        output.flush().unwrap();
        assert!(!path.exists());
        output.finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"{}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn an_aborted_run_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let mut output = Output::open(Some(&path), Color::Auto).unwrap();
        output.write_all(b"half").unwrap();
        drop(output);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        Output::open(Some(&path), Color::Auto).unwrap().finish().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn a_link_is_followed_and_a_device_is_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let mut output = Output::open(Some(&link), Color::Auto).unwrap();
        output.write_all(b"new").unwrap();
        output.finish().unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let mut null = Output::open(Some(Path::new("/dev/null")), Color::Auto).unwrap();
        null.write_all(b"gone").unwrap();
        null.finish().unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn a_bad_path_fails_at_once() {
        let error = Output::open(Some(Path::new("/nonexistent/dir/file")), Color::Auto).err().unwrap();
        assert_eq!(error.kind.exit_code(), 5);
        assert_eq!(Output::open(Some(Path::new("/")), Color::Auto).err().unwrap().kind.exit_code(), 5);
    }
}
