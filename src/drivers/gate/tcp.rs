//! Whether a port accepts a connection.

use std::net::SocketAddrV4;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::not_so;
use crate::drivers::{Done, Trouble};

pub async fn look(at: SocketAddrV4, limit: Duration) -> Done<String> {
    connect(at, limit).await.map(|_| format!("{at} accepts"))
}

pub async fn connect(at: SocketAddrV4, limit: Duration) -> Done<TcpStream> {
    match timeout(limit, TcpStream::connect(at)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(not_so(Trouble::Failed, format!("{at}: {error}"))),
        Err(_) => {
            let found = format!("{at}: no answer within {} s", limit.as_secs());
            Err(not_so(Trouble::Silent, found))
        }
    }
}
