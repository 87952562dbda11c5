//! What a kept plan says of one resource and of some steps. A plan of ten thousand deployments is some hundred megabytes of text: it is
//! read as it is unpacked, and what nobody asked for is dropped at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{BufReader, Read};
use std::marker::PhantomData;

use flate2::read::GzDecoder;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::StoreError;
use super::handle::{Store, cells};
use super::resources::read_resource;
use super::sums::Table;
use super::value::values;
use crate::ids::Addr;
use crate::model::Resource;
use crate::plan::{Change, PlannedStep, StepId, planfile};

/// Of a plan: one change, and the steps that were asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlanPart {
    pub change: Option<Change>,
    pub steps: BTreeMap<StepId, PlannedStep>,
}

impl Store {
    /// As [`Store::plan`], for one resource and some steps.
    pub async fn plan_about(
        &self,
        id: &str,
        addr: &Addr,
        steps: &BTreeSet<StepId>,
    ) -> Result<Option<PlanPart>, StoreError> {
        let find = || async { self.read().await?.one(Table::Plans, values![id]).await };
        let Some(row) = self.patiently(find).await? else {
            return Ok(None);
        };
        let [_, body] = cells(row)?;
        let body = body.blob()?;
        let text = BufReader::new(GzDecoder::new(body.as_slice()).take(planfile::BYTES_MAX));
        let mut json = serde_json::Deserializer::from_reader(text);
        let part = Wanted { addr, steps }.deserialize(&mut json);
        let part = part.and_then(|part| json.end().map(|()| part));
        part.map(Some)
            .map_err(|e| StoreError::corrupt(format!("plan {id}"), e.to_string()))
    }

    /// One record; `None` when there is none.
    pub async fn resource(&self, addr: &Addr) -> Result<Option<Resource>, StoreError> {
        self.patiently(|| async {
            let mut read = self.read().await?;
            self.remember(&read.head)?;
            let Some(row) = read.one(Table::Resources, values![addr]).await? else {
                return Ok(None);
            };
            let [addr, body] = cells(row)?;
            Ok(Some(read_resource(&addr.text()?, &body.text()?)?.1))
        })
        .await
    }
}

struct Wanted<'a> {
    addr: &'a Addr,
    steps: &'a BTreeSet<StepId>,
}

impl<'de> DeserializeSeed<'de> for Wanted<'_> {
    type Value = PlanPart;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<PlanPart, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Wanted<'_> {
    type Value = PlanPart;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a plan")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<PlanPart, M::Error> {
        let mut part = PlanPart::default();
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "changes" => {
                    let found = map.next_value_seed(Only::of(|c: &Change| c.addr == *self.addr))?;
                    part.change = found.into_iter().next();
                }
                "steps" => {
                    let is_wanted = |s: &PlannedStep| self.steps.contains(&s.id);
                    let found = map.next_value_seed(Only::of(is_wanted))?;
                    part.steps = found.into_iter().map(|s| (s.id, s)).collect();
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(part)
    }
}

/// The elements of a list that are to be kept.
struct Only<T, F> {
    keep: F,
    of: PhantomData<T>,
}

impl<T, F: Fn(&T) -> bool> Only<T, F> {
    fn of(keep: F) -> Only<T, F> {
        Only {
            keep,
            of: PhantomData,
        }
    }
}

impl<'de, T: Deserialize<'de>, F: Fn(&T) -> bool> DeserializeSeed<'de> for Only<T, F> {
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Vec<T>, D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de>, F: Fn(&T) -> bool> Visitor<'de> for Only<T, F> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut all: S) -> Result<Vec<T>, S::Error> {
        let mut kept = Vec::new();
        while let Some(one) = all.next_element::<T>()? {
            if (self.keep)(&one) {
                kept.push(one);
            }
        }
        Ok(kept)
    }
}
