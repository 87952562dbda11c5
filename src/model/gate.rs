//! `gate`: what an instance of a rollout has to show, once it is deployed, before the next wave begins.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One question, asked again and again until the answer is right or the time is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Gate {
    #[serde(flatten)]
    pub check: Check,
    /// Seconds after which the gate has failed.
    pub timeout_s: u32,
    /// Seconds from one answer to the next question.
    pub interval_s: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "check", rename_all = "snake_case")]
pub enum Check {
    /// The instance's own call after its first start.
    PhoneHome,
    /// A port of the instance accepts a connection.
    Tcp { port: u16 },
    /// `http://ADDRESS:PORT/PATH` answers with this status.
    Http {
        port: u16,
        path: String,
        status: u16,
    },
    /// A program on the machine of apply ends with 0.
    Command { argv: Vec<String> },
}

impl Gate {
    pub const TIMEOUT_S: u32 = 300;
    pub const INTERVAL_S: u32 = 5;
}

impl Check {
    /// Whether it is asked at an address of the instance.
    pub fn needs_address(&self) -> bool {
        match self {
            Check::Tcp { .. } | Check::Http { .. } => true,
            Check::PhoneHome | Check::Command { .. } => false,
        }
    }
}

/// `tcp 22`, `http :80/health is 200`, `command ./smoke.sh fast`.
impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.check {
            Check::PhoneHome => f.write_str("phone home"),
            Check::Tcp { port } => write!(f, "tcp {port}"),
            Check::Http { port, path, status } => write!(f, "http :{port}{path} is {status}"),
            Check::Command { argv } => {
                f.write_str("command")?;
                argv.iter()
                    .try_for_each(|word| write!(f, " {}", word.escape_debug()))
            }
        }
    }
}
