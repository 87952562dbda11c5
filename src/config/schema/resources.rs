//! The kinds of resources.

use super::Takes::{Bool, ListOf, MapOf, Number, Reference, String, Text, Words};
use super::{
    AttributeSchema, BlockSchema, COUNT_MAX, Form, LabelSchema, NestedSchema, Takes, Times,
};
use crate::ids::Kind;

const ARCHES: Takes = Words(&["x86_64", "aarch64", "tilepro64"]);
const FIRMWARE: Takes = Words(&["bios", "uefi"]);
const PORT: Takes = Number(1, 65535);
const SIZE: Takes = Number(0, u64::MAX);
const AMOUNT: Takes = Number(0, COUNT_MAX);
const AT_LEAST_ONE: Takes = Number(1, COUNT_MAX);
const NAME: &[LabelSchema] = &[LabelSchema {
    name: "name",
    words: &[],
}];

pub(super) const fn attr(name: &'static str, takes: Takes, doc: &'static str) -> AttributeSchema {
    AttributeSchema::new(name, takes, doc)
}

pub(super) const fn nested(times: Times, block: &'static BlockSchema) -> NestedSchema {
    NestedSchema { times, block }
}

pub static BLOCKS: [&BlockSchema; 7] = [&NETWORK, &SITE, &FLAVOR, &IMAGE, &NODE, &NIC, &INSTANCE];

static NETWORK: BlockSchema = BlockSchema {
    labels: NAME,
    attributes: &[
        attr("cidr", Text(Form::Subnet), "The subnet.")
            .required()
            .example("\"10.99.0.0/24\""),
        attr(
            "gateway",
            Text(Form::Ipv4),
            "The router that instances are told.",
        )
        .example("\"10.99.0.254\""),
        attr(
            "dns",
            ListOf(&Text(Form::Ipv4)),
            "Name servers that instances are told.",
        )
        .default("[]"),
        attr("vlan", Number(1, 4094), "The VLAN's number."),
    ],
    blocks: &[nested(Times::AtMostOnce, &DHCP)],
    ..BlockSchema::new(
        "network",
        "A subnet: where nodes boot and instances have addresses.",
    )
};

static DHCP: BlockSchema = BlockSchema {
    attributes: &[
        attr("start", Text(Form::Ipv4), "The first address handed out.")
            .required()
            .example("\"10.99.0.50\""),
        attr("end", Text(Form::Ipv4), "The last address handed out.")
            .required()
            .example("\"10.99.0.150\""),
    ],
    ..BlockSchema::new("dhcp", "Addresses for machines that are not known yet.")
};

static SITE: BlockSchema = BlockSchema {
    labels: NAME,
    attributes: &[
        attr(
            "network",
            Reference(Kind::Network),
            "The network nodes boot from.",
        )
        .required(),
        attr(
            "address",
            Text(Form::Ipv4),
            "The address the site's services answer on.",
        )
        .required()
        .example("\"10.99.0.1\""),
        attr("http_port", PORT, "The port of boot scripts and images.").default("8081"),
        attr(
            "dhcp",
            Words(&["managed", "external"]),
            "Who answers DHCP: bmctl, or a server of yours.",
        )
        .default("managed"),
        attr(
            "bios_loader",
            Words(&["ipxe", "pxelinux"]),
            "What a BIOS machine is given first.",
        )
        .default("ipxe"),
        attr(
            "ramdisk",
            Text(Form::Path),
            "The folder that bmctl ramdisk build made.",
        )
        .default(".bmctl/ramdisk"),
        attr(
            "kernel_args",
            String,
            "Added to the command line of the deploy kernel.",
        )
        .default(""),
    ],
    blocks: &[nested(Times::AtMostOnce, &LIMITS)],
    ..BlockSchema::new(
        "site",
        "Where nodes boot from: DHCP, TFTP, HTTP, and how much happens at once.",
    )
};

static LIMITS: BlockSchema = BlockSchema {
    attributes: &[
        attr("parallel_writes", AT_LEAST_ONE, "Images written at once.").default("8"),
        attr("parallel_boots", AT_LEAST_ONE, "Nodes booting at once.").default("16"),
        attr(
            "ramdisk_timeout_s",
            AT_LEAST_ONE,
            "Seconds from power on to the ramdisk's call.",
        )
        .default("600"),
        attr(
            "boot_timeout_s",
            AT_LEAST_ONE,
            "Seconds from reboot to the instance's call.",
        )
        .default("600"),
        attr(
            "power_timeout_s",
            AT_LEAST_ONE,
            "Seconds for a BMC to change the power.",
        )
        .default("60"),
        attr(
            "soft_off_timeout_s",
            AT_LEAST_ONE,
            "Seconds for a system to shut itself down.",
        )
        .default("120"),
        attr(
            "write_stall_s",
            AT_LEAST_ONE,
            "Seconds without progress that end a write.",
        )
        .default("120"),
        attr(
            "bmc_interval_ms",
            Number(0, 5000),
            "Milliseconds between two exchanges with one BMC.",
        )
        .default("0"),
    ],
    blocks: &[nested(Times::Any, &PER_LABEL)],
    ..BlockSchema::new("limits", "How much may happen at once, and for how long.")
};

static PER_LABEL: BlockSchema = BlockSchema {
    labels: &[LabelSchema {
        name: "label",
        words: &[],
    }],
    attributes: &[
        attr("power_ons", AT_LEAST_ONE, "Nodes being powered on at once."),
        attr("boots", AT_LEAST_ONE, "Nodes booting at once."),
        attr("writes", AT_LEAST_ONE, "Disks written or erased at once."),
        attr("work", AT_LEAST_ONE, "Nodes being worked on at once."),
    ],
    ..BlockSchema::new(
        "per_label",
        "How much may happen at once among nodes with the same value of a label.",
    )
};

static FLAVOR: BlockSchema = BlockSchema {
    labels: NAME,
    attributes: &[
        attr("cpus", AMOUNT, "CPUs a node has at least.").required(),
        attr("memory_mb", SIZE, "Memory a node has at least, in MiB.").required(),
        attr("root_gb", SIZE, "The root partition, in GiB.").required(),
        attr(
            "ephemeral_gb",
            SIZE,
            "A second partition, in GiB; 0 is none.",
        )
        .default("0"),
        attr("swap_mb", SIZE, "Swap, in MiB; 0 is none.").default("0"),
        attr(
            "extra_specs",
            MapOf(&String),
            "What else a node must be, with nova's operators.",
        )
        .default("{}")
        .example("{ cpu_arch = \"s== x86_64\" }"),
    ],
    ..BlockSchema::new("flavor", "The size of an instance.")
};

static IMAGE: BlockSchema = BlockSchema {
    labels: NAME,
    attributes: &[
        attr(
            "type",
            Words(&["partition", "disk"]),
            "A file system, booted over the network, or a whole disk.",
        )
        .required(),
        attr(
            "source",
            Text(Form::Path),
            "The file, relative to the root module.",
        )
        .required(),
        attr(
            "sha256",
            Text(Form::Sha256),
            "The digest the file must have.",
        ),
        attr(
            "format",
            Words(&["raw", "qcow2"]),
            "Found by reading when left out.",
        ),
        attr(
            "kernel",
            Text(Form::Path),
            "The kernel of a partition image.",
        ),
        attr(
            "initrd",
            Text(Form::Path),
            "The initrd of a partition image.",
        ),
        attr("kernel_args", String, "Added to the kernel's command line.").default(""),
        attr("arch", ARCHES, "The machines it runs on.").default("x86_64"),
        attr("firmware", ListOf(&FIRMWARE), "What it can boot on.").default("[\"bios\", \"uefi\"]"),
        attr("min_disk_gb", SIZE, "The smallest root it fits, in GiB.").default("0"),
    ],
    ..BlockSchema::new("image", "What is written to a disk.")
};

static NODE: BlockSchema = BlockSchema {
    labels: NAME,
    attributes: &[
        attr("site", Reference(Kind::Site), "Where it boots from.").required(),
        attr("arch", ARCHES, "Its processors.").required(),
        attr("cpus", AMOUNT, "How many CPUs it has.").required(),
        attr("memory_mb", SIZE, "Its memory, in MiB.").required(),
        attr("local_gb", SIZE, "Its root disk, in GiB.").required(),
        attr("firmware", FIRMWARE, "How it boots.").default("bios"),
        attr("labels", MapOf(&String), "What instances choose it by.")
            .default("{}")
            .example("{ rack = \"r1\" }"),
        attr("maintenance", String, "Why nothing new is placed here."),
    ],
    blocks: &[
        nested(Times::AtMostOnce, &ROOT_DEVICE),
        nested(Times::Once, &POWER),
        nested(Times::AtMostOnce, &SERIAL_CONSOLE),
    ],
    ..BlockSchema::new("node", "A machine.")
};

static ROOT_DEVICE: BlockSchema = BlockSchema {
    attributes: &[
        attr("serial", String, "The disk's serial number: the surest."),
        attr("wwn", String, "The disk's world wide name."),
        attr("model", String, "The disk's model."),
        attr(
            "name",
            String,
            "The kernel's name; it may change between boots.",
        )
        .example("\"sda\""),
        attr("rotational", Bool, "Whether it turns."),
    ],
    ..BlockSchema::new(
        "root_device",
        "Which disk is written; all hints must hold for exactly one.",
    )
};

static POWER: BlockSchema = BlockSchema {
    labels: &[LabelSchema {
        name: "driver",
        words: &["ipmi"],
    }],
    attributes: &[
        attr("address", Text(Form::Ipv4), "The BMC's address.").required(),
        attr("port", PORT, "The BMC's UDP port.").default("623"),
        attr("user", String, "The BMC's user.").required(),
        attr(
            "password",
            String,
            "Better a variable or env() than a text.",
        )
        .required()
        .secret()
        .example("var.bmc_password"),
        attr(
            "cipher_suite",
            Number(3, 17),
            "17 or 3; 17 is tried first when left out.",
        ),
    ],
    ..BlockSchema::new("power", "How its power is controlled.")
};

static SERIAL_CONSOLE: BlockSchema = BlockSchema {
    attributes: &[attr("port", PORT, "The TCP port of the console's service.").required()],
    ..BlockSchema::new("serial_console", "Its serial console.")
};

static NIC: BlockSchema = BlockSchema {
    labels: NAME,
    attributes: &[
        attr("node", Reference(Kind::Node), "The machine it is in.").required(),
        attr(
            "network",
            Reference(Kind::Network),
            "What it is plugged into.",
        )
        .required(),
        attr("mac", Text(Form::Mac), "Its address.")
            .required()
            .example("\"52:54:00:00:00:01\""),
        attr("pxe", Bool, "Whether the machine boots from it.").default("false"),
    ],
    ..BlockSchema::new("nic", "A network interface of a node.")
};

static INSTANCE: BlockSchema = BlockSchema {
    labels: NAME,
    attributes: &[
        attr("flavor", Reference(Kind::Flavor), "Its size.").required(),
        attr("image", Reference(Kind::Image), "What is written.").required(),
        attr(
            "node",
            Reference(Kind::Node),
            "Pins it to a node; otherwise placement chooses.",
        )
        .example("node.rack[\"r1-01\"]"),
        attr("match_labels", MapOf(&String), "Labels its node must have.")
            .default("{}")
            .example("{ rack = \"r1\" }"),
        attr(
            "hostname",
            Text(Form::HostName),
            "Name and key when left out, with _ as -.",
        ),
        attr("ssh_keys", ListOf(&String), "Public keys that may log in.").default("[]"),
        attr("user_data", String, "For cloud-init.")
            .secret()
            .example("file(\"cloud.yaml\")"),
        attr("power_state", Words(&["on", "off"]), "How it is left.").default("on"),
        attr(
            "erase",
            Words(&["none", "metadata", "zero"]),
            "What happens to the disk when it goes.",
        )
        .default("none"),
        attr(
            "on_existing_data",
            Words(&["refuse", "overwrite"]),
            "When the disk holds data that is not ours.",
        )
        .default("refuse"),
        attr(
            "on_user_data_change",
            Words(&["update", "redeploy", "ignore"]),
            "Noted for the next deployment, written anew at once, or left as it was.",
        )
        .default("update"),
        attr(
            "preserve_ephemeral",
            Bool,
            "Keep the second partition when the root is written anew.",
        )
        .default("false"),
        attr(
            "wait_for_phone_home",
            Bool,
            "Done only when the system has called.",
        )
        .default("true"),
    ],
    blocks: &[
        nested(Times::Any, &ADDRESS),
        nested(Times::AtMostOnce, &DRIFT),
    ],
    ..BlockSchema::new("instance", "A system on a node.")
};

static DRIFT: BlockSchema = BlockSchema {
    attributes: &[
        attr(
            "power",
            Words(&["adopt", "correct", "alert"]),
            "When the machine is on or off against power_state.",
        )
        .default("correct"),
        attr(
            "boot_device",
            Words(&["adopt", "correct", "alert"]),
            "When the BMC would start it from something else.",
        )
        .default("alert"),
    ],
    ..BlockSchema::new(
        "drift",
        "What becomes of differences that nobody asked for.",
    )
};

static ADDRESS: BlockSchema = BlockSchema {
    attributes: &[
        attr("network", Reference(Kind::Network), "Where the address is.").required(),
        attr(
            "ip",
            Text(Form::Ipv4),
            "Allocated, and then kept, when left out.",
        ),
    ],
    ..BlockSchema::new("address", "An address of the instance.")
};
