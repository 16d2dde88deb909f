//! The catalogue of planted bugs: the measure of what the simulator finds.
//!
//! Each is one line of core behind [`planted!`](crate::planted!). They exist only under `cfg(simulation)`; in the
//! daemon's compilation the macro is the constant `false`. The plan of a run selects at most one.

/// Declares the bugs: each with its class, its name on the command line, and its story.
#[cfg(simulation)]
macro_rules! catalogue {
    ($($class:literal { $($bug:ident $name:literal: $story:literal,)* })*) => {
        /// One planted bug.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        #[non_exhaustive]
        pub enum Bug {
            $($(#[doc = $story] $bug,)*)*
        }

        /// Every planted bug.
        pub const CATALOGUE: &[Entry] = &[
            $($(Entry { bug: Bug::$bug, name: $name, class: $class, story: $story },)*)*
        ];
    };
}

/// A catalogue entry.
#[cfg(simulation)]
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The bug.
    pub bug: Bug,
    /// Its name on the command line and in plans.
    pub name: &'static str,
    /// Its class in the power table.
    pub class: &'static str,
    /// What goes wrong, in one sentence.
    pub story: &'static str,
}

/// The class of bugs in the simulator itself.
#[cfg(simulation)]
pub const SIMULATOR: &str = "simulator";

#[cfg(simulation)]
catalogue! {
    "framing" {
        BhsSplit "bhs-split": "A BHS whose last byte comes apart from the others loses its beginning.",
        PaddingMissing "padding-missing": "A data segment is sent without its padding.",
        DigestSkipsPadding "digest-skips-padding": "The data digest leaves the padding out.",
        HeaderDigestUnchecked "header-digest-unchecked": "A header whose digest is wrong is taken as it is.",
        DataDigestUnchecked "data-digest-unchecked": "Data whose digest is wrong are taken as they are.",
        DigestApart "digest-apart": "A data digest that comes in a segment of its own is taken for the next header.",
        StrangerCrashes "stranger-crashes": "A PDU other than a login request on a fresh connection breaks an invariant.",
    }
    "sequence numbers" {
        WindowOffByOne "window-off-by-one": "A command one past MaxCmdSN is accepted.",
        PendingOvertakes "pending-overtakes": "A command that waited for a gap overtakes the one that filled it.",
        StatSnOnR2t "stat-sn-on-r2t": "An R2T uses up a StatSN.",
        StatSnLoginSkips "stat-sn-login-skips": "A login response does not advance StatSN.",
        DataSnStuck "data-sn-stuck": "DataSN stops at two.",
        TttReserved "ttt-reserved": "The Target Transfer Tag takes the reserved value before it wraps.",
        DeadlineWraps "deadline-wraps": "What an initiator owes is timed in 32 bits of milliseconds.",
        StatSnInherited "stat-sn-inherited": "A connection that takes another's place goes on with its StatSN.",
        WindowCountsPlainly "window-counts-plainly": "The command window is no window where CmdSN wraps.",
    }
    "data transfer" {
        R2tPastEdtl "r2t-past-edtl": "The last of several R2Ts asks for a block too much.",
        BurstTooLong "burst-too-long": "An R2T asks for a block more than MaxBurstLength.",
        BurstWithoutFinal "burst-without-final": "A Data-In sequence ends without the F bit.",
        DataCountedEarly "data-counted-early": "Data-Out counts as received when its header is there.",
        UnderflowForgotten "underflow-forgotten": "A residual count comes without its U bit.",
        SegmentLimitIgnored "segment-limit-ignored": "The peer's MaxRecvDataSegmentLength is ignored.",
        SegmentLimitStays "segment-limit-stays": "MaxRecvDataSegmentLength declared in full feature phase changes nothing.",
        DataBehindWrite "data-behind-write": "Data-Out behind a complete WRITE takes its data away.",
        NegotiationTakesMaximum "negotiation-takes-maximum": "Burst lengths are negotiated to the larger value.",
        ImmediateAskedAgain "immediate-asked-again": "R2Ts ask again for what came as immediate data.",
        StatusDataOffset "status-data-offset": "The last Data-In has no buffer offset.",
        BrokenDataTaken "broken-data-taken": "A WRITE whose data break the rules is carried out with what has come.",
    }
    "abort" {
        ZombieWrite "zombie-write": "An abort does not wait for a command that a worker has.",
        AbortSkipsRunning "abort-skips-running": "ABORT TASK of a running command is confirmed and does nothing.",
        AbortOfAborted "abort-of-aborted": "A task that another function is aborting is said not to exist.",
        VictimsOneByOne "victims-one-by-one": "An abort of many lets those that wait for the first ones run or be refused.",
        AbortSetTakesYounger "abort-set-takes-younger": "ABORT TASK SET takes along commands that were sent behind it.",
        AbortOfUnsentHolds "abort-of-unsent-holds": "ABORT TASK of a command that never came holds up those behind it.",
        TwoAddresses "two-addresses": "A logical unit that is addressed in two ways has two task sets.",
        StopHalfDeaf "stop-half-deaf": "A target that stops drops commands and goes on with task management functions.",
        StopAfterAbort "stop-after-abort": "START STOP UNIT stops the logical unit long after its abort.",
        ConfirmsItsOwn "confirms-its-own": "ABORT TASK SET leaves it open what became of tasks that another function took away.",
        EndedAborted "ended-aborted": "ABORT TASK of a task that has ended is confirmed like any other.",
        EndedAnswered "ended-answered": "Data that break the rules are answered although their task has ended.",
    }
    "isolation" {
        NexusShared "nexus-shared": "All sessions go by one nexus number.",
        ResetTakesForeign "reset-takes-foreign": "LOGICAL UNIT RESET ends other sessions' tasks on every logical unit.",
        ClearResets "clear-resets": "CLEAR TASK SET resets the logical unit for every nexus.",
        AbortForeign "abort-foreign": "ABORT TASK looks among the tasks of the target's first session.",
        ResetUnawaited "reset-unawaited": "A reset is answered before the other shards have done it.",
        ResetEveryLun "reset-every-lun": "LOGICAL UNIT RESET resets every logical unit.",
        DiscoveryServes "discovery-serves": "A discovery session serves SCSI commands.",
    }
    "ordering" {
        OrderedOvertakes "ordered-overtakes": "An ORDERED task does not wait for older ones.",
        HeadOfQueueLast "head-of-queue-last": "A HEAD OF QUEUE task waits like any other.",
        SimpleOvertakes "simple-overtakes": "A SIMPLE task does not wait for older ORDERED ones.",
        OrderedInPairs "ordered-in-pairs": "An ORDERED task runs beside the one before it.",
        HeadNotAwaited "head-not-awaited": "What comes behind a HEAD OF QUEUE task does not wait for its end.",
    }
    "unit attention" {
        AttentionForeign "attention-foreign": "The first unit attention of a nexus goes to another one.",
        UnitAttentionTwice "unit-attention-twice": "A unit attention is reported twice.",
        UnitAttentionNever "unit-attention-never": "A unit attention is never established.",
        ContinuesWithAttention "continues-with-attention": "A session that goes on is told that it was lost.",
        InquiryTellsAttention "inquiry-tells-attention": "INQUIRY reports and clears unit attentions.",
    }
    "recovery" {
        ReinstatementKeepsOld "reinstatement-keeps-old": "A new login does not wait for the old session's tasks.",
        ContinuesWithTasks "continues-with-tasks": "A session goes on over another connection with its old tasks.",
        DisownedUnfenced "disowned-unfenced": "The blocks of a WRITE that the back end never finished are not fenced.",
        AbortEndless "abort-endless": "An abort waits for its back end without end.",
        VanishedPeerKept "vanished-peer-kept": "A peer that does not answer a NOP-In is asked again and again.",
        SilenceUnasked "silence-unasked": "A peer that says nothing is never asked whether it is there.",
        QuestionLate "question-late": "After its answer a peer is asked again when the time for that answer is over.",
        AnswerUntimed "answer-untimed": "The answer to a NOP-In is waited for without end.",
        AnswerHurried "answer-hurried": "A peer has half of its time for its answer to a NOP-In.",
    }
    "durability" {
        AckBeforeFlush "ack-before-flush": "SYNCHRONIZE CACHE answers GOOD before the flush is done.",
        FlushErrorSwallowed "flush-error-swallowed": "A flush that failed is answered GOOD.",
        StickyForgotten "sticky-forgotten": "After a failed flush the next one succeeds.",
        FuaIgnored "fua-ignored": "FUA on a write is ignored.",
        WriteErrorGood "write-error-good": "A cached write that failed is answered GOOD.",
        DescriptionShared "description-shared": "Durable writes wait on one open file description, where one is told of an error.",
        PartRefused "part-refused": "A WRITE whose first blocks are on the disk is told that the disk takes no writes.",
        ShortWriteGood "short-write-good": "A write that the disk did in part is taken for whole.",
    }
    "medium access" {
        ShortReadGood "short-read-good": "A read that the disk did in part is taken for whole.",
        NullioStale "nullio-stale": "A read of nullio returns what the buffer held before.",
        ReadWrongBlock4k "read-wrong-block-4k": "A read of 4,096-byte blocks computes its place with 512.",
        LbaCheckWraps "lba-check-wraps": "The check of LBA plus length wraps around.",
        WriteProtectForgotten "write-protect-forgotten": "A WRITE with FUA does not ask whether the logical unit is read-only.",
        UnmappedLunServed "unmapped-lun-served": "A LUN that is not mapped is served by LUN 0.",
    }
    "parameter data" {
        AbsentCommandListed "absent-command-listed": "REPORT SUPPORTED OPERATION CODES names a command that is not there.",
        CapacityCountsBlocks "capacity-counts-blocks": "READ CAPACITY tells the number of blocks and not the last one.",
        ModePageSwapped "mode-page-swapped": "A mode page has its length where its code belongs.",
        LunsCountedOnce "luns-counted-once": "REPORT LUNS tells the number of its entries where their bytes belong.",
        AllocationIgnored "allocation-ignored": "Parameter data come whole, whatever the allocation length.",
        PageListedAbsent "page-listed-absent": "The vital product data name a page that is not there.",
        SerialOfFirst "serial-of-first": "Every logical unit has the serial number of the target's first one.",
        MaximumInBytes "maximum-in-bytes": "MAXIMUM TRANSFER LENGTH is told in bytes and not in blocks.",
        MaximumRefused "maximum-refused": "What is as long as MAXIMUM TRANSFER LENGTH is refused as too long.",
        AnswerCut "answer-cut": "The answer to a text or a login is cut at one PDU.",
        UnknownKeySilent "unknown-key-silent": "A key that the target does not know is not answered in a login.",
        TextBehindAnswer "text-behind-answer": "Login text that comes while the answer is being sent is lost.",
    }
    "concurrency" {
        UnitTakesWorkers "unit-takes-workers": "One logical unit may occupy every worker.",
        UnitFillsQueue "unit-fills-queue": "One logical unit may fill the work queue.",
        LostWakeUp "lost-wake-up": "Once the queue was four deep, a task that comes alone wakes no worker.",
        WorkerLost "worker-lost": "A worker that panicked is not replaced, and its command stays with it.",
        AnswerIgnored "answer-ignored": "A peer that answers a NOP-In is given up all the same.",
        YoungestFirst "youngest-first": "Workers take the youngest task of the work queue first.",
        DoubleCompletion "double-completion": "TEST UNIT READY is answered twice.",
    }
    "resources" {
        WorkerTooMany "worker-too-many": "There is one worker more than there may be.",
        BufferLeakOnAbort "buffer-leak-on-abort": "The buffer of an aborted read is never given back.",
        TrickleKept "trickle-kept": "A WRITE whose data trickle keeps its buffer while others are refused.",
        PoolShareIgnored "pool-share-ignored": "One session's WRITEs may hold the whole buffer pool.",
        StalledWriteKept "stalled-write-kept": "A WRITE whose data never come is never given up.",
        GapKept "gap-kept": "A gap in CmdSN that is never filled is waited for without end.",
        PduEndless "pdu-endless": "A PDU that never comes to its end is waited for without end.",
        BrokenSessionKept "broken-session-kept": "A session whose driver panicked stays in the table.",
        SessionCycle "session-cycle": "A session that ends keeps the commands that waited for a gap, and they keep it.",
        RefusalUncounted "refusal-uncounted": "What is refused for a full queue or task set is answered and not counted.",
        WindowLeaks "window-leaks": "Now and then a command keeps its place in the window.",
        NoBufferGood "no-buffer-good": "A WRITE for which there is no buffer is answered GOOD.",
        TimersOutlive "timers-outlive": "The timers of a connection go on when it is closed.",
        EmptyTextUncounted "empty-text-uncounted": "Text requests without data do not count, and go on without end.",
        SessionTooMany "session-too-many": "There is one session more than a target may have.",
        RefusedKept "refused-kept": "A login that is refused for want of room keeps the place of its connection.",
        PlaceKept "place-kept": "A connection that ends before its login does keeps its place.",
    }
    // Faults of the simulator itself, planted in its own code: what is to find them is its self-test, a second run (S7), or
    // the other oracles.
    "simulator" {
        CutNever "cut-never": "A stream that is to be cut is not.",
        PowerLossKeeps "power-loss-keeps": "A power loss keeps all that was in the caches.",
        FlushLieUntold "flush-lie-untold": "A flush that lies does not tell the history.",
        ClockLeaks "clock-leaks": "Real time leaks into virtual time.",
        DrawShared "draw-shared": "Disks draw from one generator for all runs.",
        OracleOff "oracle-off": "The oracle of durability is switched off.",
        EventDropped "event-dropped": "Now and then the history lacks that a command was sent.",
        TraceUnhashed "trace-unhashed": "What disks do is not in the hash of the trace.",
    }
}

#[cfg(simulation)]
thread_local! {
    static SELECTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Selects the planted bug of everything that runs on this thread from now on.
#[cfg(simulation)]
pub fn select(bug: Option<Bug>) {
    SELECTED.with(|selected| selected.set(bug));
}

/// Whether `bug` is the selected one.
#[cfg(simulation)]
#[must_use]
pub fn active(bug: Bug) -> bool {
    SELECTED.with(|selected| selected.get() == Some(bug))
}

/// `true` when the named `Bug` is planted and selected; the constant `false` outside the simulator.
#[macro_export]
macro_rules! planted {
    ($bug:ident) => {{
        #[cfg(simulation)]
        {
            $crate::planted::active($crate::planted::Bug::$bug)
        }
        #[cfg(not(simulation))]
        {
            false
        }
    }};
}
