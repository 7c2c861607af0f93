//! A network with every kind of layer, for tests of whole networks.

use trainer::recipe::Recipe;

/// Convolution, batch normalisation of images and of features, both poolings, dropout: what the
/// built-in recipes so far do not have between them.
const EVERYTHING: &str = r#"
name = "everything"
description = "Every layer there is"
source = "a test"
assumptions = []
layers = [
    { kind = "conv", out = 6, kernel = [5, 3], pad = [2, 1], stride = [1, 2] },
    { kind = "batch_norm" },
    { kind = "relu" },
    { kind = "avg_pool", kernel = [4, 2], stride = [3, 2], pad = [1, 0] },
    { kind = "conv", out = 8, kernel = 3, dilation = 2, pad = 2 },
    { kind = "batch_norm" },
    { kind = "relu" },
    { kind = "dropout", rate = 0.3 },
    { kind = "max_pool", kernel = 3, stride = 2, pad = 1 },
    { kind = "flatten" },
    { kind = "dense", out = 20 },
    { kind = "batch_norm" },
    { kind = "relu" },
    { kind = "dropout", rate = 0.1 },
    { kind = "dense", out = 10 },
]

[data]
normalise = "symmetric"
validation = 0

[train]
epochs = 3
batch_size = 7
seed = 5
order = "shuffled"

[optimizer]
kind = "sgd"
lr = 0.05
momentum = 0.9
nesterov = true
weight_decay = 1e-3
"#;

pub fn recipe() -> Recipe {
    Recipe::parse(EVERYTHING, "everything.toml").expect("a recipe")
}
