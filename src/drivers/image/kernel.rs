//! A kernel and its drivers, taken from a Debian package that is unpacked but never installed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Event, Report};
use crate::drivers::child;

/// The package whose dependency names the newest kernel for virtual machines: virtio only, about 26 MB.
pub const CLOUD_PACKAGE: &str = "linux-image-cloud-amd64";
/// Packages depend on each other at most this deep: a metapackage, sometimes over a signed template.
const METAPACKAGE_DEPTH_MAX: usize = 3;

/// Where a kernel comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelSource {
    /// A Debian package or metapackage, fetched with `apt-get download` into the cache unless it is there.
    Package(String),
    /// A package file.
    Deb(PathBuf),
    /// A directory that holds `boot/vmlinuz-RELEASE` and `lib/modules/RELEASE`, as an unpacked package does.
    Dir(PathBuf),
}

impl Default for KernelSource {
    fn default() -> Self {
        Self::Package(CLOUD_PACKAGE.to_owned())
    }
}

/// A kernel on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// `uname -r` of it.
    pub release: String,
    /// Name and version of the package, or the directory it was taken from.
    pub origin: String,
    pub image: PathBuf,
    modules: PathBuf,
    /// Driver name (with `_`) to path below `modules`.
    files: BTreeMap<String, PathBuf>,
}

/// One driver to load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    pub name: String,
    /// Below `lib/modules/RELEASE`.
    pub path: PathBuf,
    pub data: Vec<u8>,
}

#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    #[error("{operation}: {} failed: {said}{hint}", program)]
    Program {
        operation: String,
        program: &'static str,
        said: String,
        hint: &'static str,
    },
    #[error("{operation}: {}", path.display())]
    Io {
        operation: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(
        "package {package}: expected it to be a kernel or to depend on one, found neither; name a linux-image package"
    )]
    NoKernelPackage { package: String },
    #[error("kernel in {}: expected exactly one {expected}, found {found:?}; give a package's own directory", dir.display())]
    Layout {
        dir: PathBuf,
        expected: &'static str,
        found: Vec<String>,
    },
    #[error("driver {}: expected an uncompressed .ko file; this kernel's package compresses its modules, choose another", path.display())]
    Compressed { path: PathBuf },
    #[error(
        "driver {needed_by} depends on {name}, which the kernel {release} has neither as a module nor built in"
    )]
    Dependency {
        name: String,
        needed_by: String,
        release: String,
    },
}

impl Kernel {
    /// Finds, fetches and unpacks as needed. Everything it writes is below `cache`; root is not needed.
    pub fn obtain(
        source: &KernelSource,
        cache: &Path,
        report: Report<'_>,
    ) -> Result<Self, KernelError> {
        match source {
            KernelSource::Package(package) => {
                let deb = download(package, cache, report)?;
                Self::from_deb(&deb, cache, report)
            }
            KernelSource::Deb(deb) => Self::from_deb(deb, cache, report),
            KernelSource::Dir(dir) => Self::from_dir(dir, dir.display().to_string()),
        }
    }

    fn from_deb(deb: &Path, cache: &Path, report: Report<'_>) -> Result<Self, KernelError> {
        let fields = run("read the kernel package", "dpkg-deb", |c| {
            c.args(["--show", "--showformat", "${Package}_${Version}"])
                .arg(deb)
        })?;
        let origin = fields.trim().to_owned();
        // A package's version has a colon when it has an epoch; some file systems refuse that.
        let unpacked = cache.join(origin.replace([':', '/'], "_"));
        if !unpacked.is_dir() {
            report(Event::Unpacking {
                package: deb.to_owned(),
            });
            create_dir(cache)?;
            let partial = tempfile::Builder::new()
                .prefix(".unpacking-")
                .tempdir_in(cache)
                .map_err(|source| KernelError::Io {
                    operation: "make a directory in",
                    path: cache.to_owned(),
                    source,
                })?;
            run("unpack the kernel package", "dpkg-deb", |c| {
                c.arg("--extract").arg(deb).arg(partial.path())
            })?;
            match fs::rename(partial.path(), &unpacked) {
                // Someone else unpacked the same package meanwhile.
                Err(_) if unpacked.is_dir() => {}
                other => other.map_err(|source| KernelError::Io {
                    operation: "rename to",
                    path: unpacked.clone(),
                    source,
                })?,
            }
        }
        Self::from_dir(&unpacked, origin)
    }

    fn from_dir(dir: &Path, origin: String) -> Result<Self, KernelError> {
        // Debian 13 and later keep /lib in /usr.
        let modules_home = ["lib/modules", "usr/lib/modules"].map(|d| dir.join(d));
        let modules_home = modules_home
            .iter()
            .find(|d| d.is_dir())
            .unwrap_or(&modules_home[0]);
        let release = only_entry(modules_home, "", "directory in lib/modules")?;
        let boot = dir.join("boot");
        let image = boot.join(format!("vmlinuz-{release}"));
        if !image.is_file() {
            return Err(KernelError::Layout {
                dir: boot,
                expected: "boot/vmlinuz-RELEASE",
                found: vec![release],
            });
        }
        let modules = modules_home.join(&release);
        let mut files = BTreeMap::new();
        collect(&modules, &modules.join("kernel"), &mut files)?;
        Ok(Self {
            release,
            origin,
            image,
            modules,
            files,
        })
    }

    /// The drivers named in `wanted` and what they depend on, in an order in which each can be loaded. Names this
    /// kernel does not have as a module are left out: it has them built in, or not at all.
    pub fn modules(&self, wanted: &[&str]) -> Result<Vec<Module>, KernelError> {
        let builtin = self.builtin()?;
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        for name in wanted.iter().map(|n| canonical(n)) {
            if self.files.contains_key(&name) {
                self.visit(&name, &name, &builtin, &mut seen, &mut order)?;
            }
        }
        Ok(order)
    }

    fn visit(
        &self,
        name: &str,
        needed_by: &str,
        builtin: &BTreeSet<String>,
        seen: &mut BTreeSet<String>,
        order: &mut Vec<Module>,
    ) -> Result<(), KernelError> {
        if builtin.contains(name) || !seen.insert(name.to_owned()) {
            return Ok(());
        }
        let Some(path) = self.files.get(name) else {
            let (name, needed_by) = (name.to_owned(), needed_by.to_owned());
            return Err(KernelError::Dependency {
                name,
                needed_by,
                release: self.release.clone(),
            });
        };
        if path.extension().is_none_or(|e| e != "ko") {
            return Err(KernelError::Compressed { path: path.clone() });
        }
        let full = self.modules.join(path);
        let data = fs::read(&full).map_err(|source| KernelError::Io {
            operation: "read driver",
            path: full,
            source,
        })?;
        for dependency in depends(&data) {
            self.visit(&dependency, name, builtin, seen, order)?;
        }
        order.push(Module {
            name: name.to_owned(),
            path: path.clone(),
            data,
        });
        Ok(())
    }

    fn builtin(&self) -> Result<BTreeSet<String>, KernelError> {
        let path = self.modules.join("modules.builtin");
        let text = fs::read_to_string(&path).map_err(|source| KernelError::Io {
            operation: "read the list of built-in drivers",
            path,
            source,
        })?;
        Ok(text
            .lines()
            .filter_map(|line| module_name(Path::new(line)))
            .collect())
    }
}

/// Modules call themselves by name with `_` whatever their file is called.
fn canonical(name: &str) -> String {
    name.replace('-', "_")
}

/// `virtio_rng` for `kernel/drivers/char/hw_random/virtio-rng.ko.xz`; nothing for other files.
fn module_name(path: &Path) -> Option<String> {
    let file = path.file_name()?.to_str()?;
    let (name, suffix) = file.split_once(".ko")?;
    (suffix.is_empty() || suffix.starts_with('.')).then(|| canonical(name))
}

/// What a module's own `.modinfo` section says it depends on: `depends=virtio_ring,virtio`. A package has no
/// modules.dep; depmod makes that when it is installed.
fn depends(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|w| w == KEY) else {
        return Vec::new();
    };
    let value = &module[at + KEY.len()..];
    let value = value.split(|&b| b == 0).next().unwrap_or_default();
    let text = String::from_utf8_lossy(value);
    text.split(',')
        .filter(|n| !n.is_empty())
        .map(canonical)
        .collect()
}

fn collect(
    modules: &Path,
    dir: &Path,
    files: &mut BTreeMap<String, PathBuf>,
) -> Result<(), KernelError> {
    let failed = |source| KernelError::Io {
        operation: "list the drivers in",
        path: dir.to_owned(),
        source,
    };
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        if entry.file_type().map_err(failed)?.is_dir() {
            collect(modules, &path, files)?;
        } else if let (Some(name), Ok(below)) = (module_name(&path), path.strip_prefix(modules)) {
            files.insert(name, below.to_owned());
        }
    }
    Ok(())
}

/// The deb of `package`, from the cache or from the archives apt is set up for.
fn download(package: &str, cache: &Path, report: Report<'_>) -> Result<PathBuf, KernelError> {
    let package = resolve(package)?;
    create_dir(cache)?;
    if let Some(deb) = cached(&package, cache)? {
        return Ok(deb);
    }
    report(Event::Fetching {
        package: package.clone(),
    });
    run(&format!("fetch {package}"), "apt-get", |c| {
        c.args(["download", "--quiet", &package]).current_dir(cache)
    })?;
    cached(&package, cache)?.ok_or(KernelError::NoKernelPackage { package })
}

fn cached(package: &str, cache: &Path) -> Result<Option<PathBuf>, KernelError> {
    let prefix = format!("{package}_");
    let names = entries(cache)?;
    let deb = names
        .iter()
        .rfind(|n| n.starts_with(&prefix) && n.ends_with(".deb"));
    Ok(deb.map(|name| cache.join(name)))
}

/// Follows a metapackage to the package that holds a kernel, by name: `linux-image-6.1.0-56-cloud-amd64`.
fn resolve(package: &str) -> Result<String, KernelError> {
    let mut package = package.to_owned();
    for _ in 0..METAPACKAGE_DEPTH_MAX {
        let version = package.strip_prefix("linux-image-").unwrap_or_default();
        if version.starts_with(|c: char| c.is_ascii_digit()) {
            return Ok(package);
        }
        let text = run(&format!("look up {package}"), "apt-cache", |c| {
            c.args(["depends", "--important", "--no-recommends", &package])
        })?;
        let next = text
            .lines()
            .filter_map(|l| l.trim().strip_prefix("Depends: "))
            .find(|d| d.starts_with("linux-image-"));
        match next {
            Some(next) => package = next.to_owned(),
            None => return Err(KernelError::NoKernelPackage { package }),
        }
    }
    Err(KernelError::NoKernelPackage { package })
}

fn create_dir(dir: &Path) -> Result<(), KernelError> {
    fs::create_dir_all(dir).map_err(|source| KernelError::Io {
        operation: "make directory",
        path: dir.to_owned(),
        source,
    })
}

/// Sorted names of what a directory holds.
fn entries(dir: &Path) -> Result<Vec<String>, KernelError> {
    let failed = |source| KernelError::Io {
        operation: "list",
        path: dir.to_owned(),
        source,
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        names.push(
            entry
                .map_err(failed)?
                .file_name()
                .to_string_lossy()
                .into_owned(),
        );
    }
    names.sort();
    Ok(names)
}

fn only_entry(dir: &Path, prefix: &str, expected: &'static str) -> Result<String, KernelError> {
    let mut found = entries(dir)?;
    found.retain(|name| name.starts_with(prefix));
    match found.as_slice() {
        [one] => Ok(one.clone()),
        _ => Err(KernelError::Layout {
            dir: dir.to_owned(),
            expected,
            found,
        }),
    }
}

fn run(
    operation: &str,
    program: &'static str,
    arguments: impl FnOnce(&mut Command) -> &mut Command,
) -> Result<String, KernelError> {
    let mut command = child::fetching(program);
    command.env("LC_ALL", "C");
    let failed = |said: String, hint| KernelError::Program {
        operation: operation.to_owned(),
        program,
        said,
        hint,
    };
    let output = arguments(&mut command).output().map_err(|e| {
        failed(
            e.to_string(),
            "; install the Debian packages apt and dpkg, or give a kernel directory",
        )
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(failed(
        said,
        "; without a network, give a kernel package file or directory",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel directory with drivers that say what they depend on.
    fn kernel(drivers: &[(&str, &str)], builtin: &str) -> (tempfile::TempDir, Kernel) {
        let dir = tempfile::tempdir().unwrap();
        let modules = dir.path().join("lib/modules/6.1.0-1");
        fs::create_dir_all(modules.join("kernel/drivers")).unwrap();
        fs::create_dir_all(dir.path().join("boot")).unwrap();
        fs::write(dir.path().join("boot/vmlinuz-6.1.0-1"), "kernel").unwrap();
        fs::write(modules.join("modules.builtin"), builtin).unwrap();
        for (file, depends) in drivers {
            let data = format!("\x7fELF\0license=GPL\0depends={depends}\0name=x\0");
            fs::write(modules.join("kernel/drivers").join(file), data).unwrap();
        }
        let kernel = Kernel::obtain(
            &KernelSource::Dir(dir.path().into()),
            dir.path(),
            &mut |_| {},
        )
        .unwrap();
        (dir, kernel)
    }

    fn names(modules: &[Module]) -> Vec<&str> {
        modules.iter().map(|m| m.name.as_str()).collect()
    }

    #[test]
    fn dependencies_come_first_and_once() {
        let (_dir, kernel) = kernel(
            &[
                ("virtio-net.ko", "virtio,net_failover"),
                ("net_failover.ko", ""),
                ("virtio.ko", "core"),
                ("blk.ko", "virtio"),
            ],
            "kernel/core.ko\n",
        );
        let found = kernel.modules(&["virtio_net", "blk", "absent"]).unwrap();
        assert_eq!(
            names(&found),
            ["virtio", "net_failover", "virtio_net", "blk"]
        );
    }

    #[test]
    fn a_missing_dependency_is_named() {
        let (_dir, kernel) = kernel(&[("blk.ko", "virtio")], "");
        let error = kernel.modules(&["blk"]).unwrap_err().to_string();
        assert!(error.contains("driver blk depends on virtio"), "{error}");
    }

    #[test]
    fn compressed_drivers_are_refused() {
        let (_dir, kernel) = kernel(&[("blk.ko.xz", "")], "");
        assert!(matches!(
            kernel.modules(&["blk"]),
            Err(KernelError::Compressed { .. })
        ));
    }

    #[test]
    fn an_empty_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("lib/modules")).unwrap();
        let error = Kernel::obtain(
            &KernelSource::Dir(dir.path().into()),
            dir.path(),
            &mut |_| {},
        )
        .unwrap_err();
        assert!(matches!(error, KernelError::Layout { .. }), "{error}");
    }
}
