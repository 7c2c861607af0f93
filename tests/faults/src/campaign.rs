//! The campaigns: what is injected, and how often.

use std::path::Path;
use std::{env, fs, io};

/// Set to `full` by `cargo xtask faults`; otherwise campaigns take a sample.
pub const SCALE_VARIABLE: &str = "SELVEDGE_FAULTS";

/// Names the folder that campaigns record their outcome in.
pub const LEDGER_VARIABLE: &str = "SELVEDGE_FAULTS_LEDGER";

/// The test programs that campaigns are in.
pub const TEST_TARGETS: &[&str] = &["download", "hostile", "kills", "losses"];

/// One kind of fault, injected many times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Campaign {
    /// Short name.
    pub id: &'static str,
    /// What is injected, for the table.
    pub injected: &'static str,
    /// How often in `cargo test`.
    pub sample: u64,
    /// How often in `cargo xtask faults`.
    pub full: u64,
}

impl Campaign {
    /// How often this time.
    pub fn times(&self) -> u64 {
        if env::var_os(SCALE_VARIABLE).is_some_and(|scale| scale == "full") { self.full } else { self.sample }
    }
}

/// The campaign of this name.
///
/// # Panics
/// If there is none: a test that counts nothing must not pass.
pub fn campaign(id: &str) -> &'static Campaign {
    match CAMPAIGNS.iter().find(|campaign| campaign.id == id) {
        Some(campaign) => campaign,
        None => panic!("there is no campaign `{id}`; add it to CAMPAIGNS"),
    }
}

/// Writes down how often a fault was injected and what happened, if anybody asked for it.
///
/// # Panics
/// If it cannot be written.
pub fn record(id: &str, times: u64, happened: &str) {
    let campaign = campaign(id);
    println!("{id}: {times} times {}: {happened}", campaign.injected);
    let Some(folder) = env::var_os(LEDGER_VARIABLE) else {
        return;
    };
    let written: io::Result<()> = fs::create_dir_all(&folder)
        .and_then(|()| fs::write(Path::new(&folder).join(id), format!("{times}\n{happened}\n")));
    if let Err(error) = written {
        panic!("cannot record in {}: {error}", Path::new(&folder).display());
    }
}

const fn row(id: &'static str, injected: &'static str, sample: u64, full: u64) -> Campaign {
    Campaign { id, injected, sample, full }
}

/// Every campaign, in the order of the table.
pub const CAMPAIGNS: &[Campaign] = &[
    row("kill-anywhere", "SIGKILL at a random moment of a run", 3, 200),
    row("kill-epochs", "the same, over two epochs of six steps", 1, 20),
    row("kill-gpu", "the same, training on a GPU adapter", 1, 10),
    row("kill-save", "SIGKILL while a checkpoint is written", 6, 500),
    row("kill-best", "the same, in a run that ends with the weights of its best epoch", 4, 100),
    row("interrupt", "SIGINT or SIGTERM at a random moment", 2, 50),
    row("device-loss", "device lost at a random moment of training", 1, 50),
    row("device-hang", "device stops answering at a random moment of training", 1, 10),
    row("checkpoint-fallback", "newest checkpoint of a run damaged at random", 50, 2_000),
    row("idx-damage", "IDX file damaged at random", 500, 20_000),
    row("gzip-damage", "gzip file damaged at random", 500, 20_000),
    row("weights-damage", "weights file damaged at random", 300, 20_000),
    row("recipe-damage", "recipe damaged at random", 300, 20_000),
    row("sweep-damage", "sweep damaged at random", 300, 20_000),
    row("tuned-damage", "table of measured choices damaged at random", 300, 20_000),
    row("checkpoint-damage", "checkpoint damaged at random", 300, 20_000),
    row("truncation", "file of each format cut, at every byte", 1, 1),
    row("download-faults", "mirror that refuses, stalls, redirects for ever, or sends something else", 11, 110),
    row("download-together", "two processes that download at once", 2, 50),
    row("download-kill", "SIGKILL while a file is downloaded", 2, 50),
    row("download-no-space", "no space for a download", 1, 20),
    row("corpus", "file of the fuzz corpus", 1, 1),
];
