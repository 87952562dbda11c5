#!/usr/bin/env bash
# Installs, by name, what bmctl's own commands and its tests use. Debian 12; needs root. Nothing is started.
set -euo pipefail

rack=(qemu-system-x86 seabios ipxe-qemu ovmf openipmi dnsmasq-base iproute2 util-linux)
boot=(ipxe pxelinux syslinux syslinux-common busybox-static tgt e2fsprogs)
images=(grub-efi-amd64-bin grub-common mtools dosfstools cpio)
peers=(curl procps python3-minimal ipmitool freeipmi-tools libiscsi-bin istgt neovim qemu-block-extra gdisk fdisk chromium)
build=(gcc git make pkg-config)
# The tests start servers of their own from it.
state=(postgresql openssl)

missing=()
for package in "${rack[@]}" "${boot[@]}" "${images[@]}" "${peers[@]}" "${build[@]}" "${state[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
# qemu-img may come from elsewhere than Debian's package: the program counts. It goes in a call of its own, because a
# qemu-utils of another suite would hold qemu-system back.
if [ ${#missing[@]} -gt 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    # Debian's package would make a cluster and start it; nobody here asked for one.
    if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        mkdir -p /etc/postgresql-common
        echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
    fi
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
if ! command -v qemu-img >/dev/null; then
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends qemu-utils >/dev/null
fi
