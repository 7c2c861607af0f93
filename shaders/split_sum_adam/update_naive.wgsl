// split_sum_adam.update.naive: g = grad + grad_decay*param, the gradient of segments summed from their splits;
// m = beta1*m + (1-beta1)*g; v = beta2*v + (1-beta2)*g²;
// param -= lr * (param_decay*param + rates[1]*m / (sqrt(v)*rates[2] + eps))
//
// Idea: the baseline, one invocation per element, which also adds up its splits (shared/split_sum.wgsl).
// Writes: param, m, v, all in place.
// Numerics: 1 - beta comes from the host, which subtracts in f64. One of the decays is 0: Adam adds it
// to the gradient, AdamW to the step, there as a difference, since 1 - lr*param_decay would lose it.
// Dispatch: ceil(len / WORKGROUP) workgroups; an invocation owns one element.
// Shared memory: none. Barriers: none.

struct Params {
    len: u32,
    beta1: f32,
    one_minus_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
    eps: f32,
    grad_decay: f32,
    param_decay: f32,
    segments_end: u32,
    segment_count: u32,
    segments: array<vec4<u32>, 32>,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> param: array<f32>;
@group(0) @binding(2) var<storage, read> grad: array<f32>;
@group(0) @binding(3) var<storage, read> rates: array<f32>;
@group(0) @binding(4) var<storage, read_write> m: array<f32>;
@group(0) @binding(5) var<storage, read_write> v: array<f32>;
@group(0) @binding(6) var<storage, read> partials: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= params.len {
        return;
    }
    let p = param[i];
    let g = gradient(i) + params.grad_decay * p;
    let mean = params.beta1 * m[i] + params.one_minus_beta1 * g;
    let square = params.beta2 * v[i] + params.one_minus_beta2 * g * g;
    let step = rates[1] * mean / (sqrt(square) * rates[2] + params.eps);
    m[i] = mean;
    v[i] = square;
    param[i] = p - rates[0] * (params.param_decay * p + step);
}
