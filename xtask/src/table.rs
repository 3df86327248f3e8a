//! Columns of text, the first aligned left, the others right.

/// Prints rows under each other; every column as wide as its widest cell.
pub(crate) fn print<Row: AsRef<[String]>>(rows: &[Row]) {
    let rows = rows.iter().map(AsRef::as_ref);
    let columns = rows.clone().map(<[String]>::len).min().unwrap_or(0);
    let width = |column: usize| rows.clone().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows.filter(|_| columns > 0) {
        let mut line = format!("{:<width$}", row[0], width = widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            line += &format!("  {cell:>width$}");
        }
        println!("{}", line.trim_end());
    }
}

/// A number with a comma at every third digit.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn commas_stand_at_every_third_digit() {
        let groups = [0, 999, 1000, 123_456, 1_234_567].map(super::grouped);
        assert_eq!(groups, ["0", "999", "1,000", "123,456", "1,234,567"]);
    }
}
