//! `cordon`: runs untrusted plugins from the command line. A thin user of the library.

#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
