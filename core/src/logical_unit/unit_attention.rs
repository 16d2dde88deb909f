//! Unit attention conditions: what each nexus has not been told yet (SAM-5, section 5.14).

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};

use crate::id::NexusId;
use crate::planted;

/// A unit attention condition: ASC in the high byte, ASCQ in the low one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnitAttention(pub u16);

impl UnitAttention {
    /// POWER ON, RESET, OR BUS DEVICE RESET OCCURRED.
    pub const POWER_ON: Self = Self(0x2900);
    /// SCSI BUS RESET OCCURRED: target warm reset.
    pub const TARGET_RESET: Self = Self(0x2902);
    /// BUS DEVICE RESET FUNCTION OCCURRED: logical unit reset.
    pub const LOGICAL_UNIT_RESET: Self = Self(0x2903);
    /// I_T NEXUS LOSS OCCURRED.
    pub const NEXUS_LOSS: Self = Self(0x2907);

    /// The precedence level of SAM-5, section 5.14.2: the smaller, the more it says. `None` for those that stand for
    /// nothing but themselves.
    fn reset_level(self) -> Option<u8> {
        match self.0 {
            0x2900..=0x29ff => Some(self.0 as u8),
            _ => None,
        }
    }

    /// An initiator that is told `self` need not be told `other` any more: a reset stands for every lesser reset and
    /// for what was established before it.
    fn supersedes(self, other: Self) -> bool {
        match (self.reset_level(), other.reset_level()) {
            (Some(mine), Some(others)) => mine <= others,
            (Some(_), None) => true,
            (None, _) => self == other,
        }
    }
}

/// The conditions of one logical unit on one shard, in the order in which they are reported.
#[derive(Debug, Default)]
pub(super) struct UnitAttentions {
    queues: RefCell<BTreeMap<NexusId, VecDeque<UnitAttention>>>,
    /// Over all queues: the hot path looks here only.
    pending: Cell<usize>,
}

impl UnitAttentions {
    /// A nexus begins, with nothing to be told.
    pub(super) fn attach(&self, nexus: NexusId) {
        self.detach(nexus);
        self.queues.borrow_mut().insert(nexus, VecDeque::new());
    }

    /// A nexus is gone.
    pub(super) fn detach(&self, nexus: NexusId) {
        if let Some(queue) = self.queues.borrow_mut().remove(&nexus) {
            self.pending.set(self.pending.get() - queue.len());
        }
    }

    /// Every nexus that is attached.
    pub(super) fn nexuses(&self) -> Vec<NexusId> {
        self.queues.borrow().keys().copied().collect()
    }

    /// Establishes `attention` for `nexus`, in the place of what it supersedes. `false` when a pending condition says
    /// it already.
    pub(super) fn raise(&self, nexus: NexusId, attention: UnitAttention) -> bool {
        let mut queues = self.queues.borrow_mut();
        let Some(queue) = queues.get_mut(&nexus) else {
            return false;
        };
        let before = queue.len();
        // A pending reset says nothing about what came after it, unless that is a reset too.
        let said =
            |old: &UnitAttention| old.supersedes(attention) && (attention.reset_level().is_some() || *old == attention);
        crate::probe!(AttentionCovered if queue.iter().any(said));
        if planted!(UnitAttentionNever) || queue.iter().any(said) {
            return false;
        }
        queue.retain(|old| !attention.supersedes(*old));
        crate::probe!(AttentionSuperseded if queue.len() < before);
        queue.push_back(attention);
        if planted!(UnitAttentionTwice) {
            queue.push_back(attention);
        }
        self.pending.set(self.pending.get() - before + queue.len());
        true
    }

    /// Whether `nexus` has not been told something.
    pub(super) fn has(&self, nexus: NexusId) -> bool {
        self.queues.borrow().get(&nexus).is_some_and(|queue| !queue.is_empty())
    }

    /// Takes the condition that `nexus` is to be told next.
    pub(super) fn take(&self, nexus: NexusId) -> Option<UnitAttention> {
        if self.pending.get() == 0 {
            return None;
        }
        let attention = self.queues.borrow_mut().get_mut(&nexus)?.pop_front()?;
        self.pending.set(self.pending.get() - 1);
        Some(attention)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEXUS: NexusId = NexusId(7);
    const CAPACITY_CHANGED: UnitAttention = UnitAttention(0x2a09);
    const INVENTORY_CHANGED: UnitAttention = UnitAttention(0x3f0e);

    fn drain(attentions: &UnitAttentions) -> Vec<u16> {
        std::iter::from_fn(|| attentions.take(NEXUS)).map(|attention| attention.0).collect()
    }

    fn after(raised: &[UnitAttention]) -> Vec<u16> {
        let attentions = UnitAttentions::default();
        attentions.attach(NEXUS);
        for attention in raised {
            attentions.raise(NEXUS, *attention);
        }
        let told = drain(&attentions);
        assert_eq!(attentions.pending.get(), 0);
        told
    }

    #[test]
    fn conditions_are_reported_once_and_in_order() {
        assert_eq!(after(&[CAPACITY_CHANGED, INVENTORY_CHANGED, CAPACITY_CHANGED]), [0x2a09, 0x3f0e]);
    }

    #[test]
    fn reset_supersedes_what_was_established_before_it() {
        assert_eq!(after(&[CAPACITY_CHANGED, UnitAttention::LOGICAL_UNIT_RESET]), [0x2903]);
        assert_eq!(after(&[UnitAttention::NEXUS_LOSS, UnitAttention::TARGET_RESET]), [0x2902]);
    }

    #[test]
    fn lesser_reset_is_covered_by_a_pending_greater_one() {
        assert_eq!(after(&[UnitAttention::POWER_ON, UnitAttention::LOGICAL_UNIT_RESET]), [0x2900]);
        assert_eq!(after(&[UnitAttention::POWER_ON, UnitAttention::POWER_ON]), [0x2900]);
    }

    #[test]
    fn change_after_a_pending_reset_is_reported_after_it() {
        assert_eq!(after(&[UnitAttention::POWER_ON, CAPACITY_CHANGED]), [0x2900, 0x2a09]);
    }

    #[test]
    fn detached_nexus_leaves_nothing_pending() {
        let attentions = UnitAttentions::default();
        attentions.attach(NEXUS);
        assert!(attentions.raise(NEXUS, UnitAttention::POWER_ON));
        attentions.detach(NEXUS);
        assert_eq!(attentions.pending.get(), 0);
        assert!(!attentions.raise(NEXUS, UnitAttention::POWER_ON));
        assert_eq!(attentions.take(NEXUS), None);
    }

    proptest::proptest! {
        /// Nothing is told twice, the newest change is always told, and the count of what is pending holds.
        #[test]
        fn raised_conditions_are_told_once_or_covered(
            raised in proptest::collection::vec(0_usize..6, 0..20),
        ) {
            const ALL: [UnitAttention; 6] = [
                UnitAttention::POWER_ON,
                UnitAttention::TARGET_RESET,
                UnitAttention::LOGICAL_UNIT_RESET,
                UnitAttention::NEXUS_LOSS,
                CAPACITY_CHANGED,
                INVENTORY_CHANGED,
            ];
            let raised: Vec<UnitAttention> = raised.into_iter().map(|at| ALL[at]).collect();
            let told: Vec<UnitAttention> = after(&raised).into_iter().map(UnitAttention).collect();
            for (at, attention) in told.iter().enumerate() {
                proptest::prop_assert!(!told[..at].contains(attention));
            }
            for (at, attention) in raised.iter().enumerate() {
                let covered = raised[at + 1..].iter().any(|later| later.supersedes(*attention));
                let greater = attention.reset_level().is_some() && told.iter().any(|other| other.supersedes(*attention));
                proptest::prop_assert!(told.contains(attention) || covered || greater);
            }
        }
    }
}
