//! What an attribute may hold: from a value, and back to one for references to the attribute.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::str::FromStr;

use ipnet::Ipv4Net;

use crate::config::convert::convert;
use crate::config::types::Type;
use crate::config::value::{Data, Value};
use crate::ids::ParseError;
use crate::model::rollout::Share;
use crate::model::window::{Day, TimeOfDay, Zone};
use crate::model::{
    Arch, BiosLoader, DhcpMode, Erase, ExistingData, Firmware, ImageFormat, ImageType, OnDrift,
    PowerState, UserDataChange, Weight,
};
use crate::units::{Hostname, Mac, Sha256};

/// Why a value does not fit.
pub enum Misfit {
    /// It has another type.
    Type(String),
    /// The type is right, what it says is not allowed.
    Value(String),
}

pub trait Field: Sized {
    fn take(value: &Value) -> Result<Self, Misfit>;
    fn show(&self) -> Value;
}

fn as_type(value: &Value, of: &Type) -> Result<Value, Misfit> {
    let converted = convert(value, of).map_err(|m| Misfit::Type(m.sentence()))?;
    if converted.is_null() {
        return Err(Misfit::Type(format!("expected {of}, found null")));
    }
    Ok(converted)
}

impl Field for String {
    fn take(value: &Value) -> Result<String, Misfit> {
        let text = as_type(value, &Type::String)?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    fn show(&self) -> Value {
        Value::string(self)
    }
}

impl Field for bool {
    fn take(value: &Value) -> Result<bool, Misfit> {
        Ok(matches!(
            as_type(value, &Type::Bool)?.data,
            Data::Bool(true)
        ))
    }

    fn show(&self) -> Value {
        Value::bool(*self)
    }
}

macro_rules! whole_numbers {
    ($($t:ty),+) => {$(
        impl Field for $t {
            fn take(value: &Value) -> Result<$t, Misfit> {
                let n = match as_type(value, &Type::Number)?.data {
                    Data::Number(n) => n,
                    _ => return Err(Misfit::Type("expected a number".to_owned())),
                };
                n.to_u64().and_then(|n| <$t>::try_from(n).ok()).ok_or_else(|| {
                    Misfit::Value(format!("expected a whole number from 0 to {}, found {n}", <$t>::MAX))
                })
            }

            fn show(&self) -> Value {
                Value::number(*self)
            }
        }
    )+};
}
whole_numbers!(u8, u16, u32, u64);

fn parsed<T: FromStr<Err = ParseError>>(value: &Value) -> Result<T, Misfit> {
    let text = String::take(value)?;
    text.parse()
        .map_err(|e: ParseError| Misfit::Value(e.to_string()))
}

macro_rules! texts {
    ($($t:ty),+) => {$(
        impl Field for $t {
            fn take(value: &Value) -> Result<$t, Misfit> {
                parsed(value)
            }

            fn show(&self) -> Value {
                Value::string(self.to_string())
            }
        }
    )+};
}
texts!(Mac, Sha256, Hostname, Arch, Firmware);

impl Field for Share {
    fn take(value: &Value) -> Result<Share, Misfit> {
        let expected = r#"a number of machines from 1, or a percentage such as "25%""#;
        let misfit = |found: &str| Misfit::Value(ParseError::new(expected, found).to_string());
        let share = match &value.data {
            Data::String(_) => {
                let text = String::take(value)?;
                let percent = text.strip_suffix('%').and_then(|n| n.parse().ok());
                match percent {
                    Some(n) => (1..=100).contains(&n).then_some(Share::Percent(n)),
                    None => text.parse().ok().filter(|n| *n > 0).map(Share::Number),
                }
            }
            Data::Null
            | Data::Bool(_)
            | Data::Number(_)
            | Data::Seq(_)
            | Data::Map(_)
            | Data::Resource(_) => {
                Some(Share::Number(u32::take(value)?)).filter(|s| *s != Share::Number(0))
            }
        };
        share.ok_or_else(|| misfit(&value.shown()))
    }

    fn show(&self) -> Value {
        match self {
            Share::Number(n) => Value::number(*n),
            Share::Percent(p) => Value::string(format!("{p}%")),
        }
    }
}

/// `HH:MM` in minutes.
fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |part: &str, most: u16| {
        let is_plain = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        part.parse::<u16>().ok().filter(|n| is_plain && *n <= most)
    };
    Some(two(hours, 23)? * 60 + two(minutes, 59)?)
}

impl Field for TimeOfDay {
    fn take(value: &Value) -> Result<TimeOfDay, Misfit> {
        let text = String::take(value)?;
        let expected = r#"a time of day such as "22:00""#;
        let misfit = || Misfit::Value(ParseError::new(expected, &text).to_string());
        minutes(&text).map(TimeOfDay).ok_or_else(misfit)
    }

    fn show(&self) -> Value {
        Value::string(format!("{:02}:{:02}", self.0 / 60, self.0 % 60))
    }
}

impl Field for Zone {
    fn take(value: &Value) -> Result<Zone, Misfit> {
        let text = String::take(value)?;
        let expected = r#"what clocks are ahead of UTC, such as "+01:00" or "-05:30""#;
        let zone = match text.split_at_checked(1) {
            Some(("+", rest)) => minutes(rest).map(|m| (m, 1)),
            Some(("-", rest)) => minutes(rest).map(|m| (m, -1)),
            _ => None,
        };
        let zone = zone.and_then(|(m, sign)| Some(Zone(i16::try_from(m).ok()? * sign)));
        zone.ok_or_else(|| Misfit::Value(ParseError::new(expected, &text).to_string()))
    }

    fn show(&self) -> Value {
        let (sign, m) = (if self.0 < 0 { '-' } else { '+' }, self.0.unsigned_abs());
        Value::string(format!("{sign}{:02}:{:02}", m / 60, m % 60))
    }
}

impl Field for Ipv4Addr {
    fn take(value: &Value) -> Result<Ipv4Addr, Misfit> {
        let text = String::take(value)?;
        text.parse().map_err(|_| {
            Misfit::Value(ParseError::new("an IPv4 address such as 10.99.0.20", &text).to_string())
        })
    }

    fn show(&self) -> Value {
        Value::string(self.to_string())
    }
}

impl Field for Ipv4Net {
    fn take(value: &Value) -> Result<Ipv4Net, Misfit> {
        let text = String::take(value)?;
        let net: Ipv4Net = text.parse().map_err(|_| {
            Misfit::Value(ParseError::new("an IPv4 subnet such as 10.99.0.0/24", &text).to_string())
        })?;
        if net.trunc() == net {
            Ok(net)
        } else {
            Err(Misfit::Value(format!(
                "expected the first address of the subnet, {}, found {net}",
                net.trunc()
            )))
        }
    }

    fn show(&self) -> Value {
        Value::string(self.to_string())
    }
}

impl<T: Field> Field for Vec<T> {
    fn take(value: &Value) -> Result<Vec<T>, Misfit> {
        let Some(items) = value.items() else {
            return Err(Misfit::Type(format!(
                "expected a list, found {}",
                value.shown()
            )));
        };
        let items = items.iter().enumerate().map(|(i, v)| {
            T::take(v).map_err(|misfit| match misfit {
                Misfit::Type(why) => Misfit::Type(format!("element {i}: {why}")),
                Misfit::Value(why) => Misfit::Value(format!("element {i}: {why}")),
            })
        });
        items.collect()
    }

    fn show(&self) -> Value {
        Value::list(self.iter().map(Field::show).collect())
    }
}

impl Field for BTreeMap<String, String> {
    fn take(value: &Value) -> Result<BTreeMap<String, String>, Misfit> {
        let converted = as_type(value, &Type::Map(Box::new(Type::String)))?;
        let entries = converted.entries().into_iter().flatten();
        let texts = entries.map(|(k, v)| match v.as_str() {
            Some(text) => Ok((k.to_string(), text.to_owned())),
            None => Err(Misfit::Type(format!(
                "expected a string for \"{k}\", found null"
            ))),
        });
        texts.collect()
    }

    fn show(&self) -> Value {
        let entries = self
            .iter()
            .map(|(k, v)| (k.as_str().into(), Value::string(v)));
        Value::map(entries.collect())
    }
}

macro_rules! words {
    ($($t:ty: $expected:literal { $($variant:ident = $word:literal),+ })+) => {$(
        impl Field for $t {
            fn take(value: &Value) -> Result<$t, Misfit> {
                let text = String::take(value)?;
                match text.as_str() {
                    $($word => Ok(<$t>::$variant),)+
                    _ => Err(Misfit::Value(ParseError::new($expected, &text).to_string())),
                }
            }

            fn show(&self) -> Value {
                Value::string(match self {
                    $(<$t>::$variant => $word,)+
                })
            }
        }
    )+};
}
words! {
    ImageType: "partition or disk" { Partition = "partition", Disk = "disk" }
    ImageFormat: "raw or qcow2" { Raw = "raw", Qcow2 = "qcow2" }
    DhcpMode: "managed or external" { Managed = "managed", External = "external" }
    BiosLoader: "ipxe or pxelinux" { Ipxe = "ipxe", Pxelinux = "pxelinux" }
    PowerState: "on or off" { On = "on", Off = "off" }
    Erase: "none, metadata or zero" { None = "none", Metadata = "metadata", Zero = "zero" }
    UserDataChange: "update, redeploy or ignore" { Update = "update", Redeploy = "redeploy", Ignore = "ignore" }
    OnDrift: "adopt, correct or alert" { Adopt = "adopt", Correct = "correct", Alert = "alert" }
    Weight: "warn, approve or block" { Warn = "warn", Approve = "approve", Block = "block" }
    Day: "mon, tue, wed, thu, fri, sat or sun" { Mon = "mon", Tue = "tue", Wed = "wed", Thu = "thu", Fri = "fri", Sat = "sat", Sun = "sun" }
    ExistingData: "refuse or overwrite" { Refuse = "refuse", Overwrite = "overwrite" }
}
