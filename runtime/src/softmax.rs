use micromath::F32Ext;

use crate::codes::Codes;

/// Probabilities of the output codes, in floating point and outside the bit-exact part.
///
/// logits         `[N]` codes, real = code * 2^exponent
/// probabilities  `[N]` f32, sum 1 within micromath's approximation; the shorter of both counts
pub fn softmax(logits: Codes<'_>, exponent: i8, probabilities: &mut [f32]) {
    let step = F32Ext::powi(2_f32, exponent.into());
    let max = logits.iter().max().unwrap_or(0);
    let mut sum = 0.0;
    for (probability, logit) in probabilities.iter_mut().zip(logits.iter()) {
        let distance = (i32::from(logit) - i32::from(max)) as f32 * step;
        *probability = F32Ext::exp(distance);
        sum += *probability;
    }
    for probability in probabilities.iter_mut().take(logits.len()) {
        *probability /= sum;
    }
}

#[cfg(test)]
mod tests {
    use super::softmax;
    use crate::codes::Codes;

    #[test]
    fn softmax_is_near_the_exact_one() {
        let mut probabilities = [0.0; 3];
        softmax(Codes::from_i8(&[16, 0, -16]), -4, &mut probabilities);
        let exact = [0.665_24, 0.244_73, 0.090_03];
        for (got, expected) in probabilities.iter().zip(exact) {
            assert!((got - expected).abs() < 0.02, "{got} against {expected}");
        }
    }
}
