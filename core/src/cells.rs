//! The state machines of core as tables: a state a row, an event a column. A cell is an event that comes in a state, and
//! a simulation is measured by the cells that it has been in.
//!
//! As probes, they exist only under `cfg(simulation)`; in the daemon's compilation [`cell!`](crate::cell!) is nothing.
//! Noting a cell changes nothing and draws nothing. A cell that cannot be is listed with the reason; to be in it breaks an
//! invariant.

/// Most states of a machine, and most events.
#[cfg(simulation)]
const SIDE: usize = 16;
#[cfg(simulation)]
const WORDS_OF_A_MACHINE: usize = SIDE * SIDE / 64;

/// Declares the machines: each with its states, its events, and the cells that cannot be.
#[cfg(simulation)]
macro_rules! machines {
    ($($(#[doc = $subject:literal])+ $machine:ident {
        states { $($state:ident $state_name:literal,)* }
        events { $($event:ident $event_name:literal,)* }
        never { $([$($never:ident)|+] x [$($never_event:ident)|+]: $reason:literal,)* }
    })*) => {
        /// The machines, by number.
        #[allow(non_camel_case_types, missing_docs)]
        #[derive(Clone, Copy, Debug)]
        pub enum Number { $($machine,)* }

        $($(#[doc = $subject])+ pub mod $machine {
            /// Where it is.
            #[allow(missing_docs)]
            #[derive(Clone, Copy, PartialEq, Eq, Debug)]
            pub enum State { $($state,)* }

            /// What comes.
            #[allow(missing_docs)]
            #[derive(Clone, Copy, PartialEq, Eq, Debug)]
            pub enum Event { $($event,)* }
        })*

        /// Every machine, in the order of [`Number`].
        pub const MACHINES: &[Machine] = &[$(Machine {
            name: stringify!($machine),
            states: &[$($state_name,)*],
            events: &[$($event_name,)*],
            never: &[$((
                &[$($machine::State::$never as usize,)+],
                &[$($machine::Event::$never_event as usize,)+],
                $reason,
            ),)*],
        },)*];

        /// A word for each 64 cells.
        pub type Words = [u64; WORDS_OF_A_MACHINE * MACHINES.len()];
    };
}

/// A state machine.
#[cfg(simulation)]
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// Its name.
    pub name: &'static str,
    /// Its states.
    pub states: &'static [&'static str],
    /// What can come to it.
    pub events: &'static [&'static str],
    never: &'static [(&'static [usize], &'static [usize], &'static str)],
}

#[cfg(simulation)]
impl Machine {
    /// Why this event cannot come in this state, if it cannot.
    #[must_use]
    pub fn never(&self, state: usize, event: usize) -> Option<&'static str> {
        let excludes =
            |(states, events, _): &&(&[usize], &[usize], _)| states.contains(&state) && events.contains(&event);
        self.never.iter().find(excludes).map(|(_, _, reason)| *reason)
    }
}

#[cfg(simulation)]
machines! {
    /// A task (SAM-5, section 8), from its arrival in CmdSN order to its end.
    task {
        states {
            Held "behind a gap",
            Dormant "dormant",
            Receiving "enabled, data on their way",
            Refused "refused, data still coming",
            Queued "queued",
            Running "running",
            AbortingOwed "aborting, owes data",
            AbortingAtWork "aborting, a worker has it",
            Disowned "disowned",
            Ended "ended",
        }
        events {
            Delivered "its turn in CmdSN order",
            Enabled "enabled",
            Data "Data-Out",
            WrongData "Data-Out against the rules",
            WrongDigest "wrong data digest",
            Overdue "data overdue",
            Taken "a worker takes it",
            Executed "the back end is done",
            Function "a function or the session's end aborts it",
            Deadline "the abort's deadline",
            Panic "its worker panics",
        }
        never {
            [Dormant | Receiving | Queued | Running | AbortingAtWork | Disowned] x [Delivered]: "each number comes out of the window once",
            [Held | Receiving | Queued | Running | AbortingAtWork | Disowned] x [Enabled]: "a task is enabled once, when it is in its task set and not before",
            [Queued | Running | AbortingAtWork | Disowned] x [Data | WrongDigest]: "its data were there before",
            [Queued | Running | AbortingOwed | AbortingAtWork | Disowned | Ended] x [Overdue]: "its data are there, or its abort has a deadline of its own",
            [Held | Dormant | Receiving | Refused | Running | AbortingOwed | AbortingAtWork | Disowned] x [Taken]: "only what is queued is on the work queue, or what has ended since",
            [Held | Dormant | Receiving | Refused | Queued | AbortingOwed | Ended] x [Executed]: "no worker has it",
            [Held | Dormant | Receiving | Refused | AbortingOwed] x [Panic]: "no worker has it",
            [Disowned] x [Function]: "it is in no table any more",
            [Held | Dormant | Receiving | Refused | Queued | Running | Disowned | Ended] x [Deadline]: "nothing aborts it, or it is over",
        }
    }

    /// A connection in full feature phase (RFC 7143, section 8.1.3): the PDUs that come.
    connection {
        states {
            Normal "normal session",
            Discovery "discovery session",
            Stopping "the target stops",
        }
        events {
            NopOut "NOP-Out",
            Answer "answer to our NOP-In",
            Command "SCSI Command",
            Management "task management request",
            DataOut "Data-Out",
            Text "Text Request",
            Logout "Logout Request",
            Login "Login Request",
            Snack "SNACK",
            Unknown "unknown operation code",
            WrongDigest "wrong data digest",
            NoStream "the stream cannot be followed",
            PeerCloses "the peer closes",
            ReceivingFails "receiving fails",
        }
        never {}
    }

    /// A login (RFC 7143, section 6.3).
    login {
        states {
            First "before the first request",
            Security "security negotiation",
            Operational "operational negotiation",
            Collecting "text with the C bit goes on",
            Sending "the answer goes on",
        }
        events {
            Stays "request",
            ToOperational "request, T to operational",
            ToFullFeature "request, T to full feature",
            GoesOn "request with the C bit",
            BadStage "request with an impossible stage",
            OtherPdu "another PDU",
        }
        never {
            [Operational] x [ToOperational]: "counted as an impossible stage",
        }
    }

    /// The flushes of one logical unit on one shard.
    flush {
        states {
            Idle "none runs",
            Running "one runs",
            Wanted "one runs, the next is wanted",
        }
        events {
            Asked "asked for",
            Good "one ends well",
            Failed "one fails",
        }
        never {
            [Idle] x [Good | Failed]: "none runs that could end",
        }
    }

    /// A task set (SAM-5, section 8).
    task_set {
        states {
            Empty "empty",
            Simple "simple tasks only",
            Barrier "with a barrier, all enabled",
            Waiting "some are dormant",
        }
        events {
            SimpleComes "a simple task comes",
            OrderedComes "an ordered task comes",
            HeadComes "a head-of-queue task comes",
            EnabledLeaves "an enabled task leaves",
            DormantLeaves "a dormant task leaves",
        }
        never {
            [Empty] x [EnabledLeaves | DormantLeaves]: "it has no task",
            [Simple | Barrier] x [DormantLeaves]: "none is dormant",
        }
    }

    /// The command window of a session (RFC 7143, section 4.2.2.1).
    window {
        states {
            Open "open, nothing held back",
            Gap "a gap, commands behind it",
            Closed "closed",
        }
        events {
            Next "ExpCmdSN",
            Ahead "ahead of a gap",
            Below "below the window",
            Above "above the window",
            Twice "a number that is held back",
            Plugged "ABORT TASK fills a number",
            Ends "a command ends",
        }
        never {
            [Open | Closed] x [Twice]: "nothing is held back",
            [Closed] x [Next | Ahead | Plugged]: "no number is inside",
        }
    }
}

#[cfg(simulation)]
thread_local! {
    static HIT: [std::cell::Cell<u64>; WORDS_OF_A_MACHINE * MACHINES.len()] = std::array::from_fn(|_| Default::default());
}

/// The bit of a cell.
#[cfg(simulation)]
#[must_use]
pub fn bit(machine: usize, state: usize, event: usize) -> usize {
    (machine * SIDE + state) * SIDE + event
}

/// Notes a cell; `cell!` calls it.
#[cfg(simulation)]
pub fn hit(machine: Number, state: usize, event: usize) {
    let bit = bit(machine as usize, state, event);
    HIT.with(|hit| hit[bit / 64].set(hit[bit / 64].get() | 1 << (bit % 64)));
}

/// The cells that this thread has been in since the last time it was asked, by [`bit`].
#[cfg(simulation)]
#[must_use]
pub fn take() -> Words {
    HIT.with(|hit| std::array::from_fn(|word| hit[word].take()))
}

/// Notes that an event came to a machine in a state: `cell!(task: state, Event)`. Nothing outside the simulator. The state
/// is worked out in the simulator only.
#[macro_export]
macro_rules! cell {
    ($machine:ident: $state:expr, $event:ident) => {{
        #[cfg(simulation)]
        {
            let (state, event) = ($state as usize, $crate::cells::$machine::Event::$event as usize);
            $crate::cells::hit($crate::cells::Number::$machine, state, event);
        }
    }};
}
