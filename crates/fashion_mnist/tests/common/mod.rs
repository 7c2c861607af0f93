//! A small data set in the official format, and a web server that misbehaves on request.
#![allow(clippy::unwrap_used, dead_code, missing_docs)]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use fashion_mnist::{Dataset, Download, Error, FileSpec, Finder, Manifest, PIXELS, Source};
use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};

pub const TRAIN: u32 = 3;
pub const TEST: u32 = 2;

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn idx(dims: &[u32], payload: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 8, dims.len() as u8];
    for dim in dims {
        file.extend(dim.to_be_bytes());
    }
    file.extend(payload);
    file
}

pub fn pixels(count: u32, salt: u32) -> Vec<u8> {
    (0..count * PIXELS as u32).map(|i| ((i.wrapping_add(salt).wrapping_mul(2_654_435_761)) >> 21) as u8).collect()
}

pub fn labels(count: u32) -> Vec<u8> {
    (0..count).map(|i| ((i * 7 + 2) % 10) as u8).collect()
}

/// The four files, and the manifest that expects exactly them.
#[derive(Clone)]
pub struct Fixture {
    pub manifest: Manifest,
    /// Training images, training labels, test images, test labels.
    pub files: [Vec<u8>; 4],
}

impl Fixture {
    pub fn good() -> Self {
        Self::of([
            gzip(&idx(&[TRAIN, 28, 28], &pixels(TRAIN, 1))),
            gzip(&idx(&[TRAIN], &labels(TRAIN))),
            gzip(&idx(&[TEST, 28, 28], &pixels(TEST, 2))),
            gzip(&idx(&[TEST], &labels(TEST))),
        ])
    }

    /// Files that pass size and hash, whatever they hold.
    pub fn of(files: [Vec<u8>; 4]) -> Self {
        let spec = |name: &str, bytes: &[u8]| FileSpec {
            name: name.to_owned(),
            size: bytes.len() as u64,
            sha256: Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect(),
        };
        Self {
            manifest: Manifest {
                train_count: TRAIN,
                test_count: TEST,
                train_images: spec("train-images-idx3-ubyte.gz", &files[0]),
                train_labels: spec("train-labels-idx1-ubyte.gz", &files[1]),
                test_images: spec("t10k-images-idx3-ubyte.gz", &files[2]),
                test_labels: spec("t10k-labels-idx1-ubyte.gz", &files[3]),
            },
            files,
        }
    }

    /// The good files with one replaced, hash and size included.
    pub fn with(index: usize, bytes: Vec<u8>) -> Self {
        let mut files = Self::good().files;
        files[index] = bytes;
        Self::of(files)
    }

    pub fn names(&self) -> [&str; 4] {
        let m = &self.manifest;
        [&m.train_images, &m.train_labels, &m.test_images, &m.test_labels].map(|spec| spec.name.as_str())
    }

    pub fn write_to(&self, folder: &Path) {
        for (name, bytes) in self.names().iter().zip(&self.files) {
            fs::write(folder.join(name), bytes).unwrap();
        }
    }

    /// A finder for these files that looks nowhere unless told to.
    pub fn finder(&self, source: Source) -> Finder {
        Finder {
            source,
            offline: true,
            allow_stand_in: false,
            environment_directory: None,
            stand_in_size: None,
            cache_directory: None,
            manifest: self.manifest.clone(),
            download: Download {
                mirrors: Vec::new(),
                connect_timeout: Duration::from_secs(5),
                stall_timeout: Duration::from_secs(5),
                overall_timeout: Duration::from_secs(20),
                max_redirects: 3,
                proxy_from_environment: false,
            },
        }
    }

    /// Loads from a folder that holds exactly these files.
    pub fn load(&self) -> Result<Dataset, Error> {
        let folder = tempfile::tempdir().unwrap();
        self.write_to(folder.path());
        self.finder(Source::Directory(folder.path().to_owned())).find(&mut |_| ())
    }

    pub fn check(&self, data: &Dataset) {
        assert_eq!(data.train.images(), pixels(TRAIN, 1));
        assert_eq!(data.train.labels(), labels(TRAIN));
        assert_eq!(data.test.images(), pixels(TEST, 2));
        assert_eq!(data.test.labels(), labels(TEST));
    }
}

/// Serves a fixture on 127.0.0.1. The first part of the path says how: `/good/<file>`, `/403/<file>`, `/cut/<file>`.
pub struct Server {
    address: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub fn start(fixture: &Fixture) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let files: Vec<(String, Vec<u8>)> =
            fixture.names().iter().map(|name| name.to_string()).zip(fixture.files.clone()).collect();
        let (files, log) = (Arc::new(files), requests.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (files, log) = (files.clone(), log.clone());
                // A client that hangs up early makes writes fail; that is its business.
                thread::spawn(move || drop(stream.and_then(|stream| answer(stream, &files, &log))));
            }
        });
        Self { address, requests }
    }

    /// The base address that answers in this way.
    pub fn mirror(&self, manner: &str) -> String {
        format!("{}/{manner}/", self.address)
    }

    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn answer(mut stream: TcpStream, files: &[(String, Vec<u8>)], log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            return Ok(());
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or("").to_owned();
    log.lock().unwrap().push(path.clone());
    let (manner, name) = path[1..].split_once('/').unwrap();
    let body = &files.iter().find(|(known, _)| known == name).unwrap().1;
    let half = &body[..body.len() / 2];
    let mut start =
        |status: &str, headers: &str| write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n");
    let length = format!("Content-Length: {}\r\n", body.len());
    match manner {
        "good" => {
            start("200 OK", &length)?;
            stream.write_all(body)
        }
        "no-length" => {
            start("200 OK", "")?;
            stream.write_all(body)
        }
        "chunked" => {
            start("200 OK", "Transfer-Encoding: chunked\r\n")?;
            write!(stream, "{:x}\r\n", body.len())?;
            stream.write_all(body)?;
            stream.write_all(b"\r\n0\r\n\r\n")
        }
        "moved" => start("302 Found", &format!("Location: /good/{name}\r\nContent-Length: 0\r\n")),
        "loop" => start("302 Found", &format!("Location: /loop/{name}\r\nContent-Length: 0\r\n")),
        "403" => start("403 Forbidden", "Content-Length: 0\r\n"),
        "503" => start("503 Service Unavailable", "Content-Length: 0\r\n"),
        "cut" => {
            start("200 OK", &length)?;
            stream.write_all(half)
        }
        "cut-no-length" => {
            start("200 OK", "")?;
            stream.write_all(half)
        }
        "huge" => {
            start("200 OK", "Content-Length: 99999999999\r\n")?;
            stream.write_all(body)
        }
        "endless" => {
            start("200 OK", "")?;
            loop {
                stream.write_all(&[0; 4096])?;
            }
        }
        "hash" => {
            start("200 OK", &length)?;
            let mut bad = body.clone();
            bad[body.len() / 2] ^= 1;
            stream.write_all(&bad)
        }
        "stall" => {
            start("200 OK", &length)?;
            stream.write_all(half)?;
            wait_for_hang_up(stream)
        }
        "silent" => wait_for_hang_up(stream),
        // Slow enough for others to come in between.
        "slow" => {
            start("200 OK", &length)?;
            stream.write_all(half)?;
            thread::sleep(Duration::from_millis(100));
            stream.write_all(&body[half.len()..])
        }
        "drip" => {
            start("200 OK", &length)?;
            for byte in body {
                stream.write_all(&[*byte])?;
                thread::sleep(Duration::from_millis(20));
            }
            Ok(())
        }
        _ => start("404 Not Found", "Content-Length: 0\r\n"),
    }
}

fn wait_for_hang_up(mut stream: TcpStream) -> std::io::Result<()> {
    stream.read(&mut [0]).map(drop)
}
