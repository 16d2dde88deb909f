//! From a login to a session and to its end: which connection begins a session, takes the place of one, or goes on
//! with one (RFC 7143, sections 6.3.1 to 6.3.5).

use std::net::SocketAddr;
use std::rc::Rc;

use crate::connection::Connection;
use crate::connection::full_feature::Driver;
use crate::connection::login::{Login, LoginOutcome, LoginStatus, Negotiated};
use crate::connection::login_phase::{LoggedIn, encode_reply};
use crate::connection::timers;
use crate::env::{ByteStream, Close, Runtime};
use crate::event::Event;
use crate::id::{ConnectionId, NexusId, Tsih, Ttt};
use crate::logical_unit::UnitAttention;
use crate::session::abort::Owed;
use crate::session::reinstatement::Successor;
use crate::session::{BROKEN, Session, SessionKey};
use crate::sync::{apart, within};
use crate::target::{ConnectionSlot, Handoff, Shard};

/// What a session is to the initiator and to the logical units: it outlives a connection whose place another takes.
struct Identity {
    nexus: NexusId,
    tsih: Tsih,
    key: Option<SessionKey>,
    negotiated: Negotiated,
}

/// A session that is about to be served.
struct Begun<R: Runtime> {
    session: Rc<Session<R>>,
    /// Bytes that came behind the last login request.
    unread: Vec<u8>,
    slot: ConnectionSlot,
}

/// Serves one connection; tells why it ended.
async fn drive<R: Runtime>(shard: Rc<Shard<R>>, session: Rc<Session<R>>, unread: Vec<u8>) -> &'static str {
    Driver::new(shard, session).run(&unread).await
}

impl<R: Runtime> Shard<R> {
    /// Takes a connection that got through login, and serves it to its end. This shard owns its session.
    pub(crate) async fn establish(self: Rc<Self>, stream: R::Stream, handoff: Handoff) {
        let newcomer = Box::new(Successor { stream, handoff });
        if newcomer.handoff.logged_in.outcome.tsih != Tsih(0) {
            return self.reinstate_connection(newcomer).await;
        }
        let reinstates = self.end_sessions_of(newcomer.handoff.key.as_ref()).await;
        if self.stopping.get() {
            return self.turn_away(newcomer, LoginStatus::SERVICE_UNAVAILABLE).await;
        }
        let tsih = self.node.directory().new_tsih();
        let Some(tsih) = tsih else {
            return self.turn_away(newcomer, LoginStatus::OUT_OF_RESOURCES).await;
        };
        // From here to the insertion into the table nothing waits: no other login can come between.
        let begun = self.begin_session(*newcomer, tsih, reinstates);
        self.serve(begun).await;
    }

    /// Serves a session to its end, over one connection after the other. The driver runs in a task of its own: when it
    /// breaks an invariant, its session ends as one whose connection is lost.
    async fn serve(self: Rc<Self>, mut begun: Begun<R>) {
        loop {
            let Begun { session, unread, slot } = begun;
            session.spawn(session.connection.clone().write());
            session.spawn(timers::watch(session.clone()));
            let why = apart(&self.runtime, drive(self.clone(), session.clone(), unread)).await;
            if why.is_none() && crate::planted!(BrokenSessionKept) {
                return;
            }
            let why = why.unwrap_or(BROKEN);
            session.connection.abort(why);
            if !(crate::planted!(ContinuesWithTasks) && session.succession.is_claimed()) {
                self.end_tasks(&session).await;
            }
            // Nothing waits between the end of one session and the insertion of the one that goes on with it.
            let next = match session.succession.close() {
                Some(successor) => Some(self.continue_session(&session, *successor)),
                None => {
                    self.end_session(&session, why);
                    None
                }
            };
            session.connection.closed(why);
            drop(slot);
            match next {
                Some(next) => begun = next,
                None => return,
            }
        }
    }

    /// Ends the sessions whose place a new one takes (RFC 7143, section 6.3.5); tells whether there was one.
    async fn end_sessions_of(self: &Rc<Self>, key: Option<&SessionKey>) -> bool {
        let Some(key) = key else { return false };
        let mut reinstates = false;
        while let Some(old) = self.session_with(key) {
            reinstates = true;
            self.close_succession(&old, LoginStatus::SESSION_DOES_NOT_EXIST);
            old.connection.abort("session reinstated");
            if crate::planted!(ReinstatementKeepsOld) {
                self.forget_session(&old);
                break;
            }
            crate::probe!(ReinstatementWaits if !old.tasks.borrow().is_empty());
            old.until_ended().await;
        }
        reinstates
    }

    /// A login with a TSIH: its connection takes the place of the session's, if it may.
    async fn reinstate_connection(self: &Rc<Self>, successor: Box<Successor<R>>) {
        let Handoff { key, logged_in, .. } = &successor.handoff;
        let outcome = &logged_in.outcome;
        let session =
            key.as_ref().and_then(|key| self.session_with(key)).filter(|session| session.tsih == outcome.tsih);
        let (successor, status) = match session {
            _ if self.stopping.get() => (successor, LoginStatus::SERVICE_UNAVAILABLE),
            None => (successor, LoginStatus::SESSION_DOES_NOT_EXIST),
            // A second connection: sessions have one.
            Some(session) if session.cid != outcome.cid => (successor, LoginStatus::TOO_MANY_CONNECTIONS),
            // CmdSN goes on where the old connection was; what was sent there and never came counts as received.
            Some(session) if !session.window.borrow().may_go_on_with(outcome.exp_cmd_sn) => {
                (successor, LoginStatus::INITIATOR_ERROR)
            }
            Some(session) => match session.succession.claim(successor) {
                Ok(earlier) => {
                    session.connection.abort("connection reinstated");
                    if let Some(earlier) = earlier {
                        crate::probe!(SuccessorOvertaken);
                        self.turn_away(earlier, LoginStatus::SERVICE_UNAVAILABLE).await;
                    }
                    return;
                }
                Err(successor) => {
                    crate::probe!(SuccessorTooLate);
                    (successor, LoginStatus::SESSION_DOES_NOT_EXIST)
                }
            },
        };
        self.turn_away(successor, status).await;
    }

    /// Nobody goes on with `session`; whoever wanted to is refused.
    pub(crate) fn close_succession(self: &Rc<Self>, session: &Session<R>, status: LoginStatus) {
        if let Some(successor) = session.succession.close() {
            crate::probe!(SuccessorTooLate);
            let shard = self.clone();
            self.runtime.spawn(async move { shard.turn_away(successor, status).await });
        }
    }

    /// Refuses a connection that got through login.
    async fn turn_away(&self, successor: Box<Successor<R>>, status: LoginStatus) {
        let Successor { stream, handoff } = *successor;
        if let Some(key) = &handoff.key {
            self.node.directory().release(key);
        }
        self.refuse(&stream, handoff.logged_in.login, handoff.id, status).await;
    }

    pub(crate) async fn refuse(&self, stream: &R::Stream, mut login: Login, id: ConnectionId, status: LoginStatus) {
        self.runtime.event(&Event::LoginRefused { connection: id, status: status.0 });
        let reply = login.refused(status);
        if within(&self.runtime, self.limits.linger, stream.send(vec![encode_reply(reply)])).await.is_none() {
            self.limits.marks.linger.meet();
        }
        stream.close(Close::Graceful);
        self.runtime.event(&Event::ConnectionClosed { connection: id, why: "login refused" });
    }

    /// Makes a new session.
    fn begin_session(&self, newcomer: Successor<R>, tsih: Tsih, reinstates: bool) -> Begun<R> {
        let nexus = self.node.next_nexus();
        let handoff = &newcomer.handoff;
        if let Some(key) = &handoff.key {
            let first = if reinstates { UnitAttention::NEXUS_LOSS } else { UnitAttention::POWER_ON };
            for unit in self.targets[key.target].device.luns.values() {
                unit.attach(nexus, first);
            }
        }
        let (connection, discovery) = (handoff.id, handoff.key.is_none());
        let initiator = handoff.logged_in.outcome.initiator_name.as_str().into();
        let target = handoff.key.as_ref().map(|key| self.targets[key.target].device.name.as_str().into());
        let negotiated = handoff.logged_in.outcome.negotiated.clone();
        let identity = Identity { nexus, tsih, key: handoff.key.clone(), negotiated };
        let begun = self.begin(newcomer, identity);
        self.runtime.event(&Event::SessionStarted { connection, nexus, discovery, initiator, target });
        begun
    }

    /// Goes on with a session whose tasks have ended, over another connection.
    fn continue_session(&self, old: &Rc<Session<R>>, successor: Successor<R>) -> Begun<R> {
        let handoff = &successor.handoff;
        if let Some(key) = &old.key {
            // The successor has a claim of its own.
            self.node.directory().release(key);
        }
        let connection = handoff.id;
        let negotiated = old.negotiated.borrow().succeeded_by(&handoff.logged_in.outcome.negotiated);
        let identity = Identity { nexus: old.nexus, tsih: old.tsih, key: old.key.clone(), negotiated };
        crate::probe!(ContinuedWithAttention if old.target.iter().flat_map(|target| target.device.luns.values()).any(|unit| unit.has_attention(old.nexus)));
        if crate::planted!(ContinuesWithAttention) {
            old.target.iter().flat_map(|target| target.device.luns.values()).for_each(|unit| {
                unit.attach(old.nexus, UnitAttention::NEXUS_LOSS);
            });
        }
        let begun = self.begin(successor, identity);
        if crate::planted!(StatSnInherited) {
            begun.session.connection.stat_sn.set(old.connection.stat_sn());
        }
        self.runtime.event(&Event::SessionContinued { connection, nexus: old.nexus });
        self.mark_ended(old);
        begun
    }

    fn begin(&self, newcomer: Successor<R>, identity: Identity) -> Begun<R> {
        let Successor { stream, handoff } = newcomer;
        let Handoff { id, local, logged_in, slot, .. } = handoff;
        let LoggedIn { login, outcome, unread } = logged_in;
        let session = self.new_session(id, stream, local, login, &outcome, identity);
        self.keep_session(&session);
        Begun { session, unread, slot }
    }

    fn new_session(
        &self,
        id: ConnectionId,
        stream: R::Stream,
        local: SocketAddr,
        mut login: Login,
        outcome: &LoginOutcome,
        identity: Identity,
    ) -> Rc<Session<R>> {
        let Identity { nexus, tsih, key, negotiated } = identity;
        let digests = (negotiated.header_digest, negotiated.data_digest);
        let connection = Connection::new(
            self.runtime.clone(),
            id,
            stream,
            local,
            digests,
            outcome.next_stat_sn,
            self.limits.clone(),
        );
        connection.write_list.push(encode_reply(login.established(tsih)));
        let mut target = key.as_ref().map(|key| self.targets[key.target].clone());
        if crate::planted!(DiscoveryServes) {
            target = target.or_else(|| self.targets.first().cloned());
        }
        Rc::new(Session::new(
            nexus,
            (tsih, outcome.cid),
            key,
            target,
            negotiated,
            outcome.exp_cmd_sn,
            Ttt(self.node.config.initial_ttt),
            self.limits.clone(),
            connection,
        ))
    }

    /// Ends everything that `session` has under way.
    async fn end_tasks(&self, session: &Rc<Session<R>>) {
        session.leaving.set(true);
        session.abort(&session.tasks_of(None), Owed::Drop).await;
        // What waits for a gap, or was left where an invariant was broken, holds the session, which holds it.
        if !crate::planted!(SessionCycle) {
            session.let_go();
        }
    }

    fn end_session(&self, session: &Rc<Session<R>>, why: &'static str) {
        if let Some(target) = &session.target {
            for unit in target.device.luns.values() {
                unit.detach(session.nexus);
            }
        }
        self.forget_session(session);
        let mut directory = self.node.directory();
        directory.release_tsih(session.tsih);
        if let Some(key) = &session.key {
            directory.release(key);
        }
        drop(directory);
        self.runtime
            .event(&Event::SessionEnded { nexus: session.nexus, why: session.connection.why_closed().unwrap_or(why) });
        self.mark_ended(session);
    }

    fn mark_ended(&self, session: &Session<R>) {
        session.ended.set(true);
        session.changed.all();
    }
}
