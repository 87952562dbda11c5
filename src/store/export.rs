//! The state as one document: taken out for a backup or a look, and put back whole. Its secrets stay sealed.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};

use super::actor::Actor;
use super::boot::BootEntry;
use super::handle::{Read, Store, Write, cells};
use super::history::Did;
use super::lease::Force;
use super::sums::Table;
use super::surgery::{Surgery, deed};
use super::value::values;
use super::{StoreError, from_json, parse, to_json};
use crate::ids::Addr;
use crate::model::Resource;
use crate::units::{Mac, TableId};

/// Raised when an older reader would misunderstand it. The schema is schemas/state.json.
pub const FORMAT: u32 = 2;

/// The member that holds the SHA-256 of all others.
const SUM: &str = "sha256";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    pub format: u32,
    pub lineage: String,
    pub serial: u64,
    pub resources: BTreeMap<Addr, Resource>,
    /// Which instance has each node.
    pub claims: BTreeMap<Addr, Addr>,
    /// Partition tables of ours on disks of nodes whose instance is gone.
    pub left_behind: BTreeMap<Addr, BTreeSet<TableId>>,
    /// What each MAC of an instance is given when it boots. The first format did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<BTreeMap<Mac, BootEntry>>,
    /// Sealed, in base64.
    pub secrets: BTreeMap<String, String>,
}

const WHAT: &str = "the exported state";

impl Export {
    /// As a document with its checksum.
    pub fn to_text(&self) -> Result<String, StoreError> {
        let broken = |e: serde_json::Error| StoreError::corrupt(WHAT, e.to_string());
        let Json::Object(mut all) = serde_json::to_value(self).map_err(broken)? else {
            return Err(StoreError::corrupt(WHAT, "it is not an object"));
        };
        let sum = sum_of(&all)?;
        all.insert(SUM.to_owned(), Json::String(sum));
        let mut text = serde_json::to_string_pretty(&all).map_err(broken)?;
        text.push('\n');
        Ok(text)
    }

    /// Reads a document, which must be what was written.
    pub fn from_text(text: &str) -> Result<Export, StoreError> {
        let unread = |why: String| StoreError::NotPushed { why };
        let all: Map<String, Json> = serde_json::from_str(text)
            .map_err(|e| unread(format!("it cannot be read as an exported state: {e}")))?;
        match all.get("format").and_then(Json::as_u64) {
            Some(found) if (1..=u64::from(FORMAT)).contains(&found) => {}
            Some(found) => {
                return Err(unread(format!(
                    "its format is {found}, this bmctl reads up to {FORMAT}; use the version that wrote it"
                )));
            }
            None => {
                return Err(unread(
                    "it says no format; expected what `bmctl state pull` prints".to_owned(),
                ));
            }
        }
        let (noted, found) = (all.get(SUM).and_then(Json::as_str), sum_of(&all)?);
        if noted != Some(found.as_str()) {
            return Err(unread(format!(
                "its checksum is {found}, {} was noted: it was changed or cut since it was pulled; take another copy",
                noted.unwrap_or("none")
            )));
        }
        let rest = all.into_iter().filter(|(name, _)| name != SUM).collect();
        serde_json::from_value(Json::Object(rest))
            .map_err(|e| unread(format!("it cannot be read as an exported state: {e}")))
    }
}

/// Of every member but itself, as compact JSON in the order in which they stand.
fn sum_of(all: &Map<String, Json>) -> Result<String, StoreError> {
    let rest: Map<String, Json> = all
        .iter()
        .filter(|(name, _)| *name != SUM)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let text = to_json(WHAT, &rest)?;
    Ok(hex::encode(Sha256::digest(text)))
}

impl Store {
    /// Everything that a new place needs to go on, as of one moment.
    pub async fn pull(&self) -> Result<Export, StoreError> {
        let mut read = self.read().await?;
        self.remember(&read.head)?;
        let recorded = read.recorded().await?;
        Ok(Export {
            format: FORMAT,
            lineage: recorded.lineage,
            serial: recorded.serial,
            resources: recorded.resources,
            left_behind: recorded.left_behind,
            claims: read.claims_now().await?,
            boot: Some(read.boot_now().await?),
            secrets: read.secrets_now().await?,
        })
    }

    /// Puts a document into the place of what is there, in one transaction. The serial of the state once it is done.
    pub async fn push(
        &self,
        export: &Export,
        force: Force,
        by: &Actor,
        at_ms: i64,
    ) -> Result<u64, StoreError> {
        let by = to_json("who changes the state", by)?;
        let mut write = self.write().await?;
        write.may_push(export, force).await?;
        write.replace_resources(export).await?;
        write.replace_claims(export).await?;
        write.replace_rest(export).await?;
        write.replace_boot(export).await?;
        let other = write.head.lineage != export.lineage;
        write.head.lineage.clone_from(&export.lineage);
        write.head.serial = write.head.serial.max(export.serial) + 1;
        write.put_history(deed(Surgery::Push, &by, at_ms)).await?;
        let head = write.head.clone();
        write.commit().await?;
        if other {
            return self.accept().await;
        }
        self.remember(&head)?;
        Ok(head.serial)
    }
}

impl Read {
    async fn claims_now(&mut self) -> Result<BTreeMap<Addr, Addr>, StoreError> {
        let mut out = BTreeMap::new();
        for row in self.all(Table::Claims).await? {
            let [node, instance] = cells(row)?;
            let instance = parse("a claim", &instance.text()?)?;
            out.insert(parse("a claim", &node.text()?)?, instance);
        }
        Ok(out)
    }

    /// Of instances. A deployment that is under way has a token, which no copy of the state may carry on with.
    async fn boot_now(&mut self) -> Result<BTreeMap<Mac, BootEntry>, StoreError> {
        let mut out = BTreeMap::new();
        for row in self.all(Table::Boot).await? {
            let [mac, _, body, _] = cells(row)?;
            let entry: BootEntry = from_json("a boot entry", &body.text()?)?;
            match entry {
                BootEntry::Instance { .. } => {
                    out.insert(parse("a MAC", &mac.text()?)?, entry);
                }
                BootEntry::Deploy { .. } => {}
            }
        }
        Ok(out)
    }

    async fn secrets_now(&mut self) -> Result<BTreeMap<String, String>, StoreError> {
        let mut out = BTreeMap::new();
        for row in self.all(Table::Secrets).await? {
            let [name, sealed] = cells(row)?;
            out.insert(name.text()?, BASE64.encode(sealed.blob()?));
        }
        Ok(out)
    }
}

impl Write {
    /// Another state, an older one, and one whose machines are in doubt are not replaced by mistake.
    async fn may_push(&mut self, export: &Export, force: Force) -> Result<(), StoreError> {
        match force {
            Force::Yes => return Ok(()),
            Force::No => {}
        }
        let (here, serial) = (&self.head.lineage, self.head.serial);
        // A state that nothing was ever written to has nothing to lose.
        if *here != export.lineage && serial > 0 {
            let why = format!(
                "it is of another state (lineage {}, and {here} is here); push --force replaces this one by it",
                export.lineage
            );
            return Err(StoreError::NotPushed { why });
        }
        if export.serial < serial {
            let why = format!(
                "it is older than the state (serial {}, and {serial} is here): what was done since would be forgotten; push --force takes it all the same",
                export.serial
            );
            return Err(StoreError::NotPushed { why });
        }
        let open = self.all(Table::OpenSteps).await?.len();
        if open > 0 {
            let why = format!(
                "{open} steps of a run that died are in doubt; apply first, which looks at them, or push --force"
            );
            return Err(StoreError::NotPushed { why });
        }
        Ok(())
    }

    async fn replace_resources(&mut self, export: &Export) -> Result<(), StoreError> {
        let mut known = Vec::new();
        for row in self.all(Table::Resources).await? {
            let [addr, _] = cells(row)?;
            known.push(parse::<Addr>("an address", &addr.text()?)?);
        }
        let mut bodies: BTreeMap<&Addr, Option<String>> = known.iter().map(|a| (a, None)).collect();
        for (addr, resource) in &export.resources {
            bodies.insert(addr, Some(to_json("a resource", resource)?));
        }
        self.put_resources(bodies).await
    }

    async fn replace_claims(&mut self, export: &Export) -> Result<(), StoreError> {
        let mut wanted = export.claims.clone();
        let mut rows = Vec::new();
        for row in self.take_all(Table::Claims).await? {
            let [node, holder] = cells(row)?;
            let (node, holder) = (parse::<Addr>("a claim", &node.text()?)?, holder.text()?);
            let stays = wanted.get(&node).is_some_and(|i| i.to_string() == holder);
            if stays {
                wanted.remove(&node);
                rows.push(values![&node, holder]);
            } else {
                self.remember_change(node, Did::Released, Some(holder));
            }
        }
        for (node, instance) in wanted {
            rows.push(values![&node, &instance]);
            self.remember_change(node, Did::Claimed, None);
        }
        self.add(Table::Claims, rows).await
    }

    async fn replace_boot(&mut self, export: &Export) -> Result<(), StoreError> {
        let Some(wanted) = &export.boot else {
            return Ok(());
        };
        let mut gone = Vec::new();
        for row in self.all(Table::Boot).await? {
            let [mac, _, body, _] = cells(row)?;
            match from_json("a boot entry", &body.text()?)? {
                BootEntry::Instance { .. } => gone.push(vec![mac]),
                BootEntry::Deploy { .. } => {}
            }
        }
        self.remove(Table::Boot, gone).await?;
        for entry in wanted.values() {
            self.put_boot(entry).await?;
        }
        Ok(())
    }

    async fn replace_rest(&mut self, export: &Export) -> Result<(), StoreError> {
        self.take_all(Table::LeftBehind).await?;
        let tables = export.left_behind.iter();
        let rows = tables.flat_map(|(node, all)| {
            all.iter()
                .map(move |table| values![node, table.to_string()])
        });
        self.add(Table::LeftBehind, rows.collect()).await?;
        self.take_all(Table::Secrets).await?;
        let mut rows = Vec::new();
        for (name, sealed) in &export.secrets {
            let sealed = BASE64.decode(sealed).map_err(|e| StoreError::NotPushed {
                why: format!("the secret `{name}` in it is no base64: {e}"),
            })?;
            rows.push(values![name.as_str(), sealed]);
        }
        self.add(Table::Secrets, rows).await
    }
}
