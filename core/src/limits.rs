//! Every bound of the target, named with its unit. Nothing that a peer sends can push past one of these.

use std::time::Duration;

/// The bounds of one node. [`Limits::default`] is what the daemon runs with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections of the node, logged in or not. One more is closed at once.
    pub connections: u32,
    /// Connections of one machine (an IPv4 address, or a /64 of IPv6) that have not finished login.
    pub logins_per_peer: u32,
    /// Sessions of one target, discovery sessions of the node.
    pub sessions_per_target: u32,
    /// From accept to full feature phase.
    pub login_deadline: Duration,
    /// Bytes of text of one login or text negotiation, over all its PDUs.
    pub text_bytes: usize,
    /// Keys of one login or text negotiation, over all its PDUs.
    pub text_keys: usize,
    /// Login or text PDUs of one negotiation.
    pub text_exchanges: u32,
    /// AHS bytes of one PDU (the field itself allows 1,020).
    pub ahs_bytes: usize,
    /// What we declare as MaxRecvDataSegmentLength, in bytes. A longer data segment ends the connection.
    pub max_recv_data_segment_bytes: u32,
    /// The most we accept in one negotiated burst, in bytes (MaxBurstLength and FirstBurstLength).
    pub max_burst_bytes: u32,
    /// Outstanding R2Ts of one task.
    pub max_outstanding_r2t: u16,
    /// Width of the command window: non-immediate commands of one session between arrival and completion.
    pub command_window: u32,
    /// Immediate commands (of any kind that holds state) of one session at a time.
    pub immediate_commands: u32,
    /// Task management functions of one session at a time.
    pub task_management_functions: u32,
    /// Tasks of one nexus in one logical unit; one more is answered TASK SET FULL.
    pub task_set_tasks: u32,
    /// Tasks waiting in the work queue of one target on one shard; one more is answered BUSY.
    pub work_queue_tasks: u32,
    /// Workers of one target on one shard: commands in flight at the back end.
    pub workers: u32,
    /// Tasks of one logical unit on one shard that the back end never finished and that were disowned.
    pub disowned_tasks: u32,
    /// Durable writes (write-through or FUA) under way at the back end, of one logical unit on one shard; the next waits.
    pub durable_writes: u32,
    /// PDUs on one connection's write list; while there are more, nothing is received.
    pub write_list_pdus: usize,
    /// Bytes on one connection's write list; while there are more, nothing is received.
    pub write_list_bytes: usize,
    /// Bytes of data of one command (VPD B0, MAXIMUM TRANSFER LENGTH).
    pub transfer_bytes: u32,
    /// Calls in a row by which a transfer from or to a disk comes no block further; then it fails.
    pub transfer_interruptions: u32,
    /// Bytes of the buffer pool of one shard.
    pub pool_bytes: usize,
    /// One session's WRITEs hold at most this part of the pool (one n-th, at least two) while their data are on the way,
    /// and so much of what others left: see [`Limits::may_hold`].
    pub pool_shares: u32,
    /// How long an abort waits for the back end before it fences and disowns the command.
    pub abort_deadline: Duration,
    /// How long a task management function waits for data that is still on its way from the initiator.
    pub data_out_deadline: Duration,
    /// How long an initiator may owe what a command of its own waits for: the data of a WRITE, which then ends in
    /// CHECK CONDITION, or a command with a smaller CmdSN, for which the connection is closed.
    pub initiator_stall: Duration,
    /// Bytes of data that a session's WRITEs have to get in the time of an `initiator_stall` after somebody was refused
    /// a buffer; else they end as if nothing had come.
    pub stall_bytes: usize,
    /// Silence of a peer before the target asks with a NOP-In. Zero: never.
    pub nop_interval: Duration,
    /// How long the answer to that NOP-In may take, from when it has left, before the connection is closed. While
    /// something is being sent the answer has that long once more.
    pub nop_timeout: Duration,
    /// How long a send may make no progress before the connection is closed.
    pub send_stall: Duration,
    /// How long all sessions may take to end when the target stops.
    pub stop_sessions: Duration,
    /// How long the flush of a logical unit may take when the target stops.
    pub final_flush: Duration,
    /// How long a closing connection may take to deliver what is on its write list.
    pub linger: Duration,
}

impl Limits {
    /// Bytes of the pool that the WRITEs of one session hold at most while their data are on the way: when nobody else
    /// holds anything.
    #[must_use]
    pub fn pool_share_bytes(&self) -> usize {
        self.pool_bytes / self.pool_shares.max(2) as usize
    }

    /// Whether a session whose WRITEs held `held` bytes of the pool may hold `bytes` more when `left` are left free then:
    /// what it holds comes to at most one n-th of that and of what is left. The first one only has to leave as much as
    /// it takes. So every WRITE leaves some room, and who comes anew gets half of it, however many are greedy.
    #[must_use]
    pub fn may_hold(&self, held: usize, bytes: usize, left: usize) -> bool {
        let shares = if held == 0 { 2 } else { self.pool_shares.max(2) as usize };
        held + bytes <= left / (shares - 1)
    }

    /// The longest that a task management function takes: a reset first waits for the commands before it, then for data on
    /// their way and the back end, here and on the other shards.
    #[must_use]
    pub fn task_management_deadline(&self) -> Duration {
        self.data_out_deadline + (self.abort_deadline + self.data_out_deadline) * 2
    }

    /// How many handles a shard needs to a disk: one for what shares it, and one for each durable write under way.
    #[must_use]
    pub fn disk_handles(&self) -> u32 {
        1 + self.durable_writes.max(1)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1_024,
            logins_per_peer: 128,
            sessions_per_target: 256,
            login_deadline: Duration::from_secs(15),
            text_bytes: 64 * 1024,
            text_keys: 256,
            text_exchanges: 64,
            ahs_bytes: 64,
            max_recv_data_segment_bytes: 256 * 1024,
            max_burst_bytes: 1024 * 1024,
            max_outstanding_r2t: 8,
            command_window: 128,
            immediate_commands: 32,
            task_management_functions: 16,
            task_set_tasks: 256,
            work_queue_tasks: 4_096,
            workers: 64,
            disowned_tasks: 64,
            durable_writes: 32,
            write_list_pdus: 4_096,
            write_list_bytes: 16 * 1024 * 1024,
            transfer_bytes: 4 * 1024 * 1024,
            transfer_interruptions: 64,
            pool_bytes: 128 * 1024 * 1024,
            pool_shares: 4,
            abort_deadline: Duration::from_secs(5),
            data_out_deadline: Duration::from_secs(5),
            initiator_stall: Duration::from_secs(60),
            stall_bytes: 4 * 1024 * 1024,
            nop_interval: Duration::from_secs(15),
            nop_timeout: Duration::from_secs(15),
            send_stall: Duration::from_secs(30),
            stop_sessions: Duration::from_secs(30),
            final_flush: Duration::from_secs(60),
            linger: Duration::from_secs(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOL_BYTES: usize = 1 << 20;
    const PAGE_BYTES: usize = 4_096;

    fn limits(pool_shares: u32) -> Limits {
        Limits { pool_bytes: POOL_BYTES, pool_shares, ..Limits::default() }
    }

    /// What a session holds in the end that takes a page at a time, of `free` bytes.
    fn greedy(limits: &Limits, free: usize) -> usize {
        let mut held = 0;
        while free >= held + PAGE_BYTES && limits.may_hold(held, PAGE_BYTES, free - held - PAGE_BYTES) {
            held += PAGE_BYTES;
        }
        held
    }

    #[test]
    fn session_alone_holds_its_share_of_the_pool() {
        for shares in [2, 4, 8] {
            assert_eq!(greedy(&limits(shares), POOL_BYTES), POOL_BYTES / shares as usize);
            assert_eq!(limits(shares).pool_share_bytes(), POOL_BYTES / shares as usize);
        }
        assert_eq!(greedy(&limits(1), POOL_BYTES), POOL_BYTES / 2, "all of it is no share");
    }

    /// Four sessions with a quarter each once held the whole pool.
    #[test]
    fn greedy_sessions_always_leave_room_for_the_next() {
        let limits = limits(4);
        let mut free = POOL_BYTES;
        for session in 0..12 {
            let held = greedy(&limits, free);
            assert!(held > 0, "session {session} finds no room");
            free -= held;
            assert!(free >= 3 * held - 3 * PAGE_BYTES && free > 0, "session {session} leaves {free}");
        }
        assert!(!limits.may_hold(0, free, 0), "the rest is for nobody alone");
    }

    #[test]
    fn first_write_may_be_longer_than_a_share_when_as_much_stays_free() {
        let limits = limits(8);
        assert!(limits.may_hold(0, POOL_BYTES / 2, POOL_BYTES / 2));
        assert!(!limits.may_hold(0, POOL_BYTES / 2 + 1, POOL_BYTES / 2 - 1));
        assert!(!limits.may_hold(PAGE_BYTES, POOL_BYTES / 2, POOL_BYTES / 2 - PAGE_BYTES));
    }
}
