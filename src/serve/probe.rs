//! Who listens at a site's port: nobody, a bmctl of the same state, or something else.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::SiteSpec;
use crate::drivers::agent::printable;
use crate::ids::Addr;

pub const PATH: &str = "/v1/site";

/// The line that a site's service answers `PATH` with.
pub fn name(site: &Addr, lineage: &str) -> String {
    format!("bmctl site {site} of {lineage}")
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    Nobody,
    /// A bmctl that serves this site from this state.
    Ours,
    /// What it answered, or why it did not.
    SomebodyElse(String),
}

/// The service is on this machine or on its segment: what takes longer than this to answer is not it.
const ANSWER_WAIT: Duration = Duration::from_secs(1);
/// Our answer is a few hundred bytes with its headers.
const ANSWER_BYTES_MAX: u64 = 4096;
/// What of a strange answer is shown.
const SHOWN_CHARS_MAX: usize = 80;

/// Asks who serves a site.
pub async fn probe(spec: &SiteSpec, lineage: &str) -> Probe {
    let at = SocketAddr::from((spec.site.address, spec.site.http_port));
    ask(at, &name(&spec.addr, lineage)).await
}

async fn ask(at: SocketAddr, expected: &str) -> Probe {
    let Ok(Ok(stream)) = tokio::time::timeout(ANSWER_WAIT, TcpStream::connect(at)).await else {
        return Probe::Nobody;
    };
    match tokio::time::timeout(ANSWER_WAIT, get(stream, at)).await {
        Ok(Ok(answer)) => read(&answer, expected),
        Ok(Err(error)) => Probe::SomebodyElse(error.to_string()),
        Err(_) => Probe::SomebodyElse(format!("nothing within {} s", ANSWER_WAIT.as_secs())),
    }
}

async fn get(mut stream: TcpStream, at: SocketAddr) -> std::io::Result<Vec<u8>> {
    let request = format!("GET {PATH} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream
        .take(ANSWER_BYTES_MAX)
        .read_to_end(&mut answer)
        .await?;
    Ok(answer)
}

fn read(answer: &[u8], expected: &str) -> Probe {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.lines().next().unwrap_or_default();
    let is_ok = status.split(' ').nth(1) == Some("200");
    if is_ok && body.trim_end() == expected {
        return Probe::Ours;
    }
    let line = body.lines().next().filter(|_| is_ok).unwrap_or(status);
    let shown: String = printable(line).chars().take(SHOWN_CHARS_MAX).collect();
    Probe::SomebodyElse(if shown.is_empty() {
        "nothing".to_owned()
    } else {
        shown
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    const OURS: &str = "bmctl site site.lab of l-1";

    fn check(answer: &str, expected: Probe) {
        assert_eq!(read(answer.as_bytes(), OURS), expected, "{answer}");
    }

    #[test]
    fn only_the_same_site_of_the_same_state_is_ours() {
        let ok = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n";
        let other = |text: &str| Probe::SomebodyElse(text.to_owned());
        check(&format!("{ok}{OURS}\n"), Probe::Ours);
        check(
            &format!("{ok}bmctl site site.lab of l-2\n"),
            other("bmctl site site.lab of l-2"),
        );
        check(
            &format!("{ok}bmctl site site.b of l-1\n"),
            other("bmctl site site.b of l-1"),
        );
        check(
            &format!("HTTP/1.1 404 Not Found\r\n\r\n{OURS}\n"),
            other("HTTP/1.1 404 Not Found"),
        );
        check("SSH-2.0-OpenSSH_9.2\r\n", other("SSH-2.0-OpenSSH_9.2"));
        check("", other("nothing"));
    }

    #[tokio::test]
    async fn a_port_is_asked_and_not_just_knocked_at() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 16];
                stream.read_exact(&mut request).await.unwrap();
                assert!(request.starts_with(b"GET /v1/site HTT"));
                let answer = format!("HTTP/1.1 200 OK\r\n\r\n{OURS}\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
                let mut rest = Vec::new();
                // Closed with bytes unread, the socket would be reset and the answer lost.
                let _ =
                    tokio::time::timeout(Duration::from_millis(50), stream.read_to_end(&mut rest))
                        .await;
            }
        });
        assert_eq!(ask(at, OURS).await, Probe::Ours);
        assert_eq!(
            ask(at, "bmctl site site.lab of l-2").await,
            Probe::SomebodyElse(OURS.to_owned())
        );
        server.abort();
        let _ = server.await;
        assert_eq!(ask(at, OURS).await, Probe::Nobody);
    }
}
