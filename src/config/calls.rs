//! `module` blocks to instances of modules.

use std::sync::Arc;

use super::codes;
use super::depends::{self, Dependent, Depends};
use super::eval::{Called, Caller, Env, EnvId, Scope, World};
use super::expand::{Instances, instances};
use super::modules::{ModuleId, Tree};
use super::report::Report;
use super::value::{Data, Value};
use crate::diag::Diagnostic;
use crate::ids::{Key, ModuleStep};

/// Instances of all modules together: each holds its own values.
const INSTANCES_MAX: usize = 100_000;

/// One `module` block, seen from one instance of the module it stands in.
pub struct Call<'c> {
    pub tree: &'c Tree,
    pub module: ModuleId,
    pub name: &'c Arc<str>,
    pub env: EnvId,
}

impl Call<'_> {
    /// Makes the instances. Gives their environments, none after a mistake in `for_each` or `count`.
    pub fn evaluate(
        &self,
        world: &mut World<'_>,
        report: &Report,
        depends: &mut Depends,
    ) -> Vec<EnvId> {
        let called = self.made(world, report);
        let envs = match &called {
            Called::Failed => Vec::new(),
            Called::One(env) => vec![*env],
            Called::Count(envs) => envs.clone(),
            Called::Each(envs) => envs.values().copied().collect(),
        };
        if let Some(block) = self
            .tree
            .module(self.module)
            .declared
            .modules
            .get(self.name)
        {
            for env in &envs {
                if let Some(awaited) = depends::read(block, &Scope::of(world, self.env), report) {
                    depends.add(Dependent::Module(world.env(*env).path.clone()), awaited);
                }
            }
        }
        world
            .env_mut(self.env)
            .calls
            .insert(self.name.clone(), called);
        envs
    }

    fn made(&self, world: &mut World<'_>, report: &Report) -> Called {
        let parent = self.tree.module(self.module);
        let (Some(child), Some(block)) = (
            parent.children.get(self.name),
            parent.declared.modules.get(self.name),
        ) else {
            return Called::Failed;
        };
        let Some(which) = instances(block, &Scope::of(world, self.env), report) else {
            return Called::Failed;
        };
        let wanted = match &which {
            Instances::One => 1,
            Instances::Count(n) => *n as usize,
            Instances::Each(each) => each.len(),
        };
        if world.env_count().saturating_add(wanted) > INSTANCES_MAX {
            let text = format!("more than {INSTANCES_MAX} instances of modules");
            report.push(
                Diagnostic::error(codes::EXPANSION, text)
                    .at(block.header, "this call needs too many")
                    .help("for_each on the resources inside takes a million"),
            );
            return Called::Failed;
        }
        match which {
            Instances::One => Called::One(self.add(*child, None, None, world)),
            Instances::Count(n) => {
                let all = (0..n).map(|i| self.add(*child, Some(Key::Index(i)), None, world));
                Called::Count(all.collect())
            }
            Instances::Each(each) => {
                let all = each.into_iter().map(|(key, value)| {
                    let env = self.add(*child, Some(Key::Text(key.clone())), Some(value), world);
                    (key, env)
                });
                Called::Each(all.collect())
            }
        }
    }

    fn add(
        &self,
        child: ModuleId,
        key: Option<Key>,
        value: Option<Value>,
        world: &mut World<'_>,
    ) -> EnvId {
        let module = self.tree.module(child);
        let mut path = world.env(self.env).path.clone();
        // The name of a block is a name: the declaration was refused otherwise.
        if let Ok(name) = self.name.parse() {
            path.push(ModuleStep {
                name,
                key: key.clone(),
            });
        }
        let parent = self.tree.module(self.module);
        let caller = parent.declared.modules.get(self.name).map(|block| Caller {
            env: self.env,
            header: block.header,
            each: match (&key, value) {
                (Some(Key::Text(text)), Some(value)) => {
                    Some((Value::new(Data::String(text.clone())), value))
                }
                _ => None,
            },
            count: match key {
                Some(Key::Index(n)) => Some(n),
                _ => None,
            },
        });
        world.add(Env {
            path,
            dir: module.dir.clone(),
            declared: module.declared.clone(),
            caller,
            ..Env::default()
        })
    }
}
