//! One batch in full, for comparison with other frameworks: input, labels, logits, loss, gradients.

use crate::cli::{DumpArgs, SplitName};
use crate::console;
use crate::images::{Images, Visit};
use crate::model::{Model, Pass};
use crate::network::Network;
use crate::recipe::Recipe;
use crate::train::Partition;
use crate::weights::{self, Tensor, Values};
use fashion_mnist::Dataset;
use reference::ops::BatchNormMode;
use serde_json::{Value, json};
use tape::{Device, Tape};

/// Writes the batch that `args` name. BatchNorm normalises by the batch, dropout is off.
pub async fn dump(
    device: &Device,
    args: &DumpArgs,
    recipe: &Recipe,
    (network, values): (Network, Vec<Vec<f32>>),
    dataset: &Dataset,
) -> anyhow::Result<()> {
    let partition = Partition::new(recipe, dataset.train.len())?;
    let (split, order) = match args.split {
        SplitName::Test => (&dataset.test, (0..dataset.test.len() as u32).collect()),
        SplitName::Train => (&dataset.train, partition.train),
        SplitName::Validation => (&dataset.train, partition.validation),
    };
    let range = args.range.within(args.split, order.len())?;
    let order = &order[range.clone()];

    let model = Model::new(device, network, values)?;
    let images = Images::upload(device, split, recipe.data.normalise, recipe.train.precision)?;
    let visit = Visit::new(device, order, 0)?;
    let (x, labels) = images.gather(device, &visit, order.len())?;
    let tape = Tape::new(device);
    let pass = Pass { batch_norm: BatchNormMode::Training, dropout: None };
    let forward = model.forward(&tape, &x, pass)?;
    let (loss, _) = Model::loss(&tape, &recipe.loss, &forward.logits, &labels)?;
    let gradients = tape.backward(&loss)?;

    let mut tensors = Vec::new();
    for (name, tensor) in [("input", &x), ("logits", forward.logits.tensor()), ("loss", loss.tensor())] {
        tensors.push((name.to_owned(), tensor.spec().dims.clone(), device.read(tensor).await?));
    }
    for (name, gradient) in model.gradients(&forward, &gradients) {
        if let Some(gradient) = gradient {
            let dims = gradient.spec().dims.clone();
            tensors.push((format!("grad/{name}"), dims, device.read(gradient).await?));
        }
    }
    let labels: Vec<i64> = device.read(&labels).await?.index().iter().map(|&label| label.into()).collect();
    let count = [labels.len()];
    let mut file = vec![Tensor { name: "labels", dims: &count, values: Values::I64(&labels) }];
    for (name, dims, array) in &tensors {
        // The loss is a number, not a list of one.
        let dims: &[usize] = if name == "loss" { &[] } else { dims };
        file.push(Tensor { name, dims, values: Values::F32(array.real()) });
    }
    let metadata = [("recipe", recipe.name.as_str()), ("dataset", dataset.name.as_str())];
    weights::write(&args.out, &file, &metadata)?;
    Ok(console::print(&match args.json {
        true => {
            let tensor = |tensor: &Tensor<'_>| -> Value {
                let dtype = if matches!(tensor.values, Values::I64(_)) { "I64" } else { "F32" };
                json!({ "name": tensor.name, "dtype": dtype, "dims": tensor.dims })
            };
            let dump = json!({
                "file": args.out,
                "recipe": recipe.name,
                "dataset": dataset.name.as_str(),
                "split": args.split.to_string(),
                "images": [range.start, range.end],
                "tensors": file.iter().map(tensor).collect::<Vec<_>>(),
            });
            format!("{dump:#}\n")
        }
        false => format!(
            "{}: {} tensors, images {}..{} of the {} split, dataset {}\n",
            args.out.display(),
            file.len(),
            range.start,
            range.end,
            args.split,
            dataset.name
        ),
    })?)
}
