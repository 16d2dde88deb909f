//! Where two traces part.

use super::Entry;

/// How many events before the first difference are shown, and from each side from there on.
const CONTEXT: usize = 5;

/// The first difference of two traces.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// The last events that both have.
    pub before: Vec<Entry>,
    /// What the first goes on with; nothing, when it ends there.
    pub one: Vec<Entry>,
    /// What the second goes on with.
    pub other: Vec<Entry>,
}

/// The first event that differs, with what is around it; `None` when the traces are the same.
#[must_use]
pub fn difference(one: &[Entry], other: &[Entry]) -> Option<Difference> {
    let same = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    if same == one.len() && same == other.len() {
        return None;
    }
    let after = |side: &[Entry]| side[same..].iter().take(CONTEXT).cloned().collect();
    let before = one[same.saturating_sub(CONTEXT)..same].to_vec();
    Some(Difference { before, one: after(one), other: after(other) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(kinds: &[&'static str]) -> Vec<Entry> {
        let entry = |(seq, kind): (u64, &&'static str)| Entry { seq, kind: (*kind).into(), ..Entry::default() };
        (0..).zip(kinds).map(entry).collect()
    }

    #[test]
    fn first_difference_comes_with_what_is_around_it() {
        let one = trace(&["a", "b", "c", "d", "e", "f", "g", "h"]);
        assert_eq!(difference(&one, &one), None);
        let mut other = one.clone();
        other[6].at_us = 1;
        let difference = difference(&one, &other).expect("they differ");
        assert_eq!(difference.before, one[1..6]);
        assert_eq!((difference.one, difference.other), (one[6..].to_vec(), other[6..].to_vec()));
    }

    #[test]
    fn trace_that_ends_early_differs_at_its_end() {
        let one = trace(&["a", "b", "c"]);
        let difference = difference(&one, &one[..2]).expect("they differ");
        assert_eq!((difference.one.len(), difference.other.len()), (1, 0));
        assert_eq!(difference.before, one[..2]);
    }
}
