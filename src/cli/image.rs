//! `bmctl image`

use std::path::PathBuf;

use super::out::Out;
use super::{CommandResult, Exit, Global};
use crate::drivers::image::facts;
use crate::model::{Arch, Image, ImageType};
use crate::units::human_bytes;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show what a plan would read from an image: digest, format, size, file system or partition table
    Inspect {
        file: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub fn run(global: &Global, args: Args, out: &Out) -> CommandResult {
    let Command::Inspect { file, json } = args.command;
    let look = |kind| {
        let image = Image {
            kind,
            source: file.display().to_string(),
            sha256: None,
            format: None,
            kernel: None,
            initrd: None,
            kernel_args: String::new(),
            arch: Arch::X86_64,
            firmware: Vec::new(),
            min_disk_gb: 0,
        };
        facts::read(&global.dir, &image)
    };
    let whole = look(ImageType::Disk)?;
    let (kind, found) = match whole.table {
        Some(_) => (ImageType::Disk, whole),
        None => (ImageType::Partition, look(ImageType::Partition)?),
    };
    if json {
        let mut value = serde_json::to_value(&found)?;
        if let Some(fields) = value.as_object_mut() {
            fields.insert("type".to_owned(), kind.as_str().into());
        }
        out.line(&serde_json::to_string_pretty(&value)?);
        return Ok(Exit::Done);
    }
    out.line(&format!("type         = {:?}", kind.as_str()));
    out.line(&format!("sha256       = \"{}\"", found.sha256));
    out.line(&format!(
        "format       = {:?}",
        format!("{:?}", found.format).to_lowercase()
    ));
    out.line(&format!("file size    : {}", human_bytes(found.file_size)));
    out.line(&format!(
        "virtual size : {}",
        human_bytes(found.virtual_size)
    ));
    if let Some(uuid) = &found.fs_uuid {
        out.line(&format!("file system  : UUID {uuid}"));
    }
    if let Some(table) = found.table {
        out.line(&format!("table        : {table}"));
    }
    Ok(Exit::Done)
}
