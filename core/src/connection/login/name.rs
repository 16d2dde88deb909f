//! iSCSI names (RFC 7143, section 4.2.7).

/// The longest name, in bytes.
pub const NAME_BYTES: usize = 223;

/// Whether `name` is an iSCSI name; an error says what is wrong with it.
///
/// Upper case is taken (compare names with [`same`]), and so is the underscore, which the RFC forbids but virtual
/// machines put into their names.
pub fn check(name: &str) -> Result<(), &'static str> {
    if name.len() > NAME_BYTES {
        return Err("longer than 223 bytes");
    }
    let (Some(kind), Some(rest)) = (name.get(..4), name.get(4..)) else {
        return Err("no iqn., eui. or naa. in front");
    };
    match kind.to_ascii_lowercase().as_str() {
        "iqn." => check_qualified(rest),
        "eui." => check_hexadecimal(rest, &[16]),
        "naa." => check_hexadecimal(rest, &[16, 32]),
        _ => Err("no iqn., eui. or naa. in front"),
    }
}

/// Whether two names are the same. They are compared in lower case, as the RFC's normal form is.
#[must_use]
pub fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

/// What follows `iqn.`: a year and month, a dot and the naming authority.
fn check_qualified(rest: &str) -> Result<(), &'static str> {
    let bytes = rest.as_bytes();
    let digits =
        |range: std::ops::Range<usize>| bytes.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit));
    if !(digits(0..4) && bytes.get(4) == Some(&b'-') && digits(5..7) && bytes.get(7) == Some(&b'.')) {
        return Err("no year and month after iqn.");
    }
    let legal = |letter: char| match letter {
        '-' | '.' | ':' | '_' => true,
        _ if letter.is_ascii() => letter.is_ascii_alphanumeric(),
        _ => !letter.is_control() && !letter.is_whitespace(),
    };
    match rest.get(8..) {
        None | Some("") => Err("no naming authority"),
        Some(authority) if !authority.chars().all(legal) => Err("a character that no name may have"),
        Some(_) => Ok(()),
    }
}

fn check_hexadecimal(rest: &str, lengths: &[usize]) -> Result<(), &'static str> {
    if lengths.contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(())
    } else {
        Err("a wrong number of hexadecimal digits")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_all_three_forms_are_taken() {
        for name in [
            "iqn.2001-04.com.example:storage.disk2.sys1.xyz",
            "iqn.2008-11.org.linux-kvm:my_machine",
            "iqn.2001-04.example",
            "iqn.2001-04.com.example:\u{fc}ber",
            "eui.02004567A425678D",
            "naa.52004567BA64678D",
            "naa.62004567BA64678D0123456789ABCDEF",
        ] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn names_of_no_form_are_refused() {
        let long = format!("iqn.2001-04.com.example:{}", "x".repeat(200));
        for name in [
            "",
            "iqn",
            "iqn.",
            "iqn.2001-04",
            "iqn.2001-04.",
            "iqn.01-2004.com.example",
            "iqn.2001-04.com.example:a b",
            "iqn.2001-04.com.example:a,b",
            "iqn.2001-04.com.example:a\u{a0}b",
            "eui.02004567A425678",
            "eui.02004567A425678G",
            "naa.52004567BA64678D0",
            "disk",
            "\u{e9}\u{e9}\u{e9}",
            &long,
        ] {
            assert!(check(name).is_err(), "{name}");
        }
    }

    #[test]
    fn names_that_differ_in_case_are_the_same() {
        assert!(same("iqn.2001-04.com.example:A", "iqn.2001-04.com.example:a"));
        assert!(!same("iqn.2001-04.com.example:a", "iqn.2001-04.com.example:b"));
    }

    proptest! {
        #[test]
        fn any_text_is_checked_without_panic(text in "(iqn\\.|eui\\.)?\\PC{0,20}") {
            let _verdict = check(&text);
        }
    }
}
