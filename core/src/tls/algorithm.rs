//! Names of the algorithms that keys and signatures of certificates have. Pure.

use super::der;

/// Object identifiers, without header.
const NAMES: [(&[u8], &str); 22] = [
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1], "RSA"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 4], "RSA with MD5"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5], "RSA with SHA-1"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10], "RSA-PSS"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11], "RSA with SHA-256"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 12], "RSA with SHA-384"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 13], "RSA with SHA-512"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 14], "RSA with SHA-224"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x38, 4, 1], "DSA"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x38, 4, 3], "DSA with SHA-1"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1], "elliptic curve"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7], "P-256"),
    (&[0x2b, 0x81, 4, 0, 34], "P-384"),
    (&[0x2b, 0x81, 4, 0, 35], "P-521"),
    (&[0x2b, 0x81, 4, 0, 10], "secp256k1"),
    (&[0x2b, 0x24, 3, 3, 2, 8, 1, 1, 7], "brainpoolP256r1"),
    (&[0x2b, 0x24, 3, 3, 2, 8, 1, 1, 11], "brainpoolP384r1"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1], "ECDSA with SHA-1"),
    (&[0x2b, 0x65, 110], "X25519"),
    (&[0x2b, 0x65, 112], "Ed25519"),
    (&[0x2b, 0x65, 113], "Ed448"),
    (&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 2], "DSA with SHA-256"),
];
const ELLIPTIC_CURVE: &str = "elliptic curve";

/// The name of what the content of an AlgorithmIdentifier says; of a key on a curve, that of the curve.
pub fn name(identifier: &[u8]) -> &'static str {
    let mut parts = der::elements(identifier).into_iter().flatten();
    let known = |id: &[u8]| NAMES.iter().find(|(known, _)| *known == id).map(|(_, name)| *name);
    let mut next =
        || parts.next().filter(|part| part.tag == der::OBJECT_IDENTIFIER).and_then(|part| known(part.value));
    match next() {
        Some(ELLIPTIC_CURVE) => next().unwrap_or("an elliptic curve of its own"),
        name => name.unwrap_or("something unknown"),
    }
}

/// What kind of private key it is, in the forms of PKCS#8, PKCS#1 or SEC 1, with the bits of an RSA key.
pub fn of_private_key(key: &[u8]) -> String {
    let described = || {
        let mut parts = der::only(key, der::SEQUENCE)?.inner()?;
        let version = parts.next_of(der::INTEGER)?;
        match parts.next()? {
            algorithm if algorithm.tag == der::SEQUENCE => {
                let inner = parts.next_of(der::OCTET_STRING)?.value;
                match name(algorithm.value) {
                    "RSA" => Some(of_private_key(inner)),
                    "RSA-PSS" => Some(format!("{}, for RSA-PSS only", of_private_key(inner))),
                    name => Some(format!("a key for {name}")),
                }
            }
            modulus if modulus.tag == der::INTEGER => {
                let bits = bits(modulus.value);
                let primes = if version.value == [0] { "" } else { " with more than two primes" };
                Some(format!("an RSA key of {bits} bits{primes}"))
            }
            secret if secret.tag == der::OCTET_STRING => {
                let curve = parts.next_of(der::context(0))?.value;
                Some(format!(
                    "a key for {}",
                    NAMES.iter().find(|(id, _)| der::first(curve).is_some_and(|c| c.value == *id))?.1
                ))
            }
            _ => None,
        }
    };
    described().unwrap_or_else(|| "a key of another kind".into())
}

/// Bits of a positive INTEGER.
pub fn bits(integer: &[u8]) -> usize {
    let from = integer.iter().position(|byte| *byte != 0).unwrap_or(integer.len());
    match &integer[from..] {
        [] => 0,
        [first, rest @ ..] => rest.len() * 8 + 8 - first.leading_zeros() as usize,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn algorithms_and_keys_have_names() {
        assert_eq!(name(&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5, 5, 0]), "RSA with SHA-1");
        let curve = [6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 35];
        assert_eq!(name(&curve), "P-521");
        assert_eq!(name(b"rubbish"), "something unknown");
        let rsa = [0x30, 9, 2, 1, 0, 2, 4, 0, 0x80, 0, 1];
        assert_eq!(of_private_key(&rsa), "an RSA key of 24 bits");
        assert_eq!(of_private_key(b""), "a key of another kind");
        assert_eq!((bits(&[0]), bits(&[0, 1]), bits(&[1, 0])), (0, 1, 9));
    }
}
