//! stub
use super::plan::{HostilePlan, InitiatorPlan};
use super::shared::{Report, Shared};
use super::world::World;

pub(super) async fn run<W: World>(_world: W, _plan: &InitiatorPlan, _attacks: &HostilePlan, _shared: Shared) -> Report {
    Report::default()
}
