//! What shards ask of each other: resets that reach every nexus of a logical unit.

use std::pin::pin;
use std::rc::Rc;

use futures_util::future::{Either, join_all, select};

use crate::connection::login::LoginStatus;
use crate::env::{Runtime, ShardMessage};
use crate::id::{Lun, ShardId};
use crate::logical_unit::UnitAttention;
use crate::session::abort::Owed;
use crate::session::{BROKEN, Session};
use crate::sync::apart;
use crate::target::Shard;

/// A request or an acknowledgement between shards.
#[derive(Debug)]
pub enum CrossShard {
    /// Abort the tasks of these logical units and raise a unit attention, then acknowledge.
    Reset {
        /// Given back in the acknowledgement.
        request: u64,
        /// Who asks.
        from: ShardId,
        /// Index of the target.
        target: usize,
        /// One logical unit, or all.
        lun: Option<u16>,
        /// What the nexuses are told.
        attention: UnitAttention,
    },
    /// A reset is done.
    Done {
        /// Of the request.
        request: u64,
        /// As it should be: no invariant was broken on the way.
        whole: bool,
    },
    /// Drop every connection of a target.
    DropConnections {
        /// Index of the target.
        target: usize,
    },
}

/// What a reset has heard from the other shards.
#[derive(Debug)]
pub(crate) struct Acknowledgements {
    missing: usize,
    whole: bool,
}

/// A reset that waits for other shards: forgotten when that is over, however it ends.
struct Asked<'a, R: Runtime> {
    shard: &'a Shard<R>,
    request: u64,
}

impl<R: Runtime> Asked<'_, R> {
    /// Whether all have acknowledged, and each of them that it is done.
    fn acknowledged(&self) -> Option<bool> {
        let open = self.shard.unacknowledged.borrow();
        open.get(&self.request).filter(|heard| heard.missing == 0).map(|heard| heard.whole)
    }
}

impl<R: Runtime> Drop for Asked<'_, R> {
    fn drop(&mut self) {
        self.shard.unacknowledged.borrow_mut().remove(&self.request);
    }
}

impl<R: Runtime> Shard<R> {
    /// Resets logical units for every nexus on every shard, on behalf of `issuer`. Tells whether that is done: not when the
    /// session of `issuer` ended first.
    pub(crate) async fn reset_everywhere(
        self: &Rc<Self>,
        target: usize,
        lun: Option<u16>,
        attention: UnitAttention,
        issuer: &Rc<Session<R>>,
    ) -> bool {
        let request = self.next_request.get();
        self.next_request.set(request + 1);
        let heard = Acknowledgements { missing: usize::from(self.node.shards) - 1, whole: true };
        self.unacknowledged.borrow_mut().insert(request, heard);
        let asked = Asked { shard: self, request };
        crate::probe!(ResetsMeet if self.unacknowledged.borrow().len() > 1);
        self.post_to_others(|| CrossShard::Reset { request, from: self.id, target, lun, attention });
        self.reset_here(target, lun, attention, Some(issuer)).await;
        crate::probe!(ResetAwaitsShard if asked.acknowledged().is_none());
        if crate::planted!(ResetUnawaited) {
            return true;
        }
        // Each shard bounds its own aborts, and until all have done them nobody may be told that they are: a clock that
        // runs ahead of the messages between shards proves nothing.
        let all = pin!(self.acknowledged.until(|| asked.acknowledged()));
        match select(all, pin!(issuer.until_ended())).await {
            Either::Left((true, _)) => true,
            Either::Left((false, _)) => {
                // Nobody knows how far it came: what the initiator asked for ends as what breaks on this shard does.
                issuer.connection.abort(BROKEN);
                false
            }
            Either::Right(_) => false,
        }
    }

    fn post_to_others(&self, message: impl Fn() -> CrossShard) {
        for shard in (0..self.node.shards).map(ShardId).filter(|&shard| shard != self.id) {
            self.runtime.post(shard, ShardMessage::CrossShard(message()));
        }
    }

    async fn reset_here(
        &self,
        target: usize,
        lun: Option<u16>,
        attention: UnitAttention,
        issuer: Option<&Rc<Session<R>>>,
    ) {
        let lun = lun.filter(|_| !crate::planted!(ResetEveryLun));
        let lun_filter = lun.map(Lun::from_number);
        let aborts = self.sessions_of(target).into_iter().map(|session| async move {
            let is_issuer = issuer.is_some_and(|issuer| Rc::ptr_eq(issuer, &session));
            let owed = if is_issuer { Owed::Await } else { Owed::Drop };
            let lun_filter = lun_filter.filter(|_| is_issuer || !crate::planted!(ResetTakesForeign));
            session.abort(&session.tasks_of(lun_filter), owed).await;
        });
        join_all(aborts).await;
        let Some(share) = self.targets.get(target) else { return };
        for (number, unit) in &share.device.luns {
            if lun.is_none_or(|lun| lun == *number) {
                unit.raise(attention, None);
            }
        }
    }

    pub(crate) fn on_cross_shard(self: &Rc<Self>, message: CrossShard) {
        match message {
            CrossShard::Reset { request, from, target, lun, attention } => {
                let shard = self.clone();
                self.runtime.spawn(async move {
                    // Whatever becomes of it, who asked hears of it.
                    let here = shard.clone();
                    let reset = async move { here.reset_here(target, lun, attention, None).await };
                    let whole = apart(&shard.runtime, reset).await.is_some();
                    shard.runtime.post(from, ShardMessage::CrossShard(CrossShard::Done { request, whole }));
                });
            }
            CrossShard::Done { request, whole } => {
                if let Some(heard) = self.unacknowledged.borrow_mut().get_mut(&request) {
                    heard.missing = heard.missing.saturating_sub(1);
                    heard.whole &= whole;
                }
                self.acknowledged.all();
            }
            CrossShard::DropConnections { target } => self.drop_connections_here(target, None),
        }
    }

    fn drop_connections_here(self: &Rc<Self>, target: usize, except: Option<&Rc<Session<R>>>) {
        for session in self.sessions_of(target) {
            self.close_succession(&session, LoginStatus::SESSION_DOES_NOT_EXIST);
            if except.is_none_or(|except| !Rc::ptr_eq(except, &session)) {
                session.connection.abort("target cold reset");
            }
        }
    }

    /// After a target cold reset: every connection of the target is dropped, the issuer's behind its response.
    pub(crate) async fn drop_connections(self: &Rc<Self>, issuer: &Rc<Session<R>>) {
        let Some(key) = &issuer.key else { return };
        self.post_to_others(|| CrossShard::DropConnections { target: key.target });
        self.drop_connections_here(key.target, Some(issuer));
        issuer.connection.finish("target cold reset").await;
    }
}
