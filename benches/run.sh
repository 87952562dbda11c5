#!/usr/bin/env bash
# Every figure of the README, measured and written between its markers. Each part can be run alone: `benches/run.sh plan records`
# measures these again and leaves the others as they are. The parts on the virtual rack need root.
set -euo pipefail
cd "$(dirname "$0")/.."
machine="$(nproc) processors ($(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1))"
measured=$(mktemp)
trap 'rm -f "$measured"' EXIT

part() { # name, heading, command: what it prints goes into the README under its heading
    local name=$1 heading=$2
    shift 2
    case " $wanted " in *" $name "*) ;; *) return 0 ;; esac
    echo "== $heading" >&2
    "$@" | tee /dev/stderr | sed 's/^/    /' >"$measured"
    python3 - "$heading" "$machine" "$(date +%F)" "$measured" <<'PY'
import re, sys
heading, machine, day, figures = sys.argv[1], sys.argv[2], sys.argv[3], open(sys.argv[4]).read()
readme = open("README.md").read()
begin, end = "<!-- figures: written by benches/run.sh -->\n", "<!-- end of figures -->"
before, rest = readme.split(begin)
old, after = rest.split(end)
parts = {}
for text in re.findall(r"^(\S.*\n(?:    .*\n)*)", old.split("```text\n")[1].split("```")[0], re.M):
    # Each part says when and on what it was measured.
    parts[re.sub(r" \[.*\]$", "", text.split("\n")[0])] = text
parts[heading] = f"{heading} [{day}, {machine}]\n{figures}"
intro = "Measured by `make bench`, on the processors named beside each part. Machines of the rack are emulated in software on the same processors.\n\n"
open("README.md", "w").write(before + begin + intro + "```text\n" + "".join(parts.values()) + "```\n" + end + after)
PY
}

wanted=${*:-plan language rack records write}
part plan "plan: one node, one NIC and one instance each" benches/plan.sh 1000 10000
part language "the language: read, evaluate, decode and check, best of three; terraform plans the same shapes with terraform_data" benches/language.sh
part rack "apply on the virtual rack, by step" benches/apply.sh
part records "apply on the simulated rack, with durable SQLite; terraform with as many resources that do nothing" benches/apply_sim.sh 1000 10000
part write "256 MiB of random bytes to a tgt target on loopback: qemu-img convert -n -W -m 16, bmctl, bmctl with its verification" benches/write.sh
