//! Single-threaded waiting: no runtime behind it, deterministic, safe against dropped futures.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use futures_util::future::{Either, select};

use crate::env::Runtime;

/// Waiters in the order in which they came. A waiter whose future is dropped leaves no waker behind, and a
/// notification that it had been given goes to the next one.
#[derive(Default, Debug)]
pub struct Notify {
    waiters: RefCell<VecDeque<Rc<Waiter>>>,
}

#[derive(Debug)]
struct Waiter {
    waker: RefCell<Option<Waker>>,
    notified: Cell<bool>,
}

/// Leaves the queue when the waiting future is dropped.
struct Ticket<'a> {
    notify: &'a Notify,
    waiter: Option<Rc<Waiter>>,
}

impl Notify {
    /// Wakes the longest waiter.
    pub fn one(&self) {
        let waiter = self.waiters.borrow_mut().pop_front();
        if let Some(waiter) = waiter {
            waiter.wake();
        }
    }

    /// Wakes everyone.
    pub fn all(&self) {
        let waiters = std::mem::take(&mut *self.waiters.borrow_mut());
        for waiter in waiters {
            waiter.wake();
        }
    }

    /// Waits until `ready` gives a value. It is tried at once and again after each notification.
    pub async fn until<T>(&self, mut ready: impl FnMut() -> Option<T>) -> T {
        let mut ticket = Ticket { notify: self, waiter: None };
        poll_fn(move |cx| {
            if let Some(value) = ready() {
                ticket.settle();
                return Poll::Ready(value);
            }
            ticket.wait(cx.waker());
            Poll::Pending
        })
        .await
    }
}

impl Waiter {
    fn wake(&self) {
        self.notified.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

impl Ticket<'_> {
    fn wait(&mut self, waker: &Waker) {
        if let Some(waiter) = &self.waiter
            && !waiter.notified.get()
        {
            let mut slot = waiter.waker.borrow_mut();
            if !slot.as_ref().is_some_and(|old| old.will_wake(waker)) {
                *slot = Some(waker.clone());
            }
            return;
        }
        let waiter = Rc::new(Waiter { waker: RefCell::new(Some(waker.clone())), notified: Cell::new(false) });
        self.notify.waiters.borrow_mut().push_back(waiter.clone());
        self.waiter = Some(waiter);
    }

    /// The value is there: the notification, if any, was used.
    fn settle(&mut self) {
        if let Some(waiter) = self.waiter.take()
            && !waiter.notified.get()
        {
            self.notify.waiters.borrow_mut().retain(|other| !Rc::ptr_eq(other, &waiter));
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if let Some(waiter) = self.waiter.take() {
            if waiter.notified.get() {
                self.notify.one();
            } else {
                self.notify.waiters.borrow_mut().retain(|other| !Rc::ptr_eq(other, &waiter));
            }
        }
    }
}

/// Lets all that can run do so once.
pub(crate) async fn give_way() {
    let mut given = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut given, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Runs `future` in a task of its own. `None` when that ends before the future does: it broke an invariant, and the
/// runtime caught the panic.
pub async fn apart<R: Runtime, T: 'static>(runtime: &R, future: impl Future<Output = T> + 'static) -> Option<T> {
    let over = Rc::new(Over { value: RefCell::new(None), ended: Cell::new(false), news: Notify::default() });
    let ending = Ending(over.clone());
    runtime.spawn(async move {
        // A panic drops it as well, behind all that the future holds.
        let ending = ending;
        let value = future.await;
        *ending.0.value.borrow_mut() = Some(value);
    });
    over.news.until(|| over.ended.get().then(|| over.value.take())).await
}

/// How a task of [`apart`] ended.
struct Over<T> {
    value: RefCell<Option<T>>,
    ended: Cell<bool>,
    news: Notify,
}

/// Belongs to the task, and tells of its end.
struct Ending<T>(Rc<Over<T>>);

impl<T> Drop for Ending<T> {
    fn drop(&mut self) {
        self.0.ended.set(true);
        self.0.news.all();
    }
}

/// `Some` of what `future` gives, or `None` once `limit` has passed.
pub async fn within<R: Runtime, T>(runtime: &R, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    match select(pin!(future), pin!(runtime.sleep(limit))).await {
        Either::Left((value, _)) => Some(value),
        Either::Right(((), _)) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::task::{Context, Waker};

    use super::*;

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn notification_of_a_dropped_waiter_goes_to_the_next() {
        let notify = Notify::default();
        let ready = Cell::new(false);
        let test = || ready.get().then_some(());
        let mut first = Box::pin(notify.until(test));
        let mut second = Box::pin(notify.until(test));
        assert!(poll(first.as_mut()).is_pending());
        assert!(poll(second.as_mut()).is_pending());
        ready.set(true);
        notify.one();
        drop(first);
        assert!(notify.waiters.borrow().is_empty(), "the second waiter was woken in the place of the first");
        assert!(poll(second.as_mut()).is_ready());
    }

    #[test]
    fn dropped_waiter_leaves_nothing_behind() {
        let notify = Notify::default();
        let mut waiting = Box::pin(notify.until(|| None::<()>));
        assert!(poll(waiting.as_mut()).is_pending());
        drop(waiting);
        assert!(notify.waiters.borrow().is_empty());
    }
}
