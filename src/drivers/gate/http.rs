//! What a service answers when it is asked by HTTP. Its status counts; what it says beside that is not read, and a redirection is
//! an answer like any other.

use std::future::{Future, poll_fn};
use std::net::SocketAddrV4;
use std::pin::pin;
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{not_so, tcp};
use crate::drivers::{Done, Trouble};

pub async fn look(at: SocketAddrV4, path: &str, status: u16, limit: Duration) -> Done<String> {
    let url = format!("http://{at}{path}");
    let asked = async {
        let stream = tcp::connect(at, limit).await?;
        let found = get(stream, at, path).await;
        found.map_err(|e| not_so(Trouble::Failed, format!("{url}: {}", whole(&e))))
    };
    let found = match timeout(limit, asked).await {
        Ok(found) => found?,
        Err(_) => {
            let found = format!("{url}: no answer within {} s", limit.as_secs());
            return Err(not_so(Trouble::Silent, found));
        }
    };
    match found.as_u16() == status {
        true => Ok(format!("{url}: {found}")),
        false => {
            let found = format!("{url}: expected status {status}, found {found}");
            Err(not_so(Trouble::Failed, found))
        }
    }
}

type Gone = Box<dyn std::error::Error + Send + Sync>;

async fn get(stream: TcpStream, at: SocketAddrV4, path: &str) -> Result<StatusCode, Gone> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header(header::HOST, at.to_string())
        .header(header::USER_AGENT, "bmctl")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let mut connection = pin!(connection);
    let mut answer = pin!(sender.send_request(request));
    let mut is_over = false;
    // The connection is driven by whoever waits for its answer; the answer may come with its end.
    let answer = poll_fn(|cx| {
        if !is_over {
            is_over = connection.as_mut().poll(cx).is_ready();
        }
        answer.as_mut().poll(cx)
    });
    Ok(answer.await?.status())
}

/// An error with what it comes from.
fn whole(error: &Gone) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(&format!(": {inner}"));
        source = inner.source();
    }
    text
}
