//! The configurations that the engine's tests carry out.

use bmctl::config::Loaded;

use crate::fleet::{load, without_mistakes};

pub const BASE: &str = include_str!("../plan/base.hcl");

pub fn fleet(rest: &str) -> Loaded {
    without_mistakes(load(&[("base.hcl", BASE), ("main.hcl", rest)]))
}

pub fn nodes(many: usize) -> String {
    format!(
        r#"
node "n" {{
  count     = {many}
  site      = site.lab
  arch      = "x86_64"
  cpus      = 2
  memory_mb = 2048
  local_gb  = 20
  root_device {{ serial = "S${{count.index}}" }}
  power "ipmi" {{
    address  = cidrhost("10.98.0.0/24", count.index + 1)
    user     = "admin"
    password = "hunter2"
  }}
}}

nic "n" {{
  count   = {many}
  node    = node.n[count.index]
  network = network.pxe
  mac     = format("52:54:00:00:00:%02x", count.index)
  pxe     = true
}}
"#
    )
}

/// Thirty systems on thirty-two machines.
pub fn thirty() -> Loaded {
    fleet(&format!(
        r#"{}
instance "web" {{
  count     = 20
  flavor    = flavor.small
  image     = image.part
  user_data = "password: hunter2"
  address {{ network = network.pxe }}
}}

instance "db" {{
  count       = 10
  flavor      = flavor.small
  image       = image.disk
  erase       = "metadata"
  power_state = count.index < 5 ? "on" : "off"
}}
"#,
        nodes(32)
    ))
}

pub fn before_the_crash() -> Loaded {
    fleet(&format!(
        r#"{}
instance "written-anew" {{
  flavor    = flavor.small
  image     = image.part
  user_data = "password: hunter2"
  node      = node.n[0]
}}

instance "goes" {{
  flavor = flavor.small
  image  = image.disk
  erase  = "zero"
  node   = node.n[1]
}}

instance "moves" {{
  flavor    = flavor.small
  image     = image.disk
  erase     = "metadata"
  user_data = "password: hunter2"
  node      = node.n[2]
}}

instance "off" {{
  flavor = flavor.small
  image  = image.disk
  node   = node.n[3]
}}
"#,
        nodes(5)
    ))
}

/// Every kind of change at once: written anew, removed, moved onto the removed one's node, switched off, created.
pub fn after_the_crash() -> Loaded {
    fleet(&format!(
        r#"{}
instance "written-anew" {{
  flavor    = flavor.small
  image     = image.disk
  user_data = "password: hunter2"
  node      = node.n[0]
}}

instance "moves" {{
  flavor    = flavor.small
  image     = image.disk
  erase     = "metadata"
  user_data = "password: hunter2"
  node      = node.n[1]
}}

instance "off" {{
  flavor      = flavor.small
  image       = image.disk
  node        = node.n[3]
  power_state = "off"
}}

instance "new" {{
  flavor = flavor.small
  image  = image.part
  node   = node.n[4]
  address {{ network = network.pxe }}
}}
"#,
        nodes(5)
    ))
}

/// All that changes addresses at once: nodes and instances with keys, the site, an instance left to itself and another that takes
/// over its node; beside them one that is taken down, and one that is created on the node it leaves.
pub fn after_the_moves() -> Loaded {
    let renamed = nodes(5)
        .replace("node \"n\"", "node \"m\"")
        .replace("node.n[", "node.m[");
    fleet(&format!(
        r#"{renamed}
moved {{
  from = node.n
  to   = node.m
}}

moved {{
  from = instance.moves
  to   = instance.moved["a"]
}}

removed {{
  from = instance.off
  lifecycle {{ destroy = false }}
}}

import {{
  to = instance.adopted
  id = node.m[3]
}}

instance "written-anew" {{
  count     = 1
  hostname  = "written-anew"
  flavor    = flavor.small
  image     = image.part
  user_data = "password: hunter2"
  node      = node.m[0]
}}

instance "new" {{
  flavor = flavor.small
  image  = image.part
  node   = node.m[1]
}}

instance "moved" {{
  for_each  = toset(["a"])
  hostname  = "moves"
  flavor    = flavor.small
  image     = image.disk
  erase     = "metadata"
  user_data = "password: hunter2"
  node      = node.m[4]
}}

instance "adopted" {{
  flavor = flavor.small
  image  = image.disk
}}
"#
    ))
}
