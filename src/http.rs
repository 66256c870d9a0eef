//! The one edit that pen makes to what clients send (`http`): telling the server who the client is. Pure.
//!
//! Owns the first header block of a connection and nothing after it. The relay pushes what it reads through [`Head`] until
//! that is done, then moves bytes as always. Later requests of the same connection are not edited. How each mode goes
//! about it is in `add.rs` (Pen's way) and `edit.rs` (`replace`, `append`).

mod add;
mod edit;

use add::Addition;
use edit::Editor;
use pen_proto::addr::ClientAddr;
use pen_proto::commands::HttpMode;

/// Whether [`Head`] has seen enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Some bytes may be held back. At end of file call [`Head::finish`].
    NeedMore,
    /// Everything pushed has come out, and everything to come passes through unchanged.
    Done,
}

/// The beginning of what a client sends, up to the empty line that ends the first header block.
#[derive(Debug)]
pub enum Head {
    Add(Addition),
    Edit(Editor),
}

impl Head {
    /// For a connection of `client`. `proto` is what X-Forwarded-Proto is to say: `http`, or `https` for a client that came
    /// through TLS. With [`HttpMode::Off`] there is nothing to do; it is taken for `Add`.
    pub fn new(client: ClientAddr, proto: &'static str, mode: HttpMode) -> Head {
        match mode {
            HttpMode::Off | HttpMode::Add => Head::Add(Addition::new(client, proto)),
            HttpMode::Replace | HttpMode::Append => {
                Head::Edit(Editor::new(client, proto, mode == HttpMode::Append))
            }
        }
    }

    /// Takes the next bytes from the client and appends to `out` what may go to the server. How the bytes are cut into
    /// calls makes no difference to what comes out in all.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Progress {
        match self {
            Head::Add(addition) => addition.push(bytes, out),
            Head::Edit(editor) => editor.push(bytes, out),
        }
    }

    /// The client has sent its end of file: what was held back comes out unchanged.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        match self {
            Head::Add(addition) => addition.finish(out),
            Head::Edit(editor) => editor.finish(out),
        }
    }
}
