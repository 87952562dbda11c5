//! Messages out of a stream of bytes: headers, a blank line, a body of the announced length. What is no message is told and
//! skipped, so that one mistake of a client does not end the session.

use lsp_server::Message;

/// An editor sends a file whole; larger ones are not configuration.
pub const BODY_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Headers of a client that means well are shorter.
const HEADER_BYTES_MAX: usize = 8 * 1024;

#[derive(Debug)]
pub enum Frame {
    Message(Message),
    /// What came instead, for the answer.
    Garbage(String),
}

#[derive(Debug, Default)]
pub struct Frames {
    buffer: Vec<u8>,
    /// Where the unread part begins.
    from: usize,
    /// Bytes of a body too large to be kept that are still to come.
    skip: usize,
}

impl Frames {
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.from);
        self.from = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message, once it is there whole.
    pub fn poll(&mut self) -> Option<Frame> {
        if self.skip > 0 {
            let now = self.skip.min(self.rest().len());
            self.from += now;
            self.skip -= now;
            if self.skip > 0 {
                return None;
            }
        }
        let rest = self.rest();
        let Some((headers, body)) = split_headers(rest) else {
            if rest.len() <= HEADER_BYTES_MAX {
                return None;
            }
            let length = rest.len();
            self.from += length;
            return Some(Frame::Garbage(format!(
                "{length} bytes without a header's end"
            )));
        };
        let Some(length) = content_length(rest.get(..headers).unwrap_or_default()) else {
            self.from += body;
            return Some(Frame::Garbage(
                "headers without a Content-Length".to_owned(),
            ));
        };
        if length > BODY_BYTES_MAX {
            self.from += body;
            self.skip = length;
            return Some(Frame::Garbage(format!(
                "{length} bytes; at most {BODY_BYTES_MAX} are read"
            )));
        }
        let content = rest.get(body..body.checked_add(length)?)?;
        let parsed = serde_json::from_slice(content);
        self.from += body + length;
        Some(match parsed {
            Ok(message) => Frame::Message(message),
            Err(e) => Frame::Garbage(format!("not a message: {e}")),
        })
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.from..).unwrap_or_default()
    }
}

/// Where the headers end and the body begins; a bare newline is taken for a line's end too.
fn split_headers(bytes: &[u8]) -> Option<(usize, usize)> {
    let found = |end: &[u8]| {
        let at = bytes
            .windows(end.len())
            .take(HEADER_BYTES_MAX)
            .position(|w| w == end)?;
        Some((at, at + end.len()))
    };
    [found(b"\r\n\r\n"), found(b"\n\n")]
        .into_iter()
        .flatten()
        .min()
}

fn content_length(headers: &[u8]) -> Option<usize> {
    let headers = String::from_utf8_lossy(headers);
    headers.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let wanted = name.trim().eq_ignore_ascii_case("content-length");
        wanted.then(|| value.trim().parse().ok())?
    })
}

/// A message as it goes over the wire.
pub fn written(message: Message) -> Vec<u8> {
    let mut out = Vec::new();
    // Writing into memory fails for no reason that could be told to anybody.
    let _ = message.write(&mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(parts: &[&str]) -> Vec<String> {
        let mut frames = Frames::default();
        let mut out = Vec::new();
        for part in parts {
            frames.push(part.as_bytes());
            while let Some(frame) = frames.poll() {
                out.push(match frame {
                    Frame::Message(Message::Request(r)) => r.method,
                    Frame::Message(Message::Notification(n)) => n.method,
                    Frame::Message(Message::Response(_)) => "response".to_owned(),
                    Frame::Garbage(why) => format!("? {why}"),
                });
            }
        }
        out
    }

    #[test]
    fn messages_are_found_however_they_are_cut() {
        let one =
            "Content-Length: 30\r\nContent-Type: x\r\n\r\n{\"jsonrpc\":\"2.0\",\"method\":\"a\"}";
        assert_eq!(read(&[one, one]), ["a", "a"]);
        assert_eq!(read(&[&format!("{one}{one}")]), ["a", "a"]);
        let letters: Vec<String> = one.chars().map(String::from).collect();
        let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
        assert_eq!(read(&letters), ["a"]);
    }

    #[test]
    fn garbage_is_told_and_the_next_message_read() {
        let good = "Content-Length: 30\r\n\r\n{\"jsonrpc\":\"2.0\",\"method\":\"a\"}";
        for bad in [
            "hello\r\n\r\n",
            "Content-Length: x\r\n\r\n",
            "Content-Length: 3\r\n\r\n{{{",
            "Content-Length: 2\r\n\r\n[]",
            "content-length:0\n\n",
        ] {
            let found = read(&[bad, good]);
            assert!(
                found.len() == 2 && found[0].starts_with("? ") && found[1] == "a",
                "{bad}: {found:?}"
            );
        }
        assert!(read(&["Content-Length: 99999999999999999999999\r\n\r\n"])[0].starts_with('?'));
        assert_eq!(
            read(&["Content-Length: 18446744073709551615\r\n\r\n", "x"]).len(),
            1
        );
        assert_eq!(read(&[&"x".repeat(10_000), good]).len(), 2);
    }
}
