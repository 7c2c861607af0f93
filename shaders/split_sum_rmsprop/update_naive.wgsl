// split_sum_rmsprop.update.naive: g = grad + weight_decay*param, the gradient of segments summed from their splits;
// square_avg = alpha*square_avg + (1-alpha)*g²; velocity = momentum*velocity + g / (sqrt(square_avg) + eps);
// param -= lr*velocity
//
// Idea: the baseline, one invocation per element, which also adds up its splits (shared/split_sum.wgsl).
// Writes: param, square_avg, velocity, all in place.
// Numerics: 1 - alpha comes from the host, which subtracts in f64.
// Dispatch: ceil(len / WORKGROUP) workgroups; an invocation owns one element.
// Shared memory: none. Barriers: none.

struct Params {
    len: u32,
    alpha: f32,
    one_minus_alpha: f32,
    eps: f32,
    momentum: f32,
    weight_decay: f32,
    segments_end: u32,
    segment_count: u32,
    segments: array<vec4<u32>, 32>,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> param: array<f32>;
@group(0) @binding(2) var<storage, read> grad: array<f32>;
@group(0) @binding(3) var<storage, read> rates: array<f32>;
@group(0) @binding(4) var<storage, read_write> square_avg: array<f32>;
@group(0) @binding(5) var<storage, read_write> velocity: array<f32>;
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
    let g = gradient(i) + params.weight_decay * p;
    let square = params.alpha * square_avg[i] + params.one_minus_alpha * g * g;
    let v = params.momentum * velocity[i] + g / (sqrt(square) + params.eps);
    square_avg[i] = square;
    velocity[i] = v;
    param[i] = p - rates[0] * v;
}
