#!/bin/sh
# The initrd of the test systems: drivers, network by DHCP, the root file system the command line names.
# The kernel for virtual machines has no network set-up of its own, so it is done here.
set -u
ROOT_TRIES_MAX=300 # 0.1 s apart

say() { printf 'bmctl-test-system: %s\n' "$*"; }

# What is wrong is said, and the machine stays findable: it boots again.
stop() {
    say "error: $*; rebooting in 60 s"
    sleep 60
    reboot -f
}

# partition_uuid DEVICE: as the kernel's PARTUUID, from GPT or MBR.
partition_uuid() {
    number=$(cat "/sys/class/block/$1/partition" 2>/dev/null) || return
    disk=$(basename "$(dirname "$(readlink -f "/sys/class/block/$1")")")
    bytes() { dd if="/dev/$disk" bs=1 skip="$1" count="$2" 2>/dev/null | xxd -p; }
    if [ "$(bytes 512 8)" = 4546492050415254 ]; then
        # Fields one to three of a GUID are little-endian. The entries stand in their usual place, from sector 2.
        bytes $((1024 + (number - 1) * 128 + 16)) 16 |
            sed 's/\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)\(..\)\(....\)/\4\3\2\1-\6\5-\8\7-\9-/'
    else
        printf '%s-%02d' "$(bytes 440 4 | sed 's/\(..\)\(..\)\(..\)\(..\)/\4\3\2\1/')" "$number"
    fi
}

find_root() {
    case $root in
    PARTUUID=*)
        wanted=$(printf '%s' "${root#*=}" | tr A-F a-f)
        for path in /sys/class/block/*; do
            [ -r "$path/partition" ] || continue
            [ "$(partition_uuid "${path##*/}")" = "$wanted" ] && { device=/dev/${path##*/}; return; }
        done
        return 1
        ;;
    UUID=* | LABEL=*) device=$(findfs "$root" 2>/dev/null) ;;
    *) device=$root && [ -b "$device" ] ;;
    esac
}

find_nic() {
    for path in /sys/class/net/*; do
        nic=${path##*/}
        [ "$nic" != lo ] || continue
        [ -z "$mac" ] || [ "$(cat "$path/address")" = "$mac" ] && return
    done
    return 1
}

mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs -o mode=0755 run /run
echo 4 >/proc/sys/kernel/printk
echo 60 >/proc/sys/kernel/panic
while read -r module; do insmod "$module" 2>/dev/null; done </lib/bmctl/modules

root= mac= access=ro
for word in $(cat /proc/cmdline); do
    case $word in
    root=*) root=${word#root=} ;;
    BOOTIF=*) mac=$(printf '%s' "${word#BOOTIF=??-}" | tr A-F- a-f:) ;;
    ro | rw) access=$word ;;
    esac
done
[ -n "$root" ] || stop "no root= on the command line"

ip link set lo up
if find_nic; then
    ip link set "$nic" up
    udhcpc -i "$nic" -s /lib/bmctl/udhcpc.sh -b -t 15 -T 2 -p /run/udhcpc.pid >/run/udhcpc.log 2>&1
else
    say "no network card ${mac:-at all}"
fi

tries=0
until find_root; do
    tries=$((tries + 1))
    [ "$tries" -lt "$ROOT_TRIES_MAX" ] || stop "no file system $root; found $(ls /sys/class/block | tr '\n' ' ')"
    sleep 0.1
done
mount -t ext4 -o "$access" "$device" /mnt || stop "could not mount $device"
printf '%s\n' "$device" >/run/root-device
# The lease's keeper would lose its script with this file system.
cp /lib/bmctl/udhcpc.sh /run/udhcpc.sh
for dir in dev proc sys run; do mount -o move "/$dir" "/mnt/$dir"; done
exec switch_root /mnt /sbin/init
