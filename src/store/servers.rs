//! The servers that a URL names: one, or several of which one takes writes. libpq's form, which the driver does not read:
//! `postgres://user@one:5432,two:5432/database?target_session_attrs=read-write`.

use std::io;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};

use super::StoreError;

/// How long one attempt to get a connection may take.
pub const CONNECT: Duration = Duration::from_secs(5);

/// What a URL says about which server to choose. A state is written to, whatever else is done: no other value has a use.
const CHOICE: &str = "target_session_attrs=";
const CHOICES: [&str; 3] = ["any", "primary", "read-write"];

/// What a URL may say after `?`: what the driver reads.
const PARAMETERS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

#[derive(Debug)]
pub struct Servers {
    /// At least one, in the order of the URL.
    all: Vec<PgConnectOptions>,
}

impl Servers {
    /// The error says nothing of the URL, which has a password in it.
    pub fn parse(url: &str) -> Result<Servers, StoreError> {
        let unread = || {
            StoreError::Connection(
                "the url cannot be read; expected postgres://user@host:5432/database?sslmode=verify-full, or several hosts with `,` between them"
                    .to_owned(),
            )
        };
        let (scheme, rest) = ["postgres://", "postgresql://"]
            .iter()
            .find_map(|scheme| Some((*scheme, url.strip_prefix(scheme)?)))
            .ok_or_else(unread)?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at_checked(end).ok_or_else(unread)?;
        let at = authority.rfind('@').map_or(0, |at| at + 1);
        let (user, hosts) = authority.split_at_checked(at).ok_or_else(unread)?;
        let rest = without_choice(rest)?;
        let all: Option<Vec<PgConnectOptions>> = hosts
            .split(',')
            .map(|host| PgConnectOptions::from_str(&format!("{scheme}{user}{host}{rest}")).ok())
            .collect();
        let all = all.ok_or_else(unread)?;
        if all.iter().any(|one| one.get_host().contains(',')) {
            return Err(StoreError::Connection(
                "several hosts stand before the database: postgres://user@one:5432,two:5432/database".to_owned(),
            ));
        }
        Ok(Servers { all })
    }

    pub fn with(self, change: impl Fn(PgConnectOptions) -> PgConnectOptions) -> Servers {
        Servers {
            all: self.all.into_iter().map(change).collect(),
        }
    }

    pub fn are_many(&self) -> bool {
        self.all.len() > 1
    }

    /// `one:5432,two:5432/database`: the same whichever of them is chosen.
    pub fn name(&self) -> String {
        let host = |one: &PgConnectOptions| format!("{}:{}", one.get_host(), one.get_port());
        let hosts: Vec<String> = self.all.iter().map(host).collect();
        let database = self.all.first().map(|one| {
            let database = one.get_database().unwrap_or(one.get_username());
            database.to_owned()
        });
        format!("{}/{}", hosts.join(","), database.unwrap_or_default())
    }

    /// The one that answers; of several, the first that takes writes.
    pub async fn choose(&self) -> Result<PgConnectOptions, sqlx::Error> {
        let mut found = Vec::new();
        for one in &self.all {
            match self.look(one).await {
                Ok(true) => return Ok(one.clone()),
                Ok(false) => found.push(format!("{} takes no writes", one.get_host())),
                Err(error) if !self.are_many() => return Err(error),
                Err(error) => found.push(format!("{}: {error}", one.get_host())),
            }
        }
        let none = format!(
            "none of the servers can be written to ({})",
            found.join("; ")
        );
        Err(sqlx::Error::Io(io::Error::other(none)))
    }

    /// Whether it takes writes. A pool that does not get a connection says that it waited; a single attempt says why it failed.
    async fn look(&self, one: &PgConnectOptions) -> Result<bool, sqlx::Error> {
        let looked = async {
            let mut connection: PgConnection = one.connect().await?;
            let takes_writes = match self.are_many() {
                true => {
                    sqlx::query_scalar("SELECT NOT pg_is_in_recovery()")
                        .fetch_one(&mut connection)
                        .await?
                }
                false => true,
            };
            connection.close().await?;
            Ok(takes_writes)
        };
        let looked = tokio::time::timeout(CONNECT, looked).await;
        looked.unwrap_or(Err(sqlx::Error::PoolTimedOut))
    }
}

/// The rest of a URL, with what says which server to choose taken out. What the driver does not know it would only write to the log,
/// with its value: a misspelt `password` among them, and a misspelt `sslmode` would go for none.
fn without_choice(rest: &str) -> Result<String, StoreError> {
    let Some((path, query)) = rest.split_once('?') else {
        return Ok(rest.to_owned());
    };
    let (choices, others): (Vec<&str>, Vec<&str>) =
        query.split('&').partition(|pair| pair.starts_with(CHOICE));
    let is_known = |pair: &&str| {
        pair.strip_prefix(CHOICE)
            .is_some_and(|c| CHOICES.contains(&c))
    };
    if !choices.iter().all(is_known) {
        return Err(StoreError::Connection(
            "target_session_attrs: expected read-write: state is written to".to_owned(),
        ));
    }
    let mut others_named = others.iter().filter(|pair| !pair.is_empty());
    if let Some(strange) = others_named.find(|pair| !is_parameter(pair)) {
        return Err(strange_parameter(strange));
    }
    Ok(match others.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{}", others.join("&")),
    })
}

fn is_parameter(pair: &str) -> bool {
    let name = pair.split_once('=').map_or(pair, |(name, _)| name);
    PARAMETERS.contains(&name) || name.starts_with("options[") || name.starts_with("options%5B")
}

/// Named when it looks like a name: what follows a `&` or a `?` inside a password does not.
fn strange_parameter(pair: &str) -> StoreError {
    let is_name = |name: &&str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let name = pair.split_once('=').map(|(name, _)| name).filter(is_name);
    let what = match name {
        Some(name) => format!("its parameter `{name}` is not known"),
        None => "one of its parameters is not known; `?`, `&` and `@` in a password are written %3F, %26 and %40".to_owned(),
    };
    StoreError::Connection(format!(
        "the url cannot be used: {what}; expected some of {}, target_session_attrs",
        PARAMETERS.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_apart_and_nothing_of_a_url_is_told() {
        for (url, expected) in [
            ("postgres://u@h/db", "h:5432/db"),
            ("postgres://u:p,q@h:1/db?sslmode=disable", "h:1/db"),
            (
                "postgresql://u:p@h1:5433,h2,[::1]:7/db?target_session_attrs=read-write&sslmode=disable",
                "h1:5433,h2:5432,[::1]:7/db",
            ),
            ("postgres://u@a:1,b:2?dbname=x", "a:1,b:2/x"),
            (
                "postgres://u@h/db?options=-cx%3D1&options[a]=b&password=p%26q",
                "h:5432/db",
            ),
            ("postgres://u@h/db?", "h:5432/db"),
        ] {
            assert_eq!(Servers::parse(url).unwrap().name(), expected, "{url}");
        }
        for wrong in [
            "postgres:u:hunter2@h/db",
            "mysql://u:hunter2@h/db",
            "postgres://u:hunter2@h:x,g/db",
            "postgres://u:hunter2@h/db?target_session_attrs=standby",
            "postgres://u:hunter2@/db?host=a,b",
            "postgres://u@h/db?passwrd=hunter2",
            "postgres://u@h/db?sslmod=verify-full&password=hunter2",
            "postgres://u@h/db?password=1&hunter2",
            "postgres://u:1?hunter2@h/db",
        ] {
            let told = Servers::parse(wrong).unwrap_err().to_string();
            assert!(
                told.contains("expected") || told.contains("several hosts"),
                "{told}"
            );
            assert!(!told.contains("hunter2"), "{told}");
        }
        let told = Servers::parse("postgres://u@h/db?sslmod=x").unwrap_err();
        assert!(told.to_string().contains("`sslmod`"), "{told}");
    }
}
