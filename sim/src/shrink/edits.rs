//! What may be left out of a plan, or made smaller, as paths into its tree.

use std::collections::BTreeMap;

use toml::{Table, Value};

/// What makes a plan smaller: one change, or several that belong together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Edit {
    changes: Vec<Change>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Change {
    path: Vec<Key>,
    how: How,
}

impl Edit {
    fn new(path: &[Key], how: How) -> Self {
        Self { changes: vec![Change { path: path.to_vec(), how }] }
    }

    /// What it takes away from `tree`, in the words of the plan: "step 243 of initiator 1: write, lun 3, lba 1".
    pub(super) fn told(&self, tree: &Table) -> String {
        let path = &self.changes[0].path;
        let (mut value, mut list, mut parts) = (Value::Table(tree.clone()), "", Vec::new());
        for key in path {
            let Some(inner) = step(&mut value, key) else { break };
            value = inner.clone();
            match key {
                Key::Field(name) => list = name,
                Key::Element(_) => parts.push(named(list, &value)),
            }
        }
        parts.reverse();
        let whole = parts.join(" of ");
        match (&value, path.last()) {
            (Value::String(name), Some(Key::Element(_))) => format!("{list}: {name}"),
            (Value::Table(table), Some(Key::Element(_))) => format!("{whole}: {}", inline(table)),
            (Value::Table(table), _) if whole.is_empty() => format!("{list}: {}", inline(table)),
            (Value::Table(table), _) => format!("{list} of {whole}: {}", inline(table)),
            (value, _) if whole.is_empty() => format!("{list} = {value}"),
            (value, _) => format!("{list} = {value} of {whole}"),
        }
    }
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Key {
    Field(String),
    Element(usize),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum How {
    /// It is gone, or what it is by default.
    Remove,
    /// The number is half of what it was.
    Halve,
    /// The number is smaller by so much.
    Subtract(i64),
}

/// What is tried together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pass {
    Faults,
    /// Sites of unlikely choices.
    Choices,
    Operations,
    Initiators,
    /// Operations that have a logical unit, or a verb, in common.
    Kinds,
    /// Steps, with a pause of the same length in the place of each row of them: what comes behind happens when it did.
    Pauses,
    Nodes,
    Parameters,
    Numbers,
    /// Numbers that cannot be halved, by an eighth.
    Eighths,
}

impl Pass {
    /// In the order in which they are tried.
    pub(super) const ALL: [Self; 10] = [
        Self::Faults,
        Self::Choices,
        Self::Operations,
        Self::Initiators,
        Self::Kinds,
        Self::Pauses,
        Self::Nodes,
        Self::Parameters,
        Self::Numbers,
        Self::Eighths,
    ];

    /// Whether taking a part away may leave no plan.
    pub(super) fn may_be_invalid(self) -> bool {
        self == Self::Parameters
    }
}

/// What identifies a part, or says what kind of part it is: never changed.
const FIXED: [&str; 12] =
    ["seed", "profile", "planted", "story", "finds", "index", "id", "lun", "verb", "fault", "what", "attack"];
/// Parts whose numbers say how much happens, and not what the world is like: only these are halved.
const AMOUNTS: [&str; 3] = ["initiators", "faults", "warm_up_us"];
/// Within these, what the initiator is.
const CHARACTER: [&str; 3] = ["keys", "timeouts", "isid"];

/// All edits of `pass` in `tree`, in the order of the plan.
pub(super) fn of(tree: &Table, pass: Pass) -> Vec<Edit> {
    let mut edits = Vec::new();
    match pass {
        Pass::Initiators => elements(tree, &[Key::Field("initiators".to_owned())], &mut edits),
        Pass::Faults => elements(tree, &[Key::Field("faults".to_owned())], &mut edits),
        Pass::Choices => elements(tree, &[Key::Field("buggify".to_owned())], &mut edits),
        Pass::Kinds => {
            operations(tree, &["steps", "hostile"], &mut edits);
            edits = alike(tree, &edits);
        }
        Pass::Operations => operations(tree, &["steps", "hostile"], &mut edits),
        Pass::Pauses => operations(tree, &["steps"], &mut edits),
        Pass::Nodes => {
            elements(tree, &[Key::Field("units".to_owned())], &mut edits);
            // A path in the middle of the list has to keep its place.
            if let Some(last) = length(tree, "links").checked_sub(1) {
                edits.push(Edit::new(&[Key::Field("links".to_owned()), Key::Element(last)], How::Remove));
            }
        }
        Pass::Parameters => walk(tree, &mut Vec::new(), &mut |path, value| {
            // What is a list of parts is not a parameter.
            let is_part = matches!(value, Value::Array(elements) if elements.iter().any(Value::is_table));
            // Its elements have a pass of their own.
            if !is_part && path != [Key::Field("buggify".to_owned())] {
                edits.push(Edit::new(path, How::Remove));
            }
        }),
        Pass::Numbers | Pass::Eighths => walk(tree, &mut Vec::new(), &mut |path, value| {
            let top = matches!(&path[0], Key::Field(name) if AMOUNTS.contains(&name.as_str()));
            let character =
                path.iter().any(|key| matches!(key, Key::Field(name) if CHARACTER.contains(&name.as_str())));
            let number = value.as_integer().filter(|&number| top && !character && number > 1);
            match (pass, number) {
                (_, None) => {}
                (Pass::Eighths, Some(number)) => edits.push(Edit::new(path, How::Subtract((number / 8).max(1)))),
                (_, Some(_)) => edits.push(Edit::new(path, How::Halve)),
            }
        }),
    }
    edits
}

/// `tree` with all of `edits`.
pub(super) fn apply(tree: &Table, edits: &[Edit]) -> Table {
    let mut tree = Value::Table(tree.clone());
    let mut changes: Vec<&Change> = edits.iter().flat_map(|edit| &edit.changes).collect();
    changes.sort_by(|one, other| one.path.cmp(&other.path));
    changes.dedup();
    // From the end, so that what is taken out of a list moves nothing that is still to be found.
    for change in changes.into_iter().rev() {
        let Some((last, parents)) = change.path.split_last() else { continue };
        let Some(parent) = parents.iter().try_fold(&mut tree, step) else { continue };
        match (change.how, parent, last) {
            (How::Remove, Value::Table(table), Key::Field(name)) => drop(table.remove(name)),
            (How::Remove, Value::Array(list), Key::Element(index)) if *index < list.len() => drop(list.remove(*index)),
            (How::Halve, parent, key) => {
                if let Some(Value::Integer(number)) = step(parent, key) {
                    *number /= 2;
                }
            }
            (How::Subtract(less), parent, key) => {
                if let Some(Value::Integer(number)) = step(parent, key) {
                    *number = (*number - less).max(0);
                }
            }
            _ => {}
        }
    }
    match tree {
        Value::Table(table) => table,
        _ => Table::new(),
    }
}

fn step<'a>(value: &'a mut Value, key: &Key) -> Option<&'a mut Value> {
    match key {
        Key::Field(name) => value.get_mut(name),
        Key::Element(index) => value.get_mut(*index),
    }
}

fn length(tree: &Table, list: &str) -> usize {
    tree.get(list).and_then(Value::as_array).map_or(0, Vec::len)
}

/// Taking away each element of the list at `path`.
fn elements(tree: &Table, path: &[Key], edits: &mut Vec<Edit>) {
    let count = find(tree, path).and_then(Value::as_array).map_or(0, Vec::len);
    edits.extend((0..count).map(|index| {
        let path: Vec<Key> = path.iter().cloned().chain([Key::Element(index)]).collect();
        Edit::new(&path, How::Remove)
    }));
}

/// What is at `path`.
fn find<'a>(tree: &'a Table, path: &[Key]) -> Option<&'a Value> {
    let (Key::Field(first), rest) = path.split_first()? else { return None };
    rest.iter().try_fold(tree.get(first)?, |value, key| match key {
        Key::Field(name) => value.get(name),
        Key::Element(index) => value.get(*index),
    })
}

/// Taking away each operation: steps, attacks, or both.
fn operations(tree: &Table, kinds: &[&str], edits: &mut Vec<Edit>) {
    for index in 0..length(tree, "initiators") {
        for inner in [&["steps"][..], &["hostile", "attacks"]].into_iter().filter(|inner| kinds.contains(&inner[0])) {
            let mut path = vec![Key::Field("initiators".to_owned()), Key::Element(index)];
            path.extend(inner.iter().map(|&key| Key::Field(key.to_owned())));
            elements(tree, &path, edits);
        }
    }
}

/// Taking away all `operations` that have something in common, for each such thing.
fn alike(tree: &Table, operations: &[Edit]) -> Vec<Edit> {
    let mut edits = Vec::new();
    for field in ["lun", "verb", "attack"] {
        let mut groups: BTreeMap<String, Vec<Change>> = BTreeMap::new();
        for change in operations.iter().flat_map(|edit| &edit.changes) {
            if let Some(value) = find(tree, &change.path).and_then(|operation| operation.get(field)) {
                groups.entry(value.to_string()).or_default().push(change.clone());
            }
        }
        edits.extend(groups.into_values().map(|changes| Edit { changes }));
    }
    edits
}

/// Every value but those that are fixed: leaves, and groups before what is in them.
fn walk(table: &Table, path: &mut Vec<Key>, visit: &mut dyn FnMut(&[Key], &Value)) {
    for (name, value) in table.iter().filter(|(name, _)| !FIXED.contains(&name.as_str())) {
        path.push(Key::Field(name.clone()));
        visit(path, value);
        match value {
            // A name is changed as a whole, or not at all.
            Value::Table(_) if name == "since" => {}
            Value::Table(inner) => walk(inner, path, visit),
            Value::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    if let Value::Table(inner) = element {
                        path.push(Key::Element(index));
                        walk(inner, path, visit);
                        path.pop();
                    }
                }
            }
            _ => {}
        }
        path.pop();
    }
}

/// "fault 6", by the name that the part has in the plan.
fn named(list: &str, value: &Value) -> String {
    let kind = list.trim_end_matches('s');
    let name = ["id", "index", "lun"].into_iter().find_map(|key| value.get(key));
    name.map_or_else(|| kind.to_owned(), |name| format!("{kind} {name}"))
}

/// The fields of a part in one line, without what it is called; lists of parts only by their length.
fn inline(table: &Table) -> String {
    let fields = table.iter().filter(|(name, _)| !["id", "index"].contains(&name.as_str()));
    let told = fields.map(|(name, value)| match value {
        Value::String(text) if ["verb", "fault", "what", "attack"].contains(&name.as_str()) => text.clone(),
        Value::Boolean(true) => name.clone(),
        Value::Table(inner) => format!("{name} {}", inline(inner)),
        Value::Array(parts) if parts.iter().any(Value::is_table) => format!("{} {name}", parts.len()),
        value => format!("{name} {value}"),
    });
    told.collect::<Vec<_>>().join(", ")
}
