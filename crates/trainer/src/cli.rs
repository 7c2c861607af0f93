//! The command line.

use crate::bench::args::{
    BENCH_EXAMPLES, COURSE_EXAMPLES, KernelsBenchArgs, KernelsCourseArgs, KernelsReportArgs, KernelsRooflineArgs,
    KernelsTuneArgs, REPORT_EXAMPLES, ROOFLINE_EXAMPLES, TUNE_EXAMPLES,
};
use crate::recipe::{Normalise, OptimizerKind, Order, Precision};
use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use kernels::check::Data;
use std::ffi::OsString;
use std::fmt;
use std::num::NonZeroU64;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;

const EXAMPLES: &str = "\
Examples:
  trainer                                  train lenet5 for 2 epochs
  trainer train depth2 --epochs 5 --lr 5e-4
  trainer train my.toml --out runs/mine    a recipe of your own
  trainer eval runs/mine                   test what was trained
  trainer doctor                           which GPUs are there
  trainer kernels check                    compare every GPU kernel with the CPU reference";

const TRAIN_EXAMPLES: &str = "\
Examples:
  trainer train                            lenet5, 20 epochs
  trainer train depth3 --seed 1 --device gpu --backend vulkan
  trainer train depth2 --optimizer sgd --lr 0.05 --momentum 0.9
  trainer train --resume runs/lenet5-20260101T120000Z
  trainer train lenet5 --init start.safetensors --order sequential --log-every 1 --max-steps 50";

const EVAL_EXAMPLES: &str = "\
Examples:
  trainer eval runs/lenet5-20260101T120000Z
  trainer eval --recipe depth2 --weights depth2.safetensors";

const EVAL_USAGE: &str = "trainer eval [OPTIONS] <RUN>
       trainer eval [OPTIONS] --recipe <RECIPE> --weights <FILE>";

const RUN_REPORT_EXAMPLES: &str = "\
Examples:
  trainer report runs/mine                 write runs/mine/report.html
  trainer report runs/mine --images 0,12,345
  trainer report runs/one runs/two --out comparison.html";

const REPRODUCE_EXAMPLES: &str = "\
Examples:
  trainer reproduce                        every row; scaled down on a software adapter
  trainer reproduce lenet5 svm-linear --seeds 3 --epochs-scale 1
  trainer reproduce --epochs-scale 0.05 --out results";

const SWEEP_EXAMPLES: &str = "\
Examples:
  trainer sweep                            the 12 networks of R1
  trainer sweep grid.toml --epochs 5 --seeds 3
  trainer sweep r1 --emit slurm            a job script instead, for sbatch";

const SWEEP_GRID: &str = "\
A grid is a file such as

  name = \"rates\"
  recipes = [\"lenet5\", \"depth2\"]
  seeds = [0, 1]

  [axes]
  \"optimizer.lr\" = [1e-3, 1e-4]
  size = [{ \"train.batch_size\" = 32, \"train.epochs\" = 5 }, { \"train.batch_size\" = 64, \"train.epochs\" = 10 }]";

const LIST_EXAMPLES: &str = "\
Examples:
  trainer list
  trainer list --json";

const DOCTOR_EXAMPLES: &str = "\
Examples:
  trainer doctor
  trainer doctor --probe && echo there is a GPU adapter";

const DUMP_EXAMPLES: &str = "\
Examples:
  trainer dump lenet5 --weights model.safetensors --split test --range 0..32 --out batch.safetensors";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  trainer completions bash > ~/.local/share/bash-completion/completions/trainer
  trainer completions fish > ~/.config/fish/completions/trainer.fish";

const KERNELS_SHOW_EXAMPLES: &str = "\
Examples:
  trainer kernels show conv2d.fwd.tiled    bindings, sizes, work, time under the roofline, source
  trainer kernels show conv2d.bwd_weight.tiled_split_k --layer depth2-conv2
  trainer kernels show relu.fwd.vec4 --case plain-260 --static-only --json";

const KERNELS_WATCH_EXAMPLES: &str = "\
Examples:
  trainer kernels watch conv2d.fwd.tiled   edit its shader, save, see what that does
  trainer kernels watch conv2d.fwd.tiled --layer lenet5-conv2
  trainer kernels watch relu.fwd.vec4 --case plain-260 --once";

const KERNELS_EXAMPLES: &str = "\
Examples:
  trainer kernels watch conv2d.fwd.tiled   check and time a kernel at every save of its shader
  trainer kernels show conv2d.fwd.tiled    what there is to know about a kernel
  trainer kernels list                     which kernels there are, and which run here
  trainer kernels check                    compare every kernel with the CPU reference";

const KERNELS_PROFILE_EXAMPLES: &str = "\
Examples:
  trainer kernels profile depth2
  trainer kernels profile lenet5 --batch-size 256 --trace step.json";

const KERNELS_CHECK_EXAMPLES: &str = "\
Examples:
  trainer kernels check                    every kernel, every case
  trainer kernels check conv2d.fwd dense   what has one of these in its id
  trainer kernels check relu --data integers --seed 7 --no-checks";

const KERNELS_LIST_EXAMPLES: &str = "\
Examples:
  trainer kernels list
  trainer kernels list conv2d --json";

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 runtime, 2 usage, 3 no adapter, 4 data missing or corrupt, 5 diverged,
6 weights or checkpoint invalid, 7 device lost or out of memory, 130/143 interrupted by SIGINT/SIGTERM (after a
checkpoint)";

/// Trains the networks of published Fashion-MNIST reports on hand-written GPU kernels.
#[derive(Clone, Debug, Parser)]
#[command(name = "trainer", version, before_help = EXAMPLES, after_help = EXIT_CODES)]
pub struct Cli {
    /// Where to run.
    #[command(flatten)]
    pub device: DeviceArgs,
    /// What to run on.
    #[command(flatten)]
    pub data: DataArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Subcommand)]
pub enum Command {
    /// Train a network and write a run folder
    #[command(before_help = TRAIN_EXAMPLES)]
    Train(Box<TrainArgs>),
    /// Test a trained network
    #[command(before_help = EVAL_EXAMPLES, override_usage = EVAL_USAGE)]
    Eval(EvalArgs),
    /// Write figures, mistakes and feature maps of a run as one page, or compare several runs
    #[command(before_help = RUN_REPORT_EXAMPLES)]
    Report(ReportArgs),
    /// Train every system of the reports and write a table of ours beside what they report
    #[command(before_help = REPRODUCE_EXAMPLES)]
    Reproduce(Box<ReproduceArgs>),
    /// Train a grid of recipes and choose among them
    #[command(before_help = SWEEP_EXAMPLES, after_help = SWEEP_GRID)]
    Sweep(Box<SweepArgs>),
    /// List the built-in recipes
    #[command(before_help = LIST_EXAMPLES)]
    List(ListArgs),
    /// Show which GPU adapters are there and what they can do
    #[command(before_help = DOCTOR_EXAMPLES)]
    Doctor(DoctorArgs),
    /// Write inputs, logits, loss and gradients of one batch, to compare with other frameworks
    #[command(before_help = DUMP_EXAMPLES)]
    Dump(DumpArgs),
    /// Print a script that completes command lines
    #[command(before_help = COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArgs),
    /// List the GPU kernels, check them against the CPU reference, watch one being written, or time a training step
    #[command(subcommand, before_help = KERNELS_EXAMPLES)]
    Kernels(KernelsCommand),
}

/// What to do with kernels.
#[derive(Clone, Debug, PartialEq, Subcommand)]
pub enum KernelsCommand {
    /// List the kernels, and say which run on this device
    #[command(before_help = KERNELS_LIST_EXAMPLES)]
    List(KernelsListArgs),
    /// Compare kernels with the CPU reference, element by element
    #[command(before_help = KERNELS_CHECK_EXAMPLES)]
    Check(KernelsCheckArgs),
    /// Show one kernel: its shader as compiled, bindings, sizes, work, and where it lies under the roofline
    #[command(before_help = KERNELS_SHOW_EXAMPLES)]
    Show(KernelsShowArgs),
    /// Check and time one kernel, again at every save of its shader
    #[command(before_help = KERNELS_WATCH_EXAMPLES)]
    Watch(KernelsWatchArgs),
    /// Time a training step, dispatch by dispatch
    #[command(before_help = KERNELS_PROFILE_EXAMPLES)]
    Profile(KernelsProfileArgs),
    /// Time kernels on the layers of the networks, against naive and against the roofline
    #[command(before_help = BENCH_EXAMPLES)]
    Bench(KernelsBenchArgs),
    /// Show every kernel under the roofline of this device, as a table and as a picture
    #[command(before_help = ROOFLINE_EXAMPLES)]
    Roofline(KernelsRooflineArgs),
    /// Find the fastest kernel for every layer on this device
    #[command(before_help = TUNE_EXAMPLES)]
    Tune(KernelsTuneArgs),
    /// Write all that can be timed here as a page of Markdown
    #[command(before_help = REPORT_EXAMPLES)]
    Report(KernelsReportArgs),
    /// Measure the figures of docs/course and fill them into its pages; `cargo xtask course` calls it
    #[command(before_help = COURSE_EXAMPLES)]
    Course(KernelsCourseArgs),
}

/// Where to run.
#[derive(Clone, Debug, Default, PartialEq, Args)]
#[command(next_help_heading = "Device")]
pub struct DeviceArgs {
    /// `auto` takes a GPU if there is one and the CPU reference if not; with --adapter or --backend it insists on a GPU
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHERE")]
    pub device: Device,
    /// Part of the name of the GPU adapter
    #[arg(long, global = true, value_parser = NonEmptyStringValueParser::new(), value_name = "NAME")]
    pub adapter: Option<String>,
    /// Graphics API
    #[arg(long, global = true, value_enum, value_name = "API")]
    pub backend: Option<Backend>,
    /// Choose kernels by this table of `kernels tune` instead of the built-in one; `off` for by none
    #[arg(long, global = true, value_parser = NonEmptyStringValueParser::new(), value_name = "FILE")]
    pub tuned: Option<String>,
}

/// Where kernels run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Device {
    /// On a GPU if there is one, else on the CPU reference
    #[default]
    Auto,
    /// On a GPU, software drivers included
    Gpu,
    /// On the CPU reference
    Reference,
}

/// A graphics API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// Vulkan
    Vulkan,
    /// Metal
    Metal,
    /// Direct3D 12
    Dx12,
    /// OpenGL or OpenGL ES
    Gl,
}

/// What to run on.
#[derive(Clone, Debug, Default, PartialEq, Args)]
#[command(next_help_heading = "Data")]
pub struct DataArgs {
    /// Folder with the four official .gz files
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Never use the network
    #[arg(long, global = true)]
    pub offline: bool,
    /// Use images drawn by code instead of Fashion-MNIST; SELVEDGE_STAND_IN=200,100 draws so few to train and test with
    #[arg(long, global = true)]
    pub synthetic: bool,
    /// Never use images drawn by code: without Fashion-MNIST, end with exit code 4
    #[arg(long, global = true)]
    pub no_synthetic: bool,
}

impl DataArgs {
    /// Looks where these arguments say.
    pub fn finder(&self) -> fashion_mnist::Finder {
        use fashion_mnist::{Finder, Source};
        let source = match &self.data_dir {
            _ if self.synthetic => Source::Synthetic,
            Some(folder) => Source::Directory(folder.clone()),
            None => Source::Auto,
        };
        Finder { offline: self.offline, allow_stand_in: !self.no_synthetic, ..Finder::new(source) }
    }
}

/// Arguments of `train`.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct TrainArgs {
    /// Name of a built-in recipe, or path of a recipe file
    #[arg(default_value = "lenet5")]
    pub recipe: String,
    /// Start from these weights
    #[arg(long, value_name = "FILE")]
    pub init: Option<PathBuf>,
    /// Write the loss to metrics.jsonl every N steps
    #[arg(long, value_name = "N")]
    pub log_every: Option<NonZeroU64>,
    /// Write a checkpoint every N steps, besides those after every epoch
    #[arg(long, value_name = "N")]
    pub checkpoint_every: Option<NonZeroU64>,
    /// Go on with the run in this folder from its newest checkpoint; --epochs and --max-steps may extend it
    #[arg(long, value_name = "RUN", conflicts_with_all = ["recipe", "init", "out"])]
    pub resume: Option<PathBuf>,
    /// With --resume and more epochs or steps: go on even though the run then ends otherwise than one that was as long
    /// from the start, because its learning rate or its best epoch depends on the length
    // clap waives the requirement where `resume` would conflict with what is there.
    #[arg(long, requires = "resume", conflicts_with = "recipe")]
    pub extend: bool,
    /// What to do about a step that leaves NaN or infinity behind
    #[arg(long, value_enum, default_value_t)]
    pub on_nan: OnNan,
    /// Run every step through the tape instead of replaying a recorded one: slower, the same numbers
    #[arg(long)]
    pub eager: bool,
    /// Compile the shaders with run-time checks of indices and loops: slower, the same numbers
    #[arg(long)]
    pub checked: bool,
    /// Run folder to write [default: runs/RECIPE-TIME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write no report.html
    #[arg(long)]
    pub no_report: bool,
    /// Where --out holds this run already, go on with it if it is unfinished and do nothing if it is finished
    #[arg(long, requires = "out", conflicts_with = "resume")]
    pub once: bool,
    /// Show no progress
    #[arg(long, short)]
    pub quiet: bool,
    /// Print events as JSON lines on stdout, and no progress
    #[arg(long)]
    pub json: bool,
    /// Changes to the recipe.
    #[command(flatten)]
    pub overrides: Overrides,
}

/// What to do about a step that leaves NaN or infinity behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OnNan {
    /// End the run; its last checkpoint stays
    #[default]
    Stop,
    /// Undo the step, pass over its batch and go on, unless it happens again and again
    Skip,
}

/// Changes to a recipe.
#[derive(Clone, Debug, Default, PartialEq, Args)]
#[command(next_help_heading = "Changes to the recipe")]
pub struct Overrides {
    /// Any field by its place in the recipe file, such as train.epochs=3, layers.9.rate=0.1, schedule.kind=cosine,
    /// data.training_images=none; after the other flags
    #[arg(long, value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// Passes over the training images
    #[arg(long, value_name = "N")]
    pub epochs: Option<u64>,
    /// Stop after N steps
    #[arg(long, value_name = "N")]
    pub max_steps: Option<u64>,
    /// Images per step
    #[arg(long, value_name = "N")]
    pub batch_size: Option<usize>,
    /// Of initial weights, order, split and dropout
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Order of the training images
    #[arg(long, value_enum)]
    pub order: Option<Order>,
    /// Training images kept back to validate on
    #[arg(long, value_name = "N")]
    pub validation: Option<usize>,
    /// Map pixels to [0, 1] or [-1, 1]
    #[arg(long, value_enum)]
    pub normalise: Option<Normalise>,
    /// How activations are stored: `f16-storage` takes half the memory, and a device with 16-bit floats
    #[arg(long, value_enum)]
    pub precision: Option<Precision>,
    /// Rate of every dropout layer
    #[arg(long, value_name = "RATE")]
    pub dropout: Option<f64>,
    /// Another optimiser starts from PyTorch's defaults, learning rate included
    #[arg(long, value_enum, value_name = "NAME")]
    pub optimizer: Option<OptimizerKind>,
    /// Learning rate
    #[arg(long)]
    pub lr: Option<f64>,
    /// sgd, rmsprop
    #[arg(long)]
    pub momentum: Option<f64>,
    /// sgd
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub nesterov: Option<bool>,
    /// All optimisers
    #[arg(long)]
    pub weight_decay: Option<f64>,
    /// adam, adamw
    #[arg(long)]
    pub beta1: Option<f64>,
    /// adam, adamw
    #[arg(long)]
    pub beta2: Option<f64>,
    /// adam, adamw, rmsprop
    #[arg(long)]
    pub eps: Option<f64>,
    /// rmsprop
    #[arg(long)]
    pub alpha: Option<f64>,
}

/// Arguments of `eval`.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct EvalArgs {
    /// Run folder
    #[arg(required_unless_present_any = ["recipe", "weights"], conflicts_with_all = ["recipe", "weights"])]
    run: Option<PathBuf>,
    /// Name of a built-in recipe, or path of a recipe file
    #[arg(long, requires = "weights", value_name = "RECIPE")]
    recipe: Option<String>,
    /// Trained weights (safetensors)
    #[arg(long, requires = "recipe", value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

/// What `eval` is to test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvalTarget {
    /// A run folder.
    Run(PathBuf),
    /// Weights with the recipe of their network.
    Weights {
        /// Name or path.
        recipe: String,
        /// The file.
        weights: PathBuf,
    },
}

impl EvalArgs {
    /// What to test. `None` only if these arguments did not come from a command line.
    pub fn target(&self) -> Option<EvalTarget> {
        match (&self.run, &self.recipe, &self.weights) {
            (Some(run), None, None) => Some(EvalTarget::Run(run.clone())),
            (None, Some(recipe), Some(weights)) => {
                Some(EvalTarget::Weights { recipe: recipe.clone(), weights: weights.clone() })
            }
            _ => None,
        }
    }
}

/// Arguments of `report`.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct ReportArgs {
    /// Run folders, finished or not
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// File to write [default: RUN/report.html, for several runs comparison.html]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Test images to show feature maps of, counted from 0 [default: the first of four classes]
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    pub images: Vec<usize>,
    /// Print what was written, and the figures of the runs, as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `reproduce`.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct ReproduceArgs {
    /// Built-in recipes, or the reports R1 to R5 [default: all]
    #[arg(value_name = "ROW")]
    pub rows: Vec<String>,
    /// Train every row with the seeds 0 to N-1 [default: 3; 1 on a software adapter]
    #[arg(long, value_name = "N")]
    pub seeds: Option<NonZeroU64>,
    /// Train this share of every row's epochs, in steps [default: 1; 0.01 on a software adapter]
    #[arg(long, value_name = "F", value_parser = scale)]
    pub epochs_scale: Option<f64>,
    /// Folder for the tables [default: docs/results if there is one, else results]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Folder for the runs
    #[arg(long, value_name = "DIR", default_value = "runs/reproduce")]
    pub runs: PathBuf,
    /// Print the table as JSON
    #[arg(long)]
    pub json: bool,
    /// Show no progress
    #[arg(long, short)]
    pub quiet: bool,
}

fn scale(text: &str) -> Result<f64, &'static str> {
    let number: f64 = text.parse().map_err(|_| "expected a number, such as 0.05")?;
    if number > 0.0 && number <= 1e3 { Ok(number) } else { Err("expected a number above 0 and at most 1000") }
}

/// Arguments of `sweep`.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct SweepArgs {
    /// `r1`, or path of a grid file
    #[arg(default_value = "r1")]
    pub sweep: String,
    /// Use the seeds 0 to N-1 instead of the grid's
    #[arg(long, value_name = "N")]
    pub seeds: Option<NonZeroU64>,
    /// Folder for the runs and the table [default: runs/sweep-NAME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Write the runs down instead of making them
    #[arg(long, value_enum, value_name = "FORM")]
    pub emit: Option<Emit>,
    /// Print the table as JSON
    #[arg(long, conflicts_with = "emit")]
    pub json: bool,
    /// Show no progress
    #[arg(long, short)]
    pub quiet: bool,
    /// Changes to all recipes.
    #[command(flatten)]
    pub overrides: Overrides,
}

/// What a sweep is written down as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Emit {
    /// A command a line
    List,
    /// A script for GNU parallel
    Parallel,
    /// A job array for Slurm
    Slurm,
}

/// Arguments of `list`.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct ListArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `doctor`.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct DoctorArgs {
    /// Print nothing: the exit code says whether there is an adapter (0) or not (3)
    #[arg(long)]
    pub probe: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "probe")]
    pub json: bool,
}

/// Arguments of `dump`.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct DumpArgs {
    /// Name of a built-in recipe, or path of a recipe file
    pub recipe: String,
    /// Weights (safetensors)
    #[arg(long, value_name = "FILE")]
    pub weights: PathBuf,
    /// Where the images come from
    #[arg(long, value_enum, default_value_t)]
    pub split: SplitName,
    /// Which images, the end excluded
    #[arg(long, value_name = "A..B")]
    pub range: IndexRange,
    /// File to write (safetensors)
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Print what was written as JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `kernels list`.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct KernelsListArgs {
    /// Parts of kernel ids, or whole ones [default: all kernels]
    #[arg(value_name = "FILTER")]
    pub filters: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `completions`.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct CompletionsArgs {
    /// For this shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Arguments of `kernels show`.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct KernelsShowArgs {
    /// Kernel id, or a part that only one has
    pub row: String,
    /// For the case of this name [default: the one with the most work]
    #[arg(long, value_name = "NAME", conflicts_with = "layer")]
    pub case: Option<String>,
    /// For this layer of a built-in network, such as depth2-conv2
    #[arg(long, value_name = "NAME")]
    pub layer: Option<String>,
    /// Leave out what has to be measured; needs no GPU
    #[arg(long)]
    pub static_only: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `kernels watch`.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct KernelsWatchArgs {
    /// Kernel id, or a part that only one has
    pub row: String,
    /// Only the case of this name, which is timed, too [default: check every case, and time a layer]
    #[arg(long, value_name = "NAME", conflicts_with = "layer")]
    pub case: Option<String>,
    /// Time it on this layer of a built-in network, which is checked, too [default: depth2's with the most work, or a quicker one]
    ///
    /// On a software adapter with fewer images than the recipe's batch, so that a save is answered at once; `kernels bench` times
    /// whole batches.
    #[arg(long, value_name = "NAME")]
    pub layer: Option<String>,
    /// Read the shader from this file [default: its own, in the checkout around the current folder]
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Of the numbers that the kernel is fed
    #[arg(long, value_name = "N", default_value_t)]
    pub seed: u64,
    /// Compile the shader without run-time checks
    #[arg(long)]
    pub no_checks: bool,
    /// Do not measure the device at the start
    #[arg(long)]
    pub no_roofline: bool,
    /// Look at the shader once and end; the exit code says whether it is right
    #[arg(long)]
    pub once: bool,
    /// Print JSON, one line for each save
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `kernels profile`.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct KernelsProfileArgs {
    /// Name of a built-in recipe, or path of a recipe file
    #[arg(default_value = "lenet5")]
    pub recipe: String,
    /// Images per step [default: the recipe's]
    #[arg(long, value_name = "N")]
    pub batch_size: Option<usize>,
    /// How activations are stored [default: as the recipe says]
    #[arg(long, value_enum)]
    pub precision: Option<Precision>,
    /// File to write: the dispatches on a time line, for Perfetto (trace event JSON)
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// Compile the shaders with run-time checks; training does without
    #[arg(long)]
    pub checked: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `kernels check`.
#[derive(Clone, Debug, PartialEq, Args)]
pub struct KernelsCheckArgs {
    /// Parts of kernel ids, or whole ones [default: all kernels]
    #[arg(value_name = "FILTER")]
    pub filters: Vec<String>,
    /// Only the case of this name
    #[arg(long, value_name = "NAME")]
    pub case: Option<String>,
    /// Of the numbers that the kernels are fed
    #[arg(long, value_name = "N", default_value_t)]
    pub seed: u64,
    /// Only these kinds of numbers
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = data_parser())]
    data: Vec<Data>,
    /// Compile the shaders without run-time checks
    #[arg(long)]
    pub no_checks: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl KernelsCheckArgs {
    /// What to feed the kernels: all kinds unless some were named.
    pub fn data(&self) -> Vec<Data> {
        let named = |data: &Data| self.data.is_empty() || self.data.contains(data);
        Data::ALL.into_iter().filter(named).collect()
    }
}

fn data_parser() -> impl TypedValueParser<Value = Data> {
    let named = |text: String| Data::ALL.into_iter().find(|data| data.name() == text);
    PossibleValuesParser::new(Data::ALL.map(Data::name)).try_map(move |text| named(text).ok_or("no such kind"))
}

/// A part of the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SplitName {
    /// The test images
    #[default]
    Test,
    /// The images to train on, without those to validate on
    Train,
    /// The images the recipe keeps back to validate on
    Validation,
}

impl fmt::Display for SplitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Test => "test",
            Self::Train => "train",
            Self::Validation => "validation",
        })
    }
}

/// Indices `start..end`, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexRange {
    start: usize,
    end: usize,
}

impl IndexRange {
    /// These indices, if a split of `len` images has them.
    pub fn within(self, split: SplitName, len: usize) -> Result<Range<usize>, UsageError> {
        if self.end <= len { Ok(self.start..self.end) } else { Err(UsageError::Range { range: self, split, len }) }
    }
}

impl fmt::Display for IndexRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

impl FromStr for IndexRange {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (start, end) = text.split_once("..").ok_or("expected A..B, such as 0..32")?;
        let index = |text: &str| text.parse().map_err(|_| "expected two integers, such as 0..32");
        let (start, end) = (index(start)?, index(end)?);
        if start < end { Ok(Self { start, end }) } else { Err("the end must be larger than the start") }
    }
}

/// A command line that asks for the impossible.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UsageError {
    /// The optimiser has no such number.
    #[error("{flag} does not go with the optimiser {optimizer}, which has {known}")]
    NotOfOptimizer {
        /// The flag.
        flag: String,
        /// The optimiser.
        optimizer: OptimizerKind,
        /// The flags it has.
        known: String,
    },
    /// `--set` names no field, or gives it what it cannot be.
    #[error("--set {assignment}: {message}")]
    Set {
        /// What was asked for.
        assignment: String,
        /// What is wrong.
        message: String,
    },
    /// `reproduce` names neither a recipe nor a report.
    #[error("there is no row `{row}`{}; `trainer list` shows them all", did_you_mean(.suggestion))]
    UnknownRow {
        /// What was asked for.
        row: String,
        /// What is most similar.
        suggestion: Option<String>,
    },
    /// `--dropout` for a network without dropout.
    #[error("--dropout: the network of `{recipe}` has no dropout layer")]
    NoDropout {
        /// The recipe.
        recipe: String,
    },
    /// No kernel's id has this in it.
    #[error("no kernel matches `{filter}`{}; `trainer kernels list` shows them all", did_you_mean(.suggestion))]
    UnknownKernel {
        /// What was asked for.
        filter: String,
        /// What is most similar.
        suggestion: Option<String>,
    },
    /// `--layer` is part of no layer's name.
    #[error(
        "--layer `{layer}`: no layer of a built-in recipe is called so{}; {known}",
        did_you_mean(.suggestion)
    )]
    UnknownLayer {
        /// What was asked for.
        layer: String,
        /// What is most similar.
        suggestion: Option<String>,
        /// What there is.
        known: String,
    },
    /// `--case` names no case of the chosen kernels.
    #[error("--case `{case}`: the chosen kernels have no such case{}; {known}", did_you_mean(.suggestion))]
    UnknownCase {
        /// What was asked for.
        case: String,
        /// What is most similar.
        suggestion: Option<String>,
        /// What there is.
        known: String,
    },
    /// Several kernels have this in their ids, where one is wanted.
    #[error("`{filter}` could be any of {ids}; name one")]
    ManyKernels {
        /// What was asked for.
        filter: String,
        /// What it could be.
        ids: String,
    },
    /// A kernel accepts none of the chosen cases.
    #[error("{row} runs on none of the chosen cases: {reason}")]
    NoCase {
        /// The kernel.
        row: &'static str,
        /// Why.
        reason: String,
    },
    /// The shader to watch is nowhere to be found.
    #[error("no folder from here upwards has shaders/{path}; go into the checkout, or name the file with --file")]
    NoShader {
        /// Below `shaders/`.
        path: &'static str,
    },
    /// `dump` would overwrite what it reads.
    #[error("--out {path} is the file of --weights; name another")]
    SameFile {
        /// The file.
        path: String,
    },
    /// `--range` reaches past the end.
    #[error("--range {range}: the {split} split has {len} images")]
    Range {
        /// What was asked for.
        range: IndexRange,
        /// Of what.
        split: SplitName,
        /// How many there are.
        len: usize,
    },
}

fn did_you_mean(suggestion: &Option<String>) -> String {
    suggestion.as_ref().map(|name| format!(", did you mean `{name}`?")).unwrap_or_default()
}

impl Cli {
    /// Reads a command line, program name first. The error knows how to print itself and its exit code: help and
    /// version come this way, too.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let cli = Self::try_parse_from(arguments)?;
        match cli.contradiction() {
            Some(message) => Err(Self::command_line().error(ErrorKind::ArgumentConflict, message)),
            None => Ok(cli),
        }
    }

    /// For global flags, which may stand on either side of the command, clap's own rules do not always hold.
    fn contradiction(&self) -> Option<&'static str> {
        let DeviceArgs { device, adapter, backend, .. } = &self.device;
        if *device == Device::Reference && adapter.is_some() {
            return Some("--adapter chooses a GPU, but --device reference uses none");
        }
        if *device == Device::Reference && backend.is_some() {
            return Some("--backend chooses a graphics API, but --device reference uses none");
        }
        if *device == Device::Reference && matches!(self.command, Some(Command::Kernels(_))) {
            return Some("kernels run on a GPU, but --device reference uses none");
        }
        if self.data.synthetic && self.data.data_dir.is_some() {
            return Some("--data-dir names files to read, but --synthetic reads none");
        }
        if self.data.synthetic && self.data.no_synthetic {
            return Some("--synthetic asks for what --no-synthetic refuses");
        }
        None
    }

    /// What to do; without a command, train the smallest network for a short time.
    pub fn command(&self) -> Command {
        self.command.clone().unwrap_or_else(|| {
            Command::Train(Box::new(TrainArgs {
                recipe: "lenet5".to_owned(),
                overrides: Overrides { epochs: Some(2), ..Overrides::default() },
                init: None,
                log_every: None,
                checkpoint_every: None,
                resume: None,
                extend: false,
                on_nan: OnNan::Stop,
                eager: false,
                checked: false,
                out: None,
                no_report: false,
                once: false,
                quiet: false,
                json: false,
            }))
        })
    }

    /// The whole definition: commands, flags, help.
    pub fn command_line() -> clap::Command {
        <Self as CommandFactory>::command()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Cli, clap::Error> {
        Cli::read(std::iter::once("trainer").chain(line.split_whitespace()).map(OsString::from))
    }

    fn train(line: &str) -> TrainArgs {
        match read(line).unwrap().command() {
            Command::Train(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command_line().debug_assert();
    }

    #[test]
    fn no_arguments_train_lenet5_for_two_epochs() {
        assert_eq!(train(""), train("train lenet5 --epochs 2"));
        assert_eq!(train("--device reference"), train("train --epochs 2"));
        assert_eq!(train("train").overrides, Overrides::default());
    }

    #[test]
    fn every_flag_of_train_is_understood() {
        let args = train(
            "train depth2 --epochs 3 --max-steps 50 --batch-size 8 --seed 7 --order sequential --validation 100 \
             --normalise unit --precision f16-storage --dropout 0.25 --optimizer sgd --lr 0.1 --momentum 0.9 --nesterov --weight-decay 1e-4 \
             --init a.safetensors --log-every 1 --out runs/x --quiet",
        );
        let expected = Overrides {
            epochs: Some(3),
            max_steps: Some(50),
            batch_size: Some(8),
            seed: Some(7),
            order: Some(Order::Sequential),
            validation: Some(100),
            normalise: Some(Normalise::Unit),
            precision: Some(Precision::F16Storage),
            dropout: Some(0.25),
            optimizer: Some(OptimizerKind::Sgd),
            lr: Some(0.1),
            momentum: Some(0.9),
            nesterov: Some(true),
            weight_decay: Some(1e-4),
            ..Overrides::default()
        };
        assert_eq!((args.recipe.as_str(), &args.overrides), ("depth2", &expected));
        assert_eq!((args.init, args.out), (Some("a.safetensors".into()), Some("runs/x".into())));
        assert_eq!((args.log_every, args.quiet), (NonZeroU64::new(1), true));
        assert_eq!(train("train --nesterov=false").overrides.nesterov, Some(false));
        assert_eq!(train("train --nesterov depth2").recipe, "depth2");
        for (name, kind) in
            [("adam", OptimizerKind::Adam), ("adamw", OptimizerKind::AdamW), ("rmsprop", OptimizerKind::RmsProp)]
        {
            assert_eq!(train(&format!("train --optimizer {name}")).overrides.optimizer, Some(kind));
        }
    }

    #[test]
    fn global_flags_stand_anywhere() {
        for line in ["--device gpu --backend gl train --synthetic", "train --synthetic --backend gl --device gpu"] {
            let cli = read(line).unwrap();
            assert_eq!((cli.device.device, cli.device.backend), (Device::Gpu, Some(Backend::Gl)), "{line}");
            assert!(cli.data.synthetic, "{line}");
        }
    }

    #[test]
    fn data_flags_choose_the_source() {
        use fashion_mnist::Source;
        let finder = |line| read(line).unwrap().data.finder();
        assert_eq!(finder("train").source, Source::Auto);
        assert_eq!(finder("train --synthetic").source, Source::Synthetic);
        assert_eq!(finder("train --data-dir x").source, Source::Directory("x".into()));
        assert!(finder("train --offline").offline && !finder("train").offline);
    }

    #[test]
    fn wrong_command_lines_are_usage_errors() {
        for line in [
            "trian",
            "train lenet5 depth2",
            "train --epoch 2",
            "train --epochs two",
            "train --epochs -1",
            "train --lr",
            "train --log-every 0",
            "train --seed 18446744073709551616",
            "train --optimizer lion",
            "train --order backwards",
            "train --nesterov=maybe",
            "train --device tpu",
            "train --adapter=",
            "train --epochs 2 --epochs 3",
            "train --device reference --adapter x",
            "--device reference train --adapter x",
            "--adapter x train --device reference",
            "doctor --device reference --backend vulkan",
            "train --synthetic --data-dir x",
            "--data-dir x train --synthetic",
            "--no-synthetic train --synthetic",
            "eval",
            "eval x --weights y",
            "eval x --recipe lenet5 --weights y",
            "eval --recipe lenet5",
            "eval --weights y",
            "doctor --probe --json",
            "dump lenet5 --range 0..1 --out o",
            "dump lenet5 --weights w --range 0..1",
            "dump --weights w --range 0..1 --out o",
            "dump lenet5 --weights w --range 5 --out o",
            "dump lenet5 --weights w --range 5..5 --out o",
            "dump lenet5 --weights w --range 6..5 --out o",
            "dump lenet5 --weights w --range a..b --out o",
            "dump lenet5 --weights w --range -1..5 --out o",
            "dump lenet5 --weights w --range 0..1 --out o --split all",
            "kernels chek",
            "kernels check --data floats",
            "kernels show",
            "kernels watch",
            "kernels watch relu --seed x",
            "completions",
            "completions shell",
            "kernels check --seed -1",
            "kernels bench --samples 0",
            "kernels bench --layer depth2 --case 3x5",
            "kernels check --device reference",
            "--device reference kernels list",
        ] {
            let error = read(line).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}");
            assert!(error.to_string().starts_with("error: "), "{line}");
        }
    }

    #[test]
    fn eval_takes_a_run_or_recipe_and_weights() {
        let target = |line| match read(line).unwrap().command() {
            Command::Eval(args) => args.target().unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!(target("eval runs/a"), EvalTarget::Run("runs/a".into()));
        assert_eq!(
            target("eval --weights w --recipe lenet5"),
            EvalTarget::Weights { recipe: "lenet5".to_owned(), weights: "w".into() }
        );
    }

    #[test]
    fn dump_names_its_images() {
        let Command::Dump(args) = read("dump lenet5 --weights w --split train --range 3..5 --out o").unwrap().command()
        else {
            panic!()
        };
        assert_eq!(args.split, SplitName::Train);
        assert_eq!(args.range.within(args.split, 5).unwrap(), 3..5);
        assert_eq!(
            args.range.within(args.split, 4).unwrap_err().to_string(),
            "--range 3..5: the train split has 4 images"
        );
    }

    #[test]
    fn kernels_are_checked_with_all_data_unless_some_is_named() {
        let check = |line: &str| match read(line).unwrap().command() {
            Command::Kernels(KernelsCommand::Check(args)) => args,
            other => panic!("{other:?}"),
        };
        assert_eq!(check("kernels check").data(), Data::ALL);
        let args = check("kernels check conv2d dense --data reals,integers --seed 5 --case 1x1 --no-checks");
        assert_eq!(args.data(), [Data::Integers, Data::Reals]);
        assert_eq!(
            (args.filters, args.seed, args.case),
            (vec!["conv2d".into(), "dense".into()], 5, Some("1x1".into()))
        );
        assert!(args.no_checks && !args.json);
    }

    #[test]
    fn help_opens_with_examples() {
        for line in [
            "--help",
            "-h",
            "train --help",
            "eval -h",
            "list --help",
            "doctor --help",
            "dump --help",
            "kernels --help",
            "kernels list -h",
            "kernels check --help",
            "kernels show --help",
            "kernels watch --help",
            "completions --help",
            "kernels profile --help",
            "kernels bench --help",
            "kernels roofline --help",
            "kernels tune --help",
            "kernels report --help",
        ] {
            let help = read(line).unwrap_err();
            assert_eq!(help.exit_code(), 0, "{line}");
            assert!(help.to_string().starts_with("Examples:\n"), "{line}");
        }
        assert_eq!(read("--version").unwrap_err().exit_code(), 0);
        let incomplete = read("kernels").unwrap_err();
        assert!(incomplete.exit_code() == 2 && incomplete.to_string().starts_with("Examples:\n"), "{incomplete}");
    }
}
