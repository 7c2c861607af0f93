//! Fetching one file from the first mirror that gives the official bytes.
//!
//! Bytes go into a temporary file in the cache folder, are counted and hashed on the way, and get their final
//! name, atomically, only after both are right. So the cache never holds a partial or foreign file under an
//! official name, and any number of processes may download at once.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use sha2::{Digest, Sha256};
use ureq::{Agent, Proxy};

use crate::error::{DownloadError, MirrorError, MirrorFailure};
use crate::manifest::FileSpec;
use crate::verify;

/// Base addresses of the official files. The last is plain http: the hash says whether to trust it.
pub const MIRRORS: [&str; 3] = [
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
];

const PART_PREFIX: &str = ".fashion-mnist-";
const PART_SUFFIX: &str = ".part";
/// Longer than any download writes nothing.
const ABANDONED_AFTER: Duration = Duration::from_secs(3600);

/// How far a download is. `received` starts again at 0 when the next mirror is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// Name of the file.
    pub file: &'a str,
    /// Base address of the mirror.
    pub mirror: &'a str,
    /// Bytes of this file received so far.
    pub received: u64,
    /// Bytes of this file in all.
    pub total: u64,
}

/// Mirrors and limits of a download. The limits hold for each file and mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// Base addresses, tried in order.
    pub mirrors: Vec<String>,
    /// Limit for resolving a name, and again for connecting.
    pub connect_timeout: Duration,
    /// Limit for the silence between two pieces of a response.
    pub stall_timeout: Duration,
    /// Limit for a file from request to last byte, redirects included.
    pub overall_timeout: Duration,
    /// Redirects followed at most.
    pub max_redirects: u32,
    /// Whether `HTTPS_PROXY` and its relatives are honoured.
    pub proxy_from_environment: bool,
}

impl Download {
    /// [`MIRRORS`], 10 s to connect, 20 s of silence, 10 minutes in all, 5 redirects.
    pub fn official() -> Self {
        Self {
            mirrors: MIRRORS.map(str::to_owned).to_vec(),
            connect_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(20),
            overall_timeout: Duration::from_secs(600),
            max_redirects: 5,
            proxy_from_environment: true,
        }
    }

    /// Puts the file into `folder` under its own name, replacing what is there.
    pub(crate) fn fetch(
        &self,
        spec: &FileSpec,
        folder: &Path,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), DownloadError> {
        fs::create_dir_all(folder).map_err(|error| DownloadError::Cache { path: folder.to_owned(), error })?;
        remove_abandoned_parts(folder);
        let agent = self.agent();
        let mut failures = Vec::new();
        for mirror in &self.mirrors {
            let url = format!("{}/{}", mirror.trim_end_matches('/'), spec.name);
            tracing::debug!("downloading {url}");
            let mut report = |received| {
                progress(Progress { file: &spec.name, mirror, received, total: spec.size });
            };
            match fetch_from(&agent, &url, spec, folder, &mut report) {
                Ok(()) => return Ok(()),
                Err(error) => {
                    tracing::debug!("{url}: {error}");
                    failures.push(MirrorFailure { url, error });
                }
            }
        }
        Err(DownloadError::Mirrors(failures))
    }

    fn agent(&self) -> Agent {
        let proxy = self.proxy_from_environment.then(Proxy::try_from_env).flatten();
        Agent::config_builder()
            .proxy(proxy)
            .timeout_resolve(Some(self.connect_timeout))
            .timeout_connect(Some(self.connect_timeout))
            .timeout_per_read(Some(self.stall_timeout))
            .timeout_per_write(Some(self.stall_timeout))
            .timeout_global(Some(self.overall_timeout))
            .max_redirects(self.max_redirects)
            // The file is compressed already, and the hash is of these very bytes.
            .accept_encoding("identity")
            .build()
            .new_agent()
    }
}

fn fetch_from(
    agent: &Agent,
    url: &str,
    spec: &FileSpec,
    folder: &Path,
    report: &mut dyn FnMut(u64),
) -> Result<(), MirrorError> {
    let response = agent.get(url).call().map_err(transport_error)?;
    let wrong_size = |found| MirrorError::Size { expected: spec.size, found };
    if let Some(announced) = response.body().content_length()
        && announced != spec.size
    {
        return Err(wrong_size(announced));
    }
    // No more than one byte too many, whatever is announced.
    let limit = spec.size.saturating_add(1);
    let mut body = response.into_body().into_reader().take(limit);
    let mut part = tempfile::Builder::new()
        .prefix(PART_PREFIX)
        .suffix(PART_SUFFIX)
        .tempfile_in(folder)
        .map_err(MirrorError::Store)?;
    let mut hash = Sha256::new();
    let mut received = 0u64;
    let mut piece = vec![0; 64 * 1024];
    report(0);
    loop {
        let count = body.read(&mut piece).map_err(|error| transport_error(error.into()))?;
        if count == 0 {
            break;
        }
        hash.update(&piece[..count]);
        part.write_all(&piece[..count]).map_err(MirrorError::Store)?;
        received += count as u64;
        report(received.min(spec.size));
    }
    if received != spec.size {
        return Err(wrong_size(received));
    }
    let found = verify::hex(&hash.finalize());
    if found != spec.sha256 {
        return Err(MirrorError::Hash { expected: spec.sha256.clone(), found });
    }
    part.as_file().sync_all().map_err(MirrorError::Store)?;
    let path = folder.join(&spec.name);
    match part.persist(&path) {
        Ok(_) => Ok(()),
        // Windows refuses to replace a file that is open elsewhere. Another process's good copy will do.
        Err(_) if verify::read(&path, spec).is_ok() => Ok(()),
        Err(error) => Err(MirrorError::Store(error.error)),
    }
}

fn transport_error(error: ureq::Error) -> MirrorError {
    match error {
        ureq::Error::StatusCode(status) => MirrorError::Status(status),
        ureq::Error::Timeout(which) => MirrorError::Timeout(which.to_string()),
        ureq::Error::TooManyRedirects => MirrorError::Redirects,
        other => MirrorError::Transport(Box::new(other)),
    }
}

/// A killed process leaves its temporary file behind. Best effort: what cannot be removed does no harm.
fn remove_abandoned_parts(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_part = name.to_str().is_some_and(|name| name.starts_with(PART_PREFIX) && name.ends_with(PART_SUFFIX));
        let abandoned = || {
            let age = entry.metadata().ok()?.modified().ok()?.elapsed().ok()?;
            Some(age > ABANDONED_AFTER)
        };
        if is_part && abandoned() == Some(true) {
            // Another process may have removed it first.
            let _ = fs::remove_file(entry.path());
        }
    }
}
