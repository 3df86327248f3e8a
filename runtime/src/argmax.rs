use crate::codes::Codes;

/// Index of the greatest code, the first of equals; 0 for no codes. Spec 4.19.
#[must_use]
pub fn argmax(codes: Codes<'_>) -> usize {
    let mut best = (0, i16::MIN);
    for (index, code) in codes.iter().enumerate() {
        if code > best.1 {
            best = (index, code);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::argmax;
    use crate::codes::Codes;

    #[test]
    fn first_of_equals_wins() {
        assert_eq!(argmax(Codes::from_i8(&[-3, 7, 7, 1])), 1);
        assert_eq!(argmax(Codes::from_i8(&[-128, -128])), 0);
        assert_eq!(argmax(Codes::from_i8(&[])), 0);
    }
}
