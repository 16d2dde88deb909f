//! Plays a plan: logs in, keeps a session busy, logs in again when it is lost, until the steps are done.

use std::collections::VecDeque;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::codec::{NO_TAG, RawPdu, next_tag, opcode, text};
use super::hostile;
use super::link::{Link, LinkError, within};
use super::login::{Established, LoginError, LoginRequest, login};
use super::plan::{Hangup, InitiatorPlan, Keys, LoginStyle, Step, Verb};
use super::session::{Breach, Demand, Legacy, Retry, Session};
use super::shared::{Phase, Report, Shared};
use super::world::{Wire, World};
use crate::chunk::Chunk;
use crate::history::{Event, Nexus, OpId};

/// Plays `plan` to its end, or until the target stays away for too long.
pub async fn run<W: World>(world: W, plan: &InitiatorPlan, shared: Shared) -> Report {
    match &plan.hostile {
        Some(attacks) => hostile::run(world, plan, attacks, shared).await,
        None => Driver::new(world, plan.clone(), shared).run().await,
    }
}

/// Without faults, a login must succeed within this time (oracle S1).
const LOGIN_LIMIT: Duration = Duration::from_secs(300);
/// With faults, attempts to log in end after this time.
const CHAOS_LIMIT: Duration = Duration::from_secs(3_600);
/// Status of a login to a session that is not there (RFC 7143, section 11.13.5).
const SESSION_DOES_NOT_EXIST: u16 = 0x020a;
/// How long the end of a connection may take after a logout or a half close.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

pub(super) struct Driver<W: World> {
    world: W,
    plan: InitiatorPlan,
    shared: Shared,
    steps: VecDeque<Step>,
    retries: Vec<Retry>,
    pause_until: Duration,
    /// Commands without status, of sessions that are gone.
    unfenced: Vec<OpId>,
    numbers: (u32, u32),
    /// Of the session to go on with.
    legacy: Option<Legacy>,
    logins: u32,
    report: Report,
}

/// Why a session came to its end.
enum End {
    /// All steps are done, or the target asked for it: the session was logged out.
    LoggedOut,
    /// The connection is gone, or of no use any more.
    Lost,
    /// The plan gives the connection up.
    HangUp(Hangup),
    /// The plan logs in over it.
    Reinstate,
    /// The plan goes on with the session over another connection.
    ReinstateConnection,
}

type Connection<W> = Rc<<W as World>::Wire>;
type Sending = Option<Pin<Box<dyn Future<Output = io::Result<()>>>>>;
/// When it goes off, and what waits for that.
type Alarm = Option<(Duration, Pin<Box<dyn Future<Output = ()>>>)>;

impl<W: World> Driver<W> {
    pub(super) fn new(world: W, mut plan: InitiatorPlan, shared: Shared) -> Self {
        let steps = std::mem::take(&mut plan.steps).into();
        Self {
            world,
            shared,
            steps,
            retries: Vec::new(),
            pause_until: Duration::ZERO,
            unfenced: Vec::new(),
            numbers: (plan.initial_cmd_sn, plan.initial_tag),
            legacy: None,
            logins: 0,
            report: Report::default(),
            plan,
        }
    }

    pub(super) async fn run(mut self) -> Report {
        if self.plan.discovery {
            discover(self.world.clone(), self.plan.clone(), self.shared.clone()).await;
        }
        let mut replaced: Option<Connection<W>> = None;
        // What was in flight on a connection that is gone is over with the next login, be it for nothing else.
        while !self.steps.is_empty() || !self.retries.is_empty() || !self.unfenced.is_empty() {
            let Some((mut link, mut session)) = self.establish().await else { break };
            // The old connection was alive until the new session took its place.
            if let Some(old) = replaced.take() {
                old.abort();
            }
            let end = self.converse(&mut link, &mut session).await;
            self.leave(&session);
            let goes_on = match end {
                End::LoggedOut | End::Reinstate => false,
                End::Lost | End::HangUp(_) => self.plan.keeps_session,
                End::ReinstateConnection => true,
            };
            match end {
                End::LoggedOut => self.logged_out(&mut link).await,
                End::Lost => link.wire.abort(),
                End::HangUp(how) => self.hang_up(&mut link, &mut session, how).await,
                End::Reinstate | End::ReinstateConnection => replaced = Some(link.wire),
            }
            self.legacy = goes_on.then(|| session.legacy());
        }
        if let Some(old) = replaced {
            old.abort();
        }
        self.report.steps_left = self.steps.len() as u64;
        self.report
    }

    /// Logs in, again and again until it succeeds or the target stays away for too long.
    async fn establish(&mut self) -> Option<(Link<W>, Session)> {
        let start = self.world.now();
        let mut healed_since = None;
        loop {
            match self.attempt().await {
                Ok(established) => return Some(established),
                Err(LoginError::Breach(oracle, message)) => self.complain(oracle, &message),
                // The target saw the connection go, and its session with it.
                Err(LoginError::Refused(SESSION_DOES_NOT_EXIST)) if self.legacy.is_some() => {
                    self.legacy = None;
                    continue;
                }
                // Service unavailable, out of resources: may pass. All else is about what we asked for.
                Err(LoginError::Refused(status)) if status >> 8 != 3 => {
                    self.complain("I7", &format!("login was refused with status {status:#06x}"));
                }
                Err(LoginError::Refused(_) | LoginError::Transport) => {}
            }
            let now = self.world.now();
            if self.shared.phase.get() != Phase::Chaos {
                let since = *healed_since.get_or_insert(now);
                if now > since + LOGIN_LIMIT {
                    self.complain("S1", "no login succeeded after the faults had ended");
                    return None;
                }
            } else if now > start + CHAOS_LIMIT {
                return None;
            }
            self.world.sleep(Duration::from_millis(self.plan.timeouts.retry_ms)).await;
        }
    }

    async fn attempt(&mut self) -> Result<(Link<W>, Session), LoginError> {
        let timeouts = self.plan.timeouts;
        let data_limit = self.plan.keys.max_recv_data_segment_length.unwrap_or(8_192).max(8_192) as usize;
        let mut link = Link::connect(&self.world, data_limit, Duration::from_millis(timeouts.connect_ms)).await?;
        let target = self.shared.target.clone();
        let tsih = self.legacy.as_ref().map_or(0, |legacy| legacy.tsih);
        let keys = if tsih == 0 { self.plan.keys.clone() } else { self.plan.keys.of_connection() };
        let request = LoginRequest {
            name: &self.plan.name,
            isid: self.plan.isid,
            tsih,
            target: Some(&target),
            keys: &keys,
            style: self.plan.login_style,
            cmd_sn: self.numbers.0,
            tag: self.numbers.1,
        };
        let deadline = self.world.now() + Duration::from_millis(timeouts.login_ms);
        let established = login(&mut link, &request, deadline).await?;
        link.wire.agreed(link.digests);
        let session = self.begin(established);
        Ok((link, session))
    }

    /// A session stands: all that is left of the connections before has ended.
    fn begin(&mut self, established: Established) -> Session {
        for op in self.unfenced.drain(..) {
            self.shared.record(Event::Fence { op });
            self.report.fenced += 1;
        }
        let nexus = Nexus { initiator: self.plan.index, login: self.logins };
        self.logins += 1;
        self.report.logins += 1;
        let (cmd_sn, tag) = self.numbers;
        let numbers = (cmd_sn, next_tag(tag));
        let legacy = self.legacy.take();
        self.report.continued += u64::from(legacy.is_some());
        Session::new(self.shared.clone(), nexus, &self.plan, established, legacy, numbers, self.world.now())
    }

    /// Keeps what outlives `session`.
    fn leave(&mut self, session: &Session) {
        self.unfenced.extend(session.open_ops());
        self.numbers = session.numbers();
        if self.pause_until == Duration::MAX {
            self.pause_until = Duration::ZERO;
        }
        let report = &session.report;
        self.report.commands += report.commands;
        self.report.good += report.good;
        self.report.fenced += report.fenced;
    }

    /// Full feature phase: sends, receives and watches the clock at the same time.
    async fn converse(&mut self, link: &mut Link<W>, session: &mut Session) -> End {
        let mut sending: Sending = None;
        let mut alarm: Alarm = None;
        // What came behind the last login response.
        if let Err(breach) = self.receive(link, session, Chunk::from(Vec::new())) {
            return self.broken(breach);
        }
        loop {
            let now = self.world.now();
            if let Err(breach) = session.expire(now) {
                return self.broken(breach);
            }
            if let Some(end) = self.advance(session, now) {
                return end;
            }
            if sending.is_none()
                && let Some(bytes) = session.next_batch()
            {
                let wire = Rc::clone(&link.wire);
                sending = Some(Box::pin(async move { wire.send(bytes).await }));
            }
            let deadline = session.next_deadline().min(self.next_start(now));
            if deadline != Duration::MAX && alarm.as_ref().is_none_or(|(at, _)| *at > deadline) {
                let world = self.world.clone();
                let sleep = deadline.saturating_sub(now);
                alarm = Some((deadline, Box::pin(async move { world.sleep(sleep).await })));
            }
            let wire = Rc::clone(&link.wire);
            match first(pin!(wire.recv()), &mut sending, &mut alarm).await {
                Happened::Received(Ok(bytes)) if !bytes.is_empty() => {
                    if let Err(breach) = self.receive(link, session, bytes) {
                        return self.broken(breach);
                    }
                }
                Happened::Received(_) | Happened::Sent(Err(_)) => return End::Lost,
                Happened::Sent(Ok(())) => sending = None,
                Happened::Alarm => alarm = None,
            }
        }
    }

    fn receive(&mut self, link: &mut Link<W>, session: &mut Session, bytes: Chunk) -> Result<(), Breach> {
        link.decoder.feed(bytes);
        session.flipped_out = link.wire.flipped_out();
        let now = self.world.now();
        loop {
            match link.decoder.next_pdu() {
                // At error recovery level 0 a wrong digest ends the session (RFC 7143, sections 7.8 and 7.1.4).
                Ok(Some(pdu)) if pdu.has_wrong_digest() && link.wire.flipped_in() => {
                    session.demand = Some(Demand::GiveUp);
                    return Ok(());
                }
                Ok(Some(pdu)) => session.receive(pdu, now)?,
                Ok(None) => return Ok(()),
                Err(_) if link.wire.flipped_in() => {
                    session.demand = Some(Demand::GiveUp);
                    return Ok(());
                }
                Err(error) => return Err(Breach { oracle: "I6", message: error.to_string() }),
            }
            if session.demand == Some(Demand::LoggedOut) {
                return Ok(());
            }
        }
    }

    /// Starts what can be started now.
    fn advance(&mut self, session: &mut Session, now: Duration) -> Option<End> {
        self.retries.append(&mut session.retries);
        match session.demand {
            Some(Demand::LoggedOut) => return Some(End::LoggedOut),
            Some(Demand::GiveUp) => return Some(End::Lost),
            Some(Demand::LogOut) => {
                session.demand = None;
                self.steps.push_front(logout(false));
            }
            None => {}
        }
        if self.pause_until == Duration::MAX {
            return None;
        }
        while let Some(due) = self.retries.iter().position(|retry| retry.at <= now) {
            if !session.start(&self.retries[due].step, self.retries[due].attempt, now) {
                break;
            }
            self.retries.swap_remove(due);
        }
        while now >= self.pause_until {
            let Some(step) = self.steps.front() else {
                if session.is_idle() && self.retries.is_empty() {
                    self.steps.push_front(logout(true));
                    continue;
                }
                return None;
            };
            match step.verb {
                Verb::Pause { ms, us } => {
                    self.pause_until = now + Duration::from_millis(ms) + Duration::from_micros(us);
                }
                Verb::Drain if session.is_idle() => {}
                Verb::Logout { drain: true, .. } if !session.is_idle() => return None,
                Verb::Drop { how } => {
                    self.began();
                    return Some(End::HangUp(how));
                }
                Verb::Reinstate => {
                    self.began();
                    return Some(End::Reinstate);
                }
                Verb::ReinstateConnection => {
                    self.began();
                    return Some(End::ReinstateConnection);
                }
                Verb::Logout { .. } => {
                    session.start(step, 0, now);
                    self.began();
                    // Nothing may follow a logout.
                    self.pause_until = Duration::MAX;
                    return None;
                }
                Verb::Drain => return None,
                Verb::Discover => {
                    self.world.spawn(discover(self.world.clone(), self.plan.clone(), self.shared.clone()))
                }
                _ if session.start(step, 0, now) => {}
                _ => return None,
            }
            self.began();
        }
        None
    }

    /// The first of the steps that are left has begun.
    fn began(&mut self) {
        if let Some(step) = self.steps.pop_front() {
            self.world.began(step.id);
        }
    }

    /// When [`Self::advance`] has something new to do.
    fn next_start(&self, now: Duration) -> Duration {
        let retry = self.retries.iter().map(|retry| retry.at).filter(|at| *at > now).min();
        let pause = (self.pause_until > now).then_some(self.pause_until);
        retry.into_iter().chain(pause).min().unwrap_or(Duration::MAX)
    }

    fn broken(&self, breach: Breach) -> End {
        self.complain(breach.oracle, &breach.message);
        End::Lost
    }

    /// The logout was answered: the session is over, nothing more may come, and the target closes (RFC 7143, 11.14).
    async fn logged_out(&mut self, link: &mut Link<W>) {
        for op in self.unfenced.drain(..) {
            self.shared.record(Event::Fence { op });
            self.report.fenced += 1;
        }
        link.wire.shutdown();
        match link.recv(self.world.now() + CLOSE_LIMIT).await {
            Ok(pdu) => {
                self.complain("I9", &format!("operation code {:#04x} after the logout response", pdu.opcode()));
                link.wire.abort();
            }
            Err(LinkError::Decode(error)) => self.complain("I6", &error.to_string()),
            Err(_) => link.wire.abort(),
        }
    }

    async fn hang_up(&mut self, link: &mut Link<W>, session: &mut Session, how: Hangup) {
        match how {
            Hangup::Reset => link.wire.abort(),
            Hangup::Close => link.wire.shutdown(),
            Hangup::HalfClose => {
                link.wire.shutdown();
                let deadline = self.world.now() + CLOSE_LIMIT;
                let before = session.report.clone();
                while let Ok(pdu) = link.recv(deadline).await {
                    if pdu.has_wrong_digest() && link.wire.flipped_in() {
                        break;
                    }
                    if let Err(breach) = session.receive(pdu, self.world.now()) {
                        self.complain(breach.oracle, &breach.message);
                        break;
                    }
                }
                // What was answered after all is no longer open.
                let open = session.open_ops();
                self.unfenced.retain(|op| open.contains(op));
                self.report.good += session.report.good - before.good;
                self.report.fenced += session.report.fenced - before.fenced;
                self.retries.append(&mut session.retries);
            }
        }
    }

    fn complain(&self, oracle: &'static str, message: &str) {
        let (index, logins) = (self.plan.index, self.logins);
        self.shared.complain(oracle, format!("{message} (initiator {index}, login {logins})"));
    }
}

/// One discovery session with SendTargets=All (RFC 7143, 4.3 and 13.21). Faults may end it.
async fn discover<W: World>(world: W, plan: InitiatorPlan, shared: Shared) {
    let result = try_discover(&world, &plan, &shared).await;
    if let Err(LoginError::Breach(oracle, message)) = result {
        shared.complain(oracle, format!("{message} (discovery by initiator {})", plan.index));
    }
}

async fn try_discover<W: World>(world: &W, plan: &InitiatorPlan, shared: &Shared) -> Result<(), LoginError> {
    let deadline = world.now() + Duration::from_millis(plan.timeouts.login_ms);
    let mut link = Link::connect(world, 8_192, Duration::from_millis(plan.timeouts.connect_ms)).await?;
    let mut isid = plan.isid;
    isid[5] ^= 0x80;
    let keys = Keys::default();
    let request = LoginRequest {
        name: &plan.name,
        isid,
        tsih: 0,
        target: None,
        keys: &keys,
        style: LoginStyle::Staged,
        cmd_sn: 1,
        tag: 1,
    };
    let established = login(&mut link, &request, deadline).await?;
    let mut exp_stat_sn = established.exp_stat_sn;
    let data = text::encode(&[("SendTargets".to_owned(), "All".to_owned())]);
    let mut request = RawPdu::text(0x80, 2, NO_TAG, data);
    let mut answer = Vec::new();
    for cmd_sn in 1.. {
        link.send(request.sequenced(cmd_sn, exp_stat_sn), deadline).await?;
        let response = loop {
            let pdu = link.recv(deadline).await?;
            if pdu.consumes_stat_sn() {
                exp_stat_sn = pdu.stat_sn().wrapping_add(1);
            }
            match pdu.opcode() {
                opcode::TEXT_RESPONSE => break pdu,
                // The target pings, or says that it is about to stop.
                opcode::NOP_IN if pdu.target_transfer_tag() != NO_TAG => {
                    let answer = RawPdu::nop_out(pdu.lun_field(), NO_TAG, pdu.target_transfer_tag(), Vec::new());
                    link.send(answer.immediate().sequenced(cmd_sn + 1, exp_stat_sn), deadline).await?;
                }
                opcode::NOP_IN | opcode::ASYNC_MESSAGE => {}
                code => {
                    let message = format!("SendTargets=All was answered with operation code {code:#04x}");
                    return Err(LoginError::Breach("I9", message));
                }
            }
        };
        answer.extend_from_slice(&response.data);
        if response.is_final() || cmd_sn > 32 {
            break;
        }
        request = RawPdu::text(0x80, 2, response.target_transfer_tag(), Vec::new());
    }
    let pairs = text::decode(&answer).map_err(|message| LoginError::Breach("I9", message))?;
    if !pairs.iter().any(|(key, value)| key == "TargetName" && **value == *shared.target) {
        return Err(LoginError::Breach("I9", format!("SendTargets=All was answered {pairs:?}")));
    }
    link.send(RawPdu::logout(0, 3, 0).immediate().sequenced(2, exp_stat_sn), deadline).await?;
    while link.recv(deadline).await?.opcode() != opcode::LOGOUT_RESPONSE {}
    link.wire.shutdown();
    // The target closes; whether it does so in time is for the oracle on the wire.
    within(world, world.now() + CLOSE_LIMIT, link.wire.recv()).await;
    Ok(())
}

fn logout(drain: bool) -> Step {
    Step {
        id: u32::MAX,
        attribute: Default::default(),
        immediate: false,
        flat: false,
        verb: Verb::Logout { drain, connection: false },
    }
}

enum Happened {
    Received(io::Result<Chunk>),
    Sent(io::Result<()>),
    Alarm,
}

/// Whichever comes first. What was received goes before what else is ready.
async fn first(
    mut recv: Pin<&mut impl Future<Output = io::Result<Chunk>>>,
    sending: &mut Sending,
    alarm: &mut Alarm,
) -> Happened {
    std::future::poll_fn(move |context| {
        if let Poll::Ready(result) = recv.as_mut().poll(context) {
            return Poll::Ready(Happened::Received(result));
        }
        if let Some(send) = sending
            && let Poll::Ready(result) = send.as_mut().poll(context)
        {
            return Poll::Ready(Happened::Sent(result));
        }
        if let Some((_, sleep)) = alarm
            && sleep.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Happened::Alarm);
        }
        Poll::Pending
    })
    .await
}
