// split_sum_sgd.update.naive: g = grad + weight_decay*param, the gradient of segments summed from their splits;
// velocity = momentum*velocity + g; param -= lr*step, where step = g + momentum*velocity with Nesterov, else velocity
//
// Idea: the baseline, one invocation per element, which also adds up its splits (shared/split_sum.wgsl).
// Writes: param, velocity, both in place.
// Dispatch: ceil(len / WORKGROUP) workgroups; an invocation owns one element.
// Shared memory: none. Barriers: none.

struct Params {
    len: u32,
    momentum: f32,
    nesterov: u32,
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
@group(0) @binding(4) var<storage, read_write> velocity: array<f32>;
@group(0) @binding(5) var<storage, read> partials: array<f32>;

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
    let v = params.momentum * velocity[i] + g;
    let step = select(v, g + params.momentum * v, params.nesterov != 0u);
    velocity[i] = v;
    param[i] = p - rates[0] * step;
}
