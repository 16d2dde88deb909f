//! Unit attentions, as a nexus meets them.

use super::*;
use crate::event::Event;

const INQUIRY: [u8; 6] = [0x12, 0, 0, 0, 36, 0];
const REPORT_LUNS: [u8; 12] = [0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 64, 0, 0];
const REQUEST_SENSE: [u8; 6] = [0x03, 0, 0, 0, 252, 0];

#[test]
fn first_eligible_command_is_told_and_does_nothing() {
    let bench = Bench::new(IoMode::WriteThrough);
    bench.unit().raise(UnitAttention::LOGICAL_UNIT_RESET, None);
    bench.good(&INQUIRY);
    bench.good(&REPORT_LUNS);
    assert_eq!(check(&bench.run(&write_10(0, 1), &[7; 512])), fixed(6, 0x2903));
    assert_eq!(bench.disk.take_operations(), []);
    bench.good(&TEST_UNIT_READY);
    let (nexus, lun, code) = (NEXUS, Lun(0), 0x2903);
    assert_eq!(
        bench.runtime.take_events(),
        [Event::UnitAttentionRaised { nexus, lun, code }, Event::UnitAttentionReported { nexus, lun, code }]
    );
}

#[test]
fn unknown_command_is_told_before_it_is_refused() {
    let bench = Bench::new(IoMode::WriteThrough);
    bench.unit().raise(UnitAttention::TARGET_RESET, None);
    assert_eq!(bench.check(&[0xff]), fixed(6, 0x2902));
    assert_eq!(bench.check(&[0xff]), illegal(0x2000, [0xc0, 0, 0]));
}

#[test]
fn request_sense_returns_the_condition_as_data_and_clears_it() {
    let bench = Bench::new(IoMode::WriteThrough);
    bench.unit().raise(UnitAttention::NEXUS_LOSS, None);
    assert_eq!(bench.good(&REQUEST_SENSE), fixed(6, 0x2907));
    assert_eq!(bench.good(&REQUEST_SENSE), fixed(0, 0));
    bench.good(&TEST_UNIT_READY);
}

#[test]
fn request_sense_answers_in_the_format_asked_for() {
    let bench = Bench::new(IoMode::WriteThrough);
    assert_eq!(bench.good(&[0x03, 1, 0, 0, 252, 0]), [0x72, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bench.good(&[0x03, 0, 0, 0, 5, 0]), [0x70, 0, 0, 0, 0]);
}

#[test]
fn the_nexus_that_caused_it_and_those_that_left_are_spared() {
    let bench = Bench::new(IoMode::WriteThrough);
    let other = NexusId(2);
    bench.unit().attach(other, UnitAttention::POWER_ON);
    bench.unit().detach(other);
    bench.runtime.take_events();
    bench.unit().raise(UnitAttention::LOGICAL_UNIT_RESET, Some(NEXUS));
    assert_eq!(bench.runtime.take_events(), []);
    bench.good(&TEST_UNIT_READY);
}

#[test]
fn each_nexus_is_told_on_its_own() {
    let bench = Bench::new(IoMode::WriteThrough);
    let other = NexusId(2);
    bench.unit().attach(other, UnitAttention::POWER_ON);
    bench.good(&TEST_UNIT_READY);
    let request = Request { nexus: other, ..bench.request(Lun(0), &TEST_UNIT_READY, &[]) };
    assert_eq!(check(&bench.runtime.block_on(pin!(execute(&bench.device, request)))), fixed(6, 0x2900));
}
