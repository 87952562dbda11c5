//! The right to apply: one holder, replaced when it is gone, and fenced off when it comes back.

use std::time::Duration;

use bmctl::secret::Secret;
use bmctl::store::{Actor, Force, Hold, StoreError, TERM};

use super::{Place, on_both};

on_both! {
    one_holds_it_and_gives_it_back,
    a_dead_holder_of_this_host_is_replaced_at_once,
    a_holder_elsewhere_is_waited_for,
    a_heartbeat_keeps_it,
    a_fenced_handle_writes_nothing_more,
    of_many_one_wins,
}

const SHORT: Duration = Duration::from_millis(300);

/// Somebody on another host, where nobody here can look.
fn elsewhere() -> Actor {
    Actor {
        host: "elsewhere".to_owned(),
        ci_job: Some("https://ci/7".to_owned()),
        ..Actor::here()
    }
}

async fn one_holds_it_and_gives_it_back(place: Place) {
    let (store, other) = (place.open().await, place.open().await);
    let lease = store.acquire(&Actor::here(), TERM).await.unwrap();
    assert!(lease.is_sure());
    let locked = other.acquire(&elsewhere(), TERM).await.unwrap_err();
    let text = locked.to_string();
    assert!(matches!(locked, StoreError::Locked { .. }));
    assert!(
        text.contains(&format!("process {}", std::process::id())),
        "{text}"
    );
    let rows = other.leases().await.unwrap();
    assert_eq!((rows.len(), rows[0].token), (1, 1));
    assert!(rows[0].is_held());
    assert_eq!(rows[0].holder, Some(Actor::here()));
    let left = rows[0].expires_ms - rows[0].now_ms;
    assert!((25_000..=30_000).contains(&left), "{left}");
    let refused = other.release(Force::No).await;
    assert!(
        matches!(refused, Err(StoreError::StillHeld { .. })),
        "{refused:?}"
    );
    lease.release().await.unwrap();
    let lease = other.acquire(&elsewhere(), TERM).await.unwrap();
    let text = store
        .acquire(&Actor::here(), TERM)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("elsewhere") && text.contains("https://ci/7"),
        "{text}"
    );
    lease.release().await.unwrap();
}

async fn a_dead_holder_of_this_host_is_replaced_at_once(place: Place) {
    let store = place.open().await;
    let mut child = std::process::Command::new("sleep")
        .arg("60")
        .spawn()
        .unwrap();
    let mut dead = Actor::here();
    dead.pid = child.id();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    dead.start_ticks = fields[19].parse().unwrap();
    drop(store.acquire(&dead, TERM).await.unwrap());
    let alive = store.acquire(&Actor::here(), TERM).await;
    assert!(matches!(alive, Err(StoreError::Locked { .. })), "{alive:?}");
    child.kill().unwrap();
    // Before its parent has asked for it, it is a zombie; that is dead enough.
    while store.leases().await.unwrap()[0].is_held() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let lease = store.acquire(&Actor::here(), TERM).await.unwrap();
    lease.release().await.unwrap();
    child.wait().unwrap();
}

async fn a_holder_elsewhere_is_waited_for(place: Place) {
    let store = place.open().await;
    drop(store.acquire(&elsewhere(), SHORT).await.unwrap());
    let locked = store.acquire(&Actor::here(), TERM).await;
    assert!(
        matches!(locked, Err(StoreError::Locked { .. })),
        "{locked:?}"
    );
    tokio::time::sleep(SHORT).await;
    let lease = store.acquire(&Actor::here(), TERM).await.unwrap();
    assert_eq!(store.leases().await.unwrap()[0].token, 2);
    lease.release().await.unwrap();
}

async fn a_heartbeat_keeps_it(place: Place) {
    let (store, other) = (place.open().await, place.open().await);
    let lease = store.acquire(&elsewhere(), SHORT).await.unwrap();
    for _ in 0..10 {
        tokio::time::sleep(SHORT / 3).await;
        let locked = other.acquire(&Actor::here(), TERM).await;
        assert!(
            matches!(locked, Err(StoreError::Locked { .. })),
            "{locked:?}"
        );
    }
    assert!(lease.is_sure());
    assert_eq!(*lease.watch().borrow(), Hold::Held);
    lease.release().await.unwrap();
}

async fn a_fenced_handle_writes_nothing_more(place: Place) {
    let (store, other) = (place.open().await, place.open().await);
    let lease = store.acquire(&elsewhere(), SHORT).await.unwrap();
    let fenced = store.fenced(&lease);
    fenced.put_secret("a", &Secret::new("mine")).await.unwrap();
    let released = other.release(Force::Yes).await.unwrap();
    assert_eq!(released.holder, Some(elsewhere()));
    let new = other.acquire(&Actor::here(), TERM).await.unwrap();
    let late = fenced.put_secret("a", &Secret::new("late")).await;
    let Err(StoreError::Fenced { holder }) = &late else {
        panic!("{late:?}")
    };
    assert!(
        holder.contains(&format!("process {}", std::process::id())),
        "{holder}"
    );
    // Its own heartbeat finds out, and says so.
    let lost = lease.lost().await;
    assert!(matches!(lost, StoreError::Fenced { .. }), "{lost}");
    assert!(!lease.is_sure());
    assert!(lease.release().await.is_err());
    assert_eq!(other.secret("a").await.unwrap(), Secret::new("mine"));
    assert!(other.leases().await.unwrap()[0].is_held());
    // Those who answer nodes are not applies: they go on.
    store.put_secret("b", &Secret::new("served")).await.unwrap();
    new.release().await.unwrap();
}

async fn of_many_one_wins(place: Place) {
    let mut racing = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let store = place.open().await;
        racing.spawn(async move { store.acquire(&Actor::here(), TERM).await });
    }
    let won: Vec<bool> = racing.join_all().await.iter().map(Result::is_ok).collect();
    assert_eq!(won.iter().filter(|w| **w).count(), 1, "{won:?}");
}
