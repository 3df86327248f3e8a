//! Decodes what firmware logs through defmt.

use anyhow::{Context, Result};
use defmt_decoder::{DecodeError, Encoding, Frame, StreamDecoder, Table};

/// Where decoded lines go.
enum Sink {
    Hidden,
    Shown,
}

/// A firmware's log.
pub(crate) struct Logs<'t> {
    decoder: Option<Box<dyn StreamDecoder + Send + Sync + 't>>,
    recovers: bool,
    sink: Sink,
    lines: Vec<String>,
    /// Text of a panic handler, which knows no defmt.
    raw: Vec<u8>,
}

/// The strings that a firmware's log refers to.
///
/// # Errors
/// Where the firmware has none, or was built with another version of defmt.
pub(crate) fn table(elf: &[u8]) -> Result<Table> {
    Table::parse(elf)?.context("the firmware has no section of log strings")
}

impl<'t> Logs<'t> {
    /// Decodes, and shows lines as they come where it is asked to.
    pub(crate) fn new(table: &'t Table, shown: bool) -> Self {
        Self {
            decoder: Some(table.new_stream_decoder()),
            recovers: table.encoding() == Encoding::Rzcobs,
            sink: if shown { Sink::Shown } else { Sink::Hidden },
            lines: Vec::new(),
            raw: Vec::new(),
        }
    }

    /// Decodes nothing.
    #[cfg(test)]
    pub(crate) const fn hidden() -> Self {
        Self { decoder: None, recovers: false, sink: Sink::Hidden, lines: Vec::new(), raw: Vec::new() }
    }

    /// All lines.
    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines
    }

    /// The last line, to be put behind an error.
    pub(crate) fn last(&self) -> String {
        let text = String::from_utf8_lossy(&self.raw);
        let panic = text.find("error panic at").map(|at| text[at..].trim_end().to_owned());
        let line = panic.as_ref().or(self.lines.last());
        line.map_or_else(String::new, |line| format!("; its last line: {line}"))
    }

    /// Takes bytes as they come; frames that cannot be decoded are passed over.
    pub(crate) fn received(&mut self, bytes: &[u8]) {
        let Some(decoder) = &mut self.decoder else { return };
        self.raw.extend_from_slice(bytes);
        decoder.received(bytes);
        loop {
            match decoder.decode() {
                Ok(frame) => {
                    let line = line(&frame);
                    if matches!(self.sink, Sink::Shown) {
                        println!("{line}");
                    }
                    self.lines.push(line);
                }
                Err(DecodeError::Malformed) if self.recovers => {}
                Err(_) => return,
            }
        }
    }
}

fn line(frame: &Frame<'_>) -> String {
    let level = frame.level().map_or("", |level| level.as_str());
    format!("{level:<5} {}", frame.display_message())
}
