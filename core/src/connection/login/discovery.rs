//! SendTargets (RFC 7143, appendix C).

use super::{Identity, name};
use crate::wire::text::TextBuilder;

/// The one portal group: all portals of the node.
pub const PORTAL_GROUP_TAG: u16 = 1;

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asker {
    /// A discovery session: it may hear of all targets.
    Discovery,
    /// A normal session: it may hear of its own target only, an index into [`Identity::targets`].
    Normal(usize),
}

/// Answers `SendTargets=value` into `text`.
pub fn send_targets(identity: &Identity<'_>, asker: Asker, value: &str, text: &mut TextBuilder) {
    let wanted = |index: usize| match (asker, value) {
        (Asker::Discovery, "All") => true,
        (Asker::Normal(own), "") => index == own,
        (Asker::Discovery, wanted) => name::same(wanted, &identity.targets[index].name),
        (Asker::Normal(own), wanted) => index == own && name::same(wanted, &identity.targets[index].name),
    };
    if matches!((asker, value), (Asker::Discovery, "") | (Asker::Normal(_), "All")) {
        text.push("SendTargets", "Reject");
        return;
    }
    let address = std::net::SocketAddr::new(identity.local.ip().to_canonical(), identity.local.port());
    for index in (0..identity.targets.len()).filter(|&index| wanted(index)) {
        text.push("TargetName", &identity.targets[index].name);
        text.push("TargetAddress", &format!("{address},{PORTAL_GROUP_TAG}"));
    }
}
