//! What `plan` has in a condition, by name and type. `plan::view` makes its value; a test holds the two together.

/// The type of something in a condition, as far as it is known before there is a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Says {
    Bool,
    Number,
    Text,
    /// A list, and what each of its elements is.
    Many(Box<Says>),
    /// Names that the configuration chooses, and what stands under each.
    ByName(Box<Says>),
    /// An object whose names are known.
    Known(Object),
    /// Known once there is a plan.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    Plan,
    /// How many changes there are of each action.
    Actions,
    /// How many there are of each risk.
    Risks,
    Change,
    /// An attribute as it was and as it is to be.
    Difference,
}

impl Object {
    pub fn called(self) -> &'static str {
        match self {
            Object::Plan => "plan",
            Object::Actions => "plan.actions",
            Object::Risks => "plan.risks",
            Object::Change => "a change of the plan",
            Object::Difference => "an attribute of a change",
        }
    }

    pub fn names(self) -> &'static [&'static str] {
        match self {
            Object::Plan => &[
                "actions",
                "changes",
                "confined",
                "destructive",
                "intent",
                "risks",
                "steps",
            ],
            Object::Actions => &[
                "adopt", "create", "delete", "forget", "move", "redeploy", "replace", "resume",
                "update",
            ],
            Object::Risks => &[
                "destroys_data",
                "in_place",
                "reboots",
                "redeploys",
                "replaces_elsewhere",
            ],
            Object::Change => &[
                "action",
                "address",
                "attributes",
                "destructive",
                "disk",
                "kind",
                "labels",
                "name",
                "node",
                "reasons",
                "risk",
                "steps",
            ],
            Object::Difference => &["after", "before"],
        }
    }

    /// `None`: it has nothing of that name.
    pub fn attribute(self, name: &str) -> Option<Says> {
        if !self.names().contains(&name) {
            return None;
        }
        let many = |of: Says| Says::Many(Box::new(of));
        let by_name = |of: Says| Says::ByName(Box::new(of));
        Some(match self {
            Object::Plan => match name {
                "actions" => Says::Known(Object::Actions),
                "changes" => many(Says::Known(Object::Change)),
                "confined" => Says::Bool,
                "destructive" | "steps" => Says::Number,
                "risks" => Says::Known(Object::Risks),
                _ => Says::Text,
            },
            Object::Actions | Object::Risks => Says::Number,
            Object::Change => match name {
                "attributes" => by_name(Says::Known(Object::Difference)),
                "destructive" => Says::Bool,
                // What a label says may be read as a number or a bool.
                "labels" => by_name(Says::Unknown),
                "reasons" | "steps" => many(Says::Text),
                _ => Says::Text,
            },
            Object::Difference => Says::Unknown,
        })
    }

    /// What every one of its names has, for loops over it.
    pub fn each(self) -> Says {
        match self {
            Object::Actions | Object::Risks => Says::Number,
            Object::Plan | Object::Change | Object::Difference => Says::Unknown,
        }
    }
}

impl Says {
    /// With its article, as a message calls it.
    pub fn shown(&self) -> &'static str {
        match self {
            Says::Bool => "a bool",
            Says::Number => "a number",
            Says::Text => "a string",
            Says::Many(_) => "a list",
            Says::ByName(_) => "a map",
            Says::Known(_) => "an object",
            Says::Unknown => "something else",
        }
    }
}
