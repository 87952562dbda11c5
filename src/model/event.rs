//! What a run says while it goes on. Reporters turn events into a terminal's lines, plain lines or JSON; recorded events
//! replay through the same reporters.

use serde::{Deserialize, Serialize};

use crate::ids::Addr;

/// Raised when a reader of the old events would misunderstand the new ones; fields may be added without.
pub const STREAM_FORMAT: u32 = 1;

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    Done {
        detail: String,
    },
    /// The goal held before anything was done.
    AlreadyDone {
        detail: String,
    },
    Failed {
        why: String,
    },
    /// What it waits for failed; nothing was done.
    Blocked {
        by: String,
    },
    /// Its machine would not have been up again before the window closes, or none is open; nothing was done.
    Outside {
        why: String,
    },
    /// The run was asked to stop before this step started.
    NotStarted,
}

impl Outcome {
    pub fn is_good(&self) -> bool {
        match self {
            Outcome::Done { .. } | Outcome::AlreadyDone { .. } => true,
            Outcome::Failed { .. }
            | Outcome::Blocked { .. }
            | Outcome::Outside { .. }
            | Outcome::NotStarted => false,
        }
    }

    /// Whether anything was tried.
    pub fn was_begun(&self) -> bool {
        match self {
            Outcome::Done { .. } | Outcome::AlreadyDone { .. } | Outcome::Failed { .. } => true,
            Outcome::Blocked { .. } | Outcome::Outside { .. } | Outcome::NotStarted => false,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first line of a stream.
    Stream { format: u32, bmctl: String },
    /// One change of the plan that is carried out, with every attribute: the JSON of `plan::Change`.
    PlannedChange { change: serde_json::Value },
    /// All changes have been told.
    Planned {
        plan: String,
        changes: usize,
        steps: usize,
        destructive: usize,
        findings: usize,
    },
    RunStarted {
        run: String,
        plan: String,
        steps: usize,
    },
    StepStarted {
        step: u32,
        subject: Addr,
        title: String,
    },
    /// A step that could start waits for something scarce, or for its turn.
    Waiting {
        step: u32,
        subject: Addr,
        title: String,
        reason: String,
    },
    /// Bytes so far of a step that moves data.
    Progress {
        step: u32,
        subject: Addr,
        phase: String,
        done: u64,
        total: u64,
    },
    StepFinished {
        step: u32,
        subject: Addr,
        title: String,
        elapsed_ms: u64,
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// Something a person should know that ends no step.
    Warning { subject: Option<Addr>, text: String },
    RunFinished {
        run: String,
        done: usize,
        already_done: usize,
        failed: usize,
        blocked: usize,
        not_started: usize,
        elapsed_ms: u64,
    },
}
