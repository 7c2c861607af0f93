//! Arguments of the commands that time kernels.

use clap::Args;
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Examples of `kernels bench`.
pub const BENCH_EXAMPLES: &str = "\
Examples:
  trainer kernels bench conv2d.fwd         on the layers of depth2
  trainer kernels bench dense --layer lenet5-fc1,depth3-fc1 --json
  trainer kernels bench relu.fwd.vec4 --case image-3x64x14x14 --cold";

/// Examples of `kernels roofline`.
pub const ROOFLINE_EXAMPLES: &str = "\
Examples:
  trainer kernels roofline --layer depth2
  trainer kernels roofline conv2d dense --html roofline.html";

/// Examples of `kernels tune`.
pub const TUNE_EXAMPLES: &str = "\
Examples:
  trainer kernels tune --out tuned.toml    the fastest rows of every layer, for train --tuned tuned.toml
  trainer kernels tune conv2d --layer depth2 --any-order";

/// Examples of `kernels report`.
pub const REPORT_EXAMPLES: &str = "\
Examples:
  trainer kernels report --out bench.md
  trainer kernels report --layer lenet5 --recipe lenet5 --out -";

/// Examples of `kernels course`.
pub const COURSE_EXAMPLES: &str = "\
Examples:
  trainer kernels course docs/course --results docs/results/course.json    measure, then fill the pages
  trainer kernels course docs/course --results docs/results/course.json --keep";

/// How to time.
#[derive(Clone, Debug, PartialEq, Args)]
#[command(next_help_heading = "Timing")]
pub struct TimingArgs {
    /// Median of N submissions, each of many launches; fewer, but 5 at least, where one takes long
    #[arg(long, value_name = "N", default_value = "15")]
    pub samples: NonZeroUsize,
    /// Change the arguments from launch to launch, so that no cache holds them
    #[arg(long)]
    pub cold: bool,
    /// Compile the shaders with run-time checks; training does without
    #[arg(long)]
    pub checked: bool,
}

/// Arguments of `kernels bench`.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct KernelsBenchArgs {
    /// Parts of kernel ids, or whole ones [default: all kernels]
    #[arg(value_name = "FILTER")]
    pub filters: Vec<String>,
    /// Parts of the names of layers, <RECIPE>-<LAYER> [default: depth2]
    #[arg(long, value_name = "NAME", value_delimiter = ',', conflicts_with = "case")]
    pub layer: Vec<String>,
    /// The case of this name instead, of those that `kernels check` knows
    #[arg(long, value_name = "NAME")]
    pub case: Option<String>,
    /// How to time.
    #[command(flatten)]
    pub timing: TimingArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `kernels roofline`.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct KernelsRooflineArgs {
    /// Parts of kernel ids, or whole ones [default: all kernels]
    #[arg(value_name = "FILTER")]
    pub filters: Vec<String>,
    /// Parts of the names of layers, <RECIPE>-<LAYER> [default: every layer that a naive kernel does in good time]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub layer: Vec<String>,
    /// File to write: the picture and the table as a page
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// How to time.
    #[command(flatten)]
    pub timing: TimingArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `kernels tune`.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct KernelsTuneArgs {
    /// Parts of kernel ids, or whole ones [default: all kernels]
    #[arg(value_name = "FILTER")]
    pub filters: Vec<String>,
    /// Parts of the names of layers, <RECIPE>-<LAYER> [default: every layer]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub layer: Vec<String>,
    /// Choose among all rows, also those that sum in another order: results then differ in the last bits
    #[arg(long)]
    pub any_order: bool,
    /// File or folder to write the table to, for `train --tuned`; in a folder as <CLASS>.toml
    #[arg(long, value_name = "PATH")]
    pub out: Option<PathBuf>,
    /// How to time.
    #[command(flatten)]
    pub timing: TimingArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `kernels report`.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct KernelsReportArgs {
    /// Parts of the names of layers, <RECIPE>-<LAYER> [default: every layer that a naive kernel does in good time]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub layer: Vec<String>,
    /// Recipes whose training steps are timed [default: all of them]
    #[arg(long, value_name = "RECIPE", value_delimiter = ',')]
    pub recipe: Vec<String>,
    /// File or folder to write to, in a folder as bench-<ADAPTER>.md; - for stdout
    #[arg(long, value_name = "PATH", default_value = "-")]
    pub out: PathBuf,
    /// How to time.
    #[command(flatten)]
    pub timing: TimingArgs,
    /// Print JSON; the page is written where --out names a file or folder, too
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `kernels course`.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct KernelsCourseArgs {
    /// Folder with the pages, which say what to measure
    #[arg(value_name = "FOLDER")]
    pub pages: PathBuf,
    /// File of results: measured, written, and filled into the pages
    #[arg(long, value_name = "FILE")]
    pub results: PathBuf,
    /// Measure nothing; fill the pages from the file as it is
    #[arg(long)]
    pub keep: bool,
    /// How to time.
    #[command(flatten)]
    pub timing: TimingArgs,
}
