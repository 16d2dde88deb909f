//! The plan of a run: data, and its only input. It is drawn from a seed, kept as TOML, and shrunk by leaving parts out.
//!
//! Every part is drawn from a stream of its own (fault 7, disk 2, initiator 1, ...), so that leaving one out moves no
//! other draw, neither here nor in the run.

mod configured;
mod generate;
mod sparse;
#[cfg(test)]
mod tests;

use std::time::Duration;

use quintain_core::limits::Limits;
use serde::{Deserialize, Serialize};

use crate::buggify::Site;
use crate::disk::{DiskFault, DiskSpeed};
use crate::history::Unit;
use crate::initiator::InitiatorPlan;
use crate::network::{ConnectFault, Cut, Direction, Link, Place};

/// What a clean stop takes besides the time for its commands, in microseconds.
const STOP_US: u64 = 60_000_000;

/// Name of the simulated target.
pub const TARGET_NAME: &str = "iqn.2026-01.net.quintain.sim:target";

/// A run, before it runs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Keys every draw that is made during the run.
    #[serde(with = "hexadecimal")]
    pub seed: u64,
    /// How big it is.
    pub profile: Profile,
    /// The planted bug, by its name in the catalogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planted: Option<String>,
    /// In one sentence, what this plan found: for plans that are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub story: Option<String>,
    /// The oracle that this plan breaks first with its planted bug: for plans that are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finds: Option<String>,
    /// Until then no fault strikes, and the faults' times and events count from then on. In microseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub warm_up_us: u64,
    /// How the run ends.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ending: Ending,
    /// In which order tasks run that are ready; if not given, any of them runs next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// Where core may take the unlikely way, by the names of the catalogue.
    #[serde(default, with = "crate::buggify::names", skip_serializing_if = "Vec::is_empty")]
    pub buggify: Vec<Site>,
    /// What is broken for good between the end of the faults and the ending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub core: Option<Broken>,
    /// The target.
    #[serde(default, serialize_with = "sparse::one", skip_serializing_if = "is_zero")]
    pub target: TargetPlan,
    /// Its logical units.
    #[serde(default, serialize_with = "sparse::list")]
    pub units: Vec<UnitPlan>,
    /// The path of each initiator, by its index; one that is not here is [`Link::default`].
    #[serde(default, serialize_with = "sparse::list", skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// The initiators.
    #[serde(default, serialize_with = "sparse::list")]
    pub initiators: Vec<InitiatorPlan>,
    /// What goes wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
}

/// How big a run is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// The reference: 3 initiators, 4 logical units of 4 MiB, about 1,000 steps (with retries and audits about 2,200
    /// commands), mostly 15 to 25 faults.
    Full,
    /// 2 initiators, 4 logical units of 1 MiB, about 60 steps (about 230 commands), up to 5 faults.
    Lite,
    /// Anything: 1 to 5 initiators, 1 to 6 logical units, 20 to 1,000 steps, 0 to 200 faults.
    Swarm,
}

impl Profile {
    /// As on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Lite => "lite",
            Self::Swarm => "swarm",
        }
    }
}

/// What comes between the end of the faults and the last audit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Audit, then power loss.
    #[default]
    AuditThenPowerLoss,
    /// Power loss right after the chaos.
    PowerLoss,
    /// Crash right after the chaos.
    Crash,
    /// Clean stop and power loss right after the chaos.
    CleanStop,
}

/// Tasks run by priorities, which are drawn anew for each span of steps (P8).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Schedule {
    /// So often within a span the task that has just run is put back behind all others.
    pub changes: u32,
    /// Steps of a span.
    pub span_steps: u64,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { changes: 1, span_steps: 10_000 }
    }
}

/// What stays broken (S2). It concerns its logical unit, or its initiator, and nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub enum Broken {
    /// No operation of a disk completes, and initiators that never give up keep sending commands to it.
    HungDisk {
        /// Whose.
        lun: u16,
    },
    /// An initiator reads a lot, and then nothing more from its connection.
    SlowReader {
        /// What it reads.
        lun: u16,
    },
    /// A hostile initiator goes on.
    Hostile {
        /// What it may write to.
        lun: u16,
    },
}

/// What the target is made of. Sizes are in bytes, times in milliseconds; each limit is a field of core's `Limits`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct TargetPlan {
    /// Shards.
    pub shards: u16,
    /// The longest time a message between shards takes, in microseconds.
    pub post_us: u64,
    /// First StatSN of each connection (C7).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_stat_sn: Option<u32>,
    /// Workers of one shard (P7).
    pub workers: u32,
    /// Width of the command window.
    pub command_window: u32,
    /// Immediate commands of one session.
    pub immediate_commands: u32,
    /// Tasks of one nexus in one logical unit.
    pub task_set_tasks: u32,
    /// Tasks in the work queue.
    pub work_queue_tasks: u32,
    /// PDUs on a write list.
    pub write_list_pdus: usize,
    /// Bytes on a write list.
    pub write_list_bytes: usize,
    /// Declared MaxRecvDataSegmentLength.
    pub max_recv_data_segment_bytes: u32,
    /// The most accepted as MaxBurstLength.
    pub max_burst_bytes: u32,
    /// R2Ts of one task.
    pub max_outstanding_r2t: u16,
    /// Bytes of the buffer pool of one shard.
    pub pool_bytes: usize,
    /// Login deadline.
    pub login_ms: u64,
    /// How long an abort waits for the back end.
    pub abort_ms: u64,
    /// How long a task management function waits for data.
    pub data_out_ms: u64,
    /// Silence before a NOP-In; zero: never.
    pub nop_interval_ms: u64,
    /// For its answer.
    pub nop_timeout_ms: u64,
    /// A send without progress.
    pub send_stall_ms: u64,
    /// A closing connection.
    pub linger_ms: u64,
    /// For what an initiator owes.
    pub initiator_stall_ms: u64,
    /// One session's WRITEs hold at most one n-th of the buffer pool.
    pub pool_shares: u32,
    /// First Target Transfer Tag of each session (C7).
    #[serde(skip_serializing_if = "is_zero")]
    pub initial_ttt: u32,
    /// Durable writes under way of one logical unit.
    pub durable_writes: u32,
    /// What the target's clock says at the start of the run, in microseconds (C7).
    #[serde(skip_serializing_if = "is_zero")]
    pub clock_origin_us: u64,
    /// Tasks of one logical unit that its disk never finished.
    pub disowned_tasks: u32,
    /// Data that WRITEs have to get in an initiator's stall while buffers are short.
    pub stall_bytes: usize,
    /// Connections of the node.
    pub connections: u32,
    /// Logins of one machine at a time.
    pub logins_per_peer: u32,
    /// Sessions of the target.
    pub sessions_per_target: u32,
    /// Bytes of text of one negotiation.
    pub text_bytes: usize,
    /// Keys of one negotiation.
    pub text_keys: usize,
    /// PDUs of one negotiation.
    pub text_exchanges: u32,
    /// AHS bytes of one PDU.
    pub ahs_bytes: usize,
    /// Task management functions of one session.
    pub task_management_functions: u32,
    /// Bytes of data of one command.
    pub transfer_bytes: u32,
    /// Calls in a row that bring a transfer no further.
    pub transfer_interruptions: u32,
    /// For the sessions when the target stops.
    pub stop_sessions_ms: u64,
    /// For the last flush.
    pub final_flush_ms: u64,
    /// It has an alias.
    #[serde(skip_serializing_if = "is_zero")]
    pub alias: bool,
    /// Before each start the operator asks for another configuration, most of which have to be refused: which one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mistake: Option<u32>,
}

impl Default for TargetPlan {
    fn default() -> Self {
        let limits = Limits::default();
        let ms = |duration: Duration| duration.as_millis() as u64;
        Self {
            shards: 1,
            post_us: 100,
            initial_stat_sn: None,
            workers: limits.workers,
            command_window: limits.command_window,
            immediate_commands: limits.immediate_commands,
            task_set_tasks: limits.task_set_tasks,
            work_queue_tasks: limits.work_queue_tasks,
            write_list_pdus: limits.write_list_pdus,
            write_list_bytes: limits.write_list_bytes,
            max_recv_data_segment_bytes: limits.max_recv_data_segment_bytes,
            max_burst_bytes: limits.max_burst_bytes,
            max_outstanding_r2t: limits.max_outstanding_r2t,
            pool_bytes: limits.pool_bytes,
            login_ms: ms(limits.login_deadline),
            abort_ms: ms(limits.abort_deadline),
            data_out_ms: ms(limits.data_out_deadline),
            nop_interval_ms: ms(limits.nop_interval),
            nop_timeout_ms: ms(limits.nop_timeout),
            send_stall_ms: ms(limits.send_stall),
            linger_ms: ms(limits.linger),
            initiator_stall_ms: ms(limits.initiator_stall),
            pool_shares: limits.pool_shares,
            initial_ttt: 0,
            durable_writes: limits.durable_writes,
            clock_origin_us: 0,
            disowned_tasks: limits.disowned_tasks,
            stall_bytes: limits.stall_bytes,
            connections: limits.connections,
            logins_per_peer: limits.logins_per_peer,
            sessions_per_target: limits.sessions_per_target,
            text_bytes: limits.text_bytes,
            text_keys: limits.text_keys,
            text_exchanges: limits.text_exchanges,
            ahs_bytes: limits.ahs_bytes,
            task_management_functions: limits.task_management_functions,
            transfer_bytes: limits.transfer_bytes,
            transfer_interruptions: limits.transfer_interruptions,
            stop_sessions_ms: ms(limits.stop_sessions),
            final_flush_ms: ms(limits.final_flush),
            alias: false,
            mistake: None,
        }
    }
}

impl TargetPlan {
    /// As core takes them.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let ms = Duration::from_millis;
        Limits {
            workers: self.workers,
            command_window: self.command_window,
            immediate_commands: self.immediate_commands,
            task_set_tasks: self.task_set_tasks,
            work_queue_tasks: self.work_queue_tasks,
            write_list_pdus: self.write_list_pdus,
            write_list_bytes: self.write_list_bytes,
            max_recv_data_segment_bytes: self.max_recv_data_segment_bytes,
            max_burst_bytes: self.max_burst_bytes,
            max_outstanding_r2t: self.max_outstanding_r2t,
            pool_bytes: self.pool_bytes,
            login_deadline: ms(self.login_ms),
            abort_deadline: ms(self.abort_ms),
            data_out_deadline: ms(self.data_out_ms),
            nop_interval: ms(self.nop_interval_ms),
            nop_timeout: ms(self.nop_timeout_ms),
            send_stall: ms(self.send_stall_ms),
            linger: ms(self.linger_ms),
            initiator_stall: ms(self.initiator_stall_ms),
            pool_shares: self.pool_shares,
            disowned_tasks: self.disowned_tasks,
            stall_bytes: self.stall_bytes,
            durable_writes: self.durable_writes,
            connections: self.connections,
            logins_per_peer: self.logins_per_peer,
            sessions_per_target: self.sessions_per_target,
            text_bytes: self.text_bytes,
            text_keys: self.text_keys,
            text_exchanges: self.text_exchanges,
            ahs_bytes: self.ahs_bytes,
            task_management_functions: self.task_management_functions,
            transfer_bytes: self.transfer_bytes,
            transfer_interruptions: self.transfer_interruptions,
            stop_sessions: ms(self.stop_sessions_ms),
            final_flush: ms(self.final_flush_ms),
        }
    }
}

/// A logical unit and the disk behind it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct UnitPlan {
    /// Its number.
    pub lun: u16,
    /// What stores it.
    pub kind: UnitKind,
    /// WCE: writes are acknowledged before they are durable.
    pub write_back: bool,
    /// Logical block length, in bytes.
    pub block_bytes: u32,
    /// What the disk writes atomically, in bytes.
    pub physical_block_bytes: u32,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Why it takes no writes, if it takes none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protected: Option<Protection>,
    /// How fast the disk is.
    #[serde(serialize_with = "sparse::one", skip_serializing_if = "is_zero")]
    pub speed: DiskSpeed,
}

impl Default for UnitPlan {
    /// A file of 4 MiB that is written through.
    fn default() -> Self {
        Self {
            lun: 0,
            kind: UnitKind::Fileio,
            write_back: false,
            block_bytes: 512,
            physical_block_bytes: 4_096,
            size_bytes: 4 << 20,
            protected: None,
            speed: DiskSpeed::default(),
        }
    }
}

/// What stores a logical unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitKind {
    /// Nothing.
    Nullio,
    /// A file.
    Fileio,
    /// A block device.
    Blockio,
}

/// Who made a logical unit read-only, from its start on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protection {
    /// The operator.
    Operator,
    /// Its device.
    Device,
}

impl UnitPlan {
    /// As the history's checker needs it.
    #[must_use]
    pub fn unit(&self) -> Unit {
        Unit {
            lun: self.lun,
            block_bytes: self.block_bytes,
            blocks: self.size_bytes / u64::from(self.block_bytes),
            write_cache: self.write_back && self.protected != Some(Protection::Operator),
            nullio: self.kind == UnitKind::Nullio,
            read_only: self.protected.is_some(),
        }
    }
}

/// Something that goes wrong once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fault {
    /// Its name in a shrunk plan; keys its draws.
    pub id: u32,
    /// When.
    pub when: Trigger,
    /// Its trigger counts from when this step begins, and not from the end of the warm-up: so shrunk plans have it, since
    /// the steps before may go and the fault stays where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<StepName>,
    /// What.
    #[serde(flatten)]
    pub kind: FaultKind,
}

/// A step of the plan, or an attack.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct StepName {
    /// Whose, by its index.
    pub initiator: u32,
    /// Its id.
    pub step: u32,
}

/// When a fault strikes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// So long after the warm-up, in microseconds. (Or after a step began: [`Fault::since`]; so it is with the others.)
    AtUs(u64),
    /// Right after this many events of core since the warm-up: shrinks and replays better than a time.
    AfterEvents(u64),
    /// Right after the n-th event of a kind since the warm-up.
    OnNth {
        /// Of which kind.
        kind: Occasion,
        /// The n, from one on.
        count: u64,
    },
}

impl Trigger {
    /// Microseconds, or how many of what is counted.
    #[must_use]
    pub fn count(self) -> u64 {
        match self {
            Self::AtUs(count) | Self::AfterEvents(count) | Self::OnNth { count, .. } => count,
        }
    }

    /// The same with another number.
    #[must_use]
    pub fn with_count(self, count: u64) -> Self {
        match self {
            Self::AtUs(_) => Self::AtUs(count),
            Self::AfterEvents(_) => Self::AfterEvents(count),
            Self::OnNth { kind, .. } => Self::OnNth { kind, count },
        }
    }
}

/// A kind of event that a fault can wait for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Occasion {
    /// A session began or went on.
    Login,
    /// A command entered its task set.
    TaskCreated,
    /// A worker took a command.
    TaskStarted,
    /// A command got its status.
    TaskCompleted,
    /// A command ended without one.
    TaskAborted,
    /// A task management function was answered.
    FunctionAnswered,
    /// An R2T is on its way.
    R2tSent,
    /// A read was issued to a disk.
    ReadIssued,
    /// A write was issued to a disk.
    WriteIssued,
    /// A flush was issued to a disk.
    FlushIssued,
}

impl Occasion {
    /// Several of them, in words.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::Login => "logins",
            Self::TaskCreated => "tasks created",
            Self::TaskStarted => "tasks started",
            Self::TaskCompleted => "tasks completed",
            Self::TaskAborted => "tasks aborted",
            Self::FunctionAnswered => "functions answered",
            Self::R2tSent => "R2Ts",
            Self::ReadIssued => "reads issued",
            Self::WriteIssued => "writes issued",
            Self::FlushIssued => "flushes issued",
        }
    }
}

/// What goes wrong. The ids are those of the catalogue of faults (docs/SIMULATION.md).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "fault")]
pub enum FaultKind {
    /// An initiator's connections are cut elsewhere for a while (N1).
    Cut {
        /// Whose.
        initiator: u32,
        /// Where.
        cut: Cut,
        /// How long, in microseconds.
        for_us: u64,
    },
    /// The window of an initiator's connections is small, or closed, for a while (N3, N5).
    Window {
        /// Whose.
        initiator: u32,
        /// In bytes.
        window_bytes: usize,
        /// How long, in microseconds.
        for_us: u64,
    },
    /// Nothing arrives in one direction for a while (N6).
    StallLink {
        /// Whose connections.
        initiator: u32,
        /// Which way.
        direction: Direction,
        /// How long, in microseconds.
        for_us: u64,
    },
    /// Nothing arrives anywhere; then one direction after the other is free again, in any order (N7).
    Swizzle {
        /// Until the last is free, in microseconds.
        for_us: u64,
    },
    /// RST once so many more bytes were sent (N8).
    Reset {
        /// Whose connections.
        initiator: u32,
        /// Counted in this direction.
        direction: Direction,
        /// How many.
        bytes: u64,
    },
    /// RST at a byte of the next login (N16).
    ResetLogin {
        /// Whose next connection.
        initiator: u32,
        /// Counted in this direction.
        direction: Direction,
        /// How many.
        bytes: u64,
    },
    /// Bits flip in the next PDU of an initiator's connections that has this place under a digest (N12).
    Flip {
        /// Whose connections.
        initiator: u32,
        /// Which way.
        direction: Direction,
        /// In which part of the PDU.
        place: Place,
        /// How many, 1 to 32.
        bits: u32,
    },
    /// The connections of an initiator are silent for ever: no FIN, no RST (N10).
    Silence {
        /// Whose.
        initiator: u32,
    },
    /// New connections fail for a while (N11).
    Connects {
        /// Whose.
        initiator: u32,
        /// How.
        how: ConnectFault,
        /// How long, in microseconds.
        for_us: u64,
    },
    /// The target cannot accept for a while (N11).
    Accepts {
        /// How long, in microseconds.
        for_us: u64,
    },
    /// A disk fails (D1 to D9, D13, D14).
    Disk {
        /// Which.
        lun: u16,
        /// How.
        #[serde(flatten)]
        how: DiskFault,
    },
    /// The process dies and comes back (P1).
    Crash {
        /// After this time, in microseconds.
        down_us: u64,
    },
    /// The machine loses power and comes back (P2, D7, D8).
    PowerLoss {
        /// After this time, in microseconds.
        down_us: u64,
    },
    /// The process stops cleanly under load and comes back (P4).
    CleanStop {
        /// How long commands may take to finish, in microseconds.
        deadline_us: u64,
        /// After this time, in microseconds.
        down_us: u64,
    },
    /// The process stands still for a while, the kernel does not (P5).
    Pause {
        /// How long, in microseconds.
        for_us: u64,
    },
    /// The next event of core that a task of this kind tells makes it panic (P9, P10).
    Panic {
        /// Which task.
        who: Panicker,
    },
    /// For a while the target's timers are late, and go off together (C5).
    LateTimers {
        /// At multiples of this time, in microseconds.
        by_us: u64,
        /// How long, in microseconds.
        for_us: u64,
    },
    /// Requests for a buffer are refused, whatever is free (L1).
    NoBuffer {
        /// How many.
        count: u64,
    },
    /// The process dies, and again while it starts or has just started (P3).
    CrashTwice {
        /// It comes back after this time, both times, in microseconds.
        down_us: u64,
        /// It lives for so long, in microseconds.
        up_us: u64,
    },
    /// The process dies and comes back with another configuration (P11).
    Reconfigure {
        /// After this time, in microseconds.
        down_us: u64,
        /// With so many workers.
        workers: u32,
        /// With a command window no wider than this.
        command_window: u32,
        /// No logical unit is written back any more.
        write_through: bool,
    },
    /// The bytes under way to the target on an initiator's connections stay behind, and arrive while its next connection is
    /// there already (N15).
    LateBytes {
        /// Whose.
        initiator: u32,
        /// So long after it was opened, in microseconds.
        after_us: u64,
    },
    /// The target closes its listening socket for a while; what is established goes on (N18).
    Rebind {
        /// How long, in microseconds.
        for_us: u64,
        /// Its new one has another address.
        moves: bool,
    },
    /// The target's clock goes wrong for a while (C1).
    Drift {
        /// So many of its seconds pass in 1,000 of them.
        per_mille: u64,
        /// How long, in microseconds.
        for_us: u64,
    },
    /// The target's clock jumps ahead (C2).
    Jump {
        /// How far, in microseconds.
        by_us: u64,
    },
    /// Tasks of a kind are held up at their next step, as a scheduler that has others to run does (P9).
    Preempt {
        /// Which tasks.
        who: Panicker,
        /// How many.
        count: u64,
        /// How long each, in microseconds.
        for_us: u64,
    },
    /// Everything stands still for a while; then all timers fire at once (C4).
    Freeze {
        /// How long, in microseconds.
        for_us: u64,
    },
}

impl FaultKind {
    /// For how long it may keep the target from doing what it would: its process or its timers stand still, or it does
    /// nothing new because it stops.
    #[must_use]
    pub fn standstill(&self) -> Duration {
        Duration::from_micros(match *self {
            Self::Pause { for_us } | Self::Freeze { for_us } | Self::LateTimers { for_us, .. } => for_us,
            Self::CleanStop { deadline_us, .. } => deadline_us + STOP_US,
            Self::Preempt { count, for_us, .. } => count * for_us,
            // A clock that is slow takes longer to come to a deadline.
            Self::Drift { per_mille, for_us } => for_us * 1_000_u64.saturating_sub(per_mille) / 1_000,
            _ => 0,
        })
    }

    /// The fault as a plan has it, on one line.
    #[must_use]
    pub fn to_words(&self) -> String {
        let json = serde_json::to_string(self).unwrap_or_default();
        let fields = json.strip_prefix('{').and_then(|json| json.strip_suffix('}')).unwrap_or(&json);
        fields.replace('"', "").replace(':', "=").replace(',', ", ")
    }
}

/// A kind of task of the target, that panics or is held up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Panicker {
    /// The driver of a connection.
    Driver,
    /// A worker.
    Worker,
}

impl Panicker {
    /// A part of the path of the function that core runs as such a task.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Driver => "sessions::drive",
            Self::Worker => "worker::serve",
        }
    }
}

impl Plan {
    /// The target's clock does not always go as the world's.
    #[must_use]
    pub fn has_clock_faults(&self) -> bool {
        self.faults.iter().any(|fault| matches!(fault.kind, FaultKind::Drift { .. } | FaultKind::Jump { .. }))
    }

    /// The shortest time in the world that may be so many milliseconds for the target.
    #[must_use]
    pub fn shortest(&self, ms: u64) -> Duration {
        let shortest = |fault: &Fault| match fault.kind {
            FaultKind::Jump { .. } => 0,
            FaultKind::Drift { per_mille, .. } => ms * 1_000 * 1_000 / per_mille.max(1_000),
            _ => ms * 1_000,
        };
        Duration::from_micros(self.faults.iter().map(shortest).min().unwrap_or(ms * 1_000))
    }

    /// The auditor's number: it is one initiator more.
    #[must_use]
    pub fn auditor(&self) -> u32 {
        let after = self.initiators.iter().map(|initiator| initiator.index + 1).max().unwrap_or(0);
        after.max(self.links.len() as u32)
    }

    /// Reads a plan.
    ///
    /// # Errors
    /// What is wrong with the text, and where.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// The plan as text.
    ///
    /// # Panics
    /// Never: every plan can be written.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a plan has no value that TOML lacks")
    }
}

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A 64-bit number as TOML's integers cannot hold it.
pub(crate) mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{value:#x}"))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        crate::plan::parse_seed(&text).map_err(serde::de::Error::custom)
    }
}

/// A seed as people write it: 0x1f or 31.
///
/// # Errors
/// When it is neither.
pub fn parse_seed(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|error| format!("\"{text}\" is not a seed ({error}); write one like 0x1f or 31"))
}
