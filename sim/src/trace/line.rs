//! An event as one short line: what docs/SIMULATION.md explains.

use std::fmt;

use super::Entry;

/// A line, and how it is to be seen on a terminal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Line {
    /// Something broke a rule.
    Failure,
    /// A fault, and what went wrong with a disk or a connection.
    Fault,
    /// A PDU.
    Wire,
    /// Phases and processes.
    World,
    /// Everything else.
    Plain,
}

impl Line {
    /// What `entry` is.
    #[must_use]
    pub fn of(entry: &Entry) -> Self {
        match mark(entry) {
            "!!" => Self::Failure,
            "! " | "x " => Self::Fault,
            "> " | ">|" | "< " | "|<" => Self::Wire,
            "# " => Self::World,
            _ => Self::Plain,
        }
    }
}

/// What kind of thing it is, in two characters.
fn mark(entry: &Entry) -> &'static str {
    match &*entry.kind {
        "failure" => "!!",
        "fault" => "! ",
        "phase" | "crash" | "power-loss" | "clean-stop" | "restart" => "# ",
        "invoke" | "return" | "fence" => "* ",
        "initiator-sent" => "> ",
        "target-received" => ">|",
        "target-sent" => "< ",
        "initiator-received" => "|<",
        "reset" | "connect-failed" | "target-reset" | "initiator-reset" => "x ",
        "disk-failed" | "disk-hangs" | "disk-short" | "disk-interrupted" | "medium-failed" | "flush-failed" => "x ",
        "bytes-sent" | "bytes-received" => ". ",
        kind if kind.starts_with("disk-") => "D ",
        _ if entry.entity.starts_with("connection") => "+ ",
        _ => "T ",
    }
}

/// The short line of `entry`, without its end.
#[must_use]
pub fn line(entry: &Entry) -> String {
    let subject = [
        short("i", entry.initiator, 3),
        short("c", entry.connection, 4),
        short("L", entry.lun, 3),
        short("op ", entry.op, 8),
    ];
    let itt = entry.itt.map(|itt| format!("{itt:#x}")).unwrap_or_default();
    let cause = entry.cause.map(|cause| format!("  <- {cause}")).unwrap_or_default();
    format!(
        "{:>5}.{:06} {:>6} {} {itt:>10} {} {}{cause}",
        entry.at_us / 1_000_000,
        entry.at_us % 1_000_000,
        entry.seq,
        subject.join(" "),
        mark(entry),
        said(entry),
    )
}

/// What happened, in words: the line without its columns.
pub(crate) fn said(entry: &Entry) -> String {
    let mut said = Said(String::with_capacity(80));
    match (&entry.pdu, &*entry.kind) {
        // The mark says which way it goes.
        (Some(pdu), _) => said.word(pdu),
        (None, "failure") => {}
        (None, kind) => said.word(kind),
    }
    entry.oracle.iter().chain(&entry.command).chain(&entry.status).for_each(|word| said.word(word));
    if let Some(length) = entry.length {
        said.word(format_args!("{length}"));
        if let Some(offset) = entry.offset {
            said.word(format_args!("@{offset}"));
        }
    }
    said.number("CmdSN", entry.cmd_sn);
    said.number(if entry.cmd_sn.is_some() { "ExpStatSN" } else { "StatSN" }, entry.stat_sn);
    if let (Some(expected), Some(most)) = (entry.exp_cmd_sn, entry.max_cmd_sn) {
        said.word(format_args!("window {expected}..{most}"));
    }
    said.number("DataSN", entry.data_sn);
    said.tag("TTT", entry.ttt);
    said.tag("of", entry.referenced);
    said.tag("crc32c", entry.crc32c);
    if let Some(us) = entry.for_us {
        said.word(format_args!("for {us} us"));
    }
    if let Some(detail) = &entry.detail {
        said.word(format_args!("({detail})"));
    }
    said.0
}

struct Said(String);

impl Said {
    fn word(&mut self, word: impl fmt::Display) {
        if !self.0.is_empty() {
            self.0.push(' ');
        }
        self.0.push_str(&word.to_string());
    }

    fn number(&mut self, name: &str, number: Option<u32>) {
        number.iter().for_each(|number| self.word(format_args!("{name} {number}")));
    }

    fn tag(&mut self, name: &str, tag: Option<u32>) {
        tag.iter().for_each(|tag| self.word(format_args!("{name} {tag:#x}")));
    }
}

/// `prefix` and the number in a column of `width`; blanks where there is none.
fn short(prefix: &str, number: Option<impl fmt::Display>, width: usize) -> String {
    format!("{:<width$}", number.map(|number| format!("{prefix}{number}")).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let bare = Entry { seq: 7, at_us: 1_000_002, entity: "world".into(), kind: "phase".into(), ..Entry::default() };
        let full = Entry {
            initiator: Some(1),
            connection: Some(3),
            lun: Some(0),
            op: Some(41),
            itt: Some(0x6ff7),
            kind: "target-sent".into(),
            pdu: Some("R2T".into()),
            ttt: Some(5),
            length: Some(512),
            offset: Some(1_024),
            cause: Some(6),
            ..bare.clone()
        };
        assert_eq!(line(&bare), "    1.000002      7                                  #  phase");
        assert_eq!(line(&full), "    1.000002      7 i1  c3   L0  op 41        0x6ff7 <  R2T 512 @1024 TTT 0x5  <- 6");
    }
}
