//! Models that only the owner of a key can write: for updates over the air.

use ed25519_dalek::{SIGNATURE_LENGTH, Signature, VerifyingKey};

use crate::error::LoadError;

/// The model file behind its signature, if that is by the owner's key.
///
/// bytes       64 bytes of Ed25519 signature (RFC 8032) over all that follows, then a model file: what `stepshift sign` writes
/// public_key  32 bytes
///
/// # Errors
/// [`LoadError::Signature`] where the bytes were not signed by that key, or changed afterwards, or the key is none.
pub fn verify_signature<'a>(bytes: &'a [u8], public_key: &[u8; 32]) -> Result<&'a [u8], LoadError> {
    let (signature, model) = bytes.split_first_chunk::<SIGNATURE_LENGTH>().ok_or(LoadError::Signature)?;
    let key = VerifyingKey::from_bytes(public_key).map_err(|_| LoadError::Signature)?;
    key.verify_strict(model, &Signature::from_bytes(signature)).map_err(|_| LoadError::Signature)?;
    Ok(model)
}

#[cfg(doctest)]
#[doc = include_str!("../../docs/model-update.md")]
struct ModelUpdate;

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use ed25519_dalek::{Signer, SigningKey};

    use super::*;
    use crate::Model;

    const SMALL: &[u8] = include_bytes!("../testdata/small.stepshift");

    fn signed(key: &SigningKey) -> Vec<u8> {
        [&key.sign(SMALL).to_bytes(), SMALL].concat()
    }

    #[test]
    fn a_model_of_the_owner_loads() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let bytes = signed(&key);
        let model = verify_signature(&bytes, key.verifying_key().as_bytes()).unwrap();
        assert!(Model::parse(model).is_ok());
    }

    #[test]
    fn other_keys_changed_bytes_and_short_files_are_refused() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let other = SigningKey::from_bytes(&[8; 32]).verifying_key();
        let good = signed(&key);
        let refused =
            |bytes: &[u8], key: &[u8; 32]| assert_eq!(verify_signature(bytes, key), Err(LoadError::Signature));
        refused(&good, other.as_bytes());
        refused(&good, &[0xff; 32]);
        let key = key.verifying_key();
        for byte in 0..good.len() {
            let mut bad = good.clone();
            bad[byte] ^= 1;
            refused(&bad, key.as_bytes());
        }
        refused(&good[..63], key.as_bytes());
        refused(SMALL, key.as_bytes());
    }
}
