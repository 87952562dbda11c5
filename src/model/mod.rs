//! L1, PURE. What a fleet is: the typed resources of a configuration, the rules over all of them, what state remembers of
//! them, what was seen of them, and the events of a run. Takes and gives values; imports L0 only; never reads a clock, a
//! file or a socket.

pub mod event;
pub mod fleet;
pub mod gate;
pub mod image;
pub mod instance;
pub mod lifecycle;
pub mod network;
pub mod node;
pub mod observed;
pub mod policy;
pub mod recorded;
pub mod rollout;
pub mod rules;
pub mod site;
pub mod window;

pub use fleet::{Fleet, Origin};
pub use gate::{Check, Gate};
pub use image::{Flavor, Image, ImageFacts, ImageFormat, ImageType};
pub use instance::{
    AddressRequest, Drift, Erase, ExistingData, Instance, OnDrift, PowerState, UserDataChange,
};
pub use lifecycle::{Ignore, Import, Lifecycle, Moved, Removed, Subject, Trigger};
pub use network::{DhcpRange, Network};
pub use node::{Arch, Firmware, Nic, Node, PowerConfig, RootDevice};
pub use observed::{BootSeen, Observed, PowerSeen};
pub use policy::{Finding, Quorum, Weight};
pub use recorded::{Ground, InstancePhase, InstanceRecord, Recorded, Resource, Traces};
pub use site::{BiosLoader, DhcpMode, Limits, PerLabel, Site};
