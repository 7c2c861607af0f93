//! See the library.

fn main() -> std::process::ExitCode {
    trainer::main()
}
