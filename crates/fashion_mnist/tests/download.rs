//! Download against a local server that misbehaves in every way a mirror can.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use common::{Fixture, Server};
use fashion_mnist::{
    Dataset, DatasetName, DownloadError, Error, FileProblem, Finder, MirrorError, MirrorFailure, Origin, Source,
};
use faults::{campaign, record};

struct Setup {
    fixture: Fixture,
    server: Server,
    cache: tempfile::TempDir,
    finder: Finder,
}

fn setup(manners: &[&str]) -> Setup {
    let fixture = Fixture::good();
    let server = Server::start(&fixture);
    let cache = tempfile::tempdir().unwrap();
    let mut finder = fixture.finder(Source::Auto);
    finder.offline = false;
    // A folder that does not exist yet.
    finder.cache_directory = Some(cache.path().join("a/b"));
    finder.download.mirrors = manners.iter().map(|manner| server.mirror(manner)).collect();
    Setup { fixture, server, cache, finder }
}

impl Setup {
    fn find(&self) -> Result<Dataset, Error> {
        self.finder.find(&mut |_| ())
    }

    fn folder(&self) -> std::path::PathBuf {
        self.cache.path().join("a/b")
    }

    fn failures(&self) -> Vec<MirrorFailure> {
        match self.find().unwrap_err() {
            Error::Unavailable {
                download: DownloadError::Mirrors(failures), problem: FileProblem::Missing, ..
            } => {
                assert_eq!(entries(&self.folder()), [""; 0], "the cache must stay clean");
                failures
            }
            other => panic!("{other:?}"),
        }
    }

    /// The one mirror's error.
    fn failure(&self) -> MirrorError {
        let mut failures = self.failures();
        assert_eq!(failures.len(), 1);
        failures.remove(0).error
    }
}

fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn sorted_names(fixture: &Fixture) -> Vec<String> {
    let mut names = fixture.names().map(str::to_owned).to_vec();
    names.sort();
    names
}

#[test]
fn a_good_mirror_fills_the_cache_once() {
    let setup = setup(&["good"]);
    let mut seen = Vec::new();
    let data = setup.finder.find(&mut |p| seen.push((p.file.to_owned(), p.received, p.total))).unwrap();
    setup.fixture.check(&data);
    assert_eq!(data.name, DatasetName::FashionMnist);
    assert_eq!(data.origin, Origin::Download(setup.folder()));
    assert_eq!(entries(&setup.folder()), sorted_names(&setup.fixture));
    for (name, bytes) in setup.fixture.names().iter().zip(&setup.fixture.files) {
        let total = bytes.len() as u64;
        assert!(seen.contains(&(name.to_string(), 0, total)));
        assert!(seen.contains(&(name.to_string(), total, total)));
    }
    assert_eq!(setup.server.requests().len(), 4);

    let again = setup.find().unwrap();
    assert_eq!(again.origin, Origin::Cache(setup.folder()));
    assert_eq!((again.train, again.test), (data.train, data.test));
    assert_eq!(setup.server.requests().len(), 4);
}

#[test]
fn other_ways_to_send_a_good_file() {
    for manner in ["no-length", "chunked", "moved"] {
        let setup = setup(&[manner]);
        setup.fixture.check(&setup.find().unwrap());
    }
}

#[test]
fn refusals_are_reported_by_status() {
    assert!(matches!(setup(&["403"]).failure(), MirrorError::Status(403)));
    assert!(matches!(setup(&["503"]).failure(), MirrorError::Status(503)));
}

#[test]
fn a_cut_body_is_refused() {
    assert!(matches!(setup(&["cut"]).failure(), MirrorError::Transport(_) | MirrorError::Size { .. }));
    assert!(matches!(
        setup(&["cut-no-length"]).failure(),
        MirrorError::Size { expected, found } if found < expected
    ));
}

#[test]
fn an_announced_length_over_the_cap_is_refused_unread() {
    assert!(matches!(setup(&["huge"]).failure(), MirrorError::Size { found: 99_999_999_999, .. }));
}

#[test]
fn an_endless_body_is_cut_off_one_byte_past_the_cap() {
    assert!(matches!(
        setup(&["endless"]).failure(),
        MirrorError::Size { expected, found } if found == expected + 1
    ));
}

#[test]
fn a_wrong_hash_is_refused() {
    assert!(matches!(
        setup(&["hash"]).failure(),
        MirrorError::Hash { expected, found } if expected != found
    ));
}

#[test]
fn a_redirect_loop_ends() {
    let setup = setup(&["loop"]);
    assert!(matches!(setup.failure(), MirrorError::Redirects));
    assert!(setup.server.requests().len() <= 5);
}

#[test]
fn silence_ends_at_the_stall_limit() {
    for manner in ["stall", "silent"] {
        let mut setup = setup(&[manner]);
        setup.finder.download.stall_timeout = Duration::from_millis(200);
        let start = Instant::now();
        assert!(matches!(setup.failure(), MirrorError::Timeout(_)), "{manner}");
        assert!(start.elapsed() < Duration::from_secs(4));
    }
}

#[test]
fn a_trickle_ends_at_the_overall_limit() {
    let mut setup = setup(&["drip"]);
    setup.finder.download.overall_timeout = Duration::from_millis(300);
    let start = Instant::now();
    assert!(matches!(setup.failure(), MirrorError::Timeout(_)));
    assert!(start.elapsed() < Duration::from_secs(4));
}

#[test]
fn a_closed_port_is_refused() {
    let mut setup = setup(&[]);
    setup.finder.download.mirrors = vec!["http://127.0.0.1:1/".to_owned()];
    assert!(matches!(setup.failure(), MirrorError::Transport(_)));
}

#[test]
fn a_mirror_that_does_not_speak_tls_is_refused() {
    let mut setup = setup(&["good"]);
    setup.finder.download.stall_timeout = Duration::from_millis(200);
    let mirror = &mut setup.finder.download.mirrors[0];
    *mirror = mirror.replace("http://", "https://");
    assert!(matches!(setup.failure(), MirrorError::Transport(_) | MirrorError::Timeout(_)));
}

#[test]
fn every_failure_moves_on_to_the_next_mirror() {
    const MANNERS: [&str; 11] =
        ["403", "503", "cut", "cut-no-length", "huge", "endless", "hash", "loop", "stall", "silent", "gone"];
    let times = campaign("download-faults").times();
    for manner in MANNERS.into_iter().cycle().take(times as usize) {
        let mut setup = setup(&[manner, "good"]);
        setup.finder.download.stall_timeout = Duration::from_millis(300);
        let data = setup.find().unwrap();
        setup.fixture.check(&data);
        assert_eq!(entries(&setup.folder()), sorted_names(&setup.fixture), "{manner}");
    }
    let kinds =
        format!("{} kinds of failure; the next mirror gave the files, the cache held nothing else", MANNERS.len());
    record("download-faults", times, &kinds);
}

#[test]
fn the_final_error_keeps_each_mirrors_reason() {
    let setup = setup(&["403", "hash", "loop"]);
    let failures = setup.failures();
    let reasons: Vec<String> = failures.iter().map(ToString::to_string).collect();
    assert_eq!(failures.len(), 3);
    assert!(reasons[0].contains("/403/") && reasons[0].contains("HTTP status 403"));
    assert!(reasons[1].contains("/hash/") && reasons[1].contains("sha256"));
    assert!(reasons[2].contains("/loop/") && reasons[2].contains("redirects"));
    let text = setup.find().unwrap_err().to_string();
    assert!(reasons.iter().all(|reason| text.contains(reason)), "{text}");
}

#[test]
fn without_mirrors_the_error_says_so() {
    let text = setup(&[]).find().unwrap_err().to_string();
    assert!(text.contains("list of mirrors is empty"), "{text}");
}

#[test]
fn only_what_is_missing_or_damaged_is_downloaded() {
    let setup = setup(&["good"]);
    fs::create_dir_all(setup.folder()).unwrap();
    setup.fixture.write_to(&setup.folder());
    let names = setup.fixture.names();
    fs::remove_file(setup.folder().join(names[3])).unwrap();
    fs::write(setup.folder().join(names[1]), "damaged").unwrap();
    setup.fixture.check(&setup.find().unwrap());
    let mut requests = setup.server.requests();
    requests.sort();
    assert_eq!(requests, [format!("/good/{}", names[3]), format!("/good/{}", names[1])]);
    assert_eq!(entries(&setup.folder()), sorted_names(&setup.fixture));
}

#[test]
fn offline_never_touches_the_network() {
    let mut setup = setup(&["good"]);
    setup.finder.offline = true;
    assert!(matches!(
        setup.find().unwrap_err(),
        Error::Unavailable { problem: FileProblem::Missing, download: DownloadError::Offline, .. }
    ));
    assert!(setup.server.requests().is_empty());
}

#[test]
fn a_cache_that_cannot_be_written_is_reported() {
    let mut setup = setup(&["good"]);
    let file = setup.cache.path().join("file");
    fs::write(&file, "").unwrap();
    setup.finder.cache_directory = Some(file.join("below"));
    let error = setup.find().unwrap_err();
    assert!(matches!(&error, Error::Unavailable { download: DownloadError::Cache { .. }, .. }), "{error:?}");
    setup.finder.cache_directory = None;
    assert!(matches!(setup.find().unwrap_err(), Error::NoCacheFolder));
}

#[test]
fn many_at_once_share_one_cache() {
    let setup = setup(&["hash", "good"]);
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| setup.fixture.check(&setup.find().unwrap()));
        }
    });
    assert_eq!(entries(&setup.folder()), sorted_names(&setup.fixture));
}

/// Names mirror and cache folder to the other processes.
const CHILD: [&str; 2] = ["SELVEDGE_TEST_MIRROR", "SELVEDGE_TEST_CACHE"];

/// No test by itself: what other tests run as a process of its own. Its exit code says whether it got the data.
#[test]
#[ignore = "is run by other tests, as a process of its own"]
fn download_in_another_process() {
    let [Some(mirror), Some(cache)] = CHILD.map(std::env::var_os) else { return };
    let fixture = Fixture::good();
    let mut finder = fixture.finder(Source::Auto);
    finder.offline = false;
    finder.cache_directory = Some(cache.into());
    finder.download.mirrors = mirror.to_str().unwrap().split(' ').map(str::to_owned).collect();
    fixture.check(&finder.find(&mut |_| ()).unwrap());
}

impl Setup {
    /// This program again, which downloads into the same cache. `shell` runs first, in the same process.
    fn another_process(&self, shell: &str) -> Command {
        let test = r#"exec "$0" --ignored --exact download_in_another_process"#;
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{shell}{test}")]).arg(std::env::current_exe().unwrap());
        command.env(CHILD[0], self.finder.download.mirrors.join(" ")).env(CHILD[1], self.folder());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

#[cfg(unix)]
#[test]
fn processes_at_once_share_one_cache() {
    let times = campaign("download-together").times();
    for _ in 0..times {
        let setup = setup(&["hash", "slow"]);
        let children = [(); 2].map(|()| setup.another_process("").spawn().unwrap());
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
        // Both asked for the first file before either had it.
        let first = setup.server.requests().iter().filter(|path| path.starts_with("/slow/train-labels")).count();
        assert_eq!(first, 2, "the processes did not overlap");
        assert_eq!(entries(&setup.folder()), sorted_names(&setup.fixture));
        assert_eq!(setup.find().unwrap().origin, Origin::Cache(setup.folder()));
    }
    record("download-together", times, "both got the data; the cache held the four verified files and nothing else");
}

#[cfg(unix)]
#[test]
fn a_process_killed_while_it_downloads_leaves_nothing_that_looks_whole() {
    let times = campaign("download-kill").times();
    for index in 0..times {
        let mut setup = setup(&["stall"]);
        let mut child = setup.another_process("").spawn().unwrap();
        let part = || fs::read_dir(setup.folder()).is_ok_and(|mut entries| entries.next().is_some());
        while !part() {
            assert!(child.try_wait().unwrap().is_none(), "the download should hang");
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(index % 7));
        child.kill().unwrap();
        child.wait().unwrap();
        let left = entries(&setup.folder());
        assert!(left.iter().all(|name| name.ends_with(".part")) && left.len() == 1, "{left:?}");
        setup.finder.download.mirrors = vec![setup.server.mirror("good")];
        setup.fixture.check(&setup.find().unwrap());
    }
    record(
        "download-kill",
        times,
        "only a temporary file was left, which is removed an hour later; the next process got the data",
    );
}

/// A limit on the size of files stands for a disk that is full: both fail in `write`.
#[cfg(unix)]
#[test]
fn without_space_the_error_says_so_and_the_cache_stays_clean() {
    let times = campaign("download-no-space").times();
    for _ in 0..times {
        let setup = setup(&["good", "no-length"]);
        let output = setup.another_process("trap '' XFSZ; ulimit -f 1; ").output().unwrap();
        assert!(!output.status.success());
        // The labels fit, the images do not.
        let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("Store") && text.contains("FileTooLarge"), "{text}");
        let mut labels = [1, 3].map(|index| setup.fixture.names()[index].to_owned());
        labels.sort();
        assert_eq!(entries(&setup.folder()), labels, "{text}");
        setup.fixture.check(&setup.find().unwrap());
    }
    record(
        "download-no-space",
        times,
        "typed error for each mirror, no file begun was left; with space again, the data came",
    );
}

#[test]
fn abandoned_parts_are_removed_and_nothing_else() {
    let setup = setup(&["good"]);
    fs::create_dir_all(setup.folder()).unwrap();
    let put = |name: &str, hours: u64| {
        let file = fs::File::create(setup.folder().join(name)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(hours * 3600)).unwrap();
    };
    put(".fashion-mnist-old.part", 2);
    put(".fashion-mnist-new.part", 0);
    put("notes.part", 2);
    setup.find().unwrap();
    let left = entries(&setup.folder());
    assert!(!left.contains(&".fashion-mnist-old.part".to_owned()));
    assert!(left.contains(&".fashion-mnist-new.part".to_owned()));
    assert!(left.contains(&"notes.part".to_owned()));
}
