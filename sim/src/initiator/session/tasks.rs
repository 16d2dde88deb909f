//! The tasks of a session by their tags. What is asked of all of them at every step is counted, not searched for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::command::Command;
use super::management::Management;

pub(super) struct Task {
    pub(super) kind: Kind,
    pub(super) cmd_sn: u32,
    pub(super) immediate: bool,
    /// `None`: the ladder has gone on, or there is none.
    deadline: Option<Duration>,
}

pub(super) enum Kind {
    Command(Box<Command>),
    Management(Management),
    Ping { data: Vec<u8> },
    Text { collected: Vec<u8> },
    Logout,
}

#[derive(Default)]
pub(super) struct Tasks {
    by_tag: BTreeMap<u32, Task>,
    deadlines: BTreeSet<(Duration, u32)>,
    commands: usize,
    functions: usize,
    pings: usize,
    texts: usize,
    logouts: usize,
}

impl Tasks {
    pub(super) fn insert(&mut self, tag: u32, task: Task) {
        self.remove(tag);
        self.deadlines.extend(task.deadline.map(|at| (at, tag)));
        *self.count(&task.kind) += 1;
        self.by_tag.insert(tag, task);
    }

    pub(super) fn remove(&mut self, tag: u32) -> Option<Task> {
        let task = self.by_tag.remove(&tag)?;
        if let Some(at) = task.deadline {
            self.deadlines.remove(&(at, tag));
        }
        *self.count(&task.kind) -= 1;
        Some(task)
    }

    pub(super) fn get(&self, tag: u32) -> Option<&Task> {
        self.by_tag.get(&tag)
    }

    pub(super) fn kind_mut(&mut self, tag: u32) -> Option<&mut Kind> {
        self.by_tag.get_mut(&tag).map(|task| &mut task.kind)
    }

    pub(super) fn command(&self, tag: u32) -> Option<&Command> {
        self.get(tag).and_then(Task::command)
    }

    pub(super) fn command_mut(&mut self, tag: u32) -> Option<&mut Command> {
        match self.kind_mut(tag)? {
            Kind::Command(command) => Some(command),
            _ => None,
        }
    }

    /// Sets the deadline of a task, if there is that task.
    pub(super) fn set_deadline(&mut self, tag: u32, deadline: Option<Duration>) {
        let Some(task) = self.by_tag.get_mut(&tag) else { return };
        if let Some(at) = std::mem::replace(&mut task.deadline, deadline) {
            self.deadlines.remove(&(at, tag));
        }
        self.deadlines.extend(deadline.map(|at| (at, tag)));
    }

    /// The deadline that comes first.
    pub(super) fn first_deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|&(at, _)| at)
    }

    /// Tags of the tasks whose deadline is `now` or before.
    pub(super) fn due(&self, now: Duration) -> Vec<u32> {
        self.deadlines.iter().take_while(|&&(at, _)| at <= now).map(|&(_, tag)| tag).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_tag.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Task)> {
        self.by_tag.iter().map(|(&tag, task)| (tag, task))
    }

    /// Commands by their tags.
    pub(super) fn commands(&self) -> impl Iterator<Item = (u32, &Command)> {
        self.iter().filter_map(|(tag, task)| task.command().map(|command| (tag, command)))
    }

    /// Task management functions.
    pub(super) fn functions(&self) -> impl Iterator<Item = &Management> {
        let tasks = (self.functions > 0).then(|| self.by_tag.values());
        tasks.into_iter().flatten().filter_map(|task| match &task.kind {
            Kind::Management(management) => Some(management),
            _ => None,
        })
    }

    /// The logout and its deadline.
    pub(super) fn logout(&self) -> Option<Option<Duration>> {
        let tasks = (self.logouts > 0).then(|| self.by_tag.values());
        let mut tasks = tasks.into_iter().flatten();
        tasks.find(|task| matches!(task.kind, Kind::Logout)).map(|task| task.deadline)
    }

    pub(super) fn command_count(&self) -> usize {
        self.commands
    }

    pub(super) fn function_count(&self) -> usize {
        self.functions
    }

    pub(super) fn is_pinging(&self) -> bool {
        self.pings > 0
    }

    pub(super) fn has_text(&self) -> bool {
        self.texts > 0
    }

    fn count(&mut self, kind: &Kind) -> &mut usize {
        match kind {
            Kind::Command(_) => &mut self.commands,
            Kind::Management(_) => &mut self.functions,
            Kind::Ping { .. } => &mut self.pings,
            Kind::Text { .. } => &mut self.texts,
            Kind::Logout => &mut self.logouts,
        }
    }
}

impl Task {
    pub(super) fn new(kind: Kind, cmd_sn: u32, immediate: bool, deadline: Option<Duration>) -> Self {
        Self { kind, cmd_sn, immediate, deadline }
    }

    pub(super) fn command(&self) -> Option<&Command> {
        match &self.kind {
            Kind::Command(command) => Some(command),
            _ => None,
        }
    }

    pub(super) fn has_deadline(&self) -> bool {
        self.deadline.is_some()
    }
}
