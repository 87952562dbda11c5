//! What a policy may ask of a plan that does not exist yet.

use super::{codes, load_text, rendered};
use crate::config::codes as c;

fn asked(condition: &str, message: &str) -> crate::config::Loaded {
    load_text(&format!(
        "locals {{\n  most = 1\n  word = \"few\"\n}}\npolicy \"p\" {{\n  condition = {condition}\n  error_message = {message}\n}}\n"
    ))
}

/// A condition, the code of its mistake, and words of what is told.
const SLIPS: &[(&str, &str, &str)] = &[
    (
        "plan.slip == 1",
        c::NO_SUCH_ELEMENT,
        "plan has no attribute `slip`",
    ),
    (
        "plan[\"slip\"] == 1",
        c::NO_SUCH_ELEMENT,
        "plan has no attribute `slip`",
    ),
    (
        "plan.actions.craete == 0",
        c::NO_SUCH_ELEMENT,
        "plan.actions has no attribute `craete`",
    ),
    (
        "plan.actions.craete == 0",
        c::NO_SUCH_ELEMENT,
        "did you mean `create`?",
    ),
    (
        "plan.risks.destroys == 0",
        c::NO_SUCH_ELEMENT,
        "it has destroys_data, in_place, reboots,",
    ),
    (
        "alltrue([for c in plan.changes : c.knid != \"node\" if c.destructive])",
        c::NO_SUCH_ELEMENT,
        "a change of the plan has no attribute `knid`",
    ),
    (
        "alltrue([for c in plan.changes : true if c.destuctive])",
        c::NO_SUCH_ELEMENT,
        "did you mean `destructive`?",
    ),
    (
        "length(distinct(plan.changes[*].nodes)) < 2",
        c::NO_SUCH_ELEMENT,
        "did you mean `node`?",
    ),
    (
        "alltrue([for n, c in { for c in plan.changes : c.name => c } : c.lables.rack == \"r\"])",
        c::NO_SUCH_ELEMENT,
        "did you mean `labels`?",
    ),
    (
        "alltrue([for c in plan.changes : c.attributes.image.afetr == \"x\"])",
        c::NO_SUCH_ELEMENT,
        "an attribute of a change has no attribute `afetr`",
    ),
    (
        "plan.changes.kind == \"node\"",
        c::NO_SUCH_ELEMENT,
        "write [*] for all of them",
    ),
    (
        "plan.intent.x == \"apply\"",
        c::NO_SUCH_ELEMENT,
        "a string has no attribute `x`",
    ),
    (
        "plan.steps",
        c::OPERATION,
        "expected a bool, found a number",
    ),
    (
        "plan.intent",
        c::OPERATION,
        "expected a bool, found a string",
    ),
    (
        "!plan.changes",
        c::OPERATION,
        "length(...) is how many there are",
    ),
    (
        "plan.confined || plan.actions",
        c::OPERATION,
        "the operand of `||` has the wrong type",
    ),
    (
        "plan.changes < 3",
        c::OPERATION,
        "expected a number, found a list",
    ),
    (
        "plan.confined ? plan.steps : plan.destructive",
        c::OPERATION,
        "found a number",
    ),
    (
        "alltrue([for s in plan.steps : true])",
        c::FOR_EXPRESSION,
        "found a number",
    ),
    ("\"yes\"", c::OPERATION, "the condition has the wrong type"),
    ("local.word", c::OPERATION, "found \"few\""),
    ("null", c::OPERATION, "the condition must not be null"),
];

#[test]
fn slips_in_names_and_types_are_told_before_there_is_a_plan() {
    for (condition, code, told) in SLIPS {
        let loaded = asked(condition, "\"m\"");
        assert_eq!(
            codes(&loaded),
            [*code],
            "{condition}: {}",
            rendered(&loaded)
        );
        let text = rendered(&loaded);
        assert!(text.contains(told), "{condition}: {text}");
        assert!(text.contains("main.hcl:6:"), "{condition}: {text}");
    }
    let loaded = asked("plan.confined", "\"${plan.idd}\"");
    assert_eq!(
        codes(&loaded),
        [c::NO_SUCH_ELEMENT],
        "{}",
        rendered(&loaded)
    );
}

#[test]
fn what_only_a_plan_can_tell_is_left_to_it() {
    for condition in [
        "plan.steps < 10 * local.most && plan.destructive <= local.most",
        "length(distinct([for c in plan.changes : lookup(c.labels, \"rack\", \"\") if c.destructive])) <= 1",
        "alltrue([for c in plan.changes : c.labels.spare])",
        "alltrue([for c in plan.changes : c.labels[\"rack\"] != \"r1\"])",
        "plan.changes[3].risk == \"reboots\"",
        "plan.actions[\"delete\"] == 0",
        "try(plan.slip, 1) == 1",
        "!can(plan.slip)",
        "sum(values(plan.risks)) < 5 && max(values(plan.actions)...) < 3",
        "alltrue([for action, n in plan.actions : n < 5])",
        "alltrue([for c in plan.changes : c.attributes.image.after != \"x\" if can(c.attributes.image)])",
        "plan.intent == \"destroy\" ? plan.confined : plan.steps > 0",
        "length(flatten([for c in plan.changes : c.steps])) < 9",
        "alltrue([for s in plan.changes[0].steps : s != \"power on\"])",
        "local.most == 1",
        "\"true\"",
        "length({ for c in plan.changes : c.risk => c.name... }) < 3",
    ] {
        let loaded = asked(condition, "\"%{for c in plan.changes}${c.name} %{endfor}\"");
        assert_eq!(
            codes(&loaded),
            [""; 0],
            "{condition}: {}",
            rendered(&loaded)
        );
    }
}
