//! Plan files: whatever is done to one after it was written is found, and where.

use bmctl::model::Observed;
use bmctl::plan::planfile::{self, PlanFileError};
use bmctl::plan::{Intent, Plan};
use bmctl::signing::PrivateKey;
use sha2::{Digest, Sha256};

use crate::fleet::{Memory, facts_of, load, plan, without_mistakes};

fn small() -> Plan {
    let base = include_str!("plan/base.hcl");
    let nodes = include_str!("plan/nodes.hcl");
    let web = "instance \"web\" {\n  flavor = flavor.small\n  image = image.disk\n}\n";
    let loaded = without_mistakes(load(&[
        ("base.hcl", base),
        ("nodes.hcl", nodes),
        ("main.hcl", web),
    ]));
    let (memory, seen) = (Memory::new(), Observed::default());
    let facts = facts_of(&loaded.fleet);
    plan(
        &loaded.fleet,
        &memory.recorded,
        &seen,
        &facts,
        Intent::Apply,
    )
    .unwrap()
}

/// A generator of its own, so that a failure names a seed that gives the same flips again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % n
    }
}

#[test]
fn a_thousand_flipped_bits_are_found_and_their_place_is_named() {
    const SEED: u64 = 4;
    let bytes = planfile::write(&small(), Some(&PrivateKey::new(&[3; 32]))).unwrap();
    let mut dice = Dice(SEED);
    for n in 0..1000 {
        let (at, bit) = (dice.below(bytes.len()), dice.below(8));
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << bit;
        let error = planfile::read(&flipped).expect_err("a flipped bit");
        let named = match error {
            PlanFileError::Damaged {
                from,
                to,
                first_line,
                last_line,
            } => {
                assert!(first_line <= last_line);
                (from..to).contains(&at)
            }
            PlanFileError::SealDamaged { from, to } => (from..to).contains(&at),
            PlanFileError::NoSeal(_) | PlanFileError::WrongSignature(_) => at + 2_000 > bytes.len(),
            PlanFileError::Format(_) => at < 20,
            PlanFileError::NotAPlan(_) | PlanFileError::Changed(_) => false,
        };
        assert!(
            named,
            "seed {SEED}, flip {n}: byte {at}, bit {bit}: {error}"
        );
    }
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    let bytes = planfile::write(&small(), None).unwrap();
    for length in 0..bytes.len() {
        let error = planfile::read(&bytes[..length]).expect_err("a cut off file");
        assert!(
            error.to_string().contains("plan again"),
            "{length}: {error}"
        );
    }
    assert!(planfile::read(&bytes).is_ok());
}

#[test]
fn a_plan_that_was_edited_and_sealed_again_has_no_signature_that_counts() {
    let key = PrivateKey::new(&[3; 32]);
    let mut edited = small();
    let signed = planfile::write(&edited, Some(&key)).unwrap();
    assert_eq!(planfile::read(&signed).unwrap().1, Some(key.public()));
    edited.warnings.push("nothing to see here".to_owned());
    edited.id = planfile::id_of(&edited);
    // Sealed anew, without the key: whole, and by nobody.
    let resealed = planfile::write(&edited, None).unwrap();
    assert_eq!(planfile::read(&resealed).unwrap().1, None);
    // Sealed by another key: whole, and by somebody else.
    let other = PrivateKey::new(&[4; 32]);
    let by_other = planfile::write(&edited, Some(&other)).unwrap();
    assert_eq!(planfile::read(&by_other).unwrap().1, Some(other.public()));
    // With the signature of the plan it was made from.
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let signature = |of: &str| {
        let at = of.rfind("\"signature\":\"").unwrap() + "\"signature\":\"".len();
        of[at..at + 128].to_owned()
    };
    let by_key = text(&planfile::write(&edited, Some(&key)).unwrap());
    let forged = by_key.replace(&signature(&by_key), &signature(&text(&signed)));
    let error = planfile::read(summed_again(&forged).as_bytes());
    let error = error.expect_err("a signature of another plan");
    assert!(matches!(error, PlanFileError::WrongSignature(_)), "{error}");
}

/// What somebody who knows the form would do: the seal's own sum made right again.
fn summed_again(text: &str) -> String {
    let at = text.rfind(",\n  \"seal\": ").unwrap() + ",\n  \"seal\": ".len();
    let seal: serde_json::Value =
        serde_json::from_str(text[at..].trim_end_matches("\n}\n")).unwrap();
    let mut hash = Sha256::new();
    let bytes = usize::try_from(seal["bytes"].as_u64().unwrap()).unwrap();
    hash.update(bytes.to_le_bytes());
    let texts = seal["chain"]
        .as_array()
        .unwrap()
        .iter()
        .chain([&seal["key"], &seal["signature"]]);
    for part in texts {
        hash.update(part.as_str().unwrap());
        hash.update([0]);
    }
    let old = seal["sum"].as_str().unwrap().to_owned();
    let sum = hex::encode(hash.finalize());
    text.replace(&old, &sum)
}
