//! Initiators that break the protocol on purpose.
//!
//! Each attack has a connection of its own. The target may reject, answer with an error, drop in silence or close,
//! as the rule says; faults may do the same at any time, so only what it must *never* answer is a violation. An
//! attack ends by its own limits, whatever the target does. Writes that may land are in the history like any other.

mod crowd;
mod discovery;
mod lengths;
mod login;
mod moments;
mod negotiate;
mod numbers;
mod odd_command;
mod odd_login;
mod order;
mod pace;
mod peer;

use std::time::Duration;

use super::link::LinkError;
use super::plan::{Attack, AttackStep, HostilePlan, InitiatorPlan};
use super::shared::{Phase, Report, Shared};
use super::world::World;
use crate::history::{Event, OpId};

/// A target that waits longer for what an initiator owes is not waited for.
const LONG_STALL: Duration = Duration::from_secs(10);
/// How much later than it must the target may notice that an initiator owes something for too long.
const STALL_SLACK: Duration = Duration::from_secs(5);
/// Attempts to log in before an attack is left out.
const LOGINS_MAX: u32 = 5;

/// Plays the attacks of `plan`. Ends early when the faults end: the liveness of others is not to wait for it.
pub(super) async fn run<W: World>(world: W, plan: &InitiatorPlan, hostile: &HostilePlan, shared: Shared) -> Report {
    let mut attacker = Attacker {
        world,
        plan,
        lun: hostile.lun,
        shared,
        unfenced: Vec::new(),
        logins: 0,
        cmd_sn: plan.initial_cmd_sn,
        mark: 0,
        began: Duration::ZERO,
        report: Report::default(),
    };
    for (at, step) in hostile.attacks.iter().enumerate() {
        if attacker.shared.phase.get() != Phase::Chaos {
            attacker.report.steps_left = (hostile.attacks.len() - at) as u64;
            break;
        }
        attacker.mark = attacker.shared.resets.borrow().mark();
        attacker.began = attacker.world.now();
        attacker.world.began(step.id);
        // How an attack ends is the target's business.
        if attacker.play(step).await.is_ok() {
            attacker.report.attacks += 1;
        }
    }
    attacker.report
}

/// A hostile initiator between two attacks.
struct Attacker<'a, W: World> {
    world: W,
    plan: &'a InitiatorPlan,
    lun: u16,
    shared: Shared,
    /// Writes without status, of connections that are gone.
    unfenced: Vec<OpId>,
    logins: u32,
    cmd_sn: u32,
    /// When the attack began, as [`super::shared::Resets::since`] counts.
    mark: u64,
    /// When the attack began.
    began: Duration,
    report: Report,
}

impl<W: World> Attacker<'_, W> {
    async fn play(&mut self, step: &AttackStep) -> Result<(), LinkError> {
        match step.attack {
            Attack::CommandAboveWindow
            | Attack::CommandBelowWindow
            | Attack::CommandTwice
            | Attack::CommandGap
            | Attack::CommandsBackward
            | Attack::StatusAhead
            | Attack::TagReused
            | Attack::TransferTagWrong
            | Attack::TransferTagStale
            | Attack::DataNumberGap
            | Attack::OffsetBeyond
            | Attack::OffsetOverlap
            | Attack::OffsetBackward => self.numbers(step).await,
            Attack::SegmentTooLong
            | Attack::AhsLies
            | Attack::ExpectsLess
            | Attack::ImmediateTooLong
            | Attack::BurstTooLong
            | Attack::FinalMissing
            | Attack::FinalEarly => self.lengths(step).await,
            Attack::DataWithoutCommand
            | Attack::UnsolicitedForbidden
            | Attack::DataAfterAbort
            | Attack::AnswerToNothing
            | Attack::LoginAgain
            | Attack::Snack
            | Attack::OpcodeUnknown
            | Attack::OpcodeOfTarget
            | Attack::FunctionUnknown
            | Attack::LogoutElsewhere
            | Attack::TextFlood
            | Attack::DataBehindWrite
            | Attack::AbortUnsent
            | Attack::AbortConfirmed
            | Attack::TextEmpty
            | Attack::MisplacedFlood
            | Attack::AbortFlood => self.order(step).await,
            Attack::DataBehindGap | Attack::DataWhileDormant | Attack::DataOfRefused | Attack::DataOfAborted => {
                self.moments(step).await
            }
            Attack::CommandInLogin
            | Attack::Garbage
            | Attack::Http
            | Attack::Tls
            | Attack::BeforeLogin
            | Attack::LoginHalf
            | Attack::LoginEndless
            | Attack::KeyTooLong
            | Attack::KeyTwice
            | Attack::TextMalformed
            | Attack::StageIllegal
            | Attack::SessionUnknown
            | Attack::TargetUnknown
            | Attack::NameMissing => self.login(step).await,
            Attack::NameOdd | Attack::OfferOdd | Attack::KeyOutOfPlace | Attack::VersionOther => {
                self.odd_login(step).await
            }
            Attack::CommandOdd | Attack::UnsolicitedOdd => self.odd_command(step).await,
            Attack::TextBounds => self.negotiate(step).await,
            Attack::DiscoveryForeign | Attack::UnknownKeys => self.discovery(step).await,
            Attack::Crowd => self.crowd(step).await,
            Attack::SecondConnection => self.second_connection(step).await,
            Attack::Slow
            | Attack::NeverReads
            | Attack::HoldsData
            | Attack::GreedyWrites
            | Attack::TrickledData
            | Attack::PduDribbled
            | Attack::ImmediateFlood
            | Attack::OpenAndDrop => self.pace(step).await,
        }
    }

    /// A login succeeded: what is left of the sessions before has ended.
    fn fence(&mut self) {
        for op in self.unfenced.drain(..) {
            self.shared.record(Event::Fence { op });
            self.report.fenced += 1;
        }
    }

    fn connect_limit(&self) -> Duration {
        Duration::from_millis(self.plan.timeouts.connect_ms)
    }

    fn complain(&self, oracle: &'static str, step: &AttackStep, message: &str) {
        // These rest on a write that waits for its data; the reset of another initiator ends it in silence, and so does
        // the target when it has waited for too long, which is what greedy writes are about.
        let greedy = matches!(step.attack, Attack::GreedyWrites | Attack::TrickledData);
        let rests_on_write =
            greedy || matches!(step.attack, Attack::CommandAboveWindow | Attack::TagReused | Attack::DataAfterAbort);
        let stalled = !greedy && self.world.now() >= self.began + self.shared.shortest_stall;
        if rests_on_write && (stalled || self.shared.resets.borrow().since(self.mark, self.lun) > 0) {
            return;
        }
        let (index, attack, amount) = (self.plan.index, step.attack, step.amount);
        self.shared.complain(oracle, format!("{message} (hostile initiator {index}, {attack:?}, amount {amount})"));
    }
}
