//! What each command does.

use crate::cli::{Cli, Command, EvalArgs, EvalTarget, KernelsCommand, TrainArgs, UsageError};
use crate::evaluate::evaluate;
use crate::evaluation::{Evaluation, percent};
use crate::images::Images;
use crate::model::Model;
use crate::network::{Network, thousands};
use crate::progress::{Display, DownloadProgress, TrainingProgress};
use crate::recipe::Recipe;
use crate::run_folder::RunFolder;
use crate::summary::{SELVEDGE_VERSION, Seconds, Summary, Versions, arguments};
use crate::train::{Partition, Settings, Trainer, finite};
use crate::{completions, console, device, doctor, dump, kernels_check, kernels_list, kernels_profile, kernels_show};
use crate::{kernels_watch, list, weights};
use anyhow::Context;
use fashion_mnist::{CLASSES, Dataset};
use pollster::block_on;
use std::time::{Instant, SystemTime};
use tape::Device;

/// Does what the command line says.
pub fn run(cli: &Cli) -> anyhow::Result<()> {
    match cli.command() {
        Command::List(args) => Ok(console::print(&list::list(args.json)?)?),
        Command::Train(args) => block_on(train(cli, &args)),
        Command::Eval(args) => block_on(eval(cli, &args)),
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
                let device = device::open(&cli.device).await?;
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
    }
}

fn dataset(cli: &Cli, display: Display) -> Result<Dataset, fashion_mnist::Error> {
    let mut progress = DownloadProgress::new(display);
    cli.data.finder().find(&mut |update| progress.report(update))
}

async fn train(cli: &Cli, args: &TrainArgs) -> anyhow::Result<()> {
    let begin = Instant::now();
    let display = Display::detect(args.quiet);
    // Whatever can be refused is refused before anything is written or downloaded.
    let recipe = args.recipe()?;
    if let Some(path) = &args.out {
        RunFolder::vacant(path)?;
    }
    let network = Network::new(&recipe.layers, recipe.train.batch_size)?;
    let values = match &args.init {
        Some(path) => weights::load(path, network.parameters())?,
        None => network.initialise(recipe.train.seed).into_iter().map(|(_, values)| values).collect(),
    };
    let device = device::open(&cli.device).await?;
    let adapter = device::describe(&device);
    let dataset = dataset(cli, display)?;
    let partition = Partition::new(&recipe, dataset.train.len())?;
    let folder = RunFolder::create(args.out.as_deref(), &recipe, SystemTime::now())?;
    if display != Display::Quiet {
        console::message(&format!(
            "{} ({} parameters) on {}, {} {}; dataset {} ({})",
            recipe.name,
            thousands(network.parameter_count()),
            adapter.name,
            adapter.device_type,
            adapter.backend,
            dataset.name,
            dataset.origin
        ));
        for line in network.summary().lines() {
            console::message(line);
        }
    }

    let (parameters, trainable) = (network.parameter_count(), network.trainable_count());
    let model = Model::new(&device, network, values)?;
    let images = recipe.train.epochs.saturating_mul(partition.train.len() as u64);
    let images = match recipe.train.max_steps {
        Some(steps) => images.min(steps.saturating_mul(recipe.train.batch_size as u64)),
        None => images,
    };
    let trained = Trainer {
        device: &device,
        recipe: &recipe,
        dataset: &dataset,
        journal: folder.journal()?,
        settings: Settings { log_every: args.log_every.map(Into::into), eager: args.eager },
        progress: TrainingProgress::new(display, recipe.train.epochs, images),
    }
    .run(&model)
    .await?;

    let test = test(&device, &model, &recipe, &dataset).await?;
    finite(test.loss, trained.steps)?;
    let values = model.values(&device).await?;
    let parameter_values = model.network().parameters().iter().zip(values.iter().map(Vec::as_slice));
    let metadata = [("recipe", recipe.name.as_str()), ("dataset", dataset.name.as_str())];
    weights::save(&folder.weights(), parameter_values, &metadata)?;
    folder.write_summary(&Summary {
        recipe: recipe.name.clone(),
        dataset: dataset.name.to_string(),
        seed: recipe.train.seed,
        adapter,
        parameters,
        trainable_parameters: trainable,
        epochs: trained.epochs(),
        steps: trained.steps,
        test: test.clone(),
        validation: trained.validation,
        seconds: Seconds { train: trained.seconds, total: begin.elapsed().as_secs_f64() },
        versions: Versions { selvedge: SELVEDGE_VERSION.to_owned(), wgpu: doctor::wgpu_version().to_owned() },
        arguments: arguments(),
    })?;
    console::print(&format!(
        "test accuracy {}, loss {:.4} ({} images, dataset {})\nrun folder {}\n",
        percent(test.accuracy),
        test.loss,
        thousands(test.images as usize),
        dataset.name,
        folder.path().display()
    ))?;
    Ok(())
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
    let device = device::open(&cli.device).await?;
    let dataset = dataset(cli, Display::detect(false))?;
    let model = Model::new(&device, network, values)?;
    let test = test(&device, &model, &recipe, &dataset).await?;
    finite(test.loss, 0)?;
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

/// The figures on the test images.
async fn test(device: &Device, model: &Model, recipe: &Recipe, dataset: &Dataset) -> Result<Evaluation, tape::Error> {
    let images = Images::upload(device, &dataset.test, recipe.data.normalise)?;
    let order: Vec<u32> = (0..dataset.test.len() as u32).collect();
    evaluate(device, model, &images, &order, dataset.test.labels()).await
}
