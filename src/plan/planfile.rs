//! A plan as a file: JSON that anyone may read, versioned, without secrets, named by the digest of its content.

use sha2::{Digest, Sha256};

use super::Plan;

/// Raised when a reader of the old form would misunderstand the new one.
pub const FORMAT: u32 = 1;

/// A plan file is refused beyond this: 10,000 deployments take about 80 MiB.
pub const BYTES_MAX: u64 = 1024 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum PlanFileError {
    #[error("this is not a plan file: {0}")]
    NotAPlan(#[from] serde_json::Error),
    #[error("expected plan format {FORMAT}, found {0}; make the plan again with this bmctl")]
    Format(u64),
    #[error(
        "the plan's content does not match its id {0}: it was changed after it was made; plan again"
    )]
    Changed(String),
}

/// The digest of everything in the plan but the id itself.
pub fn id_of(plan: &Plan) -> String {
    let mut bare = plan.clone();
    bare.id = String::new();
    let bytes = serde_json::to_vec(&bare).unwrap_or_default();
    hex::encode(Sha256::digest(bytes))
}

pub fn write(plan: &Plan) -> Result<Vec<u8>, PlanFileError> {
    let mut out = serde_json::to_vec_pretty(plan)?;
    out.push(b'\n');
    Ok(out)
}

/// Reads a plan back and checks its form and its id.
pub fn read(bytes: &[u8]) -> Result<Plan, PlanFileError> {
    let value: serde_json::Value = serde_json::from_slice(bytes)?;
    let format = value.get("format").and_then(serde_json::Value::as_u64);
    match format {
        Some(found) if found != u64::from(FORMAT) => return Err(PlanFileError::Format(found)),
        _ => {}
    }
    let plan: Plan = serde_json::from_value(value)?;
    if id_of(&plan) != plan.id {
        return Err(PlanFileError::Changed(plan.id));
    }
    Ok(plan)
}
