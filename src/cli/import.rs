//! `bmctl import`: systems that run already are taken over, or written down to be.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::apply::{self, Common};
use super::context::{self, Configured, Session};
use super::out::Out;
use super::sources::FsSources;
use super::{CommandResult, Exit, Failure, Global};
use crate::config::Console;
use crate::config::generate::{self, Running};
use crate::ids::{Addr, Kind, Name};
use crate::model::{Fleet, Import};
use crate::plan::takeover::{self, Asked, Found, Sorted, named_after};
use crate::plan::{Intent, Pattern};

/// Take over the system that stands on a node as a declared instance, as it is: nothing is written, no machine is touched
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The instance, such as 'instance.web["a"]'
    #[arg(value_name = "INSTANCE", requires = "node")]
    to: Option<Addr>,
    /// The node it stands on, such as 'node.rack["r1-01"]'
    #[arg(value_name = "NODE")]
    node: Option<Addr>,
    #[command(flatten)]
    generate: Generate,
    #[command(flatten)]
    common: Common,
}

/// What is written instead of taken over.
#[derive(Debug, clap::Args)]
struct Generate {
    /// Take nothing over: write blocks for it to FILE, to be read and corrected; without INSTANCE and --nodes, for `import` blocks
    /// whose instance no block declares
    #[arg(long, value_name = "FILE")]
    generate_config: Option<PathBuf>,
    /// Nodes whose systems are written down: an address, a glob or label:KEY=VALUE (may be given again)
    #[arg(
        long,
        value_name = "PATTERN",
        requires = "generate_config",
        conflicts_with = "to"
    )]
    nodes: Vec<Pattern>,
    /// What the instances are called; as their nodes, when it is left out
    #[arg(long = "as", value_name = "NAME", requires = "nodes")]
    name: Option<Name>,
    /// The flavor to write; the largest that fits, when it is left out
    #[arg(long, value_name = "FLAVOR", requires = "generate_config")]
    flavor: Option<Addr>,
    /// The image to write; the only one that the machine could boot, when it is left out
    #[arg(long, value_name = "IMAGE", requires = "generate_config")]
    image: Option<Addr>,
}

pub async fn run(global: &Global, args: Args, out: &Out) -> CommandResult {
    let configured = context::configure(global, &args.common.plan.config, out)?;
    let pair = args.to.zip(args.node);
    match (&args.generate.generate_config, pair) {
        (Some(file), pair) => {
            let file = file.clone();
            generate(configured, &args.common, &args.generate, pair, &file, out).await
        }
        (None, Some((to, node))) => take_over(configured, args.common, to, node, out).await,
        (None, None) => Err(Failure::new(
            Exit::Usage,
            "expected INSTANCE and NODE, or --generate-config FILE with --nodes PATTERN",
        )),
    }
}

/// An `import` block for as long as this command runs.
async fn take_over(
    mut configured: Configured,
    mut args: Common,
    to: Addr,
    node: Addr,
    out: &Out,
) -> CommandResult {
    let fleet = &mut configured.loaded.fleet;
    let origin = fleet.origins.get(&to).filter(|_| to.kind == Kind::Instance);
    let Some(origin) = origin else {
        let text = format!(
            "{to} is no declared instance: declare it as it is to be, or have it written: --generate-config FILE"
        );
        return Err(Failure::new(Exit::Usage, text));
    };
    is_node(fleet, &node)?;
    fleet.imports.push(Import {
        span: origin.block,
        to: to.clone(),
        node,
    });
    args.plan.select.only(Pattern::Address(to.to_string()));
    apply::with_configuration(configured, args, None, Intent::Apply, out).await
}

fn is_node(fleet: &Fleet, addr: &Addr) -> Result<(), Failure> {
    if fleet.nodes.contains_key(addr) {
        return Ok(());
    }
    let text = format!("{addr} is no declared node; `bmctl graph` shows what is declared");
    Err(Failure::new(Exit::Usage, text))
}

fn is_declared(
    option: &str,
    addr: Option<&Addr>,
    declares: impl Fn(&Addr) -> bool,
) -> Result<(), Failure> {
    match addr.filter(|addr| !declares(addr)) {
        Some(addr) => Err(Failure::new(
            Exit::Usage,
            format!("{option}: {addr} is not declared"),
        )),
        None => Ok(()),
    }
}

async fn generate(
    configured: Configured,
    common: &Common,
    args: &Generate,
    pair: Option<(Addr, Addr)>,
    file: &Path,
    out: &Out,
) -> CommandResult {
    if file.exists() {
        return Err(is_there(file));
    }
    let Fleet {
        flavors, images, ..
    } = configured.fleet();
    is_declared("--flavor", args.flavor.as_ref(), |addr| {
        flavors.contains_key(addr)
    })?;
    is_declared("--image", args.image.as_ref(), |addr| {
        images.contains_key(addr)
    })?;
    let session = Session::open(configured, &common.plan).await?;
    let fleet = session.configured.fleet();
    let has_blocks = pair.is_none() && args.nodes.is_empty();
    let pairs = wanted(fleet, args, pair.as_ref())?;
    let nodes = pairs.iter().filter_map(|(_, addr)| {
        let node = fleet.nodes.get(*addr)?;
        Some((
            context::bmc_of(addr, node, session.site_of(node)),
            node.power.password().text.clone(),
        ))
    });
    let observed = session.look_at(nodes.collect()).await;
    let asked = Asked {
        pairs,
        flavor: args.flavor.as_ref(),
        image: args.image.as_ref(),
    };
    let recorded = session.store.recorded().await?;
    let Sorted {
        found,
        unsure: mut left,
        managed,
    } = takeover::find(fleet, &recorded, &observed, asked);
    for (node, instance) in managed {
        out.note(&format!("{node} is left out: carries {instance} already"));
    }
    let systems = written(&session, common, &found, &mut left)?;
    for (node, why) in &left {
        out.note(&format!("{node} is left out: {why}"));
    }
    if systems.is_empty() {
        return Err(Failure::new(Exit::Error, "there is nothing to write"));
    }
    save(file, &generate::running(&systems, !has_blocks))?;
    out.line(&format!(
        "Wrote {}: {} running system{}. Read it, then see what `bmctl plan` makes of it.",
        file.display(),
        systems.len(),
        if systems.len() == 1 { "" } else { "s" },
    ));
    Ok(if left.is_empty() {
        Exit::Done
    } else {
        Exit::Error
    })
}

/// Instances and their nodes: the one that is named, those whose nodes are, or those of `import` blocks.
fn wanted<'a>(
    fleet: &'a Fleet,
    args: &Generate,
    pair: Option<&'a (Addr, Addr)>,
) -> Result<Vec<(Addr, &'a Addr)>, Failure> {
    if let Some((to, node)) = pair {
        is_node(fleet, node)?;
        if to.kind != Kind::Instance {
            return Err(Failure::new(
                Exit::Usage,
                format!("{to} is no instance: expected such as 'instance.web[\"a\"]'"),
            ));
        }
        return Ok(vec![(to.clone(), node)]);
    }
    if args.nodes.is_empty() {
        let undeclared = fleet
            .imports
            .iter()
            .filter(|i| !fleet.instances.contains_key(&i.to));
        let pairs: Vec<_> = undeclared.map(|i| (i.to.clone(), &i.node)).collect();
        return match pairs.is_empty() {
            true => Err(Failure::new(
                Exit::Usage,
                "every `import` block is about a declared instance; name nodes with --nodes PATTERN",
            )),
            false => Ok(pairs),
        };
    }
    let mut pairs = Vec::new();
    let mut unused: BTreeSet<String> = args.nodes.iter().map(ToString::to_string).collect();
    for (addr, node) in &fleet.nodes {
        let text = addr.to_string();
        let mut names = args
            .nodes
            .iter()
            .filter(|pattern| match pattern {
                Pattern::Label { key, value } => node.labels.get(key) == Some(value),
                Pattern::Address(_) | Pattern::Glob(_) => pattern.names(&text),
            })
            .peekable();
        if names.peek().is_some() {
            pairs.push((named_after(addr, args.name.as_ref()), addr));
        }
        for pattern in names {
            unused.remove(&pattern.to_string());
        }
    }
    match unused.first() {
        Some(pattern) => Err(Failure::new(
            Exit::Usage,
            format!("--nodes {pattern}: no declared node is meant by it"),
        )),
        None => Ok(pairs),
    }
}

/// With expressions for what each refers to; a resource inside a module can only be spoken of when an output holds it.
fn written<'a>(
    session: &Session,
    common: &Common,
    found: &[Found<'a>],
    left: &mut Vec<(&'a Addr, String)>,
) -> Result<Vec<Running>, Failure> {
    let Configured { root, key, .. } = &session.configured;
    let sources = FsSources {
        root: root.clone(),
        key: key.clone(),
    };
    let variables = context::variables(&common.plan.config)?;
    let (console, _) = Console::open(".", &variables, &sources);
    let expressions = console.expressions();
    let mut systems = Vec::with_capacity(found.len());
    for one in found {
        let speak = |addr: &Addr| {
            expressions.get(addr).cloned().ok_or_else(|| {
                format!("{addr} is in a module, and no output of it holds it: give the module one")
            })
        };
        let running = || -> Result<Running, String> {
            Ok(Running {
                to: one.to.clone(),
                node: speak(one.node)?,
                flavor: speak(one.flavor)?,
                image: speak(one.image)?,
                power: one.power,
            })
        };
        match running() {
            Ok(system) => systems.push(system),
            Err(why) => left.push((one.node, why)),
        }
    }
    Ok(systems)
}

fn is_there(path: &Path) -> Failure {
    let text = format!("{} is there already: name another file", path.display());
    Failure::new(Exit::Usage, text)
}

/// Nothing is written over: it may hold what somebody has corrected.
fn save(path: &Path, text: &str) -> Result<(), Failure> {
    let shown = path.display();
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    let mut file = file.map_err(|e| {
        if e.kind() == ErrorKind::AlreadyExists {
            return is_there(path);
        }
        Failure::new(Exit::Error, format!("{shown}: {e}"))
    })?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all());
    written.map_err(|e| Failure::new(Exit::Error, format!("{shown}: {e}")))
}
