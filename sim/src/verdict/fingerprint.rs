//! What makes two failures look like one bug: the oracle, and where or in which words it complained.

use super::Failure;

/// A template that is longer says no more.
const LENGTH_MAX: usize = 160;
/// A word of so many hexadecimal digits is a number, also without 0x.
const HEX_DIGITS_MIN: usize = 8;

impl Failure {
    /// The same for failures that differ in their numbers only. An assertion is told by its place; any other failure by
    /// its message up to the first semicolon, without what is in parentheses and with N for each number.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let rule = self.rule();
        if rule == self.oracle { format!("{rule} {}", template(&self.message)) } else { rule }
    }
}

fn template(message: &str) -> String {
    let mut plain = String::new();
    let mut depth = 0_u32;
    for character in message.chars() {
        match character {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            '\n' => break,
            ';' if depth == 0 => break,
            other if depth == 0 => plain.push(other),
            _ => {}
        }
    }
    let mut text = String::new();
    let mut rest = plain.as_str();
    while let Some(first) = rest.chars().next() {
        let (word, after) = rest.split_at(word_length(rest).max(first.len_utf8()));
        let blank = first.is_whitespace() && (text.is_empty() || text.ends_with(' '));
        if !blank {
            text.push_str(if is_number(word) { "N" } else { word });
        }
        rest = after;
    }
    // A list of numbers may be of any length.
    while text.contains("N, N") {
        text = text.replace("N, N", "N");
    }
    text.trim_end().chars().take(LENGTH_MAX).collect()
}

/// Bytes of the word that `text` begins with. A point between two digits belongs to it, and so does the unit behind them.
fn word_length(text: &str) -> usize {
    let mut before = ' ';
    for (at, character) in text.char_indices() {
        let digit_follows = text[at + character.len_utf8()..].starts_with(|next: char| next.is_ascii_digit());
        let point = character == '.' && before.is_ascii_digit() && digit_follows;
        if !(character.is_alphanumeric() || character == '_' || point) {
            return at;
        }
        before = character;
    }
    text.len()
}

fn is_number(word: &str) -> bool {
    let hexadecimal = word.len() >= HEX_DIGITS_MIN && word.chars().all(|character| character.is_ascii_hexdigit());
    word.starts_with(|first: char| first.is_ascii_digit()) || hexadecimal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(oracle: &'static str, message: &str) -> String {
        Failure { oracle, message: message.to_owned() }.fingerprint()
    }

    #[test]
    fn numbers_times_and_what_is_in_parentheses_do_not_matter() {
        let one = "at 12.273ms on connection 3 of initiator 0: 9 R2Ts of task 0x6ff7 are open; MaxOutstandingR2T is 8";
        let other = "at 137µs on connection 12 of initiator 1: 2 R2Ts of task 0x1 are open; MaxOutstandingR2T is 1 (in the warm-up: no fault had struck)";
        assert_eq!(fingerprint("I5", one), "I5 at N on connection N of initiator N: N R2Ts of task N are open");
        assert_eq!(fingerprint("I5", one), fingerprint("I5", other));
        assert_ne!(fingerprint("I5", one), fingerprint("I4", one));
        assert_ne!(fingerprint("I5", one), fingerprint("I5", "an R2T asks for 8 bytes past the expected length"));
    }

    #[test]
    fn length_of_a_list_and_trace_hashes_do_not_matter() {
        assert_eq!(fingerprint("S5", "tasks 1, 0x2, 3 are left (of [7, 8])."), "S5 tasks N are left .");
        let hashes = "two runs have the hashes 0123456789abcdef0123456789abcdef and fedcba9876543210fedcba9876543210";
        assert_eq!(fingerprint("S7", hashes), "S7 two runs have the hashes N and N");
    }

    #[test]
    fn assertion_is_told_by_its_place() {
        let message = |line, rest| format!("panicked at core/src/queue/worker.rs:{line}:5:\n{rest}");
        let here = fingerprint("S6", &message(75, "left: 1"));
        assert_eq!(here, "S6 core/src/queue/worker.rs:75:5");
        assert_eq!(here, fingerprint("S6", &message(75, "left: 2")));
        assert_ne!(here, fingerprint("S6", &message(76, "left: 1")));
    }
}
