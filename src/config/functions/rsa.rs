//! rsadecrypt(): RSA with the padding of PKCS #1 v1.5, RFC 8017.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bigdecimal::num_bigint::BigUint;

use super::args::{Args, Fail, Param};
use super::{Function, row};
use crate::config::value::Value;

use Param::String as Str;

pub const TABLE: &[Function] = &[row(
    "rsadecrypt",
    "rsadecrypt(text, key)",
    "The text that was encrypted with RSA and is given in base64; the key is in PEM.",
    ["can(rsadecrypt(\"\", \"no key\"))", "false"],
    &[Str, Str],
    rsadecrypt,
)];

/// A longer key is no key of anybody, and takes long.
const KEY_BITS_MAX: u64 = 8192;
/// What a use of the key costs, in steps of evaluation.
const STEPS: u64 = 200_000;

struct Key {
    modulus: BigUint,
    private: BigUint,
}

fn rsadecrypt(a: &Args<'_>) -> Result<Value, Fail> {
    let compact: String = a.text(0).split_whitespace().collect();
    let sealed = STANDARD.decode(compact);
    let sealed = sealed.map_err(|_| Fail::Arg(0, "expected base64".to_owned()))?;
    let key = key(a.text(1)).ok_or_else(|| {
        let text = "expected an RSA key without a password, between -----BEGIN RSA PRIVATE KEY----- or -----BEGIN PRIVATE \
                    KEY----- and its end";
        Fail::Arg(1, text.to_owned())
    })?;
    a.spend(STEPS)?;
    let wrong = || Fail::Arg(0, "this was not encrypted for this key".to_owned());
    let text = open(&sealed, &key).ok_or_else(wrong)?;
    let text = String::from_utf8(text);
    let text = text.map_err(|_| Fail::Call("the decrypted bytes are not UTF-8".to_owned()))?;
    Ok(Value::string(text))
}

fn open(sealed: &[u8], key: &Key) -> Option<Vec<u8>> {
    let cipher = BigUint::from_bytes_be(sealed);
    if cipher >= key.modulus {
        return None;
    }
    let padded = cipher.modpow(&key.private, &key.modulus).to_bytes_be();
    // Its first byte, a zero, is not among those of the number.
    let len = usize::try_from(key.modulus.bits().div_ceil(8)).ok()?;
    let [2, rest @ ..] = padded.as_slice() else {
        return None;
    };
    let end = rest.iter().position(|b| *b == 0)?;
    let whole = padded.len() + 1 == len && end >= 8;
    rest.get(end + 1..).filter(|_| whole).map(<[u8]>::to_vec)
}

/// PKCS #1, or PKCS #8 around it.
fn key(pem: &str) -> Option<Key> {
    let der = |name: &str| {
        let (_, rest) = pem.split_once(&format!("-----BEGIN {name}-----"))?;
        let (body, _) = rest.split_once(&format!("-----END {name}-----"))?;
        STANDARD
            .decode(body.split_whitespace().collect::<String>())
            .ok()
    };
    if let Some(der) = der("RSA PRIVATE KEY") {
        return pkcs1(&der);
    }
    let der = der("PRIVATE KEY")?;
    let mut outer = element(&mut der.as_slice(), SEQUENCE)?;
    element(&mut outer, INTEGER)?;
    element(&mut outer, SEQUENCE)?;
    pkcs1(element(&mut outer, OCTETS)?)
}

fn pkcs1(der: &[u8]) -> Option<Key> {
    let mut fields = element(&mut { der }, SEQUENCE)?;
    element(&mut fields, INTEGER)?;
    let mut number = || element(&mut fields, INTEGER).map(BigUint::from_bytes_be);
    let (modulus, _public, private) = (number()?, number()?, number()?);
    let fits = modulus.bits() <= KEY_BITS_MAX && modulus.bits() >= 512 && private < modulus;
    fits.then_some(Key { modulus, private })
}

const INTEGER: u8 = 0x02;
const OCTETS: u8 = 0x04;
const SEQUENCE: u8 = 0x30;

/// The content of the next element of DER, which must have this tag.
fn element<'d>(der: &mut &'d [u8], tag: u8) -> Option<&'d [u8]> {
    let [found, first, rest @ ..] = *der else {
        return None;
    };
    if *found != tag {
        return None;
    }
    let (len, rest) = match *first {
        short @ 0..0x80 => (usize::from(short), rest),
        long => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            let fits = (1..=4).contains(&digits.len());
            let len = digits.iter().fold(0, |n, d| n << 8 | usize::from(*d));
            (Some(len).filter(|_| fits)?, rest)
        }
    };
    let (content, after) = rest.split_at_checked(len)?;
    *der = after;
    Some(content)
}

#[cfg(test)]
mod tests {
    use crate::config::testing::value_of;

    /// Made by openssl, for this test.
    const PKCS1: &str = "-----BEGIN RSA PRIVATE KEY-----\n\
        MIICXQIBAAKBgQDUb+N25k7ifXFsUrCAly+V++8ZfESkyqA+1DIockNfTf28CDvK\n\
        0bw8VKEZKsugRA+e5JUMKDzO7dObLskUzwuyrssT1qyrP7hmdb/gB18qg/tmCDhY\n\
        4IIfn2GuNs5x2Vl/uclYdiJu26kigB1fH8zg5c3vhXh/LsjhqdQslm1QvwIDAQAB\n\
        AoGBAII0Mc5mSmM3T5V8+QFXqKrcxydvqwL1zlGz7SotHm4Dd0kQItWkxyKTHEo4\n\
        mKWaEZjpsRDKeLq7ub6bZlOCsz+qnPSP7GkrOcEEzZoAeQpfVCz6B099zBhNlurE\n\
        PfEw4kyGBZuc5vFDfbD07iXDMdNaDaGblMr9yIdoTTi/iIYBAkEA+k5RIDq7Lt8m\n\
        G7lxthiBi2D5KAUK5HlWK2XpZrbFhoP8S9xf5HiIS+KgHcRaAjDcW9owwalmDuWt\n\
        Q9sE6BLSIQJBANlFCc6OID/w4bspd0CVkWnNE+q6Jwy8HcXfKdjBa+KKeo5JwTu8\n\
        eJ7fuA46De17Pjrq88hOUSQ/90LQgzirht8CQQD05NsKpWuuGDW4ul8+wgs8ysv7\n\
        E7PshaqBG1yYWgo36bpWnm5Tonn3hOsTNKC7tAJk+7zoPUzVFnHHCeprBL8BAkB0\n\
        x1e7DscktvsNFv+C1iFfZZvT6RQ+EwpJpWYfm+65x8aRnfDfg7Cta//IncmIoFpV\n\
        Xp2DRxzzx/HFlr9BAWivAkBcsRaEn67kaahnoHptb3q04c1sC/rtivVBIZi/ViS7\n\
        87r9ZqIYL2BPGtuTwvJUl2ABRso4E7/C3584IJxEKRf9\n\
        -----END RSA PRIVATE KEY-----";
    const PKCS8: &str = "-----BEGIN PRIVATE KEY-----\n\
        MIICdwIBADANBgkqhkiG9w0BAQEFAASCAmEwggJdAgEAAoGBANRv43bmTuJ9cWxS\n\
        sICXL5X77xl8RKTKoD7UMihyQ19N/bwIO8rRvDxUoRkqy6BED57klQwoPM7t05su\n\
        yRTPC7KuyxPWrKs/uGZ1v+AHXyqD+2YIOFjggh+fYa42znHZWX+5yVh2Im7bqSKA\n\
        HV8fzODlze+FeH8uyOGp1CyWbVC/AgMBAAECgYEAgjQxzmZKYzdPlXz5AVeoqtzH\n\
        J2+rAvXOUbPtKi0ebgN3SRAi1aTHIpMcSjiYpZoRmOmxEMp4uru5vptmU4KzP6qc\n\
        9I/saSs5wQTNmgB5Cl9ULPoHT33MGE2W6sQ98TDiTIYFm5zm8UN9sPTuJcMx01oN\n\
        oZuUyv3Ih2hNOL+IhgECQQD6TlEgOrsu3yYbuXG2GIGLYPkoBQrkeVYrZelmtsWG\n\
        g/xL3F/keIhL4qAdxFoCMNxb2jDBqWYO5a1D2wToEtIhAkEA2UUJzo4gP/Dhuyl3\n\
        QJWRac0T6ronDLwdxd8p2MFr4op6jknBO7x4nt+4DjoN7Xs+OurzyE5RJD/3QtCD\n\
        OKuG3wJBAPTk2wqla64YNbi6Xz7CCzzKy/sTs+yFqoEbXJhaCjfpulaeblOiefeE\n\
        6xM0oLu0AmT7vOg9TNUWcccJ6msEvwECQHTHV7sOxyS2+w0W/4LWIV9lm9PpFD4T\n\
        CkmlZh+b7rnHxpGd8N+DsK1r/8idyYigWlVenYNHHPPH8cWWv0EBaK8CQFyxFoSf\n\
        ruRpqGegem1verThzWwL+u2K9UEhmL9WJLvzuv1mohgvYE8a25PC8lSXYAFGyjgT\n\
        v8LfnzggnEQpF/0=\n\
        -----END PRIVATE KEY-----";
    /// `hello é`, by openssl.
    const SEALED: &str = "0Bu6958/0Itoj9voRv3UnkoxsJmes/p9mC7WdiRjk54khqFvT99MoynMZP1QBGmW+LX/f/ox97uUYIeB6QXRTMrGI6M1M6gBK2XZHspB4CxzW/czphxmN/7/S/TzGsz86J+FafFAmAKJSkWfCQkGNkGIQ8c/6myNLsXzwy2EZZA=";

    #[test]
    fn opens_what_openssl_sealed() {
        for key in [PKCS1, PKCS8] {
            let opened = value_of(&format!("rsadecrypt(\"{SEALED}\", {key:?})")).unwrap();
            assert_eq!(opened.as_str(), Some("hello é"));
        }
    }

    #[test]
    fn refuses_what_is_not_for_the_key() {
        let other = SEALED.replace('A', "B");
        for (text, key) in [
            (other.as_str(), PKCS1),
            ("", PKCS1),
            ("////", PKCS1),
            (
                SEALED,
                "-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----",
            ),
            (
                SEALED,
                "-----BEGIN PRIVATE KEY-----\nMIP/////\n-----END PRIVATE KEY-----",
            ),
            (SEALED, ""),
        ] {
            assert!(value_of(&format!("rsadecrypt(\"{text}\", {key:?})")).is_err());
        }
    }
}
