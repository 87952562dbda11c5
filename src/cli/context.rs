//! What most commands start from: the configuration, the state, the key, the drivers.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::out::Out;
use super::sources::FsSources;
use super::{Exit, Failure, Global, facts, guards, key, lock, look, plan as plan_command};
use crate::apply::WallClock;
use crate::apply::lifecycle::password_secret;
use crate::config::{self, Loaded, StateBackend, VariableInput, VariableOrigin};
use crate::drivers::agent::{StoreAgent, StoreBoot};
use crate::drivers::image::facts::FileImages;
use crate::drivers::ledger::StoreLedger;
use crate::drivers::power::paced::Paced;
use crate::drivers::sim::{self, Faults, World};
use crate::drivers::{Clock, Drivers, disk, gate, power};
use crate::ids::Addr;
use crate::model::{Fleet, Node, Observed, PowerConfig, PowerSeen, Recorded, Resource, Site};
use crate::plan::{self, Bmc, Intent, Plan, PlanInput, Selection, planfile};
use crate::secret::{Key32, Secret};
use crate::store::{HighWater, Lease, Sealer, Store, Workspace};

/// Arguments of every command that evaluates the configuration.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ConfigArgs {
    /// Set a variable: NAME=VALUE (may be given again)
    #[arg(long = "var", value_name = "NAME=VALUE")]
    vars: Vec<String>,
    /// Read variables from FILE (may be given again)
    #[arg(long = "var-file", value_name = "FILE")]
    var_files: Vec<PathBuf>,
}

/// Arguments of every command that plans.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Whether to look at the machines first; --refresh=false does not
    #[arg(long = "refresh", value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, hide_default_value = true)]
    pub refresh: bool,
    #[command(flatten)]
    pub select: super::select::SelectArgs,
    #[command(flatten)]
    pub guards: guards::GuardArgs,
    /// Simulate: no machine is touched, state is kept apart under .bmctl/sim. As it is, or with a seed and faults: seed=7,loss=0.05.
    /// Commands that only look at that state, such as `runs --sim`, take no faults
    #[arg(long, value_name = "FAULTS", num_args = 0..=1, default_missing_value = "")]
    pub sim: Option<Faults>,
}

/// The configuration, evaluated without mistakes.
pub struct Configured {
    pub loaded: Loaded,
    pub root: PathBuf,
    pub key: Key32,
}

impl Configured {
    pub fn fleet(&self) -> &Fleet {
        &self.loaded.fleet
    }
}

/// Prefix of variables given by the environment.
const VARIABLE_PREFIX: &str = "BMCTL_VAR_";

/// The directory of the root module.
pub fn root(global: &Global) -> Result<PathBuf, Failure> {
    let named = global.dir.display();
    let root = std::fs::canonicalize(&global.dir)
        .map_err(|e| Failure::new(Exit::Error, format!("{named}: {e}")))?;
    match root.is_dir() {
        true => Ok(root),
        false => {
            let text =
                format!("{named}: expected the directory of the configuration, found a file");
            Err(Failure::new(Exit::Usage, text))
        }
    }
}

/// Reads and evaluates the configuration; its mistakes are shown here.
pub fn configure(global: &Global, args: &ConfigArgs, out: &Out) -> Result<Configured, Failure> {
    let root = root(global)?;
    let key = key::sealing_key()?;
    let sources = FsSources {
        root: root.clone(),
        key: key.clone(),
    };
    let loaded = config::load(".", &variables(args)?, &sources);
    out.diagnostics(&loaded.diagnostics, &loaded.sources);
    if loaded.diagnostics.has_errors() {
        return Err(Failure::told(Exit::Error));
    }
    Ok(Configured { loaded, root, key })
}

/// From the environment first, then files and flags; a later one wins.
pub fn variables(args: &ConfigArgs) -> Result<Vec<VariableInput>, Failure> {
    let mut out = Vec::new();
    let mut from_env: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter_map(|(name, value)| Some((name.strip_prefix(VARIABLE_PREFIX)?.to_owned(), value)))
        .collect();
    from_env.sort();
    for (name, text) in from_env {
        out.push(VariableInput {
            name,
            text,
            origin: VariableOrigin::Env,
        });
    }
    for path in &args.var_files {
        let text = std::fs::read_to_string(path)
            .map_err(|e| Failure::new(Exit::Error, format!("{}: {e}", path.display())))?;
        let origin = VariableOrigin::File {
            path: path.display().to_string(),
        };
        out.push(VariableInput {
            name: String::new(),
            text,
            origin,
        });
    }
    for pair in &args.vars {
        let (name, text) = pair.split_once('=').ok_or_else(|| {
            Failure::new(Exit::Usage, "--var: expected NAME=VALUE; `=` is missing")
        })?;
        out.push(VariableInput {
            name: name.to_owned(),
            text: text.to_owned(),
            origin: VariableOrigin::Flag,
        });
    }
    Ok(out)
}

/// State and everything that hangs on it.
pub struct Session {
    pub configured: Configured,
    pub store: Store,
    pub state_dir: PathBuf,
    pub drivers: Drivers,
    pub world: Option<Arc<World>>,
    pub selection: Selection,
    /// Whether it holds the right to apply: no other run goes on then.
    pub alone: bool,
}

/// The directory of the state, or of what goes with a state that is elsewhere; a simulation has its own.
pub fn state_dir(root: &Path, backend: &StateBackend, simulated: bool) -> PathBuf {
    match backend {
        _ if simulated => root.join(".bmctl/sim"),
        StateBackend::Sqlite { path: None } | StateBackend::Postgres { .. } => root.join(".bmctl"),
        StateBackend::Sqlite { path: Some(path) } => root.join(path),
    }
}

pub async fn open_store(
    root: &Path,
    backend: &StateBackend,
    key: &Key32,
    simulated: bool,
) -> Result<(Store, PathBuf), Failure> {
    let dir = state_dir(root, backend, simulated);
    let sealer = Sealer::new(key.clone());
    let store = match backend {
        StateBackend::Postgres { url, workspace }
            if !simulated || simulated_where_configured()? =>
        {
            make_private(&dir)?;
            let workspace = match simulated {
                true => Workspace::Simulated(workspace.clone()),
                false => Workspace::Real(workspace.clone()),
            };
            Store::connect(url, &workspace, sealer).await?
        }
        StateBackend::Postgres { .. } | StateBackend::Sqlite { .. } => {
            Store::open(&dir, sealer).await?
        }
    };
    if simulated {
        return Ok((store, dir));
    }
    Ok((store.remembering(HighWater::of(root)), dir))
}

/// Where `--sim` keeps its state, for those who rehearse with the server that they will run on.
const SIM_STATE: &str = "BMCTL_SIM_STATE";

/// A simulation needs no server, unless somebody asks for it: then it has a schema of its own beside the real one.
fn simulated_where_configured() -> Result<bool, Failure> {
    match std::env::var(SIM_STATE) {
        Err(_) => Ok(false),
        Ok(word) if word == "configured" => Ok(true),
        Ok(word) => Err(Failure::new(
            Exit::Usage,
            format!("{SIM_STATE}: expected `configured`, or that it is not set, found `{word}`"),
        )),
    }
}

fn make_private(dir: &Path) -> Result<(), Failure> {
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir);
    made.map_err(|e| Failure::new(Exit::Error, format!("{}: {e}", dir.display())))
}

impl Session {
    pub async fn open(configured: Configured, args: &PlanArgs) -> Result<Session, Failure> {
        let selection = args.select.selection()?;
        guards::are_declared(&args.guards, &configured.loaded)?;
        let faults = args.sim.as_ref();
        let backend = &configured.loaded.settings.state;
        let (store, state_dir) =
            open_store(&configured.root, backend, &configured.key, faults.is_some()).await?;
        let mut session = Session::with(configured, store, state_dir, faults, selection).await?;
        session.pace();
        Ok(session)
    }

    /// One exchange with a BMC at a time, and a rest between two; the simulated ones are paced already.
    fn pace(&mut self) {
        if self.world.is_none() {
            let (power, clock) = (self.drivers.power.clone(), self.drivers.clock.clone());
            self.drivers.power = Arc::new(Paced::over(power, clock));
        }
    }

    /// With the right to apply: every write of the session is refused once another has it.
    pub async fn open_alone(
        configured: Configured,
        args: &PlanArgs,
        wait: Duration,
        out: &Out,
    ) -> Result<(Session, Lease), Failure> {
        let selection = args.select.selection()?;
        guards::are_declared(&args.guards, &configured.loaded)?;
        let faults = args.sim.as_ref();
        let backend = &configured.loaded.settings.state;
        let (store, state_dir) =
            open_store(&configured.root, backend, &configured.key, faults.is_some()).await?;
        let lease = lock::acquire(&store, &configured.root, wait, out).await?;
        let store = store.fenced(&lease).patient(lock::teller(*out));
        let mut session = Session::with(configured, store, state_dir, faults, selection).await?;
        session.alone = true;
        if session.world.is_none() {
            session.drivers.power = Arc::new(power::fenced::Fenced {
                inner: session.drivers.power.clone(),
                is_sure: lease.asker(),
            });
        }
        // Outermost: the lease is looked at after the rest, directly before a command is sent.
        session.pace();
        Ok((session, lease))
    }

    async fn with(
        configured: Configured,
        store: Store,
        state_dir: PathBuf,
        faults: Option<&Faults>,
        selection: Selection,
    ) -> Result<Session, Failure> {
        store.check_key().await?;
        let (drivers, world) = match faults {
            Some(faults) => {
                let world = World::open(faults.clone(), &state_dir.join("metal"))?;
                (sim::drivers(&world), Some(world))
            }
            None => (real_drivers(&store, &configured.root).await?, None),
        };
        Ok(Session {
            configured,
            store,
            state_dir,
            drivers,
            world,
            selection,
            alone: false,
        })
    }

    /// Looks, then plans. What would be touched is found by planning once without having looked.
    pub async fn plan(&self, intent: Intent, refresh: bool, out: &Out) -> Result<Plan, Failure> {
        let recorded = self.store.recorded().await?;
        if let Some(other) = self.store.left_elsewhere().await? {
            out.warning(&format!(
                "{} is new and empty; this configuration has had its state in {other}: `bmctl init --migrate-state` carries it over, \
                 if it is the same fleet",
                self.store.place()
            ));
        }
        let fleet = self.configured.fleet();
        let facts = match intent {
            Intent::Apply => facts::gather(&self.configured.root, &self.state_dir, fleet)?,
            Intent::Destroy | Intent::Refresh => BTreeMap::new(),
        };
        let wanted = PlanInput {
            fleet,
            recorded: &recorded,
            observed: &Observed::default(),
            facts: &facts,
            intent,
            selection: &self.selection,
        };
        self.plan_for(&wanted, refresh, out).await
    }

    /// The same for a fleet that is not the configuration's. What `wanted` says of the metal is looked at here.
    pub async fn plan_for(
        &self,
        wanted: &PlanInput<'_>,
        refresh: bool,
        out: &Out,
    ) -> Result<Plan, Failure> {
        let recorded = wanted.recorded;
        let blind = self.draft(wanted, out)?;
        let mut observed = match refresh && self.world.is_none() {
            true => self.look(recorded, &blind).await?,
            false => Observed::default(),
        };
        if !self.alone {
            observed.busy = look::busy(&self.store).await?;
        }
        let mut plan = match observed == Observed::default() {
            true => blind,
            false => {
                let seen = PlanInput {
                    observed: &observed,
                    ..*wanted
                };
                self.draft(&seen, out)?
            }
        };
        guards::judge(self, &mut plan, recorded, &observed, out);
        // Each walks through all of it.
        let (id, sound) = std::thread::scope(|scope| {
            let sound = scope.spawn(|| plan_command::check(&plan));
            (planfile::id_of(&plan), plan_command::joined(sound))
        });
        sound?;
        plan.id = id;
        Ok(plan)
    }

    /// What the policies say of a plan from a file, whose own findings may be of another day.
    pub async fn judge(&self, plan: &mut Plan, out: &Out) -> Result<(), Failure> {
        let recorded = self.store.recorded().await?;
        let observed = Observed {
            power: plan.reads.power.clone(),
            ..Observed::default()
        };
        guards::judge(self, plan, &recorded, &observed, out);
        Ok(())
    }

    fn draft(&self, input: &PlanInput<'_>, out: &Out) -> Result<Plan, Failure> {
        plan::draft(input).map_err(|diagnostics| {
            out.diagnostics(&diagnostics, &self.configured.loaded.sources);
            Failure::told(Exit::Error)
        })
    }

    /// The power of nodes that carry an instance or that the plan would touch.
    async fn look(&self, recorded: &Recorded, plan: &Plan) -> Result<Observed, Failure> {
        let mut wanted: BTreeSet<&Addr> =
            plan.steps.iter().filter_map(|s| s.node.as_ref()).collect();
        for resource in recorded.resources.values() {
            if let Resource::Instance(record) = resource {
                wanted.insert(&record.node);
            }
        }
        let mut nodes = Vec::new();
        let mut unknown = BTreeMap::new();
        for addr in wanted {
            let declared = self.configured.fleet().nodes.get(addr);
            let recorded_node = match recorded.resources.get(addr) {
                Some(Resource::Node(node)) => Some(node.as_ref()),
                _ => None,
            };
            let Some(node) = declared.or(recorded_node) else {
                continue;
            };
            let password = match declared {
                Some(node) => Ok(node.power.password().text.clone()),
                None => self.store.secret(&password_secret(addr)).await,
            };
            // A guess would be a failed login, and some BMCs lock a user out after a few.
            match password {
                Ok(password) => nodes.push((bmc_of(addr, node, self.site_of(node)), password)),
                Err(error) => {
                    unknown.insert(addr.clone(), PowerSeen::Unknown(error.to_string()));
                }
            }
        }
        let mut observed = self.look_at(nodes).await;
        observed.power.extend(unknown);
        Ok(observed)
    }

    /// Power and boot device of these. Simulated machines say the first at once: nobody drives their clock outside of a run.
    pub async fn look_at(&self, nodes: Vec<(Bmc, Secret)>) -> Observed {
        let Some(world) = &self.world else {
            return look::look(self.drivers.power.clone(), nodes).await;
        };
        let seen = nodes.into_iter().map(|(bmc, _)| {
            let seen = world.power(&bmc);
            (bmc.node, seen)
        });
        Observed {
            power: seen.collect(),
            ..Observed::default()
        }
    }

    /// Of a node that has left the configuration with its site, nothing is known of how its BMC wants to be treated.
    pub fn site_of(&self, node: &Node) -> Option<&Site> {
        self.configured.fleet().sites.get(&node.site)
    }

    /// Recorded instances whose declared user data is ignored: what is sealed for them stays.
    async fn ignored_user_data(&self) -> Result<BTreeSet<Addr>, Failure> {
        let rules = &self.configured.fleet().lifecycle;
        if rules.is_empty() {
            return Ok(BTreeSet::new());
        }
        let recorded = self.store.recorded().await?;
        let ignoring = rules.iter().filter(|(addr, rules)| {
            recorded.resources.contains_key(addr) && rules.ignore_changes.covers("user_data")
        });
        Ok(ignoring.map(|(addr, _)| addr.clone()).collect())
    }

    /// Credentials and user data of the configuration go into the store, sealed, before the first step.
    pub async fn seal(&self, plan: &Plan) -> Result<(), Failure> {
        // What it deploys again is what was deployed before, with what is sealed for it.
        if plan.inverse_of.is_some() {
            return Ok(());
        }
        let fleet = self.configured.fleet();
        let mut secrets: Vec<(String, Secret)> = Vec::new();
        for (addr, node) in fleet.nodes.iter().filter(|(addr, _)| plan.is_about(addr)) {
            secrets.push((password_secret(addr), node.power.password().text.clone()));
        }
        let ignored = self.ignored_user_data().await?;
        for (addr, instance) in &fleet.instances {
            if let Some(data) = instance
                .user_data
                .as_ref()
                .filter(|_| plan.is_about(addr) && !ignored.contains(addr))
            {
                secrets.push((
                    crate::apply::lifecycle::user_data_secret(addr),
                    data.text.clone(),
                ));
            }
        }
        Ok(self.store.put_secrets(&secrets).await?)
    }
}

pub fn bmc_of(addr: &Addr, node: &Node, site: Option<&Site>) -> Bmc {
    match &node.power {
        PowerConfig::Ipmi {
            user,
            cipher_suite,
            address: _,
            port: _,
            password: _,
        } => Bmc {
            node: addr.clone(),
            endpoint: node.power.endpoint(),
            user: user.clone(),
            cipher_suite: *cipher_suite,
            interval_ms: site.map_or(0, |site| site.limits.bmc_interval_ms),
        },
    }
}

async fn real_drivers(store: &Store, root: &Path) -> Result<Drivers, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(WallClock);
    Ok(Drivers {
        power: Arc::new(power::ipmi::Ipmi::open().await?),
        agent: Arc::new(StoreAgent {
            store: store.clone(),
            clock: clock.clone(),
        }),
        boot: Arc::new(StoreBoot {
            store: store.clone(),
        }),
        disk: Arc::new(disk::iscsi::IscsiDisk {
            root: root.to_owned(),
        }),
        images: Arc::new(FileImages {
            root: root.to_owned(),
        }),
        gates: Arc::new(gate::FromHere {
            root: root.to_owned(),
        }),
        ledger: Arc::new(StoreLedger {
            store: store.clone(),
            clock: clock.clone(),
        }),
        clock,
    })
}

/// This process, as another user needs to find it.
pub fn whoami() -> String {
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    format!("process {} on {host}", std::process::id())
}
