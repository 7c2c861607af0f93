// log_softmax.bwd_input.naive: dx = dy - exp(y) * sum dy, over a row
//
// Idea: the baseline, one invocation per element, each of which adds up its row.
// Writes: dx =.
// Dispatch: ceil(n * classes / WORKGROUP) workgroups; an invocation owns one element.
// Shared memory: none. Barriers: none.

struct Params {
    n: u32,
    classes: u32,
}

override WORKGROUP: u32 = 64;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = group_index(group, groups) * WORKGROUP + lane;
    if i >= params.n * params.classes {
        return;
    }
    let first = i / params.classes * params.classes;
    var sum = 0.0;
    for (var k = 0u; k < params.classes; k++) {
        sum += dy[first + k];
    }
    dx[i] = dy[i] - exp(y[i]) * sum;
}
