//! PURE. What a run's machine is told, and what it answers.

use super::lifecycle::Fact;
use super::loans::Returns;
use super::turns::RolloutId;
use crate::model::event::{Event, Outcome};
use crate::plan::{PlannedStep, StepId};
use crate::store::{Batch, Request};

/// What the machine is told.
#[derive(Debug)]
pub enum Input {
    Begin,
    /// Steps that have ended since the last time.
    Ended(Vec<(StepId, Performed)>),
    /// The batch that was to be committed is durable.
    Committed,
    /// What the loan that began with this step had borrowed was given back, or why it was not.
    Returned(StepId, Option<String>),
    Asked(Request),
    /// The pause between two waves is over.
    Woken(RolloutId),
}

/// What is to be done, in this order.
#[derive(Debug)]
pub enum Command<'p> {
    /// Make it durable, then say so.
    Commit(Batch<'p>),
    Report(Event),
    Start(&'p PlannedStep, Option<Returns>),
    GiveBack(StepId, Returns),
    /// Say `Woken` after so many seconds.
    Wake(RolloutId, u32),
    /// Everything has come to its end: note it, and stop.
    Close(Close),
}

/// How the run is noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    Done,
    Incomplete,
}

/// What became of a step.
#[derive(Debug)]
pub struct Performed {
    pub outcome: Outcome,
    pub fact: Option<Fact>,
    /// Something borrowed could not be given back: a person has to look.
    pub attention: Option<String>,
}
