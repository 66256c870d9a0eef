//! One channel: a command, or a shell.

use super::clerk::{Clerk, Reply, Screen};
use super::guest::Seen;
use super::shell::Shell;
use crate::office::Office;
use crate::rights::LINE_BYTES_MAX;
use pen_proto::escape::harmless;
use russh::server::{Handle, Msg};
use russh::{Channel, ChannelMsg, Error};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The number of standard error in the protocol.
const STDERR: u32 = 1;

/// Serves a channel until it ends.
pub async fn serve(channel: Channel<Msg>, handle: Handle, office: Arc<Office>, seen: Arc<Seen>) {
    let mut desk = Desk { channel, handle, clerk: Clerk::new(office, seen.clone()) };
    // What breaks a channel, its other end knows.
    let _ = desk.attend().await;
    let _ = desk.channel.close().await;
    seen.channels.fetch_sub(1, Ordering::SeqCst);
}

struct Desk {
    channel: Channel<Msg>,
    handle: Handle,
    clerk: Clerk,
}

impl Desk {
    /// Waits for what is wanted, and does it.
    async fn attend(&mut self) -> Result<(), Error> {
        while let Some(message) = self.channel.wait().await {
            match message {
                ChannelMsg::RequestPty { want_reply, term, col_width, .. } => {
                    self.clerk.screen = Some(Screen::new(col_width, &term));
                    self.answer(want_reply, true).await;
                }
                ChannelMsg::Exec { want_reply, command } => {
                    self.answer(want_reply, true).await;
                    let done = self.obey(&command).await?;
                    return self.end(done.is_err()).await;
                }
                ChannelMsg::RequestShell { want_reply } => {
                    self.answer(want_reply, true).await;
                    let has_failed = match self.clerk.screen {
                        Some(_) => self.shell().await?,
                        None => self.script().await?,
                    };
                    return self.end(has_failed).await;
                }
                ChannelMsg::RequestSubsystem { want_reply, .. }
                | ChannelMsg::RequestX11 { want_reply, .. }
                | ChannelMsg::SetEnv { want_reply, .. } => self.answer(want_reply, false).await,
                ChannelMsg::Close => return Ok(()),
                _ => {}
            }
        }
        Ok(())
    }

    async fn answer(&self, is_wanted: bool, is_done: bool) {
        let id = self.channel.id();
        // It fails when the connection has ended, which the next message tells too.
        let _ = match (is_wanted, is_done) {
            (true, true) => self.handle.channel_success(id).await,
            (true, false) => self.handle.channel_failure(id).await,
            (false, _) => Ok(()),
        };
    }

    /// Carries a line out and says what came of it: whether to go on, or that it failed.
    async fn obey(&mut self, line: &[u8]) -> Result<Result<bool, ()>, Error> {
        Ok(match self.clerk.obey(line).await {
            Ok(Reply::Text(text)) => {
                self.print(&text).await?;
                Ok(true)
            }
            Ok(Reply::Quit) => Ok(false),
            Err(reason) => {
                self.complain(&reason).await?;
                Err(())
            }
        })
    }

    /// Lines without a terminal, as they come, until one fails. Whether one did.
    async fn script(&mut self) -> Result<bool, Error> {
        let mut begun = Vec::new();
        loop {
            let message = self.channel.wait().await;
            let is_end = match message {
                Some(ChannelMsg::Data { data }) => {
                    begun.extend_from_slice(&data);
                    false
                }
                Some(ChannelMsg::Eof | ChannelMsg::Close) | None => {
                    begun.push(b'\n');
                    true
                }
                Some(_) => false,
            };
            while let Some(end) = begun.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = begun.drain(..=end).collect();
                match self.obey(line.trim_ascii()).await? {
                    Ok(true) => {}
                    Ok(false) => return Ok(false),
                    Err(()) => return Ok(true),
                }
            }
            if begun.len() > LINE_BYTES_MAX {
                self.complain(&format!("want a line of at most {LINE_BYTES_MAX} bytes")).await?;
                return Ok(true);
            }
            if is_end {
                return Ok(false);
            }
        }
    }

    /// Lines that a person types. An error is shown, and the shell goes on.
    async fn shell(&mut self) -> Result<bool, Error> {
        let mut shell = Shell::default();
        self.print(&shell.greet(&self.clerk)).await?;
        while let Some(message) = self.channel.wait().await {
            match message {
                ChannelMsg::Data { data } => {
                    for byte in data {
                        let text = shell.take(byte, &mut self.clerk).await;
                        match text {
                            Some(text) => self.print(&text).await?,
                            None => return Ok(false),
                        }
                    }
                }
                ChannelMsg::WindowChange { col_width, .. } => {
                    if let Some(screen) = &mut self.clerk.screen {
                        screen.resize(col_width);
                    }
                }
                ChannelMsg::Eof | ChannelMsg::Close => break,
                _ => {}
            }
        }
        Ok(false)
    }

    /// Ends with 0, or with 1 when something failed.
    async fn end(&self, has_failed: bool) -> Result<(), Error> {
        self.channel.exit_status(u32::from(has_failed)).await?;
        self.channel.eof().await
    }

    async fn print(&self, text: &str) -> Result<(), Error> {
        match text {
            "" => Ok(()),
            text => self.channel.data_bytes(self.ended(text)).await,
        }
    }

    async fn complain(&self, reason: &str) -> Result<(), Error> {
        let text = self.ended(&format!("error: {}\n", harmless(reason)));
        self.channel.extended_data_bytes(STDERR, text).await
    }

    /// A terminal that is not the system's own wants to be told to go to the left.
    fn ended(&self, text: &str) -> Vec<u8> {
        match self.clerk.screen {
            Some(_) => text.replace('\n', "\r\n").into_bytes(),
            None => text.as_bytes().to_vec(),
        }
    }
}
