//! The catalogue of choices: places where the core may decide otherwise than it mostly does, and is as right in the eyes
//! of its peers. A simulation takes the unlikely way now and then, and so comes to states that load alone hardly brings
//! about.
//!
//! Every choice is legal by RFC 7143, SAM and the contract of the trait that it concerns, so that no oracle has a word to
//! say. As planted bugs, they exist only under `cfg(simulation)`; in the daemon's compilation
//! [`buggify!`](crate::buggify!) is the constant `false`.

#[cfg(simulation)]
use std::cell::{Cell, RefCell};
use std::time::Duration;

/// Declares the sites: each with its name, the choice that it makes, and how often it does where it is active.
#[cfg(simulation)]
macro_rules! catalogue {
    ($($site:ident $name:literal 1 in $one_in:literal: $choice:literal,)*) => {
        /// One site.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        #[non_exhaustive]
        pub enum Site {
            $(#[doc = $choice] $site,)*
        }

        /// Every site, in the order of [`Site`].
        pub const CATALOGUE: &[Entry] = &[
            $(Entry { site: Site::$site, name: $name, one_in: $one_in, choice: $choice },)*
        ];
    };
}

/// A catalogue entry.
#[cfg(simulation)]
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The site.
    pub site: Site,
    /// Its name in plans and reports.
    pub name: &'static str,
    /// Where it is active, it fires once in so many times, on average.
    pub one_in: u64,
    /// The choice, in one sentence.
    pub choice: &'static str,
}

#[cfg(simulation)]
catalogue! {
    // Receiving.
    ChunkInPieces "chunk-in-pieces" 1 in 16: "What was received is looked at in two pieces.",
    ReceiveYields "receive-yields" 1 in 16: "The driver lets others run before it receives.",
    SegmentCopied "segment-copied" 1 in 4: "A long data segment is not received straight into its place.",
    SegmentInPlace "segment-in-place" 1 in 4: "A short data segment is received straight into its place.",
    // Login.
    LoginYields "login-yields" 1 in 4: "Others run before a login request is answered.",
    TextInPieces "text-in-pieces" 1 in 2: "A text answer is sent in parts though it would fit.",
    SessionElsewhere "session-elsewhere" 1 in 4: "A session goes to the shard with the most of them.",
    // Numbers and window.
    WindowReopensLate "window-reopens-late" 1 in 8: "A place in the window is given back with the next one.",
    TagSkipped "tag-skipped" 1 in 16: "A Target Transfer Tag is left out.",
    // Data.
    R2tShort "r2t-short" 1 in 4: "An R2T asks for half of what it may.",
    R2tAlone "r2t-alone" 1 in 4: "No second R2T of a task is sent before the data of the first are there.",
    R2tLate "r2t-late" 1 in 8: "R2Ts that are due are sent later.",
    DataInShort "data-in-short" 1 in 8: "A Data-In PDU is cut to half of what it may carry.",
    StatusApart "status-apart" 1 in 4: "A status that could ride on the last Data-In comes in a SCSI Response.",
    // Task set and work queue.
    Busy "answered-busy" 1 in 64: "A command is answered BUSY though there is room.",
    SetFull "set-full" 1 in 64: "A command is answered TASK SET FULL though there is room.",
    FreedInReverse "freed-in-reverse" 1 in 2: "Tasks that become enabled at once do so in reverse order.",
    LastTaskFirst "last-task-first" 1 in 4: "A worker takes the last of the tasks that it may, but passes over none twice.",
    AllWorkersWoken "all-workers-woken" 1 in 8: "Every idle worker is woken for one task.",
    WorkerLate "worker-late" 1 in 16: "A worker waits before it carries a command out.",
    AnswerLate "answer-late" 1 in 16: "A worker waits before it gives a command's result.",
    // Aborts.
    VictimsInReverse "victims-in-reverse" 1 in 2: "An abort of many ends them in reverse order.",
    FunctionLate "function-late" 1 in 4: "A task management function begins later.",
    // Back end.
    FlushLate "flush-late" 1 in 4: "A flush waits for others to share it.",
    FlushUnasked "flush-unasked" 1 in 64: "A cached write is followed by a flush that nobody asked for.",
    ReadInParts "read-in-parts" 1 in 16: "A read asks the disk for half of its blocks first.",
    WriteInParts "write-in-parts" 1 in 16: "A write gives the disk half of its blocks first.",
    OldestDescription "oldest-description" 1 in 4: "A durable write takes the file description that was idle longest.",
    // Write list and timers.
    BatchOfOne "batch-of-one" 1 in 8: "One PDU leaves alone though more wait.",
    BatchInHalf "batch-in-half" 1 in 8: "Half of what waits leaves.",
    SendLate "send-late" 1 in 16: "What is ready leaves later, with what comes meanwhile.",
    PingEarly "ping-early" 1 in 4: "A peer that is not silent yet is asked for a sign of life.",
}

#[cfg(simulation)]
const _: () = assert!(CATALOGUE.len() <= u64::BITS as usize, "a set of sites has 64 bits");

/// Draws whether a site fires this time.
#[cfg(simulation)]
pub type Chooser = Box<dyn FnMut(Site) -> bool>;

#[cfg(simulation)]
thread_local! {
    static ACTIVE: Cell<u64> = const { Cell::new(0) };
    static CHOOSER: RefCell<Option<Chooser>> = const { RefCell::new(None) };
}

/// From now on `sites` (bit n is the n-th of [`CATALOGUE`]) are active on this thread, and `chooser` draws for them.
#[cfg(simulation)]
pub fn activate(sites: u64, chooser: Chooser) {
    ACTIVE.with(|active| active.set(sites));
    CHOOSER.with_borrow_mut(|old| *old = Some(chooser));
}

/// Whether `site` is active, and takes the unlikely way this time.
#[cfg(simulation)]
#[must_use]
pub fn fires(site: Site) -> bool {
    let active = ACTIVE.with(|active| active.get() >> site as u32 & 1 == 1);
    active && CHOOSER.with_borrow_mut(|chooser| chooser.as_mut().is_some_and(|chooser| chooser(site)))
}

/// How long something waits that comes later than it might: long enough for a disk or a peer to get ahead.
pub(crate) const LATE: Duration = Duration::from_micros(200);

/// `true` when the named `Site` is active and takes the unlikely way this time; the constant `false` outside the simulator.
#[macro_export]
macro_rules! buggify {
    ($site:ident) => {{
        #[cfg(simulation)]
        {
            $crate::buggify::fires($crate::buggify::Site::$site)
        }
        #[cfg(not(simulation))]
        {
            false
        }
    }};
}

#[cfg(not(simulation))]
const _: () = assert!(!crate::buggify!(R2tShort), "outside the simulator no choice is unlikely");
