//! `cargo xtask bundle`: one archive with all that a machine without Rust needs to check, time and train.

mod licences;

use crate::failure::Failure;
use crate::step::{self, say};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::env;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tar::{Builder, Header};

/// What runs on the other machine.
const RUN: &str = include_str!("bundle/run.sh");

/// What a reader there finds first.
const README: &str = include_str!("bundle/README.md");

/// The official files of Fashion-MNIST.
const DATA: [&str; 4] = [
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
];

/// What goes along for comparison with other frameworks.
const PEERS: [&str; 10] = [
    "README.md",
    "requirements.txt",
    "run.py",
    "job.py",
    "torch_network.py",
    "torch_peer.py",
    "jax_peer.py",
    "burn/Cargo.toml",
    "burn/Cargo.lock",
    "burn/src",
];

/// Builds everything and packs it. `data` asks for the data set, too: from that folder, or from where it usually is.
pub fn run(root: &Path, data: Option<Option<&Path>>, out: Option<PathBuf>) -> Result<(), Failure> {
    let data = data.map(find_data).transpose()?;
    let programs = build()?;
    let name = format!("selvedge-{}-{}-{}", env!("CARGO_PKG_VERSION"), env::consts::ARCH, env::consts::OS);
    let out = out.unwrap_or_else(|| root.join("target").join(format!("{name}.tar.gz")));
    step::heading("Packing");
    let mut entries = vec![
        Entry::text("run", RUN.to_owned(), true),
        Entry::text("README.md", README.to_owned(), false),
        Entry::text("LICENCES.txt", licences::collect()?, false),
    ];
    for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
        entries.push(Entry::file(licence, root.join(licence)));
    }
    for (program, path) in programs {
        entries.push(Entry::program(&format!("bin/{program}{}", env::consts::EXE_SUFFIX), path));
    }
    for part in PEERS {
        let path = root.join("benches/peers").join(part);
        for file in if path.is_dir() { files_in(&path)? } else { vec![path] } {
            let inside = file.strip_prefix(root.join("benches")).unwrap_or(&file).to_string_lossy().replace('\\', "/");
            entries.push(Entry::file(&inside, file));
        }
    }
    for file in data.iter().flat_map(|folder| DATA.map(|file| folder.join(file))) {
        let inside = format!("data/{}", file.file_name().unwrap_or_default().to_string_lossy());
        entries.push(Entry::file(&inside, file));
    }
    let bytes = write_file(&out, &name, &entries).map_err(|error| failed("writing", &out, error))?;
    say(&format!(
        "    {} ({:.1} MB, {} files{})\n\nOn the other machine: tar xzf {}, then {name}/run",
        out.display(),
        bytes as f64 / 1e6,
        entries.len(),
        if data.is_some() { ", with the data" } else { ", without the data" },
        out.file_name().unwrap_or_default().to_string_lossy(),
    ));
    Ok(())
}

/// The trainer and the benches, in the selection of packages that the tests are built in.
fn build() -> Result<Vec<(&'static str, PathBuf)>, Failure> {
    step::heading("Building the trainer and the benches");
    let mut command = step::cargo(["build", "--release", "--workspace", "--bin", "trainer", "--bench", "layers"]);
    command.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit());
    let output = command.output().map_err(|source| Failure::Start { program: "cargo".to_owned(), source })?;
    if !output.status.success() {
        return Err(Failure::Told { code: 1 });
    }
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let find = |name: &'static str| {
        let built = lines.lines().find_map(|line| executable(line, name));
        built.map(|path| (name, path)).ok_or_else(|| Failure::Bundle { what: format!("cargo built no {name}") })
    };
    Ok(vec![find("trainer")?, find("layers")?])
}

/// The program that one of cargo's messages says was made from the target `name`.
fn executable(message: &str, name: &str) -> Option<PathBuf> {
    if !message.contains(&format!(r#""name":"{name}""#)) {
        return None;
    }
    let (_, rest) = message.split_once(r#""executable":""#)?;
    let mut path = String::new();
    let mut characters = rest.chars();
    loop {
        match characters.next()? {
            '"' => return Some(PathBuf::from(path)),
            '\\' => path.push(characters.next()?),
            other => path.push(other),
        }
    }
}

/// The folder with the data: the one named, or `FASHION_MNIST_DIR`, or the trainer's cache.
fn find_data(named: Option<&Path>) -> Result<PathBuf, Failure> {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let usual = || {
        let cache = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
        variable("FASHION_MNIST_DIR")
            .into_iter()
            .chain(cache.map(|cache| cache.join("selvedge/fashion-mnist")))
            .collect()
    };
    let folders: Vec<PathBuf> = named.map_or_else(usual, |folder| vec![folder.to_owned()]);
    let complete = |folder: &&PathBuf| DATA.iter().all(|file| folder.join(file).is_file());
    folders.iter().find(complete).cloned().ok_or_else(|| {
        let looked: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
        let advice = format!(
            "no folder with the four official .gz files at {}; name one as --data=FOLDER, or leave --data out",
            looked.join(", ")
        );
        Failure::NoData { advice }
    })
}

/// All files below a folder, in a fixed order.
fn files_in(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let read = || -> io::Result<Vec<PathBuf>> {
        let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        paths.sort();
        Ok(paths)
    };
    let mut files = Vec::new();
    for path in read().map_err(|error| failed("reading", folder, error))? {
        if path.is_dir() { files.extend(files_in(&path)?) } else { files.push(path) }
    }
    Ok(files)
}

fn failed(doing: &str, path: &Path, error: io::Error) -> Failure {
    Failure::Bundle { what: format!("{doing} {}: {error}", path.display()) }
}

/// A file of the archive.
struct Entry {
    /// Where it goes, within the one folder of the archive.
    name: String,
    content: Content,
    executable: bool,
}

enum Content {
    File(PathBuf),
    Text(String),
}

impl Entry {
    fn file(name: &str, path: PathBuf) -> Self {
        Self { name: name.to_owned(), content: Content::File(path), executable: false }
    }

    fn program(name: &str, path: PathBuf) -> Self {
        Self { executable: true, ..Self::file(name, path) }
    }

    fn text(name: &str, text: String, executable: bool) -> Self {
        Self { name: name.to_owned(), content: Content::Text(text), executable }
    }
}

/// Writes the archive beside its place and moves it there when it is whole. Its size.
fn write_file(out: &Path, folder: &str, entries: &[Entry]) -> io::Result<u64> {
    if let Some(parent) = out.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut part = out.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let written = File::create(&part).and_then(|file| write(BufWriter::new(file), folder, entries)?.sync_all());
    let moved = written.and_then(|()| fs::rename(&part, out)).and_then(|()| fs::metadata(out));
    if moved.is_err() {
        let _ = fs::remove_file(&part);
    }
    Ok(moved?.len())
}

/// Dates and owners stay out: the same files make the same archive.
fn write<W: Write>(to: BufWriter<W>, folder: &str, entries: &[Entry]) -> io::Result<W> {
    let mut archive = Builder::new(GzEncoder::new(to, Compression::default()));
    for entry in entries {
        let bytes = match &entry.content {
            Content::File(path) => {
                fs::read(path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?
            }
            Content::Text(text) => text.as_bytes().to_vec(),
        };
        let mut header = Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(if entry.executable { 0o755 } else { 0o644 });
        header.set_mtime(1);
        archive.append_data(&mut header, format!("{folder}/{}", entry.name), bytes.as_slice())?;
    }
    archive.into_inner()?.finish()?.into_inner().map_err(io::IntoInnerError::into_error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::process::Command;

    #[test]
    fn cargo_says_where_programs_are() {
        let line = |name: &str, path: &str| {
            format!(r#"{{"reason":"compiler-artifact","target":{{"name":"{name}"}},"executable":{path},"fresh":true}}"#)
        };
        let found = executable(&line("layers", r#""/a \"b\"/layers-1f""#), "layers");
        assert_eq!(found, Some(PathBuf::from(r#"/a "b"/layers-1f"#)));
        assert_eq!(executable(&line("layers", r#""C:\\t\\layers.exe""#), "layers"), Some(r"C:\t\layers.exe".into()));
        assert_eq!(executable(&line("layers", "null"), "layers"), None);
        assert_eq!(executable(&line("trainer", r#""/t""#), "layers"), None);
    }

    #[test]
    fn what_is_packed_comes_out_again() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        fs::write(&program, [0, 1, 2]).unwrap();
        let entries = [Entry::program("bin/trainer", program), Entry::text("README.md", "words\n".to_owned(), false)];
        let out = folder.path().join("new/x.tar.gz");
        let bytes = write_file(&out, "x-1", &entries).unwrap();
        let first = fs::read(&out).unwrap();
        assert_eq!(bytes, first.len() as u64);
        write_file(&out, "x-1", &entries).unwrap();
        assert!(first == fs::read(&out).unwrap(), "two archives of the same files differ");
        assert_eq!(fs::read_dir(out.parent().unwrap()).unwrap().count(), 1, "something is left beside the archive");

        tar::Archive::new(GzDecoder::new(first.as_slice())).unpack(folder.path()).unwrap();
        assert_eq!(fs::read(folder.path().join("x-1/bin/trainer")).unwrap(), [0, 1, 2]);
        assert_eq!(fs::read_to_string(folder.path().join("x-1/README.md")).unwrap(), "words\n");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o111;
            assert_eq!((mode("x-1/bin/trainer"), mode("x-1/README.md")), (0o111, 0));
        }
        let missing = [Entry::file("a", folder.path().join("missing"))];
        let error = write_file(&out, "x-1", &missing).unwrap_err();
        assert!(error.to_string().contains("missing"), "{error}");
        assert!(first == fs::read(&out).unwrap(), "a failed archive replaced a good one");
    }

    #[test]
    fn data_that_is_not_there_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let error = find_data(Some(folder.path())).unwrap_err();
        assert_eq!(error.exit_code(), 4);
        assert!(error.to_string().contains(&*folder.path().to_string_lossy()), "{error}");
        for file in DATA {
            fs::write(folder.path().join(file), "").unwrap();
        }
        assert_eq!(find_data(Some(folder.path())).unwrap(), folder.path());
    }

    #[test]
    fn everything_that_is_to_go_along_exists() {
        let peers = crate::root().join("benches/peers");
        for part in PEERS {
            assert!(peers.join(part).exists(), "{part}");
        }
        assert!(files_in(&peers.join("burn/src")).unwrap().iter().any(|path| path.ends_with("main.rs")));
    }

    /// The script with a trainer that only writes down how it is called, and fails where it is told to.
    #[cfg(unix)]
    fn run_script(arguments: &[&str], failing: &str) -> (Option<i32>, String, Vec<String>, String) {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("bin")).unwrap();
        let stub = format!(
            "#!/bin/sh\necho \"$(basename \"$0\") $*\" >> \"{}\"\ncase \"$*\" in *\"{failing}\"*) exit 7;; esac\necho said\n",
            path("calls").display()
        );
        for (name, text) in [("bin/trainer", stub.as_str()), ("bin/layers", stub.as_str()), ("run", RUN)] {
            fs::write(path(name), text).unwrap();
            fs::set_permissions(path(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut command = Command::new(path("run"));
        command.args(["--out", "found", "--no-peers"]).args(arguments).current_dir(folder.path());
        let output = command.env("PATH", "/usr/bin:/bin").output().unwrap();
        let calls = fs::read_to_string(path("calls")).unwrap_or_default();
        let mut files: Vec<String> = fs::read_dir(path("found"))
            .map(|files| files.map(|file| file.unwrap().file_name().to_string_lossy().into_owned()).collect())
            .unwrap_or_default();
        files.sort();
        let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), calls, files, told)
    }

    #[cfg(unix)]
    #[test]
    fn the_script_runs_everything_and_keeps_what_it_says() {
        let (code, calls, files, told) = run_script(&["--quick", "--", "--adapter", "my card"], "nothing fails");
        assert_eq!(code, Some(0), "{told}");
        for call in ["trainer doctor", "kernels check", "kernels bench", "kernels profile", "train lenet5", "layers "] {
            assert!(calls.contains(call), "{call}: {calls}");
        }
        assert!(
            calls.lines().filter(|line| line.starts_with("trainer")).all(|line| line.contains("--adapter my card"))
        );
        assert!(!calls.contains("reproduce"), "{calls}");
        assert!(files.iter().any(|file| file == "doctor.txt"), "{files:?}");
        let (_, calls, ..) = run_script(&["--reproduce"], "nothing fails");
        assert!(calls.contains("trainer reproduce") && calls.contains("kernels report"), "{calls}");
    }

    #[cfg(unix)]
    #[test]
    fn the_script_goes_on_after_a_failure_and_tells() {
        let (code, calls, _, told) = run_script(&[], "kernels check");
        assert_eq!(code, Some(1), "{told}");
        assert!(calls.contains("train depth2"), "{calls}");
        assert!(told.contains("check") && told.contains("exit code 7"), "{told}");
        let (code, calls, ..) = run_script(&["--no-such-option"], "nothing fails");
        assert_eq!((code, calls.as_str()), (Some(2), ""));
    }
}
