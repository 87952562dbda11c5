//! `bmctl init`

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::context::{self, ConfigArgs};
use super::out::Out;
use super::sources::FsSources;
use super::whole::{self, Readers};
use super::{CommandResult, Exit, Failure, Global};
use crate::config::{self, GitSource, Loaded, Lock, LockedModule, SourceError, Sources, codes};
use crate::drivers::{git, image};
use crate::ids::Addr;
use crate::secret::Key32;

/// Fetch the modules that come from repositories, and lock them and the images in .bmctl.lock.hcl
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Move the state to the backend that the configuration names
    #[arg(long)]
    pub migrate_state: bool,
    /// Where the state was: a folder, or env:NAME[/WORKSPACE] for the URL of a PostgreSQL server
    #[arg(long, value_name = "WHERE", requires = "migrate_state")]
    pub from: Option<String>,
    /// Lock what references name today, and the images as they are
    #[arg(long)]
    upgrade: bool,
    /// With `readonly`, fetch what is locked, and fail when the lock file would change
    #[arg(long, value_name = "MODE", value_enum, default_value_t = LockFile::Write, hide_default_value = true)]
    lockfile: LockFile,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LockFile {
    Write,
    Readonly,
}

/// A module that is fetched may call one that has to be fetched; they are nested so deep at most.
const ROUNDS_MAX: usize = 16;

/// The git of a killed `init` may still be writing for this long.
const CLEARED_WITHIN: Duration = Duration::from_secs(10);

/// What a directory is called until all of it is there.
const FETCHING: &str = ".fetching-";

struct Init<'i> {
    root: PathBuf,
    sources: FsSources,
    args: &'i Args,
    out: &'i Out,
    /// The file as it was found.
    before: Lock,
    lock: Lock,
    /// Held from the first fetch to the end: two of us would move directories under each other.
    alone: Option<File>,
}

pub fn run(global: &Global, args: &Args, out: &Out) -> CommandResult {
    let root = context::root(global)?;
    let mut init = Init {
        sources: FsSources {
            root: root.clone(),
            key: Key32::new([0; 32]),
        },
        root,
        args,
        out,
        before: Lock::default(),
        lock: Lock::default(),
        alone: None,
    };
    let loaded = init.modules()?;
    let (wrong, waiting) = mistakes(&loaded);
    if wrong {
        out.diagnostics(&loaded.diagnostics, &loaded.sources);
        return Err(Failure::told(Exit::Error));
    }
    init.images(&loaded)?;
    init.lock
        .modules
        .retain(|name, _| loaded.repositories.contains(name));
    init.write()?;
    if waiting > 0 {
        out.note(&format!(
            "{waiting} variables have no value yet; images that depend on them are not locked."
        ));
    }
    let (modules, images) = (init.lock.modules.len(), init.lock.images.len());
    out.line(&format!(
        "Initialized: {modules} modules from repositories, {images} images locked."
    ));
    Ok(Exit::Done)
}

/// Whether anything but variables without a value is wrong, and how many of those there are.
fn mistakes(loaded: &Loaded) -> (bool, usize) {
    let errors: Vec<&str> = loaded
        .diagnostics
        .iter()
        .filter(|d| d.is_error())
        .map(|d| d.code)
        .collect();
    let waiting = errors
        .iter()
        .filter(|code| **code == codes::NO_VALUE)
        .count();
    (waiting < errors.len(), waiting)
}

fn clear_away(dir: &Path) -> std::io::Result<()> {
    let begun = Instant::now();
    loop {
        match std::fs::remove_dir_all(dir) {
            Err(error)
                if error.kind() == std::io::ErrorKind::DirectoryNotEmpty
                    && begun.elapsed() < CLEARED_WITHIN =>
            {
                std::thread::sleep(Duration::from_millis(20));
            }
            ended => return ended,
        }
    }
}

/// The directory with a lock file that is not written yet.
struct WithLock<'s> {
    sources: &'s FsSources,
    text: String,
}

impl Sources for WithLock<'_> {
    fn list(&self, dir: &str) -> Result<Vec<String>, SourceError> {
        let mut names = self.sources.list(dir)?;
        if matches!(dir, "" | ".") && !names.iter().any(|n| n == Lock::FILE) {
            names.push(Lock::FILE.to_owned());
        }
        Ok(names)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, SourceError> {
        if path == Lock::FILE {
            return Ok(self.text.clone().into_bytes());
        }
        self.sources.read(path)
    }

    fn env(&self, name: &str) -> Option<String> {
        self.sources.env(name)
    }

    fn tree_digest(&self, dir: &str) -> Result<String, SourceError> {
        self.sources.tree_digest(dir)
    }

    fn fingerprint(&self, secret: &str) -> String {
        self.sources.fingerprint(secret)
    }
}

impl Init<'_> {
    fn load(&self) -> Result<Loaded, Failure> {
        let sources = WithLock {
            sources: &self.sources,
            text: self.lock.to_text(),
        };
        Ok(config::load(
            ".",
            &context::variables(&self.args.config)?,
            &sources,
        ))
    }

    /// Loads, fetches what is missing, and loads again, until nothing is.
    fn modules(&mut self) -> Result<Loaded, Failure> {
        let found = config::load(".", &context::variables(&self.args.config)?, &self.sources);
        self.before = found.lock;
        self.lock = self.before.clone();
        if self.args.upgrade {
            // All of them are looked up anew; what is fetched already is not fetched again.
            self.lock.modules.clear();
        }
        let mut loaded = self.load()?;
        for _ in 0..ROUNDS_MAX {
            if loaded.missing.is_empty() {
                return Ok(loaded);
            }
            for source in &loaded.missing {
                self.fetch(source)?;
            }
            loaded = self.load()?;
        }
        Ok(loaded)
    }

    /// Waits for another `init` in this directory, and clears away what one that was killed has left.
    fn be_alone(&mut self, modules: &Path) -> std::io::Result<()> {
        if self.alone.is_some() {
            return Ok(());
        }
        std::fs::create_dir_all(modules)?;
        let file = File::create(modules.join(".lock"))?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)?;
        for entry in std::fs::read_dir(modules)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(FETCHING) {
                clear_away(&entry.path())?;
            }
        }
        self.alone = Some(file);
        Ok(())
    }

    fn fetch(&mut self, source: &GitSource) -> Result<(), Failure> {
        let modules = self.root.join(".bmctl/modules");
        let trouble = |path: &Path, e: std::io::Error| {
            Failure::new(Exit::Error, format!("{}: {e}", path.display()))
        };
        self.be_alone(&modules).map_err(|e| trouble(&modules, e))?;
        let repository = source.repository();
        let locked = self.lock.modules.get(&repository).cloned();
        if let Some(locked) = &locked
            && self
                .sources
                .tree_digest(&locked.checkout())
                .is_ok_and(|d| d == locked.digest)
        {
            return Ok(());
        }
        let fresh = tempfile::Builder::new()
            .prefix(FETCHING)
            .tempdir_in(&modules)
            .map_err(|e| trouble(&modules, e))?;
        self.out.note(&format!("Fetching {repository} ..."));
        let commit = git::fetch(
            source,
            locked.as_ref().map(|l| l.commit.as_str()),
            fresh.path(),
        )?;
        let name = fresh
            .path()
            .strip_prefix(&self.root)
            .unwrap_or(fresh.path());
        let digest = self
            .sources
            .tree_digest(&name.to_string_lossy())
            .map_err(|e| Failure::new(Exit::Error, e.to_string()))?;
        let found = LockedModule { commit, digest };
        if let Some(locked) = locked.filter(|l| *l != found) {
            let text = format!(
                "{repository}: commit {} has the digest {}, {} says {}; somebody has rewritten one of them",
                found.commit,
                found.digest,
                Lock::FILE,
                locked.digest
            );
            return Err(Failure::new(Exit::Error, text));
        }
        let place = self.root.join(found.checkout());
        if place.exists() {
            std::fs::remove_dir_all(&place).map_err(|e| trouble(&place, e))?;
        }
        std::fs::rename(fresh.path(), &place).map_err(|e| trouble(&place, e))?;
        self.lock.modules.insert(repository, found);
        Ok(())
    }

    /// Every image that does not declare a digest gets the one its file has.
    fn images(&mut self, loaded: &Loaded) -> Result<(), Failure> {
        let declared = |addr: &Addr| {
            loaded
                .fleet
                .origins
                .get(addr)
                .is_some_and(|o| o.attributes.contains_key("sha256"))
        };
        let present: BTreeSet<_> = loaded
            .fleet
            .images
            .keys()
            .filter(|a| !declared(a))
            .collect();
        self.lock.images.retain(|addr, _| present.contains(addr));
        for (addr, image) in &loaded.fleet.images {
            if declared(addr) {
                continue;
            }
            let path = self.root.join(&image.source);
            if !path.exists() {
                self.out.note(&format!(
                    "{addr}: {} is not there, so it is not locked.",
                    image.source
                ));
                continue;
            }
            let (digest, _) = image::facts::digest(&path, &|_, _, _| {})?;
            match self.lock.images.get(addr) {
                Some(locked) if *locked != digest && !self.args.upgrade => {
                    let text = format!(
                        "{addr}: {} is not the file that was locked: expected sha256 {locked}, found {digest}; bring it back, or accept it with `bmctl init --upgrade`",
                        image.source
                    );
                    return Err(Failure::new(Exit::Error, text));
                }
                _ => {
                    self.lock.images.insert(addr.clone(), digest);
                }
            }
        }
        Ok(())
    }

    fn write(&self) -> Result<(), Failure> {
        if self.lock == self.before {
            return Ok(());
        }
        if self.args.lockfile == LockFile::Readonly {
            let text = format!(
                "{} would change, and is read only (--lockfile readonly); run `bmctl init` and commit it",
                Lock::FILE
            );
            return Err(Failure::new(Exit::Error, text));
        }
        let path = self.root.join(Lock::FILE);
        // Readable for everyone, as the configuration is: it holds nothing secret.
        whole::write(&path, Readers::Everyone, self.lock.to_text().as_bytes())
            .map_err(|e| Failure::new(Exit::Error, format!("{}: {e}", path.display())))
    }
}
