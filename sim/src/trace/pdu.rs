//! A PDU as an event, decoded with the initiators' codec.

use super::command;
use super::entry::{Entry, Text};
use crate::initiator::codec::{NO_TAG, RawPdu, opcode, text};

/// What the fields of `pdu` say. `block_bytes` gives the logical block length of a logical unit.
pub(super) fn describe(pdu: &RawPdu, block_bytes: impl Fn(u16) -> u32) -> Entry {
    let itt = pdu.initiator_task_tag();
    let from_target = pdu.opcode() >= 0x20;
    let mut entry = Entry { pdu: Some(name(pdu.opcode())), itt: (itt != NO_TAG).then_some(itt), ..Entry::default() };
    if from_target {
        entry.stat_sn = Some(pdu.stat_sn());
        entry.exp_cmd_sn = Some(pdu.exp_cmd_sn());
        entry.max_cmd_sn = Some(pdu.max_cmd_sn());
    } else {
        entry.stat_sn = Some(pdu.exp_stat_sn());
        entry.cmd_sn = (pdu.opcode() != opcode::DATA_OUT).then(|| pdu.cmd_sn());
    }
    let mut detail = Vec::new();
    if pdu.is_immediate() && pdu.opcode() != opcode::LOGIN {
        detail.push("immediate".to_owned());
    }
    if pdu.header_digest_ok == Some(false) {
        detail.push("wrong header digest".to_owned());
    }
    if pdu.data_digest_ok == Some(false) {
        detail.push("wrong data digest".to_owned());
    }
    match pdu.opcode() {
        opcode::SCSI_COMMAND => scsi_command(pdu, &mut entry, &mut detail, block_bytes),
        opcode::DATA_OUT | opcode::DATA_IN | opcode::R2T => data(pdu, &mut entry, &mut detail),
        opcode::SCSI_RESPONSE => {
            entry.status = Some(if pdu.response() == 0 {
                command::status(pdu.status())
            } else {
                Text::Owned(format!("response {:#04x}", pdu.response()))
            });
            if let Some((key, code)) = pdu.sense().and_then(crate::initiator::parse_sense) {
                detail.push(command::sense(key, code));
            }
            residual(pdu, &mut detail);
        }
        opcode::TASK_MANAGEMENT => {
            entry.command = Some(command::function(pdu.task_management_function()));
            entry.lun = small_lun(pdu.logical_unit());
            if pdu.task_management_function() == 1 {
                entry.referenced = Some(pdu.referenced_task_tag());
                detail.push(format!("RefCmdSN {}", pdu.ref_cmd_sn()));
            }
        }
        opcode::TASK_MANAGEMENT_RESPONSE => entry.status = Some(command::function_response(pdu.response())),
        opcode::LOGIN | opcode::LOGIN_RESPONSE => login(pdu, from_target, &mut entry, &mut detail),
        opcode::TEXT | opcode::TEXT_RESPONSE => pairs(pdu, &mut detail),
        opcode::NOP_OUT | opcode::NOP_IN => entry.ttt = tag(pdu.target_transfer_tag()),
        opcode::LOGOUT => detail.push(format!("reason {}", pdu.logout_reason())),
        opcode::LOGOUT_RESPONSE => entry.status = Some(Text::Owned(format!("response {}", pdu.response()))),
        opcode::REJECT => entry.status = Some(Text::Owned(format!("reason {:#04x}", pdu.response()))),
        opcode::ASYNC_MESSAGE => detail.push(format!("event {}", pdu.async_event())),
        _ => {}
    }
    if entry.length.is_none() && pdu.data_bytes() > 0 {
        entry.length = Some(pdu.data_bytes() as u64);
    }
    entry.detail = (!detail.is_empty()).then(|| Text::Owned(detail.join(", ")));
    entry
}

/// The logical unit behind a LUN field in peripheral form, if it is a small number.
fn small_lun(field: u64) -> Option<u16> {
    let number = (field >> 48) as u16;
    (field << 16 == 0 && (number < 256 || number >> 14 == 1)).then_some(number & 0x3fff)
}

fn tag(tag: u32) -> Option<u32> {
    (tag != NO_TAG).then_some(tag)
}

fn scsi_command(pdu: &RawPdu, entry: &mut Entry, detail: &mut Vec<String>, block_bytes: impl Fn(u16) -> u32) {
    let cdb = pdu.cdb();
    entry.command = Some(command::name(cdb[0]));
    entry.lun = small_lun(pdu.logical_unit());
    if let (Some((_, lba, blocks)), Some(lun)) = (command::access(&cdb), entry.lun) {
        let block = u64::from(block_bytes(lun));
        entry.offset = Some(lba.saturating_mul(block));
        entry.length = Some(u64::from(blocks) * block);
    }
    let direction = match (pdu.reads(), pdu.writes()) {
        (true, true) => " R W",
        (true, false) => " R",
        (false, true) => " W",
        (false, false) => "",
    };
    let last = if pdu.is_final() { " F" } else { "" };
    detail.push(format!("{}{last}{direction}", command::attribute(pdu.task_attribute())));
    if pdu.expected_data_transfer_length() > 0 {
        detail.push(format!("expects {} bytes", pdu.expected_data_transfer_length()));
    }
    if pdu.data_bytes() > 0 {
        detail.push(format!("{} bytes of immediate data", pdu.data_bytes()));
    }
}

fn data(pdu: &RawPdu, entry: &mut Entry, detail: &mut Vec<String>) {
    entry.ttt = tag(pdu.target_transfer_tag());
    entry.data_sn = Some(pdu.data_sn());
    entry.offset = Some(pdu.buffer_offset().into());
    let is_request = pdu.opcode() == opcode::R2T;
    entry.length = Some(if is_request { pdu.desired_length().into() } else { pdu.data_bytes() as u64 });
    if pdu.is_final() && !is_request {
        detail.push("final".to_owned());
    }
    if pdu.opcode() == opcode::DATA_IN {
        if pdu.has_status() {
            entry.status = Some(command::status(pdu.status()));
            residual(pdu, detail);
        } else {
            // The field is reserved then.
            entry.stat_sn = None;
        }
    }
}

fn residual(pdu: &RawPdu, detail: &mut Vec<String>) {
    if pdu.residual_overflow() {
        detail.push(format!("overflow {}", pdu.residual()));
    }
    if pdu.residual_underflow() {
        detail.push(format!("underflow {}", pdu.residual()));
    }
}

fn login(pdu: &RawPdu, from_target: bool, entry: &mut Entry, detail: &mut Vec<String>) {
    const STAGES: [&str; 4] = ["security", "operational", "stage 2", "full feature"];
    let mut stage = STAGES[usize::from(pdu.current_stage())].to_owned();
    if pdu.is_final() {
        stage.push_str(" to ");
        stage.push_str(STAGES[usize::from(pdu.next_stage())]);
    }
    detail.push(stage);
    detail.push(format!("TSIH {:#x}", pdu.tsih()));
    if from_target {
        let status = pdu.login_status();
        let text = if status == 0 { Text::Borrowed("success") } else { Text::Owned(format!("{status:#06x}")) };
        entry.status = Some(text);
    }
    pairs(pdu, detail);
}

fn pairs(pdu: &RawPdu, detail: &mut Vec<String>) {
    match text::decode(&pdu.data) {
        Ok(pairs) => detail.extend(pairs.iter().map(|(key, value)| format!("{key}={value}"))),
        Err(_) if pdu.continues() => detail.push("text goes on in the next PDU".to_owned()),
        Err(_) => detail.push("the end of a text, or none".to_owned()),
    }
}

fn name(code: u8) -> Text {
    let name = match code {
        opcode::NOP_OUT => "NOP-Out",
        opcode::SCSI_COMMAND => "SCSI Command",
        opcode::TASK_MANAGEMENT => "Task Management",
        opcode::LOGIN => "Login Request",
        opcode::TEXT => "Text Request",
        opcode::DATA_OUT => "Data-Out",
        opcode::LOGOUT => "Logout Request",
        opcode::SNACK => "SNACK",
        opcode::NOP_IN => "NOP-In",
        opcode::SCSI_RESPONSE => "SCSI Response",
        opcode::TASK_MANAGEMENT_RESPONSE => "Task Mgmt Response",
        opcode::LOGIN_RESPONSE => "Login Response",
        opcode::TEXT_RESPONSE => "Text Response",
        opcode::DATA_IN => "Data-In",
        opcode::LOGOUT_RESPONSE => "Logout Response",
        opcode::R2T => "R2T",
        opcode::ASYNC_MESSAGE => "Async Message",
        opcode::REJECT => "Reject",
        _ => return Text::Owned(format!("operation code {code:#04x}")),
    };
    name.into()
}
