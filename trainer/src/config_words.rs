//! What is wrong with a value of a config, in a user's words.

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error};

/// A value; where it is none, what is expected in its place.
///
/// expected  every value that is right
pub(crate) fn or_expected<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
    expected: &str,
) -> Result<T, D::Error> {
    T::deserialize(deserializer).map_err(|_| D::Error::custom(format!("expected {expected}")))
}

/// Line, key and value of an error in the text of a `T`, and what would be right.
pub(crate) fn in_words<T: DeserializeOwned>(text: &str, error: &toml::de::Error) -> String {
    let message = error.message();
    let words = match message.rsplit_once("expected ") {
        Some((found, kind)) => format!("{found}expected {}", words(kind)),
        None if message.starts_with("wanted ") => format!("expected {}", names::<T>(text, error)),
        None => message.to_owned(),
    };
    error.to_string().replace(message, &words).trim_end().to_owned()
}

/// The names of which one would be right, where a value is none: what is said of a value that is a name, and not one of them.
fn names<T: DeserializeOwned>(text: &str, error: &toml::de::Error) -> String {
    let of_no_name = error.span().and_then(|value| {
        let mut text = text.to_owned();
        text.replace_range(value, "''");
        toml::from_str::<T>(&text).err()
    });
    let names = of_no_name.as_ref().and_then(|error| error.message().rsplit_once("expected "));
    names.map_or_else(|| "a name in quotes".to_owned(), |(_, names)| names.replace('`', "\""))
}

/// What serde calls by the names of Rust's types.
fn words(kind: &str) -> &str {
    match kind {
        "u8" => "an integer, 0 to 255",
        "u16" => "an integer, 0 to 65535",
        "u32" => "an integer, 0 to 4294967295",
        "u64" | "usize" => "an integer, at least 0",
        "i8" => "an integer, -128 to 127",
        "f32" | "f64" => "a number",
        "a sequence" => "an array",
        _ if kind.starts_with("struct ") => "a table",
        _ => kind,
    }
}
