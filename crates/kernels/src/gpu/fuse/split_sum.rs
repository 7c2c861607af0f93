//! The rule that leaves the second half of a split sum to the optimiser.

use super::{Graph, Merge, node};
use crate::gpu::plan::Node;
use crate::kernel::Row;
use crate::memory::Tensor;
use reference::ops::{
    Adam, Conv2d, Conv2dReluMaxPool2d, Conv2dReluMaxPool2dPartial, Conv2dWeightBias, Conv2dWeightBiasPartial,
    Conv2dWeightPartial, MOST_SEGMENTS, RmsProp, Segment, Sgd, SplitSum, SplitSummed,
};
use reference::{Access, Direction, Operation, TensorSpec};
use std::ops::Range;
use std::sync::Arc;

/// Where a part of a tensor may begin, in words.
const ALIGNMENT: usize = 64;

/// Gradients of a convolution, which are parts of all gradients, before their splits are added.
struct Split {
    /// The launch that writes them.
    at: usize,
    op: Box<dyn Operation>,
    row: &'static dyn Row,
    /// The partial sums, as `op` calls them, and what they are of.
    sums: Vec<(&'static str, Segment)>,
}

impl Graph<'_> {
    /// conv2d_weight_bias (or the weights alone, or those behind ReLU and pooling), …, update: conv2d_weight_bias_partial, …, split_sum_update. The gradients of all
    /// parameters lie next to each other, and the update reads them as one tensor; where a convolution's would be, it adds up the
    /// splits itself.
    pub(super) fn split_sum(&self, update: usize) -> Option<Merge> {
        let of_sgd = || self.split_sum_of::<Sgd>(update);
        let of_adam = || self.split_sum_of::<Adam>(update);
        of_sgd().or_else(of_adam).or_else(|| self.split_sum_of::<RmsProp>(update))
    }

    fn split_sum_of<U: SplitSummed>(&self, index: usize) -> Option<Merge> {
        let (update, last) = self.node::<U>(index, Direction::Update)?;
        let grad = last.arg("grad").filter(|grad| self.is_transient(grad))?;
        let (mut words, mut splits, mut segments) = (0, Vec::new(), Vec::new());
        for writer in self.writers_until(index, grad)? {
            let room = |split: &Split| segments.len() + split.sums.len() <= MOST_SEGMENTS;
            if let Some(split) = self.split(writer, grad, words).filter(room) {
                segments.extend(split.sums.iter().map(|(_, segment)| *segment));
                words = segments.last().map_or(words, behind);
                splits.push(split);
            }
        }
        segments.sort_unstable_by_key(|segment| segment.start);
        let op = SplitSum::new(update.clone(), segments, words).ok()?;
        let name = || format!("partials ({}.{})", last.op.name(), last.direction);
        let partials = self.gpu.empty_named(&TensorSpec::plain([words]), &name).ok()?;
        let signature = last.signature();
        let mut args: Vec<_> = signature.iter().map(|arg| (arg.name, last.arg(arg.name))).collect();
        args.push(("partials", Some(&partials)));
        let update = self.launch(index, op, Direction::Update, &args)?;
        let splits = splits.into_iter().map(|split| Some((split.at, self.partial(split, &partials)?)));
        let placed = splits.chain([Some((index, update))]).collect::<Option<_>>()?;
        Some(Merge { gone: Vec::new(), placed })
    }

    /// Whether nobody outside of the recording relies on what a step leaves in a tensor.
    fn is_transient(&self, tensor: &Tensor) -> bool {
        let holders = tensor.buffer.transient();
        holders > 0 && Arc::strong_count(&tensor.buffer) == self.held(tensor) + holders
    }

    /// The launches that write into a tensor's memory, each another part, if nobody but `reader` does anything else with it, and
    /// that after them.
    fn writers_until(&self, reader: usize, tensor: &Tensor) -> Option<Vec<usize>> {
        let mut writers = Vec::new();
        let mut written: Vec<Range<u64>> = Vec::new();
        let mut reads = 0;
        for (index, node) in self.nodes.iter().enumerate().filter_map(|(index, node)| Some((index, node.as_ref()?))) {
            for (arg, part) in node.signature().iter().zip(&node.args) {
                if !Arc::ptr_eq(&part.buffer, &tensor.buffer) {
                    continue;
                }
                if index == reader && part.is(tensor) && arg.access == Access::Read {
                    reads += 1;
                    continue;
                }
                let range = bytes(part);
                let apart = written.iter().all(|other| range.end <= other.start || other.end <= range.start);
                if index >= reader || arg.access != Access::Write || !apart {
                    return None;
                }
                written.push(range);
                writers.push(index);
            }
        }
        writers.dedup();
        (reads == 1).then_some(writers)
    }

    /// The launch at `index`, if it writes parts of all gradients that can be left in splits, from this word of the partial sums
    /// on: if there is a kernel that does the same up to there.
    fn split(&self, index: usize, grad: &Tensor, words: usize) -> Option<Split> {
        let both = [("dweight", "partials"), ("dbias", "bias_partials")];
        let direction = Direction::BwdWeight;
        let (op, names): (Box<dyn Operation>, &[_]) =
            if let Some((op, _)) = self.node::<Conv2dWeightBias>(index, direction) {
                (Box::new(Conv2dWeightBiasPartial::of(op.conv.clone()).ok()?), &both)
            } else if let Some((op, _)) = self.node::<Conv2dReluMaxPool2d>(index, direction) {
                (Box::new(Conv2dReluMaxPool2dPartial::of(op.clone()).ok()?), &both)
            } else {
                let (conv, _) = self.node::<Conv2d>(index, direction)?;
                (Box::new(Conv2dWeightPartial::of(conv.clone()).ok()?), &both[..1])
            };
        let row = self.fused_row(index, &*op, Direction::BwdWeight)?;
        let same_order = self.row(index)?.order().agrees(row.order());
        let (writer, signature) = (self.nodes.get(index)?.as_ref()?, op.signature(Direction::BwdWeight));
        let (mut offset, mut sums) = (words, Vec::new());
        for &(gradient, name) in names {
            let part = writer.arg(gradient)?;
            let [splits, len] = *signature.iter().find(|arg| arg.name == name)?.spec.dims else { return None };
            let (all, own) = (bytes(grad), bytes(part));
            let inside = Arc::ptr_eq(&part.buffer, &grad.buffer) && all.start <= own.start && own.end <= all.end;
            let start = usize::try_from(own.start.checked_sub(all.start)? / 4).ok().filter(|_| inside)?;
            let segment = Segment { start, len, splits, offset };
            offset = behind(&segment);
            sums.push((name, segment));
        }
        same_order.then_some(Split { at: index, op, row, sums })
    }

    /// The launch that leaves gradients in splits.
    fn partial(&self, split: Split, partials: &Tensor) -> Option<Node> {
        let writer = self.nodes.get(split.at)?.as_ref()?;
        let part =
            |segment: &Segment| partials.part(segment.offset, TensorSpec::plain([segment.splits, segment.len])).ok();
        let parts: Vec<_> = split.sums.iter().map(|(name, segment)| (*name, part(segment))).collect();
        let mut args = ["x", "dy", "argmax", "y"].map(|name| (name, writer.arg(name))).to_vec();
        args.extend(parts.iter().map(|(name, part)| (*name, part.as_ref())));
        node(split.row, split.op, Direction::BwdWeight, &args)
    }
}

/// What a tensor occupies of its buffer.
fn bytes(tensor: &Tensor) -> Range<u64> {
    tensor.offset..tensor.offset + 4 * tensor.words() as u64
}

/// Where the partial sums of the next segment may begin.
fn behind(segment: &Segment) -> usize {
    (segment.offset + segment.splits * segment.len).next_multiple_of(ALIGNMENT)
}
