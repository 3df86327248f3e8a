/// Index of the greatest code, the first of equals; 0 for no codes. Spec 4.8.
#[must_use]
pub fn argmax(codes: &[i8]) -> usize {
    let mut best = (0, i8::MIN);
    for (index, code) in codes.iter().enumerate() {
        if *code > best.1 {
            best = (index, *code);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::argmax;

    #[test]
    fn first_of_equals_wins() {
        assert_eq!(argmax(&[-3, 7, 7, 1]), 1);
        assert_eq!(argmax(&[-128, -128]), 0);
        assert_eq!(argmax(&[]), 0);
    }
}
