//! A plan as a file: JSON that anyone may read, versioned, without secrets, named by the digest of its content, and sealed: the
//! last field holds a chain of checksums over all bytes before it, and may hold a signature.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Plan;
use crate::signing::{PrivateKey, PublicKey, Signature};

/// Raised when a reader of the old form would misunderstand the new one.
pub const FORMAT: u32 = 1;

/// A plan file is refused beyond this: 10,000 deployments take about 80 MiB.
pub const BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Bytes under one checksum: what is damaged is named as precisely as this.
const BLOCK: usize = 16 * 1024;
const SEAL_KEY: &[u8] = b",\n  \"seal\": ";
const END: &[u8] = b"\n}\n";
/// What a signature is over, beside the digest: it must not be good for anything else that the key signs.
const PURPOSE: &[u8] = b"bmctl plan file 1\n";

#[derive(Debug, thiserror::Error)]
pub enum PlanFileError {
    #[error("this is not a plan file: {0}")]
    NotAPlan(#[from] serde_json::Error),
    #[error("expected plan format {FORMAT}, found {0}; make the plan again with this bmctl")]
    Format(u64),
    #[error("the plan's content does not match its id {0}; plan again")]
    Changed(String),
    #[error(
        "this is not a plan file, or it is cut off at byte {0}: it has no seal at its end; plan again"
    )]
    NoSeal(usize),
    #[error("the plan file's seal (bytes {from} to {to}) is damaged; plan again")]
    SealDamaged { from: usize, to: usize },
    #[error(
        "the plan file was changed after it was made: bytes {from} to {to} (lines {first_line} to {last_line}) are not what was written; plan again"
    )]
    Damaged {
        from: usize,
        to: usize,
        first_line: usize,
        last_line: usize,
    },
    #[error("the plan file's signature is not one of {0}; it was changed after it was signed")]
    WrongSignature(String),
}

/// The end of a plan file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seal {
    /// Bytes before the seal.
    bytes: usize,
    /// SHA-256, in order, each over the one before it and the next 16 KiB.
    chain: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    /// Over the fields before it, so that damage to the seal is told from damage to the plan.
    sum: String,
}

impl Seal {
    fn sum(&self) -> String {
        let Seal {
            bytes,
            chain,
            key,
            signature,
            sum: _,
        } = self;
        let mut hash = Sha256::new();
        hash.update(bytes.to_le_bytes());
        for text in chain.iter().chain(key).chain(signature) {
            hash.update(text);
            hash.update([0]);
        }
        hex::encode(hash.finalize())
    }
}

/// The digest of everything in the plan but the id itself.
pub fn id_of(plan: &Plan) -> String {
    // A serializer writes a few bytes at a time.
    let mut hash = std::io::BufWriter::with_capacity(BLOCK, Hash(Sha256::new()));
    // A plan always serializes, and a digest takes every byte.
    let _ = serde_json::to_writer(&mut hash, &Unnamed(plan));
    let _ = std::io::Write::flush(&mut hash);
    match hash.into_inner() {
        Ok(hash) => hex::encode(hash.0.finalize()),
        Err(_) => String::new(),
    }
}

/// The plan without its id, to be hashed without a copy of it.
struct Unnamed<'a>(&'a Plan);

impl Serialize for Unnamed<'_> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Plan {
            format,
            id: _,
            intent,
            confined,
            inverse_of,
            made_from,
            reads,
            images,
            changes,
            steps,
            budgets,
            warnings,
            findings,
            rollouts,
            windows,
        } = self.0;
        let about = (format, intent, confined, made_from, findings);
        let plain = (about, reads, images, changes, steps, budgets, warnings);
        if let Some(run) = inverse_of {
            return (run, plain, rollouts, windows).serialize(to);
        }
        match (rollouts.as_slice(), windows.as_slice()) {
            ([], []) => plain.serialize(to),
            (_, []) => (plain, rollouts).serialize(to),
            (_, _) => (plain, rollouts, windows).serialize(to),
        }
    }
}

struct Hash(Sha256);

impl std::io::Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The plan alone, for programs that read it from a pipe.
pub fn json(plan: &Plan) -> Result<Vec<u8>, PlanFileError> {
    let mut out = serde_json::to_vec_pretty(plan)?;
    out.push(b'\n');
    Ok(out)
}

/// The file: the plan and its seal, signed when there is a key.
pub fn write(plan: &Plan, key: Option<&PrivateKey>) -> Result<Vec<u8>, PlanFileError> {
    let mut out = serde_json::to_vec_pretty(plan)?;
    // The object is taken up again: the seal is its last field.
    out.truncate(out.len().saturating_sub(END.len() - 1));
    let chain = chain(&out);
    let signature = key.map(|k| k.sign(&signed(&chain)).to_string());
    let mut seal = Seal {
        bytes: out.len(),
        chain,
        key: key.map(|k| k.public().to_string()),
        signature,
        sum: String::new(),
    };
    seal.sum = seal.sum();
    out.extend(SEAL_KEY);
    serde_json::to_writer(&mut out, &seal)?;
    out.extend(END);
    Ok(out)
}

fn chain(bytes: &[u8]) -> Vec<String> {
    let mut last = [0u8; 32];
    let links = bytes.chunks(BLOCK).map(|block| {
        let mut hash = Sha256::new();
        hash.update(last);
        hash.update(block);
        last = hash.finalize().into();
        hex::encode(last)
    });
    links.collect()
}

fn signed(chain: &[String]) -> Vec<u8> {
    let head = chain.last().map(String::as_str).unwrap_or_default();
    [PURPOSE, head.as_bytes()].concat()
}

/// Reads a plan back and checks every byte of it. Gives the key that signed it, if one did.
pub fn read(bytes: &[u8]) -> Result<(Plan, Option<PublicKey>), PlanFileError> {
    // Another format may be sealed in another way.
    if let Some(found) = format_of(bytes).filter(|found| *found != u64::from(FORMAT)) {
        return Err(PlanFileError::Format(found));
    }
    let signer = check_seal(bytes)?;
    let plan: Plan = serde_json::from_slice(bytes)?;
    if id_of(&plan) != plan.id {
        return Err(PlanFileError::Changed(plan.id));
    }
    Ok((plan, signer))
}

/// The number in the first field, which every format begins with.
fn format_of(bytes: &[u8]) -> Option<u64> {
    let rest = bytes.strip_prefix(b"{\n  \"format\": ")?;
    let end = rest.iter().position(|b| !b.is_ascii_digit())?;
    std::str::from_utf8(rest.get(..end)?).ok()?.parse().ok()
}

fn check_seal(bytes: &[u8]) -> Result<Option<PublicKey>, PlanFileError> {
    if !bytes.ends_with(END) {
        return Err(PlanFileError::NoSeal(bytes.len()));
    }
    let body_end = bytes
        .windows(SEAL_KEY.len())
        .rposition(|window| window == SEAL_KEY)
        .ok_or(PlanFileError::NoSeal(bytes.len()))?;
    let (body, rest) = bytes.split_at(body_end);
    let damaged = || PlanFileError::SealDamaged {
        from: body_end,
        to: bytes.len(),
    };
    let text = rest.get(SEAL_KEY.len()..).unwrap_or_default();
    let text = text
        .strip_suffix(END)
        .ok_or(PlanFileError::NoSeal(bytes.len()))?;
    let seal: Seal = serde_json::from_slice(text).map_err(|_| damaged())?;
    // Only one way of writing it is right, so that no byte of it can differ unseen.
    if serde_json::to_vec(&seal)? != text || seal.sum() != seal.sum {
        return Err(damaged());
    }
    let found = chain(body);
    if let Some(at) =
        (0..found.len().max(seal.chain.len())).find(|at| found.get(*at) != seal.chain.get(*at))
    {
        return Err(damage(body, at));
    }
    if seal.bytes != body.len() {
        return Err(damaged());
    }
    match (seal.key, seal.signature) {
        (None, None) => Ok(None),
        (Some(key), Some(signature)) => {
            let public: PublicKey = key.parse().map_err(|_| damaged())?;
            let signature: Signature = signature.parse().map_err(|_| damaged())?;
            if !public.verifies(&signed(&seal.chain), &signature) {
                return Err(PlanFileError::WrongSignature(key));
            }
            Ok(Some(public))
        }
        (Some(_), None) | (None, Some(_)) => Err(damaged()),
    }
}

fn damage(body: &[u8], block: usize) -> PlanFileError {
    let from = (block * BLOCK).min(body.len());
    let to = (from + BLOCK).min(body.len());
    let line = |at: usize| 1 + body.iter().take(at).filter(|b| **b == b'\n').count();
    PlanFileError::Damaged {
        from,
        to,
        first_line: line(from),
        last_line: line(to),
    }
}
