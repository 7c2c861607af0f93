//! What each command does.

use crate::cli::{Cli, Command, EvalArgs, EvalTarget, KernelsCommand, ReportArgs, TrainArgs, UsageError};
use crate::evaluation::percent;
use crate::model::Model;
use crate::network::{Network, thousands};
use crate::progress::{Display, DownloadProgress, Event};
use crate::recipe::Recipe;
use crate::report::{self, Library};
use crate::run::Run;
use crate::run_folder::RunFolder;
use crate::train::test;
use crate::{
    bench, completions, console, device, doctor, dump, kernels_check, kernels_list, kernels_profile, kernels_show,
};
use crate::{kernels_watch, list, reproduce, sweep, weights};
use anyhow::Context;
use fashion_mnist::{CLASSES, Dataset};
use pollster::block_on;
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::time::Instant;

/// Does what the command line says.
pub fn run(cli: &Cli) -> anyhow::Result<()> {
    match cli.command() {
        Command::List(args) => Ok(console::print(&list::list(args.json)?)?),
        Command::Sweep(args) => sweep::sweep(cli, &args),
        Command::Reproduce(args) => reproduce::reproduce(cli, &args),
        Command::Train(args) => block_on(train(cli, &args)),
        Command::Eval(args) => block_on(eval(cli, &args)),
        Command::Report(args) => block_on(report(cli, &args)),
        Command::Doctor(args) => block_on(doctor::doctor(cli, &args)),
        Command::Dump(args) => {
            let recipe = Recipe::find(&args.recipe)?;
            let network = Network::new(&recipe.layers, recipe.train.batch_size)?;
            let values = weights::load(&args.weights, network.parameters())?;
            if args.out.canonicalize().is_ok_and(|out| args.weights.canonicalize().is_ok_and(|weights| weights == out))
            {
                return Err(UsageError::SameFile { path: args.out.display().to_string() }.into());
            }
            block_on(async {
                let device = device::open(&cli.device, true).await?;
                let dataset = dataset(cli, Display::detect(false))?;
                dump::dump(&device, &args, &recipe, (network, values), &dataset).await
            })
        }
        Command::Completions(args) => Ok(console::print(&completions::script(args.shell))?),
        Command::Kernels(KernelsCommand::Show(args)) => block_on(kernels_show::show(&cli.device, &args)),
        Command::Kernels(KernelsCommand::Watch(args)) => block_on(kernels_watch::watch(&cli.device, &args)),
        Command::Kernels(KernelsCommand::List(args)) => block_on(kernels_list::list(&cli.device, &args)),
        Command::Kernels(KernelsCommand::Check(args)) => block_on(kernels_check::check(&cli.device, &args)),
        Command::Kernels(KernelsCommand::Profile(args)) => block_on(kernels_profile::profile(&cli.device, &args)),
        Command::Kernels(KernelsCommand::Bench(args)) => block_on(bench::bench(&cli.device, &args)),
        Command::Kernels(KernelsCommand::Roofline(args)) => block_on(bench::roofline(&cli.device, &args)),
        Command::Kernels(KernelsCommand::Tune(args)) => block_on(bench::tune(&cli.device, &args)),
        Command::Kernels(KernelsCommand::Report(args)) => block_on(bench::report(&cli.device, &args)),
        Command::Kernels(KernelsCommand::Course(args)) => block_on(bench::course(&cli.device, &args)),
    }
}

fn dataset(cli: &Cli, display: Display) -> Result<Dataset, fashion_mnist::Error> {
    let mut progress = DownloadProgress::new(display);
    cli.data.finder().find(&mut |update| progress.report(update))
}

async fn train(cli: &Cli, args: &TrainArgs) -> anyhow::Result<()> {
    let begin = Instant::now();
    let display = Display::detect_or_events(args.quiet, args.json);
    // Whatever can be refused is refused before anything is written or downloaded.
    let Some(run) = Run::prepare(args)? else { return Ok(()) };
    let device = device::open(&cli.device, args.checked).await?;
    let dataset = dataset(cli, display)?;
    let choices = device::choices(&device, &cli.device)?;
    let done = run.carry_out(args, (&device, &choices), &dataset, (display, begin)).await?;
    let report = done.report.map(|path| format!("report {}\n", path.display())).unwrap_or_default();
    if args.json {
        Event::End { folder: done.folder.path(), summary: &done.summary }.print();
        return Ok(());
    }
    console::print(&format!(
        "test accuracy {}, loss {:.4} ({} images, dataset {})\n{report}run folder {}\n",
        percent(done.summary.test.accuracy),
        done.summary.test.loss,
        thousands(done.summary.test.images as usize),
        dataset.name,
        done.folder.path().display()
    ))?;
    Ok(())
}

async fn report(cli: &Cli, args: &ReportArgs) -> anyhow::Result<()> {
    let runs = args.runs.iter().map(|path| report::Run::read(path)).collect::<Result<Vec<_>, _>>()?;
    let figures: Vec<Value> = runs
        .iter()
        .zip(&args.runs)
        .map(|(run, folder)| json!({ "folder": folder, "recipe": run.recipe.name, "summary": run.summary }))
        .collect();
    let device = device::open(&cli.device, true).await?;
    let mut progress = DownloadProgress::new(Display::detect(false));
    let mut progress = |update: fashion_mnist::Progress<'_>| progress.report(update);
    let mut library = Library::new(&cli.data, &mut progress);
    let (path, remarks) = report::report(&device, args, runs, &mut library).await?;
    for remark in &remarks {
        console::message(remark);
    }
    Ok(console::print(&match args.json {
        true => format!("{:#}\n", json!({ "report": path, "runs": figures, "remarks": remarks })),
        false => format!("report {}\n", path.display()),
    })?)
}

async fn eval(cli: &Cli, args: &EvalArgs) -> anyhow::Result<()> {
    let (recipe, path) = match args.target().context("nothing to test was named")? {
        EvalTarget::Run(path) => {
            let folder = RunFolder::open(&path)?;
            (folder.recipe()?, folder.weights())
        }
        EvalTarget::Weights { recipe, weights } => (Recipe::find(&recipe)?, weights),
    };
    let network = Network::new(&recipe.layers, recipe.train.batch_size)?;
    let values = weights::load(&path, network.parameters())?;
    let device = device::open(&cli.device, true).await?;
    let dataset = dataset(cli, Display::detect(false))?;
    let model = Model::new(&device, network, values)?;
    let test = test(&device, &model, &recipe, &dataset, 0, &mut |_| ControlFlow::Continue(())).await?;
    let test = test.context("the test was stopped")?;
    if args.json {
        let mut figures = serde_json::to_value(&test)?;
        if let Some(figures) = figures.as_object_mut() {
            figures.insert("dataset".into(), dataset.name.as_str().into());
        }
        return Ok(console::print(&format!("{}\n", serde_json::to_string_pretty(&figures)?))?);
    }
    console::print(&format!(
        "test accuracy {}, loss {:.4} ({} images, dataset {})\n{}",
        percent(test.accuracy),
        test.loss,
        thousands(test.images as usize),
        dataset.name,
        test.table(&CLASSES)
    ))?;
    Ok(())
}
