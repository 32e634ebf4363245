//! Every certificate of one file, in words: for people who look at it when it is about to be replaced.

use std::path::Path;

use sha2::{Digest as _, Sha256};
use x509_parser::{certificate::X509Certificate, parse_x509_certificate};

use super::read::{ders, read};

/// Certificates told of one file; a chain has three or four.
const CHAIN_MAX: usize = 8;
/// Names told of one certificate.
const NAMES_MAX: usize = 16;

/// The certificates in the file at `path`, in its order: whose, from whom, how long, and their hash.
/// A private key in the same file is not looked at.
///
/// # Errors
/// Says why the file gives none.
pub fn certificate_chain(path: &Path) -> Result<Vec<String>, String> {
    let bytes = read(path).map_err(|why| format!("{}: {why}", path.display()))?;
    told(&bytes).ok_or_else(|| format!("{}: there is no certificate in it", path.display()))
}

fn told(bytes: &[u8]) -> Option<Vec<String>> {
    let ders = ders(bytes, CHAIN_MAX);
    let lines: Vec<_> = ders
        .iter()
        .map(|der| match parse_x509_certificate(der) {
            Ok((_, certificate)) => line(&certificate, der),
            Err(error) => format!("malformed: {error}"),
        })
        .collect();
    (!lines.is_empty()).then_some(lines)
}

fn line(certificate: &X509Certificate<'_>, der: &[u8]) -> String {
    let validity = certificate.validity();
    let digest = Sha256::digest(der);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map_or_else(Vec::new, |names| {
        let names = names.value.general_names.iter().take(NAMES_MAX);
        names.map(|name| format!("{name}")).collect()
    });
    let names = match names.is_empty() {
        true => String::new(),
        false => format!(", for {}", names.join(" ")),
    };
    format!(
        "{}, from {}, {} to {}, serial {}, sha256 {hex}{names}",
        certificate.subject(),
        certificate.issuer(),
        validity.not_before,
        validity.not_after,
        certificate.raw_serial_as_string(),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_chain_is_told_without_its_key() {
        let key = rcgen::KeyPair::generate().unwrap();
        let make = |name: &str| {
            let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
            params.self_signed(&key).unwrap().pem()
        };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("all.pem");
        let file = key.serialize_pem() + &make("a.example") + &make("b.example");
        std::fs::write(&path, file).unwrap();
        let lines = certificate_chain(&path).unwrap();
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(
            lines[0].contains("a.example") && lines[1].contains("b.example"),
            "{lines:?}"
        );
        assert!(lines[0].contains("sha256 "), "{lines:?}");
        let long = make("a.example").repeat(CHAIN_MAX + 3);
        std::fs::write(&path, long).unwrap();
        assert_eq!(certificate_chain(&path).unwrap().len(), CHAIN_MAX);
        std::fs::write(&path, key.serialize_pem()).unwrap();
        assert!(
            certificate_chain(&path)
                .unwrap_err()
                .ends_with("there is no certificate in it")
        );
        assert!(
            certificate_chain(Path::new("/dev/null"))
                .unwrap_err()
                .contains("no regular file")
        );
        assert!(certificate_chain(Path::new("/nonexistent")).is_err());
    }

    proptest! {
        /// What lies in a file is anybody's.
        #[test]
        fn any_bytes_give_bounded_lines(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            for begin in [&b""[..], b"\x30\x82", b"-----BEGIN CERTIFICATE-----\n"] {
                let all: Vec<u8> = begin.iter().chain(&bytes).copied().collect();
                prop_assert!(told(&all).is_none_or(|lines| lines.len() <= CHAIN_MAX));
            }
        }
    }
}
