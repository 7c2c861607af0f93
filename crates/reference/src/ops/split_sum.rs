//! What the optimisers share that add up split gradients themselves.

use super::conv2d::MOST_SPLITS;
use super::optimiser::param_errors;
use crate::cases::{Case, Cases, ErrorCase};
use crate::{
    Access, Arg, Array, Contract, DType, Direction, Domain, Error, ErrorKind, Layout, Operation, Random, Real,
    TensorSpec, wrong_arguments,
};
use std::sync::Arc;

/// Segments of a parameter at most: a shader has room for so many in its uniform block.
pub const MOST_SEGMENTS: usize = 32;

/// An optimiser's update that may add up split gradients itself.
pub trait SplitSummed: Contract {
    /// The name of the operation that does.
    const SPLIT_SUM: &'static str;

    /// The shape of `param`.
    fn spec(&self) -> &TensorSpec;
}

/// A stretch of a parameter whose gradient was summed by splits: that of element `start + i` is the sum over `s` of
/// `partials[offset + s*len + i]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Segment {
    /// Where it starts in the parameter.
    pub start: usize,
    /// Its elements.
    pub len: usize,
    /// How many partial sums each element has.
    pub splits: usize,
    /// Where the first split starts in `partials`.
    pub offset: usize,
}

impl Segment {
    /// One behind its last element.
    pub fn end(&self) -> usize {
        self.start + self.len
    }
}

/// An optimiser's update of a parameter whose gradient stands in `grad` but for some segments, where it is the sum over the
/// splits in `partials`, from 0, in their order.
///
/// The operations it makes are [`super::SplitSumSgd`], [`super::SplitSumAdam`], [`super::SplitSumRmsProp`].
#[derive(Clone, Debug, PartialEq)]
pub struct SplitSum<U> {
    update: U,
    segments: Vec<Segment>,
    partials: usize,
}

impl<U: SplitSummed> SplitSum<U> {
    /// `update` with these segments, in order and without overlaps, of `partials` partial sums in all.
    pub fn new(update: U, segments: Vec<Segment>, partials: usize) -> Result<Self, Error> {
        let op = U::SPLIT_SUM;
        let spec = update.spec();
        if (spec.dtype, spec.layout) != (DType::Real, Layout::Plain) {
            // In any other layout an element has another place on a device, where the partial sums come from.
            let expected = "plain, real".into();
            return Err(Error::Mismatch { op, what: "param".into(), got: spec.to_string(), expected });
        }
        TensorSpec::plain([partials]).check(op, "partials")?;
        if !(1..=MOST_SEGMENTS).contains(&segments.len()) {
            let (got, range) = (segments.len() as f64, "1 to 32");
            return Err(Error::OutOfRange { op, what: "the number of segments", got, range });
        }
        let mut last = 0;
        for &Segment { start, len, splits, offset } in &segments {
            if len == 0 {
                return Err(Error::ZeroSize { op, what: "len" });
            }
            if !(1..=MOST_SPLITS).contains(&splits) {
                return Err(Error::OutOfRange { op, what: "splits", got: splits as f64, range: "1 to 32" });
            }
            let end = start.checked_add(len).filter(|&end| end <= spec.len());
            if start < last || end.is_none() {
                let range = "behind the segment before, and the whole segment inside of the parameter";
                return Err(Error::OutOfRange { op, what: "start", got: start as f64, range });
            }
            let needed = len.checked_mul(splits).and_then(|words| words.checked_add(offset));
            if needed.is_none_or(|needed| needed > partials) {
                let range = "so far from the end of `partials` that all splits fit";
                return Err(Error::OutOfRange { op, what: "offset", got: offset as f64, range });
            }
            last = end.unwrap_or(last);
        }
        Ok(Self { update, segments, partials })
    }

    /// The update.
    pub fn update(&self) -> &U {
        &self.update
    }

    /// The segments, in order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// How many partial sums there are.
    pub fn partials(&self) -> usize {
        self.partials
    }

    /// Additions: one for each partial sum.
    fn additions(&self) -> usize {
        self.segments.iter().map(|segment| segment.len * segment.splits).sum()
    }

    /// The gradient, once all splits are added.
    fn gradient<T: Real>(&self, grad: &[T], partials: &[T]) -> Vec<T> {
        let mut gradient = grad.to_vec();
        for &Segment { start, len, splits, offset } in &self.segments {
            for i in 0..len {
                let splits = (0..splits).map(|split| partials[offset + split * len + i].to_f64());
                gradient[start + i] = T::from_f64(splits.fold(0.0, |sum, partial| sum + partial));
            }
        }
        gradient
    }
}

impl<U: SplitSummed> Contract for SplitSum<U> {
    const NAME: &'static str = U::SPLIT_SUM;
    const DIRECTIONS: &'static [Direction] = &[Direction::Update];

    fn signature(&self, direction: Direction) -> Vec<Arg> {
        if direction != Direction::Update {
            return vec![];
        }
        let partials = Arg::read("partials", TensorSpec::plain([self.partials]));
        Contract::signature(&self.update, direction).into_iter().chain([partials]).collect()
    }

    fn compute<T: Real>(
        &self,
        direction: Direction,
        inputs: &[&Array<T>],
        outputs: &mut [&mut Array<T>],
    ) -> Result<(), Error> {
        let signature = Contract::signature(self, direction);
        let mut reads = signature.iter().filter(|arg| arg.access == Access::Read);
        let grad = reads.position(|arg| arg.name == "grad");
        match (direction, grad, inputs) {
            (Direction::Update, Some(grad), [of_update @ .., partials]) if grad < of_update.len() => {
                let gradient = Array::Real(self.gradient(of_update[grad].real(), partials.real()));
                let mut of_update = of_update.to_vec();
                of_update[grad] = &gradient;
                self.update.compute(direction, &of_update, outputs)
            }
            _ => Err(wrong_arguments(Self::NAME, direction)),
        }
    }

    /// Those of the update for every partial sum: a gradient is as large as there are splits.
    fn terms(&self, direction: Direction) -> usize {
        let splits = self.segments.iter().map(|segment| segment.splits).max().unwrap_or_default();
        Contract::terms(&self.update, direction) * (1 + splits)
    }

    fn exact_on_integers(&self, direction: Direction) -> bool {
        Contract::exact_on_integers(&self.update, direction)
    }

    fn flops(&self, direction: Direction) -> u64 {
        Contract::flops(&self.update, direction) + self.additions() as u64
    }

    /// Of a segment the partial sums are read, and not the gradient.
    fn bytes(&self, direction: Direction) -> u64 {
        let elements: usize = self.segments.iter().map(|segment| segment.len).sum();
        Contract::bytes(&self.update, direction) - 4 * elements as u64 + 4 * self.additions() as u64
    }

    fn domain(&self, arg: &str) -> Domain {
        Contract::domain(&self.update, arg)
    }
}

/// The length of a parameter, `[start, len, splits, offset]` of its segments, the length of `partials`.
type Plan = (&'static str, usize, &'static [[usize; 4]], usize);

/// Segments at both ends and inside, of whole vec4s and not, next to each other and with gaps.
const PLANS: [Plan; 12] = [
    ("one-element", 1, &[[0, 1, 1, 0]], 1),
    ("whole-vec4", 4, &[[0, 4, 3, 0]], 12),
    ("whole", 64, &[[0, 64, 5, 0]], 320),
    ("odd-start", 65, &[[7, 20, 3, 1]], 70),
    ("at-the-end", 260, &[[256, 4, 32, 8]], 136),
    // The arena of a small network: a gap behind each part, a dense layer behind all.
    ("gaps", 516, &[[0, 150, 3, 0], [192, 6, 3, 512]], 576),
    ("neighbours", 128, &[[0, 6, 4, 4], [8, 56, 2, 28], [64, 64, 1, 140]], 256),
    ("odd-offset", 72, &[[4, 8, 3, 1], [16, 12, 2, 26], [64, 5, 7, 51]], 88),
    ("same-partials", 40, &[[0, 8, 4, 0], [32, 8, 4, 0]], 32),
    ("odd-partials", 36, &[[4, 5, 5, 0], [12, 7, 2, 25]], 39),
    ("odd-length", 39, &[[8, 8, 2, 0], [37, 2, 9, 16]], 36),
    ("lenet5", 3000, &[[0, 150, 28, 0], [192, 6, 28, 4224], [256, 2400, 7, 4416], [2688, 16, 7, 21248]], 21376),
];

/// As many segments as there may be, of 1 to 9 elements and 1 to 32 splits.
fn most_segments() -> (Vec<Segment>, usize) {
    let mut offset = 0;
    let segments = (0..MOST_SEGMENTS).map(|number| {
        let segment = Segment { start: 12 * number, len: 1 + number % 9, splits: 1 + number, offset };
        offset += segment.len * segment.splits;
        segment
    });
    (segments.collect(), offset.next_multiple_of(4))
}

/// The name of a setting, and what makes an update with it.
pub(super) type Setting<'a, U> = (&'a str, &'a dyn Fn(TensorSpec) -> Result<U, Error>);

/// Every plan with each of these settings.
pub(super) fn cases<U: SplitSummed>(settings: &[Setting<U>]) -> Vec<Case> {
    let mut cases = Cases::default();
    for (setting, update) in settings {
        let mut add = |name: &str, len: usize, segments: Vec<Segment>, partials: usize| {
            let op = update(TensorSpec::plain([len])).and_then(|update| SplitSum::new(update, segments, partials));
            cases.add(format!("{name}-{setting}"), op);
        };
        for (name, len, segments, partials) in PLANS {
            let segment = |&[start, len, splits, offset]: &[usize; 4]| Segment { start, len, splits, offset };
            add(name, len, segments.iter().map(segment).collect(), partials);
        }
        let (segments, partials) = most_segments();
        add("most-segments", 400, segments, partials);
    }
    cases.0
}

/// Segments that cannot be, and what `update` refuses of a parameter.
pub(super) fn errors<U: SplitSummed>(update: impl Fn(TensorSpec) -> Result<U, Error>) -> Vec<ErrorCase> {
    use ErrorKind::{Mismatch, OutOfRange, TooLarge, ZeroSize};
    let of_spec = |spec: TensorSpec| {
        let segment = Segment { start: 0, len: 1, splits: 1, offset: 0 };
        update(spec).map_err(|error| error.of(U::SPLIT_SUM)).and_then(|update| SplitSum::new(update, vec![segment], 4))
    };
    let new = |segments: &[[usize; 4]], partials| {
        let segment = |&[start, len, splits, offset]: &[usize; 4]| Segment { start, len, splits, offset };
        let update = update(TensorSpec::plain([100]))?;
        SplitSum::new(update, segments.iter().map(segment).collect(), partials)
    };
    let mut errors = param_errors(of_spec);
    let many = [[0, 1, 1, 0]; MOST_SEGMENTS + 1];
    errors.extend([
        ErrorCase::new("a filter", of_spec(TensorSpec::filter(2, 3, 1, 1)), Mismatch, "param"),
        ErrorCase::new("no segment", new(&[], 4), OutOfRange, "segments"),
        ErrorCase::new("too many segments", new(&many, 4), OutOfRange, "segments"),
        ErrorCase::new("empty segment", new(&[[0, 0, 1, 0]], 4), ZeroSize, "len"),
        ErrorCase::new("no split", new(&[[0, 1, 0, 0]], 4), OutOfRange, "splits"),
        ErrorCase::new("too many splits", new(&[[0, 1, 33, 0]], 64), OutOfRange, "splits"),
        ErrorCase::new("past the end", new(&[[90, 11, 1, 0]], 64), OutOfRange, "start"),
        ErrorCase::new("start past usize", new(&[[usize::MAX, 2, 1, 0]], 64), OutOfRange, "start"),
        ErrorCase::new("overlap", new(&[[0, 8, 1, 0], [7, 8, 1, 8]], 64), OutOfRange, "start"),
        ErrorCase::new("out of order", new(&[[8, 8, 1, 0], [0, 8, 1, 8]], 64), OutOfRange, "start"),
        ErrorCase::new("partials too short", new(&[[0, 8, 3, 1]], 24), OutOfRange, "offset"),
        ErrorCase::new("offset past usize", new(&[[0, 8, 3, usize::MAX]], 24), OutOfRange, "offset"),
        ErrorCase::new("no partials", new(&[[0, 8, 3, 0]], 0), ZeroSize, "partials"),
        ErrorCase::new("partials past i32", new(&[[0, 8, 3, 0]], 1 << 31), TooLarge, "partials"),
    ]);
    errors
}

/// Up to six segments in a parameter of up to some 2000 elements; half of them where whole vec4s can be had.
pub(super) fn random<U: SplitSummed>(
    random: &mut Random,
    update: impl Fn(&mut Random, TensorSpec) -> Result<U, Error>,
) -> Option<Arc<dyn Operation>> {
    let step = random.choose([1, 4]);
    let (mut segments, mut len, mut partials) = (Vec::new(), 0, 0);
    for _ in 0..random.between(1, 6) {
        let start: usize = len + step * random.choose([0, 0, 1, 5]);
        let segment = Segment {
            start: start.next_multiple_of(step),
            len: random.size(200),
            splits: if random.one_in(8) { MOST_SPLITS } else { random.between(1, 7) },
            offset: partials + random.choose([0, 0, 1, 4]),
        };
        (len, partials) = (segment.end(), segment.offset + segment.len * segment.splits);
        segments.push(segment);
    }
    let [behind, unused] = [random.choose([0, 1, 9, 260]), random.choose([0, 0, 3])];
    let spec = TensorSpec::plain([(len + behind).next_multiple_of(step)]);
    let op = SplitSum::new(update(random, spec).ok()?, segments, (partials + unused).next_multiple_of(step)).ok()?;
    Some(Arc::new(op))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Sgd;

    #[test]
    fn splits_are_added_where_they_stand_for_the_gradient() {
        let update = Sgd::new(TensorSpec::plain([6]), 0.0, false, 0.0).unwrap();
        let segments = vec![
            Segment { start: 1, len: 2, splits: 3, offset: 1 },
            Segment { start: 4, len: 1, splits: 2, offset: 7 },
        ];
        let op = SplitSum::new(update, segments, 10).unwrap();
        let grad = Array::Real(vec![1.0, f64::NAN, f64::NAN, 4.0, f64::NAN, 6.0]);
        let rates = Array::Real(vec![1.0, 0.0, 0.0, 0.0]);
        let nan = f64::NAN;
        let partials = Array::Real(vec![nan, 1.0, 10.0, 2.0, 20.0, 3.0, 30.0, 5.0, 0.5, nan]);
        let [mut param, mut velocity] = [vec![0.0; 6], vec![0.0; 6]].map(Array::Real);
        op.run_f64(Direction::Update, &[&grad, &rates, &partials], &mut [&mut param, &mut velocity]).unwrap();
        assert_eq!(velocity.real(), [1.0, 6.0, 60.0, 4.0, 5.5, 6.0]);
        assert_eq!(param.real(), [-1.0, -6.0, -60.0, -4.0, -5.5, -6.0]);
        // param, velocity, rates; 3 elements of grad; 8 of partials.
        assert_eq!(Contract::bytes(&op, Direction::Update), 4 * (6 + 6 + 4 + 3 + 8));
    }
}
