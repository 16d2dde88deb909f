//! How close the limits came to being met, for the log.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use quintain_core::high_water::{Limit, Reading};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use crate::log::Format;

/// Writes all `readings` to the log, as a table or as one object with times in seconds. Somebody asked for it: no
/// filter applies.
pub fn tell(format: Format, readings: &[Reading]) {
    let lines = match format {
        Format::Text => table(readings),
        Format::Json => object(readings),
    };
    // There is nowhere left to say that standard error is closed.
    let _ = writeln!(io::stderr(), "{lines}");
}

/// The limits that were met, in a line; `None` when there is none.
#[must_use]
pub fn met(readings: &[Reading]) -> Option<String> {
    let met = readings.iter().filter(|reading| reading.met > 0);
    let met: Vec<_> = met.map(|Reading { name, limit, met, .. }| format!("{name} ({limit}) {}", times(*met))).collect();
    (!met.is_empty()).then(|| met.join(", "))
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

fn table(readings: &[Reading]) -> String {
    let mut table = format!("{:<28}{:>12}{:>12}{:>12}", "limit", "value", "highest", "times met");
    for Reading { name, limit, highest, met, .. } in readings {
        let highest = highest.map_or_else(|| "-".to_owned(), |highest| highest.to_string());
        // A string takes any memory that it needs.
        let _ = write!(table, "\n{name:<28}{:>12}{highest:>12}{met:>12}", limit.to_string());
    }
    table
}

fn object(readings: &[Reading]) -> String {
    let mut now = String::new();
    // A clock that cannot be read leaves the time empty.
    let _ = SystemTime.format_time(&mut Writer::new(&mut now));
    // Names and numbers: nothing has to be escaped.
    let member = |Reading { name, limit, highest, met, .. }: &Reading| {
        let limit = match limit {
            Limit::Count(count) => count.to_string(),
            Limit::Time(time) => time.as_secs_f64().to_string(),
        };
        let highest = highest.map_or_else(|| "null".to_owned(), |highest| highest.to_string());
        format!(r#""{name}":{{"limit":{limit},"highest":{highest},"met":{met}}}"#)
    };
    let members: Vec<_> = readings.iter().map(member).collect();
    format!(r#"{{"timestamp":"{now}","level":"INFO","message":"limits","limits":{{{}}}}}"#, members.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quintain_core::high_water::Bounds;
    use quintain_core::limits::Limits;

    #[test]
    fn table_has_a_line_for_each_limit_and_a_quiet_start_met_none() {
        let readings = Bounds::new(Limits::default()).readings();
        let table = table(&readings);
        assert_eq!(table.lines().count(), readings.len() + 1);
        assert!(table.lines().all(|line| line.len() == 64), "{table}");
        assert!(table.contains("\nlinger                                2s           -           0"), "{table}");
        assert_eq!(met(&readings), None);
    }

    #[test]
    fn object_is_one_line_with_a_member_for_each_limit() {
        let readings = Bounds::new(Limits::default()).readings();
        let object = object(&readings);
        assert_eq!((object.lines().count(), object.matches("\"met\":0}").count()), (1, readings.len()), "{object}");
        assert!(object.starts_with("{\"timestamp\":\"20"), "{object}");
        assert!(object.contains("\"pool_bytes\":{\"limit\":134217728,\"highest\":0,\"met\":0}"), "{object}");
        assert!(object.ends_with("\"linger\":{\"limit\":2,\"highest\":null,\"met\":0}}}"), "{object}");
    }

    #[test]
    fn limits_that_were_met_are_told_in_a_line() {
        let mut readings = Bounds::new(Limits::default()).readings();
        readings[0].met = 1;
        readings[1].met = 7;
        assert_eq!(met(&readings).as_deref(), Some("connections (1024) once, logins_per_peer (128) 7 times"));
    }
}
