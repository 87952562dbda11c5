//! The recipes: which steps a change is made of, in order (design §4).

use std::collections::BTreeMap;

use super::chain::Chain;
pub use super::chain::{Builder, LOCAL_LIMIT_S, Place, READ_LIMIT_S};
use super::step::{
    Afterwards, Bmc, BootDevice, BootTarget, InstanceBoot, PassGate, Persistence, Step, StepId,
};
use super::write::{erasure, write_disk, written_table};
use crate::ids::Addr;
use crate::model::{Fleet, ImageType, InstancePhase, InstanceRecord, Nic, PowerState, Resource};

/// Seconds for a whole write. The stall limit ends a hopeless one much earlier.
const WRITE_LIMIT_S: u32 = 24 * 3600;
/// Seconds the ramdisk may take to say goodbye.
const REBOOT_LIMIT_S: u32 = 60;

pub struct Context<'a> {
    pub fleet: &'a Fleet,
    pub nics: &'a BTreeMap<&'a Addr, Vec<&'a Nic>>,
    pub lineage: &'a str,
    pub serial: u64,
    /// The step that checks each image's digest.
    pub image_checks: &'a BTreeMap<Addr, StepId>,
}

/// The whole deployment of one instance. `record` is what will be true when it has ended.
pub fn deploy(
    builder: &mut Builder,
    ctx: &Context<'_>,
    instance: &Addr,
    place: Place<'_>,
    record: &InstanceRecord,
    after: Vec<StepId>,
) -> Vec<StepId> {
    let limits = &place.site.limits;
    let target = place.target(record);
    let (node, bmc) = (place.addr, place.bmc());
    let mut chain = Chain::on(node, builder, instance, after);
    let claimed = in_deployment(record);
    let write = write_disk(ctx, instance, place, record);
    let mut record = record.clone();
    record.traces.add(written_table(&write));
    let record = &record;
    // A changed image is found out before a running system is taken down for it.
    chain
        .last
        .extend(ctx.image_checks.get(&record.desired.image));
    chain.claim(claimed);
    into_ramdisk(&mut chain, place, &target, &bmc);
    chain.then(
        Step::CheckDisk {
            instance: instance.clone(),
            node: node.clone(),
            disk: write.disk.clone(),
            existing: write.existing,
            known_tables: write.known_tables.clone(),
            table: written_table(&write),
        },
        LOCAL_LIMIT_S,
    );
    chain.then(Step::WriteDisk(Box::new(write)), WRITE_LIMIT_S);
    chain.then(
        Step::BootInstance {
            instance: instance.clone(),
            node: node.clone(),
            target: target.clone(),
            boot: instance_boot(record),
        },
        LOCAL_LIMIT_S,
    );
    chain.then(boot_for_good(&bmc, place, record), place.bmc_limit_s());
    chain.then(
        Step::Reboot {
            instance: instance.clone(),
            node: node.clone(),
        },
        REBOOT_LIMIT_S,
    );
    finish(&mut chain, place, record, &bmc, limits.boot_timeout_s);
    chain.ids
}

/// What is true of it from its claim until its disk is written.
fn in_deployment(record: &InstanceRecord) -> InstanceRecord {
    InstanceRecord {
        phase: InstancePhase::Deploying,
        disk: None,
        phoned: None,
        ..record.clone()
    }
}

/// From a disk that has been written and verified to a running system.
pub fn resume_written(
    builder: &mut Builder,
    instance: &Addr,
    place: Place<'_>,
    record: &InstanceRecord,
    after: Vec<StepId>,
) -> Vec<StepId> {
    let limits = &place.site.limits;
    let target = place.target(record);
    let bmc = place.bmc();
    let mut chain = Chain::on(place.addr, builder, instance, after);
    chain.soft_off(&bmc, place);
    chain.then(
        Step::BootInstance {
            instance: instance.clone(),
            node: place.addr.clone(),
            target,
            boot: instance_boot(record),
        },
        LOCAL_LIMIT_S,
    );
    chain.then(boot_for_good(&bmc, place, record), place.bmc_limit_s());
    chain.then(Step::PowerOn { bmc: bmc.clone() }, place.power_limit_s());
    finish(&mut chain, place, record, &bmc, limits.boot_timeout_s);
    chain.ids
}

/// The system that stands on the node becomes the instance: a claim, boot files and a record, and nothing that the machine
/// would notice.
pub fn adopt(
    builder: &mut Builder,
    instance: &Addr,
    place: Place<'_>,
    record: &InstanceRecord,
    after: Vec<StepId>,
) -> Vec<StepId> {
    let mut chain = Chain::on(place.addr, builder, instance, after);
    let mut claimed = record.clone();
    claimed.phase = InstancePhase::NeedsAttention(super::decide::ADOPTING.to_owned());
    chain.claim(claimed);
    let work = InPlace {
        boot_files: true,
        ..InPlace::default()
    };
    let Chain {
        last,
        mut ids,
        builder,
        ..
    } = chain;
    ids.extend(in_place(builder, instance, place, record, work, last));
    ids
}

/// A change that leaves the disk alone.
pub fn in_place(
    builder: &mut Builder,
    instance: &Addr,
    place: Place<'_>,
    record: &InstanceRecord,
    work: InPlace,
    after: Vec<StepId>,
) -> Vec<StepId> {
    let bmc = place.bmc();
    let mut chain = Chain::on(place.addr, builder, instance, after);
    if work.boot_files {
        chain.then(
            Step::BootInstance {
                instance: instance.clone(),
                node: place.addr.clone(),
                target: place.target(record),
                boot: instance_boot(record),
            },
            LOCAL_LIMIT_S,
        );
    }
    let sets_device = work.power && record.desired.power_state == PowerState::On;
    if work.boot_device && !sets_device {
        chain.then(boot_for_good(&bmc, place, record), place.bmc_limit_s());
    }
    if work.power {
        match record.desired.power_state {
            PowerState::Off => {
                chain.soft_off(&bmc, place);
            }
            PowerState::On => {
                chain.then(boot_for_good(&bmc, place, record), place.bmc_limit_s());
                chain.then(Step::PowerOn { bmc }, place.power_limit_s());
            }
        }
    }
    let mut done = record.clone();
    done.phase = phase_of(record.desired.power_state);
    chain.then(
        Step::Finish {
            instance: instance.clone(),
            node: place.addr.clone(),
            record: Box::new(done),
        },
        LOCAL_LIMIT_S,
    );
    chain.ids
}

/// What an in-place change has to do besides the record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InPlace {
    pub boot_files: bool,
    pub power: bool,
    /// The BMC is told again what to start from.
    pub boot_device: bool,
}

/// Taking an instance down: everything it needs is in its record.
pub fn destroy(
    builder: &mut Builder,
    instance: &Addr,
    place: Place<'_>,
    record: &InstanceRecord,
    then: Afterwards,
    after: Vec<StepId>,
) -> Vec<StepId> {
    let target = place.target(record);
    let (node, bmc) = (place.addr, place.bmc());
    let mut chain = Chain::on(node, builder, instance, after);
    let mut going = record.clone();
    going.phase = InstancePhase::Destroying;
    chain.then(
        Step::Record {
            addr: instance.clone(),
            resource: Box::new(Resource::Instance(Box::new(going))),
        },
        LOCAL_LIMIT_S,
    );
    let erasure = erasure(record);
    let keeps_data = erasure.is_none();
    if let Some((mode, disk)) = erasure {
        into_ramdisk(&mut chain, place, &target, &bmc);
        chain.then(
            Step::EraseDisk {
                instance: instance.clone(),
                node: node.clone(),
                disk,
                mode,
            },
            WRITE_LIMIT_S,
        );
    }
    if keeps_data {
        chain.soft_off(&bmc, place);
    } else {
        chain.hard_off(&bmc, place);
    }
    chain.then(
        Step::RemoveBoot {
            node: node.clone(),
            target,
        },
        LOCAL_LIMIT_S,
    );
    chain.then(
        Step::Release {
            instance: instance.clone(),
            node: node.clone(),
            then,
        },
        LOCAL_LIMIT_S,
    );
    chain.ids
}

/// Boot files, off, PXE once, on, and the ramdisk's first word.
fn into_ramdisk(chain: &mut Chain<'_>, place: Place<'_>, target: &BootTarget, bmc: &Bmc) {
    let limits = &place.site.limits;
    // The off comes first: a machine that is still running must not fetch a script that is served once.
    chain.hard_off(bmc, place);
    chain.then(
        Step::BootDeploy {
            instance: chain.instance.clone(),
            node: place.addr.clone(),
            target: target.clone(),
            ramdisk: place.site.ramdisk.clone(),
            kernel_args: place.site.kernel_args.clone(),
            key_lifetime_s: KEY_LIFETIME_S.max(limits.ramdisk_timeout_s),
        },
        LOCAL_LIMIT_S,
    );
    chain.then(
        Step::SetBootDevice {
            bmc: bmc.clone(),
            device: BootDevice::Pxe,
            persistence: Persistence::Once,
            firmware: place.node.firmware,
        },
        place.bmc_limit_s(),
    );
    chain.then(Step::PowerOn { bmc: bmc.clone() }, place.power_limit_s());
    chain.then(
        Step::AwaitRamdisk {
            instance: chain.instance.clone(),
            node: place.addr.clone(),
        },
        limits.ramdisk_timeout_s,
    );
}

/// Seconds a boot script's token may be exchanged after it was made.
const KEY_LIFETIME_S: u32 = 30 * 60;

fn finish(
    chain: &mut Chain<'_>,
    place: Place<'_>,
    record: &InstanceRecord,
    bmc: &Bmc,
    boot_timeout_s: u32,
) {
    let (instance, node) = (chain.instance.clone(), chain.node.clone());
    if record.desired.wait_for_phone_home {
        chain.then(
            Step::AwaitPhoneHome {
                instance: instance.clone(),
                node: node.clone(),
                hostname: record.desired.hostname.clone(),
            },
            boot_timeout_s,
        );
    }
    if record.desired.power_state == PowerState::Off {
        // A system that has not spoken is not waited for: what it has on its disk is what was written.
        if record.desired.wait_for_phone_home {
            chain.soft_off(bmc, place);
        } else {
            chain.hard_off(bmc, place);
        }
    }
    let mut done = record.clone();
    done.phase = phase_of(record.desired.power_state);
    chain.then(
        Step::Finish {
            instance,
            node,
            record: Box::new(done),
        },
        LOCAL_LIMIT_S,
    );
}

/// What an instance has to show once it is deployed, one after the other. A failed one leaves it as it is.
pub fn gates(
    builder: &mut Builder,
    instance: &Addr,
    place: Place<'_>,
    record: &InstanceRecord,
    after: Vec<StepId>,
) -> Vec<StepId> {
    let mut chain = Chain::on(place.addr, builder, instance, after);
    for gate in &record.unproven {
        let pass = PassGate {
            instance: instance.clone(),
            node: place.addr.clone(),
            gate: gate.clone(),
            hostname: record.desired.hostname.clone(),
            address: place.asked_at(record),
        };
        let limit_s = gate.timeout_s.saturating_add(GATE_GRACE_S);
        chain.then(Step::Gate(Box::new(pass)), limit_s);
    }
    chain.ids
}

/// Seconds in which a gate whose time is over says what it found last.
const GATE_GRACE_S: u32 = 10;

pub fn phase_of(power: PowerState) -> InstancePhase {
    match power {
        PowerState::On => InstancePhase::Running,
        PowerState::Off => InstancePhase::Off,
    }
}

/// A partition image has no boot loader of its own: it starts over the network for good (row P15).
fn boot_for_good(bmc: &Bmc, place: Place<'_>, record: &InstanceRecord) -> Step {
    let device = match record.image.kind {
        ImageType::Partition => BootDevice::Pxe,
        ImageType::Disk => BootDevice::Disk,
    };
    Step::SetBootDevice {
        bmc: bmc.clone(),
        device,
        persistence: Persistence::Always,
        firmware: place.node.firmware,
    }
}

fn instance_boot(record: &InstanceRecord) -> InstanceBoot {
    let (image, facts) = (&record.image, &record.image_facts);
    match (
        image.kind,
        &image.kernel,
        &image.initrd,
        facts.kernel_sha256,
        facts.initrd_sha256,
    ) {
        (
            ImageType::Partition,
            Some(kernel),
            Some(initrd),
            Some(kernel_sha256),
            Some(initrd_sha256),
        ) => {
            let root = facts.fs_uuid.as_deref().unwrap_or_default();
            InstanceBoot::Network {
                kernel: kernel.clone(),
                kernel_sha256,
                initrd: initrd.clone(),
                initrd_sha256,
                args: format!("root=UUID={root} ro {}", image.kernel_args)
                    .trim_end()
                    .to_owned(),
            }
        }
        _ => InstanceBoot::LocalDisk,
    }
}
