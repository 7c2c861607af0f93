// split_sum_adam.update.vec4: g = grad + grad_decay*param, the gradient of segments summed from their splits;
// m = beta1*m + (1-beta1)*g; v = beta2*v + (1-beta2)*g²;
// param -= lr * (param_decay*param + rates[1]*m / (sqrt(v)*rates[2] + eps))
//
// Idea versus naive: four neighbouring elements to an invocation, moved by 16-byte loads and stores, and so are their splits
// where segment and offset are whole vec4s (shared/split_sum_vec4.wgsl). Accepts lengths, of `partials`, too, and starts of
// segments that are multiples of 4.
// Writes: param, m, v, all in place.
// Numerics: 1 - beta comes from the host, which subtracts in f64. One of the decays is 0: Adam adds it
// to the gradient, AdamW to the step, there as a difference, since 1 - lr*param_decay would lose it.
// Dispatch: ceil(len / 4 / WORKGROUP) workgroups; an invocation owns one vec4.
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
@group(0) @binding(1) var<storage, read_write> param: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> grad: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> rates: array<f32>;
@group(0) @binding(4) var<storage, read_write> m: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> v: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> partials: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= params.len / 4u {
        return;
    }
    let p = param[i];
    let g = gradient4(i) + params.grad_decay * p;
    let mean = params.beta1 * m[i] + params.one_minus_beta1 * g;
    let square = params.beta2 * v[i] + params.one_minus_beta2 * g * g;
    let step = rates[1] * mean / (sqrt(square) * rates[2] + params.eps);
    m[i] = mean;
    v[i] = square;
    param[i] = p - rates[0] * (params.param_decay * p + step);
}
