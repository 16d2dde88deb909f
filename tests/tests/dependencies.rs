//! Every package that Quintain is built from has a licence that `deny.toml` allows and comes from a registry that it
//! allows.

use std::process::Command;

use serde_json::Value as Json;
use toml::Value as Toml;

#[test]
fn dependencies_have_allowed_licences_and_sources() {
    let deny: Toml = include_str!("../../deny.toml").parse::<toml::Table>().expect("deny.toml is TOML").into();
    let strings = |value: &Toml| -> Vec<String> {
        value.as_array().expect("a list").iter().map(|item| item.as_str().expect("a string").to_owned()).collect()
    };
    let licences = strings(&deny["licenses"]["allow"]);
    let registries = strings(&deny["sources"]["allow-registry"]);
    let packages = packages();
    assert!(packages.len() > 50, "all packages are listed");
    for package in packages {
        let name = package["name"].as_str().expect("a name");
        let licence = package["license"].as_str().unwrap_or("none");
        assert!(is_allowed(licence, &licences), "{name} has the licence \"{licence}\"");
        if let Some(source) = package["source"].as_str() {
            let registry = source.strip_prefix("registry+").unwrap_or(source);
            assert!(registries.iter().any(|allowed| allowed == registry), "{name} comes from {source}");
        }
    }
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = ["MIT".to_owned(), "Apache-2.0 WITH LLVM-exception".to_owned(), "Zlib".to_owned()];
    for good in [
        "MIT",
        "GPL-3.0 OR MIT",
        "MIT/GPL-3.0",
        "(GPL-3.0 OR MIT) AND Zlib",
        "Apache-2.0 WITH LLVM-exception OR GPL-3.0",
        "Zlib AND (MIT AND (MIT OR GPL-3.0))",
    ] {
        assert!(is_allowed(good, &allowed), "{good}");
    }
    for bad in ["", "none", "GPL-3.0", "MIT AND GPL-3.0", "GPL-3.0 OR MIT AND GPL-2.0", "(MIT) AND (GPL-3.0)"] {
        assert!(!is_allowed(bad, &allowed), "{bad}");
    }
}

fn packages() -> Vec<Json> {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let arguments = ["metadata", "--format-version", "1", "--locked", "--manifest-path", manifest];
    let output = Command::new(env!("CARGO")).args(arguments).output().expect("cargo is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut metadata: Json = serde_json::from_slice(&output.stdout).expect("JSON");
    match metadata["packages"].take() {
        Json::Array(packages) => packages,
        other => panic!("packages are a list, not {other}"),
    }
}

/// Whether an SPDX expression can be satisfied. AND binds tighter than OR; a slash is an old way to write OR.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let expression = expression.trim();
    let any = split_outside_brackets(&expression.replace('/', " OR "), " OR ");
    if any.len() > 1 {
        return any.iter().any(|part| is_allowed(part, allowed));
    }
    let all = split_outside_brackets(expression, " AND ");
    if all.len() > 1 {
        return all.iter().all(|part| is_allowed(part, allowed));
    }
    match expression.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(inner) => is_allowed(inner, allowed),
        None => allowed.iter().any(|licence| licence == expression),
    }
}

fn split_outside_brackets(text: &str, separator: &str) -> Vec<String> {
    let (mut parts, mut depth, mut start, mut at) = (Vec::new(), 0, 0, 0);
    while at < text.len() {
        match text.as_bytes()[at] {
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ if depth == 0 && text[at..].starts_with(separator) => {
                parts.push(text[start..at].to_owned());
                at += separator.len();
                start = at;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    parts.push(text[start..].to_owned());
    parts
}
