//! The sequencing of data of one task (RFC 7143, sections 4.2.5.2, 11.7 and 11.8): what a Data-Out may carry, which
//! R2T comes next, and how Data-In is cut into PDUs. Plain values, no waiting.

use std::ops::Range;

use crate::id::Ttt;

/// What a session negotiated about data, and what the target puts on top.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TransferRules {
    /// No unsolicited Data-Out PDUs.
    pub initial_r2t: bool,
    /// A command may carry data.
    pub immediate_data: bool,
    /// FirstBurstLength in bytes: unsolicited data, immediate data included.
    pub first_burst_bytes: u32,
    /// MaxBurstLength in bytes: one R2T, or one sequence of Data-In.
    pub max_burst_bytes: u32,
    /// MaxOutstandingR2T.
    pub max_outstanding_r2t: u16,
}

/// What the initiator did wrong with its data.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TransferError {
    /// Immediate data although ImmediateData=No, or unsolicited data although InitialR2T=Yes or after the last one.
    #[error("data that nobody asked for")]
    Unsolicited,
    /// More than FirstBurstLength, more than the R2T asked for, or more than the command's own length.
    #[error("more data than agreed")]
    TooMuch,
    /// No R2T with this Target Transfer Tag is open.
    #[error("Data-Out for an R2T that is not open")]
    UnknownTag,
    /// DataSN is not the next one.
    #[error("DataSN out of order")]
    DataSn,
    /// Buffer Offset is not the next one.
    #[error("Buffer Offset out of order")]
    Offset,
    /// The F bit came before all of the data that was asked for.
    #[error("less data than asked for")]
    TooLittle,
    /// Nothing came for [`crate::limits::Limits::initiator_stall`].
    #[error("data that never came")]
    TooLate,
}

/// An R2T to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadyToSend {
    /// Its Target Transfer Tag.
    pub ttt: Ttt,
    /// R2TSN.
    pub r2t_sn: u32,
    /// Where the data belong, in bytes from the start of the command's data.
    pub offset: u32,
    /// Desired Data Transfer Length in bytes.
    pub length: u32,
}

/// The way of a command's data from the initiator to the target.
#[derive(Debug)]
pub struct DataOutTransfer {
    rules: TransferRules,
    /// Bytes that the command uses: the smaller of the Expected Data Transfer Length and what the CDB asks for. More
    /// is never solicited, and unsolicited data past it are thrown away.
    wanted: u32,
    /// Expected Data Transfer Length in bytes.
    expected: u32,
    /// Unsolicited bytes received, immediate data included.
    unsolicited: u32,
    /// Unsolicited Data-Out PDUs are still to come.
    unsolicited_open: bool,
    unsolicited_data_sn: u32,
    /// Everything before this was received unsolicited or asked for.
    solicited_to: u32,
    r2t_sn: u32,
    /// The header of a Data-Out has come, its data segment has not.
    segment_under_way: bool,
    /// Open R2Ts in the order in which they were sent; at most MaxOutstandingR2T.
    open: Vec<OpenR2t>,
}

#[derive(Clone, Copy, Debug)]
struct OpenR2t {
    ttt: Ttt,
    next_offset: u32,
    end: u32,
    data_sn: u32,
}

impl DataOutTransfer {
    /// A transfer for a command with the W bit. `immediate` is the length of its data segment, `final_bit` its F bit:
    /// when it is not set, unsolicited Data-Out PDUs follow.
    ///
    /// # Errors
    /// The command carries data that it must not, or too much of it.
    pub fn new(
        rules: TransferRules,
        expected: u32,
        wanted: u32,
        immediate: u32,
        final_bit: bool,
    ) -> Result<Self, TransferError> {
        if immediate > 0 && !rules.immediate_data || !final_bit && rules.initial_r2t {
            return Err(TransferError::Unsolicited);
        }
        if immediate > expected.min(rules.first_burst_bytes) {
            return Err(TransferError::TooMuch);
        }
        let mut transfer = Self {
            rules,
            wanted,
            expected,
            unsolicited: immediate,
            unsolicited_open: !final_bit,
            unsolicited_data_sn: 0,
            solicited_to: 0,
            r2t_sn: 0,
            segment_under_way: false,
            open: Vec::new(),
        };
        if !crate::planted!(ImmediateAskedAgain) {
            transfer.close_unsolicited_when_done();
        }
        Ok(transfer)
    }

    /// Takes the header of a Data-Out PDU with `length` bytes of data, which [`DataOutTransfer::on_segment`] tells to
    /// have arrived. The answer is the part of the command's data that it fills; it may lie past what the command uses.
    ///
    /// # Errors
    /// What is wrong with it. The transfer has not moved on then.
    pub fn on_data(
        &mut self,
        ttt: Ttt,
        data_sn: u32,
        offset: u32,
        length: u32,
        final_bit: bool,
    ) -> Result<Range<u32>, TransferError> {
        let end = offset.checked_add(length).ok_or(TransferError::TooMuch)?;
        let range = if ttt == Ttt::NONE {
            self.on_unsolicited(data_sn, offset..end, final_bit)?
        } else {
            self.on_solicited(ttt, data_sn, offset..end, final_bit)?
        };
        self.segment_under_way = !crate::planted!(DataCountedEarly);
        Ok(range)
    }

    /// The data segment of the Data-Out PDU whose header came last is there.
    pub fn on_segment(&mut self) {
        self.segment_under_way = false;
    }

    fn on_solicited(
        &mut self,
        ttt: Ttt,
        data_sn: u32,
        range: Range<u32>,
        final_bit: bool,
    ) -> Result<Range<u32>, TransferError> {
        let position = self.open.iter().position(|r2t| r2t.ttt == ttt).ok_or(TransferError::UnknownTag)?;
        let r2t = &mut self.open[position];
        if data_sn != r2t.data_sn {
            return Err(TransferError::DataSn);
        }
        if range.start != r2t.next_offset {
            return Err(TransferError::Offset);
        }
        if range.end > r2t.end {
            return Err(TransferError::TooMuch);
        }
        if final_bit != (range.end == r2t.end) {
            return Err(TransferError::TooLittle);
        }
        r2t.next_offset = range.end;
        r2t.data_sn = r2t.data_sn.wrapping_add(1);
        if final_bit {
            self.open.remove(position);
        }
        Ok(range)
    }

    fn on_unsolicited(
        &mut self,
        data_sn: u32,
        range: Range<u32>,
        final_bit: bool,
    ) -> Result<Range<u32>, TransferError> {
        if !self.unsolicited_open {
            return Err(TransferError::Unsolicited);
        }
        if data_sn != self.unsolicited_data_sn {
            return Err(TransferError::DataSn);
        }
        if range.start != self.unsolicited {
            return Err(TransferError::Offset);
        }
        if range.end > self.expected.min(self.rules.first_burst_bytes) {
            return Err(TransferError::TooMuch);
        }
        self.unsolicited = range.end;
        self.unsolicited_data_sn = self.unsolicited_data_sn.wrapping_add(1);
        if final_bit {
            self.unsolicited_open = false;
        }
        self.close_unsolicited_when_done();
        Ok(range)
    }

    fn close_unsolicited_when_done(&mut self) {
        self.solicited_to = self.unsolicited.min(self.wanted);
    }

    /// The next R2T to send, with the tag that `tag` gives; `None` while unsolicited data are due, when as many are
    /// open as was agreed, or when everything was asked for.
    pub fn next_r2t(&mut self, tag: impl FnOnce() -> Ttt) -> Option<ReadyToSend> {
        // An R2T is open until the data of its last Data-Out are there, not only the header.
        let open = self.open.len() + usize::from(self.segment_under_way);
        if self.unsolicited_open || open >= usize::from(self.rules.max_outstanding_r2t) {
            return None;
        }
        if open > 0 && crate::buggify!(R2tAlone) {
            return None;
        }
        let left = self.wanted - self.solicited_to;
        if left == 0 {
            return None;
        }
        let burst = self.rules.max_burst_bytes + 512 * u32::from(crate::planted!(BurstTooLong));
        let mut length = left.min(burst);
        if length > 1 && crate::buggify!(R2tShort) {
            length = length.div_ceil(2);
        }
        if crate::planted!(R2tPastEdtl) && length == left && self.r2t_sn > 0 {
            length += 512;
        }
        let r2t = ReadyToSend { ttt: tag(), r2t_sn: self.r2t_sn, offset: self.solicited_to, length };
        self.r2t_sn = self.r2t_sn.wrapping_add(1);
        self.solicited_to += length.min(left);
        self.open.push(OpenR2t { ttt: r2t.ttt, next_offset: r2t.offset, end: r2t.offset + length, data_sn: 0 });
        Some(r2t)
    }

    /// R2Ts whose data are not there yet.
    #[must_use]
    pub fn open_r2ts(&self) -> usize {
        self.open.len()
    }

    /// Unsolicited data and answers to open R2Ts are still on their way.
    #[must_use]
    pub fn is_receiving(&self) -> bool {
        self.unsolicited_open || !self.open.is_empty() || self.segment_under_way
    }

    /// Everything that the command uses has arrived and nothing more is on its way.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.is_receiving() && self.solicited_to == self.wanted
    }

    /// Waits for nothing any more: the initiator broke the rules, and what it still sends cannot be told apart.
    pub fn abandon(&mut self) {
        self.unsolicited_open = false;
        self.segment_under_way = false;
        self.open.clear();
        self.give_up();
    }

    /// Stops soliciting: the task is over for other reasons, and only what is on its way is waited for.
    pub fn give_up(&mut self) {
        self.wanted = self.solicited_to;
    }
}

/// One Data-In PDU of a task.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DataInPart {
    /// DataSN.
    pub data_sn: u32,
    /// Which bytes of the command's data.
    pub range: Range<usize>,
    /// Last PDU of a burst: the F bit.
    pub final_bit: bool,
    /// Last PDU of the command.
    pub last: bool,
}

/// Cuts `total` bytes of data into Data-In PDUs of at most `segment` bytes, in sequences of at most `burst` bytes.
#[must_use]
pub fn data_in_parts(total: usize, segment: usize, burst: usize) -> DataInParts {
    DataInParts { total, segment, burst, offset: 0, data_sn: 0 }
}

/// See [`data_in_parts`].
#[derive(Debug)]
pub struct DataInParts {
    total: usize,
    segment: usize,
    burst: usize,
    offset: usize,
    data_sn: u32,
}

impl Iterator for DataInParts {
    type Item = DataInPart;

    fn next(&mut self) -> Option<DataInPart> {
        if self.offset == self.total {
            return None;
        }
        let burst_end = (self.offset / self.burst + 1).saturating_mul(self.burst).min(self.total);
        let most = self.segment.min(burst_end - self.offset);
        // Only the last segment of a sequence may end within a word of four bytes.
        let half = most.div_ceil(2).next_multiple_of(4);
        let segment = if half < most && crate::buggify!(DataInShort) { half } else { most };
        let end = self.offset + segment;
        let part = DataInPart {
            data_sn: self.data_sn,
            range: self.offset..end,
            final_bit: end == burst_end && !(crate::planted!(BurstWithoutFinal) && end != self.total),
            last: end == self.total,
        };
        self.offset = end;
        if !(crate::planted!(DataSnStuck) && self.data_sn == 2) {
            self.data_sn += 1;
        }
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: TransferRules = TransferRules {
        initial_r2t: false,
        immediate_data: true,
        first_burst_bytes: 4096,
        max_burst_bytes: 8192,
        max_outstanding_r2t: 2,
    };

    fn tags() -> impl FnMut() -> Ttt {
        let mut next = 0;
        move || {
            next += 1;
            Ttt(next)
        }
    }

    #[test]
    fn write_with_immediate_unsolicited_and_solicited_data_completes() {
        let mut tag = tags();
        let mut transfer = DataOutTransfer::new(RULES, 20_480, 20_480, 1024, false).unwrap();
        assert_eq!(transfer.next_r2t(&mut tag), None, "unsolicited data come first");
        assert_eq!(transfer.on_data(Ttt::NONE, 0, 1024, 1024, false), Ok(1024..2048));
        transfer.on_segment();
        assert_eq!(transfer.on_data(Ttt::NONE, 1, 2048, 2048, true), Ok(2048..4096));
        transfer.on_segment();
        let first = transfer.next_r2t(&mut tag).unwrap();
        let second = transfer.next_r2t(&mut tag).unwrap();
        assert_eq!((first.offset, first.length, first.r2t_sn), (4096, 8192, 0));
        assert_eq!((second.offset, second.length, second.r2t_sn), (12_288, 8192, 1));
        assert_eq!((transfer.next_r2t(&mut tag), transfer.open_r2ts()), (None, 2));
        assert_eq!(transfer.on_data(second.ttt, 0, 12_288, 8192, true), Ok(12_288..20_480));
        transfer.on_segment();
        assert_eq!(transfer.on_data(first.ttt, 0, 4096, 4096, false), Ok(4096..8192));
        transfer.on_segment();
        assert!(!transfer.is_complete());
        assert_eq!(transfer.on_data(first.ttt, 1, 8192, 4096, true), Ok(8192..12_288));
        assert!(!transfer.is_complete(), "the header is there, the data are not");
        transfer.on_segment();
        assert!(transfer.is_complete());
    }

    #[test]
    fn r2t_is_open_until_its_last_data_are_there() {
        let mut tag = tags();
        let rules = TransferRules { max_outstanding_r2t: 1, ..RULES };
        let mut transfer = DataOutTransfer::new(rules, 16_384, 16_384, 0, true).unwrap();
        let first = transfer.next_r2t(&mut tag).unwrap();
        transfer.on_data(first.ttt, 0, 0, 8192, true).unwrap();
        assert_eq!(transfer.next_r2t(&mut tag), None, "the header is there, the data are not");
        transfer.on_segment();
        assert!(transfer.next_r2t(&mut tag).is_some());
    }

    #[test]
    fn data_that_nobody_asked_for_are_refused() {
        let strict = TransferRules { initial_r2t: true, immediate_data: false, ..RULES };
        assert_eq!(DataOutTransfer::new(strict, 512, 512, 512, true).unwrap_err(), TransferError::Unsolicited);
        assert_eq!(DataOutTransfer::new(strict, 512, 512, 0, false).unwrap_err(), TransferError::Unsolicited);
        assert_eq!(DataOutTransfer::new(RULES, 9000, 9000, 4097, true).unwrap_err(), TransferError::TooMuch);
        let mut transfer = DataOutTransfer::new(strict, 512, 512, 0, true).unwrap();
        assert_eq!(transfer.on_data(Ttt::NONE, 0, 0, 512, true), Err(TransferError::Unsolicited));
        assert_eq!(transfer.on_data(Ttt(9), 0, 0, 512, true), Err(TransferError::UnknownTag));
        assert_eq!(transfer.on_data(Ttt(9), 0, u32::MAX, 512, true), Err(TransferError::TooMuch));
    }

    #[test]
    fn data_out_of_sequence_are_refused() {
        let mut tag = tags();
        let mut transfer = DataOutTransfer::new(RULES, 8192, 8192, 0, true).unwrap();
        let r2t = transfer.next_r2t(&mut tag).unwrap();
        assert_eq!(transfer.on_data(r2t.ttt, 1, 0, 512, false), Err(TransferError::DataSn));
        assert_eq!(transfer.on_data(r2t.ttt, 0, 512, 512, false), Err(TransferError::Offset));
        assert_eq!(transfer.on_data(r2t.ttt, 0, 0, 8193, true), Err(TransferError::TooMuch));
        assert_eq!(transfer.on_data(r2t.ttt, 0, 0, 512, true), Err(TransferError::TooLittle));
        assert_eq!(transfer.on_data(r2t.ttt, 0, 0, 8192, true), Ok(0..8192));
    }

    #[test]
    fn command_that_uses_less_than_expected_solicits_only_what_it_uses() {
        let mut tag = tags();
        let mut transfer = DataOutTransfer::new(RULES, 8192, 512, 0, true).unwrap();
        assert_eq!(transfer.next_r2t(&mut tag).map(|r2t| r2t.length), Some(512));
        let mut nothing = DataOutTransfer::new(RULES, 8192, 0, 0, true).unwrap();
        assert_eq!(nothing.next_r2t(&mut tag), None);
        assert!(nothing.is_complete());
    }

    #[test]
    fn data_in_has_the_final_bit_at_the_end_of_each_burst() {
        let parts: Vec<_> =
            data_in_parts(2500, 600, 1000).map(|part| (part.range, part.final_bit, part.last)).collect();
        assert_eq!(
            parts,
            [
                (0..600, false, false),
                (600..1000, true, false),
                (1000..1600, false, false),
                (1600..2000, true, false),
                (2000..2500, true, true)
            ]
        );
    }

    proptest! {
        /// Any legal mix of immediate, unsolicited and solicited data covers every byte exactly once.
        #[test]
        fn every_byte_is_asked_for_exactly_once(
            expected in 1u32..40_000, immediate in 0u32..5_000, unsolicited in 0u32..5_000,
            first_burst in 512u32..8_192, extra in 0u32..8_192, open in 1u16..5, piece in 1u32..5_000,
        ) {
            let rules = TransferRules {
                first_burst_bytes: first_burst, max_burst_bytes: first_burst + extra, max_outstanding_r2t: open, ..RULES
            };
            let immediate = immediate.min(expected).min(first_burst);
            let unsolicited = unsolicited.min(expected - immediate).min(first_burst - immediate);
            let mut covered = vec![false; expected as usize];
            let mut cover = |range: Range<u32>| for byte in &mut covered[range.start as usize..range.end as usize] {
                assert!(!*byte, "asked for twice");
                *byte = true;
            };
            cover(0..immediate);
            let mut transfer = DataOutTransfer::new(rules, expected, expected, immediate, unsolicited == 0).unwrap();
            if unsolicited > 0 {
                cover(transfer.on_data(Ttt::NONE, 0, immediate, unsolicited, true).unwrap());
                transfer.on_segment();
            }
            let mut tag = tags();
            let mut queue = std::collections::VecDeque::new();
            loop {
                while let Some(r2t) = transfer.next_r2t(&mut tag) {
                    prop_assert!(r2t.length <= rules.max_burst_bytes);
                    queue.push_back(r2t);
                    prop_assert!(queue.len() <= usize::from(open));
                }
                let Some(r2t) = queue.pop_front() else { break };
                let (mut offset, mut data_sn) = (r2t.offset, 0);
                let end = r2t.offset + r2t.length;
                while offset < end {
                    let length = piece.min(end - offset);
                    cover(transfer.on_data(r2t.ttt, data_sn, offset, length, offset + length == end).unwrap());
                    transfer.on_segment();
                    offset += length;
                    data_sn += 1;
                }
            }
            prop_assert!(transfer.is_complete());
            prop_assert!(covered.iter().all(|&byte| byte));
        }

        #[test]
        fn data_in_covers_everything_within_its_limits(total in 0usize..100_000, segment in 1usize..9_000, burst in 1usize..9_000) {
            let mut at = 0;
            for (index, part) in data_in_parts(total, segment, burst).enumerate() {
                prop_assert_eq!(part.range.start, at);
                prop_assert_eq!(part.data_sn as usize, index);
                prop_assert!(part.range.len() <= segment && !part.range.is_empty());
                prop_assert_eq!(part.range.start / burst, (part.range.end - 1) / burst, "a PDU crosses a burst");
                prop_assert_eq!(part.final_bit, part.range.end % burst == 0 || part.range.end == total);
                at = part.range.end;
            }
            prop_assert_eq!(at, total);
        }
    }
}
