//! Private keys in each PEM form that clients meet. rcgen writes PKCS#8; the older forms are what lies inside it.

use anyhow::{Context, Result, bail};
use pem::{EncodeConfig, LineEnding, Pem};
use rcgen::KeyPair;

/// Algorithm and encoding of a private key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyForm {
    /// P-256, `BEGIN PRIVATE KEY`.
    EcPkcs8,
    /// P-256, `BEGIN EC PRIVATE KEY`.
    EcSec1,
    /// RSA 2048, `BEGIN PRIVATE KEY`.
    RsaPkcs8,
    /// RSA 2048, `BEGIN RSA PRIVATE KEY`.
    RsaPkcs1,
    /// `BEGIN ENCRYPTED PRIVATE KEY`, with a passphrase that nobody knows: clients have to refuse it by name.
    Encrypted,
}

const SEQUENCE: u8 = 0x30;
const OCTET_STRING: u8 = 0x04;
/// `[0]` of ECPrivateKey (RFC 5915): the curve.
const PARAMETERS: u8 = 0xa0;
/// The object identifier of P-256 as DER.
const PRIME256V1: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

pub(super) fn generate(form: KeyForm) -> Result<KeyPair> {
    let algorithm = match form {
        KeyForm::RsaPkcs1 | KeyForm::RsaPkcs8 => &rcgen::PKCS_RSA_SHA256,
        _ => &rcgen::PKCS_ECDSA_P256_SHA256,
    };
    Ok(KeyPair::generate_for(algorithm)?)
}

pub(super) fn to_pem(key: &KeyPair, form: KeyForm) -> Result<String> {
    let pkcs8 = key.serialized_der();
    Ok(match form {
        KeyForm::EcPkcs8 | KeyForm::RsaPkcs8 => pem("PRIVATE KEY", pkcs8),
        KeyForm::RsaPkcs1 => pem("RSA PRIVATE KEY", inner(pkcs8)?),
        KeyForm::EcSec1 => pem("EC PRIVATE KEY", &with_curve(inner(pkcs8)?)?),
        // The label decides; the body has the right outer shape and is never decrypted.
        KeyForm::Encrypted => pem("ENCRYPTED PRIVATE KEY", pkcs8),
    })
}

/// The third field of PKCS#8's PrivateKeyInfo {version, algorithm, privateKey}: PKCS#1's or SEC1's structure.
fn inner(pkcs8: &[u8]) -> Result<&[u8]> {
    let (fields, _) = read(pkcs8, SEQUENCE)?;
    let (_, after_version) = read(fields, 0x02)?;
    let (_, after_algorithm) = read(after_version, SEQUENCE)?;
    Ok(read(after_algorithm, OCTET_STRING)?.0)
}

/// Adds the curve to an ECPrivateKey {version, privateKey, publicKey}: inside PKCS#8 it stands in the algorithm, alone it
/// has to be said.
fn with_curve(ec_key: &[u8]) -> Result<Vec<u8>> {
    let (fields, _) = read(ec_key, SEQUENCE)?;
    let (_, after_version) = read(fields, 0x02)?;
    let (_, rest) = read(after_version, OCTET_STRING)?;
    let (head, _) = fields.split_at(fields.len() - rest.len());
    if rest.first() == Some(&PARAMETERS) {
        return Ok(ec_key.to_vec());
    }
    let curve = write(PARAMETERS, &PRIME256V1);
    Ok(write(SEQUENCE, &[head, &curve, rest].concat()))
}

/// Splits one DER element into its contents and what follows it.
fn read(der: &[u8], tag: u8) -> Result<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first().context("DER ends early")?;
    if found != tag {
        bail!("DER tag {found:#x} where {tag:#x} was expected");
    }
    let (&first, rest) = rest.split_first().context("DER ends early")?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (bytes, rest) = rest
            .split_at_checked(usize::from(first & 0x7f))
            .context("DER ends early")?;
        (
            bytes
                .iter()
                .fold(0, |length, byte| length << 8 | usize::from(*byte)),
            rest,
        )
    };
    rest.split_at_checked(length).context("DER ends early")
}

fn write(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len();
    let mut der = vec![tag];
    if length < 0x80 {
        der.push(length as u8);
    } else {
        let bytes: Vec<u8> = length
            .to_be_bytes()
            .into_iter()
            .skip_while(|byte| *byte == 0)
            .collect();
        der.push(0x80 | bytes.len() as u8);
        der.extend(bytes);
    }
    der.extend(contents);
    der
}

fn pem(label: &str, der: &[u8]) -> String {
    pem::encode_config(
        &Pem::new(label, der),
        EncodeConfig::new().set_line_ending(LineEnding::LF),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_written_as_sec1_names_its_curve_and_keeps_its_public_key() -> Result<()> {
        let key = generate(KeyForm::EcSec1)?;
        let sec1 = with_curve(inner(key.serialized_der())?)?;
        assert!(
            sec1.windows(PRIME256V1.len())
                .any(|window| window == PRIME256V1)
        );
        assert!(
            sec1.windows(65)
                .any(|window| window == key.public_key_raw())
        );
        Ok(())
    }
}
