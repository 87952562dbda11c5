#!/bin/sh
# The chassis of one machine, as its BMC sees it: ipmi_sim runs `chassis.sh NODE-DIRECTORY get|set WHAT [VALUE]` inside its
# event loop, so everything here is short. QEMU takes its orders (QMP) from a named pipe and is known by process id and
# start time, in qemu.pid.
set -u
umask 077
dir=$1 verb=$2 what=$3 value=${4:-}
START_TRIES_MAX=100 # 0.02 s apart
STOP_TRIES_MAX=100

# start_time PID: when it started; nothing when it is gone or waits to be reaped.
start_time() {
    read -r line <"/proc/$1/stat" || return 1
    set -- ${line##*) }
    [ "$1" != Z ] && [ "$1" != X ] && printf '%s' "${20}"
} 2>/dev/null

running() {
    [ -r "$dir/qemu.pid" ] && read -r pid start <"$dir/qemu.pid" && [ "$(start_time "$pid")" = "$start" ]
}

boot() { cat "$dir/boot" 2>/dev/null || echo default; }

# The network's place in the boot order; the disk's is 2.
net_index() { [ "$(boot)" = pxe ] && echo 1 || echo 3; }

# A pipe opened for reading and writing never blocks, whether QEMU is there or not.
order() { printf '%s\n' "$1" 1<>"$dir/qmp.in"; }

power_on() {
    running && return 0
    rm -f "$dir/qmp.in"
    mkfifo "$dir/qmp.in" || return 1
    exec 3<>"$dir/qmp.in"
    echo '{"execute":"qmp_capabilities"}' >&3
    setsid bash "$dir/qemu.sh" "$(net_index)" <&3 >"$dir/qmp.log" 2>"$dir/qemu.err" 3>&- &
    pid=$!
    exec 3>&-
    start=$(start_time "$pid") || return 1
    echo "$pid $start" >"$dir/qemu.pid.new" && mv "$dir/qemu.pid.new" "$dir/qemu.pid"
    tries=0
    until grep -q '"return"' "$dir/qmp.log"; do
        tries=$((tries + 1))
        running && [ "$tries" -lt "$START_TRIES_MAX" ] || return 1
        sleep 0.02
    done
}

power_off() {
    running || return 0
    kill -9 "$pid"
    tries=0
    while running; do
        tries=$((tries + 1))
        [ "$tries" -lt "$STOP_TRIES_MAX" ] || return 1
        sleep 0.02
    done
}

set_boot() {
    echo "$value" >"$dir/boot.new" && mv "$dir/boot.new" "$dir/boot" || return 1
    # The machine reads the order at its next reset, whoever causes it.
    running || return 0
    order '{"execute":"qom-set","arguments":{"path":"/machine/peripheral/net0","property":"bootindex","value":'"$(net_index)"'}}'
}

case "$verb $what $value" in
"get power ") running && echo power:1 || echo power:0 ;;
"get boot ") echo "boot:$(boot)" ;;
"set power 1") power_on ;;
"set power 0") power_off ;;
"set boot "*) set_boot ;;
"set reset "*) running && order '{"execute":"system_reset"}' ;;
"set shutdown "*) running && order '{"execute":"system_powerdown"}' ;;
*)
    echo "chassis.sh: unknown request: $verb $what $value" >&2
    exit 1
    ;;
esac
