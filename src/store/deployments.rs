//! A deployment as it is kept, and as it is read.

use super::handle::{Store, cells};
use super::value::{Value, values};
use super::{StoreError, from_json, parse};
use crate::ids::Addr;
use crate::secret::Key32;
use crate::units::Mac;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeploymentStatus {
    /// The boot script has not been exchanged for a key.
    Waiting,
    Exchanged,
    /// The ramdisk has reported its disks.
    Ready,
    /// Something was wrong: see `trouble`.
    Stopped,
    Over,
}

impl DeploymentStatus {
    fn as_str(self) -> &'static str {
        match self {
            DeploymentStatus::Waiting => "waiting",
            DeploymentStatus::Exchanged => "exchanged",
            DeploymentStatus::Ready => "ready",
            DeploymentStatus::Stopped => "stopped",
            DeploymentStatus::Over => "over",
        }
    }

    fn parse(text: &str) -> Result<DeploymentStatus, StoreError> {
        use DeploymentStatus as S;
        [S::Waiting, S::Exchanged, S::Ready, S::Stopped, S::Over]
            .into_iter()
            .find(|s| s.as_str() == text)
            .ok_or_else(|| StoreError::corrupt("a deployment", format!("status {text}")))
    }
}

#[derive(Debug, Clone)]
pub struct Deployment {
    pub id: String,
    pub instance: Addr,
    pub node: Addr,
    pub macs: Vec<Mac>,
    pub token: Key32,
    pub key: Option<Key32>,
    pub expires_ms: i64,
    pub served: bool,
    pub status: DeploymentStatus,
    /// The NIC it came from.
    pub mac: Option<Mac>,
    pub last_seq: i64,
    pub report: Option<String>,
    pub trouble: Option<String>,
}

pub struct NewDeployment<'a> {
    pub id: &'a str,
    pub instance: &'a Addr,
    pub node: &'a Addr,
    pub token: &'a Key32,
    pub expires_ms: i64,
}

/// A row as it is kept: token and key are sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub id: String,
    pub instance: String,
    pub node: String,
    pub macs: String,
    pub token: Vec<u8>,
    pub key: Option<Vec<u8>>,
    pub expires_ms: i64,
    /// 0, or the number of the call that was handed the boot script.
    pub served: i64,
    pub status: DeploymentStatus,
    pub mac: Option<String>,
    pub last_seq: i64,
    pub report: Option<String>,
    pub trouble: Option<String>,
    /// The order in which they were opened.
    pub number: i64,
}

impl Kept {
    pub fn read(row: Vec<Value>) -> Result<Kept, StoreError> {
        let [
            id,
            instance,
            node,
            macs,
            token,
            key,
            expires,
            served,
            status,
            mac,
            last_seq,
            report,
            trouble,
            number,
        ] = cells(row)?;
        Ok(Kept {
            id: id.text()?,
            instance: instance.text()?,
            node: node.text()?,
            macs: macs.text()?,
            token: token.blob()?,
            key: key.maybe(Value::blob)?,
            expires_ms: expires.int()?,
            served: served.int()?,
            status: DeploymentStatus::parse(&status.text()?)?,
            mac: mac.maybe(Value::text)?,
            last_seq: last_seq.int()?,
            report: report.maybe(Value::text)?,
            trouble: trouble.maybe(Value::text)?,
            number: number.int()?,
        })
    }

    pub fn into_row(self) -> Vec<Value> {
        let Kept {
            id,
            instance,
            node,
            macs,
            token,
            key,
            expires_ms,
            served,
            status,
            mac,
            last_seq,
            report,
            trouble,
            number,
        } = self;
        values![
            id,
            instance,
            node,
            macs,
            token,
            key,
            expires_ms,
            served,
            status.as_str(),
            mac,
            last_seq,
            report,
            trouble,
            number
        ]
    }
}

impl Store {
    pub(super) fn unsealed(&self, kept: Kept) -> Result<Deployment, StoreError> {
        let what = "a deployment";
        let open = |sealed: &[u8]| -> Result<Key32, StoreError> {
            let bytes = self.sealer.open(&kept.id, sealed)?;
            Key32::from_slice(&bytes).ok_or_else(|| StoreError::WrongKey(kept.id.clone()))
        };
        let mac = kept.mac.as_ref().map(|m| parse(what, m)).transpose()?;
        Ok(Deployment {
            instance: parse(what, &kept.instance)?,
            node: parse(what, &kept.node)?,
            macs: from_json(what, &kept.macs)?,
            token: open(&kept.token)?,
            key: kept.key.as_deref().map(open).transpose()?,
            expires_ms: kept.expires_ms,
            served: kept.served != 0,
            status: kept.status,
            mac,
            last_seq: kept.last_seq,
            report: kept.report,
            trouble: kept.trouble,
            id: kept.id,
        })
    }
}
