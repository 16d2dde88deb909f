//! REPORT SUPPORTED OPERATION CODES (SPC-4, section 6.35; reporting option 011b is of its later revisions and of SPC-5).

use super::parameter_data;
use crate::scsi::cdb::Cdb;
use crate::scsi::command_table::{Command, commands};
use crate::scsi::dispatch::Answer;
use crate::task::sense::Sense;

const REQUESTED_OPERATION_CODE: u16 = 3;

pub(super) fn report_supported_operation_codes<B>(cdb: &Cdb) -> Answer<B> {
    const REPORTING_OPTIONS: u16 = 2;
    const RCTD: u8 = 7;
    cdb.check_control()?;
    let with_timeouts = cdb.bit(REPORTING_OPTIONS.into(), RCTD);
    let bytes = match cdb.byte(REPORTING_OPTIONS.into()) & 0b111 {
        0b000 => all_commands(with_timeouts),
        option @ 0b001..=0b011 => one_command(requested(cdb, option)?, with_timeouts),
        _ => return Err(Sense::invalid_bit(REPORTING_OPTIONS, 2).into()),
    };
    Ok(parameter_data(bytes, cdb.u32(6) as usize))
}

/// The command that is asked for, if we have it. Option 001b is for operation codes without service actions, 010b for
/// those with, and 011b for both. An operation code that we do not have is neither.
fn requested(cdb: &Cdb, option: u8) -> Result<Option<Command>, Sense> {
    let has_code = |command: &Command| command.operation_code() == cdb.byte(REQUESTED_OPERATION_CODE.into());
    let Some(first) = commands().find(has_code) else { return Ok(None) };
    match (option, first.has_service_action) {
        (0b001, true) | (0b010, false) => Err(Sense::invalid_field(REQUESTED_OPERATION_CODE)),
        (0b001, false) => Ok(Some(first)),
        _ => Ok(commands().find(|command| has_code(command) && command.service_action() == cdb.u16(4))),
    }
}

fn all_commands(with_timeouts: bool) -> Vec<u8> {
    const CTDP: u8 = 0x02;
    const SERVACTV: u8 = 0x01;
    let mut bytes = vec![0; 4];
    for command in commands() {
        let [high, low] = command.service_action().to_be_bytes();
        let flags = if with_timeouts { CTDP } else { 0 } | if command.has_service_action { SERVACTV } else { 0 };
        bytes.extend([command.operation_code(), 0, high, low, 0, flags, 0, command.usage.len() as u8]);
        bytes.extend(timeouts(with_timeouts));
    }
    let length = (bytes.len() - 4) as u32;
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes
}

fn one_command(command: Option<Command>, with_timeouts: bool) -> Vec<u8> {
    const CTDP: u8 = 0x80;
    const NOT_SUPPORTED: u8 = 0b001;
    const AS_STANDARD: u8 = 0b011;
    let Some(command) = command else { return vec![0, NOT_SUPPORTED, 0, 0] };
    let support = AS_STANDARD | if with_timeouts { CTDP } else { 0 };
    let mut bytes = vec![0, support, 0, command.usage.len() as u8];
    bytes.extend(command.usage);
    bytes.extend(timeouts(with_timeouts));
    bytes
}

/// The command timeouts descriptor, if wanted. How long a command takes is up to the device below, so that both times
/// are zero: not indicated (section 6.35.4).
fn timeouts(wanted: bool) -> impl Iterator<Item = u8> {
    const DESCRIPTOR: [u8; 12] = [0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    wanted.then_some(DESCRIPTOR).into_iter().flatten()
}
