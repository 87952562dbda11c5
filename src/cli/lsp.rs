//! `bmctl lsp`

use std::io::{Read, Write};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use super::context::{self, ConfigArgs};
use super::out::Out;
use super::sources::FsSources;
use super::{CommandResult, Exit, Failure};
use crate::config::Sources;
use crate::lsp::frame::{Frame, Frames, written};
use crate::lsp::{Phase, Server, refusal};
use crate::secret::Key32;

/// Speak the language server protocol on standard input and output, for editors.
///
/// docs/editors.md says how editors are set up.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Accepted because editors pass it; there is no other way
    #[arg(long)]
    stdio: bool,
}

/// A pause in typing; a directory is looked at after it, so that fast typing is not followed letter by letter.
const QUIET_MS: u64 = 150;

/// Bytes read at once, and at most so many pieces waiting.
const PIECE_BYTES: usize = 64 * 1024;
const PIECES_MAX: usize = 64;

pub fn run(args: Args, out: &Out) -> CommandResult {
    let opener = |dir: &Path| -> Box<dyn Sources> {
        // Nothing is compared with state, so any key will do.
        Box::new(FsSources {
            root: dir.to_owned(),
            key: Key32::new([0; 32]),
        })
    };
    let mut server = Server::new(Box::new(opener), context::variables(&args.config)?);
    let (sender, pieces) = mpsc::sync_channel(PIECES_MAX);
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        let mut piece = vec![0; PIECE_BYTES];
        while let Ok(count @ 1..) = input.read(&mut piece) {
            let read = piece.get(..count).unwrap_or_default().to_vec();
            if sender.send(read).is_err() {
                return;
            }
        }
    });
    serve(&mut server, &pieces)?;
    match server.phase() {
        Phase::Ended { orderly: true } | Phase::ShutDown => Ok(Exit::Done),
        Phase::Ended { orderly: false } | Phase::Running => {
            out.note("the editor went away without saying shutdown");
            Ok(Exit::Error)
        }
    }
}

/// Until `exit`, the end of the input, or an editor that no longer listens.
fn serve(server: &mut Server, pieces: &Receiver<Vec<u8>>) -> Result<(), Failure> {
    let mut frames = Frames::default();
    loop {
        let piece = match server.is_dirty() {
            true => pieces.recv_timeout(Duration::from_millis(QUIET_MS)),
            false => pieces.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match piece {
            Ok(piece) => frames.push(&piece),
            Err(RecvTimeoutError::Timeout) => {
                for message in server.settle() {
                    tell(&written(message))?;
                }
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        while let Some(frame) = frames.poll() {
            match frame {
                Frame::Message(message) => {
                    for answer in server.handle(message) {
                        tell(&written(answer))?;
                    }
                }
                Frame::Garbage(why) => tell(&refusal(&why))?,
            }
            if matches!(server.phase(), Phase::Ended { .. }) {
                return Ok(());
            }
        }
    }
}

fn tell(bytes: &[u8]) -> Result<(), Failure> {
    let mut output = std::io::stdout().lock();
    let told = output.write_all(bytes).and_then(|()| output.flush());
    told.map_err(|e| Failure::new(Exit::Error, format!("the editor does not listen: {e}")))
}
