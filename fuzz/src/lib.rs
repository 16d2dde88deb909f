//! What the fuzz targets do with their bytes. Each panics when the core breaks a promise; the core itself must never
//! panic, whatever the bytes.
#![forbid(unsafe_code)]

mod cdb;
mod login;
mod null_world;
mod receive;
mod text_keys;

pub use cdb::cdb;
pub use login::login;
pub use receive::receive;
pub use text_keys::text_keys;

/// Cuts what a target needs from the front of its bytes; at their end everything is zero or empty.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    /// At most `count` bytes.
    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    /// Exactly `N` bytes, zeros where there are no more.
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let bytes = self.bytes(N);
        std::array::from_fn(|index| bytes.get(index).copied().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// Runs `target` over every file of its corpus.
    fn replay(name: &str, target: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty());
        for file in files {
            target(&std::fs::read(file).unwrap());
        }
    }

    #[test]
    fn corpus_of_receive_breaks_no_promise() {
        replay("receive", super::receive);
    }

    #[test]
    fn corpus_of_text_keys_breaks_no_promise() {
        replay("text_keys", super::text_keys);
    }

    #[test]
    fn corpus_of_login_breaks_no_promise() {
        replay("login", super::login);
    }

    #[test]
    fn corpus_of_cdb_breaks_no_promise() {
        replay("cdb", super::cdb);
    }
}
