//! Connection reinstatement (RFC 7143, section 6.3.4): a login with the TSIH and CID of a session that is there takes
//! the place of its connection. At error recovery level 0 the tasks of the old connection end without a word; the
//! nexus, with its unit attentions, goes on.

use std::cell::RefCell;
use std::mem;

use crate::env::Runtime;
use crate::target::Handoff;

/// A connection that got through login and waits for the one before it to be gone.
pub(crate) struct Successor<R: Runtime> {
    pub(crate) stream: R::Stream,
    pub(crate) handoff: Handoff,
}

/// Who goes on with a session when its connection is gone.
pub(crate) struct Succession<R: Runtime>(RefCell<State<R>>);

enum State<R: Runtime> {
    /// Nobody yet.
    Open,
    Claimed(Box<Successor<R>>),
    /// Nobody ever: the session was logged out, reinstated or reset, or it is over.
    Closed,
}

impl<R: Runtime> Default for Succession<R> {
    fn default() -> Self {
        Self(RefCell::new(State::Open))
    }
}

impl<R: Runtime> Succession<R> {
    /// `successor` goes on with the session; gives the one that wanted to before.
    ///
    /// # Errors
    /// It comes too late and is given back.
    pub(crate) fn claim(&self, successor: Box<Successor<R>>) -> Result<Option<Box<Successor<R>>>, Box<Successor<R>>> {
        let mut state = self.0.borrow_mut();
        if matches!(*state, State::Closed) {
            return Err(successor);
        }
        Ok(mem::replace(&mut *state, State::Claimed(successor)).claimant())
    }

    /// Somebody is to go on with the session.
    pub(crate) fn is_claimed(&self) -> bool {
        matches!(*self.0.borrow(), State::Claimed(_))
    }

    /// From now on nobody can go on with the session; gives the one that wanted to.
    pub(crate) fn close(&self) -> Option<Box<Successor<R>>> {
        self.0.replace(State::Closed).claimant()
    }
}

impl<R: Runtime> State<R> {
    fn claimant(self) -> Option<Box<Successor<R>>> {
        match self {
            Self::Claimed(successor) => Some(successor),
            Self::Open | Self::Closed => None,
        }
    }
}
