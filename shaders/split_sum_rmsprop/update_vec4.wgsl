// split_sum_rmsprop.update.vec4: g = grad + weight_decay*param, the gradient of segments summed from their splits;
// square_avg = alpha*square_avg + (1-alpha)*g²; velocity = momentum*velocity + g / (sqrt(square_avg) + eps);
// param -= lr*velocity
//
// Idea versus naive: four neighbouring elements to an invocation, moved by 16-byte loads and stores, and so are their splits
// where segment and offset are whole vec4s (shared/split_sum_vec4.wgsl). Accepts lengths, of `partials`, too, and starts of
// segments that are multiples of 4.
// Writes: param, square_avg, velocity, all in place.
// Numerics: 1 - alpha comes from the host, which subtracts in f64.
// Dispatch: ceil(len / 4 / WORKGROUP) workgroups; an invocation owns one vec4.
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
@group(0) @binding(1) var<storage, read_write> param: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> grad: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> rates: array<f32>;
@group(0) @binding(4) var<storage, read_write> square_avg: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> velocity: array<vec4<f32>>;
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
    let g = gradient4(i) + params.weight_decay * p;
    let square = params.alpha * square_avg[i] + params.one_minus_alpha * g * g;
    let v = params.momentum * velocity[i] + g / (sqrt(square) + params.eps);
    square_avg[i] = square;
    velocity[i] = v;
    param[i] = p - rates[0] * v;
}
