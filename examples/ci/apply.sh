#!/usr/bin/env bash
# After the merge: what was reviewed is carried out, that and nothing else. A plan that is stale is refused with exit code 5: plan
# again and review again. A run that died is continued by the next one.
set -euo pipefail

: "${BMCTL:=bmctl}"
"$BMCTL" init
"$BMCTL" verify plan.bmctl ${BMCTL_VERIFY_ARGS:-}
"$BMCTL" apply plan.bmctl --lock-timeout 10m --json-into apply.jsonl ${BMCTL_PLAN_ARGS:-}
