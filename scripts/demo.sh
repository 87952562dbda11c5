#!/usr/bin/env bash
# The whole job on a virtual rack of three machines: plan, apply, look, plan again, destroy. Run by `make demo`, as root.
set -uo pipefail
exec 3>&1

top=$(cd "$(dirname "$0")/.." && pwd)
bmctl=${BMCTL:-$top/target/release/bmctl}
work=$(mktemp -d /tmp/bmctl-demo.XXXXXX)
export BMCTL_KEY
BMCTL_KEY=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')

child=
clean() {
    # Whatever runs inside the rack goes first: its machines and its network go next.
    [ -n "$child" ] && kill "$child" 2>/dev/null && wait "$child" 2>/dev/null
    "$bmctl" -C "$work" rack down --purge >/dev/null 2>&1
    rm -rf "$work"
}
fail() {
    trap - EXIT INT TERM
    # It may have been called while a command's output goes to a file.
    exec >&3
    for log in "$work"/.bmctl/rack/nodes/*/console.log; do
        [ -s "$log" ] && { echo "--- $log"; tail -n 15 "$log"; }
    done
    clean
    echo "demo: FAILED: $1"
    exit 1
}
trap 'fail "interrupted"' INT TERM
trap clean EXIT
say() { printf '\n== %s\n' "$*"; }
# In the background, so that Ctrl-C is heard at once and not when the command ends.
run() {
    "$@" &
    child=$!
    wait "$child"
    local code=$?
    child=
    return $code
}
in_rack() { run "$bmctl" -C "$work" rack exec -- "$bmctl" -C "$work" "$@"; }

cp "$top"/examples/quickstart/*.hcl "$work"/ || fail "the example is missing"

say "a rack of three machines: two BIOS, one UEFI"
run "$bmctl" -C "$work" rack up --nodes 3 --firmware bios --firmware bios --firmware uefi || fail "the rack did not come up"
say "two systems to deploy, and the deploy ramdisk"
run "$bmctl" -C "$work" rack images || fail "the images could not be made"
run "$bmctl" -C "$work" ramdisk build || fail "the ramdisk could not be built"

say "bmctl plan"
in_rack plan || fail "plan"
say "bmctl apply"
begun=$(date +%s)
in_rack apply --auto-approve >"$work/apply.out" || { tail -n 20 "$work/apply.out"; fail "apply"; }
seconds=$(($(date +%s) - begun))
tail -n 1 "$work/apply.out"

say "bmctl show"
in_rack show || fail "show"
booted=$("$bmctl" -C "$work" show --json | python3 -c '
import json, sys
print(sum(1 for i in json.load(sys.stdin).values()
          if i["phase"]["phase"] == "running" and i["phoned"] and i["phoned"]["root"].startswith("/dev/")
          and i["phoned"]["hostname"] == i["desired"]["hostname"] and i["phoned"]["address"] in i["addresses"]))')

say "a second plan has nothing to do"
in_rack plan --detailed-exitcode || fail "the second plan is not empty"

say "bmctl destroy"
in_rack destroy --auto-approve >"$work/destroy.out" || { tail -n 20 "$work/destroy.out"; fail "destroy"; }
tail -n 1 "$work/destroy.out"
on=$("$bmctl" -C "$work" rack exec -- "$bmctl" -C "$work" power status | grep -c ': on')
[ "$on" = 0 ] || fail "$on machines are on after destroy"

say "the rack goes down"
"$bmctl" -C "$work" rack down --purge || fail "the rack did not go down"
[ "$booted" = 3 ] || fail "$booted of 3 instances booted from their own disk"
echo "demo: $booted of 3 instances booted from their own disk in $seconds s"
