//! The catalogue of probes: rare moments that the oracles are there for. A simulation that never reaches one of them says
//! nothing about it (rule S9).
//!
//! As planted bugs, they exist only under `cfg(simulation)`; in the daemon's compilation [`probe!`](crate::probe!) is
//! nothing. A probe changes nothing and draws nothing: a run is the same with and without it.

/// Declares the probes: each with its name and the moment that it stands for.
#[cfg(simulation)]
macro_rules! catalogue {
    ($($probe:ident $name:literal: $moment:literal,)*) => {
        /// One probe.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        #[non_exhaustive]
        pub enum Probe {
            $(#[doc = $moment] $probe,)*
        }

        /// Every probe, in the order of [`Probe`].
        pub const CATALOGUE: &[Entry] = &[
            $(Entry { probe: Probe::$probe, name: $name, moment: $moment },)*
        ];
    };
}

/// A catalogue entry.
#[cfg(simulation)]
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The probe.
    pub probe: Probe,
    /// Its name in reports.
    pub name: &'static str,
    /// The moment, in one sentence.
    pub moment: &'static str,
}

#[cfg(simulation)]
catalogue! {
    // Framing.
    HeaderInPieces "header-in-pieces": "A header came in more than two pieces.",
    TailInPieces "tail-in-pieces": "Padding and data digest of a PDU came in pieces.",
    SegmentForAborted "segment-for-aborted": "A task was aborted while the driver received straight into its buffer.",
    // Login.
    LoginOverThreePdus "login-over-three-pdus": "A login took more than three requests.",
    LoginHandedOver "login-handed-over": "A login ended on another shard than the one that accepted it.",
    ConnectionsMet "connections-met": "A connection was refused because the node had as many as it may have.",
    SessionsMet "sessions-met": "A login was refused because its target had as many sessions as it may have.",
    // Numbers and window.
    CmdSnWrapped "cmd-sn-wrapped": "CmdSN went from its highest value to zero.",
    StatSnWrapped "stat-sn-wrapped": "StatSN went from its highest value to zero.",
    TttWrapped "ttt-wrapped": "The Target Transfer Tag went around, past the reserved value.",
    WindowClosed "window-closed": "Commands under way filled a window that is wider than one.",
    GapBeforeThree "gap-before-three": "The command that came filled a gap before three or more.",
    DuplicateHeldBack "duplicate-held-back": "A command came again while it waited for a gap.",
    PluggedBeforeOthers "plugged-before-others": "ABORT TASK filled the place of a command that never came, before others that had.",
    GapGivenUp "gap-given-up": "A connection was closed because a command was missing before others for too long.",
    // Data.
    TwoR2tsOpen "two-r2ts-open": "Two R2Ts of a task were open.",
    SolicitsDormant "solicits-dormant": "A dormant WRITE asked for its data.",
    DataOutForNobody "data-out-for-nobody": "Data-Out came for a task that was over.",
    DataBehindQueued "data-behind-queued": "Data behind the last of a WRITE took it off the work queue.",
    StalledGivenUp "stalled-given-up": "A WRITE was given up because none of its data came.",
    TricklingGivenUp "trickling-given-up": "A WRITE was given up because its data trickled while others were refused buffers.",
    PoolShareRefused "pool-share-refused": "A WRITE was refused because its session held its share of the pool.",
    // Task set and work queue.
    TaskSetFull "task-set-full": "A task set was full.",
    OrderedBehindTwo "ordered-behind-two": "An ORDERED task waited behind two others or more.",
    HeadPassesDormant "head-passes-dormant": "A HEAD OF QUEUE task ran ahead of a dormant one.",
    BarrierFreesThree "barrier-frees-three": "The end of one task enabled three or more.",
    WorkQueueFull "work-queue-full": "The work queue was full.",
    UnitPassedOver "unit-passed-over": "A worker passed over a task because its logical unit had as many workers as it may.",
    // Aborts and resets.
    DormantAborted "dormant-aborted": "A dormant task was aborted.",
    QueuedAborted "queued-aborted": "A task in the work queue was aborted.",
    WriteLandsInAbort "write-lands-in-abort": "A write landed between its abort and the confirmation.",
    AbortAwaitsData "abort-awaits-data": "An abort waited for Data-Out that its own initiator owed.",
    OwedDataNeverCame "owed-data-never-came": "An abort no longer waited for Data-Out that its own initiator owed.",
    AbortOfAborting "abort-of-aborting": "ABORT TASK named a task that another function was ending.",
    AbortSetAwaitsGap "abort-set-awaits-gap": "A function waited for commands that were sent before it.",
    FunctionOutlived "function-outlived": "A session ended before its task management function did.",
    ResetAwaitsShard "reset-awaits-shard": "A reset was done here and waited for another shard.",
    ResetsMeet "resets-meet": "Two resets of one shard were under way at once.",
    // What a back end never finished.
    TaskDisowned "task-disowned": "A task was disowned.",
    DisownedEndsLate "disowned-ends-late": "A disowned write ended after all.",
    DisownedOutlivesSession "disowned-outlives-session": "A disowned task ended when its session was over.",
    FenceRefuses "fence-refuses": "A command met the fence of a disowned write.",
    UnitStuck "unit-stuck": "A logical unit had so many disowned tasks that it got no more.",
    // Unit attentions.
    AttentionSuperseded "attention-superseded": "A unit attention took the place of one that had not been reported.",
    AttentionCovered "attention-covered": "A unit attention was not established because a greater one was pending.",
    // Sessions.
    ReinstatementWaits "reinstatement-waits": "A login waited for the end of tasks of the session that it reinstates.",
    ContinuedWithAttention "continued-with-attention": "A session went on over another connection with a unit attention pending.",
    SuccessorOvertaken "successor-overtaken": "A connection that waited to go on with a session was overtaken by another.",
    SuccessorTooLate "successor-too-late": "A connection was to go on with a session that was ended for good.",
    // Back end.
    FlushShared "flush-shared": "Two commands waited for one flush.",
    WriteMeetsFailedFlush "write-meets-failed-flush": "A write ended well after a flush had failed beside it.",
    DescriptionAwaited "description-awaited": "A durable write waited for an open file description.",
    TransferWithinBlock "transfer-within-block": "A transfer was done up to the middle of a block.",
    TransferGivenUp "transfer-given-up": "A transfer was interrupted so often that it failed.",
    // Write list and timers.
    WriteListFull "write-list-full": "Nothing was received because the write list was full.",
    LingerOver "linger-over": "A connection was closed before all of its write list had left.",
    PeerDoesNotRead "peer-does-not-read": "A connection was closed because its peer did not read.",
    PeerSilent "peer-silent": "A connection was closed because no answer to a NOP-In came.",
    AnswerHeldUp "answer-held-up": "A verdict on a silent peer was put off because a send was under way.",
    // Stop and failure.
    StopAborts "stop-aborts": "A clean stop aborted commands.",
    WorkerReplaced "worker-replaced": "A worker that broke an invariant was replaced.",
    // What only the simulator knows.
    PowerLossTears "power-loss-tears": "Power was lost with a write of several sectors in flight.",
    PowerLossLoses "power-loss-loses": "Power was lost, and with it what a disk had not made durable.",
    PowerLossInFlush "power-loss-in-flush": "Power was lost with a flush under way.",
    DeathInLogin "death-in-login": "The process died with a connection in login phase.",
    HungUntilHealed "hung-until-healed": "A disk did not end an operation until the faults stopped.",
}

#[cfg(simulation)]
const _: () = assert!(CATALOGUE.len() <= u128::BITS as usize, "a set of probes has 128 bits");

#[cfg(simulation)]
thread_local! {
    static HIT: std::cell::Cell<u128> = const { std::cell::Cell::new(0) };
}

/// Notes that the moment of `probe` has come.
#[cfg(simulation)]
pub fn hit(probe: Probe) {
    HIT.with(|hit| hit.set(hit.get() | 1 << probe as u32));
}

/// The probes that were hit on this thread since the last time it was asked: bit n is the n-th of [`CATALOGUE`].
#[cfg(simulation)]
#[must_use]
pub fn take() -> u128 {
    HIT.with(std::cell::Cell::take)
}

/// Notes that the moment of the named `Probe` has come, `if` its condition holds; nothing outside the simulator.
#[macro_export]
macro_rules! probe {
    ($probe:ident) => {
        $crate::probe!($probe if true)
    };
    ($probe:ident if $condition:expr) => {{
        #[cfg(simulation)]
        if $condition {
            $crate::probe::hit($crate::probe::Probe::$probe);
        }
        #[cfg(not(simulation))]
        let _ = || $condition;
    }};
}
