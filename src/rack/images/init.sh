#!/bin/sh
# The first process of the test systems: reads its config drive (NoCloud: a file system labelled CIDATA), calls home, answers
# on port 80, and stays up. Without a config drive, bmctl.phone_home=URL on the kernel's command line says where home is.
set -u
HOME_TRIES_MAX=60 # 2 s apart

say() { printf 'bmctl-test-system: %s\n' "$*"; }

# value FILE KEY: of `KEY: VALUE`, without quotes.
value() { sed -n "s/^ *$2: *//p" "$1" 2>/dev/null | sed "s/^[\"']//; s/[\"'] *\$//; q"; }

[ -d /proc/1 ] || mount -t proc proc /proc
[ -d /sys/class ] || mount -t sysfs sys /sys
[ -b /dev/vda ] || [ -e /dev/null ] || mount -t devtmpfs dev /dev

# The power button of a BMC.
mkdir -p /run/acpi/PWRF
printf '#!/bin/sh\nsync\npoweroff -f\n' >/run/acpi/PWRF/00000080
chmod 755 /run/acpi/PWRF/00000080
acpid -c /run/acpi -l /run/acpid.log -p /run/acpid.pid 2>/dev/null

url= instance=
hostname bmctl-test
for word in $(cat /proc/cmdline); do
    case $word in
    bmctl.phone_home=*) url=${word#*=} ;;
    esac
done
drive=$(findfs LABEL=CIDATA 2>/dev/null || findfs LABEL=cidata 2>/dev/null)
if [ -n "$drive" ] && mkdir -p /run/seed && mount -t vfat -o ro "$drive" /run/seed; then
    hostname "$(value /run/seed/meta-data local-hostname)"
    instance=$(value /run/seed/meta-data instance-id)
    told=$(value /run/seed/vendor-data url)
    [ -z "$told" ] || url=$told
    say "config drive $drive, instance $instance"
else
    say "no config drive"
fi

address=$(cat /run/address 2>/dev/null)
facts="hostname=$(hostname)&instance_id=$instance&address=$address&root=$(cat /run/root-device)"
if [ -n "$url" ]; then
    tries=0
    until wget -q -O /dev/null --post-data "$facts" "$url" 2>/run/wget.log; do
        tries=$((tries + 1))
        say "phone home, try $tries of $HOME_TRIES_MAX: $(cat /run/wget.log)"
        [ "$tries" -lt "$HOME_TRIES_MAX" ] || break
        sleep 2
    done
else
    say "nobody said where home is"
fi
mkdir -p /run/www
hostname >/run/www/index.html
httpd -p 80 -h /run/www
say "$facts"
say up
while :; do sleep 3600; done
