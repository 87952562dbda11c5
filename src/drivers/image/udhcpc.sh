#!/bin/sh
# What udhcpc runs when it has an answer: $1 is the event, the lease is in the environment.
case $1 in
deconfig)
    ip link set "$interface" up
    ;;
bound | renew)
    ip addr replace "$ip/${mask:-24}" dev "$interface"
    for gateway in $router; do
        ip route replace default via "$gateway" dev "$interface"
        break
    done
    printf '%s\n' "$ip" >/run/address
    ;;
esac
