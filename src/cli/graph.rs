//! `bmctl graph`

use std::path::PathBuf;

use super::context::{self, PlanArgs, Session};
use super::out::Out;
use super::{CommandResult, Exit, Failure, Global, plan as plan_command};
use crate::plan::Intent;
use crate::plan::draw::{self, Instances, Picture};

/// Draw what a plan changes and what waits for what, or the whole configuration.
///
/// An arrow goes from what waits to what it waits for. The instances of one block are one box, such as node.rack (38).
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    plan: PlanArgs,
    /// Draw the plan in FILE instead of making one
    #[arg(long = "plan", value_name = "FILE", conflicts_with = "all")]
    file: Option<PathBuf>,
    /// Draw everything that is declared, not only what changes; nothing is looked at
    #[arg(long)]
    all: bool,
    /// Text for Graphviz, or a picture
    #[arg(long, value_enum, default_value_t = Format::Dot)]
    format: Format,
    /// What the boxes are
    #[arg(long = "type", value_enum, default_value_t = Boxes::Resources)]
    boxes: Boxes,
    /// A box for every instance
    #[arg(long)]
    expand: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Dot,
    Svg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Boxes {
    Resources,
    Steps,
}

pub async fn run(global: &Global, args: Args, out: &Out) -> CommandResult {
    let picture = picture(global, &args, out).await?;
    if picture.cards.is_empty() {
        out.note("Nothing changes; --all draws the whole configuration.");
    }
    out.print(&match args.format {
        Format::Dot => draw::dot(&picture),
        Format::Svg => draw::svg(&picture),
    });
    Ok(Exit::Done)
}

async fn picture(global: &Global, args: &Args, out: &Out) -> Result<Picture, Failure> {
    let instances = match args.expand {
        true => Instances::Apart,
        false => Instances::Together,
    };
    if let Some(path) = &args.file {
        let plan = plan_command::load(path)?.0;
        return Ok(match args.boxes {
            Boxes::Resources => draw::changes(&plan, None, instances),
            Boxes::Steps => draw::steps(&plan),
        });
    }
    if args.all && args.boxes == Boxes::Steps {
        let text = "--all draws what is declared, which has no steps; leave one of --all and --type steps out";
        return Err(Failure::new(Exit::Usage, text));
    }
    let configured = context::configure(global, &args.plan.config, out)?;
    if args.all {
        return Ok(draw::configuration(configured.fleet(), instances));
    }
    let session = Session::open(configured, &args.plan).await?;
    let plan = session.plan(Intent::Apply, args.plan.refresh, out).await?;
    Ok(match args.boxes {
        Boxes::Resources => draw::changes(&plan, Some(session.configured.fleet()), instances),
        Boxes::Steps => draw::steps(&plan),
    })
}
