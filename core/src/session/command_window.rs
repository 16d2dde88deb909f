//! The command window of a session (RFC 7143, section 4.2.2.1): which CmdSN is taken, which is held back until the
//! ones before it are there, and how far the initiator may go.

use std::collections::BTreeMap;

use crate::wire::SerialNumber;

/// The window and the pending list. `T` is a command that waits for its turn.
///
/// The invariant `MaxCmdSN = ExpCmdSN + width - in use - 1` keeps both from ever going backwards: a command that
/// starts moves ExpCmdSN up by one and the commands in use up by one, and one that ends moves MaxCmdSN up by one.
#[derive(Debug)]
pub struct CommandWindow<T> {
    exp_cmd_sn: SerialNumber,
    width: u32,
    in_use: u32,
    /// Of these, places of commands that have ended: they are given back with the next one.
    held_back: u32,
    /// Commands received ahead of a gap, by CmdSN; all of them lie inside the window, so there are at most `width`.
    pending: BTreeMap<u32, Option<T>>,
}

/// What became of a command that arrived.
#[derive(Debug, PartialEq, Eq)]
pub enum Arrival<T> {
    /// Outside the window or a duplicate: silently dropped, as section 4.2.2.1 says.
    Ignored(T),
    /// It is in the window: [`CommandWindow::take_next`] gives it when its turn comes.
    Accepted,
}

impl<T> CommandWindow<T> {
    /// A window that expects `exp_cmd_sn` first and is `width` commands wide.
    #[must_use]
    pub fn new(exp_cmd_sn: SerialNumber, width: u32) -> Self {
        Self { exp_cmd_sn, width, in_use: 0, held_back: 0, pending: BTreeMap::new() }
    }

    /// ExpCmdSN.
    #[must_use]
    pub fn exp_cmd_sn(&self) -> SerialNumber {
        self.exp_cmd_sn
    }

    /// MaxCmdSN; one before ExpCmdSN when the window is closed.
    #[must_use]
    pub fn max_cmd_sn(&self) -> SerialNumber {
        self.exp_cmd_sn.plus(self.width - self.in_use).plus(u32::MAX)
    }

    /// Whether `cmd_sn` lies between ExpCmdSN and MaxCmdSN.
    #[must_use]
    pub fn contains(&self, cmd_sn: SerialNumber) -> bool {
        let room = self.width - self.in_use + u32::from(crate::planted!(WindowOffByOne));
        if crate::planted!(WindowCountsPlainly) {
            return cmd_sn.0.checked_sub(self.exp_cmd_sn.0).is_some_and(|ahead| ahead < room);
        }
        u32::try_from(self.exp_cmd_sn.distance_to(cmd_sn)).is_ok_and(|ahead| ahead < room)
    }

    /// Whether the initiator may number its next command `cmd_sn`: it lies in the window or right behind it.
    #[must_use]
    pub fn may_go_on_with(&self, cmd_sn: SerialNumber) -> bool {
        self.contains(cmd_sn) || cmd_sn == self.max_cmd_sn().next()
    }

    /// Whether `cmd_sn` is in the window and has not been received.
    #[must_use]
    pub fn is_missing(&self, cmd_sn: SerialNumber) -> bool {
        self.contains(cmd_sn) && !self.pending.contains_key(&cmd_sn.0)
    }

    #[cfg(simulation)]
    fn row(&self) -> crate::cells::window::State {
        use crate::cells::window::State;
        match (self.in_use >= self.width, self.pending.is_empty()) {
            (true, _) => State::Closed,
            (false, false) => State::Gap,
            (false, true) => State::Open,
        }
    }

    /// Notes the cell of a command with this number that comes.
    #[cfg(simulation)]
    pub(crate) fn note(&self, cmd_sn: SerialNumber) {
        let row = self.row();
        match self.exp_cmd_sn.distance_to(cmd_sn) {
            ..0 => crate::cell!(window: row, Below),
            _ if !self.contains(cmd_sn) => crate::cell!(window: row, Above),
            _ if !self.is_missing(cmd_sn) => crate::cell!(window: row, Twice),
            0 => crate::cell!(window: row, Next),
            _ => crate::cell!(window: row, Ahead),
        }
    }

    /// Takes a non-immediate command.
    pub fn arrive(&mut self, cmd_sn: SerialNumber, command: T) -> Arrival<T> {
        #[cfg(simulation)]
        self.note(cmd_sn);
        if !self.is_missing(cmd_sn) {
            return Arrival::Ignored(command);
        }
        crate::probe!(GapBeforeThree if cmd_sn == self.exp_cmd_sn && self.pending.len() >= 3);
        self.pending.insert(cmd_sn.0, Some(command));
        Arrival::Accepted
    }

    /// Counts `cmd_sn` as received although its command will never be carried out: it was aborted before it came.
    pub fn plug(&mut self, cmd_sn: SerialNumber) {
        if self.is_missing(cmd_sn) {
            crate::probe!(PluggedBeforeOthers if !self.pending.is_empty());
            crate::cell!(window: self.row(), Plugged);
            self.pending.insert(cmd_sn.0, None);
        }
    }

    /// The next command in CmdSN order, if it is there.
    pub fn take_next(&mut self) -> Option<T> {
        while let Some(command) = self.pending.remove(&self.exp_cmd_sn.0) {
            self.exp_cmd_sn = self.exp_cmd_sn.plus(1);
            crate::probe!(CmdSnWrapped if self.exp_cmd_sn.0 == 0);
            if crate::planted!(PendingOvertakes)
                && command.is_some()
                && let Some(later) = self.pending.get_mut(&self.exp_cmd_sn.0)
                && later.is_some()
            {
                return std::mem::replace(later, command);
            }
            if command.is_some() {
                return command;
            }
        }
        None
    }

    /// A command that `take_next` gave starts to hold a place in the window.
    pub fn hold(&mut self) {
        self.in_use += 1;
        assert!(
            self.in_use <= self.width + u32::from(crate::planted!(WindowOffByOne)),
            "more commands than the window"
        );
        self.in_use = self.in_use.min(self.width);
        crate::probe!(WindowClosed if self.in_use == self.width && self.width > 1);
    }

    /// A command that held a place has ended.
    pub fn release(&mut self) {
        if crate::planted!(WindowLeaks) && self.exp_cmd_sn.0.is_multiple_of(16) {
            return;
        }
        crate::cell!(window: self.row(), Ends);
        assert!(self.in_use > 0, "a place in the window is given back twice");
        // The window stays open, and another command is there to give the place back.
        let may_wait = self.in_use < self.width && self.in_use > self.held_back + 1;
        if may_wait && crate::buggify!(WindowReopensLate) {
            self.held_back += 1;
            return;
        }
        self.in_use -= 1 + std::mem::take(&mut self.held_back);
    }

    /// Forgets the commands that wait for a gap: the session is over.
    pub fn drop_pending(&mut self) {
        self.pending.clear();
    }

    /// Commands between arrival and completion.
    #[must_use]
    pub fn in_use(&self) -> u32 {
        self.in_use
    }

    /// Commands held back by a gap.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sn(value: u32) -> SerialNumber {
        SerialNumber(value)
    }

    #[test]
    fn commands_out_of_order_come_out_in_order_across_the_wrap() {
        let mut window = CommandWindow::new(sn(u32::MAX), 4);
        assert_eq!(window.arrive(sn(1), 'c'), Arrival::Accepted);
        assert_eq!(window.arrive(sn(0), 'b'), Arrival::Accepted);
        assert_eq!(window.take_next(), None);
        assert_eq!(window.arrive(sn(u32::MAX), 'a'), Arrival::Accepted);
        assert_eq!(
            [window.take_next(), window.take_next(), window.take_next(), window.take_next()],
            [Some('a'), Some('b'), Some('c'), None]
        );
        assert_eq!(window.exp_cmd_sn(), sn(2));
    }

    #[test]
    fn command_past_max_cmd_sn_or_twice_is_ignored() {
        let mut window = CommandWindow::new(sn(10), 2);
        assert_eq!(window.max_cmd_sn(), sn(11));
        assert_eq!(window.arrive(sn(12), 'x'), Arrival::Ignored('x'));
        assert_eq!(window.arrive(sn(9), 'x'), Arrival::Ignored('x'));
        assert_eq!(window.arrive(sn(11), 'b'), Arrival::Accepted);
        assert_eq!(window.arrive(sn(11), 'x'), Arrival::Ignored('x'));
    }

    #[test]
    fn initiator_may_go_on_in_the_window_and_right_behind_it() {
        let window = CommandWindow::<char>::new(sn(u32::MAX), 2);
        let may = [u32::MAX - 1, u32::MAX, 0, 1, 2].map(|number| window.may_go_on_with(sn(number)));
        assert_eq!(may, [false, true, true, true, false]);
    }

    #[test]
    fn closed_window_reopens_when_a_command_ends() {
        let mut window = CommandWindow::new(sn(0), 1);
        assert_eq!(window.arrive(sn(0), 'a'), Arrival::Accepted);
        assert_eq!(window.take_next(), Some('a'));
        window.hold();
        assert_eq!((window.exp_cmd_sn(), window.max_cmd_sn()), (sn(1), sn(0)));
        assert_eq!(window.in_use(), 1);
        assert_eq!(window.arrive(sn(1), 'b'), Arrival::Ignored('b'));
        window.release();
        assert_eq!(window.max_cmd_sn(), sn(1));
        assert_eq!(window.arrive(sn(1), 'b'), Arrival::Accepted);
    }

    #[test]
    fn plugged_number_is_passed_over() {
        let mut window = CommandWindow::new(sn(5), 8);
        assert_eq!(window.arrive(sn(6), 'b'), Arrival::Accepted);
        window.plug(sn(5));
        assert_eq!(window.take_next(), Some('b'));
        assert_eq!(window.exp_cmd_sn(), sn(7));
        assert!(!window.is_missing(sn(6)));
    }

    proptest! {
        /// Whatever arrives, in whatever order, each number comes out once and in order, and neither ExpCmdSN nor
        /// MaxCmdSN ever goes backwards.
        #[test]
        fn window_is_monotonic_and_orders(
            start: u32,
            width in 1u32..32,
            steps in proptest::collection::vec((0u32..40, any::<bool>()), 1..200),
        ) {
            let mut window = CommandWindow::new(sn(start), width);
            let mut expected = start;
            let (mut exp, mut max) = (window.exp_cmd_sn(), window.max_cmd_sn());
            for (ahead, end_one) in steps {
                let number = window.exp_cmd_sn().plus(ahead).plus(u32::MAX - 3);
                let inside = window.contains(number);
                let arrival = window.arrive(number, number);
                prop_assert!(inside || arrival == Arrival::Ignored(number));
                while let Some(given) = window.take_next() {
                    prop_assert_eq!(given, sn(expected));
                    expected = expected.wrapping_add(1);
                    window.hold();
                }
                if end_one && window.in_use() > 0 {
                    window.release();
                }
                prop_assert!((0..=width as i32).contains(&exp.distance_to(window.exp_cmd_sn())));
                prop_assert!((0..=width as i32).contains(&max.distance_to(window.max_cmd_sn())));
                (exp, max) = (window.exp_cmd_sn(), window.max_cmd_sn());
                prop_assert!(window.pending() as u32 + window.in_use() <= width);
            }
        }
    }
}
