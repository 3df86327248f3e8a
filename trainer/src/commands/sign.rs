//! `stepshift sign`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use ed25519_dalek::pkcs8::DecodePrivateKey;
use ed25519_dalek::{Signer, SigningKey};
use stepshift_runtime::{Model, verify_signature};
use stepshift_trainer::atomic_file;

/// Ending of a signed model's file name.
const ENDING: &str = "signed";

#[derive(Debug, clap::Args)]
pub(crate) struct Sign {
    /// A model file
    model: PathBuf,
    /// The owner's key, Ed25519 in PKCS#8 PEM: `openssl genpkey -algorithm ed25519 -out key.pem`
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where to write the signed model; beside the model where left out, ending in .signed
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Sign {
    pub(crate) fn run(&self) -> Result<ExitCode> {
        let path = self.model.display();
        let model = std::fs::read(&self.model).with_context(|| format!("cannot read {path}"))?;
        Model::parse(&model).with_context(|| path.to_string())?;
        let key_path = self.key.display();
        let pem = std::fs::read_to_string(&self.key).with_context(|| format!("cannot read {key_path}"))?;
        let key = SigningKey::from_pkcs8_pem(&pem)
            .map_err(|error| anyhow!("{key_path} is no Ed25519 key in PKCS#8 PEM: {error}"))?;
        let signed = [&key.sign(&model).to_bytes(), model.as_slice()].concat();
        let public = key.verifying_key().to_bytes();
        verify_signature(&signed, &public)?;
        let out = self.out.clone().unwrap_or_else(|| self.model.with_extension(ENDING));
        atomic_file::write(&out, &signed)?;
        println!("signed: {}", out.display());
        println!("public key, for the firmware:\n{public:?}");
        Ok(ExitCode::SUCCESS)
    }
}
