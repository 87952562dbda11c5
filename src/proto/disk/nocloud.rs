//! The files of a NoCloud config drive (cloud-init's data source, label CIDATA).

use std::fmt::Write;

use crate::secret::Secret;

/// What a system is told of itself.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    pub instance_id: &'a str,
    pub hostname: &'a str,
    pub ssh_keys: &'a [String],
    pub interfaces: Vec<Interface>,
}

#[derive(Debug, Clone)]
pub struct Interface {
    pub mac: String,
    /// `address/prefix`.
    pub address: String,
    pub gateway: Option<String>,
    pub dns: Vec<String>,
}

/// `meta-data`, `network-config`, `user-data` and `vendor-data`. Texts go in as JSON strings, which YAML reads as they are.
pub fn files(
    facts: &Facts<'_>,
    user_data: Option<&Secret>,
    phone_home: Option<&Secret>,
) -> Vec<(String, Vec<u8>)> {
    let mut meta = String::new();
    let _ = writeln!(meta, "instance-id: {}", quote(facts.instance_id));
    let _ = writeln!(meta, "local-hostname: {}", facts.hostname);
    if !facts.ssh_keys.is_empty() {
        meta.push_str("public-keys:\n");
        for key in facts.ssh_keys {
            let _ = writeln!(meta, "  - {}", quote(key));
        }
    }
    let mut vendor = "#cloud-config\n".to_owned();
    if let Some(url) = phone_home {
        // `tries` covers a site that is restarted while the system boots.
        let _ = write!(
            vendor,
            "phone_home:\n  url: {}\n  post: [hostname, instance_id, fqdn]\n  tries: 10\n",
            url.expose()
        );
    }
    let user = user_data.map_or("#cloud-config\n", |u| u.expose());
    vec![
        ("meta-data".to_owned(), meta.into_bytes()),
        (
            "network-config".to_owned(),
            network(&facts.interfaces).into_bytes(),
        ),
        ("user-data".to_owned(), user.as_bytes().to_vec()),
        ("vendor-data".to_owned(), vendor.into_bytes()),
    ]
}

/// cloud-init's network configuration, version 2. NICs are told by MAC: names differ between systems.
fn network(interfaces: &[Interface]) -> String {
    let mut out = "version: 2\nethernets:\n".to_owned();
    if interfaces.is_empty() {
        return "version: 2\nethernets: {}\n".to_owned();
    }
    for (n, nic) in interfaces.iter().enumerate() {
        let _ = write!(
            out,
            "  nic{n}:\n    match: {{ macaddress: \"{}\" }}\n    addresses: [\"{}\"]\n",
            nic.mac, nic.address
        );
        if let Some(gateway) = &nic.gateway {
            let _ = writeln!(out, "    routes: [{{ to: default, via: \"{gateway}\" }}]");
        }
        if !nic.dns.is_empty() {
            let _ = writeln!(
                out,
                "    nameservers: {{ addresses: [{}] }}",
                nic.dns.join(", ")
            );
        }
    }
    out
}

fn quote(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_add_a_line_to_the_metadata() {
        let keys = vec!["ssh-ed25519 AAAA x\nlocal-hostname: evil".to_owned()];
        let facts = Facts {
            instance_id: "i-1",
            hostname: "web-a",
            ssh_keys: &keys,
            interfaces: Vec::new(),
        };
        let files = files(
            &facts,
            None,
            Some(&Secret::new("http://10.0.0.1/v1/phone-home/t")),
        );
        let meta = String::from_utf8(files[0].1.clone()).unwrap();
        assert_eq!(
            meta.lines()
                .filter(|l| l.starts_with("local-hostname"))
                .count(),
            1
        );
        let vendor = String::from_utf8(files[3].1.clone()).unwrap();
        assert!(vendor.contains("  url: http://10.0.0.1/v1/phone-home/t\n"));
    }

    #[test]
    fn interfaces_are_valid_yaml() {
        let facts = Facts {
            instance_id: "i-1",
            hostname: "a",
            ssh_keys: &[],
            interfaces: vec![Interface {
                mac: "52:54:00:00:00:01".into(),
                address: "10.0.0.5/24".into(),
                gateway: Some("10.0.0.1".into()),
                dns: vec!["10.0.0.2".into()],
            }],
        };
        let files = files(&facts, None, None);
        let yaml: serde_yaml_ng::Value = serde_yaml_ng::from_slice(&files[1].1).unwrap();
        assert_eq!(yaml["ethernets"]["nic0"]["addresses"][0], "10.0.0.5/24");
    }
}
