use crate::{Error, MAX_ELEMENTS, Real};
use std::fmt;

/// What an element is: a real number, or an index, label or counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DType {
    /// A real number: `f32` on a device.
    Real,
    /// An unsigned 32-bit integer.
    Index,
}

/// What the dimensions mean. Fixes the order outside the GPU; inside, each kind has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Activations `[n, c, h, w]`; NHWC on the GPU.
    Image,
    /// Convolution weights `[c_out, c_in, k_h, k_w]` (OIHW); HWIO on the GPU.
    Filter,
    /// Dense weights `[out, in]`; `[in, out]` on the GPU.
    Linear,
    /// Anything else; row-major everywhere.
    Plain,
}

impl Layout {
    /// The names of the dimensions, in the order outside the GPU; none where they mean nothing.
    pub fn dims(self) -> &'static [&'static str] {
        match self {
            Self::Image => &["n", "c", "h", "w"],
            Self::Filter => &["c_out", "c_in", "k_h", "k_w"],
            Self::Linear => &["out", "in"],
            Self::Plain => &[],
        }
    }
}

/// Element type, layout and dimensions of one tensor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TensorSpec {
    /// Element type.
    pub dtype: DType,
    /// Meaning of the dimensions.
    pub layout: Layout,
    /// Sizes in the order of [`Layout`].
    pub dims: Vec<usize>,
}

impl TensorSpec {
    /// Real activations `[n, c, h, w]`.
    pub fn image(n: usize, c: usize, h: usize, w: usize) -> Self {
        Self { dtype: DType::Real, layout: Layout::Image, dims: vec![n, c, h, w] }
    }

    /// Real convolution weights `[c_out, c_in, k_h, k_w]`.
    pub fn filter(c_out: usize, c_in: usize, k_h: usize, k_w: usize) -> Self {
        Self { dtype: DType::Real, layout: Layout::Filter, dims: vec![c_out, c_in, k_h, k_w] }
    }

    /// Real dense weights `[out, in]`.
    pub fn linear(features_out: usize, features_in: usize) -> Self {
        Self { dtype: DType::Real, layout: Layout::Linear, dims: vec![features_out, features_in] }
    }

    /// Reals in row-major order.
    pub fn plain(dims: impl Into<Vec<usize>>) -> Self {
        Self { dtype: DType::Real, layout: Layout::Plain, dims: dims.into() }
    }

    /// Indices in row-major order.
    pub fn index(dims: impl Into<Vec<usize>>) -> Self {
        Self { dtype: DType::Index, layout: Layout::Plain, dims: dims.into() }
    }

    /// The same tensor holding indices.
    pub fn of_indices(mut self) -> Self {
        self.dtype = DType::Index;
        self
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Refuses empty tensors and those with more than [`MAX_ELEMENTS`] elements.
    pub fn check(&self, op: &'static str, what: &'static str) -> Result<(), Error> {
        let mut elements = 1_usize;
        for &dim in &self.dims {
            if dim == 0 {
                return Err(Error::ZeroSize { op, what });
            }
            elements = elements.checked_mul(dim).filter(|&n| n <= MAX_ELEMENTS).ok_or(Error::TooLarge { op, what })?;
        }
        Ok(())
    }

    /// `[n, c, h, w]` of an image; features count as channels of a 1x1 image, anything else
    /// as `[product of all but the last, last, 1, 1]`.
    pub fn as_nchw(&self) -> [usize; 4] {
        match (self.layout, self.dims.as_slice()) {
            (Layout::Image, &[n, c, h, w]) => [n, c, h, w],
            (_, dims) => {
                let c = dims.last().copied().unwrap_or(1);
                [dims.iter().rev().skip(1).product(), c, 1, 1]
            }
        }
    }
}

impl fmt::Display for TensorSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match (self.dtype, self.layout) {
            (DType::Index, _) => "index",
            (_, Layout::Image) => "image",
            (_, Layout::Filter) => "filter",
            (_, Layout::Linear) => "linear",
            (_, Layout::Plain) => "plain",
        };
        write!(f, "{kind} {:?}", self.dims)
    }
}

/// The elements of one host tensor, in the order of its [`Layout`].
#[derive(Clone, Debug, PartialEq)]
pub enum Array<T> {
    /// Real numbers.
    Real(Vec<T>),
    /// Indices, labels, counters.
    Index(Vec<u32>),
}

impl<T: Real> Array<T> {
    /// Zeros of the given kind.
    pub fn zeros(spec: &TensorSpec) -> Self {
        match spec.dtype {
            DType::Real => Self::Real(vec![T::default(); spec.len()]),
            DType::Index => Self::Index(vec![0; spec.len()]),
        }
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Real(v) => v.len(),
            Self::Index(v) => v.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the elements are.
    pub fn dtype(&self) -> DType {
        match self {
            Self::Real(_) => DType::Real,
            Self::Index(_) => DType::Index,
        }
    }

    /// The real numbers; empty for indices (arguments are checked before a direction runs).
    pub fn real(&self) -> &[T] {
        match self {
            Self::Real(v) => v,
            Self::Index(_) => &[],
        }
    }

    /// The real numbers, to write; empty for indices.
    pub fn real_mut(&mut self) -> &mut [T] {
        match self {
            Self::Real(v) => v,
            Self::Index(_) => &mut [],
        }
    }

    /// The indices; empty for real numbers.
    pub fn index(&self) -> &[u32] {
        match self {
            Self::Index(v) => v,
            Self::Real(_) => &[],
        }
    }

    /// The indices, to write; empty for real numbers.
    pub fn index_mut(&mut self) -> &mut [u32] {
        match self {
            Self::Index(v) => v,
            Self::Real(_) => &mut [],
        }
    }

    /// The same values in another real type.
    pub fn cast<U: Real>(&self) -> Array<U> {
        match self {
            Self::Real(v) => Array::Real(v.iter().map(|x| U::from_f64(x.to_f64())).collect()),
            Self::Index(v) => Array::Index(v.clone()),
        }
    }
}
