//! What the operator sees first: what is served, where, and lines to paste.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use quintain_core::target::{BackendKind, IoMode};

use crate::storage::OpenedLun;

/// What is served, ready to be printed.
pub struct Banner<'a> {
    /// The target's iSCSI name.
    pub target: &'a str,
    /// Its logical units.
    pub luns: &'a BTreeMap<u16, OpenedLun>,
    /// Where it listens.
    pub portals: &'a [SocketAddr],
}

impl Banner<'_> {
    /// Whether only programs on this machine can connect.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.portals.iter().all(|portal| portal.ip().is_loopback())
    }

    fn luns(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (number, lun) in self.luns {
            let name = lun.path.as_ref().map_or_else(|| "nothing".to_owned(), |path| path.display().to_string());
            let kind = match lun.config.backend {
                BackendKind::Nullio { .. } => "nullio",
                BackendKind::Fileio => "fileio",
                BackendKind::Blockio => "blockio",
            };
            let mode = match lun.config.mode {
                IoMode::WriteThrough => "write-through",
                IoMode::WriteBack => "write-back",
                IoMode::ReadOnly => "read-only",
            };
            let created = if lun.created { ", created" } else { "" };
            let (size, block_bytes) = (lun.size, lun.config.block_bytes);
            writeln!(f, "  LUN {number:<9}{name} ({size}, {kind}, {mode}, {block_bytes}-byte blocks{created})")?;
        }
        Ok(())
    }

    fn reach(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.is_local() {
            writeln!(f, "  reachable    from this machine only; --listen 0.0.0.0:3260 opens it to the network, where")?;
            writeln!(f, "               whoever reaches the port can read and write: there is no authentication yet")
        } else {
            writeln!(
                f,
                "  reachable    FROM THE NETWORK, without authentication: whoever reaches the port can read and"
            )?;
            writeln!(f, "               write; let a firewall decide who does")
        }
    }

    /// An address to connect to: a listener on all addresses is reached through loopback.
    fn address(&self) -> Option<SocketAddr> {
        let mut address = *self.portals.first()?;
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        Some(address)
    }
}

impl Display for Banner<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let target = self.target;
        writeln!(f, "Quintain {} serves", env!("CARGO_PKG_VERSION"))?;
        writeln!(f, "  target       {target}")?;
        self.luns(f)?;
        for portal in self.portals {
            writeln!(f, "  listening    {portal}")?;
        }
        self.reach(f)?;
        let (Some(address), Some(lun)) = (self.address(), self.luns.keys().next()) else { return Ok(()) };
        writeln!(f)?;
        writeln!(f, "Connect with")?;
        writeln!(f, "  open-iscsi   iscsiadm -m discovery -t sendtargets -p {address}")?;
        writeln!(f, "               iscsiadm -m node -T {target} -p {address} --login")?;
        writeln!(f, "  QEMU         -drive file=iscsi://{address}/{target}/{lun},format=raw,if=virtio")?;
        writeln!(f, "               qemu-img info -f raw iscsi://{address}/{target}/{lun}")?;
        writeln!(f, "  libiscsi     iscsi-ls -s iscsi://{address}")
    }
}
