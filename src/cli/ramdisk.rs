//! `bmctl ramdisk`

use std::path::PathBuf;

use super::out::Out;
use super::{CommandResult, Exit, Failure, Global};
use crate::drivers::image::kernel::KernelSource;
use crate::drivers::image::{Event, ramdisk};
use crate::units::human_bytes;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Build kernel and ramdisk from Debian's busybox, tgt and kernel, without root, the same bytes every time
    Build(BuildArgs),
}

#[derive(Debug, clap::Args)]
struct BuildArgs {
    /// The directory that receives vmlinuz, initrd and manifest.json
    #[arg(long, value_name = "DIR", default_value = ".bmctl/ramdisk")]
    out: PathBuf,
    /// Debian's package of the kernel; linux-image-amd64 drives real hardware, the cloud kernel virtual machines
    #[arg(
        long,
        value_name = "PACKAGE",
        default_value = "linux-image-cloud-amd64"
    )]
    kernel: String,
    /// A kernel package as a file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kernel", "kernel_dir"])]
    kernel_deb: Option<PathBuf>,
    /// An unpacked kernel package
    #[arg(long, value_name = "DIR", conflicts_with = "kernel")]
    kernel_dir: Option<PathBuf>,
}

pub fn run(global: &Global, args: Args, out: &Out) -> CommandResult {
    let Command::Build(args) = args.command;
    let mut spec = ramdisk::RamdiskSpec::new(global.dir.join(&args.out), cache_dir()?);
    spec.kernel = match (args.kernel_deb, args.kernel_dir) {
        (Some(file), _) => KernelSource::Deb(file),
        (None, Some(dir)) => KernelSource::Dir(dir),
        (None, None) => KernelSource::Package(args.kernel),
    };
    let built = ramdisk::build(&spec, &mut |event| out.note(&describe(&event)))?;
    for (name, facts) in &built.manifest.files {
        out.line(&format!(
            "{}  {}",
            facts.sha256,
            spec.out.join(name).display()
        ));
    }
    Ok(Exit::Done)
}

pub fn describe(event: &Event) -> String {
    match event {
        Event::Fetching { package } => format!("fetching {package}"),
        Event::Unpacking { package } => format!("unpacking {}", package.display()),
        Event::Modules { release, count } => format!("kernel {release}: {count} modules"),
        Event::Wrote { path, size } => format!("wrote {} ({})", path.display(), human_bytes(*size)),
    }
}

/// Kernel packages are large and shared between configurations.
pub fn cache_dir() -> Result<PathBuf, Failure> {
    std::env::var_os("XDG_CACHE_HOME")
        .filter(|v| !v.is_empty())
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .map(|base| base.join("bmctl"))
        .ok_or_else(|| {
            Failure::new(
                Exit::Error,
                "no place for a cache: set HOME or XDG_CACHE_HOME",
            )
        })
}
