//! The login phase: security negotiation with CHAP both ways, then operational parameters (RFC 7143 §6, §11.12, §13).
//!
//! A target may take as many PDUs as it likes for a stage (tgt answers the first of each without transit when parameters
//! differ), so every step is "say what is owed, ask for transit", up to a limit.

use std::fmt::Write;

use subtle::ConstantTimeEq;

use super::pdu::{Crc32c, DigestsInUse, Header, Incoming, Pdu};
use super::text::{self, Pairs};
use super::{Done, Error, chap, protocol};
use crate::secret::Secret;

/// Data a target may send us in one PDU.
pub const RECEIVE_BYTES_MAX: u32 = 256 * 1024;
/// One burst: offered as the size of one command, so that a target that allows it needs one R2T for each.
const BURST_BYTES: u32 = 1024 * 1024;
/// The RFC's default for a target that does not say.
const DEFAULT_SEGMENT: u32 = 8192;
const ROUNDS_MAX: u32 = 16;
const SECURITY: u8 = 0;
const OPERATIONAL: u8 = 1;
const FULL_FEATURE: u8 = 3;
const TRANSIT: u8 = 0x80;
const CONTINUE: u8 = 0x40;

/// Who logs in where.
#[derive(Debug, Clone)]
pub struct Login {
    pub initiator: String,
    pub target: String,
    /// The same for every connection of one writer: a target then ends what is left of the one before (§6.3.5).
    pub isid: [u8; 6],
    /// What we prove ourselves with.
    pub ours: ChapPair,
    /// What the target must prove itself with.
    pub theirs: ChapPair,
    pub digests: Digests,
}

#[derive(Debug, Clone)]
pub struct ChapPair {
    pub user: String,
    pub secret: Secret,
}

/// What is offered for both digests; the target chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digests {
    /// None if the target agrees: data is read back and compared anyway.
    Avoid,
    /// CRC32C if the target can.
    Prefer,
}

/// What both sides agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Negotiated {
    pub digests: DigestsInUse,
    /// The target's limit for one PDU of ours.
    pub segment_max: u32,
    pub burst_max: u32,
    pub first_burst: u32,
    pub immediate_data: bool,
    pub initial_r2t: bool,
}

/// Says `AuthMethod=CHAP`, then the algorithm, then name and response, then parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Method,
    Algorithm,
    Response,
    Operational,
}

pub struct Machine {
    login: Login,
    /// Our challenge to the target and its id, from the caller's randomness.
    challenge: [u8; 16],
    stage: Stage,
    rounds: u32,
    tsih: u16,
    gathered: Vec<u8>,
    agreed: Negotiated,
}

/// What to do after a login PDU.
#[derive(Debug)]
pub enum Next {
    Send(Header, Vec<u8>),
    FullFeature(Negotiated),
}

impl Machine {
    pub fn new(login: Login, challenge: [u8; 16]) -> Machine {
        Machine {
            login,
            challenge,
            stage: Stage::Method,
            rounds: 0,
            tsih: 0,
            gathered: Vec::new(),
            agreed: Negotiated {
                digests: DigestsInUse::default(),
                segment_max: DEFAULT_SEGMENT,
                burst_max: BURST_BYTES,
                first_burst: BURST_BYTES,
                immediate_data: true,
                initial_r2t: false,
            },
        }
    }

    pub fn first(&self) -> (Header, Vec<u8>) {
        let mut out = Vec::new();
        text::push(&mut out, "InitiatorName", &self.login.initiator);
        text::push(&mut out, "TargetName", &self.login.target);
        text::push(&mut out, "SessionType", "Normal");
        // Without None: an unauthenticated target could be anybody's disk.
        text::push(&mut out, "AuthMethod", "CHAP");
        (self.header(SECURITY << 2), out)
    }

    pub fn handle(&mut self, pdu: &Pdu<'_>) -> Done<Next> {
        if pdu.kind != Incoming::LoginResponse {
            return protocol(format!("expected a login response, found {:?}", pdu.kind));
        }
        self.rounds += 1;
        if self.rounds > ROUNDS_MAX {
            return protocol(format!("login is not over after {ROUNDS_MAX} answers"));
        }
        refused(&pdu.header, &self.login)?;
        text::gather(&mut self.gathered, pdu.data)?;
        if pdu.header.flags() & CONTINUE != 0 {
            return Ok(Next::Send(self.header(self.current() << 2), Vec::new()));
        }
        let pairs = Pairs::parse(&std::mem::take(&mut self.gathered))?;
        let transit = pdu.header.flags() & TRANSIT != 0;
        let next_stage = pdu.header.flags() & 3;
        self.tsih = u16::from_be_bytes([pdu.header.byte::<14>(), pdu.header.byte::<15>()]);
        match self.stage {
            Stage::Method => self.choose_algorithm(&pairs, transit),
            Stage::Algorithm => self.respond(&pairs, transit),
            Stage::Response => self.check_target(&pairs, transit, next_stage),
            Stage::Operational => self.operational(&pairs, transit, next_stage),
        }
    }

    fn choose_algorithm(&mut self, pairs: &Pairs, transit: bool) -> Done<Next> {
        let method = pairs.get("AuthMethod");
        if transit || method != Some("CHAP") {
            return refuse(format!(
                "target {} does not authenticate itself: expected AuthMethod=CHAP, found {}",
                self.login.target,
                method.unwrap_or("none")
            ));
        }
        self.stage = Stage::Algorithm;
        let mut out = Vec::new();
        text::push(&mut out, "CHAP_A", chap::MD5);
        Ok(Next::Send(self.header(SECURITY << 2), out))
    }

    fn respond(&mut self, pairs: &Pairs, transit: bool) -> Done<Next> {
        let id = pairs
            .get("CHAP_I")
            .and_then(text::number)
            .and_then(|n| u8::try_from(n).ok());
        let challenge = pairs
            .get("CHAP_C")
            .and_then(chap::decode)
            .filter(|c| !c.is_empty());
        let (Some(chap::MD5), Some(id), Some(theirs), false) =
            (pairs.get("CHAP_A"), id, challenge, transit)
        else {
            return protocol("expected CHAP_A=5 with CHAP_I and CHAP_C");
        };
        // A target that sends our own challenge back lets us compute its answer for it (§9.2.1).
        if theirs == self.challenge {
            return refuse("the target's CHAP challenge is our own");
        }
        let answer = chap::response(id, &self.login.ours.secret, &theirs);
        self.stage = Stage::Response;
        let mut out = Vec::new();
        text::push(&mut out, "CHAP_N", &self.login.ours.user);
        text::push(&mut out, "CHAP_R", &chap::encode(&answer));
        text::push(&mut out, "CHAP_I", &self.challenge[0].to_string());
        text::push(&mut out, "CHAP_C", &chap::encode(&self.challenge));
        Ok(Next::Send(
            self.header(TRANSIT | SECURITY << 2 | OPERATIONAL),
            out,
        ))
    }

    fn check_target(&mut self, pairs: &Pairs, transit: bool, next_stage: u8) -> Done<Next> {
        let theirs = &self.login.theirs;
        let expected = chap::response(self.challenge[0], &theirs.secret, &self.challenge);
        let answer = pairs
            .get("CHAP_R")
            .and_then(chap::decode)
            .unwrap_or_default();
        let proven = bool::from(answer.ct_eq(&expected));
        if pairs.get("CHAP_N") != Some(theirs.user.as_str()) || !proven {
            return refuse(format!(
                "target {} did not prove itself as `{}`: it is not the disk of this deployment",
                self.login.target, theirs.user
            ));
        }
        if !transit || next_stage != OPERATIONAL {
            return protocol("expected transit to operational negotiation after CHAP");
        }
        self.stage = Stage::Operational;
        Ok(Next::Send(
            self.header(TRANSIT | OPERATIONAL << 2 | FULL_FEATURE),
            self.offer(),
        ))
    }

    fn offer(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let digests = match self.login.digests {
            Digests::Avoid => "None,CRC32C",
            Digests::Prefer => "CRC32C,None",
        };
        let burst = BURST_BYTES.to_string();
        let receive = RECEIVE_BYTES_MAX.to_string();
        for (key, value) in [
            ("HeaderDigest", digests),
            ("DataDigest", digests),
            ("InitialR2T", "No"),
            ("ImmediateData", "Yes"),
            ("MaxRecvDataSegmentLength", &receive),
            ("MaxBurstLength", &burst),
            ("FirstBurstLength", &burst),
            ("MaxOutstandingR2T", "1"),
            ("MaxConnections", "1"),
            ("ErrorRecoveryLevel", "0"),
            ("DefaultTime2Wait", "2"),
            ("DefaultTime2Retain", "0"),
            ("DataPDUInOrder", "Yes"),
            ("DataSequenceInOrder", "Yes"),
        ] {
            text::push(&mut out, key, value);
        }
        out
    }

    fn operational(&mut self, pairs: &Pairs, transit: bool, next_stage: u8) -> Done<Next> {
        let mut owed = Vec::new();
        for (key, value) in pairs.iter() {
            if !self.agree(key, value)? {
                text::push(&mut owed, key, "NotUnderstood");
            }
        }
        if !transit {
            let header = self.header(TRANSIT | OPERATIONAL << 2 | FULL_FEATURE);
            return Ok(Next::Send(header, owed));
        }
        if next_stage != FULL_FEATURE {
            return protocol("expected transit to full feature phase");
        }
        if self.agreed.first_burst > self.agreed.burst_max {
            self.agreed.first_burst = self.agreed.burst_max;
        }
        Ok(Next::FullFeature(self.agreed))
    }

    /// Takes an answer or a declaration; says whether the key is known.
    fn agree(&mut self, key: &str, value: &str) -> Done<bool> {
        let bad = || Error::Protocol(format!("target answers {key}={value}"));
        let bytes = || {
            text::number(value)
                .filter(|n| (512..1 << 24).contains(n))
                .ok_or_else(bad)
        };
        let yes = || match value {
            "Yes" => Ok(true),
            "No" => Ok(false),
            _ => Err(bad()),
        };
        let digest = || match value {
            "CRC32C" => Ok(Some(Crc32c)),
            "None" | "Reject" => Ok(None),
            _ => Err(bad()),
        };
        match key {
            "HeaderDigest" => self.agreed.digests.header = digest()?,
            "DataDigest" => self.agreed.digests.data = digest()?,
            "MaxRecvDataSegmentLength" => self.agreed.segment_max = bytes()?,
            "MaxBurstLength" => self.agreed.burst_max = bytes()?.min(BURST_BYTES),
            "FirstBurstLength" => self.agreed.first_burst = bytes()?.min(BURST_BYTES),
            "ImmediateData" => self.agreed.immediate_data = yes()?,
            "InitialR2T" => self.agreed.initial_r2t = yes()?,
            // The answers can only be the values offered, which are the only ones we know to follow.
            "MaxOutstandingR2T"
            | "MaxConnections"
            | "ErrorRecoveryLevel"
            | "DefaultTime2Wait"
            | "DefaultTime2Retain"
            | "DataPDUInOrder"
            | "DataSequenceInOrder" => {}
            "TargetAlias" | "TargetPortalGroupTag" | "TargetAddress" => {}
            _ => return Ok(value == "NotUnderstood" || value == "Irrelevant"),
        }
        Ok(true)
    }

    fn current(&self) -> u8 {
        match self.stage {
            Stage::Method | Stage::Algorithm | Stage::Response => SECURITY,
            Stage::Operational => OPERATIONAL,
        }
    }

    /// A login request (§11.12): opcode 3, immediate; the task tag is 0 throughout, as one login is one task.
    fn header(&self, flags: u8) -> Header {
        let mut header = Header::new(0x43, flags);
        header.0[8..14].copy_from_slice(&self.login.isid);
        header.0[14..16].copy_from_slice(&self.tsih.to_be_bytes());
        header
    }
}

fn refuse<T>(why: impl Into<String>) -> Done<T> {
    Err(Error::Refused(why.into()))
}

/// Status classes and details of §11.13.5.
fn refused(header: &Header, login: &Login) -> Done<()> {
    let (class, detail) = (header.byte::<36>(), header.byte::<37>());
    let mut why = format!("target {}: login refused: ", login.target);
    let text = match (class, detail) {
        (0, _) => return Ok(()),
        (1, _) => "the target says it has moved, which is not followed",
        (2, 1) => "authentication failed: it does not take our CHAP name and secret",
        (2, 2) => "we are not authorized for this target",
        (2, 3) => "there is no such target",
        (2, _) => "our request",
        (3, _) => "the target has an error or no resources",
        _ => "an unknown status",
    };
    let _ = write!(why, "{text} (status {class:02x}{detail:02x})");
    match class {
        2 => Err(Error::Refused(why)),
        _ => Err(Error::Closed(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        let pair = |user: &str, secret: &str| ChapPair {
            user: user.into(),
            secret: Secret::new(secret),
        };
        Machine::new(
            Login {
                initiator: "iqn.2026-01.org.bmctl:i".into(),
                target: "iqn.2026-01.org.bmctl:t".into(),
                isid: [0x80, 1, 2, 3, 0, 0],
                ours: pair("bmctl", "ours"),
                theirs: pair("node", "theirs"),
                digests: Digests::Avoid,
            },
            [9; 16],
        )
    }

    fn answer(m: &mut Machine, flags: u8, pairs: &[(&str, &str)]) -> Done<Next> {
        let mut data = Vec::new();
        for (k, v) in pairs {
            text::push(&mut data, k, v);
        }
        m.handle(&Pdu {
            kind: Incoming::LoginResponse,
            header: Header::new(0x23, flags),
            data: &data,
        })
    }

    /// Up to the answer in which the target proves itself.
    fn challenged() -> Machine {
        let mut m = machine();
        answer(&mut m, 0, &[("AuthMethod", "CHAP")]).unwrap();
        let theirs = [("CHAP_A", "5"), ("CHAP_I", "7"), ("CHAP_C", "0x0102")];
        answer(&mut m, 0, &theirs).unwrap();
        m
    }

    #[test]
    fn a_target_that_wants_no_authentication_is_refused() {
        for (flags, method) in [(0, "None"), (0x81, "CHAP")] {
            let out = answer(&mut machine(), flags, &[("AuthMethod", method)]);
            assert!(matches!(out, Err(Error::Refused(_))));
        }
    }

    #[test]
    fn a_target_that_cannot_answer_our_challenge_is_refused() {
        let ours = chap::encode(&chap::response(9, &Secret::new("ours"), &[9; 16]));
        for pairs in [
            vec![],
            vec![("CHAP_N", "node")],
            vec![("CHAP_N", "node"), ("CHAP_R", ours.as_str())],
        ] {
            let out = answer(&mut challenged(), 0x81, &pairs);
            assert!(matches!(out, Err(Error::Refused(_))));
        }
    }

    #[test]
    fn our_own_challenge_is_not_answered() {
        let mut m = machine();
        answer(&mut m, 0, &[("AuthMethod", "CHAP")]).unwrap();
        let mirror = chap::encode(&[9; 16]);
        let theirs = [
            ("CHAP_A", "5"),
            ("CHAP_I", "9"),
            ("CHAP_C", mirror.as_str()),
        ];
        assert!(matches!(answer(&mut m, 0, &theirs), Err(Error::Refused(_))));
    }

    #[test]
    fn parameters_are_asked_for_until_transit() {
        let mut m = challenged();
        let proof = chap::encode(&chap::response(9, &Secret::new("theirs"), &[9; 16]));
        let proven = [("CHAP_N", "node"), ("CHAP_R", proof.as_str())];
        answer(&mut m, 0x81, &proven).unwrap();
        let first = answer(&mut m, 0x04, &[("InitialR2T", "Yes"), ("X-what", "1")]).unwrap();
        let Next::Send(_, owed) = first else {
            panic!("expected another round")
        };
        assert_eq!(owed, b"X-what=NotUnderstood\0");
        let last = [
            ("MaxRecvDataSegmentLength", "8192"),
            ("MaxBurstLength", "262144"),
        ];
        let Next::FullFeature(agreed) = answer(&mut m, 0x87, &last).unwrap() else {
            panic!("expected full feature phase")
        };
        assert!(agreed.initial_r2t);
        assert_eq!((agreed.burst_max, agreed.first_burst), (262144, 262144));
    }

    #[test]
    fn a_login_without_end_has_an_end() {
        let mut m = machine();
        let out = (0..100).find_map(|_| answer(&mut m, CONTINUE, &[]).err());
        assert!(matches!(out, Some(Error::Protocol(_))));
    }
}
