//! Stage 2: one TCP connection: receive, login, full feature phase, write list, timers.

pub mod error;
pub(crate) mod full_feature;
pub mod login;
pub(crate) mod login_phase;
pub(crate) mod moment;
pub(crate) mod opening;
pub mod receive;
pub mod text;
pub(crate) mod timers;
pub mod write_list;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::buggify::LATE;
use crate::connection::moment::{Moment, Pauses};
use crate::connection::write_list::WriteList;
use crate::env::{ByteStream, Close, Runtime, TxData, TxPdu};
use crate::event::Event;
use crate::high_water::Bounds;
use crate::id::ConnectionId;
use crate::sync::{Notify, within};
use crate::wire::{BHS_BYTES, Bhs, SerialNumber, digest, padding};

/// A connection in full feature phase.
pub struct Connection<R: Runtime> {
    pub(crate) id: ConnectionId,
    pub(crate) runtime: R,
    pub(crate) stream: R::Stream,
    pub(crate) local: SocketAddr,
    pub(crate) write_list: WriteList<R::Buf>,
    limits: Rc<Bounds>,
    header_digest: bool,
    data_digest: bool,
    pub(crate) stat_sn: Cell<SerialNumber>,
    /// When the peer was last heard of.
    heard: Cell<Moment>,
    /// In which nothing was received, for a full write list.
    pauses: RefCell<Pauses>,
    /// When the header of the PDU came whose data segment is still coming.
    receiving_since: Cell<Option<Moment>>,
    /// When the send that is under way began.
    sending_since: Cell<Option<Duration>>,
    /// What has to leave until the NOP-In that asks for a sign of life has left, itself included, in bytes.
    question_bytes: Cell<usize>,
    /// When it had.
    question_left: Cell<Duration>,
    /// Why it was closed from this side.
    closing: Cell<Option<&'static str>>,
    closed: Notify,
}

/// The bytes of a PDU: digests and padding are put on here and nowhere else.
pub(crate) fn encode<B: AsRef<[u8]>>(bhs: &Bhs, data: TxData<B>, header_digest: bool, data_digest: bool) -> TxPdu<B> {
    let mut head = [0; BHS_BYTES + 4];
    head[..BHS_BYTES].copy_from_slice(&bhs.0);
    let head_len = if header_digest { BHS_BYTES + 4 } else { BHS_BYTES };
    if header_digest {
        head[BHS_BYTES..].copy_from_slice(&digest::digest(&[&bhs.0]));
    }
    let bytes = data.bytes();
    let mut tail = [0; 3 + 4];
    let pad = if crate::planted!(PaddingMissing) { 0 } else { padding(bytes.len()) };
    let mut tail_len = pad;
    if data_digest && !bytes.is_empty() {
        tail[pad..pad + 4].copy_from_slice(&digest::data_digest(bytes));
        tail_len += 4;
    }
    TxPdu::new(&head[..head_len], data, &tail[..tail_len])
}

impl<R: Runtime> Connection<R> {
    pub(crate) fn new(
        runtime: R,
        id: ConnectionId,
        stream: R::Stream,
        local: SocketAddr,
        (header_digest, data_digest): (bool, bool),
        stat_sn: SerialNumber,
        limits: Rc<Bounds>,
    ) -> Rc<Self> {
        let pauses = Pauses::default();
        let now = pauses.moment(runtime.now());
        Rc::new(Self {
            id,
            runtime,
            stream,
            local,
            write_list: WriteList::new(limits.clone()),
            limits,
            header_digest,
            data_digest,
            stat_sn: Cell::new(stat_sn),
            heard: Cell::new(now),
            pauses: RefCell::new(pauses),
            receiving_since: Cell::new(None),
            sending_since: Cell::new(None),
            question_bytes: Cell::default(),
            question_left: Cell::default(),
            closing: Cell::new(None),
            closed: Notify::default(),
        })
    }

    /// The StatSN that the next status will carry.
    pub(crate) fn stat_sn(&self) -> SerialNumber {
        self.stat_sn.get()
    }

    /// Takes the next StatSN.
    pub(crate) fn next_stat_sn(&self) -> SerialNumber {
        let stat_sn = self.stat_sn.get();
        crate::probe!(StatSnWrapped if stat_sn.0 == u32::MAX);
        self.stat_sn.set(stat_sn.next());
        stat_sn
    }

    /// Puts a PDU on the write list.
    pub(crate) fn send(&self, bhs: Bhs, data: TxData<R::Buf>) {
        self.write_list.push(encode(&bhs, data, self.header_digest, self.data_digest));
    }

    /// Something came from the peer.
    pub(crate) fn hear(&self) {
        self.heard.set(self.moment());
    }

    /// Waits until the write list has room: before that, nothing is received.
    pub(crate) async fn until_room(&self) {
        if !self.write_list.has_room() {
            self.pauses.borrow_mut().begin(self.runtime.now());
            self.write_list.until_room().await;
            self.pauses.borrow_mut().end(self.runtime.now());
        }
    }

    /// When something that the peer has owed since `since` is overdue; it does not become so while nothing is received.
    pub(crate) fn overdue_at(&self, since: Moment, limit: Duration) -> Option<Duration> {
        let due = self.pauses.borrow().over_at(since, limit)?;
        let wraps = crate::planted!(DeadlineWraps);
        Some(if wraps { Duration::from_millis(u64::from(due.as_millis() as u32)) } else { due })
    }

    /// Now, as the peer has it.
    pub(crate) fn moment(&self) -> Moment {
        self.pauses.borrow().moment(self.runtime.now())
    }

    /// When the PDU that has begun to come is overdue.
    pub(crate) fn pdu_due(&self, limit: Duration) -> Option<Duration> {
        let since = self.receiving_since.get().filter(|_| !crate::planted!(PduEndless))?;
        self.overdue_at(since, limit)
    }

    /// Some of a PDU is there, and not all of it.
    pub(crate) fn pdu_goes_on(&self) {
        if self.receiving_since.get().is_none() {
            self.receiving_since.set(Some(self.heard.get()));
        }
    }

    /// A PDU is there to its end.
    pub(crate) fn pdu_ends(&self) {
        self.receiving_since.set(None);
    }

    /// When something came from the peer last.
    pub(crate) fn heard(&self) -> Moment {
        self.heard.get()
    }

    /// Gives the connection up at once: a pending receive and a pending send end.
    pub(crate) fn abort(&self, why: &'static str) {
        self.close(why, Close::Abort);
    }

    /// Closes the connection behind what is on the write list, as soon as that has left or has lingered too long.
    pub(crate) async fn finish(&self, why: &'static str) {
        self.write_list.close();
        let drained = within(&self.runtime, self.limits.linger, self.write_list.until_drained()).await;
        if drained.is_none() {
            crate::probe!(LingerOver);
            self.limits.marks.linger.meet();
        }
        self.close(why, if drained.is_some() { Close::Graceful } else { Close::Abort });
    }

    fn close(&self, why: &'static str, how: Close) {
        if self.closing.get().is_none() {
            self.closing.set(Some(why));
            self.write_list.abandon();
            self.stream.close(how);
            self.closed.all();
        }
    }

    /// Why it was closed from this side, if it was.
    pub(crate) fn why_closed(&self) -> Option<&'static str> {
        self.closing.get()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closing.get().is_some()
    }

    async fn until_closed(&self) {
        self.closed.until(|| self.closing.get().map(drop)).await;
    }

    /// The connection is gone: the last event about it.
    pub(crate) fn closed(&self, why: &'static str) {
        self.abort(why);
        let why = self.closing.get().unwrap_or(why);
        self.runtime.event(&Event::ConnectionClosed { connection: self.id, why });
    }

    /// The question whether the peer is still there is last in the write list.
    fn asked(&self) {
        self.question_bytes.set(self.write_list.bytes());
    }

    /// So many bytes of the write list have left.
    fn left(&self, bytes: usize) {
        let question = self.question_bytes.get();
        self.question_bytes.set(question.saturating_sub(bytes));
        if (1..=bytes).contains(&question) {
            self.question_left.set(self.runtime.now());
        }
    }

    /// When the last question left; `None` while it waits in the write list.
    fn question_left(&self) -> Option<Duration> {
        (self.question_bytes.get() == 0).then(|| self.question_left.get())
    }

    /// The writer: all that became ready while the last send was under way leaves in one vectored send.
    pub(crate) async fn write(self: Rc<Self>) {
        loop {
            if crate::buggify!(SendLate) {
                within(&self.runtime, LATE, self.until_closed()).await;
            }
            let Some(batch) = self.write_list.next_batch().await else { return };
            self.sending_since.set(Some(self.runtime.now()));
            let (result, batch) = self.stream.send(batch).await;
            self.sending_since.set(None);
            let before = self.write_list.bytes();
            self.write_list.sent(batch);
            self.left(before - self.write_list.bytes());
            if result.is_err() {
                self.abort("sending failed");
                return;
            }
        }
    }
}
