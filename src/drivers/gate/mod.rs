//! Looks at instances from outside, as those who use them would: a port, an address of HTTP, a program of the user's own.

mod command;
mod http;
mod tcp;

use std::path::PathBuf;

use async_trait::async_trait;

use super::{Asked, Done, DriverError, Gates, Look, Trouble};

/// From this machine, with nothing between.
pub struct FromHere {
    /// The root module: where a program of its own is looked for, and runs.
    pub root: PathBuf,
}

#[async_trait]
impl Gates for FromHere {
    async fn look(&self, asked: &Asked<'_>) -> Done<String> {
        match &asked.look {
            Look::Tcp { at } => tcp::look(*at, asked.limit).await,
            Look::Http { at, path, status } => http::look(*at, path, *status, asked.limit).await,
            Look::Command { argv } => command::look(&self.root, argv, asked).await,
        }
    }
}

fn not_so(kind: Trouble, found: impl Into<String>) -> DriverError {
    DriverError::new(kind, found)
}
