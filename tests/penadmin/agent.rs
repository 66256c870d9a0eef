//! An agent of ssh with one security key in it that always finds itself touched.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

const APPLICATION: &str = "ssh:";
/// Touched, and how often it has signed.
const FLAGS_AND_COUNTER: [u8; 5] = [1, 0, 0, 0, 7];

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// The key in a token, of one of the two kinds that there are.
pub enum Token {
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaKeyPair),
}

impl Token {
    pub fn ed25519() -> Token {
        Token::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    pub fn ecdsa() -> Token {
        Token::Ecdsa(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub fn kind(&self) -> &'static str {
        match self {
            Token::Ed25519(_) => "sk-ssh-ed25519@openssh.com",
            Token::Ecdsa(_) => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }

    fn public(&self) -> Vec<u8> {
        let key: &[&[u8]] = match self {
            Token::Ed25519(key) => &[key.public_key().as_ref()],
            Token::Ecdsa(key) => &[b"nistp256", key.public_key().as_ref()],
        };
        let parts = [&[self.kind().as_bytes()], key, &[APPLICATION.as_bytes()]].concat();
        parts.into_iter().flat_map(string).collect()
    }

    fn sign(&self, data: &[u8]) -> Vec<u8> {
        let hash = |bytes: &[u8]| digest(&SHA256, bytes).as_ref().to_vec();
        let whole = [hash(APPLICATION.as_bytes()), FLAGS_AND_COUNTER.to_vec(), hash(data)].concat();
        let signature = match self {
            Token::Ed25519(key) => key.sign(&whole).as_ref().to_vec(),
            Token::Ecdsa(key) => {
                let both = key.sign(&SystemRandom::new(), &whole).unwrap();
                both.as_ref().chunks(32).flat_map(number).collect()
            }
        };
        [string(self.kind().as_bytes()), string(&signature), FLAGS_AND_COUNTER.to_vec()].concat()
    }
}

/// Starts one; the file `NAME.pub` beside its socket is its public key.
pub fn start(directory: &Path, name: &str, token: Token) -> PathBuf {
    let socket = directory.join(format!("{name}.agent"));
    let listener = UnixListener::bind(&socket).unwrap();
    let blob = token.public();
    let path = directory.join(format!("{name}.blob"));
    std::fs::write(&path, &blob).unwrap();
    let text = Command::new("base64").arg("-w0").arg(path).output().unwrap().stdout;
    let line = format!("{} {} {name}\n", token.kind(), String::from_utf8(text).unwrap());
    std::fs::write(directory.join(format!("{name}.pub")), line).unwrap();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // The client ends with the connection.
            let _ = serve(client, &token, &blob);
        }
    });
    socket
}

fn serve(mut client: UnixStream, token: &Token, blob: &[u8]) -> io::Result<()> {
    loop {
        let mut length = [0; 4];
        client.read_exact(&mut length)?;
        let mut request = vec![0; u32::from_be_bytes(length) as usize];
        client.read_exact(&mut request)?;
        let answer = match request[0] {
            REQUEST_IDENTITIES => {
                [&[IDENTITIES_ANSWER, 0, 0, 0, 1], &string(blob)[..], &string(b"key")[..]].concat()
            }
            SIGN_REQUEST => [&[SIGN_RESPONSE], &string(&token.sign(signed(&request[1..])))[..]].concat(),
            _ => vec![FAILURE],
        };
        client.write_all(&string(&answer))?;
    }
}

/// What is to be signed: behind the key that is to sign it.
fn signed(request: &[u8]) -> &[u8] {
    let (_, rest) = take(request);
    take(rest).0
}

/// A number of the protocol: without zeros before it, but with one where it would look negative.
fn number(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let sign = if bytes.get(zeros).is_some_and(|byte| *byte >= 0x80) { &[0][..] } else { &[] };
    string(&[sign, &bytes[zeros..]].concat())
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
}

fn take(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (length, rest) = bytes.split_first_chunk::<4>().unwrap();
    rest.split_at(u32::from_be_bytes(*length) as usize)
}
