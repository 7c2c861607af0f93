//! The integer division of `shaders/shared/divide.wgsl` at values no problem reaches.

use kernels::Row;
use parity::altered::Altered;
use parity::gpu;
use reference::ops::Accumulate;
use reference::{Array, TensorSpec};

/// Stands in for `accumulate`: the words of `sum` divided by those of `term`.
const SHADER: &str = r#"
struct Params {
    len: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> sum: array<u32>;
@group(0) @binding(2) var<storage, read> term: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i < params.len {
        sum[i] = divide(sum[i], term[i]);
    }
}
"#;

#[test]
fn division_is_exact_up_to_31_bits() {
    let max = (1_u32 << 31) - 1;
    let mut pairs = Vec::new();
    for b in [1, 2, 3, 5, 7, 10, 28, 41, 47, 255, 257, 784, 4099, 65_535, 65_537, 16_777_217, 1_234_567_891, max] {
        for quotient in [0, 1, 2, 40, 41, 1_000, 65_536, 8_388_609, max / b - 1, max / b] {
            let product = u64::from(b) * u64::from(quotient);
            for a in [product.saturating_sub(1), product, product + 1, product + u64::from(b) - 1] {
                pairs.extend(u32::try_from(a).ok().filter(|&a| a <= max).map(|a| (a, b)));
            }
        }
    }
    let row: &dyn Row =
        kernels::ops::all().iter().find(|row| row.id() == "accumulate.update.naive").expect("a row").as_ref();
    let divide = include_str!("../../shaders/shared/divide.wgsl");
    let text = format!("{divide}\n{SHADER}");
    let row = Altered::new(row).text("divide", row.source().path, &text).row();

    let spec = TensorSpec::plain([pairs.len()]);
    let op = Accumulate::new(spec.clone()).expect("an operation");
    let (a, b): (Vec<u32>, Vec<u32>) = pairs.iter().copied().unzip();
    let gpu = gpu();
    let tensor = |words: &[u32]| {
        let tensor = gpu.upload(&spec, &Array::Real(vec![0.0; words.len()])).expect("a tensor");
        gpu.write_words(&tensor, words).expect("a tensor");
        tensor
    };
    let (sum, term) = (tensor(&a), tensor(&b));
    gpu.launch(row, &op, &[&sum, &term]).expect("a launch");
    let quotients = pollster::block_on(gpu.read_words(&sum)).expect("quotients");
    assert!(pairs.len() > 400);
    for ((a, b), quotient) in pairs.into_iter().zip(quotients) {
        assert_eq!(quotient, a / b, "{a} / {b}");
    }
}
