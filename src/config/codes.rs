//! The codes of configuration diagnostics. A code is a promise: its meaning does not change, a dropped one is not used again.

// E01xx: the text is not HCL
/// The text does not parse.
pub const SYNTAX: &str = "E0101";
/// A block, bracket, string or heredoc has no end.
pub const UNCLOSED: &str = "E0102";
/// A line ends inside a quoted string.
pub const NEWLINE_IN_STRING: &str = "E0103";
/// Brackets, templates or operators are nested too deep.
pub const NESTED_TOO_DEEP: &str = "E0104";
/// A number is too large or too long to be held exactly.
pub const NUMBER_TOO_LARGE: &str = "E0105";
/// A file is not UTF-8, too large, or cannot be read.
pub const UNREADABLE: &str = "E0106";
/// A directory holds no configuration.
pub const NO_CONFIGURATION: &str = "E0107";

// E02xx: an expression has no value
/// An operator or a template got a value of the wrong type, or null.
pub const OPERATION: &str = "E0201";
/// A division by zero.
pub const DIVISION_BY_ZERO: &str = "E0202";
/// An index or an attribute that the value does not have.
pub const NO_SUCH_ELEMENT: &str = "E0203";
/// A function of that name does not exist.
pub const UNKNOWN_FUNCTION: &str = "E0204";
/// A function refused its arguments.
pub const FUNCTION: &str = "E0205";
/// A conditional, whose two results have no common type.
pub const CONDITIONAL: &str = "E0206";
/// A for-expression over something else than a collection, or with a key twice.
pub const FOR_EXPRESSION: &str = "E0207";
/// The evaluation needs more work or memory than is allowed.
pub const BUDGET: &str = "E0208";
/// A number or a string grew beyond its limit.
pub const TOO_LARGE: &str = "E0209";
/// A file or an environment variable that an expression asks for cannot be read.
pub const SOURCE: &str = "E0210";

// E03xx: a block is not what its kind asks for
/// A block type that does not exist there.
pub const UNKNOWN_BLOCK: &str = "E0301";
/// An attribute that does not exist there.
pub const UNKNOWN_ATTRIBUTE: &str = "E0302";
/// A required attribute or block is missing.
pub const MISSING: &str = "E0303";
/// A value has the wrong type.
pub const WRONG_TYPE: &str = "E0304";
/// A value has the right type, and is still not allowed.
pub const WRONG_VALUE: &str = "E0305";
/// A block has too many or too few labels, or a label that is not a name.
pub const LABELS: &str = "E0306";
/// The same thing is declared twice.
pub const DUPLICATE: &str = "E0307";
/// A sensitive value stands where it would be printed.
pub const SENSITIVE: &str = "E0308";
/// Part of the language, and not built.
pub const NOT_BUILT: &str = "E0309";
/// `for_each` or `count` has a value that gives no set of instances.
pub const EXPANSION: &str = "E0310";
/// This version of bmctl is not one that `required_version` allows.
pub const VERSION: &str = "E0311";
/// A module's `source` is not one, or leads nowhere.
pub const MODULE_SOURCE: &str = "E0312";
/// A module from a repository that has not been fetched.
pub const NOT_FETCHED: &str = "E0313";
/// The lock file, and what it says against what is there.
pub const LOCK: &str = "E0314";
/// Modules that call each other in a circle, or too deep, or too often.
pub const MODULE_LOOP: &str = "E0315";
/// A precondition, a postcondition or a check does not hold.
pub const CONDITION: &str = "E0316";
/// A `moved`, `removed` or `import` block that makes no sense.
pub const MOVES: &str = "E0317";
/// An attribute of `lifecycle` that cannot be followed.
pub const LIFECYCLE: &str = "E0318";
/// A `policy` block that makes no sense.
pub const POLICY: &str = "E0319";
/// A `rollout` block that makes no sense.
pub const ROLLOUT: &str = "E0320";
/// A `window` block that makes no sense.
pub const WINDOW: &str = "E0321";
/// A policy that a plan does not meet.
pub const POLICY_BROKEN: &str = "E0618";

// E04xx: a reference leads nowhere
/// A name that is not declared.
pub const UNDECLARED: &str = "E0401";
/// A resource that exists, with a key that does not.
pub const NO_SUCH_INSTANCE: &str = "E0402";
/// Declarations need each other in a circle.
pub const CYCLE: &str = "E0403";
/// A fact that exists only after acting.
pub const AFTER_ACTING: &str = "E0404";
/// A reference to the wrong kind of resource.
pub const WRONG_KIND: &str = "E0405";
/// `each` or `count` outside of a block that has them.
pub const NO_EACH: &str = "E0406";

// E07xx: variables (E05xx are the rules of `model`, E06xx the plan's)
/// A variable has no value and no default.
pub const NO_VALUE: &str = "E0701";
/// A value for a variable that is not declared.
pub const UNDECLARED_VARIABLE: &str = "E0702";
/// A variable's value does not have its type.
pub const VARIABLE_TYPE: &str = "E0703";
/// A variable's value fails a validation.
pub const VALIDATION: &str = "E0704";
/// A type constraint that is not one.
pub const TYPE_CONSTRAINT: &str = "E0705";
