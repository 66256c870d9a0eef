//! An agent of ssh with one security key in it that always finds itself touched.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

const KIND: &str = "sk-ssh-ed25519@openssh.com";
const APPLICATION: &str = "ssh:";
/// Touched, and how often it has signed.
const FLAGS_AND_COUNTER: [u8; 5] = [1, 0, 0, 0, 7];

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// Starts one; the file `NAME.pub` beside its socket is its public key.
pub fn start(directory: &Path, name: &str) -> PathBuf {
    let socket = directory.join(format!("{name}.agent"));
    let listener = UnixListener::bind(&socket).unwrap();
    let key = Ed25519KeyPair::generate().unwrap();
    let blob = public(&key);
    let path = directory.join(format!("{name}.blob"));
    std::fs::write(&path, &blob).unwrap();
    let text = Command::new("base64").arg("-w0").arg(path).output().unwrap().stdout;
    let line = format!("{KIND} {} {name}\n", String::from_utf8(text).unwrap());
    std::fs::write(directory.join(format!("{name}.pub")), line).unwrap();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // The client ends with the connection.
            let _ = serve(client, &key, &blob);
        }
    });
    socket
}

fn serve(mut client: UnixStream, key: &Ed25519KeyPair, blob: &[u8]) -> io::Result<()> {
    loop {
        let mut length = [0; 4];
        client.read_exact(&mut length)?;
        let mut request = vec![0; u32::from_be_bytes(length) as usize];
        client.read_exact(&mut request)?;
        let answer = match request[0] {
            REQUEST_IDENTITIES => {
                [&[IDENTITIES_ANSWER, 0, 0, 0, 1], &string(blob)[..], &string(b"key")[..]].concat()
            }
            SIGN_REQUEST => [&[SIGN_RESPONSE], &string(&sign(key, signed(&request[1..])))[..]].concat(),
            _ => vec![FAILURE],
        };
        client.write_all(&string(&answer))?;
    }
}

fn public(key: &Ed25519KeyPair) -> Vec<u8> {
    let parts = [KIND.as_bytes(), key.public_key().as_ref(), APPLICATION.as_bytes()];
    parts.map(string).concat()
}

/// What is to be signed: behind the key that is to sign it.
fn signed(request: &[u8]) -> &[u8] {
    let (_, rest) = take(request);
    take(rest).0
}

fn sign(key: &Ed25519KeyPair, data: &[u8]) -> Vec<u8> {
    let hash = |bytes: &[u8]| digest(&SHA256, bytes).as_ref().to_vec();
    let whole = [hash(APPLICATION.as_bytes()), FLAGS_AND_COUNTER.to_vec(), hash(data)].concat();
    [string(KIND.as_bytes()), string(key.sign(&whole).as_ref()), FLAGS_AND_COUNTER.to_vec()].concat()
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
}

fn take(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (length, rest) = bytes.split_first_chunk::<4>().unwrap();
    rest.split_at(u32::from_be_bytes(*length) as usize)
}
