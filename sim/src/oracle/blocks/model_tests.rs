//! Histories of a disk that is right by construction, with commands that overlap at random: all must pass, and one
//! changed read must fail.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::history::{Action, Event, History, Nexus, OpId, Outcome, Sector, Unit};
use crate::oracle::check_history;
use crate::random::Draws;

const SECTORS: usize = 12;

/// A command that was sent and has no status.
struct Pending {
    action: Action,
    /// It took effect; for a read, what it saw.
    done: Option<Vec<Sector>>,
    /// It is a write that fails half-way.
    fails: bool,
}

/// A disk with a volatile cache, its commands in flight, and the history so far.
struct Model {
    draws: Draws,
    cache: Vec<Sector>,
    durable: Vec<Sector>,
    volatile: Vec<Vec<Sector>>,
    pending: BTreeMap<u64, Pending>,
    next: u64,
    events: Vec<Event>,
}

impl Model {
    fn new(seed: u64) -> Self {
        Self {
            draws: Draws::new(seed, "model", 0),
            cache: vec![Sector::Zero; SECTORS],
            durable: vec![Sector::Zero; SECTORS],
            volatile: vec![vec![]; SECTORS],
            pending: BTreeMap::new(),
            next: 1,
            events: vec![],
        }
    }

    fn run(mut self, steps: u64) -> Self {
        for _ in 0..steps {
            match self.draws.below(100) {
                0..40 => self.send(),
                40..68 => self.apply(),
                68..95 => self.answer(),
                95..98 => self.fence(),
                98 => self.restart(Event::Crash),
                _ => self.restart(Event::PowerLoss),
            }
        }
        self.restart(Event::Crash);
        self
    }

    fn send(&mut self) {
        let lba = self.draws.below(SECTORS as u64);
        let blocks = self.draws.between(1, SECTORS as u64 - lba) as u32;
        let action = match self.draws.below(10) {
            0..4 => Action::Read { lba, blocks },
            4 => Action::Synchronize { lba, blocks, immediate: self.draws.chance(1, 4) },
            5 => Action::Write { lba, blocks, fua: true },
            _ => Action::Write { lba, blocks, fua: false },
        };
        self.invoke(action);
    }

    fn invoke(&mut self, action: Action) -> u64 {
        let op = self.next;
        self.next += 1;
        let nexus = Nexus { initiator: 0, login: 1 };
        self.events.push(Event::Invoke { op: OpId(op), nexus, lun: 0, action: action.clone() });
        let fails = matches!(action, Action::Write { .. }) && self.draws.chance(1, 20);
        self.pending.insert(op, Pending { action, done: None, fails });
        op
    }

    fn pick(&mut self, done: bool) -> Option<u64> {
        let matching: Vec<_> =
            self.pending.iter().filter(|(_, p)| p.done.is_some() == done).map(|(&op, _)| op).collect();
        (!matching.is_empty()).then(|| *self.draws.pick(&matching))
    }

    fn apply(&mut self) {
        let Some(op) = self.pick(false) else { return };
        let (action, fails) = (self.pending[&op].action.clone(), self.pending[&op].fails);
        let mut saw = vec![];
        match action {
            Action::Read { lba, blocks } => saw = self.cache[lba as usize..][..blocks as usize].to_vec(),
            Action::Write { lba, blocks, fua } => {
                for sector in (lba as usize..).take(blocks as usize) {
                    if !(fails && self.draws.chance(1, 2)) {
                        self.write(sector, op, fua && !fails);
                    }
                }
            }
            Action::Synchronize { lba, blocks, immediate: false } => {
                for sector in (lba as usize..).take(blocks as usize) {
                    self.durable[sector] = self.cache[sector];
                    self.volatile[sector].clear();
                }
            }
            _ => {}
        }
        if let Some(pending) = self.pending.get_mut(&op) {
            pending.done = Some(saw);
        }
    }

    fn write(&mut self, sector: usize, op: u64, durable: bool) {
        self.cache[sector] = Sector::Written(OpId(op));
        if durable {
            self.durable[sector] = self.cache[sector];
            self.volatile[sector].clear();
        } else {
            self.volatile[sector].push(self.cache[sector]);
        }
    }

    fn answer(&mut self) {
        let Some(op) = self.pick(true) else { return };
        let Some(Pending { done: Some(sectors), fails, .. }) = self.pending.remove(&op) else { return };
        let outcome = if fails { Outcome::Check { key: 3, code: 0x0c00 } } else { Outcome::Good { sectors } };
        self.events.push(Event::Return { op: OpId(op), outcome });
    }

    fn fence(&mut self) {
        let done = self.draws.chance(1, 2);
        let Some(op) = self.pick(done) else { return };
        self.pending.remove(&op);
        self.events.push(Event::Fence { op: OpId(op) });
    }

    fn restart(&mut self, how: Event) {
        if how == Event::PowerLoss {
            for sector in 0..SECTORS {
                let mut left = vec![self.durable[sector]];
                left.append(&mut self.volatile[sector]);
                self.durable[sector] = *self.draws.pick(&left);
            }
            self.cache = self.durable.clone();
        }
        self.events.extend([how, Event::Restart]);
        self.pending.clear();
    }

    /// Reads the sector, alone.
    fn look(&mut self, sector: usize, sees: Sector) {
        let op = self.invoke(Action::Read { lba: sector as u64, blocks: 1 });
        self.pending.clear();
        self.events.push(Event::Return { op: OpId(op), outcome: Outcome::Good { sectors: vec![sees] } });
    }

    fn history(self) -> History {
        let unit = Unit {
            lun: 0,
            block_bytes: 512,
            blocks: SECTORS as u64,
            write_cache: true,
            nullio: false,
            read_only: false,
        };
        History { units: vec![unit], events: self.events }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn history_of_a_right_disk_passes(seed: u64, steps in 1u64..400) {
        let history = Model::new(seed).run(steps).history();
        prop_assert_eq!(check_history(&history), vec![]);
    }

    #[test]
    fn history_with_one_changed_read_fails(seed: u64, steps in 1u64..400, sector in 0..SECTORS) {
        let mut model = Model::new(seed).run(steps);
        let right = model.cache[sector];
        let mut others = vec![Sector::Zero, Sector::Foreign, Sector::Garbage];
        others.extend((1..model.next).map(|op| Sector::Written(OpId(op))));
        others.retain(|other| *other != right);
        let wrong = *model.draws.pick(&others);
        // The first look says what is there; nothing is in flight that could change it.
        model.look(sector, right);
        model.look(sector, wrong);
        let history = model.history();
        let torn = |event: &Event| matches!(event, Event::Return { outcome: Outcome::Check { .. }, .. });
        prop_assume!(!(wrong == Sector::Garbage && history.events.iter().any(torn)));
        prop_assert!(!check_history(&history).is_empty());
    }

    #[test]
    fn history_with_a_synchronised_write_undone_by_power_loss_fails(seed: u64, steps in 1u64..400, sector in 0..SECTORS) {
        let mut model = Model::new(seed).run(steps);
        let before = model.cache[sector];
        for action in [
            Action::Write { lba: sector as u64, blocks: 1, fua: false },
            Action::Synchronize { lba: 0, blocks: 0, immediate: false },
        ] {
            let op = model.invoke(action);
            model.pending.clear();
            model.events.push(Event::Return { op: OpId(op), outcome: Outcome::Good { sectors: vec![] } });
        }
        model.events.extend([Event::PowerLoss, Event::Restart]);
        model.look(sector, before);
        let findings = check_history(&model.history());
        prop_assert!(findings.iter().any(|finding| finding.oracle == "B5"), "{:?}", findings);
    }
}

#[test]
fn history_of_fifteen_hundred_long_commands_is_judged_sector_by_sector() {
    let mut events = vec![];
    for op in 0..1_500u64 {
        let nexus = Nexus { initiator: (op % 3) as u32, login: 1 };
        let lba = op * 7 % 7_680;
        let action = if op % 2 == 0 {
            Action::Write { lba, blocks: 512, fua: false }
        } else {
            Action::Synchronize { lba, blocks: 0, immediate: false }
        };
        events.push(Event::Invoke { op: OpId(op), nexus, lun: 0, action });
        events.push(Event::Return { op: OpId(op), outcome: Outcome::Good { sectors: vec![] } });
    }
    let read = |op, sector| {
        let action = Action::Read { lba: 0, blocks: 1 };
        let nexus = Nexus { initiator: 0, login: 1 };
        [
            Event::Invoke { op: OpId(op), nexus, lun: 0, action },
            Event::Return { op: OpId(op), outcome: Outcome::Good { sectors: vec![sector] } },
        ]
    };
    let unit = Unit { lun: 0, block_bytes: 512, blocks: 8_192, write_cache: true, nullio: false, read_only: false };
    let mut history = History { units: vec![unit], events };
    assert_eq!(check_history(&history), vec![]);
    history.events.extend(read(2_000, Sector::Zero));
    assert_eq!(check_history(&history).len(), 1);
}
