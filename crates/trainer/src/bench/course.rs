//! `trainer kernels course`: the figures of `docs/course`, measured here and filled into its pages.
//!
//! A page marks where figures belong and says which:
//!
//! ```text
//! <!-- measured rows
//! depth2-conv2 conv2d.fwd.naive
//! depth2-conv2 conv2d.fwd.tiled
//! -->
//! what stands here is replaced
//! <!-- end of measured -->
//! ```
//!
//! `rows` lists kernels on layers, each compared with the first and with the one before; several with ` + ` between them
//! count as one. `steps` lists recipes. `roofline` lists nothing.

use super::args::KernelsCourseArgs;
use super::layers::{self, Problem};
use super::rows::{Bench, SOFTWARE, Timed, roofline_json};
use super::steps;
use super::table::{Table, short};
use crate::cli::DeviceArgs;
use crate::files::{Existing, write_atomically};
use crate::recipe::Recipe;
use crate::summary::Adapter;
use crate::{console, kernel_filter};
use anyhow::Context;
use kernels::Row;
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

const BEGIN: &str = "<!-- measured ";
const END: &str = "<!-- end of measured -->";

/// Measures what the pages ask for, unless it is to be kept, and fills it in.
pub async fn course(device: &DeviceArgs, args: &KernelsCourseArgs) -> anyhow::Result<()> {
    let mut wanted = Wanted::default();
    for (path, text) in pages(&args.pages)? {
        blocks(&text).and_then(|blocks| wanted.add(&blocks)).with_context(|| format!("{}", path.display()))?;
    }
    if !args.keep {
        let results = wanted.measure(device, args).await?;
        write(&args.results, &format!("{results:#}\n"))?;
    }
    let results = Results::read(&args.results)?;
    // As they are now: measuring takes minutes, in which somebody may have written.
    for (path, text) in pages(&args.pages)? {
        let filled = fill(&text, &results).with_context(|| format!("{}", path.display()))?;
        if filled != text {
            write(&path, &filled)?;
            console::print(&format!("{}\n", path.display()))?;
        }
    }
    Ok(())
}

/// The pages of a folder, in the order of their names.
fn pages(folder: &Path) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    paths.sort_unstable();
    anyhow::ensure!(!paths.is_empty(), "{} holds no pages (*.md)", folder.display());
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok((path, text))
    };
    paths.into_iter().map(read).collect()
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    write_atomically(path, text.as_bytes(), Existing::Replace)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// A marked place in a page.
#[derive(Debug, PartialEq)]
struct Block {
    /// Where its figures begin and end, in bytes.
    figures: Range<usize>,
    /// Which figures.
    asked: Asked,
}

/// What a block asks for.
#[derive(Debug, PartialEq)]
enum Asked {
    /// Kernels on layers, those of a line added up.
    Rows(Vec<Vec<Launch>>),
    /// Training steps of recipes.
    Steps(Vec<String>),
    /// What the device can do at best.
    Roofline,
}

/// A kernel on a layer.
#[derive(Clone, Debug, PartialEq)]
struct Launch {
    problem: String,
    row: String,
}

/// Finds the marked places of a page.
fn blocks(text: &str) -> anyhow::Result<Vec<Block>> {
    let mut blocks = Vec::new();
    let mut from = 0;
    while let Some(begin) = text[from..].find(BEGIN).map(|at| from + at) {
        let line = 1 + text[..begin].matches('\n').count();
        let inside = &text[begin + BEGIN.len()..];
        let (asked, after) =
            inside.split_once("-->\n").with_context(|| format!("line {line}: no line ends in `-->`"))?;
        let begin = text.len() - after.len();
        let end = begin + after.find(END).with_context(|| format!("line {line}: no `{END}` follows"))?;
        let asked = asked_for(asked).with_context(|| format!("line {line}"))?;
        blocks.push(Block { figures: begin..end, asked });
        from = end;
    }
    Ok(blocks)
}

fn asked_for(text: &str) -> anyhow::Result<Asked> {
    let (kind, lines) = text.split_once('\n').unwrap_or((text, ""));
    let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
    let launch = |words: &str| {
        let (problem, row) =
            words.trim().split_once(' ').with_context(|| format!("`{words}` is no layer and kernel"))?;
        Ok(Launch { problem: problem.to_owned(), row: row.trim().to_owned() })
    };
    match kind.trim() {
        "rows" => Ok(Asked::Rows(
            lines.map(|line| line.split(" + ").map(launch).collect()).collect::<anyhow::Result<Vec<_>>>()?,
        )),
        "steps" => Ok(Asked::Steps(lines.map(str::to_owned).collect())),
        "roofline" => Ok(Asked::Roofline),
        other => anyhow::bail!("`{other}` is none of rows, steps, roofline"),
    }
}

/// What all pages ask for together.
#[derive(Default)]
struct Wanted {
    rows: Vec<(Problem, Vec<&'static dyn Row>)>,
    recipes: Vec<Recipe>,
}

impl Wanted {
    /// Adds what some blocks ask for, or says what of it does not exist.
    fn add(&mut self, blocks: &[Block]) -> anyhow::Result<()> {
        let layers = layers::all()?;
        for block in blocks {
            match &block.asked {
                Asked::Rows(lines) => {
                    lines.iter().flatten().try_for_each(|launch| self.add_launch(&layers, launch))?;
                }
                Asked::Steps(names) => {
                    for name in names {
                        let recipe = Recipe::find(name)?;
                        if self.recipes.iter().all(|known| known.name != recipe.name) {
                            self.recipes.push(recipe);
                        }
                    }
                }
                Asked::Roofline => {}
            }
        }
        Ok(())
    }

    fn add_launch(&mut self, layers: &[Problem], launch: &Launch) -> anyhow::Result<()> {
        let layer = layers
            .iter()
            .find(|layer| layer.name == launch.problem)
            .ok_or_else(|| layers::unknown(layers, &launch.problem))?;
        let row = kernel_filter::one(&launch.row)?;
        anyhow::ensure!(row.id() == launch.row, "`{}` is no whole name, did you mean `{}`?", launch.row, row.id());
        anyhow::ensure!(row.op() == layer.op.name(), "{} is no {}", launch.problem, row.op());
        match self.rows.iter_mut().find(|(known, _)| known.name == layer.name) {
            Some((_, rows)) if rows.iter().any(|known| known.id() == row.id()) => {}
            Some((_, rows)) => rows.push(row),
            None => self.rows.push((layer.clone(), vec![row])),
        }
        Ok(())
    }

    async fn measure(&self, device: &DeviceArgs, args: &KernelsCourseArgs) -> anyhow::Result<Value> {
        let mut bench = Bench::open(device, &args.timing).await?;
        let mut times = Vec::with_capacity(self.recipes.len());
        for recipe in &self.recipes {
            console::message(&format!("timing a training step of {}", recipe.name));
            times.push(steps::time(&bench.fresh().await?, recipe, &bench.settings).await?.json());
        }
        let mut timed = Vec::new();
        for (problem, rows) in &self.rows {
            timed.extend(bench.time(problem, rows).await?);
        }
        bench.conclude(&mut timed).await?;
        Ok(json!({
            "environment": bench.environment().json(),
            "roofline": roofline_json(&bench.roofline),
            "rows": timed.iter().map(Timed::json).collect::<Vec<Value>>(),
            "steps": times,
        }))
    }
}

/// What was measured, as far as pages show it.
#[derive(Debug, Deserialize)]
struct Results {
    environment: Environment,
    roofline: Roofline,
    rows: Vec<RowTime>,
    steps: Vec<StepTime>,
}

#[derive(Debug, Deserialize)]
struct Environment {
    adapter: Adapter,
    class: String,
    checks: bool,
}

#[derive(Debug, Deserialize)]
struct Roofline {
    gflops: f64,
    memory: Vec<Memory>,
}

#[derive(Debug, Deserialize)]
struct Memory {
    bytes: u64,
    gigabytes_per_second: f64,
}

#[derive(Debug, Deserialize)]
struct RowTime {
    row: String,
    problem: String,
    device_nanoseconds: Option<Median>,
    wall_nanoseconds: Median,
    flops: f64,
    of_roofline: f64,
}

#[derive(Debug, Deserialize)]
struct StepTime {
    recipe: String,
    batch_size: usize,
    dispatches: usize,
    bytes: f64,
    encode_nanoseconds: Median,
    encode_eager_nanoseconds: Median,
    wall_nanoseconds: Median,
    wall_eager_nanoseconds: Median,
}

#[derive(Debug, Deserialize)]
struct Median {
    p50: f64,
}

impl Results {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} holds no results of this command", path.display()))
    }

    /// Whether every row has a time by the device's clock; else all of them are compared by the wall's.
    fn by_device(&self) -> bool {
        self.rows.iter().all(|row| row.device_nanoseconds.is_some())
    }

    /// The time, the operations, and the least time under the roofline of launches one after the other, in nanoseconds.
    /// `None` if one of them does not run there.
    fn sum(&self, launches: &[Launch]) -> Option<[f64; 3]> {
        let mut sum = [0.0; 3];
        for launch in launches {
            let row = self.rows.iter().find(|row| row.row == launch.row && row.problem == launch.problem)?;
            let device = row.device_nanoseconds.as_ref().filter(|_| self.by_device());
            let time = device.unwrap_or(&row.wall_nanoseconds).p50;
            // What the share refers to is the device's time where there is one.
            let least = row.of_roofline * row.device_nanoseconds.as_ref().unwrap_or(&row.wall_nanoseconds).p50;
            sum = [sum[0] + time, sum[1] + row.flops, sum[2] + least];
        }
        Some(sum)
    }

    fn figures(&self, asked: &Asked) -> anyhow::Result<String> {
        let table = match asked {
            Asked::Rows(lines) => self.rows(lines),
            Asked::Steps(names) => self.steps(names)?,
            Asked::Roofline => self.roofline(),
        };
        let Adapter { name, backend, driver, .. } = &self.environment.adapter;
        let clock = match asked {
            Asked::Rows(_) if self.by_device() => ", ms by the device's clock",
            Asked::Rows(_) | Asked::Steps(_) => ", ms by the wall clock",
            Asked::Roofline => "",
        };
        let checks = if self.environment.checks { "on" } else { "off" };
        let software = if self.environment.class == "software" { SOFTWARE } else { "" };
        let origin = format!("Measured on {name} ({backend}; {driver}){clock}, run-time checks {checks}. {software}");
        Ok(format!("{}\n{}\n", table.markdown(), origin.trim_end()))
    }

    fn rows(&self, lines: &[Vec<Launch>]) -> Table {
        let mut table = Table::new(&["kernel", "layer", ">ms", ">GFLOP/s", ">% roofline", ">x first", ">x previous"]);
        let (mut first, mut previous) = (None, None);
        for launches in lines {
            let rows: Vec<&str> = launches.iter().map(|launch| launch.row.as_str()).collect();
            let mut layers: Vec<&str> = launches.iter().map(|launch| launch.problem.as_str()).collect();
            layers.dedup();
            let figures = match self.sum(launches) {
                Some([time, flops, least]) => {
                    let over = |other: Option<f64>| other.map_or_else(String::new, |other| short(other / time));
                    let ratios = [over(Some(*first.get_or_insert(time))), over(previous)];
                    previous = Some(time);
                    let [milliseconds, rate, share] = [time / 1e6, flops / time, 100.0 * least / time].map(short);
                    [milliseconds, rate, share].into_iter().chain(ratios).collect::<Vec<_>>()
                }
                None => vec!["does not run there".to_owned()],
            };
            let names = [rows.join(" + "), layers.join(" + ")].map(|names| format!("`{names}`"));
            table.row(names.into_iter().chain(figures));
        }
        table
    }

    fn steps(&self, names: &[String]) -> anyhow::Result<Table> {
        let mut table = Table::new(&[
            "recipe",
            ">images",
            ">dispatches",
            ">plan MiB",
            ">plan ms",
            ">eager ms",
            ">eager / plan",
            ">plan encode us",
            ">eager encode us",
        ]);
        for name in names {
            let step = self.steps.iter().find(|step| step.recipe == *name);
            let step = step.with_context(|| format!("the results have no step of {name}: measure again"))?;
            let [plan, eager] = [&step.wall_nanoseconds, &step.wall_eager_nanoseconds].map(|time| time.p50);
            let encode = [&step.encode_nanoseconds, &step.encode_eager_nanoseconds].map(|time| short(time.p50 / 1e3));
            let counts = [format!("`{name}`"), step.batch_size.to_string(), step.dispatches.to_string()];
            let numbers = [step.bytes / f64::from(1 << 20), plan / 1e6, eager / 1e6, eager / plan].map(short);
            table.row(counts.into_iter().chain(numbers).chain(encode));
        }
        Ok(table)
    }

    fn roofline(&self) -> Table {
        let mut table = Table::new(&["best at", ">over MiB", ">reached"]);
        let peak = format!("{} GFLOP/s", short(self.roofline.gflops));
        table.row(["multiply-adds".to_owned(), String::new(), peak]);
        for memory in &self.roofline.memory {
            let size = short(memory.bytes as f64 / f64::from(1 << 20));
            table.row(["moving bytes".to_owned(), size, format!("{} GB/s", short(memory.gigabytes_per_second))]);
        }
        table
    }
}

/// A page with these figures in its marked places.
fn fill(text: &str, results: &Results) -> anyhow::Result<String> {
    let mut filled = String::with_capacity(text.len());
    let mut from = 0;
    for Block { figures, asked } in blocks(text)? {
        filled += &text[from..figures.start];
        filled += &results.figures(&asked)?;
        from = figures.end;
    }
    Ok(filled + &text[from..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkout() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    fn committed() -> Results {
        Results::read(&checkout().join("docs/results/course.json")).unwrap()
    }

    #[test]
    fn the_figures_of_the_course_are_those_of_the_results() {
        let results = committed();
        let (mut count, mut wanted) = (0, Wanted::default());
        for (path, text) in pages(&checkout().join("docs/course")).unwrap() {
            let blocks = blocks(&text).unwrap();
            wanted.add(&blocks).unwrap_or_else(|error| panic!("{}: {error:#}", path.display()));
            count += blocks.len();
            let filled = fill(&text, &results).unwrap();
            assert_eq!(filled, text, "{}: run `cargo xtask course -- --keep`", path.display());
        }
        assert!(count > 10, "{count} marked places were found");
        for (problem, rows) in &wanted.rows {
            for row in rows {
                let is = |time: &RowTime| time.row == row.id() && time.problem == problem.name;
                assert!(results.rows.iter().any(is), "{} on {} was not measured", row.id(), problem.name);
            }
        }
    }

    const PAGE: &str = "Before\n<!-- measured rows\ndepth2-conv2 conv2d.fwd.naive\ndepth2-conv2 conv2d.fwd.tiled\n\
        depth2-conv2 conv2d.fwd.naive + depth2-fc1 dense.fwd.naive\ndepth2-conv2 conv2d.fwd.subgroup\n-->\nstale\n\
        <!-- end of measured -->\nBetween\n<!-- measured roofline -->\n<!-- end of measured -->\n";

    fn results(class: &str) -> Results {
        let row = |row: &str, problem: &str, ms: f64, share: f64| {
            json!({
                "row": row, "problem": problem, "device_nanoseconds": { "p50": ms * 1e6 },
                "wall_nanoseconds": { "p50": ms * 2e6 }, "flops": 1e6 * ms, "of_roofline": share,
            })
        };
        let adapter = json!({ "name": "Some", "device_type": "cpu", "backend": "vulkan", "driver": "any 1" });
        let value = json!({
            "environment": { "adapter": adapter, "class": class, "checks": true },
            "roofline": { "gflops": 50.0, "memory": [{ "bytes": 1 << 20, "gigabytes_per_second": 12.5 }] },
            "rows": [
                row("conv2d.fwd.naive", "depth2-conv2", 60.0, 0.05),
                row("conv2d.fwd.tiled", "depth2-conv2", 20.0, 0.15),
                row("dense.fwd.naive", "depth2-fc1", 20.0, 0.1),
            ],
            "steps": [],
        });
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn figures_take_the_place_of_what_was_there() {
        let filled = fill(PAGE, &results("software")).unwrap();
        let cells = |line: &str| -> Vec<String> { line.split('|').map(|cell| cell.trim().to_owned()).collect() };
        let lines: Vec<Vec<String>> = filled.lines().filter(|line| line.starts_with("| `")).map(cells).collect();
        assert_eq!(lines[0][1..8], ["`conv2d.fwd.naive`", "`depth2-conv2`", "60.0", "1.00", "5.00", "1.00", ""]);
        assert_eq!(lines[1][3..8], ["20.0", "1.00", "15.0", "3.00", "3.00"]);
        // 60 and 20 ms, of which the roofline asks for 3 and 2.
        let both = ["`conv2d.fwd.naive + dense.fwd.naive`", "`depth2-conv2 + depth2-fc1`", "80.0", "1.00", "6.25"];
        assert_eq!(lines[2][1..6], both);
        assert_eq!(lines[2][6..8], ["0.75", "0.25"]);
        assert_eq!(lines[3][3], "does not run there");
        assert!(
            !filled.contains("stale")
                && filled.contains("Measured on Some (vulkan; any 1)")
                && filled.contains(SOFTWARE)
        );
        assert!(filled.contains("| moving bytes  |     1.00 |    12.5 GB/s |"), "{filled}");
        // Again, and nothing changes; other figures, and something does.
        assert_eq!(fill(&filled, &results("software")).unwrap(), filled);
        let other = fill(&filled, &results("hardware")).unwrap();
        assert!(other != filled && !other.contains(SOFTWARE));
    }

    #[test]
    fn a_mistake_in_a_page_is_named() {
        let asked = |lines: &str| format!("\n<!-- measured {lines}\n-->\n<!-- end of measured -->\n");
        let add = |text: &str| blocks(text).and_then(|blocks| Wanted::default().add(&blocks));
        for (text, message) in [
            (asked("rows\ndepth2-conv2 conv2d.fwd.naiv"), "did you mean `conv2d.fwd.naive`?"),
            (asked("rows\ndepth2-conf2 conv2d.fwd.naive"), "did you mean `depth2-conv2`?"),
            (asked("rows\ndepth2-fc1 conv2d.fwd.naive"), "depth2-fc1 is no conv2d"),
            (asked("rows\nconv2d.fwd.naive"), "line 2: `conv2d.fwd.naive` is no layer and kernel"),
            (asked("columns"), "line 2: `columns` is none of"),
            (asked("steps\ndepht2"), "depth2"),
            ("<!-- measured rows\n-->\n".to_owned(), "line 1: no `<!-- end of measured -->` follows"),
            ("<!-- measured rows".to_owned(), "line 1: no line ends in `-->`"),
        ] {
            let error = format!("{:#}", add(&text).expect_err(&text));
            assert!(error.contains(message), "{error}");
        }
        add(PAGE).unwrap();
        assert!(fill(&asked("steps\ndepth2"), &results("software")).is_err());
    }
}
