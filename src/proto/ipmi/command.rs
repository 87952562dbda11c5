//! The commands bmctl sends: network function, number, data; and how their answers are read.

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub name: &'static str,
    pub net_fn: u8,
    pub number: u8,
    pub data: Vec<u8>,
}

const CHASSIS: u8 = 0x00;
const APP: u8 = 0x06;

/// Administrator (§22.18).
pub const ADMINISTRATOR: u8 = 4;

fn command(name: &'static str, net_fn: u8, number: u8, data: &[u8]) -> Command {
    Command {
        name,
        net_fn,
        number,
        data: data.to_vec(),
    }
}

/// Chassis control is refused with 0xD4 before this.
pub fn set_privilege() -> Command {
    command("set session privilege", APP, 0x3B, &[ADMINISTRATOR])
}

pub fn close_session(session: u32) -> Command {
    command("close session", APP, 0x3C, &session.to_le_bytes())
}

pub fn chassis_status() -> Command {
    command("chassis status", CHASSIS, 0x01, &[])
}

/// §28.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    Off = 0,
    On = 1,
    Reset = 3,
    /// The ACPI button.
    Soft = 5,
}

pub fn chassis_control(control: Control) -> Command {
    command("chassis control", CHASSIS, 0x02, &[control as u8])
}

/// §28.13, parameter 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootFlags {
    pub device: BootDevice,
    pub persistent: bool,
    pub efi: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootDevice {
    Pxe = 1,
    Disk = 2,
}

impl BootFlags {
    /// Valid, and for how long; which firmware; the device. `0xA0 0x04` is PXE by EFI, once.
    pub fn bytes(self) -> [u8; 5] {
        let once_or_not = if self.persistent { 0x40 } else { 0 };
        let firmware = if self.efi { 0x20 } else { 0 };
        [
            0x80 | once_or_not | firmware,
            (self.device as u8) << 2,
            0,
            0,
            0,
        ]
    }
}

/// Clears the acknowledgements of earlier boots (parameter 4), so that the firmware heeds the flags.
pub fn clear_boot_acknowledgements() -> Command {
    command("boot info acknowledge", CHASSIS, 0x08, &[0x04, 0x01, 0x01])
}

pub fn set_boot_flags(flags: BootFlags) -> Command {
    let [a, b, c, d, e] = flags.bytes();
    command("boot flags", CHASSIS, 0x08, &[0x05, a, b, c, d, e])
}

pub fn get_boot_flags() -> Command {
    command("read boot flags", CHASSIS, 0x09, &[0x05, 0, 0])
}

/// The device that boot flags (parameter 5) set for more than the next start; the inner `None` when they set none. `None` when
/// the answer is too short to tell.
pub fn boot_for_good(data: &[u8]) -> Option<Option<u8>> {
    let (valid, device) = (*data.get(2)?, *data.get(3)?);
    let device = device >> 2 & 0x0F;
    let is_set = valid & 0x80 != 0 && valid & 0x40 != 0 && device != 0;
    Some(is_set.then_some(device))
}

/// Whether the chassis is on: bit 0 of the first byte.
pub fn is_on(data: &[u8]) -> Option<bool> {
    data.first().map(|state| state & 1 == 1)
}

/// What a completion code means (table 5-2).
pub fn describe_code(code: u8) -> &'static str {
    match code {
        0xC0 => "node busy",
        0xC1 => "the BMC does not know this command",
        0xC3 => "timeout inside the BMC",
        0xC7 => "wrong length of the request",
        0xC9 => "a parameter is out of range",
        0xCC => "a field of the request is invalid",
        0xD3 => "destination unavailable",
        0xD4 => "the user's privilege is too low; give it Administrator on the LAN channel",
        0xD5 => "not supported in the present state",
        0x80..=0x82 => "refused by this command's own rule",
        _ => "see table 5-2 of the IPMI specification",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_flags_are_those_of_the_specification() {
        let flags = |device, persistent, efi| {
            BootFlags {
                device,
                persistent,
                efi,
            }
            .bytes()
        };
        assert_eq!(flags(BootDevice::Pxe, false, true), [0xA0, 0x04, 0, 0, 0]);
        assert_eq!(flags(BootDevice::Pxe, true, false), [0xC0, 0x04, 0, 0, 0]);
        assert_eq!(flags(BootDevice::Disk, true, true), [0xE0, 0x08, 0, 0, 0]);
        let read = |flags: [u8; 5]| boot_for_good(&[&[1, 5], &flags[..]].concat());
        assert_eq!(read(flags(BootDevice::Disk, true, true)), Some(Some(2)));
        // Set for the next start alone, or not valid: nothing that lasts.
        assert_eq!(read(flags(BootDevice::Pxe, false, true)), Some(None));
        assert_eq!(read([0x60, 0x08, 0, 0, 0]), Some(None));
        assert_eq!(boot_for_good(&[1, 5, 0xE0]), None);
    }
}
