#!/bin/sh
# The deploy ramdisk: brings up the network, proves who it is, reports its disks and does what bmctl tells it.
# The protocol, message by message: docs/design/0001-deploy-channel.md. Needs busybox, tgtd and tgtadm, nothing else.
# Secrets stay in shell variables and reach no command line but tgtadm's: there is one user here.
set -u -f

RAMDISK_VERSION=2
NIC_WAIT_S_MAX=60           # cards with firmware to load take ten seconds and more
DHCP_ROUNDS_MAX=4           # of 30 s each: a switch port with spanning tree drops the first 30 s
DISK_WAIT_S_MAX=60
DISK_QUIET_S=1              # SCSI scans end before their driver is loaded; the rest appear well within this
CONNECT_TRIES_MAX=60        # 2 s apart
NEXT_FAILURES_MAX=360       # 5 s apart: a deployment's own limit of 30 minutes
NEXT_REFUSALS_MAX=3
RESULT_TRIES_MAX=15         # 2 s apart
REQUEST_LIMIT_S=20
NEXT_LIMIT_S=40             # the server holds a request for up to 25 s
GIVE_UP_S=600               # what is wrong stays on the console this long
TARGET_PORT=3260
ERASE_ENDS_MIB=4
ERASE_PARTITION_MIB=1

server= token= mac= key= seq=0 nic= address= exported= message= verb_id= last_id= last_status= last_message=

say() {
    read -r up_now up_idle </proc/uptime
    printf '[%9s] bmctl: %s\n' "$up_now" "$*"
}

uptime_s() {
    read -r up_now up_idle </proc/uptime
    printf '%s' "${up_now%.*}"
}

# Tells, waits, and boots anew: a machine that hangs in silence is worse than one that tries again.
give_up() {
    give_up_end=$(($(uptime_s) + GIVE_UP_S))
    while [ "$(uptime_s)" -lt "$give_up_end" ]; do
        say "gave up: $*; rebooting in $((give_up_end - $(uptime_s))) s"
        sleep 30
    done
    unexport
    reboot -f
    sleep 60
}

# fail TEXT: with a key the server hears it and goes on giving commands; without one nobody would.
fail() {
    say "error: $*"
    [ -n "$key" ] || { give_up "$*"; return; }
    printf '%s' "$*" >/run/error
    post error /run/error "$REQUEST_LIMIT_S" || say "the server did not take the error"
    serve
}

# --- the channel -----------------------------------------------------------------------------------------------------

# fetch PATH BODY-FILE LIMIT [wget options]: 0 answered in /run/answer, 1 unknown, 2 refused, 3 the server was not reached.
fetch() {
    fetch_path=$1 fetch_body=$2 fetch_limit=$3
    shift 3
    rm -f /run/answer
    timeout "$fetch_limit" wget -q -O /run/answer "$@" --post-file "$fetch_body" \
        "$server/v1/deploy/$fetch_path" 2>/run/wget.log && return 0
    fetch_said=$(cat /run/wget.log)
    case $fetch_said in
    *"server returned error: HTTP/1."?" 4"*) fetch_status=2 ;;
    *"can't connect"*) fetch_status=3 ;;
    *) fetch_status=1 ;;
    esac
    say "$fetch_path: ${fetch_said:-no answer within $fetch_limit s}"
    return "$fetch_status"
}

# post PATH BODY-FILE LIMIT: a signed request; the checked payload is left in /run/payload. Returns as fetch does.
post() {
    seq=$((seq + 1))
    post_tag=$({ printf 'bmctl %s v1\n%s\n%s\n' "$1" "$mac" "$seq"; cat "$2"; } | hmac "$key")
    fetch "$1" "$2" "$3" --header "X-Bmctl-Mac: $mac" --header "X-Bmctl-Seq: $seq" --header "X-Bmctl-Tag: $post_tag" ||
        return
    tail -n +2 /run/answer >/run/payload
    post_tag=$({ printf 'bmctl answer v1\n%s\n%s\n' "$mac" "$seq"; cat /run/payload; } | hmac "$key")
    [ "$(head -n 1 /run/answer)" = "tag=$post_tag" ] && return 0
    say "$1: the answer's tag is wrong; ignored"
    return 1
}

# The token proves both sides to each other once. Only a try that never reached the server is repeated: a second
# exchange means to the server that somebody else holds the token.
exchange() {
    nonce=$(dd if=/dev/urandom bs=16 count=1 2>/dev/null | xxd -p)
    proof=$(printf 'bmctl exchange v1\n%s\n%s\n' "$mac" "$nonce" | hmac "$token")
    printf 'mac=%s\nnonce=%s\nproof=%s\n' "$mac" "$nonce" "$proof" >/run/exchange
    exchange_tries=0
    while :; do
        fetch exchange /run/exchange "$REQUEST_LIMIT_S" && break
        exchange_status=$? exchange_tries=$((exchange_tries + 1))
        [ "$exchange_status" = 3 ] && [ "$exchange_tries" -lt "$CONNECT_TRIES_MAX" ] || return 1
        sleep 2
    done
    theirs=$(sed -n 's/^nonce=\([0-9a-f]\{1,128\}\)$/\1/p' /run/answer)
    tag=$(printf 'bmctl exchanged v1\n%s\n%s\n%s\n' "$mac" "$nonce" "$theirs" | hmac "$token")
    if [ -z "$theirs" ] || [ "$(sed -n 's/^tag=//p' /run/answer)" != "$tag" ]; then
        say "exchange: the answer's tag is wrong: whoever answers at $server does not know the token"
        return 1
    fi
    key=$(printf 'bmctl key v1\n%s\n%s\n%s\n' "$mac" "$nonce" "$theirs" | hmac "$token")
    token=
}

# --- the machine -----------------------------------------------------------------------------------------------------

read_command_line() {
    for word in $(cat /proc/cmdline); do
        case $word in
        bmctl.server=*) server=${word#*=} ;;
        bmctl.token=*) token=$(printf '%s' "${word#*=}" | tr A-F a-f) ;;
        BOOTIF=*) mac=$(printf '%s' "${word#BOOTIF=??-}" | tr A-F- a-f:) ;;
        esac
    done
    case $token in
    *[!0-9a-f]* | '') fail "bmctl.token on the command line: expected 64 hex digits"; return 1 ;;
    esac
    [ ${#token} = 64 ] || { fail "bmctl.token on the command line: expected 64 hex digits, found ${#token}"; return 1; }
    case $mac in
    ??:??:??:??:??:??) ;;
    *) fail "BOOTIF on the command line: expected 01-aa-bb-cc-dd-ee-ff, found '$mac'"; return 1 ;;
    esac
    case $server in
    http://?*) ;;
    *) fail "bmctl.server on the command line: expected http://ADDRESS:PORT, found '$server'"; return 1 ;;
    esac
}

load_modules() {
    while read -r module; do
        # A driver without its hardware may refuse to load; what is missing in the end is reported by name.
        case $module in
        */scsi_mod.ko) insmod "$module" scan=sync ;;
        *) insmod "$module" ;;
        esac 2>>/run/insmod.log || :
    done </lib/bmctl/modules
}

find_nic() {
    nic_end=$(($(uptime_s) + NIC_WAIT_S_MAX))
    while :; do
        for nic in $(ls /sys/class/net); do
            [ "$(cat "/sys/class/net/$nic/address" 2>/dev/null)" = "$mac" ] && return 0
        done
        [ "$(uptime_s)" -lt "$nic_end" ] || return 1
        sleep 0.1
    done
}

get_address() {
    ip link set lo up
    ip link set "$nic" up
    dhcp_round=0
    while [ "$dhcp_round" -lt "$DHCP_ROUNDS_MAX" ]; do
        # It stays behind to renew the lease.
        udhcpc -i "$nic" -s /lib/bmctl/udhcpc.sh -n -t 15 -T 2 -x hostname:bmctl-deploy >/run/udhcpc.log 2>&1 && break
        dhcp_round=$((dhcp_round + 1))
        say "no DHCP answer on $nic ($mac), round $dhcp_round of $DHCP_ROUNDS_MAX"
    done
    address=$(cat /run/address 2>/dev/null)
    [ -n "$address" ]
}

# first FILE DEFAULT: its first line, in $line. Polling with this costs no process.
first() {
    line=
    [ -r "$1" ] && read -r line <"$1" 2>/dev/null
    [ -n "$line" ] || line=$2
}

# Names of the disks there are, in $found: no loop, ram or optical devices, nothing removable, hidden or empty.
disks() {
    found=
    set +f
    set -- /sys/block/*
    set -f
    for disk_path; do
        disk_name=${disk_path##*/}
        case $disk_name in
        loop* | ram* | zram* | sr* | fd* | dm-* | md* | nbd* | mtdblock* | mmcblk*boot* | mmcblk*rpmb) continue ;;
        esac
        first "$disk_path/removable" 1; [ "$line" = 0 ] || continue
        first "$disk_path/hidden" 0; [ "$line" = 0 ] || continue
        first "$disk_path/size" 0; [ "$line" -gt 0 ] || continue
        [ -b "/dev/$disk_name" ] && found="$found$disk_name "
    done
}

# Runs beside DHCP and the exchange: /run/disks appears when no disk has come or gone for DISK_QUIET_S.
watch_disks() {
    disks
    watch_end=$(($(uptime_s) + DISK_WAIT_S_MAX)) watch_seen=$found watch_quiet=0
    while [ "$(uptime_s)" -lt "$watch_end" ]; do
        sleep 0.2
        disks
        if [ -n "$found" ] && [ "$found" = "$watch_seen" ]; then
            watch_quiet=$((watch_quiet + 1))
            [ "$watch_quiet" -lt $((DISK_QUIET_S * 5)) ] || break
        else
            watch_seen=$found watch_quiet=0
        fi
    done
    printf '%s' "$found" >/run/disks.partial
    mv /run/disks.partial /run/disks
}

# encode TEXT: percent-encoded outside [A-Za-z0-9._:-].
encode() {
    LC_ALL=C
    encode_left=$1
    while [ -n "$encode_left" ]; do
        encode_char=${encode_left%"${encode_left#?}"}
        encode_left=${encode_left#?}
        case $encode_char in
        [A-Za-z0-9._:-]) printf '%s' "$encode_char" ;;
        *) printf '%s' "$encode_char" | xxd -p | sed 's/../%&/g' | tr -d '\n' | tr a-f A-F ;;
        esac
    done
}

# fact FILE...: what the first readable one says, on one line without surrounding blanks.
fact() {
    for fact_file; do
        [ -r "$fact_file" ] || continue
        tr -d '\000' <"$fact_file" 2>/dev/null | tr '\t\n' '  ' | sed 's/^ *//; s/ *$//'
        return
    done
}

serial_of() {
    serial_dir=/sys/block/$1
    if [ -r "$serial_dir/device/vpd_pg80" ]; then
        # SCSI: four bytes of header, then the number.
        tail -c +5 "$serial_dir/device/vpd_pg80" >/run/vpd
        encode "$(fact /run/vpd)"
    else
        encode "$(fact "$serial_dir/serial" "$serial_dir/device/serial")"
    fi
}

size_of() { echo $(($(cat "/sys/block/$1/size") * 512)); }

memory_mb() {
    # Installed memory: the kernel's own share is missing in MemTotal.
    memory_block=$(cat /sys/devices/system/memory/block_size_bytes 2>/dev/null)
    memory_blocks=$(set +f; cat /sys/devices/system/memory/memory*/online 2>/dev/null | grep -c 1)
    if [ -n "$memory_block" ] && [ "${memory_blocks:-0}" -gt 0 ]; then
        echo $((0x$memory_block / 1048576 * memory_blocks))
    else
        echo $(($(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo) / 1024))
    fi
}

# 1 when the first and the last MiB hold nothing but zeroes: a file system without a partition table, a RAID member or a backup
# table shows in one of them.
blank() {
    blank_last=$(($2 / 1048576 - 1))
    [ "$blank_last" -ge 0 ] || blank_last=0
    blank_bytes=$({
        dd if="/dev/$1" bs=1048576 count=1
        dd if="/dev/$1" bs=1048576 skip="$blank_last"
    } 2>/dev/null | tr -d '\0' | head -c 1 | wc -c)
    [ "$blank_bytes" = 0 ] && echo 1 || echo 0
}

inventory() {
    printf 'ramdisk\t%s\naddress\t%s\nmemory_mb\t%s\ncpus\t%s\nkernel\t%s\n' \
        "$RAMDISK_VERSION" "$address" "$(memory_mb)" "$(nproc)" "$(uname -r)"
    for name in $(cat /run/disks); do
        dir=/sys/block/$name
        printf 'disk\tname=%s\tserial=%s\twwn=%s\tsize=%s\tsector=%s\trotational=%s\tmodel=%s\tblank=%s\thead=%s\n' \
            "$name" "$(serial_of "$name")" "$(encode "$(fact "$dir/wwid" "$dir/device/wwid")")" "$(size_of "$name")" \
            "$(fact "$dir/queue/logical_block_size")" "$(fact "$dir/queue/rotational")" "$(fact "$dir/device/model")" \
            "$(blank "$name" "$(size_of "$name")")" \
            "$(dd if="/dev/$name" bs=1024 count=1 2>/dev/null | xxd -p | tr -d '\n')"
    done
}

# --- the commands: each leaves a line in $message and returns 0 or 1 ------------------------------------------------

# The disk is the one the plan names, and nothing here holds it.
check_disk() {
    case $disk in
    '' | *[!A-Za-z0-9]*) message="disk '$disk': expected a kernel name such as vda"; return 1 ;;
    esac
    [ -b "/dev/$disk" ] || { disks; message="disk $disk: not here; found $found"; return 1; }
    check_serial=$(serial_of "$disk") check_size=$(size_of "$disk")
    if [ "$check_serial" != "$serial" ] || [ "$check_size" != "$size" ]; then
        message="disk $disk: expected serial $serial and $size bytes, found serial $check_serial and $check_size bytes"
        return 1
    fi
    if grep -q "^/dev/$disk" /proc/mounts /proc/swaps ||
        [ -n "$(set +f; ls "/sys/block/$disk/holders" "/sys/block/$disk/$disk"*/holders 2>/dev/null | grep -v ':$')" ]; then
        message="disk $disk: in use on the node"
        return 1
    fi
}

tgt() {
    tgt_said=$(tgtadm --lld iscsi "$@" 2>&1) && return 0
    message="tgtadm: $tgt_said"
    return 1
}

chap_secret() { printf 'bmctl chap %s v1\n%s\n' "$1" "$iqn" | hmac "$key" | cut -c 1-32; }

verb_export() {
    check_disk || return 1
    case $iqn in
    iqn.*) ;;
    *) message="iqn '$iqn': expected iqn.YYYY-MM.NAME"; return 1 ;;
    esac
    if [ -n "$exported" ]; then
        [ "$exported" = "$disk $iqn" ] && { message="already exported"; return 0; }
        message="$exported is exported; unexport it first"
        return 1
    fi
    start_target && return 0
    export_failed=$message
    unexport
    message=$export_failed
    return 1
}

start_target() {
    portal=${server#http://}
    portal=${portal%%[:/]*}
    tgtd -f --iscsi "portal=$address:$TARGET_PORT" >/run/tgtd.log 2>&1 &
    target_pid=$!
    exported="$disk $iqn"
    target_tries=0
    until tgt --op show --mode target; do
        target_tries=$((target_tries + 1))
        kill -0 "$target_pid" 2>/dev/null && [ "$target_tries" -lt 100 ] ||
            { message="tgtd did not start: $(tail -n 3 /run/tgtd.log | tr '\n' ' ')"; return 1; }
        sleep 0.1
    done
    # The door (initiator-address) opens when all else stands.
    tgt --op new --mode target --tid 1 --targetname "$iqn" &&
        tgt --op new --mode logicalunit --tid 1 --lun 1 --backing-store "/dev/$disk" --bstype rdwr &&
        tgt --op update --mode logicalunit --tid 1 --lun 1 --params thin_provisioning=1 &&
        tgt --op new --mode account --user bmctl --password "$(chap_secret initiator)" &&
        tgt --op bind --mode account --tid 1 --user bmctl &&
        tgt --op new --mode account --user node --password "$(chap_secret target)" &&
        tgt --op bind --mode account --tid 1 --user node --outgoing &&
        tgt --op bind --mode target --tid 1 --initiator-address "$portal" || return 1
    message="exported $disk as $iqn at $address:$TARGET_PORT"
}

# Ends the target whatever state it is in.
unexport() {
    [ -n "$exported" ] || { message="nothing was exported"; return 0; }
    tgtadm --lld iscsi --op delete --mode target --tid 1 --force >/dev/null 2>&1
    tgtadm --op delete --mode system >/dev/null 2>&1
    unexport_tries=0
    while kill -0 "$target_pid" 2>/dev/null && [ "$unexport_tries" -lt 50 ]; do
        unexport_tries=$((unexport_tries + 1))
        sleep 0.1
    done
    kill -9 "$target_pid" 2>/dev/null
    wait "$target_pid" 2>/dev/null
    message="unexported $exported"
    exported=
}

verb_settle() {
    case $disk in
    '' | *[!A-Za-z0-9]*) message="disk '$disk': expected a kernel name such as vda"; return 1 ;;
    esac
    # fsync of the device reaches the drive's own cache; sync alone stops at the page cache.
    sync && sync "/dev/$disk" && blockdev --flushbufs "/dev/$disk" && echo 3 >/proc/sys/vm/drop_caches ||
        { message="could not flush $disk"; return 1; }
    message="flushed $disk and dropped caches"
}

# zero DEVICE OFFSET-MIB COUNT-MIB, from the start or at an offset.
zero() { dd if=/dev/zero of="$1" bs=1M seek="$2" count="$3" conv=notrunc 2>/run/dd.log; }

verb_erase() {
    check_disk || return 1
    [ -z "$exported" ] || { message="$exported is exported; unexport it first"; return 1; }
    erase_mib=$((size / 1048576)) erase_done=0
    case $mode in
    zero)
        zero "/dev/$disk" 0 "$erase_mib" && erase_tail "$((size - erase_mib * 1048576))" && erase_done=1
        ;;
    metadata)
        for part in $(ls "/sys/block/$disk"); do
            [ -r "/sys/block/$disk/$part/partition" ] || continue
            part_mib=$(($(cat "/sys/block/$disk/$part/size") / 2048))
            [ "$part_mib" -gt "$ERASE_PARTITION_MIB" ] && part_mib=$ERASE_PARTITION_MIB
            # Not through the partition's own device: it would not see what its disk is overwritten with.
            dd if=/dev/zero of="/dev/$disk" bs=512 seek="$(cat "/sys/block/$disk/$part/start")" \
                count=$((part_mib * 2048)) conv=notrunc 2>/run/dd.log || { message="erase $part: $(cat /run/dd.log)"; return 1; }
        done
        ends=$ERASE_ENDS_MIB
        [ "$erase_mib" -ge "$ends" ] || ends=$erase_mib
        zero "/dev/$disk" 0 "$ends" && zero "/dev/$disk" $((erase_mib - ends)) "$ends" &&
            erase_tail "$((size - erase_mib * 1048576))" && erase_done=1
        ;;
    *) message="mode '$mode': expected metadata or zero"; return 1 ;;
    esac
    [ "$erase_done" = 1 ] || { message="erase $disk: $(tr '\n' ' ' </run/dd.log)"; return 1; }
    verb_settle || return 1
    blockdev --rereadpt "/dev/$disk" 2>/dev/null
    message="erased $disk ($mode)"
}

# erase_tail BYTES: what is left behind the last whole MiB.
erase_tail() {
    [ "$1" -gt 0 ] || return 0
    dd if=/dev/zero of="/dev/$disk" bs=512 seek=$(((size - $1) / 512)) count=$(($1 / 512)) conv=notrunc 2>/run/dd.log
}

# Sends a result; a server that refuses it has it already.
send_result() {
    last_id=$verb_id last_status=$1 last_message=$2
    printf 'id=%s\nstatus=%s\nmessage=%s\n' "$verb_id" "$1" "$(printf '%s' "$2" | tr '\n\t' '  ' | cut -c 1-1000)" >/run/result
    result_tries=0
    while :; do
        post result /run/result "$REQUEST_LIMIT_S" && return 0
        [ $? = 2 ] && return 0
        result_tries=$((result_tries + 1))
        [ "$result_tries" -lt "$RESULT_TRIES_MAX" ] || return 1
        sleep 2
    done
}

finish() {
    [ -z "$exported" ] || { send_result error "$exported is still exported; unexport it first"; return; }
    sync
    send_result ok "$1" || say "the server did not take the result of $1"
    say "$1"
    "$1" -f
    sleep 60
}

# obey LINE: one command, answered with one result. A command sent twice is answered twice and done once.
obey() {
    verb_id= verb= disk= serial= size= iqn= mode= message=
    for field in $1; do
        case $field in
        id=*) verb_id=${field#*=} ;;
        verb=*) verb=${field#*=} ;;
        disk=*) disk=${field#*=} ;;
        serial=*) serial=${field#*=} ;;
        size=*) size=${field#*=} ;;
        iqn=*) iqn=${field#*=} ;;
        mode=*) mode=${field#*=} ;;
        esac
    done
    if [ -n "$verb_id" ] && [ "$verb_id" = "$last_id" ]; then
        send_result "$last_status" "$last_message"
        return
    fi
    say "command $verb_id: $verb $disk"
    case $verb in
    export) verb_export ;;
    settle) verb_settle ;;
    unexport) unexport ;;
    erase) verb_erase ;;
    reboot | poweroff) finish "$verb"; return ;;
    *) message="unknown verb '$verb'"; false ;;
    esac && obey_status=ok || obey_status=error
    say "command $verb_id: $obey_status: $message"
    send_result "$obey_status" "$message"
}

# Asks for commands until one of them, or too many failures, ends it.
serve() {
    : >/run/empty
    failures=0 refusals=0
    while :; do
        if post next /run/empty "$NEXT_LIMIT_S"; then
            failures=0 refusals=0
            command=$(cat /run/payload)
            case $command in
            wait) sleep 0.2 ;;
            *) obey "$command" ;;
            esac
            continue
        elif [ $? = 2 ]; then
            refusals=$((refusals + 1))
        fi
        failures=$((failures + 1))
        if [ "$refusals" -ge "$NEXT_REFUSALS_MAX" ]; then
            unexport
            give_up "the server refuses this deployment"
        elif [ "$failures" -ge "$NEXT_FAILURES_MAX" ]; then
            give_up "no command from $server in $failures tries"
        fi
        sleep 5
    done
}

deploy() {
    read_command_line || return
    load_modules
    say "drivers loaded"
    watch_disks &
    find_nic || { fail "no network card has the address $mac; found $(set +f; cat /sys/class/net/*/address | tr '\n' ' ')"; return; }
    get_address || { fail "no DHCP answer on $nic ($mac): $(tail -n 1 /run/udhcpc.log)"; return; }
    say "$nic $mac $address, server $server"
    exchange && say "exchanged keys" || { fail "the exchange with $server failed: $(cat /run/wget.log)"; return; }
    until [ -e /run/disks ]; do sleep 0.1; done
    [ -s /run/disks ] || { fail "no disk appeared within $DISK_WAIT_S_MAX s"; return; }
    inventory >/run/inventory
    ready_tries=0
    until post ready /run/inventory "$REQUEST_LIMIT_S"; do
        ready_tries=$((ready_tries + 1))
        [ "$ready_tries" -lt "$RESULT_TRIES_MAX" ] || { fail "the server did not take the inventory"; return; }
        sleep 2
    done
    say "ready: $(cat /run/disks)"
    serve
}

. /lib/bmctl/hmac.sh

# The first process only watches over the rest: its end would be the kernel's.
if [ $$ = 1 ]; then
    export PATH=/bin:/sbin
    mount -t devtmpfs dev /dev
    mount -t proc proc /proc
    mount -t sysfs sys /sys
    mount -t tmpfs -o mode=0700 run /run
    echo 60 >/proc/sys/kernel/panic
    echo 4 >/proc/sys/kernel/printk
    /bin/sh /init deploy
    say "the deploy script ended by itself, which is a bug; rebooting in 60 s"
    sleep 60
    reboot -f
elif [ "${1:-}" = deploy ]; then
    deploy
fi
