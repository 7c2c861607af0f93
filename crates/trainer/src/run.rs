//! One run, new or resumed: from what was asked for to what is left in the run folder.

use crate::checkpoint::{
    Checkpoint, CheckpointError, Damage, DatasetIdentity, Found, Identity, Names, Snapshot, Store,
};
use crate::cli::TrainArgs;
use crate::extend::{Change, advice};
use crate::files::Existing;
use crate::interrupt::{Interrupt, Interrupted, Signal};
use crate::metrics::Journal;
use crate::model::Model;
use crate::network::{Network, thousands};
use crate::plain::plain;
use crate::progress::{Display, Event, TrainingProgress};
use crate::recipe::{Recipe, TRAINING_IMAGES};
use crate::report::{self, Predictions};
use crate::run_folder::{RunFolder, RunLock};
use crate::summary::{SELVEDGE_VERSION, Seconds, Summary, Versions, arguments};
use crate::train::{Partition, Records, Settings, Trainer, layout, test};
use crate::{console, device, doctor, weights};
use fashion_mnist::Dataset;
use reference::Array;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};
use tape::Device;

/// A run that is about to begin or to go on.
#[derive(Debug)]
pub struct Run {
    recipe: Recipe,
    network: Network,
    log_every: Option<u64>,
    start: Start,
}

#[derive(Debug)]
enum Start {
    New { values: Vec<Vec<f32>>, out: Option<PathBuf> },
    Resumed(Box<Resumed>),
}

#[derive(Debug)]
struct Resumed {
    folder: RunFolder,
    lock: RunLock,
    store: Store,
    found: Found,
    change: Change,
}

/// A finished run.
#[derive(Debug)]
pub struct Done {
    /// What came of it.
    pub summary: Summary,
    /// Where it is.
    pub folder: RunFolder,
    /// Where its report is; `None` if it has none.
    pub report: Option<PathBuf>,
}

impl Run {
    /// Refuses whatever can be refused without a device and data, and writes nothing. `None` if the run to go on with
    /// is finished, which is said on stderr.
    pub fn prepare(args: &TrainArgs) -> anyhow::Result<Option<Self>> {
        if let Some(path) = &args.resume {
            return Self::resume(args, path);
        }
        let recipe = args.recipe()?;
        if let Some(path) = &args.out {
            if args.once && RunFolder::holds_config(path) {
                let found = RunFolder::begun(path)?.recipe()?;
                let changed = differences(&found.to_toml()?, &recipe);
                if !changed.is_empty() {
                    let what = format!("it holds a run of another recipe: {}", changed.join("; "));
                    return Err(CheckpointError::Differs { path: path.clone(), what }.into());
                }
                return Self::resume(args, path);
            }
            RunFolder::vacant(path)?;
        }
        RunFolder::creatable(args.out.as_deref())?;
        let network = Network::new(&recipe.layers, recipe.train.batch_size)?;
        let values = match &args.init {
            Some(path) => weights::load(path, network.parameters())?,
            None => network.initialise(recipe.train.seed).into_iter().map(|(_, values)| values).collect(),
        };
        let (log_every, out) = (args.log_every.map(Into::into), args.out.clone());
        Ok(Some(Self { recipe, network, log_every, start: Start::New { values, out } }))
    }

    fn resume(args: &TrainArgs, path: &Path) -> anyhow::Result<Option<Self>> {
        let (folder, lock) = RunFolder::resume(path)?;
        let recipe = args.changed(folder.recipe()?)?;
        let network = Network::new(&recipe.layers, recipe.train.batch_size)?;
        // Whether there are sums for log lines is only known from the checkpoint: they change neither size nor names
        // of anything else.
        let layouts = [layout(&network, &recipe, false)?, layout(&network, &recipe, true)?];
        let values: usize = layouts[1].iter().map(|(_, dims)| dims.iter().product::<usize>()).sum();
        let fits = |checkpoint: &Checkpoint| {
            // Another recipe is not damage, and told with what differs.
            let same = differences(&checkpoint.identity.recipe, &recipe).is_empty();
            let layout = &layouts[usize::from(checkpoint.identity.log_every.is_some())];
            if same { fits(checkpoint, layout) } else { Ok(()) }
        };
        let (store, found) = Store::load(folder.path(), Store::largest(values as u64), fits)?;
        for refused in &found.refused {
            console::message(&format!("checkpoint refused: {refused}"));
        }
        let Identity { recipe: old, log_every, .. } = &found.checkpoint.identity;
        let differs = |what| CheckpointError::Differs { path: found.path.clone(), what };
        let mut changed = differences(old, &recipe);
        if let Some(new) = args.log_every.map(u64::from).filter(|new| Some(*new) != *log_every) {
            changed.push(format!("--log-every was {}, now {new}", log_every.map_or("off".into(), |n| n.to_string())));
        }
        if !changed.is_empty() {
            let what = format!("the run was begun with another recipe: {}", changed.join("; "));
            return Err(differs(what).into());
        }

        let state = &found.checkpoint.snapshot.state;
        let (epochs, steps) = (state.epochs(), state.steps);
        let run = folder.path();
        let old = Recipe::parse(old, "the checkpoint's recipe")?;
        let change = Change::new(run, &old, &recipe, state, args.extend)?;
        if state.is_done(&recipe.train)
            && let Some(summary) = folder.summary().filter(|summary| summary.steps == steps)
        {
            match weights::load(&folder.weights(), network.parameters()) {
                Ok(_) => {
                    let accuracy = crate::evaluation::percent(summary.test.accuracy);
                    let advice = advice(run, state, &recipe.train);
                    let run = run.display();
                    console::message(&format!(
                        "{run} is finished: {epochs} epochs, {steps} steps, test accuracy {accuracy}; {advice}"
                    ));
                    warn_of_missing(Journal::missing(folder.path(), state.metrics_bytes));
                    return Ok(None);
                }
                Err(error) => {
                    console::message(&format!("{} was finished, but {error}; it is written anew", run.display()))
                }
            }
        }
        folder.require_room(room(values).saturating_sub(folder.kept()))?;
        if let Change::Accepted(extension) = &change {
            console::message(&format!(
                "extended from {} to {}: it ends otherwise than a run that was as long from the start",
                extension.was, extension.now
            ));
        }
        console::message(&format!(
            "going on from {}: {steps} steps, epoch {} from image {} on",
            found.path.display(),
            state.epoch,
            state.position
        ));
        let log_every = *log_every;
        let start = Start::Resumed(Box::new(Resumed { folder, lock, store, found, change }));
        Ok(Some(Self { recipe, network, log_every, start }))
    }

    /// Trains, tests, and writes everything down. `choices` says by which table kernels are chosen, see
    /// [`device::choices`].
    pub async fn carry_out(
        self,
        args: &TrainArgs,
        (device, choices): (&Device, &str),
        dataset: &Dataset,
        (display, begin): (Display, Instant),
    ) -> anyhow::Result<Done> {
        let Self { recipe, network, log_every, start } = self;
        device::require(device, recipe.train.precision)?;
        let adapter = device::describe(device);
        let partition = Partition::new(&recipe, dataset.train.len())?;
        let identity = Identity {
            recipe: recipe.to_toml()?,
            dataset: identify(dataset),
            log_every,
            adapter: format!("{adapter}{choices}"),
        };
        if let Start::Resumed(resumed) = &start {
            check_surroundings(&resumed.found, &identity, partition.train.len())?;
        }
        if display == Display::Events {
            Event::Start {
                recipe: &recipe.name,
                parameters: network.parameter_count(),
                adapter: &adapter.name,
                dataset: dataset.name.as_str(),
                epochs: recipe.train.epochs,
            }
            .print();
        }
        if display.is_for_people() {
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
        let mut kept = None;
        let (values, snapshot, start) = match start {
            Start::New { values, out } => (values, None, Begin::New(out)),
            Start::Resumed(resumed) => {
                let snapshot = resumed.found.checkpoint.snapshot;
                let value = |name: &str| snapshot.tensor(name).map(|tensor| tensor.values.clone()).unwrap_or_default();
                let values = network.parameters().iter().map(|parameter| value(&parameter.name)).collect();
                (values, Some(snapshot), Begin::Resumed(resumed.folder, resumed.lock, resumed.store, resumed.change))
            }
        };
        let model = Model::new(device, network, values)?;
        let images = recipe.train.epochs.saturating_mul(partition.train.len() as u64);
        let images = match recipe.train.max_steps {
            Some(steps) => images.min(steps.saturating_mul(recipe.train.batch_size as u64)),
            None => images,
        };
        let interrupt = Interrupt::install()?;
        let trainer = Trainer {
            device,
            recipe: &recipe,
            dataset,
            settings: Settings {
                log_every,
                checkpoint_every: args.checkpoint_every.map(Into::into),
                on_nan: args.on_nan,
                eager: args.eager,
            },
            progress: TrainingProgress::new(display, recipe.train.epochs, images),
            start: snapshot,
            interrupt: Some(interrupt.clone()),
        };
        let state = trainer
            .run(&model, |snapshot| {
                let (folder, lock, records) = match start {
                    Begin::New(out) => {
                        let checkpoint = Checkpoint { identity, snapshot: snapshot.clone() };
                        begin_run(out.as_deref(), &recipe, checkpoint)?
                    }
                    Begin::Resumed(folder, lock, store, change) => {
                        let records = go_on(&folder, &recipe, (store, identity), snapshot, change)?;
                        (folder, lock, records)
                    }
                };
                kept = Some((folder, lock));
                Ok(records)
            })
            .await?;
        let Some((folder, _lock)) = kept else { anyhow::bail!("training ended before it began") };

        let restore_best = recipe.early_stopping.as_ref().is_some_and(|stopping| stopping.restore_best);
        // If the last one is the best, its weights are there.
        if restore_best && state.best.is_none_or(|best| best.steps != state.steps) {
            let layout = layout(model.network(), &recipe, log_every.is_some())?;
            let values: usize = layout.iter().map(|(_, dims)| dims.iter().product::<usize>()).sum();
            let best = Store::best(folder.path(), Store::largest(values as u64), |found| fits(found, &layout))?;
            for (parameter, tensor) in model.network().parameters().iter().zip(model.tensors()) {
                if let Some(saved) = best.snapshot.tensor(&parameter.name) {
                    device.write(tensor, Array::Real(saved.values.clone()))?;
                }
            }
        }
        let mut predictions = Predictions::default();
        let mut each = |logits: &[f32]| {
            predictions.push(logits);
            if interrupt.pending().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let Some(test) = test(device, &model, &recipe, dataset, state.steps, &mut each).await? else {
            let signal = interrupt.pending().unwrap_or(Signal::Interrupt);
            let (run, on_nan) = (Some(folder.path().to_owned()), args.on_nan);
            return Err(Interrupted { signal, steps: state.steps, run, on_nan }.into());
        };
        let values = model.values(device).await?;
        let parameter_values = model.network().parameters().iter().zip(values.iter().map(Vec::as_slice));
        let metadata = [("recipe", recipe.name.as_str()), ("dataset", dataset.name.as_str())];
        weights::save(&folder.weights(), parameter_values, &metadata)?;
        let summary = Summary {
            recipe: recipe.name.clone(),
            dataset: dataset.name.to_string(),
            seed: recipe.train.seed,
            precision: recipe.train.precision,
            loss_scale: state.loss_scale,
            adapter,
            parameters,
            trainable_parameters: trainable,
            epochs: state.epochs(),
            steps: state.steps,
            test,
            validation: state.validation,
            validation_augmented: state.validation_augmented,
            best: state.best,
            train: state.train,
            extended: state.extended,
            seconds: Seconds { train: state.seconds, total: begin.elapsed().as_secs_f64() },
            versions: Versions { selvedge: SELVEDGE_VERSION.to_owned(), wgpu: doctor::wgpu_version().to_owned() },
            arguments: arguments(),
            kernels: device::kernels_used(device),
            checks: device::checks(device),
        };
        folder.write_summary(&summary)?;
        let mut report = None;
        if !args.no_report {
            // The run is complete and saved; a page that cannot be made does not change that.
            match report::after_training(&folder, device, &model, dataset, predictions).await {
                Ok(path) => report = Some(path),
                Err(error) => console::message(&format!("warning: the run is complete, but has no report: {error}")),
            }
        }
        Ok(Done { summary, folder, report })
    }
}

/// What is to be done when everything is ready.
enum Begin {
    New(Option<PathBuf>),
    Resumed(RunFolder, RunLock, Store, Change),
}

/// Bytes of a run whose checkpoints have so many values.
fn room(values: usize) -> u64 {
    // Three checkpoints, a fourth while it is written, and the weights, which are smaller than one.
    5 * 4 * values as u64 + (1 << 20)
}

fn warn_of_missing(bytes: u64) {
    if bytes > 0 {
        console::message(&format!(
            "warning: {bytes} bytes of {} are gone, which were written before; they cannot be had again, and the file is \
             not that of a run left alone",
            Journal::METRICS
        ));
    }
}

/// A new run folder with a first checkpoint: from here on the run can go on whatever happens.
fn begin_run(
    out: Option<&Path>,
    recipe: &Recipe,
    checkpoint: Checkpoint,
) -> anyhow::Result<(RunFolder, RunLock, Records)> {
    let (folder, lock) = RunFolder::create(out, recipe, SystemTime::now())?;
    let values: usize = checkpoint.snapshot.tensors.iter().map(|tensor| tensor.values.len()).sum();
    let fill = || -> anyhow::Result<Records> {
        folder.require_room(room(values))?;
        let mut store = Store::create(folder.path())?;
        store.clear();
        store.save(&checkpoint, Names::Last)?;
        folder.write_config(recipe, Existing::Keep)?;
        let journal = Journal::create(folder.path())?;
        Ok(Records::new(journal, folder.path().to_owned(), store, checkpoint.identity.clone()))
    };
    match fill() {
        Ok(records) => Ok((folder, lock, records)),
        Err(error) => {
            folder.abandon();
            Err(error)
        }
    }
}

fn go_on(
    folder: &RunFolder,
    recipe: &Recipe,
    (store, identity): (Store, Identity),
    snapshot: &mut Snapshot,
    change: Change,
) -> anyhow::Result<Records> {
    let (journal, missing) = Journal::resume(folder.path(), snapshot.state.metrics_bytes)?;
    warn_of_missing(missing);
    if folder.recipe()? != *recipe {
        folder.write_config(recipe, Existing::Replace)?;
    }
    let mut records = Records::new(journal, folder.path().to_owned(), store, identity);
    if let Change::Accepted(extension) = change {
        snapshot.state.extended.push(extension);
    }
    if change != Change::None {
        // What was accepted once need not be accepted again.
        records.save(snapshot, Names::Last)?;
    }
    Ok(records)
}

/// Refuses other data; says that the adapter is another.
fn check_surroundings(found: &Found, now: &Identity, train: usize) -> anyhow::Result<()> {
    let Identity { dataset, adapter, .. } = &found.checkpoint.identity;
    let differs = |what| CheckpointError::Differs { path: found.path.clone(), what };
    if *dataset != now.dataset {
        let same = dataset.name == now.dataset.name;
        let what = format!(
            "the run was begun on the dataset {}, this is {}{}",
            dataset.name,
            now.dataset.name,
            if same { " with other contents" } else { "" }
        );
        return Err(differs(what).into());
    }
    let position = found.checkpoint.snapshot.state.position;
    if position > train {
        return Err(differs(format!("its position {position} is past the {train} training images")).into());
    }
    if *adapter != now.adapter {
        console::message(&format!(
            "the checkpoint was written on {}, this is {}: figures may differ from those of an uninterrupted run",
            plain(adapter),
            plain(&now.adapter)
        ));
    }
    Ok(())
}

/// Refuses a checkpoint without the tensors that a run has.
fn fits(checkpoint: &Checkpoint, layout: &[(String, Vec<usize>)]) -> Result<(), Damage> {
    let tensors = &checkpoint.snapshot.tensors;
    for (name, dims) in layout {
        match checkpoint.snapshot.tensor(name) {
            None => return Err(Damage::Tensors(format!("{name} is missing"))),
            Some(tensor) if tensor.dims != *dims => {
                return Err(Damage::Tensors(format!("{name} is {:?}, expected {dims:?}", tensor.dims)));
            }
            Some(_) => {}
        }
    }
    if tensors.len() > layout.len() {
        return Err(Damage::Tensors(format!("{} tensors, expected {}", tensors.len(), layout.len())));
    }
    if checkpoint.snapshot.state.position > TRAINING_IMAGES {
        return Err(Damage::State(format!("position is {}", checkpoint.snapshot.state.position)));
    }
    Ok(())
}

/// Fields of a recipe that say what it is, not what it does.
const DESCRIPTIONS: [&str; 6] = ["name", "description", "source", "assumptions", "findings", "reported"];

/// Fields that may change while a run goes on.
const EXTENSIONS: [&str; 2] = ["train.epochs", "train.max_steps"];

/// What has changed in a recipe that must not.
fn differences(old: &str, new: &Recipe) -> Vec<String> {
    let old = match Recipe::parse(old, "the checkpoint's recipe") {
        Ok(old) => old,
        Err(error) => return vec![error.to_string()],
    };
    let mut found = Vec::new();
    if let (Ok(old), Ok(new)) = (serde_json::to_value(old), serde_json::to_value(new)) {
        compare("", &old, &new, &mut found);
    }
    found
}

fn compare(path: &str, old: &Value, new: &Value, found: &mut Vec<String>) {
    if old == new || DESCRIPTIONS.contains(&path) || EXTENSIONS.contains(&path) {
        return;
    }
    let join = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                let value = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                compare(&join(key), &value(old), &value(new), found);
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                compare(&join(&(index + 1).to_string()), old, new, found);
            }
        }
        _ => found.push(format!("{path} was {old}, now {new}")),
    }
}

fn identify(dataset: &Dataset) -> DatasetIdentity {
    let mut hasher = Sha256::new();
    for split in [&dataset.train, &dataset.test] {
        hasher.update(split.images());
        hasher.update(split.labels());
    }
    let sha256 = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    DatasetIdentity { name: dataset.name.to_string(), sha256 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_a_recipe_are_named() {
        let recipe = Recipe::find("depth2").unwrap();
        let old = recipe.to_toml().unwrap();
        let mut new = recipe.clone();
        new.description = "another".to_owned();
        new.train.epochs += 1;
        new.train.max_steps = Some(9);
        assert_eq!(differences(&old, &new), Vec::<String>::new());
        new.train.batch_size = 7;
        new.layers.pop();
        let found = differences(&old, &new);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[1].starts_with("train.batch_size was ") && found[1].ends_with(", now 7"), "{found:?}");
    }
}
