//! Reads the regions of a linker script's `MEMORY`.

use crate::boards::Region;

/// The region of a name: `NAME : ORIGIN = 0x10000100, LENGTH = 256K - 0x100`.
pub(crate) fn region(script: &str, name: &str) -> Option<Region> {
    let line = script.lines().find_map(|line| line.trim().strip_prefix(name)?.trim_start().strip_prefix(':'))?;
    let (origin, length) = line.split_once(',')?;
    let value = |text: &str, key| difference(text.trim().strip_prefix(key)?.trim_start().strip_prefix('=')?);
    Some(Region { start: value(origin, "ORIGIN")?, bytes: value(length, "LENGTH")? })
}

/// Numbers with a minus between them.
fn difference(text: &str) -> Option<u64> {
    let mut numbers = text.split('-').map(|text| number(text.trim()));
    let first = numbers.next()??;
    numbers.try_fold(first, |rest, number| rest.checked_sub(number?))
}

/// In decimal or hexadecimal, or followed by `K` or `M`.
fn number(text: &str) -> Option<u64> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok();
    }
    let units = [('K', 1 << 10), ('M', 1 << 20)];
    let unit = units.iter().find_map(|(letter, bytes)| Some((text.strip_suffix(*letter)?, *bytes)));
    let (digits, bytes) = unit.unwrap_or((text, 1));
    digits.parse::<u64>().ok()?.checked_mul(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_read_with_their_units() {
        let script =
            "MEMORY\n{\n  FLASH : ORIGIN = 0x10000100, LENGTH = 256K - 0x100\n  RAM: ORIGIN = 16, LENGTH = 4M\n}";
        assert_eq!(region(script, "FLASH"), Some(Region { start: 0x1000_0100, bytes: (256 << 10) - 256 }));
        assert_eq!(region(script, "RAM"), Some(Region { start: 16, bytes: 4 << 20 }));
        assert_eq!(region(script, "MODEL"), None);
    }
}
