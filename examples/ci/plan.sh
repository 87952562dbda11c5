#!/usr/bin/env bash
# Every merge request: the plan as a file, signed; a comment; a page; and an exit code that says whether there is anything to do.
# Needs: BMCTL_KEY, the variables of the configuration as BMCTL_VAR_name, and SIGNING_KEY, the path of a key of `bmctl keygen`.
set -euo pipefail

: "${BMCTL:=bmctl}"
"$BMCTL" init
"$BMCTL" fmt --check
"$BMCTL" validate
status=0
"$BMCTL" plan --out plan.bmctl --report plan.md --report plan.html --json-into plan.jsonl \
    ${SIGNING_KEY:+--sign "$SIGNING_KEY"} --detailed-exitcode ${BMCTL_PLAN_ARGS:-} || status=$?
# 2 means changes, 7 that a policy or a guard refuses them: both have a report to read.
case $status in
    0) echo "nothing to do" ;;
    2) echo "changes: see plan.md" ;;
    *) exit "$status" ;;
esac
