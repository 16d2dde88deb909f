//! Fences around disowned writes.

use super::*;
use crate::event::Event;
use crate::scsi::{Footprint, footprint};

#[test]
fn fenced_range_is_busy_for_all_and_the_rest_is_not() {
    let bench = Bench::new(IoMode::WriteBack);
    let disowned = footprint(&sixteen(0x8a, 0, 10, 2), 512).expect("it writes blocks");
    let fence = bench.unit().fence(disowned);
    for cdb in [read_10(11, 1), write_10(0, 11), ten(0x2f, 0, 11, 5)] {
        assert_eq!(bench.run(&cdb, &[1; 512]).status, Status::BUSY);
        assert_eq!(bench.runtime.take_events(), [Event::LimitMet { limit: "disowned_tasks" }]);
    }
    bench.good(&read_10(0, 10));
    bench.good(&read_10(12, 1));
    bench.good(&SYNCHRONIZE);
    drop(fence);
    bench.good(&read_10(11, 1));
}

#[test]
fn fence_of_another_shard_holds_here() {
    let bench = Bench::new(IoMode::WriteBack);
    let fence = bench.shared.fence(Footprint { offset_bytes: 0, length_bytes: 1, write: true });
    assert_eq!(bench.run(&read_10(0, 1), &[]).status, Status::BUSY);
    drop(fence);
    bench.good(&read_10(0, 1));
}
