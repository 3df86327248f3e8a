//! Lines to the host's console, without `core::fmt`: that would take more flash than all kernels together.

use cortex_m_semihosting::{debug, hio};

/// A word of a line.
#[derive(Debug, Clone, Copy)]
pub enum Word<'a> {
    /// As it is.
    Text(&'a str),
    /// In decimal.
    Number(u32),
}

impl<'a> From<&'a str> for Word<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl From<usize> for Word<'_> {
    fn from(number: usize) -> Self {
        Self::Number(number as u32)
    }
}

impl From<u32> for Word<'_> {
    fn from(number: u32) -> Self {
        Self::Number(number)
    }
}

/// Writes a line: words with a space between them. A console that cannot be opened is ignored.
pub fn line(words: &[Word<'_>]) {
    let Ok(mut console) = hio::hstdout() else { return };
    let mut write = |bytes: &[u8]| console.write_all(bytes).unwrap_or(());
    for (index, word) in words.iter().enumerate() {
        if index > 0 {
            write(b" ");
        }
        match word {
            Word::Text(text) => write(text.as_bytes()),
            Word::Number(number) => write(decimal(*number, &mut [0; 10])),
        }
    }
    write(b"\n");
}

/// The digits of a number, at the end of a buffer.
fn decimal(number: u32, buffer: &mut [u8; 10]) -> &[u8] {
    let mut rest = number;
    let mut len = 0;
    for digit in buffer.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        len += 1;
        if rest == 0 {
            break;
        }
    }
    buffer.get(10 - len..).unwrap_or_default()
}

/// Ends the program and QEMU with it.
pub fn exit(success: bool) -> ! {
    debug::exit(if success { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
    loop {
        cortex_m::asm::wfi();
    }
}
