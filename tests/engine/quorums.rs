//! How many of a group may be down at once, judged by what was seen of them.

use std::collections::BTreeMap;

use bmctl::config::Loaded;
use bmctl::model::{Observed, PowerSeen, Quorum};
use bmctl::plan::{Intent, quorum};

use super::racks::{fleet, nodes};
use super::rig::Rig;

fn three(first: &str) -> Loaded {
    fleet(&format!(
        "{}\ninstance \"i\" {{\n  count  = 3\n  flavor = flavor.small\n  image  = count.index == 0 ? {first} : image.part\n  node   = node.n[count.index]\n}}\n",
        nodes(3)
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_does_not_answer_counts_as_down() {
    let mut rig = Rig::new("seed=1").await;
    rig.apply(&three("image.part")).await;
    let wanted = three("image.disk");
    let plan = rig.plan(&wanted, Intent::Apply).await;
    let recorded = rig.recorded().await;
    let one = Quorum {
        labels: BTreeMap::new(),
        at_most: 1,
    };
    let judge =
        |observed: &Observed| quorum::broken(&one, &plan, &wanted.fleet, &recorded, observed);
    let mut observed = Observed::default();
    let other = "node.n[1]".parse().unwrap();
    observed.power.insert(other, PowerSeen::On);
    assert_eq!(judge(&observed), None);
    let silent = PowerSeen::Unknown("no answer within 15 s".to_owned());
    observed.power.insert("node.n[1]".parse().unwrap(), silent);
    let broken = judge(&observed).unwrap();
    assert!(broken.contains("2 would be (1 already)"), "{broken}");
    assert!(broken.contains("node.n[1] does not answer"), "{broken}");
}
