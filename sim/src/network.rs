//! The network: byte streams with windows, latency, cuts at any byte, FIN, RST and silence.
//!
//! A connection is two `Pipe`s. Bytes arrive lazily: a segment knows its time of arrival and the reader waits for
//! it, so that no task is needed for the wire. The target's end is a [`SimStream`], the initiator's end a [`SimWire`].

mod end;
mod flip;
mod pipe;
#[cfg(test)]
mod tests;

pub use end::{Parked, SimStream, SimWire};
pub use flip::Place;
pub use pipe::{Cut, Link};

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::executor::Clock;
use crate::initiator::codec::Digests;
use crate::random::Draws;
use crate::runtime::Events;
use crate::tap::Tap;
use crate::trace::{Entity, Fact, Trace};
use flip::Flip;
use pipe::Pipe;

/// "For ever", as a point in time.
pub const NEVER: Duration = Duration::MAX;

/// The network between one target and its initiators.
#[derive(Clone)]
pub struct Network {
    state: Rc<NetworkState>,
}

struct NetworkState {
    clock: Clock,
    seed: u64,
    trace: Rc<RefCell<Trace>>,
    tap: Rc<RefCell<dyn Tap>>,
    links: Vec<Link>,
    connections: RefCell<BTreeMap<u64, Rc<Connection>>>,
    opened: Cell<u64>,
    /// Held by every stream of the target's present process.
    streams: RefCell<Rc<()>>,
    opened_by: RefCell<BTreeMap<u32, u64>>,
    /// The next connection of this initiator is reset after so many bytes.
    reset_next: RefCell<BTreeMap<u32, (Direction, u64)>>,
    /// What this initiator's connections hold back is let go so long after its next one is opened.
    held: RefCell<BTreeMap<u32, Duration>>,
    /// Bits that will flip.
    flips: RefCell<Vec<Flip>>,
    /// Counts R2Ts.
    events: RefCell<Option<Rc<Events>>>,
    listener: RefCell<Listener>,
    /// How a connect of this initiator goes wrong, and until when.
    connects: RefCell<BTreeMap<u32, (ConnectFault, Duration)>>,
}

#[derive(Default)]
struct Listener {
    up: bool,
    powered: bool,
    backlog: VecDeque<u64>,
    waker: Option<Waker>,
    accepts_fail_until: Duration,
}

/// What goes wrong with new connections (N11).
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectFault {
    /// RST in answer to the SYN.
    Refused,
    /// No answer to the SYN.
    Hangs,
    /// The handshake completes, and the target closes at once.
    AcceptFails,
}

/// Which way bytes go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From the initiator.
    ToTarget,
    /// To the initiator.
    ToInitiator,
}

/// One TCP connection.
pub(crate) struct Connection {
    pub(crate) id: u64,
    pub(crate) initiator: u32,
    pub(crate) to_target: RefCell<Pipe>,
    pub(crate) to_initiator: RefCell<Pipe>,
    /// The target's end exists and was not closed.
    pub(crate) target_open: Cell<bool>,
    /// The initiator's end exists and was not closed.
    pub(crate) initiator_open: Cell<bool>,
    /// The target lost all memory of it: whatever arrives there is answered RST.
    pub(crate) forgotten: Cell<bool>,
    /// The digests of full feature phase, once a well-behaved initiator has told them.
    pub(crate) digests: Cell<Option<Digests>>,
    /// Bits have flipped on the way to the target, and to the initiator.
    pub(crate) flipped: [Cell<bool>; 2],
    tap_closed: Cell<bool>,
}

impl Network {
    /// A network without connections; `links[i]` is the path of initiator `i`, and the last one that of all others.
    #[must_use]
    pub fn new(
        clock: Clock,
        seed: u64,
        links: Vec<Link>,
        trace: Rc<RefCell<Trace>>,
        tap: Rc<RefCell<dyn Tap>>,
    ) -> Self {
        let listener = RefCell::new(Listener { powered: true, ..Listener::default() });
        let state = NetworkState {
            clock,
            seed,
            trace,
            tap,
            links,
            connections: RefCell::default(),
            opened: Cell::new(0),
            streams: RefCell::default(),
            opened_by: RefCell::default(),
            reset_next: RefCell::default(),
            held: RefCell::default(),
            flips: RefCell::default(),
            events: RefCell::default(),
            listener,
            connects: RefCell::default(),
        };
        Self { state: Rc::new(state) }
    }

    /// Opens a connection from `initiator` to the target's portal.
    ///
    /// # Errors
    /// ECONNREFUSED when nobody listens. Without power or with [`ConnectFault::Hangs`] there is no answer until that
    /// ends, and ETIMEDOUT then.
    pub async fn connect(&self, initiator: u32) -> io::Result<SimWire> {
        let state = &self.state;
        let round_trip = 2 * self.link(initiator).latency_min();
        state.clock.sleep(round_trip).await;
        let now = state.clock.now();
        let fault = state.connects.borrow().get(&initiator).copied().filter(|&(_, until)| now < until);
        match fault {
            Some((ConnectFault::Refused, _)) => {
                self.note(Entity::Initiator(initiator), &Fact::ConnectFailed { silent: false });
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            Some((ConnectFault::Hangs, until)) => {
                self.note(Entity::Initiator(initiator), &Fact::ConnectFailed { silent: true });
                state.clock.sleep_until(until).await;
                return Err(io::ErrorKind::TimedOut.into());
            }
            Some((ConnectFault::AcceptFails, _)) | None => {}
        }
        if !state.listener.borrow().powered {
            self.note(Entity::Initiator(initiator), &Fact::ConnectFailed { silent: true });
            while !state.listener.borrow().powered {
                state.clock.sleep(Duration::from_millis(100)).await;
            }
            return Err(io::ErrorKind::TimedOut.into());
        }
        if !state.listener.borrow().up {
            self.note(Entity::Initiator(initiator), &Fact::ConnectFailed { silent: false });
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let connection = self.open(initiator);
        if fault.is_some() {
            connection.target_open.set(false);
            connection.reset_initiator(now + round_trip);
        } else {
            let mut listener = state.listener.borrow_mut();
            listener.backlog.push_back(connection.id);
            if let Some(waker) = listener.waker.take() {
                waker.wake();
            }
        }
        Ok(SimWire::new(self.clone(), connection))
    }

    fn open(&self, initiator: u32) -> Rc<Connection> {
        let state = &self.state;
        let id = state.opened.get() + 1;
        state.opened.set(id);
        let link = self.link(initiator);
        // Keyed by the initiator's own count, so that one more connection of another moves no draw.
        let nth = state.opened_by.borrow().get(&initiator).map_or(0, |count| count + 1);
        state.opened_by.borrow_mut().insert(initiator, nth);
        let key = u64::from(initiator) << 32 | nth;
        let pipe = |stream| RefCell::new(Pipe::new(link.clone(), Draws::new(state.seed, stream, key)));
        self.let_go(initiator);
        let connection = Rc::new(Connection {
            id,
            initiator,
            to_target: pipe("net-to-target"),
            to_initiator: pipe("net-to-init"),
            target_open: Cell::new(true),
            initiator_open: Cell::new(true),
            forgotten: Cell::new(false),
            digests: Cell::new(None),
            flipped: Default::default(),
            tap_closed: Cell::new(false),
        });
        if let Some((direction, bytes)) = state.reset_next.borrow_mut().remove(&initiator) {
            connection.pipe(direction).borrow_mut().cut_off_after(bytes);
        }
        state.connections.borrow_mut().insert(id, connection.clone());
        self.record(id, &Fact::Connect { initiator });
        connection
    }

    fn link(&self, initiator: u32) -> &Link {
        let links = &self.state.links;
        links.get(initiator as usize).unwrap_or(&links[links.len() - 1])
    }

    /// R2Ts are counted there from now on.
    pub fn count_in(&self, events: Rc<Events>) {
        *self.state.events.borrow_mut() = Some(events);
    }

    /// The target listens from now on.
    pub fn listen(&self) {
        let mut listener = self.state.listener.borrow_mut();
        listener.up = true;
        listener.powered = true;
    }

    /// The next connection and the initiator it comes from.
    pub async fn accept(&self) -> (SimStream, u32) {
        loop {
            let id = poll_fn(|cx| {
                let mut listener = self.state.listener.borrow_mut();
                match listener.backlog.pop_front() {
                    Some(id) => Poll::Ready(id),
                    None => {
                        listener.waker = Some(cx.waker().clone());
                        Poll::Pending
                    }
                }
            })
            .await;
            // EMFILE: what is in the backlog waits until descriptors are free again.
            let until = self.state.listener.borrow().accepts_fail_until;
            if self.state.clock.now() < until {
                self.state.clock.sleep_until(until).await;
            }
            let connection = self.state.connections.borrow().get(&id).cloned();
            if let Some(connection) = connection {
                self.note(Entity::Connection(id), &Fact::Network("accepted"));
                self.state.tap.borrow_mut().opened(id, self.state.clock.now(), connection.initiator);
                let initiator = connection.initiator;
                return (SimStream::new(self.clone(), connection), initiator);
            }
        }
    }

    /// The target's process is gone. With `power` the machine still runs: its kernel closes every connection, with FIN
    /// or, where data was not read, RST. Without, there is silence.
    pub fn target_died(&self, power: bool) {
        let state = &self.state;
        {
            let mut listener = state.listener.borrow_mut();
            listener.up = false;
            listener.powered = power;
            listener.backlog.clear();
            listener.waker = None;
        }
        drop(state.streams.take());
        for connection in self.all() {
            if power {
                // What the kernel still had to send or to read is lost with the process' sockets: RST.
                let under_way =
                    connection.to_initiator.borrow().unread() > 0 || connection.to_target.borrow().unread() > 0;
                let open = connection.target_open.get();
                if open {
                    self.close_target(&connection, under_way);
                }
                if under_way {
                    connection.to_initiator.borrow_mut().forget_segments();
                    connection.reset_initiator(self.now());
                }
            } else {
                connection.to_initiator.borrow_mut().forget_segments();
                connection.to_initiator.borrow_mut().stall(NEVER);
                drop(connection.to_target.borrow_mut().close_reader());
                connection.target_open.set(false);
                connection.forgotten.set(true);
                self.tap_closed(&connection);
            }
        }
        self.sweep();
    }

    /// How connects of `initiator` go wrong until `until`.
    pub fn fail_connects(&self, initiator: u32, fault: ConnectFault, until: Duration) {
        self.state.connects.borrow_mut().insert(initiator, (fault, until));
    }

    /// The target cannot accept until `until` (EMFILE): connections wait in the backlog.
    pub fn fail_accepts(&self, until: Duration) {
        self.state.listener.borrow_mut().accepts_fail_until = until;
    }

    /// Nothing arrives on `initiator`'s open connections in this direction until `until` (N6, N7, N10).
    pub fn stall(&self, initiator: u32, direction: Direction, until: Duration) {
        for connection in self.of(initiator) {
            connection.pipe(direction).borrow_mut().stall(until);
        }
    }

    /// Resets `initiator`'s open connections once `bytes` more bytes have been sent that way (N8): seen by both ends.
    pub fn reset_after(&self, initiator: u32, direction: Direction, bytes: u64) {
        for connection in self.of(initiator) {
            connection.pipe(direction).borrow_mut().cut_off_after(bytes);
            self.cut_off(&connection);
        }
    }

    /// Resets the next connection of `initiator` once `bytes` bytes have been sent that way (N16).
    pub fn reset_next(&self, initiator: u32, direction: Direction, bytes: u64) {
        self.state.reset_next.borrow_mut().insert(initiator, (direction, bytes));
    }

    /// What is on its way to the target on `initiator`'s open connections, and what still goes that way, RST and FIN
    /// too, arrives only `after` its next connection was opened (N15).
    pub fn hold_until_next(&self, initiator: u32, after: Duration) {
        // A silence lasts; this does not.
        self.stall(initiator, Direction::ToTarget, NEVER - Duration::from_nanos(1));
        self.state.held.borrow_mut().insert(initiator, after);
    }

    fn let_go(&self, initiator: u32) {
        let Some(after) = self.state.held.borrow_mut().remove(&initiator) else { return };
        for connection in self.of(initiator) {
            let mut pipe = connection.to_target.borrow_mut();
            let was_held = pipe.unstall();
            if was_held {
                pipe.stall(self.now() + after);
            }
        }
    }

    /// Bits flip in the next PDU of `initiator` that has such a place under a digest (N12). `key` is the fault's.
    pub fn flip_next(&self, initiator: u32, direction: Direction, place: Place, bits: u32, key: u32) {
        let draws = Draws::new(self.state.seed, "flip", key.into());
        self.state.flips.borrow_mut().push(Flip { initiator, direction, place, bits, draws });
    }

    /// What becomes of `bytes`, whole PDUs, on their way.
    fn flip(&self, connection: &Connection, direction: Direction, bytes: &Arc<Vec<u8>>) -> Arc<Vec<u8>> {
        let Some(digests) = connection.digests.get() else { return bytes.clone() };
        let mut flips = self.state.flips.borrow_mut();
        let concerned = |flip: &mut Flip| flip.initiator == connection.initiator && flip.direction == direction;
        let mut pending: Vec<Flip> = flips.extract_if(.., concerned).collect();
        let flipped = flip::strike(&mut pending, bytes, digests);
        flips.append(&mut pending);
        drop(flips);
        let Some(flipped) = flipped else { return bytes.clone() };
        connection.flipped(direction).set(true);
        self.record(connection.id, &Fact::Network("flipped"));
        Arc::new(flipped)
    }

    /// Changes how `initiator`'s open connections cut and limit what they carry (N1, N3, N5).
    pub fn reshape(&self, initiator: u32, change: impl Fn(&mut Link)) {
        for connection in self.of(initiator) {
            for direction in [Direction::ToTarget, Direction::ToInitiator] {
                change(connection.pipe(direction).borrow_mut().link_mut());
            }
        }
    }

    /// `initiator`'s open connections are again what the plan says.
    pub fn restore(&self, initiator: u32) {
        let link = self.link(initiator).clone();
        self.reshape(initiator, |changed| changed.clone_from(&link));
    }

    /// Ends every fault: stalls are over, links are what they were. What was silent for ever is a dead peer, not a
    /// slow one, and stays so.
    pub fn heal(&self) {
        self.state.connects.borrow_mut().clear();
        self.state.reset_next.borrow_mut().clear();
        self.state.held.borrow_mut().clear();
        self.state.flips.borrow_mut().clear();
        self.state.listener.borrow_mut().accepts_fail_until = Duration::ZERO;
        for connection in self.all() {
            for direction in [Direction::ToTarget, Direction::ToInitiator] {
                let mut pipe = connection.pipe(direction).borrow_mut();
                pipe.link_mut().clone_from(self.link(connection.initiator));
                pipe.unstall();
            }
        }
    }

    /// The target takes no new connections.
    pub fn stop_listening(&self) {
        let backlog = {
            let mut listener = self.state.listener.borrow_mut();
            listener.up = false;
            std::mem::take(&mut listener.backlog)
        };
        for id in backlog {
            let connection = self.state.connections.borrow().get(&id).cloned();
            if let Some(connection) = connection {
                self.close_target(&connection, true);
            }
        }
    }

    /// Connections with an open target's end.
    #[must_use]
    pub fn open_at_target(&self) -> usize {
        self.state.connections.borrow().values().filter(|connection| connection.target_open.get()).count()
    }

    /// Streams of the target's process that are in memory, open or not.
    #[must_use]
    pub fn streams_alive(&self) -> usize {
        Rc::strong_count(&self.state.streams.borrow()) - 1
    }

    /// Connections opened so far.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.state.opened.get()
    }

    fn all(&self) -> Vec<Rc<Connection>> {
        self.state.connections.borrow().values().cloned().collect()
    }

    fn of(&self, initiator: u32) -> Vec<Rc<Connection>> {
        self.state.connections.borrow().values().filter(|c| c.initiator == initiator).cloned().collect()
    }

    fn now(&self) -> Duration {
        self.state.clock.now()
    }

    fn record(&self, connection: u64, fact: &Fact<'_>) {
        self.state.trace.borrow_mut().record(self.now(), Entity::Connection(connection), fact);
    }

    /// For who watches: nothing that [`Self::record`] does not imply.
    fn note(&self, entity: Entity, fact: &Fact<'_>) {
        self.state.trace.borrow_mut().note(self.now(), entity, fact);
    }

    fn tap_closed(&self, connection: &Connection) {
        if !connection.tap_closed.replace(true) {
            self.state.tap.borrow_mut().closed(connection.id, self.now());
        }
    }

    /// The target's end goes: FIN, or RST at once.
    fn close_target(&self, connection: &Connection, reset: bool) {
        if !connection.target_open.replace(false) {
            return;
        }
        self.record(connection.id, &Fact::Network(if reset { "target-reset" } else { "target-close" }));
        if reset {
            let at = connection.to_initiator.borrow_mut().arrival(self.now());
            connection.reset_initiator(at);
        } else {
            connection.to_initiator.borrow_mut().finish();
        }
        let wakers = connection.to_target.borrow_mut().close_reader();
        wakers.into_iter().flatten().for_each(Waker::wake);
        connection.to_initiator.borrow_mut().wake_writer();
        self.tap_closed(connection);
        self.sweep_one(connection);
    }

    /// The initiator's end goes: RST.
    fn reset_target(&self, connection: &Connection) {
        let at = connection.to_target.borrow_mut().arrival(self.now());
        connection.to_target.borrow_mut().reset(at);
        connection.to_initiator.borrow_mut().reset_writer(at);
    }

    /// Both ends see RST when the byte count of a fault is reached.
    fn cut_off(&self, connection: &Connection) {
        let reached = [Direction::ToTarget, Direction::ToInitiator]
            .into_iter()
            .any(|direction| connection.pipe(direction).borrow_mut().take_cut_off());
        if reached {
            self.record(connection.id, &Fact::Network("reset"));
            self.reset_target(connection);
            connection.reset_initiator(self.now());
        }
    }

    fn sweep_one(&self, connection: &Connection) {
        if !connection.target_open.get() && !connection.initiator_open.get() {
            self.state.connections.borrow_mut().remove(&connection.id);
        }
    }

    fn sweep(&self) {
        self.state.connections.borrow_mut().retain(|_, c| c.target_open.get() || c.initiator_open.get());
    }
}

impl Connection {
    pub(crate) fn pipe(&self, direction: Direction) -> &RefCell<Pipe> {
        match direction {
            Direction::ToTarget => &self.to_target,
            Direction::ToInitiator => &self.to_initiator,
        }
    }

    pub(crate) fn flipped(&self, direction: Direction) -> &Cell<bool> {
        &self.flipped[usize::from(direction == Direction::ToInitiator)]
    }

    /// From `at` on the initiator sees RST.
    fn reset_initiator(&self, at: Duration) {
        self.to_initiator.borrow_mut().reset(at);
        self.to_target.borrow_mut().reset_writer(at);
    }
}
