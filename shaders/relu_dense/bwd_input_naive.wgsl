// relu_dense.bwd_input.naive: dx[n,i] = sum over o of dy[n,o] * weight[i,o] where x[n,i] > 0, else 0
//
// Idea: the baseline, one invocation per input element.
// As dense.bwd_input.naive, with the gradient of the ReLU that gave x before the store.
// Writes: dx =.
// Dispatch: ceil(n*features_in / WORKGROUP) workgroups; an invocation owns one element.
// Shared memory: none. Barriers: none.

struct Params {
    n: u32,
    features_in: u32,
    features_out: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read> x: array<f32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = group_index(group, groups) * WORKGROUP + lane;
    if at >= params.n * params.features_in {
        return;
    }
    let i = at % params.features_in;
    let n = at / params.features_in;
    var sum = 0.0;
    for (var o = 0u; o < params.features_out; o++) {
        sum += dy[n * params.features_out + o] * weight[i * params.features_out + o];
    }
    dx[at] = select(0.0, sum, x[at] > 0.0);
}
