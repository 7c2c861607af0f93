// dense_relu.fwd.naive: y[n,o] = max(bias[o] + sum over i of x[n,i] * weight[i,o], 0)
//
// Idea: the baseline, one invocation per output element.
// Writes: y =.
// Dispatch: ceil(n*features_out / WORKGROUP) workgroups; an invocation owns one element.
// Shared memory: none. Barriers: none.

struct Params {
    n: u32,
    features_in: u32,
    features_out: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = group_index(group, groups) * WORKGROUP + lane;
    if at >= params.n * params.features_out {
        return;
    }
    let o = at % params.features_out;
    let n = at / params.features_out;
    var sum = bias[o];
    for (var i = 0u; i < params.features_in; i++) {
        sum += x[n * params.features_in + i] * weight[i * params.features_out + o];
    }
    // Not max(): it may turn a NaN into 0, and divergence must be seen.
    y[at] = select(sum, 0.0, sum < 0.0);
}
