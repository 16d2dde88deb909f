//! Layouts against the tables of RFC 7143, section 11, and round trips for any content.

use std::fmt::Debug;

use proptest::prelude::*;

use super::*;
use crate::id::{Cid, Isid, Itt, Lun, Tsih, Ttt};

const LUN: Lun = Lun(0x0809_0a0b_0c0d_0e0f);
const ITT: Itt = Itt(0x1011_1213);
const TTT: Ttt = Ttt(0x1415_1617);
const ISID: Isid = Isid([8, 9, 10, 11, 12, 13]);
const TSIH: Tsih = Tsih(0x0e0f);
const CID: Cid = Cid(0x1415);
const SN_24: SerialNumber = SerialNumber(0x1819_1a1b);
const SN_28: SerialNumber = SerialNumber(0x1c1d_1e1f);
const SN_32: SerialNumber = SerialNumber(0x2021_2223);
const WORD_36: u32 = 0x2425_2627;
const WORD_40: u32 = 0x2829_2a2b;
const WORD_44: u32 = 0x2c2d_2e2f;

/// What all PDU types have, so that one story tells all of them.
trait Pdu: Sized + PartialEq + Debug {
    const OPCODE: Opcode;
    fn read(bhs: &Bhs) -> Result<Self, WireError>;
    fn write(&self, data_segment_bytes: usize) -> Bhs;
}

/// 48 bytes from hexadecimal digits, grouped in words as the RFC draws them.
fn drawn(words: &str) -> Bhs {
    let digits: Vec<u8> = words.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
    assert_eq!(digits.len(), 2 * BHS_BYTES);
    Bhs(std::array::from_fn(|index| (digits[2 * index] << 4) | digits[2 * index + 1]))
}

/// A PDU whose fields hold the numbers of their own bytes stands as the RFC draws it, both ways.
fn assert_layout<T: Pdu>(pdu: T, words: &str) {
    let drawn = drawn(words);
    assert_eq!(pdu.write(0x05_0607), drawn, "{pdu:?}");
    assert_eq!(T::read(&drawn), Ok(pdu));
}

/// Whatever the bytes, what is understood survives writing and reading; another opcode is refused.
fn assert_round_trip<T: Pdu>(mut bytes: [u8; BHS_BYTES]) {
    let opcode = bytes[0] & 0x3f;
    if opcode != T::OPCODE.0 {
        let refusal = WireError::WrongOpcode { expected: T::OPCODE, found: Opcode(opcode) };
        assert_eq!(T::read(&Bhs(bytes)), Err(refusal));
        bytes[0] = T::OPCODE.0 | (bytes[0] & 0xc0);
    }
    if let Ok(pdu) = T::read(&Bhs(bytes)) {
        let written = pdu.write(Bhs(bytes).data_segment_bytes());
        assert_eq!(written.data_segment_bytes(), Bhs(bytes).data_segment_bytes());
        assert_eq!(T::read(&written), Ok(pdu));
    } else {
        assert_eq!(T::OPCODE, Opcode::SCSI_COMMAND, "only contradictory commands are refused");
        assert_eq!(bytes[1] & 0xa0, 0);
    }
}

macro_rules! pdus {
    ($($pdu:ident = $opcode:ident;)*) => {
        $(impl Pdu for $pdu {
            const OPCODE: Opcode = Opcode::$opcode;
            fn read(bhs: &Bhs) -> Result<Self, WireError> {
                Self::parse(bhs)
            }
            fn write(&self, data_segment_bytes: usize) -> Bhs {
                self.to_bhs(data_segment_bytes)
            }
        })*

        proptest! {
            #[test]
            fn any_bytes_of_any_pdu_round_trip(bytes in any::<[[u8; 16]; 3]>()) {
                let bytes = std::array::from_fn(|index| bytes[index / 16][index % 16]);
                $(assert_round_trip::<$pdu>(bytes);)*
            }
        }
    };
}

pdus! {
    NopOut = NOP_OUT;
    ScsiCommand = SCSI_COMMAND;
    TaskManagementRequest = TASK_MANAGEMENT_REQUEST;
    LoginRequest = LOGIN_REQUEST;
    TextRequest = TEXT_REQUEST;
    DataOut = DATA_OUT;
    LogoutRequest = LOGOUT_REQUEST;
    Snack = SNACK;
    NopIn = NOP_IN;
    ScsiResponse = SCSI_RESPONSE;
    TaskManagementResponse = TASK_MANAGEMENT_RESPONSE;
    LoginResponse = LOGIN_RESPONSE;
    TextResponse = TEXT_RESPONSE;
    DataIn = DATA_IN;
    LogoutResponse = LOGOUT_RESPONSE;
    ReadyToTransfer = READY_TO_TRANSFER;
    AsyncMessage = ASYNC_MESSAGE;
    Reject = REJECT;
}

#[test]
fn nop_out_stands_as_drawn() {
    let pdu = NopOut { immediate: true, lun: LUN, itt: ITT, ttt: TTT, cmd_sn: SN_24, exp_stat_sn: SN_28 };
    assert_layout(
        pdu,
        "40800000 00050607 08090a0b 0c0d0e0f 10111213 14151617 18191a1b 1c1d1e1f 00000000 00000000 00000000 00000000",
    );
}

#[test]
fn scsi_command_stands_as_drawn() {
    let pdu = ScsiCommand {
        immediate: false,
        final_bit: true,
        read: false,
        write: true,
        attribute: ScsiCommand::HEAD_OF_QUEUE,
        lun: LUN,
        itt: ITT,
        expected_data_transfer_bytes: TTT.0,
        cmd_sn: SN_24,
        exp_stat_sn: SN_28,
        cdb: std::array::from_fn(|index| 0x20 + index as u8),
    };
    assert_layout(
        pdu,
        "01a30000 00050607 08090a0b 0c0d0e0f 10111213 14151617 18191a1b 1c1d1e1f 20212223 24252627 28292a2b 2c2d2e2f",
    );
}

#[test]
fn scsi_command_reading_stands_as_drawn() {
    let pdu = ScsiCommand {
        immediate: true,
        final_bit: true,
        read: true,
        write: false,
        attribute: ScsiCommand::SIMPLE,
        lun: LUN,
        itt: ITT,
        expected_data_transfer_bytes: TTT.0,
        cmd_sn: SN_24,
        exp_stat_sn: SN_28,
        cdb: [0; 16],
    };
    assert_layout(
        pdu,
        "41c10000 00050607 08090a0b 0c0d0e0f 10111213 14151617 18191a1b 1c1d1e1f 00000000 00000000 00000000 00000000",
    );
}

#[test]
fn task_management_request_stands_as_drawn() {
    let pdu = TaskManagementRequest {
        immediate: true,
        function: TaskManagementRequest::ABORT_TASK,
        lun: LUN,
        itt: ITT,
        referenced_itt: Itt(TTT.0),
        cmd_sn: SN_24,
        exp_stat_sn: SN_28,
        ref_cmd_sn: SN_32,
        exp_data_sn: WORD_36,
    };
    assert_layout(
        pdu,
        "42810000 00050607 08090a0b 0c0d0e0f 10111213 14151617 18191a1b 1c1d1e1f 20212223 24252627 00000000 00000000",
    );
}

#[test]
fn login_request_stands_as_drawn() {
    let pdu = LoginRequest {
        transit: true,
        continue_bit: false,
        current_stage: 1,
        next_stage: 3,
        version_max: 2,
        version_min: 3,
        isid: ISID,
        tsih: TSIH,
        itt: ITT,
        cid: CID,
        cmd_sn: SN_24,
        exp_stat_sn: SN_28,
    };
    assert_layout(
        pdu,
        "43870203 00050607 08090a0b 0c0d0e0f 10111213 14150000 18191a1b 1c1d1e1f 00000000 00000000 00000000 00000000",
    );
}

#[test]
fn text_request_stands_as_drawn() {
    let pdu = TextRequest {
        immediate: false,
        final_bit: false,
        continue_bit: true,
        lun: LUN,
        itt: ITT,
        ttt: TTT,
        cmd_sn: SN_24,
        exp_stat_sn: SN_28,
    };
    assert_layout(
        pdu,
        "04400000 00050607 08090a0b 0c0d0e0f 10111213 14151617 18191a1b 1c1d1e1f 00000000 00000000 00000000 00000000",
    );
}

#[test]
fn data_out_stands_as_drawn() {
    let pdu = DataOut {
        final_bit: true,
        lun: LUN,
        itt: ITT,
        ttt: TTT,
        exp_stat_sn: SN_28,
        data_sn: WORD_36,
        buffer_offset: WORD_40,
    };
    assert_layout(
        pdu,
        "05800000 00050607 08090a0b 0c0d0e0f 10111213 14151617 00000000 1c1d1e1f 00000000 24252627 28292a2b 00000000",
    );
}

#[test]
fn logout_request_stands_as_drawn() {
    let pdu = LogoutRequest {
        immediate: true,
        reason: LogoutRequest::REMOVE_CONNECTION_FOR_RECOVERY,
        itt: ITT,
        cid: CID,
        cmd_sn: SN_24,
        exp_stat_sn: SN_28,
    };
    assert_layout(
        pdu,
        "46820000 00050607 00000000 00000000 10111213 14150000 18191a1b 1c1d1e1f 00000000 00000000 00000000 00000000",
    );
}

#[test]
fn snack_stands_as_drawn() {
    let pdu = Snack {
        kind: Snack::R_DATA,
        lun: LUN,
        itt: ITT,
        ttt: TTT,
        exp_stat_sn: SN_28,
        beg_run: WORD_40,
        run_length: WORD_44,
    };
    assert_layout(
        pdu,
        "10830000 00050607 08090a0b 0c0d0e0f 10111213 14151617 00000000 1c1d1e1f 00000000 00000000 28292a2b 2c2d2e2f",
    );
}

#[test]
fn nop_in_stands_as_drawn() {
    let pdu = NopIn { lun: LUN, itt: ITT, ttt: TTT, stat_sn: SN_24, exp_cmd_sn: SN_28, max_cmd_sn: SN_32 };
    assert_layout(
        pdu,
        "20800000 00050607 08090a0b 0c0d0e0f 10111213 14151617 18191a1b 1c1d1e1f 20212223 00000000 00000000 00000000",
    );
}

#[test]
fn scsi_response_stands_as_drawn() {
    let pdu = ScsiResponse {
        overflow: true,
        underflow: false,
        bidirectional_overflow: false,
        bidirectional_underflow: true,
        response: ScsiResponse::TARGET_FAILURE,
        status: 0x28,
        itt: ITT,
        snack_tag: TTT.0,
        stat_sn: SN_24,
        exp_cmd_sn: SN_28,
        max_cmd_sn: SN_32,
        exp_data_sn: WORD_36,
        bidirectional_residual: WORD_40,
        residual: WORD_44,
    };
    assert_layout(
        pdu,
        "218c0128 00050607 00000000 00000000 10111213 14151617 18191a1b 1c1d1e1f 20212223 24252627 28292a2b 2c2d2e2f",
    );
}

#[test]
fn task_management_response_stands_as_drawn() {
    let pdu = TaskManagementResponse {
        response: TaskManagementResponse::FUNCTION_REJECTED,
        itt: ITT,
        stat_sn: SN_24,
        exp_cmd_sn: SN_28,
        max_cmd_sn: SN_32,
    };
    assert_layout(
        pdu,
        "2280ff00 00050607 00000000 00000000 10111213 00000000 18191a1b 1c1d1e1f 20212223 00000000 00000000 00000000",
    );
}

#[test]
fn login_response_stands_as_drawn() {
    let pdu = LoginResponse {
        transit: true,
        continue_bit: false,
        current_stage: 0,
        next_stage: 1,
        version_max: 2,
        version_active: 3,
        isid: ISID,
        tsih: TSIH,
        itt: ITT,
        stat_sn: SN_24,
        exp_cmd_sn: SN_28,
        max_cmd_sn: SN_32,
        status_class: 0x24,
        status_detail: 0x25,
    };
    assert_layout(
        pdu,
        "23810203 00050607 08090a0b 0c0d0e0f 10111213 00000000 18191a1b 1c1d1e1f 20212223 24250000 00000000 00000000",
    );
}

#[test]
fn text_response_stands_as_drawn() {
    let pdu = TextResponse {
        final_bit: true,
        continue_bit: false,
        lun: LUN,
        itt: ITT,
        ttt: TTT,
        stat_sn: SN_24,
        exp_cmd_sn: SN_28,
        max_cmd_sn: SN_32,
    };
    assert_layout(
        pdu,
        "24800000 00050607 08090a0b 0c0d0e0f 10111213 14151617 18191a1b 1c1d1e1f 20212223 00000000 00000000 00000000",
    );
}

#[test]
fn data_in_with_status_stands_as_drawn() {
    let pdu = DataIn {
        final_bit: true,
        acknowledge: false,
        overflow: false,
        underflow: true,
        status_present: true,
        status: 0x18,
        lun: LUN,
        itt: ITT,
        ttt: TTT,
        stat_sn: SN_24,
        exp_cmd_sn: SN_28,
        max_cmd_sn: SN_32,
        data_sn: WORD_36,
        buffer_offset: WORD_40,
        residual: WORD_44,
    };
    assert_layout(
        pdu,
        "25830018 00050607 08090a0b 0c0d0e0f 10111213 14151617 18191a1b 1c1d1e1f 20212223 24252627 28292a2b 2c2d2e2f",
    );
}

#[test]
fn data_in_without_status_stands_as_drawn() {
    let pdu = DataIn {
        final_bit: false,
        acknowledge: true,
        overflow: false,
        underflow: false,
        status_present: false,
        status: 0,
        lun: LUN,
        itt: ITT,
        ttt: TTT,
        stat_sn: SerialNumber(0),
        exp_cmd_sn: SN_28,
        max_cmd_sn: SN_32,
        data_sn: WORD_36,
        buffer_offset: WORD_40,
        residual: 0,
    };
    assert_layout(
        pdu,
        "25400000 00050607 08090a0b 0c0d0e0f 10111213 14151617 00000000 1c1d1e1f 20212223 24252627 28292a2b 00000000",
    );
}

#[test]
fn logout_response_stands_as_drawn() {
    let pdu = LogoutResponse {
        response: LogoutResponse::CLEANUP_FAILED,
        itt: ITT,
        stat_sn: SN_24,
        exp_cmd_sn: SN_28,
        max_cmd_sn: SN_32,
        time2wait: 0x2829,
        time2retain: 0x2a2b,
    };
    assert_layout(
        pdu,
        "26800300 00050607 00000000 00000000 10111213 00000000 18191a1b 1c1d1e1f 20212223 00000000 28292a2b 00000000",
    );
}

#[test]
fn ready_to_transfer_stands_as_drawn() {
    let pdu = ReadyToTransfer {
        lun: LUN,
        itt: ITT,
        ttt: TTT,
        stat_sn: SN_24,
        exp_cmd_sn: SN_28,
        max_cmd_sn: SN_32,
        r2t_sn: WORD_36,
        buffer_offset: WORD_40,
        desired_bytes: WORD_44,
    };
    assert_layout(
        pdu,
        "31800000 00050607 08090a0b 0c0d0e0f 10111213 14151617 18191a1b 1c1d1e1f 20212223 24252627 28292a2b 2c2d2e2f",
    );
}

#[test]
fn async_message_stands_as_drawn() {
    let pdu = AsyncMessage {
        lun: LUN,
        stat_sn: SN_24,
        exp_cmd_sn: SN_28,
        max_cmd_sn: SN_32,
        event: 0x24,
        vcode: 0x25,
        parameters: [0x2627, 0x2829, 0x2a2b],
    };
    assert_layout(
        pdu,
        "32800000 00050607 08090a0b 0c0d0e0f ffffffff 00000000 18191a1b 1c1d1e1f 20212223 24252627 28292a2b 00000000",
    );
}

#[test]
fn reject_stands_as_drawn() {
    let pdu = Reject {
        reason: Reject::PROTOCOL_ERROR,
        stat_sn: SN_24,
        exp_cmd_sn: SN_28,
        max_cmd_sn: SN_32,
        data_sn: WORD_36,
    };
    assert_layout(
        pdu,
        "3f800400 00050607 00000000 00000000 ffffffff 00000000 18191a1b 1c1d1e1f 20212223 24252627 00000000 00000000",
    );
}

#[test]
fn scsi_command_with_neither_f_nor_w_is_contradictory() {
    let bhs = Bhs::new(Opcode::SCSI_COMMAND).with_flags(0x40);
    assert_eq!(ScsiCommand::parse(&bhs), Err(WireError::Contradiction("neither F nor W")));
}

#[test]
fn padding_fills_up_to_four_bytes() {
    assert_eq!([0, 1, 2, 3, 4, 5].map(padding), [0, 3, 2, 1, 0, 3]);
}
