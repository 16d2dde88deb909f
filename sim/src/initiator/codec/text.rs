//! Text data of login and text PDUs: `key=value` pairs, each ended by a NUL (RFC 7143, 6.1).

/// Encodes pairs in order.
#[must_use]
pub fn encode(pairs: &[(String, String)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (key, value) in pairs {
        bytes.extend_from_slice(key.as_bytes());
        bytes.push(b'=');
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
    }
    bytes
}

/// Decodes pairs in order.
///
/// # Errors
/// What is wrong, in words: no `=`, no NUL at the end, not UTF-8.
pub fn decode(bytes: &[u8]) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = rest.iter().position(|&byte| byte == 0).ok_or_else(|| format!("no NUL after {rest:?}"))?;
        let pair = std::str::from_utf8(&rest[..end]).map_err(|error| format!("text is not UTF-8: {error}"))?;
        rest = &rest[end + 1..];
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("no '=' in {pair:?}"))?;
        pairs.push((key.to_owned(), value.to_owned()));
    }
    Ok(pairs)
}

/// The value of `key`.
#[must_use]
pub fn value<'a>(pairs: &'a [(String, String)], key: &str) -> Option<&'a str> {
    pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}
