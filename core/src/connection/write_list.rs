//! The write list of a connection: PDUs in the order in which they leave.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::env::TxPdu;
use crate::high_water::Bounds;
use crate::sync::Notify;

/// PDUs that one send takes at most: three runs of bytes each stay below the 1,024 that a vectored send takes.
const BATCH_PDUS: usize = 256;
/// Bytes that one send takes, give or take a PDU: small enough that a slow reader shows progress.
const BATCH_BYTES: usize = 1024 * 1024;

/// See the module.
#[derive(Debug)]
pub struct WriteList<B> {
    limits: Rc<Bounds>,
    waiting: RefCell<Vec<TxPdu<B>>>,
    /// The vector of the last batch, used again.
    spare: RefCell<Vec<TxPdu<B>>>,
    /// Bytes waiting and being sent.
    bytes: Cell<usize>,
    /// PDUs being sent.
    in_flight: Cell<usize>,
    closed: Cell<bool>,
    ready: Notify,
    progress: Notify,
}

impl<B: AsRef<[u8]>> WriteList<B> {
    /// An empty list. Above the limits, [`WriteList::until_room`] waits.
    #[must_use]
    pub fn new(limits: Rc<Bounds>) -> Self {
        Self {
            limits,
            waiting: RefCell::default(),
            spare: RefCell::default(),
            bytes: Cell::new(0),
            in_flight: Cell::new(0),
            closed: Cell::new(false),
            ready: Notify::default(),
            progress: Notify::default(),
        }
    }

    /// Adds a PDU; on a closed list it is dropped.
    pub fn push(&self, pdu: TxPdu<B>) {
        if self.closed.get() {
            return;
        }
        self.bytes.set(self.bytes.get() + pdu.wire_len());
        let mut waiting = self.waiting.borrow_mut();
        waiting.push(pdu);
        self.limits.marks.write_list_pdus.reach(waiting.len() + self.in_flight.get());
        self.limits.marks.write_list_bytes.reach(self.bytes.get());
        if waiting.len() == 1 {
            self.ready.one();
        }
    }

    /// The next PDUs to send; `None` once the list is closed and empty.
    pub async fn next_batch(&self) -> Option<Vec<TxPdu<B>>> {
        self.ready
            .until(|| {
                let mut waiting = self.waiting.borrow_mut();
                if waiting.is_empty() {
                    return self.closed.get().then_some(None);
                }
                let count = Self::batch_len(&waiting).min(Self::batch_max(&waiting));
                let mut batch = self.spare.take();
                if count == waiting.len() {
                    std::mem::swap(&mut *waiting, &mut batch);
                } else {
                    batch.extend(waiting.drain(..count));
                }
                self.in_flight.set(batch.len());
                Some(Some(batch))
            })
            .await
    }

    /// A batch may be smaller than it could.
    fn batch_max(waiting: &[TxPdu<B>]) -> usize {
        let more_wait = waiting.len() > 1;
        match (more_wait && crate::buggify!(BatchOfOne), more_wait && crate::buggify!(BatchInHalf)) {
            (true, _) => 1,
            (_, true) => waiting.len() / 2,
            _ => usize::MAX,
        }
    }

    fn batch_len(waiting: &[TxPdu<B>]) -> usize {
        let mut bytes = 0;
        let fits = |pdu: &&TxPdu<B>| {
            let before = bytes;
            bytes += pdu.wire_len();
            before < BATCH_BYTES
        };
        waiting.iter().take(BATCH_PDUS).take_while(fits).count()
    }

    /// Takes a batch back that was sent, or was not and never will be.
    pub fn sent(&self, mut batch: Vec<TxPdu<B>>) {
        let sent: usize = batch.iter().map(TxPdu::wire_len).sum();
        self.bytes.set(self.bytes.get() - sent);
        self.in_flight.set(0);
        batch.clear();
        *self.spare.borrow_mut() = batch;
        self.progress.all();
    }

    /// Waits until the list is short enough that more may be received, or closed.
    pub async fn until_room(&self) {
        if !self.has_room() {
            crate::probe!(WriteListFull);
            let too_many = self.pdus() > self.limits.write_list_pdus;
            let marks = &self.limits.marks;
            if too_many { &marks.write_list_pdus } else { &marks.write_list_bytes }.meet();
            self.progress.until(|| self.has_room().then_some(())).await;
        }
    }

    /// Whether it is within its bounds, or takes no more anyway.
    #[must_use]
    pub fn has_room(&self) -> bool {
        let limits = &self.limits;
        self.closed.get() || self.pdus() <= limits.write_list_pdus && self.bytes.get() <= limits.write_list_bytes
    }

    /// PDUs waiting and being sent.
    fn pdus(&self) -> usize {
        self.waiting.borrow().len() + self.in_flight.get()
    }

    /// Takes no more PDUs; those on the list still leave.
    pub fn close(&self) {
        self.closed.set(true);
        self.ready.all();
        self.progress.all();
    }

    /// Waits until everything has been sent.
    pub async fn until_drained(&self) {
        self.progress.until(|| (self.waiting.borrow().is_empty() && self.in_flight.get() == 0).then_some(())).await;
    }

    /// Drops what is waiting, and takes no more.
    pub fn abandon(&self) {
        let dropped = std::mem::take(&mut *self.waiting.borrow_mut());
        let bytes: usize = dropped.iter().map(TxPdu::wire_len).sum();
        self.bytes.set(self.bytes.get() - bytes);
        self.close();
    }

    /// Nothing more is taken.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Bytes waiting and being sent.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.get()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::env::TxData;
    use crate::limits::Limits;

    fn pdu(bytes: usize) -> TxPdu<Vec<u8>> {
        TxPdu::new(&[0; 48], TxData::Owned(vec![0; bytes]), &[])
    }

    fn list(write_list_pdus: usize, write_list_bytes: usize) -> WriteList<Vec<u8>> {
        WriteList::new(Rc::new(Bounds::new(Limits { write_list_pdus, write_list_bytes, ..Limits::default() })))
    }

    fn poll<T>(future: impl Future<Output = T>) -> Option<T> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[test]
    fn everything_that_waits_leaves_in_one_batch() {
        let list = list(100, 1_000_000);
        assert!(poll(list.next_batch()).is_none());
        for _ in 0..5 {
            list.push(pdu(10));
        }
        let batch = poll(list.next_batch()).flatten().expect("a batch");
        assert_eq!((batch.len(), list.bytes()), (5, 290));
        list.sent(batch);
        assert_eq!(list.bytes(), 0);
    }

    #[test]
    fn batch_is_bounded() {
        let many = list(1_000, usize::MAX);
        for _ in 0..BATCH_PDUS + 1 {
            many.push(pdu(0));
        }
        assert_eq!(poll(many.next_batch()).flatten().map(|batch| batch.len()), Some(BATCH_PDUS));
        let list = list(1_000, usize::MAX);
        for _ in 0..8 {
            list.push(pdu(BATCH_BYTES / 2));
        }
        assert_eq!(poll(list.next_batch()).flatten().map(|batch| batch.len()), Some(2));
        let list = self::list(1_000, usize::MAX);
        for _ in 0..2 {
            list.push(pdu(BATCH_BYTES - 48));
        }
        assert_eq!(poll(list.next_batch()).flatten().map(|batch| batch.len()), Some(1), "it is full to the byte");
    }

    #[test]
    fn full_list_holds_back_receiving_until_sent() {
        let list = list(1, usize::MAX);
        list.push(pdu(0));
        assert!(poll(list.until_room()).is_some());
        list.push(pdu(0));
        assert!(poll(list.until_room()).is_none());
        let batch = poll(list.next_batch()).flatten().expect("a batch");
        assert!(poll(list.until_room()).is_none());
        list.sent(batch);
        assert!(poll(list.until_room()).is_some());
    }

    #[test]
    fn list_that_is_abandoned_keeps_only_what_is_being_sent() {
        let list = list(100, usize::MAX);
        list.push(pdu(10));
        let batch = poll(list.next_batch()).flatten().expect("a batch");
        list.push(pdu(10));
        list.push(pdu(0));
        list.abandon();
        assert_eq!((list.bytes(), list.is_closed()), (58, true));
        list.sent(batch);
        assert_eq!(list.bytes(), 0);
        assert!(poll(list.until_drained()).is_some());
    }

    #[test]
    fn closed_list_still_sends_what_it_has_but_takes_no_more() {
        let list = list(1, usize::MAX);
        list.push(pdu(0));
        assert!(!list.is_closed());
        list.close();
        list.push(pdu(0));
        assert!(list.is_closed() && poll(list.until_drained()).is_none());
        let batch = poll(list.next_batch()).flatten().expect("a batch");
        assert_eq!(batch.len(), 1);
        list.sent(batch);
        assert!(poll(list.until_drained()).is_some());
        assert!(poll(list.next_batch()).flatten().is_none());
    }
}
