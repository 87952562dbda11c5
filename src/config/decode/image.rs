//! `image`

use super::Reader;
use crate::config::codes;
use crate::diag::Diagnostic;
use crate::model::{Arch, Firmware, Image, ImageType};

const TO_COME: [&str; 3] = ["kickstart", "nfsroot", "ramdisk"];

pub fn read(r: &mut Reader<'_>) -> Option<Image> {
    let kind = kind(r);
    let source = r.required_path("source");
    let sha256 = r.optional("sha256");
    let format = r.optional("format");
    let kernel = r.optional_path("kernel");
    let initrd = r.optional_path("initrd");
    let kernel_args = r.or("kernel_args", String::new());
    let arch = r.or("arch", Arch::X86_64);
    let firmware = r.or("firmware", vec![Firmware::Bios, Firmware::Uefi]);
    let min_disk_gb = r.or("min_disk_gb", 0);
    Some(Image {
        kind: kind?,
        source: source?,
        sha256,
        format,
        kernel,
        initrd,
        kernel_args,
        arch,
        firmware,
        min_disk_gb,
    })
}

fn kind(r: &mut Reader<'_>) -> Option<ImageType> {
    if let Some(word) = r.peek_text("type")
        && TO_COME.contains(&word.as_str())
    {
        r.known(&["type"], &[]);
        let place = r.place("type");
        r.fail(
            Diagnostic::error(
                codes::NOT_BUILT,
                format!("images of type {word} are not built yet"),
            )
            .at(place, "this type")
            .help("partition and disk are"),
        );
        return None;
    }
    r.required("type")
}
