//! `bmctl serve`

use std::sync::Arc;

use super::apply::site_spec;
use super::context::{self, ConfigArgs, Session};
use super::out::Out;
use super::{CommandResult, Exit, Failure, Global};
use crate::ids::Addr;
use crate::serve;

/// Runs until Ctrl-C. Instances that load their kernel over the network need it at every boot.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The sites to serve; all that are declared, without it
    #[arg(value_name = "SITE")]
    sites: Vec<Addr>,
    #[command(flatten)]
    config: ConfigArgs,
}

pub async fn run(global: &Global, args: Args, out: &Out) -> CommandResult {
    let configured = context::configure(global, &args.config, out)?;
    let session = Session::open(configured, &context::PlanArgs::default()).await?;
    let recorded = session.store.recorded().await?;
    let sites: Vec<Addr> = if args.sites.is_empty() {
        session.configured.fleet().sites.keys().cloned().collect()
    } else {
        args.sites
    };
    if sites.is_empty() {
        return Err(Failure::new(
            Exit::Error,
            "no site is declared; a `site` block says where nodes boot from",
        ));
    }
    let mut running = Vec::new();
    for addr in sites {
        let spec = site_spec(&session, &recorded, &addr)
            .ok_or_else(|| Failure::new(Exit::Error, format!("{addr} is not a declared site")))?;
        let at = format!(
            "{addr} at http://{}:{}",
            spec.site.address, spec.site.http_port
        );
        let (notes, name) = (*out, addr.clone());
        let log = Arc::new(move |text: String| notes.note(&format!("{name}: {text}")));
        running.push(
            serve::start(
                spec,
                session.store.clone(),
                session.drivers.clock.clone(),
                log,
            )
            .await?,
        );
        out.note(&format!("serving {at}"));
    }
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    for services in running {
        services.stop().await;
    }
    Ok(Exit::Done)
}
