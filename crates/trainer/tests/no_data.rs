//! Without Fashion-MNIST: exit code 4 where that was asked for, else the stand-in, announced. Needs no adapter.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::thread;

/// A proxy that answers everything with this status. All mirrors are behind it.
fn proxy(status: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // A client that hangs up early is its own business.
            let _ = stream.read(&mut [0; 4096]);
            let _ = write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        }
    });
    address
}

/// The smallest network there is.
const RECIPE: &str = r#"
name = "smallest"
layers = [{ kind = "flatten" }, { kind = "dense", out = 10 }]
data = { normalise = "unit" }
train = { epochs = 1, batch_size = 1 }
optimizer = { kind = "sgd", lr = 0.1 }
"#;

fn train(proxy: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("smallest.toml"), RECIPE).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_trainer"))
        .args(["train", "smallest.toml", "--device", "reference", "--quiet", "--max-steps", "1", "--out", "run"])
        .args(arguments)
        .current_dir(folder.path())
        .env("XDG_CACHE_HOME", folder.path())
        .env_remove("FASHION_MNIST_DIR")
        .envs(["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "http_proxy", "https_proxy"].map(|name| (name, proxy)))
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output()
        .unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
    output
}

#[test]
fn without_data_the_program_ends_with_4_if_it_must_not_draw_its_own() {
    for status in ["403 Forbidden", "503 Service Unavailable"] {
        let output = train(&proxy(status), &["--no-synthetic"]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(4), "{text}");
        assert_eq!(text.matches("train-labels-idx1-ubyte.gz: ").count(), 4, "the file, and each mirror: {text}");
        assert!(text.contains("put the official file there"), "{text}");
    }
    let output = train("http://127.0.0.1:1", &["--no-synthetic", "--offline"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{text}");
    assert!(text.contains("download is switched off"), "{text}");
}

#[test]
fn without_data_the_stand_in_is_announced() {
    let output = train(&proxy("503 Service Unavailable"), &[]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("synthetic stand-in, not Fashion-MNIST"), "{text}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("dataset synthetic"));
}
