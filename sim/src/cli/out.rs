//! Standard output. `... | head` closes it early: then all is said, and the process ends without a word. The macros of
//! the standard library would panic; within the command line these here have their names.

use std::io::{Error, ErrorKind, Write};

use super::{EXIT_UNHEARD, EXIT_USAGE};

/// Prints, as the standard library's macro does.
macro_rules! print {
    ($($argument:tt)*) => {
        $crate::cli::out::say(format_args!($($argument)*))
    };
}

/// Prints a line, as the standard library's macro does.
macro_rules! println {
    ($($argument:tt)*) => {
        $crate::cli::out::say(format_args!("{}\n", format_args!($($argument)*)))
    };
}

/// Prints `text`.
pub(super) fn say(text: std::fmt::Arguments<'_>) {
    write(|out| out.write_fmt(text));
}

/// Lets `text` write to standard output. The process ends when that cannot be.
pub(super) fn write(text: impl FnOnce(&mut dyn Write) -> Result<(), Error>) {
    let mut stdout = std::io::stdout().lock();
    match text(&mut stdout) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(EXIT_UNHEARD.into()),
        Err(error) => {
            eprintln!("standard output cannot be written: {error}");
            std::process::exit(EXIT_USAGE.into());
        }
    }
}
