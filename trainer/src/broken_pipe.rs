//! A reader of a program's output that has seen enough, `head` say: no failure, but the standard library panics there.

/// Exit status of such a program, as shells report it.
pub const EXIT_STATUS: u8 = 141;

/// Whether the message of a panic tells of it.
#[must_use]
pub fn is_told_by(message: &str) -> bool {
    message.starts_with("failed printing to stdout") && message.contains("Broken pipe")
}
