//! All modules, evaluated unit by unit in the order of their needs, each unit for every instance of its module.

use std::sync::Arc;

use super::calls::Call;
use super::codes;
use super::conditions::Condition;
use super::depends::Depends;
use super::eval::{EnvId, Scope, Slot, World, eval};
use super::involved::with_values;
use super::modules::{Lock, ModuleId, Tree};
use super::moves;
use super::order::{Item, Unit, order};
use super::outputs;
use super::policies;
use super::report::{Around, Report};
use super::resources::{self, Sink};
use super::settings::{self, Settings};
use super::syntax::ast::Block;
use super::unread;
use super::variables::{self, Given, GivenValues};
use super::{rollouts, windows};
use crate::diag::{Diagnostic, Severity};
use crate::model::Fleet;

pub struct Evaluation<'e> {
    pub tree: &'e Tree,
    pub report: &'e Report,
    pub lock: &'e Lock,
}

/// What grows while units are evaluated.
struct Run<'r, 's> {
    world: &'r mut World<'s>,
    fleet: &'r mut Fleet,
    depends: Depends,
    /// The instances of each module of the tree.
    envs: Vec<Vec<EnvId>>,
}

impl Evaluation<'_> {
    /// Fills the fleet, and gives what the block `bmctl` says.
    pub fn run(&self, given: &GivenValues, world: &mut World<'_>, fleet: &mut Fleet) -> Settings {
        let root = self.tree.module(ModuleId::ROOT);
        world.env_mut(EnvId::ROOT).declared = root.declared.clone();
        for (name, block) in &root.declared.variables {
            let scope = Scope::new(world);
            let value = variables::value(name, block, given.get(name), &scope, self.report);
            world
                .env_mut(EnvId::ROOT)
                .variables
                .insert(name.clone(), value);
        }
        let order = order(self.tree);
        order.cycles.into_iter().for_each(|d| self.report.push(d));
        let mut run = Run {
            world,
            fleet,
            depends: Depends::default(),
            envs: self.tree.ids().map(|_| Vec::new()).collect(),
        };
        if let Some(envs) = run.envs.first_mut() {
            envs.push(EnvId::ROOT);
        }
        for unit in &order.units {
            self.unit(unit, &mut run);
        }
        let Run {
            world,
            fleet,
            depends,
            envs,
        } = run;
        depends.resolve(fleet);
        self.afterwards(&envs, world, fleet);
        self.report.leave();
        self.lock_images(fleet);
        settings::read(&root.declared.settings, &Scope::new(world), self.report)
    }

    fn unit(&self, unit: &Unit, run: &mut Run<'_, '_>) {
        let envs = run.envs.get(unit.module.0).cloned().unwrap_or_default();
        for env in envs {
            self.enter(env, run.world);
            match &unit.item {
                Item::Variable(name) => {
                    let value = self.argument(unit.module, name, env, run.world);
                    run.world.env_mut(env).variables.insert(name.clone(), value);
                }
                Item::Local(name) => {
                    let value = self.local(unit.module, name, env, run.world);
                    run.world.env_mut(env).locals.insert(name.clone(), value);
                }
                Item::Call(name) => {
                    let call = Call {
                        tree: self.tree,
                        module: unit.module,
                        name,
                        env,
                    };
                    let made = call.evaluate(run.world, self.report, &mut run.depends);
                    let child = self.tree.module(unit.module).children.get(name);
                    if let Some(envs) = child.and_then(|c| run.envs.get_mut(c.0)) {
                        envs.extend(made);
                    }
                }
                Item::Resource(kind, name) => {
                    let declared = &self.tree.module(unit.module).declared;
                    let Some(resource) = declared.resources.get(&(*kind, name.clone())) else {
                        continue;
                    };
                    let mut sink = Sink {
                        report: self.report,
                        fleet: run.fleet,
                        depends: &mut run.depends,
                    };
                    let slot = resources::evaluate(resource, &Scope::of(run.world, env), &mut sink);
                    let of_kind = run.world.env_mut(env).resources.entry(*kind).or_default();
                    of_kind.insert(name.clone(), slot);
                }
                Item::Output(name) => {
                    let value = self.output(unit.module, name, env, run);
                    run.world.env_mut(env).outputs.insert(name.clone(), value);
                }
            }
        }
    }

    /// Says in every report until the next call where in the modules it is.
    fn enter(&self, env: EnvId, world: &World<'_>) {
        let env = world.env(env);
        self.report.enter(env.caller.as_ref().map(|caller| Around {
            path: env.path.clone(),
            header: caller.header,
        }));
    }

    /// A variable of a called module: the call's argument, with the names of where the call stands.
    fn argument(&self, module: ModuleId, name: &Arc<str>, env: EnvId, world: &World<'_>) -> Slot {
        let block = self.tree.module(module).declared.variables.get(name)?;
        let caller = world.env(env).caller.as_ref()?;
        let call = self.tree.module(module).caller.as_ref()?;
        let call = self.tree.module(call.0).declared.modules.get(&call.1)?;
        let given = match call.body.attribute(name) {
            Some(attribute) => match eval(&attribute.value, &Scope::calling(world, caller)) {
                Ok(value) => Some(Given::Value(value, attribute.value.span)),
                Err(stop) => {
                    let scope = Scope::calling(world, caller);
                    self.report
                        .stop(with_values(stop, &attribute.value, &scope), None);
                    return None;
                }
            },
            // That it is missing has been said.
            None if block.body.attribute("default").is_none() => return None,
            None => None,
        };
        variables::value(
            name,
            block,
            given.as_ref(),
            &Scope::of(world, env),
            self.report,
        )
    }

    fn local(&self, module: ModuleId, name: &Arc<str>, env: EnvId, world: &World<'_>) -> Slot {
        let attribute = self.tree.module(module).declared.locals.get(name)?;
        let scope = Scope::of(world, env);
        let value = eval(&attribute.value, &scope);
        let told = |stop| {
            self.report
                .stop(with_values(stop, &attribute.value, &scope), None)
        };
        value.map_err(told).ok()
    }

    /// An output of the root module is the fleet's; one of a called module is a value for its caller.
    fn output(&self, module: ModuleId, name: &Arc<str>, env: EnvId, run: &mut Run<'_, '_>) -> Slot {
        let block = self.tree.module(module).declared.outputs.get(name)?;
        let scope = Scope::of(run.world, env);
        let is_root = module == ModuleId::ROOT;
        let (value, output) = outputs::read(name, block, is_root, &scope, self.report)?;
        if is_root {
            run.fleet.outputs.insert(name.to_string(), output);
        }
        Some(value)
    }

    /// What nothing else needs: validations, checks, and what is said about addresses.
    fn afterwards(&self, envs: &[Vec<EnvId>], world: &World<'_>, fleet: &mut Fleet) {
        for (id, envs) in self.tree.ids().zip(envs) {
            let declared = &self.tree.module(id).declared;
            self.unread(id, envs, world);
            for env in envs {
                self.enter(*env, world);
                let scope = Scope::of(world, *env);
                for (name, block) in &declared.variables {
                    if matches!(world.env(*env).variables.get(name), Some(Some(_))) {
                        variables::validate(name, block, &scope, self.report);
                    }
                }
                for (name, block) in &declared.checks {
                    self.check(name, block, &scope);
                }
                moves::read(declared, &scope, self.report, fleet);
                if id != ModuleId::ROOT {
                    settings::of_called(&declared.settings, &scope, self.report);
                    policies::of_called(&declared.policies, self.report);
                    windows::of_called(&declared.windows, self.report);
                    rollouts::of_called(&declared.rollouts, self.report);
                }
            }
        }
    }

    /// Tells what is wrong with resources that have no instance anywhere.
    fn unread(&self, id: ModuleId, envs: &[EnvId], world: &World<'_>) {
        self.report.leave();
        let declared = &self.tree.module(id).declared;
        for ((kind, name), resource) in &declared.resources {
            let read = envs.iter().any(|env| {
                let of_kind = world.env(*env).resources.get(kind);
                match of_kind.and_then(|r| r.get(name)) {
                    Some(Some(value)) => {
                        value.items().is_none_or(|i| !i.is_empty())
                            && value.entries().is_none_or(|e| !e.is_empty())
                    }
                    // Its mistake is told.
                    Some(None) => true,
                    None => false,
                }
            });
            if !read {
                unread::check(&resource.block, declared, self.report);
            }
        }
    }

    fn check(&self, name: &str, block: &Block, scope: &Scope<'_>) {
        let subject = format!("check.{name}");
        let condition = Condition {
            subject: &subject,
            code: codes::CONDITION,
            severity: Severity::Warning,
            declared: Some(block.header),
        };
        for attribute in &block.body.attributes {
            let text = "`check` holds `assert` blocks only";
            let d = Diagnostic::error(codes::UNKNOWN_ATTRIBUTE, text);
            self.report.push(d.at(attribute.name_span, "an attribute"));
        }
        let mut any = false;
        for nested in &block.body.blocks {
            if nested.kind.as_ref() == "assert" {
                any = true;
                condition.check(nested, scope, self.report);
            } else {
                let text = format!("`check` has no block `{}`", nested.kind);
                let d = Diagnostic::error(codes::UNKNOWN_BLOCK, text);
                self.report
                    .push(d.at(nested.header, "not known").help("write assert { }"));
            }
        }
        if !any {
            let d = Diagnostic::error(codes::MISSING, "a block `assert` is required");
            self.report.push(d.at(block.header, "not in this block"));
        }
    }

    /// An image without a digest of its own has the one that `bmctl init` has locked.
    fn lock_images(&self, fleet: &mut Fleet) {
        for (addr, image) in &mut fleet.images {
            if image.sha256.is_none() {
                image.sha256 = self.lock.images.get(addr).cloned();
            }
        }
    }
}
