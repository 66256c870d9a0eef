//! OpenSSL's lists of ciphers, as far as they name what is safe today. Pure.
//!
//! Owns the meaning of names and groups; the ciphers themselves belong to the TLS library. What a list names beside the
//! safe ones is collected, so that the operator can be told.

use std::fmt;

/// A cipher that may be offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cipher {
    /// OpenSSL's name.
    pub name: &'static str,
    /// The name of the standard, as it is registered.
    pub standard_name: &'static str,
    /// Groups of OpenSSL that it belongs to.
    groups: &'static [&'static str],
}

const EVERY: [&str; 9] =
    ["ALL", "HIGH", "DEFAULT", "COMPLEMENTOFALL", "ECDHE", "EECDH", "kECDHE", "kEECDH", "AEAD"];

/// Those of TLS 1.2, the strongest first. All have ephemeral keys and authenticated encryption.
pub const TLS12: [Cipher; 6] = [
    Cipher {
        name: "ECDHE-ECDSA-AES256-GCM-SHA384",
        standard_name: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        groups: &["ECDSA", "aECDSA", "AES", "AESGCM", "AES256", "SHA384"],
    },
    Cipher {
        name: "ECDHE-RSA-AES256-GCM-SHA384",
        standard_name: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        groups: &["aRSA", "AES", "AESGCM", "AES256", "SHA384"],
    },
    Cipher {
        name: "ECDHE-ECDSA-CHACHA20-POLY1305",
        standard_name: "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        groups: &["ECDSA", "aECDSA", "CHACHA20", "SHA256"],
    },
    Cipher {
        name: "ECDHE-RSA-CHACHA20-POLY1305",
        standard_name: "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        groups: &["aRSA", "CHACHA20", "SHA256"],
    },
    Cipher {
        name: "ECDHE-ECDSA-AES128-GCM-SHA256",
        standard_name: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        groups: &["ECDSA", "aECDSA", "AES", "AESGCM", "AES128", "SHA256"],
    },
    Cipher {
        name: "ECDHE-RSA-AES128-GCM-SHA256",
        standard_name: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        groups: &["aRSA", "AES", "AESGCM", "AES128", "SHA256"],
    },
];

/// Those of TLS 1.3, which only their names choose.
pub const TLS13: [Cipher; 3] = [
    Cipher { name: "TLS_AES_256_GCM_SHA384", standard_name: "TLS13_AES_256_GCM_SHA384", groups: &[] },
    Cipher {
        name: "TLS_CHACHA20_POLY1305_SHA256",
        standard_name: "TLS13_CHACHA20_POLY1305_SHA256",
        groups: &[],
    },
    Cipher { name: "TLS_AES_128_GCM_SHA256", standard_name: "TLS13_AES_128_GCM_SHA256", groups: &[] },
];

/// Words for what is not offered any more, or is not a matter of ciphers here, with the reason.
const GONE: [(&str, &[&str]); 5] = [
    (
        "without encryption or authentication",
        &["aNULL", "eNULL", "NULL", "ADH", "AECDH", "COMPLEMENTOFDEFAULT"],
    ),
    (
        "broken or too weak",
        &[
            "LOW", "MEDIUM", "EXP", "EXPORT", "RC4", "RC2", "DES", "3DES", "IDEA", "SEED", "MD5", "SSLv2",
            "SSLv3", "TLSv1", "TLSv1.0",
        ],
    ),
    (
        "without ephemeral keys",
        &["RSA", "kRSA", "kDH", "kDHr", "kDHd", "kECDH", "kECDHr", "kECDHe", "ECDH", "DH", "DSS", "aDSS"],
    ),
    (
        "with finite-field keys, which are slow and easily too short",
        &["DHE", "EDH", "kDHE", "kEDH", "aDH", "aECDH"],
    ),
    (
        "not in use on the web",
        &[
            "CAMELLIA",
            "CAMELLIA128",
            "CAMELLIA256",
            "ARIA",
            "ARIA128",
            "ARIA256",
            "AESCCM",
            "AESCCM8",
            "PSK",
            "kPSK",
            "aPSK",
            "SRP",
            "aSRP",
            "kSRP",
            "GOST",
            "aGOST",
            "kGOST",
            "SHA",
            "SHA1",
            "CBC",
            "kRSAPSK",
            "kECDHEPSK",
            "kDHEPSK",
            "SUITEB128",
            "SUITEB192",
        ],
    ),
];

/// What a list chooses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// In the order of the list; never empty together with `tls13`.
    pub tls12: Vec<Cipher>,
    /// All of them unless the list names some.
    pub tls13: Vec<Cipher>,
    /// Words of the list that add nothing, each with the reason.
    pub left_out: Vec<String>,
}

impl Default for Choice {
    /// Everything that is safe.
    fn default() -> Choice {
        Choice { tls12: TLS12.to_vec(), tls13: TLS13.to_vec(), left_out: Vec::new() }
    }
}

/// The reply of `ssl_ciphers`: what is not offered, and why; empty when there is nothing to say.
impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.left_out.iter().try_for_each(|word| writeln!(f, "ssl_ciphers: not offered: {word}"))
    }
}

/// Reads a list as OpenSSL writes it: words with colons, commas or blanks between them, `+` for both, and `!`, `-` or `+`
/// before a word to exclude, to remove or to move to the end.
///
/// # Errors
/// A word that is unknown, or a list of which nothing is left.
pub fn choose(list: &str) -> Result<Choice, String> {
    let mut chosen: Vec<Cipher> = Vec::new();
    let mut excluded: Vec<Cipher> = Vec::new();
    let mut tls13: Vec<Cipher> = Vec::new();
    let mut left_out = Vec::new();
    for word in list.split([':', ',', ' ', ';']).filter(|word| !word.is_empty()) {
        let (mark, name) = match word.strip_prefix(['!', '-', '+']) {
            Some(name) => (word.chars().next(), name),
            None if word.starts_with('@') => continue, // @STRENGTH and @SECLEVEL: the strongest come first anyway
            None => (None, word),
        };
        if let Some(cipher) = TLS13.iter().find(|cipher| cipher.name == name) {
            if mark.is_none() {
                add(&mut tls13, *cipher);
            }
            continue;
        }
        let meant = meaning(name)?;
        match mark {
            Some('!') => excluded.extend(&meant),
            Some('-') => chosen.retain(|cipher| !meant.contains(cipher)),
            Some('+') => chosen.sort_by_key(|cipher| meant.contains(cipher)),
            _ if meant.is_empty() => left_out.push(format!("{name}, {}", why_gone(name))),
            _ => meant.iter().for_each(|cipher| add(&mut chosen, *cipher)),
        }
    }
    chosen.retain(|cipher| !excluded.contains(cipher));
    if chosen.is_empty() && tls13.is_empty() {
        return Err(format!("nothing of {list:?} is safe enough to be offered; want for example HIGH"));
    }
    if chosen.is_empty() {
        left_out.push("TLS 1.2, because the list has ciphers of TLS 1.3 only".to_owned());
    }
    let tls13 = if tls13.is_empty() { TLS13.to_vec() } else { tls13 };
    Ok(Choice { tls12: chosen, tls13, left_out })
}

fn add(list: &mut Vec<Cipher>, cipher: Cipher) {
    if !list.contains(&cipher) {
        list.push(cipher);
    }
}

/// The safe ciphers that a word means, and `A+B` those that are both; none for a word that is only known.
fn meaning(word: &str) -> Result<Vec<Cipher>, String> {
    let mut meant = TLS12.to_vec();
    for part in word.split('+') {
        let means = |cipher: &Cipher| {
            cipher.name == part || cipher.groups.contains(&part) || EVERY.contains(&part) || part == "TLSv1.2"
        };
        if !is_known(part) && !TLS12.iter().any(means) {
            return Err(format!("want a list of ciphers such as HIGH:!AES128, got {part:?} in it"));
        }
        meant.retain(means);
    }
    Ok(meant)
}

/// Whether it is a word for something that is gone: a group, or a name made of the parts that names are made of.
fn is_known(word: &str) -> bool {
    const PARTS: [&str; 38] = [
        "ECDHE",
        "ECDH",
        "DHE",
        "EDH",
        "DH",
        "ADH",
        "AECDH",
        "RSA",
        "DSS",
        "ECDSA",
        "PSK",
        "SRP",
        "AES128",
        "AES256",
        "AES",
        "128",
        "256",
        "GCM",
        "CBC",
        "CBC3",
        "CCM",
        "CCM8",
        "CAMELLIA128",
        "CAMELLIA256",
        "ARIA128",
        "ARIA256",
        "ARIA",
        "CHACHA20",
        "POLY1305",
        "RC4",
        "DES",
        "IDEA",
        "SEED",
        "NULL",
        "SHA",
        "SHA256",
        "SHA384",
        "MD5",
    ];
    let is_name = word.contains('-') && word.split('-').all(|part| PARTS.contains(&part));
    is_name || GONE.iter().any(|(_, words)| words.contains(&word))
}

fn why_gone(name: &str) -> &'static str {
    let reason = |part: &str| GONE.iter().find(|(_, words)| words.contains(&part)).map(|(why, _)| *why);
    let of_parts = || name.split(['+', '-']).find_map(reason);
    reason(name).or_else(of_parts).unwrap_or("not among the safe ones")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(list: &str) -> String {
        let choice = choose(list).unwrap_or_else(|error| panic!("{list}: {error}"));
        choice.tls12.iter().map(|cipher| cipher.name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn groups_and_names_choose_in_their_order() {
        let all = TLS12.map(|cipher| cipher.name).join(" ");
        for list in [
            "ALL",
            "HIGH:!aNULL:!MD5",
            "DEFAULT",
            "ECDHE+AESGCM:ECDHE+CHACHA20:@STRENGTH",
            "ALL:!ADH:!LOW:!EXP",
        ] {
            assert_eq!(names(list).split(' ').count(), 6, "{list}");
        }
        assert_eq!(names("HIGH"), all);
        assert_eq!(names("ECDHE-RSA-AES128-GCM-SHA256:RC4-SHA"), "ECDHE-RSA-AES128-GCM-SHA256");
        assert_eq!(
            names("ECDHE+AESGCM:!AES128"),
            "ECDHE-ECDSA-AES256-GCM-SHA384 ECDHE-RSA-AES256-GCM-SHA384"
        );
        assert_eq!(names("HIGH:-AESGCM:+aRSA"), "ECDHE-ECDSA-CHACHA20-POLY1305 ECDHE-RSA-CHACHA20-POLY1305");
        assert_eq!(
            names("aRSA+CHACHA20 aECDSA+CHACHA20"),
            "ECDHE-RSA-CHACHA20-POLY1305 ECDHE-ECDSA-CHACHA20-POLY1305"
        );
        assert!(!names("!AES128:HIGH").contains("AES128"), "excluded for good");
        assert!(names("HIGH:-AES128:AES128").contains("AES128"), "removed and added again");
    }

    #[test]
    fn tls_1_3_is_chosen_by_name_only() {
        assert_eq!(choose("aRSA+AES256").unwrap().tls13, TLS13);
        let choice = choose("HIGH:TLS_AES_128_GCM_SHA256").unwrap();
        assert_eq!(choice.tls13.len(), 1);
        let only = choose("TLS_AES_256_GCM_SHA384").unwrap();
        assert!(only.tls12.is_empty() && only.to_string().contains("TLS 1.2"));
    }

    #[test]
    fn what_is_not_offered_is_told_with_the_reason() {
        let told = |list: &str| choose(list).unwrap().to_string();
        assert_eq!(told("HIGH:!RC4"), "");
        assert_eq!(told("HIGH:RC4"), "ssl_ciphers: not offered: RC4, broken or too weak\n");
        assert!(told("HIGH:AES256-SHA").contains("AES256-SHA, "));
        assert!(told("HIGH:DHE-RSA-AES256-GCM-SHA384").contains("finite-field"));
        assert!(told("HIGH:kRSA+AESGCM").contains("ephemeral"));
    }

    #[test]
    fn lists_that_make_no_sense_are_refused() {
        for list in ["RC4:3DES", "", ":", "HIGH:!ALL", "ECDSA:!AES:!CHACHA20"] {
            assert!(choose(list).unwrap_err().starts_with("nothing of "), "{list}");
        }
        for list in ["HIHG", "HIGH:bogus", "ECDHE+WHAT", "HIGH:!nothing", "AES-BOGUS"] {
            assert!(choose(list).unwrap_err().starts_with("want a list of ciphers"), "{list}");
        }
    }

    #[test]
    fn letters_that_no_cipher_has_are_refused_like_others() {
        for list in
            ["\u{e9}", "HIGH:\u{e9}", "!\u{e9}", "+\u{20ac}", "-\u{1f512}", "ECDHE+\u{e9}", "!", "HIGH:-"]
        {
            assert!(choose(list).unwrap_err().starts_with("want a list of ciphers"), "{list}");
        }
    }

    proptest! {
        #[test]
        fn any_list_is_read_or_refused(words in prop::collection::vec("[-!+@]?(HIGH|AES128|RC4|\\PC{0,3})[:, ;+]?", 0..6)) {
            let list = words.concat();
            if let Err(reason) = choose(&list) {
                prop_assert!(reason.starts_with("want ") || reason.starts_with("nothing of "), "{}", reason);
            }
        }
    }
}
