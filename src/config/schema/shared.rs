//! What every resource has: how many there are, how they change, and blocks made from a collection.

use super::Takes::{Any, Attributes, Bool, Collection, ListOf, Number, Resources, String};
use super::resources::{attr, nested};
use super::{AttributeSchema, BlockSchema, LabelSchema, NestedSchema, Others, Times};

pub static SHARED_ATTRIBUTES: [AttributeSchema; 3] = [
    attr(
        "for_each",
        Collection,
        "One instance per key of a map, an object or a set of strings; inside, each.key and each.value.",
    )
    .example("toset([\"a\", \"b\"])"),
    attr("count", Number(0, 1_000_000), "So many instances; inside, count.index from 0."),
    attr("depends_on", Resources, "Resources that come first, where no attribute refers to them.")
        .example("[network.pxe]"),
];

pub static SHARED_BLOCKS: [NestedSchema; 2] = [
    nested(Times::AtMostOnce, &LIFECYCLE),
    nested(Times::Any, &DYNAMIC),
];

static LIFECYCLE: BlockSchema = BlockSchema {
    attributes: &[
        attr(
            "prevent_destroy",
            Bool,
            "A plan that destroys it is refused.",
        )
        .default("false"),
        attr(
            "ignore_changes",
            Attributes,
            "Attributes whose changes do nothing, or the word all.",
        )
        .example("[user_data]"),
        attr(
            "replace_triggered_by",
            Resources,
            "Resources or attributes: when one changes, this is made anew.",
        )
        .example("[image.jammy.sha256]"),
    ],
    blocks: &[
        nested(Times::Any, &PRECONDITION),
        nested(Times::Any, &POSTCONDITION),
    ],
    ..BlockSchema::new("lifecycle", "How its changes are carried out.")
};

pub static PRECONDITION: BlockSchema = BlockSchema {
    attributes: &CONDITION,
    ..BlockSchema::new("precondition", "What must hold before it is evaluated.")
};

static POSTCONDITION: BlockSchema = BlockSchema {
    attributes: &CONDITION,
    ..BlockSchema::new(
        "postcondition",
        "What must hold of the result; inside, self is the resource.",
    )
};

pub static CONDITION: [AttributeSchema; 2] = [
    attr("condition", Bool, "What must be true.")
        .required()
        .example("var.size > 0"),
    attr(
        "error_message",
        String,
        "What is said when it is not: a sentence with the next move.",
    )
    .required(),
];

static DYNAMIC: BlockSchema = BlockSchema {
    labels: &[LabelSchema {
        name: "block",
        words: &[],
    }],
    attributes: &[
        attr("for_each", Any, "One block per element of any collection.").required(),
        attr(
            "iterator",
            Attributes,
            "The name of the element inside content; the block's own name when left out.",
        ),
        attr("labels", ListOf(&String), "The labels of each block."),
    ],
    blocks: &[nested(Times::Once, &CONTENT)],
    ..BlockSchema::new("dynamic", "Nested blocks made from a collection.")
};

static CONTENT: BlockSchema = BlockSchema {
    others: Others::Allowed,
    ..BlockSchema::new("content", "The attributes and blocks of each block made.")
};
