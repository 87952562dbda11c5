//! The state, for commands that look at it, mend it or speak to a run: the rest of the configuration, and the values that it wants,
//! are none of their business.

use std::path::PathBuf;

use super::context::{self, ConfigArgs};
use super::out::Out;
use super::sources::FsSources;
use super::{Exit, Failure, Global, key};
use crate::config::{self, StateBackend};
use crate::secret::Key32;
use crate::store::Store;

/// Where the state is, and what it takes to open it.
pub struct Located {
    pub root: PathBuf,
    pub backend: StateBackend,
    pub key: Key32,
}

/// Reads the settings of the configuration; what keeps them from being read is shown here.
pub fn locate(global: &Global, args: &ConfigArgs, out: &Out) -> Result<Located, Failure> {
    let root = context::root(global)?;
    let key = key::sealing_key()?;
    let sources = FsSources {
        root: root.clone(),
        key: key.clone(),
    };
    let located = config::locate(".", &context::variables(args)?, &sources);
    out.diagnostics(&located.diagnostics, &located.sources);
    if located.diagnostics.has_errors() {
        return Err(Failure::told(Exit::Error));
    }
    // A state may outlive its configuration; where there is neither, "nothing is recorded" would be said of the wrong directory.
    let has_any = located.sources.files().next().is_some() || root.join(".bmctl").is_dir();
    if !has_any {
        let text = format!(
            "{}: there is neither a configuration nor a state here; go to the directory that holds them, or name it with -C DIR",
            root.display()
        );
        return Err(Failure::new(Exit::Error, text));
    }
    Ok(Located {
        root,
        backend: located.state,
        key,
    })
}

impl Located {
    /// The state, or the simulated one beside it; and the directory of what goes with it.
    pub async fn open(&self, simulated: bool) -> Result<(Store, PathBuf), Failure> {
        context::open_store(&self.root, &self.backend, &self.key, simulated).await
    }
}

/// Both at once.
pub async fn open(
    global: &Global,
    args: &ConfigArgs,
    simulated: bool,
    out: &Out,
) -> Result<Store, Failure> {
    let located = locate(global, args, out)?;
    Ok(located.open(simulated).await?.0)
}
