//! Resource blocks to resources, one for each instance.

use std::sync::Arc;

use super::declare::Resource;
use super::decode::{self, Reader};
use super::depends::{self, Dependent, Depends};
use super::eval::{Scope, Slot};
use super::expand::{Instances, instances};
use super::lifecycle;
use super::report::Report;
use super::value::{Data, Entries, ResourceValue, Value};
use crate::ids::{Addr, Key};
use crate::model::Fleet;

/// What the reading of resources adds to.
pub struct Sink<'s> {
    pub report: &'s Report,
    pub fleet: &'s mut Fleet,
    pub depends: &'s mut Depends,
}

/// Evaluates a block for all of its instances. Gives what a reference to the block sees; `None` after a mistake in
/// `for_each` or `count`.
pub fn evaluate(resource: &Resource, scope: &Scope<'_>, sink: &mut Sink<'_>) -> Slot {
    let report = sink.report;
    let mut instance = |key: Option<Key>, scope: &Scope<'_>| {
        let addr = Addr {
            module: scope.env.path.clone(),
            kind: resource.kind,
            name: resource.name.clone(),
            key,
        };
        one(resource, addr, scope, sink)
    };
    match instances(&resource.block, scope, report)? {
        Instances::One => Some(instance(None, scope)),
        Instances::Count(count) => {
            let each = (0..count).map(|index| {
                let scope = Scope {
                    count: Some(index),
                    ..*scope
                };
                instance(Some(Key::Index(index)), &scope)
            });
            Some(Value::tuple(each.collect()))
        }
        Instances::Each(each) => {
            let mut all = Entries::new();
            for (key, value) in each {
                let key_value = Value::new(Data::String(key.clone()));
                let scope = Scope {
                    each: Some((&key_value, &value)),
                    ..*scope
                };
                all.insert(key.clone(), instance(Some(Key::Text(key)), &scope));
            }
            Some(Value::object(all))
        }
    }
}

fn one(resource: &Resource, addr: Addr, scope: &Scope<'_>, sink: &mut Sink<'_>) -> Value {
    let block = &resource.block;
    let rules = lifecycle::read(block, &addr, scope, sink.report);
    if rules.prevent_destroy.is_some() {
        sink.fleet.prevent_destroy.insert(addr.clone());
    }
    if let Some(targets) = depends::read(block, scope, sink.report) {
        sink.depends.add(Dependent::Resource(addr.clone()), targets);
    }
    let subject = addr.to_string();
    let mut reader = Reader::new(block, scope, sink.report, &subject);
    reader.known(&["for_each", "count", "depends_on"], &["lifecycle"]);
    if let Some(span) = rules.prevent_destroy {
        reader.written("lifecycle.prevent_destroy", span);
    }
    let attributes = decode::resource(reader, &addr, sink.fleet);
    if let Some(attributes) = &attributes {
        lifecycle::follow(&rules, &addr, attributes, sink);
        lifecycle::keep_user_data(&addr, sink.fleet);
    }
    let value = Value::new(Data::Resource(Arc::new(ResourceValue { addr, attributes })));
    lifecycle::postconditions(block, &value, scope, sink.report);
    value
}
