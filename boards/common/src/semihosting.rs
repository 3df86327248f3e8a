//! Files and the command line of the host, through semihosting. The one file of the boards' shared code with `unsafe`.

use core::fmt::Write as _;

use cortex_m_semihosting::nr;

/// Opens for reading, as bytes (ISO C's `rb`).
const READ: usize = 1;

/// Opens for writing anew, as bytes (ISO C's `wb`).
const WRITE: usize = 5;

/// A file of the host could not be read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileError {
    /// It cannot be opened.
    Open,
    /// It is longer than the buffer.
    TooLong,
    /// Reading or writing failed.
    Transfer,
}

impl FileError {
    /// What to tell the user.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Open => "cannot be opened",
            Self::TooLong => "is too long",
            Self::Transfer => "cannot be read or written",
        }
    }
}

/// The words behind the program's name on the command line that the host gave.
pub fn arguments(buffer: &mut [u8]) -> impl Iterator<Item = &str> {
    let block = [buffer.as_mut_ptr() as usize, buffer.len()];
    // SAFETY: SYS_GET_CMDLINE writes at most `block[1]` bytes to `block[0]` and the length to `block[1]`.
    let failed = unsafe { semihosting(nr::GET_CMDLINE, &block) } != 0;
    let text = buffer.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = if failed { "" } else { core::str::from_utf8(text).unwrap_or_default() };
    text.split_whitespace().skip(1)
}

/// Reads a whole file into the front of `buffer`.
///
/// # Errors
/// [`FileError`], also where the buffer is too small.
pub fn read<'a>(path: &str, buffer: &'a mut [u8]) -> Result<&'a [u8], FileError> {
    let file = open(path, READ)?;
    // SAFETY: SYS_FLEN reads one word.
    let len = unsafe { semihosting(nr::FLEN, &[file]) };
    let outcome = match buffer.get_mut(..len) {
        None => Err(FileError::TooLong),
        Some(target) => {
            // SAFETY: SYS_READ writes at most `len` bytes to the start of `target`.
            let missing = unsafe { semihosting(nr::READ, &[file, target.as_mut_ptr() as usize, len]) };
            if missing == 0 { Ok(()) } else { Err(FileError::Transfer) }
        }
    };
    close(file);
    outcome.map(|()| &buffer[..len])
}

/// Writes a whole file.
///
/// # Errors
/// [`FileError`].
pub fn write(path: &str, bytes: &[u8]) -> Result<(), FileError> {
    let file = open(path, WRITE)?;
    // SAFETY: SYS_WRITE reads `bytes.len()` bytes from the start of `bytes`.
    let missing = unsafe { semihosting(nr::WRITE, &[file, bytes.as_ptr() as usize, bytes.len()]) };
    close(file);
    if missing == 0 { Ok(()) } else { Err(FileError::Transfer) }
}

fn open(path: &str, mode: usize) -> Result<usize, FileError> {
    // SYS_OPEN wants a string that ends in zero.
    let mut name = Name::default();
    name.write_str(path).map_err(|_| FileError::Open)?;
    // SAFETY: SYS_OPEN reads a string that ends in zero, of the length that is given.
    let file = unsafe { semihosting(nr::OPEN, &[name.bytes.as_ptr() as usize, mode, name.len]) };
    if file == usize::MAX { Err(FileError::Open) } else { Ok(file) }
}

fn close(file: usize) {
    // SAFETY: SYS_CLOSE reads one word.
    let _ = unsafe { semihosting(nr::CLOSE, &[file]) };
}

/// # Safety
/// `block` must be what the operation `number` asks for.
unsafe fn semihosting(number: usize, block: &[usize]) -> usize {
    // SAFETY: the caller's promise.
    unsafe { cortex_m_semihosting::syscall1(number, block.as_ptr() as usize) }
}

/// A path with a zero behind it.
struct Name {
    bytes: [u8; 512],
    len: usize,
}

impl Default for Name {
    fn default() -> Self {
        Self { bytes: [0; 512], len: 0 }
    }
}

impl core::fmt::Write for Name {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        // One byte stays zero.
        let free = &mut self.bytes[self.len..511];
        free.get_mut(..text.len()).ok_or(core::fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}
