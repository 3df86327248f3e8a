//! Arrays in a config: neither too short nor too long.

use serde::de::{Deserialize, Deserializer, Error};

/// An array of `N` elements. What reads arrays in TOML leaves what follows the last element unread.
pub(crate) fn exact_array<'de, D, T, const N: usize>(deserializer: D) -> Result<Option<[T; N]>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let elements = Vec::deserialize(deserializer)?;
    let count = elements.len();
    let array = elements.try_into();
    array.map(Some).map_err(|_| D::Error::invalid_length(count, &format!("an array of length {N}").as_str()))
}
