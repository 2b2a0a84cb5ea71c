//! Fields of X.509 certificates, as properties show them.

use std::fmt::Write;

use sha2::{Digest, Sha256};
use weir_host::CertificateField;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A field of a certificate in DER; `None` where it lacks the field or cannot be read.
pub fn certificate_field(der: &[u8], field: CertificateField) -> Option<String> {
    match field {
        CertificateField::Sha256Digest => return Some(hex(&Sha256::digest(der))),
        CertificateField::Pem => return Some(url_encoded_pem(der)),
        _ => {}
    }
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    match field {
        CertificateField::Subject => Some(rfc2253(&certificate)),
        CertificateField::DnsSan => alternative_name(&certificate, |name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        }),
        CertificateField::UriSan => alternative_name(&certificate, |name| match name {
            GeneralName::URI(uri) => Some((*uri).to_owned()),
            _ => None,
        }),
        CertificateField::Sha256Digest | CertificateField::Pem => None,
    }
}

/// RFC 2253 names the last component first.
fn rfc2253(certificate: &X509Certificate<'_>) -> String {
    let mut text = String::new();
    let components: Vec<_> = certificate.subject().iter_attributes().collect();
    for component in components.iter().rev() {
        let Ok(value) = component.as_str() else {
            continue;
        };
        let name = match component.attr_type().to_id_string().as_str() {
            "2.5.4.3" => "CN",
            "2.5.4.6" => "C",
            "2.5.4.7" => "L",
            "2.5.4.8" => "ST",
            "2.5.4.9" => "STREET",
            "2.5.4.10" => "O",
            "2.5.4.11" => "OU",
            "0.9.2342.19200300.100.1.25" => "DC",
            "0.9.2342.19200300.100.1.1" => "UID",
            "1.2.840.113549.1.9.1" => "emailAddress",
            _ => continue,
        };
        if !text.is_empty() {
            text.push(',');
        }
        let _ = write!(text, "{name}={}", escape(value));
    }
    text
}

fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for (index, c) in value.char_indices() {
        let at_edge = (index == 0 && (c == ' ' || c == '#')) || (index + 1 == value.len() && c == ' ');
        if at_edge || matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

fn alternative_name(
    certificate: &X509Certificate<'_>,
    pick: impl Fn(&GeneralName<'_>) -> Option<String>,
) -> Option<String> {
    let names = certificate.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(pick)
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn url_encoded_pem(der: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut base64 = String::with_capacity(der.len() * 4 / 3 + 4);
    for chunk in der.chunks(3) {
        let word = chunk
            .iter()
            .fold(0_u32, |word, byte| word << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            if digit <= chunk.len() {
                base64.push(char::from(ALPHABET[(word >> (18 - 6 * digit) & 63) as usize]));
            } else {
                base64.push('=');
            }
        }
    }
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in base64.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|byte| char::from(*byte)));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem.bytes()
        .fold(String::with_capacity(pem.len() * 2), |mut text, byte| {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                text.push(char::from(byte));
            } else {
                let _ = write!(text, "%{byte:02X}");
            }
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found() {
        let mut parameters = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters
            .distinguished_name
            .push(rcgen::DnType::OrganizationName, "Weir, Ltd");
        parameters
            .distinguished_name
            .push(rcgen::DnType::CommonName, "edge");
        parameters
            .subject_alt_names
            .push(rcgen::SanType::URI("spiffe://weir/edge".try_into().unwrap()));
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let der = certificate.der();
        let get = |which| certificate_field(der, which).unwrap();
        assert_eq!(get(CertificateField::Subject), "CN=edge,O=Weir\\, Ltd");
        assert_eq!(get(CertificateField::DnsSan), "a.example");
        assert_eq!(get(CertificateField::UriSan), "spiffe://weir/edge");
        assert_eq!(get(CertificateField::Sha256Digest).len(), 64);
        assert!(get(CertificateField::Pem).starts_with("-----BEGIN%20CERTIFICATE-----%0A"));
        assert_eq!(
            certificate_field(b"no certificate", CertificateField::Subject),
            None
        );
    }

    #[test]
    fn the_digest_is_sha256() {
        assert_eq!(
            hex(&Sha256::digest(b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
