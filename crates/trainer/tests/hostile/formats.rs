//! The formats, each with a good file and the way the program reads it.

use crate::targets;
use fashion_mnist::{gzip, idx, synthetic};
use faults::{Damage, Random, damaged};
use flate2::{Compression, write::GzEncoder};
use kernels::tuned::{Among, Choice, Class, Tuned, problem};
use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::LazyLock;
use trainer::checkpoint::{Checkpoint, DatasetIdentity, Identity, Saved, Snapshot, Store, encode};
use trainer::device::read_tuned;
use trainer::network::{Network, ParameterSpec};
use trainer::recipe::Recipe;
use trainer::sweep::Sweep;
use trainer::train::LoopState;
use trainer::weights;

/// What a file is damaged to, and how.
type Damaged = (Vec<u8>, Vec<Damage>);

/// Reads a good file, or a small one, as the program does.
type Reader = fn(&Path, small: bool) -> Result<(), Box<dyn Error>>;

/// A format that strangers may feed in.
pub struct Format {
    /// Names the campaign.
    pub name: &'static str,
    /// Name of the file.
    pub file: &'static str,
    /// A good file of a realistic size.
    pub good: fn() -> Vec<u8>,
    /// A small one.
    pub small: fn() -> Vec<u8>,
    /// Reads it.
    pub read: Reader,
    /// Damages a good file, also behind its checksums.
    pub damage: fn(&[u8], &mut Random) -> Damaged,
    /// Bytes of the good file as loaded, which the manifest or the network vouches for; half of what text may take.
    pub verified: fn(good: &[u8]) -> usize,
    /// Whether a piece of a good file may be a good file.
    pub text: bool,
}

/// Every format.
pub const FORMATS: &[Format] = &[
    Format {
        name: "idx",
        file: "images-idx3-ubyte",
        good: many_images,
        small: || images(1),
        read: |path, small| {
            let images = if small { 1 } else { IMAGES };
            idx::decode(fs::read(path)?, &[images, 28, 28])?;
            Ok(())
        },
        damage: damaged,
        verified: <[u8]>::len,
        text: false,
    },
    Format {
        name: "gzip",
        file: "images-idx3-ubyte.gz",
        good: || pack(&many_images()),
        small: || pack(&images(1)),
        read: |path, small| {
            let dims = [if small { 1 } else { IMAGES }, 28, 28];
            idx::decode(gzip::unpack(&fs::read(path)?, idx::file_len(&dims)?)?, &dims)?;
            Ok(())
        },
        damage: |good, random| match random.below(4) {
            // The stream itself is whole, what is in it is not.
            0 => {
                let (inner, damage) = damaged(&many_images(), random);
                (pack(&inner), damage)
            }
            _ => damaged(good, random),
        },
        verified: |_| many_images().len(),
        text: false,
    },
    Format {
        name: "weights",
        file: "model.safetensors",
        good: || {
            let network = lenet5();
            let values: Vec<Vec<f32>> = network.initialise(1).into_iter().map(|(_, values)| values).collect();
            saved(network.parameters(), &values)
        },
        small: || saved(&targets::parameters(), &[vec![0.5; 12], vec![-1.0; 3], vec![0.0; 3]]),
        read: |path, small| {
            let parameters = if small { targets::parameters() } else { lenet5().parameters().to_vec() };
            weights::load(path, &parameters)?;
            Ok(())
        },
        damage: damaged_safetensors,
        verified: <[u8]>::len,
        text: false,
    },
    Format {
        name: "checkpoint",
        file: "checkpoints/last.safetensors",
        good: || encode(&checkpoint(lenet5().parameters())).unwrap(),
        small: || encode(&checkpoint(&targets::parameters())).unwrap(),
        read: |path, _| {
            let run = path.ancestors().nth(2).ok_or("no folder")?;
            Store::load(run, 1 << 22, |_| Ok(()))?;
            Ok(())
        },
        damage: |good, random| match random.below(4) {
            // Whoever made it knows how to make its hashes fit.
            0 => {
                let (bytes, damage) = damaged_safetensors(good, random);
                (targets::sealed(&bytes).unwrap_or(bytes), damage)
            }
            _ => damaged_safetensors(good, random),
        },
        verified: <[u8]>::len,
        text: false,
    },
    Format {
        name: "recipe",
        file: "mine.toml",
        good: recipe,
        small: recipe,
        read: |path, _| {
            Recipe::read(path)?;
            Ok(())
        },
        damage: damaged,
        verified: |_| 2 << 20,
        text: true,
    },
    Format {
        name: "sweep",
        file: "sweep.toml",
        good: sweep,
        small: sweep,
        read: |path, _| {
            Sweep::read(path)?;
            Ok(())
        },
        damage: damaged,
        verified: |_| 2 << 20,
        text: true,
    },
    Format {
        name: "tuned",
        file: "tuned.toml",
        good: || choices(200),
        small: || choices(3),
        read: |path, _| {
            read_tuned(path)?;
            Ok(())
        },
        damage: damaged,
        verified: |_| 8 << 20,
        text: true,
    },
];

const IMAGES: u32 = 400;

/// Longest recipe or sweep that is read; tables may be four times as long.
pub const TEXT_LIMIT: usize = 1 << 16;

/// The IDX file that is damaged. Drawing it takes longer than all else that is done with it.
fn many_images() -> Vec<u8> {
    static DRAWN: LazyLock<Vec<u8>> = LazyLock::new(|| images(IMAGES));
    DRAWN.clone()
}

/// An IDX file.
fn images(count: u32) -> Vec<u8> {
    let mut file = vec![0, 0, 8, 3];
    for dim in [count, 28, 28] {
        file.extend(dim.to_be_bytes());
    }
    file.extend(synthetic(count, 1, 3).train.images());
    file
}

fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn lenet5() -> Network {
    let recipe = Recipe::find("lenet5").unwrap();
    Network::new(&recipe.layers, recipe.train.batch_size).unwrap()
}

fn saved(parameters: &[ParameterSpec], values: &[Vec<f32>]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w");
    let pairs = parameters.iter().zip(values.iter().map(Vec::as_slice));
    weights::save(&path, pairs, &[("recipe", "mine")]).unwrap();
    fs::read(path).unwrap()
}

/// A checkpoint of a run with Adam.
pub fn checkpoint(parameters: &[ParameterSpec]) -> Checkpoint {
    let mut tensors = Vec::new();
    for parameter in parameters {
        for state in ["", "/m", "/v"] {
            let values = (0..parameter.spec.len()).map(|i| i as f32 * 0.25 - 3.0).collect();
            let name = format!("{}{state}", parameter.name);
            tensors.push(Saved { name, dims: parameter.spec.dims.clone(), values });
        }
    }
    let dataset = DatasetIdentity { name: "synthetic".to_owned(), sha256: "00".repeat(32) };
    let recipe = Recipe::find("lenet5").unwrap().to_toml().unwrap();
    Checkpoint {
        identity: Identity { recipe, dataset, log_every: Some(3), adapter: "reference".to_owned() },
        snapshot: Snapshot { state: LoopState { steps: 7, position: 224, ..LoopState::default() }, tensors },
    }
}

/// A table of chosen kernels.
fn choices(count: usize) -> Vec<u8> {
    let choice = |len: usize| {
        let op = reference::ops::Relu::new(reference::TensorSpec::plain([len])).unwrap();
        Choice { problem: problem(&op), row: "relu.fwd.vec4".to_owned(), gain: 1.5 }
    };
    let choices = (1..=count).map(choice).collect();
    let table = Tuned::new(Class::Software, "llvmpipe".to_owned(), Among::SameOrder, choices).unwrap();
    table.to_toml().unwrap().into_bytes()
}

/// A grid with all that one may have.
fn sweep() -> Vec<u8> {
    let text = r#"# Two recipes, twelve points.
name = "mine"
recipes = ["lenet5", "depth3"]
seeds = [0, 1, 2]

[axes]
"train.batch_size" = [64, 128]
"train.epochs" = [1, 2, 3]
rate = [{ "optimizer.lr" = 0.1, "train.seed" = 3 }, { "optimizer.lr" = 0.01 }]
"#;
    text.as_bytes().to_vec()
}

fn recipe() -> Vec<u8> {
    Recipe::find("depth3").unwrap().to_toml().unwrap().into_bytes()
}

/// Damages the file, or its header alone, with a length that fits.
fn damaged_safetensors(good: &[u8], random: &mut Random) -> Damaged {
    if random.below(2) == 0 {
        return damaged(good, random);
    }
    let end = 8 + u64::from_le_bytes(*good.first_chunk().unwrap()) as usize;
    let (header, damage) = damaged(&good[8..end], random);
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend(&good[end..]);
    (bytes, damage)
}
