//! What goes wrong on the simulated rack: by chance, or at one step of a run.

use std::fmt;
use std::str::FromStr;

use crate::ids::ParseError;
use crate::plan::StepId;

/// What goes wrong, and how often; each chance is a probability from 0 to 1.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Faults {
    pub seed: u64,
    /// An exchange with a BMC is lost; it is tried five times.
    pub loss: f64,
    /// A BMC never answers.
    pub bmc_down: f64,
    /// A node's ramdisk never reports.
    pub no_callback: f64,
    /// A write ends in an error.
    pub write_fail: f64,
    /// An instance never phones home.
    pub no_phone: f64,
    /// An instance never passes a gate: what it serves refuses.
    pub gate_fail: f64,
    /// An instance never answers at a gate.
    pub gate_hang: f64,
    /// Simulated seconds in a real one; without it time passes as fast as it can.
    pub pace: Option<f64>,
}

impl FromStr for Faults {
    type Err = ParseError;

    fn from_str(s: &str) -> Result<Faults, ParseError> {
        const FORM: &str = "seed=N and any of loss=, bmc_down=, no_callback=, write_fail=, no_phone=, gate_fail=, gate_hang= from 0 to 1 and pace= (simulated seconds in a real one), joined by commas";
        let bad = || ParseError::new(FORM, s);
        let mut faults = Faults::default();
        for part in s.split(',').filter(|p| !p.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(bad)?;
            let number = || value.parse::<f64>().map_err(|_| bad());
            let chance = || {
                number().and_then(|p| {
                    if (0.0..=1.0).contains(&p) {
                        Ok(p)
                    } else {
                        Err(bad())
                    }
                })
            };
            match name {
                "seed" => faults.seed = value.parse().map_err(|_| bad())?,
                "loss" => faults.loss = chance()?,
                "bmc_down" => faults.bmc_down = chance()?,
                "no_callback" => faults.no_callback = chance()?,
                "write_fail" => faults.write_fail = chance()?,
                "no_phone" => faults.no_phone = chance()?,
                "gate_fail" => faults.gate_fail = chance()?,
                "gate_hang" => faults.gate_hang = chance()?,
                "pace" => {
                    let pace = number()?;
                    faults.pace = Some(pace).filter(|p| p.is_finite() && *p > 0.0);
                    faults.pace.ok_or_else(bad)?;
                }
                _ => return Err(bad()),
            }
        }
        Ok(faults)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Faults {
            seed,
            loss,
            bmc_down,
            no_callback,
            write_fail,
            no_phone,
            gate_fail,
            gate_hang,
            pace,
        } = self;
        write!(
            f,
            "seed={seed},loss={loss},bmc_down={bmc_down},no_callback={no_callback},write_fail={write_fail},no_phone={no_phone},gate_fail={gate_fail},gate_hang={gate_hang}"
        )?;
        match pace {
            Some(pace) => write!(f, ",pace={pace}"),
            None => Ok(()),
        }
    }
}

/// One thing that goes wrong once, at the first call of one step that it can befall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trick {
    pub step: StepId,
    pub mischief: Mischief,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mischief {
    /// A question is not answered.
    FailLook,
    /// An act is refused: it was not done.
    FailAct,
    /// It was done, and the answer is lost.
    LoseAnswer,
    /// It is done twice, as when a request is sent again because its answer was late.
    Repeat,
    /// The answer says that it was done, and it was not.
    LieAct,
    /// The BMC says on of a machine that is off, or off of one that is on.
    LiePower,
}

impl Mischief {
    pub const ALL: [Mischief; 6] = [
        Mischief::FailLook,
        Mischief::FailAct,
        Mischief::LoseAnswer,
        Mischief::Repeat,
        Mischief::LieAct,
        Mischief::LiePower,
    ];

    /// Whether it can befall this kind of call.
    pub fn befalls(self, call: Call) -> bool {
        match self {
            Mischief::FailLook => matches!(call, Call::Look | Call::LookAtPower),
            Mischief::LiePower => call == Call::LookAtPower,
            // A disk's driver reads back what it wrote: it cannot be lied to.
            Mischief::LieAct => call == Call::ToBmc,
            Mischief::FailAct | Mischief::LoseAnswer | Mischief::Repeat => {
                matches!(call, Call::Act | Call::ToBmc)
            }
        }
    }
}

/// What kind of call to the outside it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Look,
    LookAtPower,
    Act,
    /// An act of which only the BMC's word is known.
    ToBmc,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_and_written() {
        let faults: Faults = "seed=7,loss=0.05,pace=20".parse().unwrap();
        assert_eq!(
            (faults.seed, faults.loss, faults.pace),
            (7, 0.05, Some(20.0))
        );
        assert_eq!(faults.to_string().parse::<Faults>().unwrap(), faults);
        for bad in [
            "seed", "seed=x", "loss=2", "luck=1", "pace=0", "pace=-1", "pace=inf",
        ] {
            assert!(bad.parse::<Faults>().is_err(), "{bad}");
        }
    }
}
