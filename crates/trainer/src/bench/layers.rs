//! What is worth timing: the operations of the built-in networks, at the batch sizes of their recipes.

use crate::cli::UsageError;
use crate::network::{INPUT, Layer, Network};
use crate::recipe::{BUILT_IN, Loss, Recipe};
use crate::similar::most_similar;
use anyhow::Context;
use kernels::Row;
use reference::cases::Case;
use reference::ops::{
    Adam, AvgPool2d, BatchNorm, BatchNormMode, BatchNormOfMoments, BatchNormRelu, BatchNormReluAvgPool2d, Conv2d,
    Conv2dMoments, Conv2dRelu, Conv2dReluMaxPool2d, Conv2dReluMaxPool2dPartial, Conv2dWeightBias,
    Conv2dWeightBiasPartial, Conv2dWeightPartial, Dense, DenseRelu, DenseSoftmaxCrossEntropy, DenseWeightBias, Dropout,
    Flatten, FourierFeatures, Gather, GatherSizes, LogSoftmax, MaxPool2d, MaxPool2dRelu, MaxPool2dReluFlatten,
    MultiClassHinge, NllLoss, Relu, ReluDense, RmsProp, Segment, Sgd, SoftmaxCrossEntropy,
    SoftmaxCrossEntropyWithGradient, SplitSum, SplitSummed,
};
use reference::{Direction, Operation, TensorSpec};
use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

/// The network whose layers a kernel is timed on unless told otherwise.
const USUAL: &str = "depth2-";

/// An operation of one or more networks.
#[derive(Clone, Debug)]
pub struct Problem {
    /// `<recipe>-<layer>`, of the first network that has it.
    pub name: String,
    /// The names it has in others.
    pub aliases: Vec<String>,
    /// The operation at the layer's sizes.
    pub op: Arc<dyn Operation>,
    /// Whether it stands for neighbours, as in a plan: `<recipe>-fused-<layer>`.
    pub fused: bool,
}

impl Problem {
    /// Whether `part` is in one of its names.
    pub fn is_called(&self, part: &str) -> bool {
        std::iter::once(&self.name).chain(&self.aliases).any(|name| name == part || name.contains(part))
    }

    /// Floating-point operations of its most expensive direction.
    pub fn flops(&self) -> u64 {
        self.op.directions().iter().map(|&direction| self.op.flops(direction)).max().unwrap_or_default()
    }
}

/// The operations of a training step of this recipe, in order: the input, the layers, the loss, and the update of the
/// largest parameter. Equal ones are listed once each time they occur.
pub fn of_recipe(recipe: &Recipe) -> anyhow::Result<Vec<(String, Arc<dyn Operation>)>> {
    let n = recipe.train.batch_size;
    let network = Network::new(&recipe.layers, n)?;
    let [c, h, w] = INPUT;
    // The training images as a whole lie on the device; how many there are costs a gathered batch nothing.
    let sizes = GatherSizes { n, c, h, w, total: 10_000, order_len: 10_000 };
    let mut all: Vec<(String, Arc<dyn Operation>)> = Vec::new();
    let mut add = |name: &str, op: Arc<dyn Operation>| all.push((format!("{}-{name}", recipe.name), op));
    add("gather", Arc::new(Gather::new(sizes, 1.0 / 255.0, 0.0)?));
    let mut x = TensorSpec::image(n, c, h, w);
    for (layer, name) in network.layers().iter().zip(network.names()) {
        let image = || match *x.dims {
            [n, c, h, w] => Ok([n, c, h, w]),
            _ => Err(anyhow::anyhow!("{name} of {} gets {x}, which is no image", recipe.name)),
        };
        let op: Arc<dyn Operation> = match *layer {
            Layer::Conv { c_out, h, w, .. } => Arc::new(Conv2d::new(image()?, c_out, h, w)?),
            Layer::BatchNorm { eps, momentum, .. } => {
                Arc::new(BatchNorm::new(x.clone(), BatchNormMode::Training, eps, momentum)?)
            }
            Layer::Relu => Arc::new(Relu::new(x.clone())?),
            Layer::MaxPool { h, w } => Arc::new(MaxPool2d::new(image()?, h, w)?),
            Layer::AvgPool { h, w } => Arc::new(AvgPool2d::new(image()?, h, w)?),
            Layer::Flatten => Arc::new(Flatten::new(image()?)?),
            Layer::Dense { features_out, .. } => {
                let features_in = x.dims.get(1).copied().unwrap_or_default();
                Arc::new(Dense::new(n, features_in, features_out)?)
            }
            Layer::FourierFeatures { bias, .. } => {
                let features_in = x.dims.get(1).copied().unwrap_or_default();
                let features_out = network.parameters()[bias].spec.len();
                let dense = Dense::new(n, features_in, features_out)?;
                let y = dense.signature(Direction::Fwd).into_iter().find(|arg| arg.name == "y");
                let y = y.with_context(|| format!("{name} of {} has no output", recipe.name))?.spec;
                add(&format!("{name}-dense"), Arc::new(dense));
                Arc::new(FourierFeatures::new(y, FourierFeatures::scale_for(features_out))?)
            }
            Layer::Dropout { rate, id } => Arc::new(Dropout::new(x.clone(), rate, id)?),
        };
        let y = op.signature(Direction::Fwd).into_iter().find(|arg| arg.name == "y");
        x = y.with_context(|| format!("{name} of {} has no output", recipe.name))?.spec;
        add(name, op);
    }
    let classes = x.dims.get(1).copied().unwrap_or_default();
    match recipe.loss {
        Loss::CrossEntropy(_) => add("loss", Arc::new(SoftmaxCrossEntropy::new(n, classes)?)),
        Loss::Nll => {
            add("log_softmax", Arc::new(LogSoftmax::new(n, classes)?));
            add("loss", Arc::new(NllLoss::new(n, classes)?));
        }
        Loss::Hinge => add("loss", Arc::new(MultiClassHinge::new(n, classes)?)),
    }
    let trained = network.parameters().iter().filter(|parameter| parameter.trainable);
    if let Some(largest) = trained.max_by_key(|parameter| parameter.spec.len()) {
        let op = recipe.optimizer.update(&largest.spec)?;
        add(op.name(), op.into());
    }
    Ok(all)
}

/// The fused operations that stand for neighbours among those of [`of_recipe`]: a convolution or normalisation with what follows it,
/// those that hand each other moments, a dense layer with its ReLU or the loss, the pooling behind a ReLU, the loss with its
/// gradient, the gradients of weights and bias, and those of a convolution before their splits are added; last the update of all
/// parameters, from gradients (`-all`), and with the sums of the convolutions' splits in it.
/// Whether a plan takes them is its own business (`kernels/src/gpu/fuse.rs`).
pub fn fused_of_recipe(recipe: &Recipe) -> anyhow::Result<Vec<(String, Arc<dyn Operation>)>> {
    fn at<O: Any + Clone>(op: Option<&(String, Arc<dyn Operation>)>) -> Option<O> {
        op.and_then(|(_, op)| op.as_any().downcast_ref::<O>()).cloned()
    }
    let plain = of_recipe(recipe)?;
    let before = |index: usize| plain.get(index.checked_sub(1)?);
    let mut fused: Vec<(String, Arc<dyn Operation>)> = Vec::new();
    for (index, (name, _)) in plain.iter().enumerate() {
        let [first, second, third] = [0, 1, 2].map(|behind| plain.get(index + behind));
        let mut add = |what: &str, op: Arc<dyn Operation>| {
            let layer = name.strip_prefix(&format!("{}-", recipe.name)).unwrap_or(name);
            fused.push((format!("{}-fused-{layer}{what}", recipe.name), op));
        };
        if let Some(conv) = at::<Conv2d>(first) {
            match (at::<Relu>(second), at::<MaxPool2d>(third)) {
                (Some(_), Some(pool)) => {
                    let whole = Conv2dReluMaxPool2d::new(conv.clone(), pool)?;
                    add("", Arc::new(whole.clone()));
                    add("-pooled-partials", Arc::new(Conv2dReluMaxPool2dPartial::of(whole)?));
                }
                (Some(_), None) => add("", Arc::new(Conv2dRelu { conv: conv.clone() })),
                _ => {}
            }
            // Followed by a normalisation, at once or behind a ReLU.
            let relu = at::<Relu>(second).is_some();
            if at::<BatchNorm>(if relu { third } else { second }).is_some() {
                add("-moments", Arc::new(Conv2dMoments { conv: conv.clone(), relu }));
            }
            add("-gradients", Arc::new(Conv2dWeightBias { conv: conv.clone() }));
            add("-partials", Arc::new(Conv2dWeightBiasPartial::of(conv.clone())?));
            add("-weight-partials", Arc::new(Conv2dWeightPartial::of(conv)?));
        }
        // What random features are made of is not trained.
        if let (Some(dense), None) = (at::<Dense>(first), at::<FourierFeatures>(second)) {
            if at::<Relu>(second).is_some() {
                add("", Arc::new(DenseRelu { dense: dense.clone() }));
            }
            if let Some(softmax) = at::<SoftmaxCrossEntropy>(second) {
                add("", Arc::new(DenseSoftmaxCrossEntropy::new(dense.clone(), softmax)?));
            }
            if at::<Relu>(before(index)).is_some() {
                add("-behind-relu", Arc::new(ReluDense { dense: dense.clone() }));
            }
            add("-gradients", Arc::new(DenseWeightBias { dense }));
        }
        if let Some(norm) = at::<BatchNorm>(first) {
            let relu = at::<Relu>(second).is_some();
            let behind = |back: usize| index.checked_sub(back).and_then(|index| plain.get(index));
            let relu_before = at::<Relu>(before(index)).is_some();
            if at::<Conv2d>(behind(if relu_before { 2 } else { 1 })).is_some() {
                add("-of-moments", Arc::new(BatchNormOfMoments { norm: norm.clone(), relu }));
            }
            if let (true, Some(pool)) = (relu, at::<AvgPool2d>(third)) {
                add("-pooled", Arc::new(BatchNormReluAvgPool2d::new(norm.clone(), pool)?));
            }
            if relu {
                add("", Arc::new(BatchNormRelu { norm }));
            }
        }
        if let (Some(_), Some(pool)) = (at::<Relu>(before(index)), at::<MaxPool2d>(first)) {
            add("", Arc::new(MaxPool2dRelu { pool: pool.clone() }));
            if at::<Flatten>(second).is_some() {
                add("-flattened", Arc::new(MaxPool2dReluFlatten { pool }));
            }
        }
        if let Some(softmax) = at::<SoftmaxCrossEntropy>(first) {
            add("", Arc::new(SoftmaxCrossEntropyWithGradient { softmax }));
        }
    }
    fused.extend(updates_of_recipe(recipe)?);
    Ok(fused)
}

/// The update of all parameters in one, as they lie next to each other: from their gradients, and, if there are convolutions,
/// with the sums of their splits in it.
fn updates_of_recipe(recipe: &Recipe) -> anyhow::Result<Vec<(String, Arc<dyn Operation>)>> {
    /// Where a tensor may begin in an arena, in words.
    const ALIGNMENT: usize = 64;
    fn split<U: SplitSummed>(
        update: &dyn Operation,
        segments: &[Segment],
        partials: usize,
    ) -> Option<Result<Arc<dyn Operation>, reference::Error>> {
        let update = update.as_any().downcast_ref::<U>()?.clone();
        Some(SplitSum::new(update, segments.to_vec(), partials).map(|op| Arc::new(op) as Arc<dyn Operation>))
    }
    let network = Network::new(&recipe.layers, recipe.train.batch_size)?;
    let mut splits: HashMap<usize, usize> = HashMap::new();
    let convs = network.layers().iter().filter_map(|layer| match layer {
        Layer::Conv { weight, bias, .. } => Some([*weight, *bias]),
        _ => None,
    });
    let ops = of_recipe(recipe)?.into_iter().filter_map(|(_, op)| op.as_any().downcast_ref::<Conv2d>().cloned());
    for (parameters, conv) in convs.zip(ops) {
        splits.extend(parameters.map(|parameter| (parameter, conv.splits())));
    }
    let (mut words, mut partials, mut segments) = (0, 0, Vec::new());
    for (index, parameter) in network.parameters().iter().enumerate().filter(|(_, parameter)| parameter.trainable) {
        let len = parameter.spec.len();
        if let Some(&splits) = splits.get(&index) {
            segments.push(Segment { start: words, len, splits, offset: partials });
            partials += (splits * len).next_multiple_of(ALIGNMENT);
        }
        words += len.next_multiple_of(ALIGNMENT);
    }
    if segments.is_empty() {
        return Ok(Vec::new());
    }
    let update = recipe.optimizer.update(&TensorSpec::plain([words]))?;
    let of_sgd = || split::<Sgd>(&*update, &segments, partials);
    let of_adam = || split::<Adam>(&*update, &segments, partials);
    let split = of_sgd().or_else(of_adam).or_else(|| split::<RmsProp>(&*update, &segments, partials)).transpose()?;
    let name = format!("{}-fused-{}", recipe.name, update.name());
    let all = (format!("{name}-all"), update.into());
    Ok([Some(all), split.map(|op| (name, op))].into_iter().flatten().collect())
}

/// The operations of all built-in networks, each once: first the plain ones, then the fused ones.
pub fn all() -> anyhow::Result<Vec<Problem>> {
    let recipes = BUILT_IN.iter().map(Recipe::built_in).collect::<Result<Vec<_>, _>>()?;
    let mut problems: Vec<Problem> = Vec::new();
    for fused in [false, true] {
        for recipe in &recipes {
            for (name, op) in if fused { fused_of_recipe(recipe)? } else { of_recipe(recipe)? } {
                let key = kernels::tuned::problem(&*op);
                match problems.iter_mut().find(|problem| kernels::tuned::problem(&*problem.op) == key) {
                    Some(problem) => problem.aliases.push(name),
                    None => problems.push(Problem { name, aliases: Vec::new(), op, fused }),
                }
            }
        }
    }
    Ok(problems)
}

/// Those that some part is in a name of; all of them without parts.
pub fn chosen(parts: &[String]) -> anyhow::Result<Vec<Problem>> {
    let mut all = all()?;
    if let Some(part) = parts.iter().find(|part| !all.iter().any(|problem| problem.is_called(part))) {
        return Err(unknown(&all, part).into());
    }
    all.retain(|problem| parts.is_empty() || parts.iter().any(|part| problem.is_called(part)));
    Ok(all)
}

/// What to say about a name that no layer has.
pub fn unknown(all: &[Problem], name: &str) -> UsageError {
    let names = all.iter().flat_map(|problem| problem.aliases.iter().chain([&problem.name]));
    // A part of a name is enough where layers are chosen, and a recipe's name is the part most often meant.
    let recipes = BUILT_IN.iter().map(|built_in| built_in.name);
    let suggestion = most_similar(name, names.clone().map(String::as_str).chain(recipes)).map(str::to_owned);
    // A recipe's name stands in front. Of all recipes together there are hundreds.
    let recipe = BUILT_IN.iter().map(|built_in| format!("{}-", built_in.name));
    let recipe = recipe.filter(|recipe| name.starts_with(recipe.as_str())).max_by_key(String::len);
    let known = match recipe {
        Some(recipe) => {
            let names: Vec<&str> = names.map(String::as_str).filter(|name| name.starts_with(&recipe)).collect();
            format!("there are {}", names.join(", "))
        }
        None => "layers are called <RECIPE>-<LAYER>, such as depth2-conv2; `trainer kernels show ROW` lists a kernel's"
            .to_owned(),
    };
    UsageError::UnknownLayer { layer: name.to_owned(), suggestion, known }
}

/// The names of those layers that a row accepts, each the one it is timed under.
pub fn names(row: &dyn Row, layers: &[Problem]) -> Vec<String> {
    let fits = |layer: &&Problem| layer.op.name() == row.op() && row.accepts(&*layer.op).is_ok();
    layers.iter().filter(fits).map(|layer| layer.name.clone()).collect()
}

/// A layer for a row, as a case: of those called `name` the one with the most work that the row accepts. Without a name,
/// of the layers of `depth2`, or else of any network; `None` if it accepts none of these.
pub fn for_row(row: &dyn Row, name: Option<&str>) -> anyhow::Result<Option<Case>> {
    let mut problems = match name {
        Some(name) => chosen(&[name.to_owned()])?,
        None => all()?,
    };
    problems.retain(|problem| problem.op.name() == row.op());
    let refusal = problems.iter().find_map(|problem| row.accepts(&*problem.op).err());
    problems.retain(|problem| row.accepts(&*problem.op).is_ok());
    if let (Some(name), true) = (name, problems.is_empty()) {
        let reason = refusal.map_or_else(
            || format!("{name} is a layer of another operation; `trainer kernels show {}` lists its own", row.id()),
            |error| error.to_string(),
        );
        return Err(UsageError::NoCase { row: row.id(), reason }.into());
    }
    if name.is_none() && problems.iter().any(|problem| problem.is_called(USUAL)) {
        problems.retain(|problem| problem.is_called(USUAL));
    }
    let heaviest = problems.into_iter().max_by_key(|problem| problem.op.flops(row.direction()));
    Ok(heaviest.map(|problem| Case { name: problem.name, op: problem.op }))
}

/// A layer as [`all`] names it, with batches of at most `images`, but of two, without which a network may have features
/// that cannot be normalised; and the size of its recipe's batches.
pub fn with_batch(name: &str, images: usize) -> anyhow::Result<(Arc<dyn Operation>, usize)> {
    let of = BUILT_IN.iter().filter(|built_in| name.starts_with(&format!("{}-", built_in.name)));
    let built_in = of.max_by_key(|built_in| built_in.name.len());
    let mut recipe = Recipe::built_in(built_in.with_context(|| format!("{name} is a layer of no recipe"))?)?;
    let batch = recipe.train.batch_size;
    recipe.train.batch_size = images.max(2).min(batch);
    let layers = of_recipe(&recipe)?.into_iter().chain(fused_of_recipe(&recipe)?);
    let op = layers.into_iter().find_map(|(layer, op)| (layer == name).then_some(op));
    Ok((op.with_context(|| format!("{name} is no layer"))?, batch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::LayerSpec;
    use reference::Contract;
    use reference::ops::{SplitSumAdam, SplitSumSgd};

    #[test]
    fn every_network_brings_its_layers_and_equal_ones_come_once() {
        let all = all().unwrap();
        for built_in in BUILT_IN {
            let recipe = Recipe::built_in(built_in).unwrap();
            let layers = of_recipe(&recipe).unwrap();
            let is_double = |layer: &&LayerSpec| matches!(layer, LayerSpec::FourierFeatures(_));
            let doubles = recipe.layers.iter().filter(is_double).count() + usize::from(recipe.loss == Loss::Nll);
            // The input, the loss and the optimiser besides.
            assert_eq!(layers.len(), recipe.layers.len() + doubles + 3, "{}", built_in.name);
            let fused = fused_of_recipe(&recipe).unwrap();
            for (name, _) in layers.into_iter().chain(fused) {
                assert_eq!(
                    all.iter().filter(|problem| problem.aliases.contains(&name) || problem.name == name).count(),
                    1,
                    "{name}"
                );
            }
        }
        let mut keys: Vec<String> = all.iter().map(|problem| kernels::tuned::problem(&*problem.op)).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), all.len());
    }

    #[test]
    fn every_fused_operation_is_timed_somewhere() {
        let all = all().unwrap();
        for op in [
            BatchNormOfMoments::NAME,
            BatchNormRelu::NAME,
            BatchNormReluAvgPool2d::NAME,
            Conv2dMoments::NAME,
            Conv2dReluMaxPool2d::NAME,
            Conv2dReluMaxPool2dPartial::NAME,
            Conv2dRelu::NAME,
            Conv2dWeightBias::NAME,
            Conv2dWeightBiasPartial::NAME,
            Conv2dWeightPartial::NAME,
            DenseRelu::NAME,
            DenseSoftmaxCrossEntropy::NAME,
            DenseWeightBias::NAME,
            MaxPool2dRelu::NAME,
            MaxPool2dReluFlatten::NAME,
            ReluDense::NAME,
            SoftmaxCrossEntropyWithGradient::NAME,
            // RMSprop is of no recipe with convolutions.
            SplitSumAdam::NAME,
            SplitSumSgd::NAME,
        ] {
            assert!(all.iter().any(|problem| problem.fused && problem.op.name() == op), "{op}");
        }
        let depth2 = fused_of_recipe(&Recipe::find("depth2").unwrap()).unwrap();
        let names: Vec<&str> = depth2.iter().map(|(name, _)| name.as_str()).collect();
        // No dense_relu: dropout stands between the two.
        let expected = "conv1 conv1-pooled-partials conv1-gradients conv1-partials conv1-weight-partials max_pool1 \
                        conv2 conv2-pooled-partials conv2-gradients conv2-partials conv2-weight-partials max_pool2 max_pool2-flattened \
                        fc1-gradients fc2 fc2-behind-relu fc2-gradients loss adam-all adam";
        let expected: Vec<String> = expected.split(' ').map(|name| format!("depth2-fused-{name}")).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn layers_are_chosen_by_parts_of_any_of_their_names() {
        let names = |parts: &[&str]| -> anyhow::Result<Vec<String>> {
            let parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
            Ok(chosen(&parts)?.into_iter().map(|problem| problem.name).collect())
        };
        assert_eq!(names(&["lenet5-conv"]).unwrap(), ["lenet5-conv1", "lenet5-conv2"]);
        // The same layer in two networks of the same batch size.
        assert_eq!(names(&["depth3-conv2"]).unwrap(), names(&["depth2-conv2"]).unwrap());
        assert_eq!(names(&[]).unwrap().len(), all().unwrap().len());
        let error = names(&["depth2-conf2"]).unwrap_err().to_string();
        assert!(error.contains("did you mean `depth2-conv2`?") && error.contains(" depth2-fc1,"), "{error}");
        assert!(!error.contains("lenet5-"), "{error}");
        assert!(names(&["depht2"]).unwrap_err().to_string().contains("did you mean `depth2`?"));
        let error = names(&["nonsense"]).unwrap_err().to_string();
        assert!(error.contains("; layers are called <RECIPE>-<LAYER>, such as depth2-conv2; "), "{error}");
    }

    #[test]
    fn a_layer_is_had_with_fewer_images() {
        for problem in all().unwrap() {
            let (op, batch) = with_batch(&problem.name, usize::MAX).unwrap();
            assert_eq!(kernels::tuned::problem(&*op), kernels::tuned::problem(&*problem.op), "{}", problem.name);
            assert!(batch > 0);
            assert!(with_batch(&problem.name, 1).is_ok(), "{}", problem.name);
        }
        let flops = |images| with_batch("depth2-conv2", images).unwrap().0.flops(Direction::Fwd);
        assert_eq!((flops(16), flops(64)), (2 * flops(8), 8 * flops(8)));
    }

    #[test]
    fn the_tables_of_choices_are_about_these_layers() {
        let keys: Vec<String> = all().unwrap().iter().map(|problem| kernels::tuned::problem(&*problem.op)).collect();
        for class in [kernels::Class::Software, kernels::Class::Hardware] {
            for choice in kernels::Tuned::built_in(class).unwrap().choices() {
                // One that no layer has is never looked up: the descriptor or the recipe has changed since.
                assert!(keys.contains(&choice.problem), "{class}.toml: {choice:?}; run `cargo xtask tune` again");
            }
        }
    }
}
