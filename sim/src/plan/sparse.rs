//! Writes only what differs from the default, so that a small plan is a short text.

use serde::ser::{Error, SerializeSeq};
use serde::{Serialize, Serializer};
use toml::Table;

/// What a part of the plan is called by: written even where it is the default.
const NAMES: [&str; 2] = ["index", "lun"];

/// The fields of `value` that are not what they are by default.
pub(super) fn one<T: Serialize + Default, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    table(value, &defaults::<T>().map_err(S::Error::custom)?).map_err(S::Error::custom)?.serialize(serializer)
}

/// The same for each of `values`.
pub(super) fn list<T: Serialize + Default, S: Serializer>(values: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    let defaults = defaults::<T>().map_err(S::Error::custom)?;
    let mut sequence = serializer.serialize_seq(Some(values.len()))?;
    for value in values {
        sequence.serialize_element(&table(value, &defaults).map_err(S::Error::custom)?)?;
    }
    sequence.end()
}

fn defaults<T: Serialize + Default>() -> Result<Table, toml::ser::Error> {
    Table::try_from(T::default())
}

fn table(value: &impl Serialize, defaults: &Table) -> Result<Table, toml::ser::Error> {
    let mut table = Table::try_from(value)?;
    table.retain(|key, value| NAMES.iter().any(|name| **name == *key) || defaults.get(key) != Some(value));
    Ok(table)
}
