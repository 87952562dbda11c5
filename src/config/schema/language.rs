//! The blocks of the language itself: what is not a resource.

use super::Takes::{
    Address, Any, Bool, Collection, ListOf, MapOf, Number, Resources, String, Text, Type, Words,
};
use super::shared::{CONDITION, PRECONDITION};
use super::{AttributeSchema, BlockSchema, Form, LabelSchema, NestedSchema, Others, Takes, Times};

const NAME: &[LabelSchema] = &[LabelSchema {
    name: "name",
    words: &[],
}];

const fn attr(name: &'static str, takes: Takes, doc: &'static str) -> AttributeSchema {
    AttributeSchema::new(name, takes, doc)
}

const fn any(block: &'static BlockSchema) -> NestedSchema {
    NestedSchema {
        times: Times::Any,
        block,
    }
}

const fn at_most_once(block: &'static BlockSchema) -> NestedSchema {
    NestedSchema {
        times: Times::AtMostOnce,
        block,
    }
}

pub static BLOCKS: [&BlockSchema; 12] = [
    &BMCTL, &VARIABLE, &LOCALS, &OUTPUT, &MODULE, &CHECK, &POLICY, &ROLLOUT, &WINDOW, &MOVED,
    &REMOVED, &IMPORT,
];

static BMCTL: BlockSchema = BlockSchema {
    attributes: &[
        attr(
            "required_version",
            Text(Form::Versions),
            "Versions of bmctl that may read this.",
        )
        .example("\">= 0.1, < 2\""),
        attr(
            "trusted_keys",
            ListOf(&String),
            "Only plans that one of these keys signed are carried out; `bmctl keygen` makes them.",
        )
        .default("[]"),
    ],
    blocks: &[at_most_once(&STATE)],
    ..BlockSchema::new("bmctl", "Settings of the program.")
};

static STATE: BlockSchema = BlockSchema {
    labels: &[LabelSchema {
        name: "backend",
        words: &["sqlite", "postgres"],
    }],
    attributes: &[
        attr(
            "path",
            Text(Form::Path),
            "sqlite: the folder; .bmctl when left out.",
        ),
        attr("url", String, "postgres: the connection.")
            .secret()
            .example("env(\"BMCTL_PG\")"),
        attr(
            "workspace",
            String,
            "postgres: which of the states on that server; lower-case letters, digits and _.",
        )
        .default("default"),
    ],
    ..BlockSchema::new("state", "Where state is kept.")
};

static VARIABLE: BlockSchema = BlockSchema {
    labels: NAME,
    attributes: &[
        attr(
            "type",
            Type,
            "What values it takes; in objects, optional(type, default).",
        )
        .default("any")
        .example("map(object({ cpus = number }))"),
        attr(
            "default",
            Any,
            "The value when none is given; without it, one is required.",
        ),
        attr("description", String, "What it is for."),
        attr("sensitive", Bool, "Its value is not shown.").default("false"),
        attr("nullable", Bool, "false: null becomes the default.").default("true"),
    ],
    blocks: &[any(&VALIDATION)],
    ..BlockSchema::new("variable", "A value from outside: var.name.")
};

static VALIDATION: BlockSchema = BlockSchema {
    attributes: &CONDITION,
    ..BlockSchema::new("validation", "What the value must be.")
};

static LOCALS: BlockSchema = BlockSchema {
    others: Others::Allowed,
    ..BlockSchema::new("locals", "Named values: local.name.")
};

static OUTPUT: BlockSchema = BlockSchema {
    labels: NAME,
    attributes: &[
        attr("value", Any, "What is shown; a resource by its address.").required(),
        attr("description", String, "What it is for."),
        attr(
            "sensitive",
            Bool,
            "Must be true when the value is sensitive.",
        )
        .default("false"),
        attr("depends_on", Resources, "Resources that come first."),
    ],
    blocks: &[any(&PRECONDITION)],
    ..BlockSchema::new("output", "A value for people and scripts: bmctl output.")
};

static MODULE: BlockSchema = BlockSchema {
    labels: NAME,
    attributes: &[
        attr(
            "source",
            String,
            "A path that begins with ./ or ../, or a git source with ?ref=.",
        )
        .required()
        .example("\"./modules/rack\""),
        attr(
            "for_each",
            Collection,
            "One copy per key of a map, an object or a set of strings.",
        ),
        attr("count", Number(0, 1_000_000), "So many copies."),
        attr(
            "depends_on",
            Resources,
            "Resources and modules that come first.",
        ),
    ],
    others: Others::Allowed,
    ..BlockSchema::new(
        "module",
        "Another folder of configuration; other attributes are its variables.",
    )
};

static CHECK: BlockSchema = BlockSchema {
    labels: NAME,
    blocks: &[any(&ASSERT)],
    ..BlockSchema::new("check", "What should hold; a warning when it does not.")
};

static ASSERT: BlockSchema = BlockSchema {
    attributes: &CONDITION,
    ..BlockSchema::new("assert", "One condition of a check.")
};

static POLICY: BlockSchema = BlockSchema {
    labels: NAME,
    attributes: &[
        attr(
            "severity",
            Words(&["warn", "approve", "block"]),
            "What comes of a plan that does not meet it: it is told, needs `--approve NAME`, or is not carried out.",
        )
        .default("\"block\""),
        attr("condition", Any, "What has to hold, over `plan`.")
            .example("plan.risks.destroys_data <= 2"),
        attr("error_message", String, "What is told when it does not."),
    ],
    blocks: &[at_most_once(&AT_MOST_DOWN)],
    ..BlockSchema::new("policy", "What a plan must meet to be carried out.")
};

static AT_MOST_DOWN: BlockSchema = BlockSchema {
    attributes: &[
        attr(
            "labels",
            MapOf(&String),
            "The nodes that have all of these; all nodes when left out.",
        )
        .default("{}"),
        attr("n", Number(0, u32::MAX as u64), "So many of them.").required(),
    ],
    ..BlockSchema::new("at_most_down", "How many of a group may be down at once.")
};

static ROLLOUT: BlockSchema = BlockSchema {
    labels: NAME,
    attributes: &[
        attr(
            "match_labels",
            MapOf(&String),
            "It is about instances on nodes with all of these; all instances when left out.",
        )
        .default("{}"),
        attr(
            "canary",
            Any,
            "How many go first, alone: a number, or a percentage.",
        )
        .example("1"),
        attr(
            "wave",
            Any,
            "How many go at a time: a number, or a percentage.",
        )
        .required()
        .example("\"25%\""),
        attr(
            "failures",
            Number(0, u32::MAX as u64),
            "So many failed instances do not stop it.",
        )
        .default("0"),
        attr(
            "pause",
            Number(0, u32::MAX as u64),
            "Seconds between the end of a wave and the start of the next.",
        )
        .default("0"),
    ],
    blocks: &[at_most_once(&PER_LABEL), any(&GATE)],
    ..BlockSchema::new("rollout", "How a change goes through the fleet in turn.")
};

static PER_LABEL: BlockSchema = BlockSchema {
    attributes: &[
        attr(
            "label",
            String,
            "Nodes with the same value of this label are a group.",
        )
        .required()
        .example("\"rack\""),
        attr("n", Number(1, u32::MAX as u64), "So many of a group.").required(),
    ],
    ..BlockSchema::new("at_most_down", "How many of a group may be down at once.")
};

static GATE: BlockSchema = BlockSchema {
    labels: &[LabelSchema {
        name: "kind",
        words: &["phone_home", "tcp", "http", "command"],
    }],
    attributes: &[
        attr(
            "port",
            Number(1, 65535),
            "The port that is to answer; 80 for http when left out.",
        ),
        attr("path", String, "What http asks for.").default("/"),
        attr("status", Number(100, 599), "What http is to answer.").default("200"),
        attr(
            "command",
            ListOf(&String),
            "A program on the machine of apply, and its arguments; it is to end with 0.",
        )
        .example("[\"./smoke.sh\", \"fast\"]"),
        attr(
            "timeout",
            Number(1, u32::MAX as u64),
            "Seconds after which the gate has failed.",
        )
        .default("300"),
        attr(
            "interval",
            Number(1, u32::MAX as u64),
            "Seconds from one answer to the next question.",
        )
        .default("5"),
    ],
    ..BlockSchema::new(
        "gate",
        "What each instance has to pass before the next wave begins.",
    )
};

static WINDOW: BlockSchema = BlockSchema {
    labels: NAME,
    attributes: &[
        attr(
            "match_labels",
            MapOf(&String),
            "It is about instances on nodes with all of these; all instances when left out.",
        )
        .default("{}"),
        attr(
            "days",
            ListOf(&Words(&["mon", "tue", "wed", "thu", "fri", "sat", "sun"])),
            "The days on which it begins; all of them when left out.",
        )
        .default("[]"),
        attr("from", String, "When it opens.")
            .required()
            .example("\"22:00\""),
        attr(
            "to",
            String,
            "When it closes; the next day, when that is not after `from`.",
        )
        .required()
        .example("\"04:00\""),
        attr("zone", String, "What its clock is ahead of UTC.").default("\"+00:00\""),
    ],
    ..BlockSchema::new(
        "window",
        "When machines may be deployed, rebooted or taken down.",
    )
};

static MOVED: BlockSchema = BlockSchema {
    attributes: &[
        attr("from", Address, "The address it had.")
            .required()
            .example("node.old"),
        attr("to", Address, "The address it has.")
            .required()
            .example("node.rack[\"r1-01\"]"),
    ],
    ..BlockSchema::new(
        "moved",
        "A resource or module that has another address; nothing is done to it.",
    )
};

static REMOVED: BlockSchema = BlockSchema {
    attributes: &[attr("from", Address, "The address it had.")
        .required()
        .example("instance.old")],
    blocks: &[at_most_once(&REMOVED_LIFECYCLE)],
    ..BlockSchema::new(
        "removed",
        "A resource or module taken out of the configuration.",
    )
};

static REMOVED_LIFECYCLE: BlockSchema = BlockSchema {
    attributes: &[attr(
        "destroy",
        Bool,
        "false: it is forgotten and stays as it is.",
    )
    .default("true")],
    ..BlockSchema::new("lifecycle", "What becomes of it.")
};

static IMPORT: BlockSchema = BlockSchema {
    attributes: &[
        attr("to", Address, "The address it gets.")
            .required()
            .example("instance.web"),
        attr("id", String, "What exists, by its own name.").required(),
        attr(
            "for_each",
            Collection,
            "One import per key; inside, each.key and each.value.",
        ),
    ],
    ..BlockSchema::new("import", "Something that exists, taken into state.")
};
