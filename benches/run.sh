#!/usr/bin/env bash
# Every figure of the README, measured and written between its markers. Each part can be run alone. Needs root.
set -euo pipefail
cd "$(dirname "$0")/.."
figures=$(mktemp)
trap 'rm -f "$figures"' EXIT
part() {
    echo "== $1" >&2
    printf '%s\n' "$1" >>"$figures"
    shift
    "$@" | tee /dev/stderr | sed 's/^/    /' >>"$figures"
}
machine="$(nproc) processors ($(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)), $(date +%F)"
echo "Measured by \`make bench\` on $machine. Machines of the rack are emulated in software on the same processors." >"$figures"
echo >>"$figures"
echo '```text' >>"$figures"
part "plan: one node, one NIC and one instance each" benches/plan.sh 1000 10000
part "the language: read, evaluate, decode and check, best of three; terraform plans the same shapes with terraform_data" benches/language.sh
part "apply on the virtual rack, by step" benches/apply.sh
part "apply on the simulated rack, with durable SQLite; terraform with as many resources that do nothing" benches/apply_sim.sh 1000 10000
part "256 MiB of random bytes to a tgt target on loopback: qemu-img convert -n -W -m 16, bmctl, bmctl with its verification" benches/write.sh
echo '```' >>"$figures"
python3 - "$figures" <<'PY'
import re, sys
figures, readme = open(sys.argv[1]).read(), open("README.md").read()
block = f"<!-- figures: written by benches/run.sh -->\n{figures}<!-- end of figures -->"
readme = re.sub(r"<!-- figures.*?(<!-- end of figures -->|$(?=\n\n## More))", lambda _: block, readme, count=1, flags=re.S | re.M)
open("README.md", "w").write(readme)
PY
