//! The node's side of the deploy channel, checked: docs/design/0001-deploy-channel.md. What is refused changes nothing.

use axum::http::StatusCode;
use subtle::ConstantTimeEq;

use crate::drivers::agent::{hmac, hmac_hex, parse_report, printable};
use crate::secret::Key32;
use crate::store::{Deployment, DeploymentStatus, RequestProof, Store, StoreError};
use crate::units::Mac;

/// Why a call was not taken: a status, and one line that says no more than the caller may know.
#[derive(Debug)]
pub struct Refusal {
    pub status: StatusCode,
    pub text: &'static str,
    /// For the log; names the MAC.
    pub why: String,
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        Refusal {
            status: StatusCode::SERVICE_UNAVAILABLE,
            text: "try again",
            why: error.to_string(),
        }
    }
}

fn refuse(status: StatusCode, text: &'static str, why: impl Into<String>) -> Refusal {
    Refusal {
        status,
        text,
        why: why.into(),
    }
}

/// `mac=`, `nonce=`, `proof=`, a line each, nothing else.
pub fn parse_exchange(body: &str) -> Option<(Mac, &str, &str)> {
    let mut lines = body.strip_suffix('\n')?.split('\n');
    let mac = lines.next()?.strip_prefix("mac=")?;
    let nonce = lines.next()?.strip_prefix("nonce=")?;
    let proof = lines.next()?.strip_prefix("proof=")?;
    let is_hex = |s: &str, len: usize| {
        s.len() == len
            && s.bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let parsed: Mac = mac.parse().ok()?;
    // The proof is over the text as sent: it must be the standard one.
    (lines.next().is_none() && parsed.to_string() == mac && is_hex(nonce, 32) && is_hex(proof, 64))
        .then_some((parsed, nonce, proof))
}

/// The one exchange of a token for a key. `server_nonce` is fresh random hex.
pub async fn exchange(
    store: &Store,
    body: &str,
    server_nonce: &str,
    now_ms: i64,
) -> Result<String, Refusal> {
    let (mac, nonce, proof) = parse_exchange(body)
        .ok_or_else(|| refuse(StatusCode::BAD_REQUEST, "malformed", "a malformed exchange"))?;
    let deployment = store.deployment_by_mac(mac).await?;
    let deployment = deployment.ok_or_else(|| {
        refuse(
            StatusCode::FORBIDDEN,
            "refused",
            format!("{mac}: an exchange, and no deployment is open"),
        )
    })?;
    let token = &deployment.token;
    let expected = hmac_hex(
        token,
        format!("bmctl exchange v1\n{mac}\n{nonce}\n").as_bytes(),
    );
    if !same(&expected, proof) {
        return Err(refuse(
            StatusCode::FORBIDDEN,
            "refused",
            format!("{mac}: an exchange with a wrong proof"),
        ));
    }
    if deployment.expires_ms <= now_ms {
        return Err(refuse(
            StatusCode::FORBIDDEN,
            "refused",
            format!("{mac}: the token has expired"),
        ));
    }
    let key = Key32::new(hmac(
        token,
        format!("bmctl key v1\n{mac}\n{nonce}\n{server_nonce}\n").as_bytes(),
    ));
    if !store.exchange(&deployment.id, mac, &key).await? {
        let alarm = "the token was used a second time: somebody else holds the boot script; look at the provisioning network, then apply again";
        store.stop_deployment(&deployment.id, alarm).await?;
        return Err(refuse(
            StatusCode::FORBIDDEN,
            "refused",
            format!("ALARM {mac}: {alarm}"),
        ));
    }
    let tag = hmac_hex(
        token,
        format!("bmctl exchanged v1\n{mac}\n{nonce}\n{server_nonce}\n").as_bytes(),
    );
    Ok(format!("nonce={server_nonce}\ntag={tag}\n"))
}

/// A request that has proved to come from the ramdisk, and its answer's key.
pub struct Call {
    pub deployment: Deployment,
    key: Key32,
    mac: Mac,
    seq: i64,
}

/// Headers of an authenticated request.
pub struct Headers<'a> {
    pub mac: &'a str,
    pub seq: &'a str,
    pub tag: &'a str,
}

impl Call {
    /// Checks who calls, and that the request is new.
    pub async fn authenticate(
        store: &Store,
        path: &str,
        headers: &Headers<'_>,
        body: &str,
    ) -> Result<Call, Refusal> {
        let malformed = || {
            refuse(
                StatusCode::BAD_REQUEST,
                "malformed",
                format!("a malformed {path}"),
            )
        };
        let mac: Mac = headers.mac.parse().map_err(|_| malformed())?;
        let seq: i64 = headers
            .seq
            .parse()
            .ok()
            .filter(|s| (1..i64::MAX).contains(s))
            .ok_or_else(malformed)?;
        let deployment = store.deployment_by_mac(mac).await?;
        let deployment = deployment.ok_or_else(|| {
            refuse(
                StatusCode::FORBIDDEN,
                "refused",
                format!("{mac}: {path}, and no deployment is open"),
            )
        })?;
        let key = deployment.key.clone();
        let key = key.ok_or_else(|| {
            refuse(
                StatusCode::FORBIDDEN,
                "refused",
                format!("{mac}: {path} before the exchange"),
            )
        })?;
        let text = format!("bmctl {path} v1\n{mac}\n{seq}\n{body}");
        if !same(&hmac_hex(&key, text.as_bytes()), headers.tag) || deployment.mac != Some(mac) {
            return Err(refuse(
                StatusCode::FORBIDDEN,
                "refused",
                format!("{mac}: {path} with a wrong tag"),
            ));
        }
        if deployment.status == DeploymentStatus::Stopped {
            return Err(refuse(
                StatusCode::GONE,
                "stopped",
                format!("{mac}: {path} of a stopped deployment"),
            ));
        }
        // No expiry here: the token's bounds the exchange, and a long write must still be told to reboot. The key ends with
        // the deployment.
        if !store.take_seq(&deployment.id, RequestProof { seq }).await? {
            return Err(refuse(
                StatusCode::CONFLICT,
                "repeated",
                format!("{mac}: {path} number {seq} was seen before"),
            ));
        }
        Ok(Call {
            deployment,
            key,
            mac,
            seq,
        })
    }

    /// The payload behind its tag.
    pub fn answer(&self, payload: &str) -> String {
        let text = format!("bmctl answer v1\n{}\n{}\n{payload}", self.mac, self.seq);
        format!("tag={}\n{payload}", hmac_hex(&self.key, text.as_bytes()))
    }

    pub async fn ready(&self, store: &Store, body: &str) -> Result<String, Refusal> {
        if let Err(why) = parse_report(body) {
            let why = format!("{}: a report that cannot be read: {why}", self.mac);
            return Err(refuse(StatusCode::BAD_REQUEST, "malformed", why));
        }
        store.ready(&self.deployment.id, body).await?;
        Ok(self.answer("ok\n"))
    }

    /// `id=`, `status=`, `message=`.
    pub async fn result(&self, store: &Store, body: &str) -> Result<String, Refusal> {
        let field = |name: &str| body.lines().find_map(|l| l.strip_prefix(name));
        let (id, status) = (field("id=").and_then(|i| i.parse().ok()), field("status="));
        let (Some(id), Some(status @ ("ok" | "error"))) = (id, status) else {
            return Err(refuse(
                StatusCode::BAD_REQUEST,
                "malformed",
                format!("{}: a malformed result", self.mac),
            ));
        };
        let message = printable(field("message=").unwrap_or_default());
        if !store
            .answer_command(&self.deployment.id, id, status, &message)
            .await?
        {
            let why = format!(
                "{}: a result for command {id}, which waits for none",
                self.mac
            );
            return Err(refuse(StatusCode::CONFLICT, "unexpected", why));
        }
        Ok(self.answer("ok\n"))
    }

    pub async fn error(&self, store: &Store, body: &str) -> Result<String, Refusal> {
        store
            .stop_deployment(
                &self.deployment.id,
                &format!("the ramdisk says: {}", printable(body)),
            )
            .await?;
        Ok(self.answer("ok\n"))
    }
}

fn same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

#[cfg(test)]
#[path = "channel_tests.rs"]
mod against_a_store;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_exchange_has_one_form() {
        let nonce = "0".repeat(32);
        let proof = "a".repeat(64);
        let good = format!("mac=52:54:00:00:00:01\nnonce={nonce}\nproof={proof}\n");
        assert!(parse_exchange(&good).is_some());
        for bad in [
            good.trim_end().to_owned(),
            good.replace("52:54", "52-54"),
            good.replace("00:01", "00:0G"),
            good.replace("mac=52:54:00:00:00:01", "mac=52:54:00:00:00:0A"),
            format!("{good}x=1\n"),
            good.replace("proof=a", "proof=A"),
        ] {
            assert!(parse_exchange(&bad).is_none(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused(body in "(mac=|nonce=|proof=|\n|[0-9a-f:]{0,40}|.){0,12}") {
            let _ = parse_exchange(&body);
        }
    }
}
