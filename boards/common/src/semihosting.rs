//! Files and the command line of the host, through semihosting. The one file of the boards' shared code with `unsafe`.

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
    text.split_ascii_whitespace().skip(1)
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

/// A file that is open; closed when dropped.
pub struct File {
    handle: usize,
}

/// Makes a file, or empties it.
///
/// # Errors
/// [`FileError::Open`].
pub fn create(path: &str) -> Result<File, FileError> {
    open(path, WRITE).map(|handle| File { handle })
}

/// Opens a file to read it piece by piece.
///
/// # Errors
/// [`FileError::Open`].
pub fn open_to_read(path: &str) -> Result<File, FileError> {
    open(path, READ).map(|handle| File { handle })
}

impl File {
    /// Reads the next bytes: as many as `bytes` has.
    ///
    /// # Errors
    /// [`FileError::Transfer`], also where the file ends before.
    pub fn read_exact(&mut self, bytes: &mut [u8]) -> Result<(), FileError> {
        // SAFETY: SYS_READ writes at most `bytes.len()` bytes to the start of `bytes`.
        let missing = unsafe { semihosting(nr::READ, &[self.handle, bytes.as_mut_ptr() as usize, bytes.len()]) };
        if missing == 0 { Ok(()) } else { Err(FileError::Transfer) }
    }

    /// Writes bytes behind those before.
    ///
    /// # Errors
    /// [`FileError::Transfer`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        // SAFETY: SYS_WRITE reads `bytes.len()` bytes from the start of `bytes`.
        let missing = unsafe { semihosting(nr::WRITE, &[self.handle, bytes.as_ptr() as usize, bytes.len()]) };
        if missing == 0 { Ok(()) } else { Err(FileError::Transfer) }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        close(self.handle);
    }
}

fn open(path: &str, mode: usize) -> Result<usize, FileError> {
    // SYS_OPEN wants a string that ends in zero.
    let mut name = heapless::Vec::<u8, 256>::new();
    let whole = name.extend_from_slice(path.as_bytes()).is_ok() && name.push(0).is_ok();
    if !whole {
        return Err(FileError::Open);
    }
    // SAFETY: SYS_OPEN reads a string that ends in zero, of the length that is given.
    let file = unsafe { semihosting(nr::OPEN, &[name.as_ptr() as usize, mode, path.len()]) };
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
