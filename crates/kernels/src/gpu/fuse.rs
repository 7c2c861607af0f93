//! Rules that replace neighbouring launches of a recording by one.
//!
//! A rule looks for a tensor that one launch writes and one other launch reads, and that nobody outside of the recording
//! holds; it replaces both by an operation that is defined as their chain. The fused kernel is the one of the algorithm
//! that the unfused launch would have run, and sums in its order, so a plan gives the bits of the eager tape. Where there
//! is none, nothing is fused.

mod split_sum;

use super::Gpu;
use super::plan::Node;
use crate::kernel::{Row, Summation};
use crate::memory::Tensor;
use reference::ops::{
    AvgPool2d, BatchNorm, BatchNormMode, BatchNormOfMoments, BatchNormRelu, BatchNormReluAvgPool2d, Conv2d,
    Conv2dMoments, Conv2dRelu, Conv2dReluMaxPool2d, Conv2dWeightBias, Dense, DenseRelu, DenseSoftmaxCrossEntropy,
    DenseWeightBias, Flatten, MaxPool2d, MaxPool2dRelu, MaxPool2dReluFlatten, Relu, ReluDense, SoftmaxCrossEntropy,
    SoftmaxCrossEntropyWithGradient,
};
use reference::{Access, Direction, Operation};
use std::any::Any;
use std::sync::Arc;

/// Applies every rule wherever it fits.
pub(super) fn fuse(gpu: &Gpu, nodes: Vec<Node>) -> Vec<Node> {
    let mut graph = Graph { gpu, nodes: nodes.into_iter().map(Some).collect() };
    // The backward pass first: it lets go of the activations that the forward pass can then keep to itself.
    let rules = [
        Graph::max_pool2d_relu_backward,
        Graph::batch_norm_relu_avg_pool2d_backward,
        Graph::batch_norm_relu_backward,
        Graph::relu_dense_backward,
        Graph::conv2d_relu_max_pool2d,
        Graph::batch_norm_relu_avg_pool2d,
        Graph::conv2d_moments,
        Graph::conv2d_relu,
        Graph::dense_relu,
        Graph::batch_norm_relu,
        Graph::dense_weight_bias,
        Graph::conv2d_weight_bias,
        Graph::conv2d_relu_max_pool2d_backward,
        Graph::max_pool2d_relu_flatten_backward,
        Graph::dense_softmax_cross_entropy,
        Graph::softmax_cross_entropy_with_gradient,
        Graph::split_sum,
    ];
    for rule in rules {
        for index in 0..graph.nodes.len() {
            if let Some(Merge { gone, placed }) = rule(&graph, index) {
                gone.into_iter().for_each(|index| graph.nodes[index] = None);
                placed.into_iter().for_each(|(index, node)| graph.nodes[index] = Some(node));
            }
        }
    }
    graph.nodes.into_iter().flatten().collect()
}

/// Nodes take the places of others, and those that are `gone` go.
struct Merge {
    gone: Vec<usize>,
    placed: Vec<(usize, Node)>,
}

impl Merge {
    /// `node` takes the place of node `into`.
    fn new(gone: Vec<usize>, into: usize, node: Node) -> Self {
        Self { gone, placed: vec![(into, node)] }
    }
}

struct Graph<'a> {
    gpu: &'a Gpu,
    /// `None` where a launch was merged into another.
    nodes: Vec<Option<Node>>,
}

impl Graph<'_> {
    /// The node here, if it is this direction of this operation and was not chosen by hand.
    fn node<O: Any>(&self, index: usize, direction: Direction) -> Option<(&O, &Node)> {
        let node = self.nodes.get(index)?.as_ref()?;
        let op = node.op.as_any().downcast_ref()?;
        (node.direction == direction && !node.by_hand).then_some((op, node))
    }

    /// The nodes that use a tensor, in order.
    fn uses(&self, tensor: &Tensor) -> Vec<usize> {
        let uses = |node: &Node| node.args.iter().any(|arg| arg.is(tensor));
        (0..self.nodes.len()).filter(|&index| self.nodes[index].as_ref().is_some_and(uses)).collect()
    }

    /// How often the recording holds a tensor's memory.
    fn held(&self, tensor: &Tensor) -> usize {
        let args = self.nodes.iter().flatten().flat_map(|node| &node.args);
        args.filter(|arg| Arc::ptr_eq(&arg.buffer, &tensor.buffer)).count()
    }

    /// Whether nobody outside of the recording holds a tensor.
    fn is_private(&self, tensor: &Tensor) -> bool {
        tensor.buffer.is_from(&self.gpu.stream.pool) && Arc::strong_count(&tensor.buffer) == self.held(tensor)
    }

    /// The only node that reads what node `index` writes as `name`, if nobody else can see it.
    fn only_reader(&self, index: usize, name: &str) -> Option<usize> {
        let tensor = self.nodes.get(index)?.as_ref()?.arg(name)?;
        match self.uses(tensor)[..] {
            [writer, reader] if writer == index && self.is_private(tensor) => Some(reader),
            _ => None,
        }
    }

    /// Whether nothing between two nodes changes a tensor.
    fn is_kept(&self, tensor: &Tensor, from: usize, to: usize) -> bool {
        let changes = |node: &Node| {
            let mut pairs = node.signature().into_iter().zip(&node.args);
            pairs.any(|(arg, other)| arg.access != Access::Read && other.is(tensor))
        };
        !(from + 1..to).filter_map(|index| self.nodes[index].as_ref()).any(changes)
    }

    /// The row that this launch would run.
    fn row(&self, index: usize) -> Option<&'static dyn Row> {
        let node = self.nodes.get(index)?.as_ref()?;
        if node.row.is_some() {
            return node.row;
        }
        self.gpu.select_for(&*node.op, node.direction, &node.args.iter().collect::<Vec<_>>()).ok()
    }

    /// A launch of `op` with these arguments in place of the one at `like`, if there is a kernel of the same algorithm,
    /// which then sums in the same order, and if that is more than `naive`.
    fn launch(
        &self,
        like: usize,
        op: impl Operation,
        direction: Direction,
        args: &[(&str, Option<&Tensor>)],
    ) -> Option<Node> {
        node(self.fused_row(like, &op, direction)?, Box::new(op), direction, args)
    }

    /// The row of such a launch.
    fn fused_row(&self, like: usize, op: &dyn Operation, direction: Direction) -> Option<&'static dyn Row> {
        let like = self.row(like).filter(|row| !is_naive(*row))?;
        let algorithm = like.id().rsplit('.').next()?;
        let id = format!("{}.{}.{algorithm}", op.name(), direction.name());
        let row = crate::ops::all().iter().find(|row| row.id() == id)?;
        self.gpu.supports(&**row).and_then(|()| row.accepts(op)).ok()?;
        Some(&**row)
    }

    /// Merges the first of `gone` into the later node `into`, unless something between them changes what it reads.
    fn later(&self, gone: &[usize], into: usize, node: Node) -> Option<Merge> {
        let &from = gone.first()?;
        let reads = self.nodes.get(from)?.as_ref()?;
        let disturbs = |between: &Node| {
            between
                .signature()
                .iter()
                .zip(&between.args)
                .any(|(arg, tensor)| arg.access != Access::Read && reads.args.iter().any(|read| read.is(tensor)))
        };
        let others = (from + 1..into).filter(|index| !gone.contains(index));
        let disturbed = others.filter_map(|index| self.nodes[index].as_ref()).any(disturbs);
        (from < into && !disturbed).then(|| Merge::new(gone.to_vec(), into, node))
    }

    /// max_pool2d backward, relu backward: max_pool2d_relu backward. The gradient goes where the maximum stood, if that
    /// was above 0: whether it was, the pooled value tells as well as the activation it came from.
    fn max_pool2d_relu_backward(&self, pool: usize) -> Option<Merge> {
        let (op, upper) = self.node::<MaxPool2d>(pool, Direction::BwdInput)?;
        let relu = self.only_reader(pool, "dx")?;
        let (_, lower) = self.node::<Relu>(relu, Direction::BwdInput)?;
        let (activation, argmax) = (lower.arg("y")?, upper.arg("argmax")?);
        let pooled = self.uses(argmax).into_iter().find_map(|index| {
            let (_, node) = self.node::<MaxPool2d>(index, Direction::Fwd)?;
            let same = node.arg("argmax")?.is(argmax) && node.arg("x")?.is(activation);
            if same { node.arg("y") } else { None }
        })?;
        let op = MaxPool2dRelu { pool: op.clone() };
        let args = [("dy", upper.arg("dy")), ("argmax", Some(argmax)), ("y", Some(pooled)), ("dx", lower.arg("dx"))];
        self.later(&[pool], relu, self.launch(pool, op, Direction::BwdInput, &args)?)
    }

    /// relu backward, batch_norm backward (both directions): those of batch_norm_relu, which work out again what was
    /// clipped instead of reading it.
    fn batch_norm_relu_backward(&self, relu: usize) -> Option<Merge> {
        self.behind_batch_norm(relu, None, |norm| Some(BatchNormRelu { norm: norm.clone() }))
    }

    /// avg_pool2d backward, relu backward, batch_norm backward (both directions): those of batch_norm_relu_avg_pool2d, which
    /// read the gradient where it is small.
    fn batch_norm_relu_avg_pool2d_backward(&self, pool: usize) -> Option<Merge> {
        let (pooling, _) = self.node::<AvgPool2d>(pool, Direction::BwdInput)?;
        let relu = self.only_reader(pool, "dx")?;
        self.behind_batch_norm(relu, Some(pool), |norm| BatchNormReluAvgPool2d::new(norm.clone(), pooling.clone()).ok())
    }

    /// The gradients of a normalisation, of a ReLU behind it and perhaps of what stands behind that become those of an
    /// operation that is all of them.
    fn behind_batch_norm<O: Operation + Clone>(
        &self,
        relu: usize,
        pool: Option<usize>,
        fuse: impl Fn(&BatchNorm) -> Option<O>,
    ) -> Option<Merge> {
        let (_, upper) = self.node::<Relu>(relu, Direction::BwdInput)?;
        let (activation, passed) = (upper.arg("y")?, upper.arg("dx")?);
        let [_, weights, inputs] = self.uses(passed)[..] else { return None };
        let (op, first) = self.node::<BatchNorm>(weights, Direction::BwdWeight)?;
        let (_, second) = self.node::<BatchNorm>(inputs, Direction::BwdInput)?;
        let mean = first.arg("mean")?;
        let norm =
            self.uses(mean).into_iter().find(|&index| self.node::<BatchNorm>(index, Direction::Fwd).is_some())?;
        let (_, forward) = self.node::<BatchNorm>(norm, Direction::Fwd)?;
        let normal = forward.arg("y")?;
        let clip = self.uses(normal).into_iter().find(|&index| {
            let relu = self.node::<Relu>(index, Direction::Fwd);
            relu.is_some_and(|(_, node)| node.arg("y").is_some_and(|y| y.is(activation)))
        })?;
        let same = |node: &Node, name| forward.arg(name).zip(node.arg(name)).is_some_and(|(one, other)| one.is(other));
        let alike = ["x", "mean", "rstd"].into_iter().all(|name| same(first, name) && same(second, name));
        let reads = ["x", "weight", "bias", "mean", "rstd"].map(|name| (name, forward.arg(name)));
        let kept = reads.iter().all(|(_, arg)| arg.is_some_and(|arg| self.is_kept(arg, norm, inputs)));
        let kept = kept && self.is_kept(normal, norm, clip) && self.is_kept(activation, clip, relu);
        let top = pool.unwrap_or(relu);
        let dy = self.nodes.get(top)?.as_ref()?.arg("dy")?;
        let fits = alike && same(second, "weight") && kept && self.is_kept(dy, top, inputs);
        // `naive` multiplies in another order than the kernels that are to find its signs.
        if !fits || !self.is_private(passed) || is_naive(self.row(norm)?) {
            return None;
        }
        let op = fuse(op)?;
        let launch = |index: usize, like: &Node, direction| {
            let gradients = ["dweight", "dbias", "dx"].map(|name| (name, like.arg(name)));
            let args: Vec<_> = reads.into_iter().chain(gradients).chain([("dy", Some(dy))]).collect();
            self.launch(index, op.clone(), direction, &args)
        };
        let node = launch(weights, first, Direction::BwdWeight)?;
        let placed = vec![(weights, node), (inputs, launch(inputs, second, Direction::BwdInput)?)];
        Some(Merge { gone: pool.into_iter().chain([relu]).collect(), placed })
    }

    /// dense backward, relu backward: relu_dense backward.
    fn relu_dense_backward(&self, dense: usize) -> Option<Merge> {
        let (op, upper) = self.node::<Dense>(dense, Direction::BwdInput)?;
        let relu = self.only_reader(dense, "dx")?;
        let (_, lower) = self.node::<Relu>(relu, Direction::BwdInput)?;
        if !lower.arg("dy")?.is(upper.arg("dx")?) {
            return None;
        }
        let op = ReluDense { dense: op.clone() };
        let args =
            [("weight", upper.arg("weight")), ("dy", upper.arg("dy")), ("x", lower.arg("y")), ("dx", lower.arg("dx"))];
        self.later(&[dense], relu, self.launch(dense, op, Direction::BwdInput, &args)?)
    }

    /// conv2d, relu, max_pool2d: conv2d_relu_max_pool2d.
    fn conv2d_relu_max_pool2d(&self, conv: usize) -> Option<Merge> {
        let (op, first) = self.node::<Conv2d>(conv, Direction::Fwd)?;
        let relu = self.only_reader(conv, "y")?;
        self.node::<Relu>(relu, Direction::Fwd)?;
        let pool = self.only_reader(relu, "y")?;
        let (pooling, last) = self.node::<MaxPool2d>(pool, Direction::Fwd)?;
        let op = Conv2dReluMaxPool2d { conv: op.clone(), pool: pooling.clone() };
        let args = [
            ("x", first.arg("x")),
            ("weight", first.arg("weight")),
            ("bias", first.arg("bias")),
            ("y", last.arg("y")),
            ("argmax", last.arg("argmax")),
        ];
        self.later(&[conv, relu], pool, self.launch(conv, op, Direction::Fwd, &args)?)
    }

    /// conv2d, perhaps relu, batch_norm in training, perhaps relu: conv2d_moments, batch_norm_of_moments. What is normalised
    /// is still written, for the backward pass, but not read for its statistics.
    fn conv2d_moments(&self, conv: usize) -> Option<Merge> {
        let (op, first) = self.node::<Conv2d>(conv, Direction::Fwd)?;
        let relu = self.only_reader(conv, "y").filter(|&next| self.node::<Relu>(next, Direction::Fwd).is_some());
        let into = relu.unwrap_or(conv);
        let y = self.nodes.get(into)?.as_ref()?.arg("y")?;
        let norm = self.uses(y).into_iter().find(|&index| index > into)?;
        let (norming, second) = self.node::<BatchNorm>(norm, Direction::Fwd)?;
        if norming.mode != BatchNormMode::Training || !second.arg("x")?.is(y) {
            return None;
        }
        // Its ReLU must not be late for those who want the statistics.
        let clipped = self.only_reader(norm, "y").filter(|&next| {
            let apart = (norm + 1..next).any(|between| self.nodes[between].is_some());
            self.node::<Relu>(next, Direction::Fwd).is_some() && !apart
        });
        let normal = self.nodes.get(clipped.unwrap_or(norm))?.as_ref()?.arg("y");

        let sums = Conv2dMoments { conv: op.clone(), relu: relu.is_some() };
        let moments = self.gpu.empty_named(&sums.moments(), &|| "moments".to_owned()).ok()?;
        let args = ["x", "weight", "bias"].map(|name| (name, first.arg(name)));
        let args: Vec<_> = args.into_iter().chain([("y", Some(y)), ("moments", Some(&moments))]).collect();
        let node = self.launch(conv, sums, Direction::Fwd, &args)?;
        let op = BatchNormOfMoments { norm: norming.clone(), relu: clipped.is_some() };
        let kept = ["x", "weight", "bias", "running_mean", "running_var", "mean", "rstd"];
        let kept = kept.map(|name| (name, second.arg(name)));
        let args: Vec<_> = kept.into_iter().chain([("moments", Some(&moments)), ("y", normal)]).collect();
        let then = self.launch(norm, op, Direction::Fwd, &args)?;
        let mut merge = match relu {
            Some(relu) => self.later(&[conv], relu, node)?,
            None => Merge::new(Vec::new(), conv, node),
        };
        merge.gone.extend(clipped.map(|_| norm));
        merge.placed.push((clipped.unwrap_or(norm), then));
        Some(merge)
    }

    /// conv2d, relu: conv2d_relu.
    fn conv2d_relu(&self, conv: usize) -> Option<Merge> {
        let (op, _) = self.node::<Conv2d>(conv, Direction::Fwd)?;
        self.behind_relu(conv, Conv2dRelu { conv: op.clone() })
    }

    /// dense, relu: dense_relu.
    fn dense_relu(&self, dense: usize) -> Option<Merge> {
        let (op, _) = self.node::<Dense>(dense, Direction::Fwd)?;
        self.behind_relu(dense, DenseRelu { dense: op.clone() })
    }

    /// batch_norm, relu, avg_pool2d: batch_norm_relu_avg_pool2d, which writes what is pooled alone.
    fn batch_norm_relu_avg_pool2d(&self, norm: usize) -> Option<Merge> {
        let (op, first) = self.node::<BatchNorm>(norm, Direction::Fwd)?;
        let relu = self.only_reader(norm, "y")?;
        self.node::<Relu>(relu, Direction::Fwd)?;
        let pool = self.only_reader(relu, "y")?;
        let (pooling, last) = self.node::<AvgPool2d>(pool, Direction::Fwd)?;
        let op = BatchNormReluAvgPool2d::new(op.clone(), pooling.clone()).ok()?;
        let kept = ["x", "weight", "bias", "running_mean", "running_var", "mean", "rstd"];
        let kept = kept.map(|name| (name, first.arg(name)));
        let args: Vec<_> = kept.into_iter().chain([("y", last.arg("y"))]).collect();
        let node = self.launch(norm, op, Direction::Fwd, &args)?;
        // The statistics that it leaves besides must not be late for anybody.
        let next = (norm + 1..pool).all(|between| between == relu || self.nodes[between].is_none());
        next.then(|| Merge::new(vec![norm, relu], pool, node))
    }

    /// batch_norm, relu: batch_norm_relu. The statistics that it leaves besides must not be late for anybody.
    fn batch_norm_relu(&self, norm: usize) -> Option<Merge> {
        let (op, first) = self.node::<BatchNorm>(norm, Direction::Fwd)?;
        let relu = self.only_reader(norm, "y")?;
        let (_, last) = self.node::<Relu>(relu, Direction::Fwd)?;
        let kept =
            ["x", "weight", "bias", "running_mean", "running_var", "mean", "rstd"].map(|name| (name, first.arg(name)));
        let args: Vec<_> = kept.into_iter().chain([("y", last.arg("y"))]).collect();
        let node = self.launch(norm, BatchNormRelu { norm: op.clone() }, Direction::Fwd, &args)?;
        let next = (norm + 1..relu).all(|between| self.nodes[between].is_none());
        next.then(|| Merge::new(vec![norm], relu, node))
    }

    fn behind_relu(&self, index: usize, op: impl Operation) -> Option<Merge> {
        let relu = self.only_reader(index, "y")?;
        let (_, last) = self.node::<Relu>(relu, Direction::Fwd)?;
        let first = self.nodes.get(index)?.as_ref()?;
        let args =
            [("x", first.arg("x")), ("weight", first.arg("weight")), ("bias", first.arg("bias")), ("y", last.arg("y"))];
        self.later(&[index], relu, self.launch(index, op, Direction::Fwd, &args)?)
    }

    /// The gradients of a dense layer's weights and bias, which read the same `dy`.
    fn dense_weight_bias(&self, weight: usize) -> Option<Merge> {
        let (op, _) = self.node::<Dense>(weight, Direction::BwdWeight)?;
        let bias = |index| self.node::<Dense>(index, Direction::BwdBias).is_some();
        self.weight_bias(weight, bias, DenseWeightBias { dense: op.clone() })
    }

    /// Those of a convolution, where both kernels sum by the same rule, as the fused one then does.
    fn conv2d_weight_bias(&self, weight: usize) -> Option<Merge> {
        let (op, _) = self.node::<Conv2d>(weight, Direction::BwdWeight)?;
        let order = self.row(weight)?.order();
        let bias = |index| {
            let same = || self.row(index).is_some_and(|row| row.order().agrees(order));
            self.node::<Conv2d>(index, Direction::BwdBias).is_some() && same()
        };
        self.weight_bias(weight, bias, Conv2dWeightBias { conv: op.clone() })
    }

    /// max_pool2d_relu backward, of which only the gradients of the convolution's weights and bias are wanted: the first of
    /// a network, whose input needs none. Its kernels look the gradient up where they need it.
    fn conv2d_relu_max_pool2d_backward(&self, pool: usize) -> Option<Merge> {
        let (pooling, first) = self.node::<MaxPool2dRelu>(pool, Direction::BwdInput)?;
        let weight = self.only_reader(pool, "dx")?;
        let (Conv2dWeightBias { conv }, last) = self.node(weight, Direction::BwdWeight)?;
        let op = Conv2dReluMaxPool2d::new(conv.clone(), pooling.pool.clone()).ok()?;
        let args = [
            ("x", last.arg("x")),
            ("dy", first.arg("dy")),
            ("argmax", first.arg("argmax")),
            ("y", first.arg("y")),
            ("dweight", last.arg("dweight")),
            ("dbias", last.arg("dbias")),
        ];
        self.later(&[pool], weight, self.launch(weight, op, Direction::BwdWeight, &args)?)
    }

    /// flatten backward, max_pool2d_relu backward: max_pool2d_relu_flatten backward, which reads the gradient where it lies.
    fn max_pool2d_relu_flatten_backward(&self, flatten: usize) -> Option<Merge> {
        let (_, upper) = self.node::<Flatten>(flatten, Direction::BwdInput)?;
        let pool = self.only_reader(flatten, "dx")?;
        let (pooling, lower) = self.node::<MaxPool2dRelu>(pool, Direction::BwdInput)?;
        if !lower.arg("dy")?.is(upper.arg("dx")?) {
            return None;
        }
        let op = MaxPool2dReluFlatten { pool: pooling.pool.clone() };
        let kept = ["argmax", "y", "dx"].map(|name| (name, lower.arg(name)));
        let args: Vec<_> = kept.into_iter().chain([("dy", upper.arg("dy"))]).collect();
        self.later(&[flatten], pool, self.launch(pool, op, Direction::BwdInput, &args)?)
    }

    /// Two gradients that read the same `dy` become those of `op`; `is_bias` knows a launch that gives the second.
    fn weight_bias(&self, weight: usize, is_bias: impl Fn(usize) -> bool, op: impl Operation) -> Option<Merge> {
        let first = self.nodes.get(weight)?.as_ref()?;
        let dy = first.arg("dy")?;
        let bias = self.uses(dy).into_iter().find(|&index| is_bias(index))?;
        let dbias = self.nodes[bias].as_ref()?.arg("dbias")?;
        let early = bias < weight || self.uses(dbias).into_iter().any(|index| index < bias);
        let args = [("x", first.arg("x")), ("dy", Some(dy)), ("dweight", first.arg("dweight")), ("dbias", Some(dbias))];
        let node = self.launch(weight, op, Direction::BwdWeight, &args)?;
        (!early).then(|| Merge::new(vec![bias], weight, node))
    }

    /// The last layer, the loss and the gradient of the logits. Its kernels sum the logits with the bias last and the losses
    /// as `single_group` does.
    fn dense_softmax_cross_entropy(&self, dense: usize) -> Option<Merge> {
        let (layer, first) = self.node::<Dense>(dense, Direction::Fwd)?;
        let loss = self.only_reader(dense, "y")?;
        let (softmax, second) = self.node::<SoftmaxCrossEntropy>(loss, Direction::Fwd)?;
        let same_order = self.row(dense)?.order().agrees(Summation::BIAS_LAST)
            && self.row(loss)?.id() == "softmax_cross_entropy.fwd.single_group";
        let (gradient, last, upstream) = self.gradient_of_loss(loss)?;
        let op = DenseSoftmaxCrossEntropy { dense: layer.clone(), softmax: softmax.clone() };
        let row = self.gpu.select_stored(&op, Direction::Fwd, self.row(dense)?.storage()).ok()?;
        let args = [
            ("x", first.arg("x")),
            ("weight", first.arg("weight")),
            ("bias", first.arg("bias")),
            ("labels", second.arg("labels")),
            ("dloss", Some(upstream)),
            ("loss", second.arg("loss")),
            ("metrics", second.arg("metrics")),
            ("dlogits", last.arg("dx")),
        ];
        let node = node(row, Box::new(op), Direction::Fwd, &args).filter(|_| same_order && !is_naive(row))?;
        let mut merge = self.later(&[dense], loss, node)?;
        merge.gone.push(gradient);
        Some(merge)
    }

    /// The loss and its gradient, which comes early then: what asks for the loss must not wait for it.
    fn softmax_cross_entropy_with_gradient(&self, loss: usize) -> Option<Merge> {
        let (op, first) = self.node::<SoftmaxCrossEntropy>(loss, Direction::Fwd)?;
        let (gradient, last, upstream) = self.gradient_of_loss(loss)?;
        let op = SoftmaxCrossEntropyWithGradient { softmax: op.clone() };
        let args = [
            ("x", first.arg("x")),
            ("labels", first.arg("labels")),
            ("dloss", Some(upstream)),
            ("loss", first.arg("loss")),
            ("metrics", first.arg("metrics")),
            ("dx", last.arg("dx")),
        ];
        let node = self.launch(loss, op, Direction::Fwd, &args)?;
        Some(Merge::new(vec![gradient], loss, node))
    }

    /// The launch that makes the gradient of the logits out of the probabilities of a loss, which nobody else needs, and
    /// what arrives there from above, if that is known before the loss.
    fn gradient_of_loss(&self, loss: usize) -> Option<(usize, &Node, &Tensor)> {
        let gradient = self.only_reader(loss, "probs")?;
        let (_, last) = self.node::<SoftmaxCrossEntropy>(gradient, Direction::BwdInput)?;
        let upstream = last.arg("dloss")?;
        let late = self.uses(upstream).into_iter().any(|index| {
            let written = |node: &Node| {
                let mut pairs = node.signature().into_iter().zip(&node.args);
                pairs.any(|(arg, tensor)| arg.access != Access::Read && tensor.is(upstream))
            };
            index > loss && self.nodes[index].as_ref().is_some_and(written)
        });
        (!late).then_some((gradient, last, upstream))
    }
}

fn is_naive(row: &dyn Row) -> bool {
    row.id().rsplit('.').next().is_some_and(|algorithm| algorithm.starts_with("naive"))
}

/// A launch of a row with these arguments; `None` if one is missing, or stored in another way.
fn node(
    row: &'static dyn Row,
    op: Box<dyn Operation>,
    direction: Direction,
    args: &[(&str, Option<&Tensor>)],
) -> Option<Node> {
    let by_name = |name| args.iter().find(|(arg, _)| *arg == name).and_then(|(_, tensor)| tensor.cloned());
    let signature = op.signature(direction);
    let args: Vec<Tensor> = signature.iter().map(|arg| by_name(arg.name)).collect::<Option<_>>()?;
    let fits = row.storage().takes(&signature, args.iter().map(Tensor::element));
    fits.then(|| Node { op, direction, row: Some(row), by_hand: false, args })
}
